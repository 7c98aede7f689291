// The main job through port 3000: real clips in odd forms are uploaded, resized, converted and their
// audio extracted; progress is watched live; every result is looked into by ffprobe and decoded.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { newUser } from './lib/client.mjs';
import { clip, decode, probe } from './lib/clips.mjs';
import { EventStream } from './lib/events.mjs';
import { UNLIMITED, startStack } from './lib/stack.mjs';

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

let stack;
let alice;
let clips;

before(async () => {
  stack = await startStack({ gateway: { REEL_RATE_LIMITS: UNLIMITED } });
  alice = await newUser(stack.url);
  clips = path.join(stack.dir, 'clips');
  fs.mkdirSync(clips);
}, { timeout: 60000 });

after(() => stack?.stop());

async function upload(name, user = alice) {
  const file = await clip(clips, name);
  const answer = await user.upload(file);
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return { ...answer.body, file };
}

// Asks for an operation, waits for its job, answers the downloaded result.
async function make(route, body, user = alice) {
  const asked = await user.post(route, body);
  assert.equal(asked.status, 202, JSON.stringify(asked.body));
  assert.equal(asked.headers.get('location'), `/api/jobs/status/${asked.body.jobId}`);
  const job = await user.job(asked.body.jobId, 120000);
  assert.equal(job.state, 'completed', JSON.stringify(job));
  const result = await user.get(`/api/videos/asset?videoId=${body.videoId}&operationId=${asked.body.operationId}`);
  assert.equal(result.status, 200);
  const file = path.join(clips, asked.body.operationId);
  fs.writeFileSync(file, result.body);
  return { file, job, headers: result.headers, id: asked.body.operationId };
}

test('an upload is described, kept byte for byte and listed', async () => {
  const video = await upload('plain.mp4');
  assert.deepEqual(video.dimensions, { width: 640, height: 360 });
  assert.equal(video.name, 'plain');
  assert.equal(video.extension, 'mp4');
  assert.ok(Math.abs(video.durationMs - 2000) < 100, `${video.durationMs}`);
  assert.equal(video.videoCodec, 'h264');
  assert.equal(video.audioCodec, 'aac');

  const original = await alice.get(`/api/videos/asset?videoId=${video.videoId}&type=original`);
  assert.equal(original.status, 200);
  assert.equal(original.headers.get('content-type'), 'video/mp4');
  assert.match(original.headers.get('content-disposition'), /attachment;.*plain\.mp4/);
  assert.equal(sha256(original.body), sha256(fs.readFileSync(video.file)));

  const { body } = await alice.get('/api/videos?limit=100');
  assert.ok(body.videos.some((listed) => listed.videoId === video.videoId));
});

test('odd clips are shown as a player shows them', async (t) => {
  const cases = {
    'rotated.mp4': { dimensions: { width: 360, height: 640 } },
    'short.mp4': { dimensions: { width: 320, height: 240 } },
    'silent.mp4': { audioCodec: '' },
    'odd.mkv': { dimensions: { width: 641, height: 359 }, extension: 'mkv' },
    'vfr.mp4': { videoCodec: 'h264' },
    'clip.webm': { extension: 'webm', videoCodec: 'vp9', audioCodec: 'opus' },
    'clip.avi': { extension: 'avi' },
    'truncated.mp4': { dimensions: { width: 640, height: 360 } },
  };
  for (const [name, expected] of Object.entries(cases)) {
    await t.test(name, async () => {
      const video = await upload(name);
      for (const [key, value] of Object.entries(expected)) assert.deepEqual(video[key], value, key);
      const thumbnail = await alice.get(`/api/videos/asset?videoId=${video.videoId}&type=thumbnail`);
      assert.equal(thumbnail.status, 200);
      assert.equal(thumbnail.headers.get('content-type'), 'image/jpeg');
      const file = path.join(clips, `${video.videoId}.jpg`);
      fs.writeFileSync(file, thumbnail.body);
      assert.equal(await decode(file), 1);
    });
  }
});

test('what is not a video is refused and leaves nothing', async (t) => {
  const { body: before } = await alice.get('/api/videos?limit=100');
  const folders = fs.readdirSync(stack.storage).length;
  for (const name of ['text.mp4', 'zip.mp4', 'playlist.mp4', 'concat.mp4', 'tone.mp3', 'empty.mp4']) {
    await t.test(name, async () => {
      const answer = await alice.upload(await clip(clips, name));
      assert.ok([400, 415, 422].includes(answer.status), `${answer.status} ${JSON.stringify(answer.body)}`);
      assert.match(answer.headers.get('content-type'), /application\/problem\+json/);
      assert.ok(answer.body.detail.length > 10);
      assert.ok(!JSON.stringify(answer.body).includes(stack.dir), 'no path of ours');
    });
  }
  const { body: after } = await alice.get('/api/videos?limit=100');
  assert.equal(after.videos.length, before.videos.length);
  assert.equal(fs.readdirSync(stack.storage).length, folders);
});

