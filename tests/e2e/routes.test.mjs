// Every route with its success and each of its failures, held against the description that the
// gateway gives of itself: what /openapi.json documents is produced here, what is produced here is
// documented there, and every answer has the promised form.
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { newUser } from './lib/client.mjs';
import { clip } from './lib/clips.mjs';
import { agent, send } from './lib/http.mjs';
import { checkProblem, Description, lint } from './lib/openapi.mjs';
import { startStack, UNLIMITED } from './lib/stack.mjs';

const NORMAL = { REEL_RATE_LIMITS: UNLIMITED };
const TOO_LONG_JSON = 1048576 + 1;
const TOO_LONG_UPLOAD = 17179869184 + 1;

const clips = fs.mkdtempSync(path.join(os.tmpdir(), 'reelclips.'));
const produced = new Set(); // "GET /api/videos 200"
let stack, alice, mallory, api, short, known;

before(async () => {
  stack = await startStack({ gateway: NORMAL });
  [alice, mallory] = [await newUser(stack.url), await newUser(stack.url)];
  api = new Description((await alice.get('/openapi.json')).body);
  short = fs.readFileSync(await clip(clips, 'short.mp4'));
  const upload = async (name) => (await alice.upload(await clip(clips, name))).body.videoId;
  known = { video: await upload('plain.mp4'), silent: await upload('silent.mp4'), spare: await upload('short.mp4'), long: await upload('long.mp4') };
  const { body } = await alice.post('/api/videos/resize', { videoId: known.video, width: 64, height: 36 });
  known.job = body.jobId;
  assert.equal((await alice.job(known.job)).state, 'completed');
});

after(async () => {
  agent.destroy();
  await stack?.stop();
  fs.rmSync(clips, { recursive: true, force: true });
});

const unique = () => `u${randomBytes(6).toString('hex')}`;
const json = (value, more = {}) => ({ body: JSON.stringify(value), headers: { 'content-type': 'application/json' }, ...more });
const raw = (body, more = {}) => ({ body, headers: { 'content-type': 'video/mp4', filename: 'clip.mp4' }, ...more });
const at = (target, more = {}) => ({ target, ...more });
const account = () => ({ username: unique(), email: `${unique()}@example.com`, password: randomBytes(9).toString('base64url') });
const form = (file, name = 'clip.mp4') => ({
  body: Buffer.concat([Buffer.from(`--edge\r\nContent-Disposition: form-data; name="title"\r\n\r\nA title\r\n--edge\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\nContent-Type: video/mp4\r\n\r\n`), file, Buffer.from('\r\n--edge--\r\n')]),
  headers: { 'content-type': 'multipart/form-data; boundary=edge' },
});

// A well-formed request of each operation; what it is about may be gone afterwards.
const requests = {
  'POST /api/auth/register': () => json(account()),
  'POST /api/auth/login': () => json({ username: alice.user.username, password: alice.password }),
  'DELETE /api/auth/logout': () => ({}),
  'POST /api/auth/logout': () => ({}),
  'GET /api/auth/user': () => ({}),
  'PUT /api/auth/user': () => json({ email: alice.user.email }),
  'POST /api/auth/refresh': () => json({ refreshToken: alice.refreshToken }),
  'POST /api/auth/validate': () => json({ token: alice.token }),
  'GET /api/videos': () => at('/api/videos?limit=2'),
  'GET /api/videos/videos': () => at('/api/videos/videos?limit=2'),
  'GET /api/videos/{videoId}': () => at(`/api/videos/${known.video}`),
  'PATCH /api/videos/{videoId}': () => json({ name: 'A name' }, at(`/api/videos/${known.spare}`)),
  'DELETE /api/videos/{videoId}': () => at(`/api/videos/${known.spare}`),
  'POST /api/videos/upload': () => raw(short),
  'GET /api/videos/asset': () => at(`/api/videos/asset?videoId=${known.video}&type=original`),
  'POST /api/videos/extract-audio': () => json({ videoId: known.video }),
  'POST /api/videos/resize': () => json({ videoId: known.video, width: 64, height: 36 }),
  'POST /api/videos/convert': () => json({ videoId: known.video, targetFormat: 'mov' }),
  'POST /api/jobs/enqueue': () => json({ type: 'resize', videoId: known.video, params: { width: 64, height: 36 } }),
  'GET /api/jobs/status/{jobId}': () => at(`/api/jobs/status/${known.job}`),
  'GET /api/jobs/queue/stats': () => ({}),
  'GET /api/jobs/history': () => at('/api/jobs/history?limit=2'),
  'POST /api/jobs/{jobId}/cancel': () => at(`/api/jobs/${known.job}/cancel`),
  'POST /api/jobs/{jobId}/retry': () => at(`/api/jobs/${known.job}/retry`),
  'GET /api/events': () => ({ endless: true }),
  'GET /health': () => ({}),
  'GET /ready': () => ({}),
  'GET /metrics': () => ({}),
  'GET /openapi.json': () => ({}),
  'GET /api/services/status': () => ({}),
};

