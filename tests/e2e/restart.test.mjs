// SIGTERM to any one service under load, then its restart: calls in flight finish, new ones get a
// clean 503 with Retry-After, nothing hangs, and everything works within 2 s of its start without
// touching the others.
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { newUser } from './lib/client.mjs';
import { startStack, UNLIMITED } from './lib/stack.mjs';

const ROUTES = {
  user: ['/api/auth/user'],
  video: ['/api/videos?limit=5'],
  job: ['/api/jobs/history?limit=5'],
  gateway: ['/api/auth/user', '/api/videos?limit=5'],
};

// A GET whose kept connection closes before any answer is asked again once, as RFC 9112, 9.3.1 has
// it: a server may close an idle connection in the moment that its client uses it.
async function get(user, route) {
  const failed = (error) => ({ status: 0, error: String(error.cause?.code ?? error) });
  const answer = await user.get(route).catch(failed);
  return answer.error === 'UND_ERR_SOCKET' ? user.get(route).catch(failed) : answer;
}

// Eight clients ask in a loop and record every answer, or the error of a connection, and when.
function startLoad(user, routes) {
  const answers = [];
  let running = true;
  const loop = async (i) => {
    while (running) {
      const started = Date.now();
      const answer = await get(user, routes[i % routes.length]);
      answers.push({ started, took: Date.now() - started, status: answer.status, retryAfter: answer.headers?.get('retry-after') ?? null, error: answer.error });
      if (answer.status !== 200) await sleep(10);
    }
  };
  const loops = Promise.all(Array.from({ length: 8 }, (_, i) => loop(i)));
  return { answers, stop: async () => { running = false; await loops; } };
}

async function untilOk(user, route, since) {
  for (;;) {
    const answer = await user.get(route).catch(() => null);
    if (answer?.status === 200) return Date.now() - since;
    if (Date.now() - since > 5000) return Infinity;
    await sleep(10);
  }
}

test('SIGTERM and restart of one service under load', { timeout: 120000 }, async (t) => {
  const stack = await startStack({ gateway: { REEL_RATE_LIMITS: UNLIMITED } });
  t.after(() => stack.stop());
  const user = await newUser(stack.url);

  for (const [name, routes] of Object.entries(ROUTES)) {
    await t.test(name, async () => {
      const load = startLoad(user, routes);
      await sleep(300);
      const status = await stack.kill(name, 'SIGTERM');
      await sleep(300);
      const started = Date.now();
      stack.start(name);
      const back = await untilOk(user, routes[0], started);
      await sleep(300);
      await load.stop();

      assert.equal(status, 0, 'it exits 0 after its drain');
      assert.ok(back < 2000, `back after ${back} ms`);
      const allowed = name === 'gateway' ? [200, 503, 0] : [200, 503];
      const odd = load.answers.filter((answer) => !allowed.includes(answer.status));
      assert.deepEqual(odd, [], 'only 200 and 503');
      const bare = load.answers.filter((answer) => answer.status === 503 && !answer.retryAfter);
      assert.deepEqual(bare, [], 'every 503 says when to come back');
      // A closed port refuses; a request that was accepted is never cut.
      const cut = load.answers.filter((answer) => answer.status === 0 && answer.error !== 'ECONNREFUSED');
      assert.deepEqual(cut, [], 'no request is cut');
      const slow = load.answers.filter((answer) => answer.took > 2000);
      assert.deepEqual(slow, [], 'nothing hangs');
      assert.deepEqual(stack.exits, [], 'the others were not touched');
    });
  }
});