test('a resize has the size that was asked for', async (t) => {
  for (const [name, width, height] of [['plain.mp4', 320, 180], ['rotated.mp4', 180, 320], ['odd.mkv', 200, 112], ['vfr.mp4', 160, 120], ['short.mp4', 64, 48], ['clip.webm', 160, 120]]) {
    await t.test(name, async () => {
      const video = await upload(name);
      const { file, headers } = await make('/api/videos/resize', { videoId: video.videoId, width, height });
      const { video: stream, duration } = await probe(file);
      assert.equal(stream.width, width);
      assert.equal(stream.height, height);
      assert.ok(['1:1', 'N/A', undefined].includes(stream.sample_aspect_ratio), stream.sample_aspect_ratio);
      assert.ok(Math.abs(duration * 1000 - video.durationMs) < 250, `${duration} s of ${video.durationMs} ms`);
      assert.ok(await decode(file) > 0);
      assert.match(headers.get('content-disposition'), new RegExp(`${video.name}-${width}x${height}\\.`));
      const named = await alice.get(`/api/videos/asset?videoId=${video.videoId}&type=resize&dimensions=${width}x${height}`);
      assert.equal(named.headers.get('etag'), headers.get('etag'));
    });
  }
});

test('every container is converted to and plays', async (t) => {
  const video = await upload('plain.mp4');
  const demuxers = { mov: /mov/, avi: /avi/, webm: /webm/, mkv: /matroska/, flv: /flv/ };
  for (const [format, demuxer] of Object.entries(demuxers)) {
    await t.test(format, async () => {
      const { file, headers } = await make('/api/videos/convert', { videoId: video.videoId, targetFormat: format });
      const result = await probe(file);
      assert.match(result.format, demuxer);
      assert.ok(Math.abs(await decode(file) - 50) <= 1);
      assert.ok(await decode(file, 'a') > 0);
      assert.match(headers.get('content-disposition'), new RegExp(`plain\\.${format}`));
    });
  }
});

test('audio is extracted, also at its whole length', async (t) => {
  const video = await upload('plain.mp4');
  for (const [format, codec] of [['aac', 'aac'], ['m4a', 'aac'], ['mp3', 'mp3'], ['opus', 'opus'], ['wav', /^pcm_/]]) {
    await t.test(format, async () => {
      const { file } = await make('/api/videos/extract-audio', { videoId: video.videoId, format });
      const { audio, video: none } = await probe(file);
      assert.match(audio.codec_name, new RegExp(codec));
      assert.equal(none, undefined);
      assert.ok(await decode(file, 'a') > 10);
    });
  }
  const latest = await alice.get(`/api/videos/asset?videoId=${video.videoId}&type=audio`);
  assert.equal(latest.status, 200);
  assert.equal(latest.headers.get('content-type'), 'audio/wav');
});

test('operations that make no sense are refused with a reason', async () => {
  const silent = await upload('silent.mp4');
  const cases = [
    ['/api/videos/extract-audio', { videoId: silent.videoId }, [409, 412, 400], /audio/],
    ['/api/videos/convert', { videoId: silent.videoId, targetFormat: 'mp4' }, [409, 412, 400], /format/],
    ['/api/videos/convert', { videoId: silent.videoId, targetFormat: 'exe' }, [422], /targetFormat/],
    ['/api/videos/resize', { videoId: silent.videoId, width: 0, height: 10 }, [422], /width/],
    ['/api/videos/resize', { videoId: silent.videoId, width: 101, height: 100 }, [422], /even/],
    ['/api/videos/resize', { videoId: 'x', width: 100, height: 100 }, [422], /videoId/],
  ];
  for (const [route, body, statuses, says] of cases) {
    const answer = await alice.post(route, body);
    assert.ok(statuses.includes(answer.status), `${route} ${answer.status} ${JSON.stringify(answer.body)}`);
    assert.match(JSON.stringify(answer.body), says);
  }
});

test('the same operation again is the same operation', async () => {
  const video = await upload('short.mp4');
  const body = { videoId: video.videoId, width: 32, height: 24 };
  const answers = await Promise.all(Array.from({ length: 8 }, () => alice.post('/api/videos/resize', body)));
  assert.equal(new Set(answers.map((answer) => answer.body.operationId)).size, 1);
  await alice.job(answers[0].body.jobId);
  const again = await alice.post('/api/jobs/enqueue', { type: 'resize', videoId: video.videoId, params: { width: 32, height: 24 } });
  assert.equal(again.body.operationId, answers[0].body.operationId);
  assert.equal(again.body.status, 'completed');
});