const operation = (key) => api.operations.get(key);
const isSignedIn = (key) => operation(key).security.length > 0;
const hasJsonBody = (key) => operation(key).requestBody?.content['application/json'] !== undefined;
const documented = (status) => [...api.operations.keys()].filter((key) => api.statuses(key).includes(String(status)));

function request(key, overrides = {}) {
  assert.ok(requests[key], `${key} has no request here: give it one in \`requests\``);
  const [, template] = key.split(' ');
  const base = { target: template, ...requests[key](), ...overrides };
  return { ...base, headers: { ...base.headers, ...overrides.headers } };
}

// Sends a request and holds the answer against the description; whatever comes counts as produced.
async function ask(key, { user = alice, target, headers = {}, ...rest }) {
  const [method] = key.split(' ');
  const credentials = user && isSignedIn(key) ? { authorization: `Bearer ${user.token}` } : {};
  const answer = await send(stack.url, method, target, { ...rest, headers: { ...credentials, ...headers } });
  api.check(key, answer);
  if (answer.status >= 400) checkProblem(answer);
  if ([201, 202].includes(answer.status)) assert.match(answer.headers.location ?? '', /^\/api\//, `Location of ${key}`);
  produced.add(`${key} ${answer.status}`);
  return answer;
}

async function expect(key, status, given) {
  const answer = await ask(key, given);
  assert.equal(answer.status, status, `${key} ${given.target} -> ${answer.status} ${answer.bytes.subarray(0, 600)}`);
  return answer;
}

// --- what each status takes, in general; [] when there is no such request

const general = {
  400: (key) => [hasJsonBody(key) ? request(key, { body: '{"surely":{"not":"known"}}' }) : request(key, { target: `${request(key).target.split('?')[0]}?broken=%zz` })],
  401: (key) => (isSignedIn(key) ? [request(key, { user: null }), request(key, { user: { token: 'not.a.token' } }), request(key, { user: null, headers: { authorization: 'Basic dTpw' } })] : []),
  403: (key) => (isSignedIn(key) && !key.startsWith('GET') ? [request(key, { user: null, headers: { cookie: `token=${alice.token}`, origin: 'https://elsewhere.example' } })] : []),
  404: (key) => [request(key, { user: mallory })],
  413: (key) => [request(key, { headOnly: true, headers: { 'content-length': key.endsWith('/upload') ? TOO_LONG_UPLOAD : TOO_LONG_JSON } })],
  415: (key) => [request(key, { headers: { 'content-type': 'text/plain' } })],
};

// What it takes where the general way is not it, or not the only one.
const special = {
  'GET /api/auth/user 404': async () => [{ target: '/api/auth/user', user: await ghost() }],
  'PUT /api/auth/user 404': async () => [json({ email: `${unique()}@example.com` }, at('/api/auth/user', { user: await ghost() }))],
  'PUT /api/auth/user 403': () => [...general[403]('PUT /api/auth/user'), json({ password: 'another password', currentPassword: 'wrong' }, at('/api/auth/user'))],
  'POST /api/auth/login 401': () => [json({ username: alice.user.username, password: 'wrong' }), json({ username: unique(), password: 'wrong' })],
  'POST /api/auth/refresh 401': () => [json({ refreshToken: 'x' }), json({ refreshToken: 'f'.repeat(96) })],
  'POST /api/auth/register 409': () => [json({ ...account(), username: alice.user.username }), json({ ...account(), email: alice.user.email.toUpperCase() })],
  'PUT /api/auth/user 409': () => [json({ username: mallory.user.username }, at('/api/auth/user')), json({ email: mallory.user.email }, at('/api/auth/user'))],
  'POST /api/videos/extract-audio 409': () => [json({ videoId: known.silent })],
  'POST /api/videos/convert 409': () => [json({ videoId: known.silent, targetFormat: 'mp4' })],
  'POST /api/jobs/enqueue 409': () => [json({ videoId: known.silent, type: 'extract_audio' })],
  'POST /api/jobs/{jobId}/cancel 409': () => [at(`/api/jobs/${known.job}/cancel`)],
  'POST /api/jobs/{jobId}/retry 409': () => [at(`/api/jobs/${known.job}/retry`)],
  'POST /api/videos/upload 400': () => [raw(short, { headers: { 'content-type': 'video/mp4' } }), raw('', { headers: { filename: 'a.mp4', 'content-length': 0 } }), raw(short, { headers: { filename: '%0d%0aX: y' } }), raw(short, { headers: { filename: 'x'.repeat(256) } }), { ...form(short), body: '--edge\r\nContent-Disp' }, { ...form(short), headers: { 'content-type': 'multipart/form-data' } }],
  'POST /api/videos/upload 411': () => [raw(undefined, { headOnly: true })],
  'POST /api/videos/upload 415': () => [raw(short, { headers: { 'content-type': 'application/json' } }), raw(short, { headers: { 'content-type': 'text/html', filename: 'a.html' } })],
  'POST /api/videos/upload 422': () => [raw('this is no video'), raw(short.subarray(0, 200)), form(Buffer.from('neither is this'))],
  'GET /api/videos/asset 404': () => [at(`/api/videos/asset?videoId=${known.video}`, { user: mallory }), at(`/api/videos/asset?videoId=${known.video}&type=audio`), at(`/api/videos/asset?videoId=${known.video}&operationId=${randomUUID()}`)],
  'GET /api/videos/asset 416': () => ['bytes=99999999-', 'bytes=-0'].map((range) => request('GET /api/videos/asset', { headers: { range } })),
  'GET /api/videos/asset 206': () => [request('GET /api/videos/asset', { headers: { range: 'bytes=0-9' } })],
  'GET /api/videos/asset 412': async () => {
    const base = request('GET /api/videos/asset');
    const { etag, 'last-modified': modified } = Object.fromEntries((await alice.request('HEAD', base.target)).headers);
    const earlier = new Date(Date.parse(modified) - 1000).toUTCString();
    const held = [{ 'if-match': etag }, { 'if-match': '*' }, { 'if-unmodified-since': modified }, { 'if-match': etag, 'if-unmodified-since': earlier }];
    for (const headers of held) await expect('GET /api/videos/asset', 200, request('GET /api/videos/asset', { headers }));
    return [{ 'if-match': '"another"' }, { 'if-match': `W/${etag}` }, { 'if-match': '"another"', 'if-none-match': etag }, { 'if-unmodified-since': earlier }].map((headers) => request('GET /api/videos/asset', { headers }));
  },
  'GET /api/videos/asset 304': async () => [request('GET /api/videos/asset', { headers: { 'if-none-match': (await alice.request('HEAD', request('GET /api/videos/asset').target)).headers.get('etag') } })],
  'GET /api/events 400': () => [...general[400]('GET /api/events'), ...['x', '-1', '99999999999999999999'].map((id) => request('GET /api/events', { endless: true, headers: { 'last-event-id': id } }))],
  'POST /api/auth/register 422': () => [{ username: 'a' }, { username: 'a b c' }, { email: 'x' }, { password: 'short' }, { password: '' }].map((wrong) => json({ ...account(), ...wrong })),
  'POST /api/auth/login 422': () => [json({ username: 'x' }), json({ username: 'x'.repeat(255), password: 'x' })],
  'PUT /api/auth/user 422': () => [json({ password: 'another password' }, at('/api/auth/user')), json({ username: '' }, at('/api/auth/user')), json({ email: 'x' }, at('/api/auth/user'))],
  'POST /api/auth/refresh 422': () => [json({}), json({ refreshToken: 'x'.repeat(257) })],
  'POST /api/auth/validate 422': () => [json({}), json({ token: 'x'.repeat(4097) })],
  'GET /api/videos 422': () => ['limit=101', 'limit=-1', 'cursor=x', `cursor=${'x'.repeat(257)}`].map((query) => at(`/api/videos?${query}`)),
  'GET /api/videos/videos 422': () => [at('/api/videos/videos?limit=101')],
  'GET /api/videos/{videoId} 422': () => [at('/api/videos/x')],
  'PATCH /api/videos/{videoId} 422': () => [json({ name: '' }, at(`/api/videos/${known.spare}`)), json({ name: ' \t\n' }, at(`/api/videos/${known.spare}`)), json({ name: 'x'.repeat(256) }, at(`/api/videos/${known.spare}`)), json({ name: 'x' }, at('/api/videos/x'))],
  'DELETE /api/videos/{videoId} 422': () => [at('/api/videos/x')],
  'GET /api/videos/asset 422': () => ['', 'videoId=x', `videoId=${known.video}&type=nonsense`, `videoId=${known.video}&type=resize&dimensions=x`].map((query) => at(`/api/videos/asset?${query}`)),
  'POST /api/videos/extract-audio 422': () => [json({}), json({ videoId: known.video, format: 'exe' })],
  'POST /api/videos/resize 422': () => [{}, { width: 64 }, { width: 64, height: 8194 }, { width: 63, height: 64 }, { width: -2, height: 64 }].map((size) => json({ videoId: known.video, ...size })),
  'POST /api/videos/convert 422': () => [json({ videoId: known.video }), json({ videoId: known.video, targetFormat: 'MP4' })],
  'POST /api/jobs/enqueue 422': () => [{ type: 'explode' }, { type: 'resize' }, { type: 'resize', params: { width: 64, height: 63 } }, { type: 'convert', params: { targetFormat: 'exe' } }, { type: 'extract_audio', params: { targetFormat: 'exe' } }].map((what) => json({ videoId: known.video, ...what })),
  'GET /api/jobs/status/{jobId} 422': () => [at('/api/jobs/status/x')],
  'POST /api/jobs/{jobId}/cancel 422': () => [at('/api/jobs/x/cancel')],
  'POST /api/jobs/{jobId}/retry 422': () => [at('/api/jobs/x/retry')],
  'GET /api/jobs/history 422': () => ['limit=101', 'state=asleep', 'cursor=x', 'videoId=x', `videoId=${'x'.repeat(37)}`].map((query) => at(`/api/jobs/history?${query}`)),

  'DELETE /api/auth/logout 200': async () => [at('/api/auth/logout', { user: await newUser(stack.url) })],
  'POST /api/auth/logout 200': async () => [at('/api/auth/logout', { user: await newUser(stack.url) })],
  'PUT /api/auth/user 200': async () => {
    const user = await newUser(stack.url);
    return [{}, { username: unique() }, { email: `${unique()}@example.com` }, { password: 'another password', currentPassword: user.password }, { username: null }].map((change) => json(change, { user }));
  },
  'POST /api/auth/refresh 200': async () => [json({ refreshToken: (await newUser(stack.url)).refreshToken })],
  'POST /api/auth/validate 200': () => [json({ token: alice.token }), json({ token: 'x' })],
  'DELETE /api/videos/{videoId} 200': async () => [at(`/api/videos/${(await ask('POST /api/videos/upload', request('POST /api/videos/upload'))).body.videoId}`)],
  'POST /api/videos/upload 201': () => [raw(short), raw(short, { headers: { filename: 'caf%C3%A9.mp4' } }), form(short, 'form.mp4'), raw(short, { headers: { filename: 'x.mp4', 'content-type': 'application/octet-stream' } })],
  'GET /api/videos/asset 200': () => ['', '&type=original', '&type=thumbnail', '&type=resize&dimensions=64x36', `&operationId=${known.job}`].map((which) => at(`/api/videos/asset?videoId=${known.video}${which}`)),
  'POST /api/jobs/enqueue 202': () => [{ type: 'resize', params: { width: 64, height: 36 } }, { type: 'convert', params: { targetFormat: 'mkv' } }, { type: 'extract_audio' }].map((what) => json({ videoId: known.video, ...what })),
  'POST /api/jobs/{jobId}/cancel 200': async () => [at(`/api/jobs/${await running()}/cancel`)],
  'POST /api/jobs/{jobId}/retry 202': async () => {
    const id = await running();
    await expect('POST /api/jobs/{jobId}/cancel', 200, at(`/api/jobs/${id}/cancel`));
    return [at(`/api/jobs/${id}/retry`)];
  },
  'GET /api/jobs/history 200': () => ['', '?state=completed', `?videoId=${known.video}`].map((query) => at(`/api/jobs/history${query}`)),
};

// A user whose account is gone while the token still lives.
async function ghost() {
  const user = await newUser(stack.url);
  await stack.sql(`DELETE FROM sessions WHERE user_id = '${user.user.id}'`);
  await stack.sql(`DELETE FROM users WHERE id = '${user.user.id}'`);
  return user;
}

// A job that goes on for a while.
let nextSide = 64;
async function running() {
  nextSide += 2;
  return (await alice.post('/api/videos/resize', { videoId: known.long, width: 1280, height: 640 + nextSide })).body.jobId;
}

test('the description is OpenAPI 3.1 and knows every route', async () => {
  const { body } = await alice.get('/openapi.json');
  assert.match(body.openapi, /^3\.1\./);
  assert.deepEqual(await lint(JSON.stringify(body)), []);
  assert.deepEqual([...api.operations.keys()].sort(), Object.keys(requests).sort());
});

// One case each, named as in the report: "POST /api/videos/resize 422".
test('what the description documents happens', async (t) => {
  for (const key of api.operations.keys()) {
    for (const status of api.statuses(key)) {
      if (['429', '500', '503', '504'].includes(status) || (key === 'GET /metrics' && status === '403')) continue;
      await t.test(`${key} ${status}`, async () => {
        const given = await (special[`${key} ${status}`] ?? general[status] ?? (() => [request(key)]))(key);
        assert.ok(given.length > 0, 'nothing produces this status');
        for (const one of given) await expect(key, Number(status), { target: key.split(' ')[1], ...one });
      });
    }
  }
});

test('what belongs to another user is as if it were not there', async (t) => {
  const nothing = randomUUID();
  for (const key of documented(404).filter((key) => !key.endsWith('/user'))) {
    await t.test(key, async () => {
      const theirs = request(key, { user: mallory });
      const instead = (text) => text?.toString().replaceAll(known.video, nothing).replaceAll(known.job, nothing).replaceAll(known.spare, nothing);
      const missing = { ...theirs, target: instead(theirs.target), body: instead(theirs.body) };
      const [one, other] = [await expect(key, 404, theirs), await expect(key, 404, missing)];
      const blank = (answer) => instead(answer.bytes).replaceAll(answer.body.requestId, '');
      assert.equal(blank(one), blank(other));
    });
  }
});

test('a path answers other methods with those it has', async () => {
  const templates = [...api.operations.keys()].map((key) => key.split(' '));
  for (const [, template] of templates) {
    const target = template.replace(/\{\w+\}/g, known.video);
    // A path that is written out goes before one with a variable in its place.
    const fits = templates.filter(([, other]) => other === template).map(([verb]) => verb);
    const possible = new Set([...fits, ...(fits.includes('GET') ? ['HEAD'] : []), 'OPTIONS']);
    for (const verb of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].filter((verb) => !possible.has(verb))) {
      const answer = await send(stack.url, verb, target, { headers: { authorization: `Bearer ${alice.token}` } });
      assert.equal(answer.status, 405, `${verb} ${target}`);
      checkProblem(answer);
      assert.deepEqual(new Set(answer.headers.allow.split(', ')), possible, target);
    }
    const options = await send(stack.url, 'OPTIONS', target);
    assert.equal(options.status, 204);
    assert.deepEqual(new Set(options.headers.allow.split(', ')), possible, target);
  }
});

