// The HTTP surface over the real services: what a client does in a session answers
// as /openapi.json says. routes.test.mjs has every route with every status, and the document itself.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import test, { after, before } from 'node:test';
import { Client, newUser } from './lib/client.mjs';
import { clip } from './lib/clips.mjs';
import { SANITIZED } from './lib/sanitizers.mjs';
import { startStack } from './lib/stack.mjs';

const LIMITS = 'auth=40/900,validate=0/1,upload=0/1,operation=0/1,default=0/1';
const PROXIED = { REEL_TRUSTED_PROXIES: '127.0.0.0/8', REEL_RATE_LIMITS: LIMITS };

let stack;
let anna;
let document;
let nextAddress = 1;

// Sign-in is limited by address; each test comes from its own.
const from = (address = `198.51.100.${nextAddress++}`) => ({ 'x-forwarded-for': address });

before(async () => {
  stack = await startStack({ gateway: PROXIED });
  anna = await newUser(stack.url);
  document = (await anna.get('/openapi.json')).body;
}, { timeout: 60000 });

after(() => stack?.stop());

// An answer must be one that the document lists, and a failure must be a problem.
function check(answer, method, route) {
  const operation = document.paths[route]?.[method.toLowerCase()];
  assert.ok(operation, `${method} ${route} is documented`);
  assert.ok(operation.responses[answer.status], `${method} ${route} answered ${answer.status}, which is not documented: ${JSON.stringify(answer.body)}`);
  if (answer.status >= 400) {
    assert.equal(answer.headers.get('content-type'), 'application/problem+json');
    assert.equal(answer.body.status, answer.status);
    assert.equal(answer.body.error, answer.body.detail);
    assert.ok(answer.body.requestId);
  }
}

async function ask(client, method, route, target, options, status) {
  const answer = await client.request(method, target ?? route, options);
  check(answer, method, route);
  assert.equal(answer.status, status, `${method} ${target ?? route}: ${JSON.stringify(answer.body)}`);
  return answer;
}

test('without a token every private route answers 401', async () => {
  const stranger = new Client(stack.url);
  for (const [route, item] of Object.entries(document.paths)) {
    for (const [verb, operation] of Object.entries(item)) {
      if (operation.security.length === 0) continue;
      const target = route.replace(/\{\w+\}/g, randomUUID());
      const answer = await stranger.request(verb.toUpperCase(), target, verb === 'get' ? {} : { json: {} });
      check(answer, verb, route);
      assert.equal(answer.status, 401, `${verb} ${route}`);
      assert.match(answer.headers.get('www-authenticate'), /^Bearer /);
    }
  }
});

test('bodies that do not fit are refused on every route that takes one', async () => {
  for (const [route, item] of Object.entries(document.paths)) {
    for (const [verb, operation] of Object.entries(item)) {
      if (!operation.requestBody?.content['application/json']) continue;
      const method = verb.toUpperCase();
      const target = route.replace(/\{\w+\}/g, randomUUID());
      const json = { 'content-type': 'application/json', ...from() };
      await ask(anna, method, route, target, { body: '{', headers: json }, 400);
      await ask(anna, method, route, target, { body: '{"noSuchField":1}', headers: json }, 400);
      await ask(anna, method, route, target, { body: 'x', headers: { 'content-type': 'text/plain', ...from() } }, 415);
      await ask(anna, method, route, target, { body: ' '.repeat(1048577), headers: json }, 413);
    }
  }
});

test('accounts: created once, signed in, changed, refreshed, signed out', async () => {
  const name = `u${Date.now()}`;
  const account = { username: name, email: `${name}@example.org`, password: 'correct horse battery' };
  const headers = from();
  const guest = new Client(stack.url);
  await ask(guest, 'POST', '/api/auth/register', null, { json: account, headers }, 201);
  await ask(guest, 'POST', '/api/auth/register', null, { json: account, headers }, 409);
  const bad = await ask(guest, 'POST', '/api/auth/register', null, { json: { ...account, email: 'x' }, headers }, 422);
  assert.equal(bad.body.errors[0].pointer, '#/email');
  await ask(guest, 'POST', '/api/auth/login', null, { json: { username: name, password: 'wrong' }, headers }, 401);
  const login = await ask(guest, 'POST', '/api/auth/login', null, { json: { username: name, password: account.password }, headers }, 200);
  assert.match(login.headers.get('set-cookie'), /^token=ey.*HttpOnly; SameSite=Lax/);

  const user = new Client(stack.url, login.body.accessToken);
  assert.equal((await ask(user, 'GET', '/api/auth/user', null, {}, 200)).body.user.username, name);
  await ask(user, 'PUT', '/api/auth/user', null, { json: { email: `${name}@example.net` } }, 200);
  const fresh = await ask(guest, 'POST', '/api/auth/refresh', null, { json: { refreshToken: login.body.refreshToken }, headers }, 200);
  await ask(guest, 'POST', '/api/auth/refresh', null, { json: { refreshToken: 'no such token' }, headers }, 401);
  const valid = await ask(guest, 'POST', '/api/auth/validate', null, { json: { token: fresh.body.accessToken }, headers }, 200);
  assert.equal(valid.body.valid, true);

  const cookie = { cookie: `token=${fresh.body.accessToken}` };
  await ask(guest, 'GET', '/api/auth/user', null, { headers: cookie }, 200);
  await ask(guest, 'DELETE', '/api/auth/logout', null, { headers: { ...cookie, 'sec-fetch-site': 'cross-site' } }, 403);
  await ask(guest, 'DELETE', '/api/auth/logout', null, { headers: { ...cookie, 'sec-fetch-site': 'same-origin' } }, 200);
  const end = Date.now() + 1000;
  let status;
  do status = (await guest.request('GET', '/api/auth/user', { headers: cookie })).status;
  while (status === 200 && Date.now() < end);
  assert.equal(status, 401, 'signed out within a second');
});

