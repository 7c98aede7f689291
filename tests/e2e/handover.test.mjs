// Each hand-over cut between its halves, on purpose and one at a time: operation row, Enqueue, record,
// queue, worker, result, event, operation row. Whatever was acknowledged is finished, once.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { newUser } from './lib/client.mjs';
import { clip } from './lib/clips.mjs';
import { PATIENCE } from './lib/sanitizers.mjs';
import { UNLIMITED, startStack } from './lib/stack.mjs';

let stack;
let user;
let clips;
let width = 64;

before(async () => {
  stack = await startStack({ gateway: { REEL_RATE_LIMITS: UNLIMITED }, video: { REEL_RECONCILE_MS: '200' } });
  user = await newUser(stack.url);
  clips = path.join(stack.dir, 'clips');
  fs.mkdirSync(clips);
}, { timeout: 60000 });

after(() => stack?.stop());

async function upload(name = 'short.mp4') {
  const answer = await user.upload(await clip(clips, name));
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer.body;
}

// Every request asks for another size, so that none is answered by an earlier one.
async function resize(videoId) {
  width += 2;
  const answer = await user.post('/api/videos/resize', { videoId, width, height: 64 });
  assert.equal(answer.status, 202, JSON.stringify(answer.body));
  return answer.body.operationId;
}

async function operationOf(videoId, id) {
  const answer = await user.get(`/api/videos/${videoId}`).catch(() => null);
  return answer?.status === 200 ? answer.body.operations.find((operation) => operation.operationId === id) : undefined;
}

async function until(what, check, timeoutMs = 60000 * PATIENCE) {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const value = await check();
    if (value) return value;
    assert.ok(Date.now() < end, `${what} within ${timeoutMs} ms\n${stack.tail()}`);
    await sleep(50);
  }
}

async function finishes(videoId, id) {
  const operation = await until(`operation ${id} is completed`, async () => {
    const found = await operationOf(videoId, id);
    return ['completed', 'failed', 'cancelled'].includes(found?.status) && found;
  });
  assert.equal(operation.status, 'completed', JSON.stringify(operation));
  const asset = await user.get(`/api/videos/asset?videoId=${videoId}&operationId=${id}`);
  assert.equal(asset.status, 200);
  const [[ends]] = await stack.sql(`select count(*) from job_events where job_id = '${id}' and type in ('job.completed', 'job.failed', 'job.cancelled')`);
  assert.equal(ends, '1', 'it ended exactly once');
}

test('an operation asked for while the job service is away is done when it is back', { timeout: 120000 * PATIENCE }, async () => {
  const { videoId } = await upload();
  await stack.kill('job');
  const id = await resize(videoId);
  await stack.kill('video');
  stack.start('video');
  stack.start('job');
  await stack.ready();
  await finishes(videoId, id);
});

test('a job service that dies right after it took a job finishes it', { timeout: 240000 * PATIENCE }, async () => {
  const { videoId } = await upload('plain.mp4');
  for (let i = 0; i < 3; i++) {
    const id = await resize(videoId);
    await stack.kill('job');
    stack.start('job');
    await stack.ready();
    await finishes(videoId, id);
  }
});

test('a worker that was at it when its service died leaves nothing, and the job is done', { timeout: 120000 * PATIENCE }, async () => {
  const { videoId } = await upload('long.mp4');
  const { body } = await user.post('/api/videos/convert', { videoId, targetFormat: 'mov' });
  const resized = await resize(videoId);
  await until('a job is active', async () => (await user.get(`/api/jobs/status/${resized}`)).body.state === 'active');
  await stack.kill('job');
  assert.deepEqual(fs.readdirSync(path.join(stack.storage, videoId)).filter((name) => name.startsWith(resized)), []);
  stack.start('job');
  await stack.ready();
  await finishes(videoId, resized);
  await finishes(videoId, body.operationId);
});

test('a video service that was away when jobs ended hears of it', { timeout: 120000 * PATIENCE }, async () => {
  const { videoId } = await upload();
  const ids = [await resize(videoId), await resize(videoId)];
  await stack.kill('video');
  for (const id of ids) assert.equal((await user.job(id)).state, 'completed');
  stack.start('video');
  await stack.ready();
  for (const id of ids) await finishes(videoId, id);
});

test('a Redis that comes back empty loses no job', { timeout: 120000 * PATIENCE }, async () => {
  const { videoId } = await upload('plain.mp4');
  const ids = [];
  for (let i = 0; i < 8; i++) ids.push(await resize(videoId));
  await stack.redis('FLUSHALL');
  for (const id of ids) await finishes(videoId, id);
});

test('a video deleted while the job service is away takes its jobs with it', { timeout: 120000 * PATIENCE }, async () => {
  const { videoId } = await upload('long.mp4');
  const id = await resize(videoId);
  await stack.kill('job');
  const deleted = await user.request('DELETE', `/api/videos/${videoId}`);
  assert.equal(deleted.status, 200, JSON.stringify(deleted.body));
  assert.ok(!fs.existsSync(path.join(stack.storage, videoId)));
  stack.start('job');
  await stack.ready();
  const job = await user.job(id);
  assert.ok(['cancelled', 'failed'].includes(job.state), job.state);
  await until('no row and no file is left', async () => {
    const [[rows]] = await stack.sql(`select count(*) from videos where id = '${videoId}'`);
    return rows === '0' && !fs.existsSync(path.join(stack.storage, videoId));
  });
});

test('an upload whose service dies half way is neither listed nor kept as a file', { timeout: 120000 * PATIENCE }, async () => {
  const { body: before } = await user.get('/api/videos?limit=100');
  const file = fs.readFileSync(await clip(clips, 'plain.mp4'));
  const folders = new Set(fs.readdirSync(stack.storage));
  const socket = net.connect(stack.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(`POST /api/videos/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${user.token}\r\nfilename: half.mp4\r\nContent-Length: ${file.length + 8 * 1048576}\r\n\r\n`);
  socket.write(file);
  await until('the upload has begun', () => fs.readdirSync(stack.storage).some((name) => !folders.has(name)));
  await stack.kill('video');
  stack.start('video');
  await stack.ready();
  socket.destroy();
  const { body: after } = await user.get('/api/videos?limit=100');
  assert.equal(after.videos.length, before.videos.length);
  const files = fs.readdirSync(stack.storage, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && entry.name === 'original');
  const [[rows]] = await stack.sql('select count(*) from videos where deleted_at is null');
  assert.equal(String(files.length), rows, 'every file has its row');
});

test('a PostgreSQL that is killed and comes back costs no acknowledged upload', { timeout: 90000 * PATIENCE }, async () => {
  const acknowledged = [];
  let running = true;
  const file = await clip(clips, 'short.mp4');
  const loop = (async () => {
    while (running) {
      const answer = await user.upload(file).catch(() => ({ status: 0 }));
      if (answer.status === 201) acknowledged.push(answer.body.videoId);
      else assert.ok([0, 503, 504, 500].includes(answer.status), `${answer.status}`);
    }
  })();
  await sleep(700);
  stack.killServer('postgres');
  await stack.startPostgres();
  await stack.ready();
  const count = acknowledged.length;
  await until('uploads work again', () => acknowledged.length > count + 2);
  running = false;
  await loop;
  for (const videoId of acknowledged) {
    assert.equal((await user.get(`/api/videos/${videoId}`)).status, 200);
    assert.ok(fs.existsSync(path.join(stack.storage, videoId, 'original')));
  }
});

test('nothing of all this ended by itself', () => {
  assert.deepEqual(stack.exits, []);
});