test('HEAD is GET without the body', async () => {
  for (const key of api.operations.keys()) {
    if (!key.startsWith('GET') || key === 'GET /api/events') continue;
    const given = request(key);
    const headers = { authorization: `Bearer ${alice.token}` };
    const [head, whole] = [await send(stack.url, 'HEAD', given.target, { headers }), await send(stack.url, 'GET', given.target, { headers })];
    assert.equal(head.status, whole.status, key);
    assert.equal(head.bytes.length, 0, key);
    for (const name of ['content-type', 'etag', 'accept-ranges', 'cache-control']) assert.equal(head.headers[name], whole.headers[name], `${key} ${name}`);
  }
});

test('paths that are not there say so', async () => {
  for (const target of ['/', '/api', '/api/', '/api/videos/', `/api/videos/${known.video}/`, '/api/jobs', '/api/auth', '/API/VIDEOS', '/api/auth/login/', '/favicon.ico', '/api//videos']) {
    for (const verb of ['GET', 'POST', 'DELETE']) {
      const answer = await send(stack.url, verb, target, { headers: { authorization: `Bearer ${alice.token}` } });
      assert.ok([404, 405].includes(answer.status), `${verb} ${target} ${answer.status}`);
      checkProblem(answer);
    }
  }
});

const hostileIds = () => ['..', '.', '%2e%2e', '%2e%2e%2fetc%2fpasswd', '..%5c..', '%00', 'a%00b', '%ff%fe', '%c0%af', '%ed%a0%80', "1'%20OR%20'1'='1", '%22;DROP%20TABLE%20videos;--', '{videoId}', '%7b%7d', '0', '-1', 'null', 'undefined', 'NaN', '%20', '%0d%0aX:%20y', '%F0%9F%8E%AC', known.video.toUpperCase(), `${known.video}%20`, `${known.video}x`, known.video.replaceAll('-', ''), 'x'.repeat(300), 'x'.repeat(7000), '*', '%2a', '%25s%25n', '$(id)'];

