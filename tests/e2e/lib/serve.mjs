// A stack to try things on by hand, on free ports: prints its address and the token of a new user,
// and ends with Ctrl-C.  node tests/e2e/lib/serve.mjs
import { once } from 'node:events';
import path from 'node:path';
import { newUser } from './client.mjs';
import { startStack } from './stack.mjs';

// An interval keeps the process alive until it is told to end.
const alive = setInterval(() => {}, 1 << 30);
const told = Promise.race(['SIGINT', 'SIGTERM'].map((signal) => once(process, signal)));
const stack = await startStack();
try {
  const { user, token } = await newUser(stack.url);
  console.log(`# ${user.username}; logs in ${path.join(stack.dir, 'log')}; Ctrl-C ends it`);
  console.log(`api=${stack.url}\nauth='Authorization: Bearer ${token}'`);
  await told;
} finally {
  await stack.stop();
  clearInterval(alive);
}