test('progress is live, never goes back and ends at the end', async () => {
  const video = await upload('long.mp4');
  const events = await EventStream.open(alice);
  const started = Date.now();
  const { body } = await alice.post('/api/videos/resize', { videoId: video.videoId, width: 960, height: 540 });
  const seen = await events.until((event) => event.data.jobId === body.jobId && /completed|failed|cancelled/.test(event.type), 120000);
  events.close();

  const mine = seen.filter((event) => event.data.jobId === body.jobId);
  const types = mine.map((event) => event.type);
  assert.equal(types.at(-1), 'job.completed', types.join(' '));
  for (const type of ['job.created', 'job.started']) assert.ok(types.includes(type), `${type} in ${types.join(' ')}`);
  const progress = mine.filter((event) => event.type === 'job.progress').map((event) => ({ at: event.at, value: event.data.job?.progress ?? event.data.progress }));
  const seconds = (Date.now() - started) / 1000;
  assert.ok(progress.length >= Math.min(2, Math.floor(seconds) - 1), `${progress.length} in ${seconds} s`);
  for (let i = 1; i < progress.length; i++) {
    assert.ok(progress[i].value >= progress[i - 1].value, 'monotone');
    assert.ok(progress[i].at - progress[i - 1].at < 3000, 'at least about once a second');
  }
});

test('a deleted video is gone, its files and its running job with it', async () => {
  const video = await upload('long.mp4');
  const { body } = await alice.post('/api/videos/convert', { videoId: video.videoId, targetFormat: 'webm' });
  const deleted = await alice.request('DELETE', `/api/videos/${video.videoId}`);
  assert.equal(deleted.status, 200, JSON.stringify(deleted.body));
  assert.ok(!fs.existsSync(path.join(stack.storage, video.videoId)));
  const job = await alice.job(body.jobId);
  assert.equal(job.state, 'cancelled');
  for (const target of [`/api/videos/${video.videoId}`, `/api/videos/asset?videoId=${video.videoId}`]) {
    assert.equal((await alice.get(target)).status, 404);
  }
  assert.equal((await alice.request('DELETE', `/api/videos/${video.videoId}`)).status, 404);
});

test('a rename shows in downloads and cannot split a header', async () => {
  const video = await upload('short.mp4');
  const renamed = await alice.request('PATCH', `/api/videos/${video.videoId}`, { json: { name: 'né "1"\r\nX: y' } });
  assert.equal(renamed.status, 200, JSON.stringify(renamed.body));
  assert.equal(renamed.body.name, 'né "1"X: y');
  const asset = await alice.get(`/api/videos/asset?videoId=${video.videoId}`);
  assert.equal(asset.headers.get('x'), null);
  assert.match(asset.headers.get('content-disposition'), /filename\*=UTF-8''n%C3%A9/);
});

test('pages of the list follow each other', async () => {
  const user = await newUser(stack.url);
  const ids = [];
  for (let i = 0; i < 5; i++) ids.unshift((await upload('short.mp4', user)).videoId);
  const seen = [];
  for (let cursor = ''; ;) {
    const { body } = await user.get(`/api/videos?limit=2&cursor=${cursor}`);
    seen.push(...body.videos.map((video) => video.videoId));
    cursor = body.nextCursor;
    if (!cursor) break;
    const foreign = await alice.get(`/api/videos?cursor=${cursor}`);
    assert.ok([400, 422].includes(foreign.status));
  }
  assert.deepEqual(seen, ids);
});

test('ranges are slices of the file', async () => {
  const video = await upload('plain.mp4');
  const whole = fs.readFileSync(video.file);
  const target = `/api/videos/asset?videoId=${video.videoId}`;
  const cases = { 'bytes=0-0': [0, 1], 'bytes=100-199': [100, 200], 'bytes=-500': [whole.length - 500, whole.length], [`bytes=${whole.length - 1}-`]: [whole.length - 1, whole.length] };
  for (const [range, [from, to]] of Object.entries(cases)) {
    const part = await alice.get(target, { headers: { range } });
    assert.equal(part.status, 206, range);
    assert.deepEqual(part.body, whole.subarray(from, to), range);
  }
  assert.equal((await alice.get(target, { headers: { range: `bytes=${whole.length}-` } })).status, 416);
  const head = await alice.request('HEAD', target);
  assert.equal(Number(head.headers.get('content-length')), whole.length);
  const same = await alice.get(target, { headers: { 'if-none-match': head.headers.get('etag') } });
  assert.equal(same.status, 304);
});

