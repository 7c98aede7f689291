// SIGTERM to any one service under load, then its restart: calls in flight finish, new ones get a
// clean 503 with Retry-After, nothing hangs, and everything works within 2 s of its start without
// touching the others. In flight are requests, uploads and running jobs.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { newUser } from './lib/client.mjs';
import { clip } from './lib/clips.mjs';
import { Load, SlowUpload } from './lib/load.mjs';
import { startStack, UNLIMITED } from './lib/stack.mjs';

const ROUTES = {
  user: ['/api/auth/user'],
  video: ['/api/videos?limit=5'],
  job: ['/api/jobs/history?limit=5'],
  gateway: ['/api/auth/user', '/api/videos?limit=5'],
};
const GRACE_MS = 3000;
const BACK_MS = 2000;
const CLIENTS = 8;

let stack;
let user;

before(async () => {
  // A job that runs longer than the job service's grace is handed back and taken up again.
  stack = await startStack({ env: { REEL_GRACE_MS: String(GRACE_MS) }, job: { REEL_GRACE_MS: '500' }, gateway: { REEL_RATE_LIMITS: UNLIMITED } });
  user = await newUser(stack.url);
});

after(() => stack?.stop());

async function until(what, check, timeoutMs = 30000) {
  for (const end = Date.now() + timeoutMs; ; await sleep(20)) {
    const value = await check();
    if (value) return value;
    assert.ok(Date.now() < end, `${what} within ${timeoutMs} ms`);
  }
}

async function backAfter(route, since) {
  while (Date.now() - since < 5 * BACK_MS) {
    const answer = await user.get(route).catch(() => null);
    if (answer?.status === 200) return Date.now() - since;
    await sleep(10);
  }
  return Infinity;
}

// Ends the service, waits until it is gone and starts it again. Answers its exit status and how long
// it took from the start until `route` works.
async function restart(name, route) {
  const status = await stack.kill(name, 'SIGTERM');
  await sleep(300);
  const started = Date.now();
  stack.start(name);
  return { status, back: await backAfter(route, started) };
}

function checkRestart({ status, back }) {
  assert.equal(status, 0, 'it exits 0 after its drain');
  assert.ok(back < BACK_MS, `back after ${back} ms`);
  assert.deepEqual(stack.exits, [], 'the others were not touched');
}

for (const [name, routes] of Object.entries(ROUTES)) {
  test(`requests in flight: ${name}`, { timeout: 60000 }, async () => {
    const load = new Load(user, routes, CLIENTS);
    await sleep(300);
    const outcome = await restart(name, routes[0]);
    await sleep(300);
    await load.stop();

    checkRestart(outcome);
    const answers = (wanted) => load.answers.filter(wanted);
    // Whoever could connect is answered; after the gateway's exit nobody can.
    const refused = (answer) => name === 'gateway' && answer.error === 'ECONNREFUSED';
    assert.deepEqual(answers((answer) => ![200, 503].includes(answer.status) && !refused(answer)), [], 'only 200 and 503, none is cut');
    assert.deepEqual(answers((answer) => answer.status === 503 && !answer.retryAfter), [], 'every 503 says when to come back');
    assert.deepEqual(answers((answer) => answer.took > 2000), [], 'nothing hangs');
    assert.ok(load.crossings <= (name === 'gateway' ? CLIENTS : 0), `${load.crossings} requests crossed the end of their connection`);
    assert.ok(answers((answer) => answer.status === 200).length > 0);
  });
}

// A video of 24 MB: a clip with a box behind it that players skip.
async function largeVideo() {
  const box = Buffer.alloc(24 << 20, 7);
  box.writeUInt32BE(box.length, 0);
  box.write('free', 4);
  return Buffer.concat([fs.readFileSync(await clip(stack.dir, 'plain.mp4')), box]);
}

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

// What is stored is what was acknowledged: each file whole, and none besides.
async function checkStored(kept, large) {
  for (const videoId of kept) {
    const { status, body } = await user.get(`/api/videos/asset?videoId=${videoId}&type=original`);
    assert.equal(status, 200);
    assert.equal(sha256(body), sha256(large), 'an acknowledged upload is whole');
  }
  const rows = (await stack.sql('SELECT id FROM videos')).flat().sort();
  const folders = () => fs.readdirSync(stack.storage).filter((entry) => !entry.startsWith('.')).sort();
  await until('nothing is half-stored', () => folders().length === rows.length).catch(() => {});
  assert.deepEqual(folders(), rows, 'nothing is half-stored');
  const files = fs.readdirSync(stack.storage, { recursive: true }).filter((file) => fs.statSync(path.join(stack.storage, file)).isFile());
  assert.deepEqual(files.filter((file) => /(^|\/)\./.test(file)), [], 'no temporary file is left');
  return rows;
}

async function checkJob(jobId) {
  const job = await user.job(jobId);
  assert.equal(job.state, 'completed', JSON.stringify(job));
  const [[ends]] = await stack.sql(`SELECT count(*) FROM job_events WHERE job_id = '${jobId}' AND type IN ('job.completed', 'job.failed', 'job.cancelled')`);
  assert.equal(ends, '1', 'it ended exactly once');
  const size = fs.statSync(path.join(stack.storage, job.result.storageKey)).size;
  assert.ok(size > 0);
}

// What an upload may come to that had time to finish, and one that had not.
const OUTCOMES = {
  user: { slow: [201] },
  // Its end needs the job service, which looks into the file.
  job: { slow: [201, 503] },
  video: { slow: [201], endless: [503] },
  // Who does not take the 503 in the last second of the grace finds the connection closed.
  gateway: { slow: [201], endless: [503, 0] },
};

function checkUpload(what, answer, allowed) {
  assert.ok(allowed.includes(answer.status), `${what}: ${JSON.stringify(answer)}`);
  if (answer.status === 503) assert.ok(answer.retryAfter, `${what}: says when to come back`);
}

for (const [name, routes] of Object.entries(ROUTES)) {
  test(`uploads and jobs in flight: ${name}`, { timeout: 120000 }, async () => {
    const large = await largeVideo();
    const { body: video } = await user.upload(await clip(stack.dir, 'medium.mp4'));
    const { status, body: job } = await user.post('/api/videos/resize', { videoId: video.videoId, width: 640, height: 360 });
    assert.equal(status, 202, JSON.stringify(job));
    const slow = new SlowUpload(user, large, `slow-${name}.mp4`, GRACE_MS / 2);
    const endless = new SlowUpload(user, large, `endless-${name}.mp4`, 20 * GRACE_MS);
    await Promise.all([slow.begun, endless.begun]);
    await until('a job runs', async () => (await user.get(`/api/jobs/status/${job.jobId}`)).body.state !== 'waiting');
    const outcome = await restart(name, routes[0]);
    if (!OUTCOMES[name].endless) endless.abort();

    checkRestart(outcome);
    const answer = await slow.answer;
    checkUpload('the slow upload', answer, OUTCOMES[name].slow);
    if (OUTCOMES[name].endless) checkUpload('the endless upload', await endless.answer, OUTCOMES[name].endless);
    await checkJob(job.jobId);
    await checkStored(answer.status === 201 ? [answer.body.videoId] : [], large);
  });
}