test('hostile ids are refused everywhere', async (t) => {
  for (const key of api.operations.keys()) {
    const [method, template] = key.split(' ');
    const parameters = (operation(key).parameters ?? []).filter((parameter) => parameter.in !== 'header' && /Id$/.test(parameter.name)).map((parameter) => parameter.name);
    const fields = Object.keys(api.bodyProperties(key)).filter((name) => /Id$/.test(name));
    if (parameters.length + fields.length === 0) continue;
    await t.test(key, async () => {
      for (const id of hostileIds()) {
        const base = request(key);
        if (parameters.length > 0) {
          const target = template.includes('{') ? template.replace(/\{\w+\}/, id) : parameters.map((name) => `${template}?videoId=${known.video}&${name}=${id}`).at(-1);
          const answer = await send(stack.url, method, target, { ...base, headers: { authorization: `Bearer ${alice.token}`, ...base.headers } });
          // A path of another shape is another place: 404 and 405 are right for it.
          assert.ok([400, 404, 405, 414, 422].includes(answer.status), `${method} ${target} -> ${answer.status} ${answer.bytes.subarray(0, 300)}`);
          checkProblem(answer);
        }
        for (const field of fields) {
          const value = decodeLoosely(id);
          const answer = await expect(key, value.includes('\0') ? 400 : 422, { ...base, body: JSON.stringify({ ...JSON.parse(base.body), [field]: value }) });
          if (answer.status === 422) assert.equal(answer.body.errors[0].pointer, `#/${field}`);
        }
      }
    });
  }
});