// Every route of the OpenAPI description that names a video, a job or an operation, asked by a
// stranger: a route that is added is tried here without a change.
test('a stranger finds nothing by any route', async () => {
  const video = await upload('plain.mp4');
  const result = await make('/api/videos/resize', { videoId: video.videoId, width: 64, height: 36 });
  const mallory = await newUser(stack.url);
  const { body: api } = await alice.get('/openapi.json');
  const known = { videoId: video.videoId, jobId: result.id, operationId: result.id };
  const body = { videoId: video.videoId, width: 64, height: 64, targetFormat: 'webm', type: 'resize', params: { width: 64, height: 64 }, name: 'stolen', format: '' };
  const tried = [];

  for (const [template, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      if (!['get', 'post', 'put', 'patch', 'delete'].includes(method)) continue;
      const names = JSON.stringify([template, operation]);
      if (!/\{(videoId|jobId|operationId)\}|"videoId"/.test(names) && !schemaOf(api, operation).includes('videoId')) continue;
      if (template === '/api/jobs/history' || template === '/api/videos/upload') continue;
      const target = template.replace(/\{(\w+)\}/g, (_, name) => known[name] ?? name) + (method === 'get' && !template.includes('{') ? `?videoId=${video.videoId}` : '');
      const fields = Object.keys(propertiesOf(api, operation));
      const json = method === 'post' || method === 'patch' ? Object.fromEntries(Object.entries(body).filter(([key]) => fields.includes(key) && !template.includes(`{${key}}`))) : undefined;
      const answer = await mallory.request(method.toUpperCase(), target, { json });
      assert.equal(answer.status, 404, `${method} ${target} ${JSON.stringify(json)} -> ${answer.status} ${JSON.stringify(answer.body)}`);
      tried.push(`${method} ${template}`);
    }
  }
  assert.ok(tried.length >= 10, tried.join(', '));
  const history = await mallory.get(`/api/jobs/history?videoId=${video.videoId}`);
  assert.deepEqual(history.body.jobs, []);
  assert.deepEqual((await mallory.get('/api/videos')).body.videos, []);
  assert.equal((await alice.get(`/api/videos/${video.videoId}`)).body.video.name, 'plain');
});

function resolve(api, schema) {
  return schema?.$ref ? schema.$ref.slice(2).split('/').reduce((at, key) => at[key], api) : schema;
}

function propertiesOf(api, operation) {
  return resolve(api, operation.requestBody?.content?.['application/json']?.schema)?.properties ?? {};
}

function schemaOf(api, operation) {
  return Object.keys(propertiesOf(api, operation)).join(' ');
}

test('an event stream that comes back is sent what it missed', async () => {
  const bob = await newUser(stack.url);
  const video = await upload('short.mp4', bob);
  const { id } = await make('/api/videos/resize', { videoId: video.videoId, width: 32, height: 24 }, bob);
  const ended = (event) => event.type === 'job.completed' && event.data.jobId === id;
  const whole = await EventStream.open(bob, '0');
  const first = (await whole.until(ended, 5000)).filter((event) => event.data.jobId === id);
  whole.close();
  assert.deepEqual(first.map((event) => event.type), ['job.created', 'job.started', 'job.completed']);
  const rest = await EventStream.open(bob, first[0].id);
  const missed = await rest.until(ended, 5000);
  rest.close();
  assert.deepEqual(missed.map((event) => event.id), first.slice(1).map((event) => event.id));
  assert.deepEqual(stack.exits, []);
});

test('a stranger hears nothing of it on the event stream', async () => {
  const mallory = await newUser(stack.url);
  const theirs = await EventStream.open(mallory);
  const mine = await EventStream.open(alice);
  const video = await upload('short.mp4');
  const { body } = await alice.post('/api/videos/resize', { videoId: video.videoId, width: 48, height: 36 });
  await mine.until((event) => event.data.jobId === body.jobId && event.type === 'job.completed', 30000);
  assert.deepEqual(theirs.seen, []);
  theirs.close();
  mine.close();
});

test('the video of an operation names it and its result', async () => {
  const video = await upload('short.mp4');
  const { id } = await make('/api/videos/resize', { videoId: video.videoId, width: 40, height: 30 });
  const { body } = await alice.get(`/api/videos/${video.videoId}`);
  const [operation] = body.operations;
  assert.equal(operation.operationId, id);
  assert.equal(operation.status, 'completed');
  assert.equal(operation.result.width, 40);
  assert.equal(operation.progress, 100);
});
