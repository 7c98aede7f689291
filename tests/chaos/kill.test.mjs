// Every process is killed with -9 at random, again and again, while clients upload videos and run
// jobs. A ledger of what was acknowledged decides:
//   L1 every acknowledged upload is there with the same sha256
//   L2 every acknowledged job is in a terminal state
//   L3 exactly one terminal event and one result per job
//   L4 no operation is stuck 60 s after the last kill
//   L5 no temporary file is left
// Settings: CHAOS_KILLS (of each process), CHAOS_UPLOADS, CHAOS_JOBS, CHAOS_SEED.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { newUser, TERMINAL } from '../e2e/lib/client.mjs';
import { startStack, SERVICES, UNLIMITED } from '../e2e/lib/stack.mjs';

const KILLS = Number(process.env.CHAOS_KILLS ?? 20);
const UPLOADS = Number(process.env.CHAOS_UPLOADS ?? 100);
const JOBS = Number(process.env.CHAOS_JOBS ?? 100);
const SEED = Number(process.env.CHAOS_SEED ?? Date.now() % 1e9);
const CLIENTS = 6;
const VICTIMS = [...SERVICES, 'worker', 'redis', 'postgres'];

// xorshift: the same seed gives the same order of kills and pauses.
function random(seed) {
  let x = seed | 1;
  return () => {
    x ^= x << 13; x ^= x >>> 17; x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}

function clips(dir) {
  return [0, 1, 2, 3].map((i) => {
    const file = path.join(dir, `clip${i}.mp4`);
    execFileSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', `testsrc2=size=${320 + 64 * i}x240:rate=25:duration=${2 + i}`,
      '-f', 'lavfi', '-i', `sine=frequency=${300 + 100 * i}:duration=${2 + i}`, '-c:v', 'libx264', '-preset', 'ultrafast', '-c:a', 'aac', '-shortest', file]);
    return { file, sha256: createHash('sha256').update(fs.readFileSync(file)).digest('hex') };
  });
}

// The worker processes: children of the zygote, which is a child of the job service.
function workerPids(stack) {
  const children = (pid) => {
    try {
      return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
    } catch {
      return [];
    }
  };
  const job = stack.pid('job');
  return job ? children(job).flatMap(children) : [];
}

// Workers live for a moment only: waits up to two seconds for one.
async function strikeWorker(stack) {
  for (const end = Date.now() + 2000; Date.now() < end; await sleep(5)) {
    const [pid] = workerPids(stack);
    if (!pid) continue;
    await sleep(Math.random() * 50);
    try {
      process.kill(pid, 'SIGKILL');
      return true;
    } catch {
      // It ended by itself.
    }
  }
  return false;
}

// Kills one victim and brings it back within a second, as a supervisor would.
async function strike(stack, victim) {
  if (victim === 'redis' || victim === 'postgres') {
    await stack.killServer(victim);
    await (victim === 'redis' ? stack.startRedis() : stack.startPostgres());
    return true;
  }
  if (victim === 'worker') return strikeWorker(stack);
  await stack.kill(victim);
  stack.start(victim);
  return true;
}

async function killer(stack, rand, state) {
  const left = new Map(VICTIMS.map((name) => [name, KILLS]));
  while ([...left.values()].some((n) => n > 0)) {
    const open = [...left].filter(([, n]) => n > 0).map(([name]) => name);
    const victim = open[Math.floor(rand() * open.length)];
    if (await strike(stack, victim)) left.set(victim, left.get(victim) - 1);
    for (const exit of stack.exits.splice(0)) {
      state.unexpected.push(exit);
      if (!stack.pid(exit.name)) stack.start(exit.name);
    }
    await sleep(50 + rand() * 700);
  }
  state.killed = true;
  return Object.fromEntries([...left].map(([name, n]) => [name, KILLS - n]));
}

// Tries until acknowledged; 4xx other than 401, 404 and 429 is a bug and fails the test.
async function acknowledged(what, wanted, attempt, state) {
  const end = Date.now() + 120000;
  while (Date.now() < end) {
    const answer = await attempt().catch(() => null);
    state.attempts += 1;
    if (answer?.status === wanted) return answer.body;
    state.errors += 1;
    if (answer && answer.status < 500) throw new Error(`${what}: ${answer.status} ${JSON.stringify(answer.body)}`);
    await sleep(100 + Math.random() * 200);
  }
  throw new Error(`${what}: not acknowledged in 120 s`);
}

// The i-th job: mostly resizes, each to a size of its own, for asking twice answers the first job.
function jobRequest(i, videoId) {
  if (i % 5 === 0) return ['convert', { videoId, targetFormat: ['mkv', 'mov', 'avi'][i % 3] }];
  if (i % 5 === 1) return ['extract-audio', { videoId }];
  return ['resize', { videoId, width: 64 + 2 * (i % 400), height: 48 + 2 * Math.floor(i / 400) }];
}