function decodeLoosely(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// Bodies that no schema can save: [what, body or (good body as text) => body].
const hostileBodies = [
  ['nothing', () => ''],
  ['blanks', () => ' \n '],
  ['not JSON', () => '{"a'],
  ['a word', () => 'hello'],
  ['a list', () => '[]'],
  ['a string', () => '"x"'],
  ['a number', () => '1'],
  ['null', () => 'null'],
  ['two documents', (good) => good + good],
  ['a tail', (good) => `${good}]`],
  ['a comment', (good) => `/* x */${good}`],
  ['a trailing comma', (good) => good.replace(/\}$/, ',}')],
  ['single quotes', (good) => good.replaceAll('"', "'")],
  ['a byte order mark', (good) => `\ufeff${good}`],
  ['UTF-16', (good) => Buffer.from(good, 'utf16le')],
  ['bad UTF-8', (good) => Buffer.concat([Buffer.from(good.slice(0, -2)), Buffer.from([0xff, 0xfe]), Buffer.from(good.slice(-2))])],
  ['overlong UTF-8', (good) => Buffer.concat([Buffer.from(good.slice(0, -2)), Buffer.from([0xc0, 0xaf]), Buffer.from(good.slice(-2))])],
  ['a raw NUL', (good) => good.replace(':', ':\0')],
  ['depth', () => '{"a":'.repeat(3000) + '1' + '}'.repeat(3000)],
  ['lists in lists', () => '['.repeat(100000)],
  ['many keys', () => JSON.stringify(Object.fromEntries(Array.from({ length: 50000 }, (_, i) => [`k${i}`, 1])))],
  ['__proto__', () => '{"__proto__":{"a":1}}'],
  ['an empty key', () => '{"":1}'],
];