test('what is not there is 404, on every route that names something', async () => {
  for (const [route, item] of Object.entries(document.paths)) {
    if (!route.includes('{')) continue;
    for (const verb of Object.keys(item)) {
      const options = item[verb].requestBody ? { json: { name: 'x' } } : {};
      await ask(anna, verb.toUpperCase(), route, route.replace(/\{\w+\}/g, randomUUID()), options, 404);
      await ask(anna, verb.toUpperCase(), route, route.replace(/\{\w+\}/g, 'no-uuid'), options, 422);
    }
  }
});

test('an upload, its ranges and their failures', async () => {
  const file = await clip(stack.dir, 'short.mp4');
  const upload = await anna.upload(file);
  check(upload, 'POST', '/api/videos/upload');
  assert.equal(upload.status, 201);
  const asset = `/api/videos/asset?videoId=${upload.body.videoId}&type=original`;
  const whole = await ask(anna, 'GET', '/api/videos/asset', asset, {}, 200);
  assert.deepEqual(whole.body, fs.readFileSync(file));
  const part = await ask(anna, 'GET', '/api/videos/asset', asset, { headers: { range: 'bytes=-10' } }, 206);
  assert.deepEqual(part.body, whole.body.subarray(-10));
  await ask(anna, 'GET', '/api/videos/asset', asset, { headers: { 'if-none-match': whole.headers.get('etag') } }, 304);
  await ask(anna, 'GET', '/api/videos/asset', asset, { headers: { range: 'bytes=99999999-' } }, 416);
  await ask(anna, 'GET', '/api/videos/asset', `/api/videos/asset?videoId=${randomUUID()}&type=original`, {}, 404);

  const form = new FormData();
  form.append('file', new Blob([fs.readFileSync(file)]), 'form.mp4');
  const again = await ask(anna, 'POST', '/api/videos/upload', null, { body: form }, 201);
  assert.equal(again.body.name, 'form');
  await ask(anna, 'POST', '/api/videos/upload', null, { body: 'not a video', headers: { filename: 'x.mp4', 'content-type': 'video/mp4' } }, 422);
  await ask(anna, 'POST', '/api/videos/upload', null, { json: {}, headers: { filename: 'x.mp4' } }, 415);
});

test('sign-in is limited by address, with a wait that is told', async () => {
  const headers = from();
  const guest = new Client(stack.url);
  const statuses = [];
  let last;
  for (let i = 0; i < 41; i++) {
    last = await guest.post('/api/auth/login', {}, { headers });
    check(last, 'POST', '/api/auth/login');
    statuses.push(last.status);
  }
  assert.equal(statuses.filter((status) => status === 429).length, 1);
  assert.equal(last.body.type, 'https://iana.org/assignments/http-problem-types#quota-exceeded');
  assert.match(last.headers.get('ratelimit'), /^"auth";r=0;t=\d+$/);
  assert.equal(last.headers.get('retry-after'), /t=(\d+)/.exec(last.headers.get('ratelimit'))[1]);
});

test('ten thousand idle connections lock nobody out', async () => {
  await stack.kill('gateway', 'SIGTERM');
  Object.assign(stack.serviceEnv.gateway, { REEL_MAX_CONNECTIONS_PER_ADDRESS: '12000' });
  stack.start('gateway');
  await stack.ready?.();
  const idle = [];
  for (let i = 0; i < 10000; i++) {
    const socket = net.connect(stack.port, '127.0.0.1');
    socket.on('error', () => {});
    idle.push(socket);
    if (i % 500 === 499) await once(socket, 'connect');
  }
  const rss = Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${stack.pid('gateway')}/status`, 'utf8'))[1]);
  for (let i = 0; i < 50; i++) assert.equal((await anna.get('/api/auth/user')).status, 200);
  for (const socket of idle) socket.destroy();
  assert.ok(SANITIZED || rss < 150 * 1024, `${rss} KiB for 10,000 idle connections`);
});

test('without its services the gateway answers 503 and when to come back', async () => {
  await stack.kill('video', 'SIGTERM');
  let answer;
  for (let i = 0; i < 20; i++) {
    answer = await anna.get('/api/videos');
    check(answer, 'GET', '/api/videos');
  }
  assert.equal(answer.status, 503);
  assert.ok(Number(answer.headers.get('retry-after')) >= 1);
  assert.ok(!JSON.stringify(answer.body).includes('127.0.0.1'), 'no address of ours');
  assert.equal((await anna.get('/ready')).status, 503);
  assert.equal((await anna.get('/health')).status, 200);
  stack.start('video');
  const end = Date.now() + 2000;
  while ((await anna.get('/api/videos')).status !== 200) assert.ok(Date.now() < end, 'back within 2 s');
});