// One client: at least its share of uploads and jobs, and jobs for as long as there are kills left.
async function load(user, index, files, ledger, state) {
  for (let i = index; i < UPLOADS || ledger.jobs.size < JOBS || !state.killed; i += CLIENTS) {
    const clip = files[i % files.length];
    if (i < UPLOADS) {
      const body = await acknowledged('upload', 201, () => user.upload(clip.file), state);
      ledger.uploads.push({ videoId: body.videoId, sha256: clip.sha256 });
    }
    const { videoId } = ledger.uploads[Math.floor(Math.random() * ledger.uploads.length)];
    const [route, json] = jobRequest(i, videoId);
    const body = await acknowledged(route, 202, () => user.post(`/api/videos/${route}`, json), state);
    ledger.jobs.set(body.jobId, { route, ...json });
    // Past its share a client waits for each job, so that the backlog does not outlast the kills.
    if (ledger.jobs.size >= JOBS) await user.job(body.jobId).catch(() => null);
  }
}

async function settle(stack, user, ledger) {
  const end = Date.now() + 60000;
  const open = new Set(ledger.jobs.keys());
  while (open.size > 0 && Date.now() < end) {
    for (const id of [...open]) {
      const answer = await user.get(`/api/jobs/status/${id}`).catch(() => null);
      if (answer?.status === 200 && TERMINAL.has(answer.body.state)) open.delete(id);
    }
    if (open.size > 0) await sleep(250);
  }
  return [...open];
}

async function audit(stack, user, ledger) {
  const lost = [];
  for (const upload of ledger.uploads) {
    const { status, body } = await user.get(`/api/videos/asset?videoId=${upload.videoId}&type=original`);
    const sha256 = status === 200 ? createHash('sha256').update(body).digest('hex') : null;
    if (sha256 !== upload.sha256) lost.push({ ...upload, status });
  }
  assert.deepEqual(lost, [], 'L1: acknowledged uploads lost or changed');

  const twice = await stack.sql(`SELECT job_id, count(*) FROM job_events
    WHERE type IN ('job.completed','job.failed','job.cancelled') GROUP BY 1 HAVING count(*) <> 1`);
  assert.deepEqual(twice, [], 'L3: jobs that ended more than once');
  // One after the other: together they would be more connections than one address may have.
  const noResult = [];
  for (const [id, asked] of ledger.jobs) {
    const { body } = await user.get(`/api/jobs/status/${id}`);
    if (body.state !== 'completed') noResult.push({ id, ...asked, state: body.state, failedReason: body.failedReason });
    else if (!fs.existsSync(path.join(stack.storage, body.result.storageKey))) noResult.push({ id, missing: body.result.storageKey });
  }
  assert.deepEqual(noResult, [], 'every job completes: kills cost attempts, not jobs');

  const end = Date.now() + 15000;
  let stuck;
  do {
    stuck = await stack.sql("SELECT id, type, status FROM video_operations WHERE status NOT IN ('completed','failed','cancelled')");
    if (stuck.length > 0) await sleep(250);
  } while (stuck.length > 0 && Date.now() < end);
  assert.deepEqual(stuck, [], 'L4: operations that are stuck');

  const names = fs.readdirSync(stack.storage, { recursive: true }).map(String);
  const files = names.filter((name) => fs.statSync(path.join(stack.storage, name)).isFile());
  assert.deepEqual(files.filter((name) => /(^|\/)\./.test(name)), [], 'L5: temporary files');
}

test(`kill -9 of every process, ${KILLS} times each, seed ${SEED}`, { timeout: 900000 }, async (t) => {
  const unlimited = { REEL_RATE_LIMITS: UNLIMITED };
  const stack = await startStack({ gateway: unlimited, job: { REEL_JOB_ATTEMPTS: '25', REEL_JOB_BACKOFF_MS: '200', REEL_JOB_LOCK_MS: '3000', REEL_JOB_SWEEP_MS: '1000', REEL_JOB_MAX_CRASHES: '25', REEL_JOB_MAX_STALLED: '25' } });
  t.after(() => stack.stop());
  const rand = random(SEED);
  const files = clips(stack.dir);
  const user = await newUser(stack.url);
  const ledger = { uploads: [], jobs: new Map() };
  const state = { attempts: 0, errors: 0, killed: false, unexpected: [] };
  // One upload first, so that every client has a video to work on.
  ledger.uploads.push({ videoId: (await user.upload(files[0].file)).body.videoId, sha256: files[0].sha256 });

  const clients = Promise.all(Array.from({ length: CLIENTS }, (_, i) => load(user, i, files, ledger, state)));
  const [kills] = await Promise.all([killer(stack, rand, state), clients]);
  await stack.ready();
  const open = await settle(stack, user, ledger);
  t.diagnostic(`kills ${JSON.stringify(kills)}; ${ledger.uploads.length} uploads, ${ledger.jobs.size} jobs acknowledged; ` +
    `${state.errors} of ${state.attempts} requests failed and were retried; unexpected exits ${state.unexpected.length}`);
  for (const id of open.slice(0, 5)) {
    t.diagnostic(JSON.stringify((await user.get(`/api/jobs/status/${id}`)).body));
  }
  assert.deepEqual(open, [], `L2: jobs that have not ended\n${open.length ? stack.tail() : ''}`);
  await audit(stack, user, ledger);
  assert.deepEqual(state.unexpected, [], 'processes that ended on their own');
});