test('bodies that cannot be read are refused with their place', async (t) => {
  for (const key of [...api.operations.keys()].filter(hasJsonBody)) {
    await t.test(key, async () => {
      const good = request(key).body;
      for (const [what, make] of hostileBodies) {
        const answer = await ask(key, request(key, { body: make(good) }));
        assert.equal(answer.status, 400, `${key} ${what}: ${answer.bytes}`);
      }
      const nested = Object.entries(api.bodyProperties(key)).find(([, schema]) => schema.$ref)?.[0];
      const unknown = await expect(key, 400, request(key, { body: JSON.stringify({ ...JSON.parse(good), surprise: 1 }) }));
      assert.equal(unknown.body.errors[0].pointer, '#/surprise');
      assert.match(unknown.body.detail, /surprise/);
      if (nested) {
        const deep = await expect(key, 400, request(key, { body: JSON.stringify({ ...JSON.parse(good), [nested]: { surprise: 1 } }) }));
        assert.equal(deep.body.errors[0].pointer, `#/${nested}/surprise`);
      }
      const [first] = Object.keys(JSON.parse(good));
      const twice = await expect(key, 400, request(key, { body: good.replace('{', `{${JSON.stringify(first)}:${JSON.stringify(JSON.parse(good)[first])},`) }));
      assert.match(twice.body.detail, /twice|duplicate/i);
    });
  }
});

test('values of the wrong kind are refused by name', async (t) => {
  const wrong = { string: [1, true, {}, [], 1.5], integer: ['x', '', 1.5, 1e99, true, {}, [1], '0x10', 2 ** 31] };
  for (const key of [...api.operations.keys()].filter(hasJsonBody)) {
    await t.test(key, async () => {
      const good = JSON.parse(request(key).body);
      for (const [name, property] of Object.entries(api.bodyProperties(key))) {
        const schema = api.resolve(property);
        const type = [].concat(schema.type).find((one) => one !== 'null');
        for (const value of type === 'object' ? [1, 'x', [], true] : wrong[type]) {
          const answer = await expect(key, 400, request(key, { body: JSON.stringify({ ...good, [name]: value }) }));
          assert.equal(answer.body.errors[0].pointer, `#/${name}`, `${name} = ${JSON.stringify(value)}`);
          assert.ok(answer.body.detail.startsWith(`${name} must be`), answer.body.detail);
        }
        if (type !== 'string') continue;
        for (const value of ['\0', 'a\0b', '\ud800', 'x\udc00y']) {
          const answer = await expect(key, 400, request(key, { body: JSON.stringify({ ...good, [name]: value }) }));
          if (answer.body.errors[0].pointer !== '#') assert.equal(answer.body.errors[0].pointer, `#/${name}`);
        }
        const limit = schema.maxLength ?? 4096;
        const long = await ask(key, request(key, { body: JSON.stringify({ ...good, [name]: 'x'.repeat(limit + 1) }) }));
        assert.equal(long.status, 422, `${name} of ${limit + 1} bytes: ${long.bytes}`);
        assert.equal(long.body.errors[0].pointer, `#/${name}`);
        if (schema.maxLength && !schema.enum) assert.match(long.body.errors[0].detail, new RegExp(`${limit}.*${limit + 1}`), 'both numbers');
      }
    });
  }
});

test('a query is held to its fields', async (t) => {
  for (const key of [...api.operations.keys()].filter((key) => key.includes('/api/') && !hasJsonBody(key) && !/upload|events|services/.test(key))) {
    await t.test(key, async () => {
      const base = request(key).target;
      const join = base.includes('?') ? '&' : '?';
      for (const query of ['surprise=1', '%ff=1', 'surprise=%00', '__proto__=1', 'limit=1&limit=1', 'limit=1e1', 'limit=', 'limit=%31%20', 'cursor=%c3%28', '=1']) {
        const answer = await ask(key, request(key, { target: `${base}${join}${query}` }));
        assert.equal(answer.status, 400, `${key} ${query}: ${answer.status} ${answer.bytes.subarray(0, 300)}`);
      }
      const named = await expect(key, 400, request(key, { target: `${base}${join}surprise=1` }));
      assert.equal(named.body.errors[0].parameter, 'surprise');
    });
  }
  const limit = await expect('GET /api/videos', 422, at('/api/videos?limit=101'));
  assert.equal(limit.body.errors[0].parameter, 'limit');
  const id = await expect('GET /api/videos/{videoId}', 422, at('/api/videos/x'));
  assert.equal(id.body.errors[0].parameter, 'videoId');
});

test('who guesses passwords is told by which limit', async () => {
  const user = await newUser(stack.url);
  const guess = (password) => json({ username: user.user.username, password }, at('/api/auth/login'));
  for (let i = 0; i < 10; i++) await expect('POST /api/auth/login', 401, guess('wrong'));
  const { headers, body } = await expect('POST /api/auth/login', 429, guess(user.password));
  assert.equal(headers['ratelimit-policy'], '"login";q=10;w=900');
  assert.equal(headers.ratelimit, `"login";r=0;t=${headers['retry-after']}`);
  assert.ok(Number(headers['retry-after']) > 800 && Number(headers['retry-after']) <= 900);
  assert.deepEqual(body['violated-policies'], ['login']);
});

// --- from here on something is broken

const ownerOf = (key) => (/ \/api\/(videos|jobs\/enqueue)/.test(key) ? 'video' : / \/api\/jobs/.test(key) ? 'job' : 'user');

async function gateway(extra = {}) {
  Object.assign(stack.serviceEnv.gateway, NORMAL, { REEL_REQUEST_TIMEOUT_MS: '30000', REEL_METRICS_ALLOW: '127.0.0.0/8' }, extra);
  await stack.restart('gateway');
  await stack.ready();
}

async function waitFor(condition) {
  const end = Date.now() + 10000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `waited in vain for ${condition}`);
    await sleep(20);
  }
}

// All at the same time, while what is broken is still broken in the same way.
async function each(t, keys, status) {
  assert.ok(keys.length > 0);
  const answers = await Promise.allSettled(keys.map((key) => expect(key, status, request(key))));
  for (const [i, key] of keys.entries()) {
    await t.test(`${key} ${status}`, () => {
      if (answers[i].status === 'rejected') throw answers[i].reason;
    });
  }
}

// The gateway asks the user service about a session when it has not heard of revocations lately.
async function staleRevocations() {
  await waitFor(async () => (await send(stack.url, 'GET', '/api/services/status')).body.revocations === 'stale');
}

test('who asks too often is told when to come back', async (t) => {
  await gateway({ REEL_RATE_LIMITS: 'auth=1/600,validate=1/600,upload=1/600,operation=1/600,default=1/600', REEL_METRICS_ALLOW: '192.0.2.0/24' });
  for (const key of documented(429)) {
    await t.test(`${key} 429`, async () => {
      let answer;
      for (let i = 0; i < 4 && answer?.status !== 429; i++) answer = await ask(key, request(key, { user: { token: 'none' }, body: undefined, headers: { 'content-type': 'video/mp4' } }));
      assert.equal(answer.status, 429, `${answer.status} ${answer.bytes}`);
      assert.match(answer.headers['ratelimit-policy'], /^"\w+";q=1;w=600$/);
      assert.match(answer.headers.ratelimit, /^"\w+";r=0;t=\d+$/);
      assert.equal(answer.body.type, 'https://iana.org/assignments/http-problem-types#quota-exceeded');
      assert.ok(Number(answer.headers['retry-after']) <= 601);
    });
  }
  await t.test('GET /metrics 403', () => expect('GET /metrics', 403, at('/metrics')));
  await gateway();
});

test('a fault inside is told without its insides', async (t) => {
  const tables = { user: ['users', 'sessions'], video: ['videos'], job: ['job_history'] };
  const rename = async (names, from, to) => {
    for (const name of names) await stack.sql(`ALTER TABLE ${name}${from} RENAME TO ${name}${to}`);
  };
  const keys = documented(500).filter((key) => key !== 'GET /api/events');
  for (const [service, names] of Object.entries(tables)) {
    await rename(names, '', '_away');
    // Counting the queue does without the record while Redis has it.
    if (service === 'job') await stack.redis('SET', 'bull:reelmesh:prioritized', 'not what it should be');
    await each(t, keys.filter((key) => ownerOf(key) === service), 500);
    // A session that cannot be looked up lets nobody in.
    if (service === 'user') {
      await staleRevocations();
      await each(t, ['GET /api/events'], 500);
    }
    if (service === 'job') await stack.redis('DEL', 'bull:reelmesh:prioritized');
    await rename(names, '_away', '');
    await stack.ready();
  }
  await stack.ready();
});

test('a service that hangs is waited for no longer than said', async (t) => {
  await gateway({ REEL_REQUEST_TIMEOUT_MS: '500' });
  const viaUser = ['GET /api/events', 'POST /api/videos/upload'];
  for (const service of ['video', 'job', 'user']) {
    await stack.freeze(service);
    await each(t, documented(504).filter((key) => ownerOf(key) === service && !viaUser.includes(key)), 504);
    // These call nobody by that deadline but the user service, once what it last said is stale.
    if (service === 'user') {
      await staleRevocations();
      await each(t, viaUser, 504);
    }
    await stack.kill(service);
    stack.start(service);
    await stack.ready();
  }
  await gateway();
});

test('a service that is away is told with when to try again', async (t) => {
  for (const service of ['job', 'video', 'user']) {
    await stack.kill(service);
    await waitFor(async () => (await send(stack.url, 'GET', '/ready')).status === 503);
    const keys = documented(503).filter((key) => ownerOf(key) === service && key.includes('/api/') && key !== 'GET /api/events');
    await each(t, [...keys, 'GET /ready', ...(service === 'job' ? ['POST /api/videos/upload'] : [])], 503);
    if (service === 'user') {
      await staleRevocations();
      await each(t, ['GET /api/events'], 503);
    }
    const { body } = await send(stack.url, 'GET', '/ready');
    assert.equal(body.services[service], 'down');
    assert.match(body.detail, new RegExp(service));
    stack.start(service);
    await stack.ready();
  }
});

test('nothing that is documented was missed', () => {
  const promised = [...api.operations.keys()].flatMap((key) => api.statuses(key).map((status) => `${key} ${status}`));
  assert.deepEqual(promised.filter((name) => !produced.has(name)), []);
  assert.deepEqual([...produced].filter((name) => !promised.includes(name)), []);
  assert.deepEqual(stack.exits, []);
});
