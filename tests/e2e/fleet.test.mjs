// Two job services on one queue: the bound of five holds for both together, and one of them ends what
// the other had begun.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { newUser } from './lib/client.mjs';
import { clip } from './lib/clips.mjs';
import { PATIENCE } from './lib/sanitizers.mjs';
import { UNLIMITED, freePort, startStack } from './lib/stack.mjs';

const BOUND = 5;
let stack, user, video;
let width = 64;

before(async () => {
  stack = await startStack({ gateway: { REEL_RATE_LIMITS: UNLIMITED }, job: { REEL_JOB_WORKERS: String(BOUND), REEL_JOB_ENCODES: '8' } });
  const own = { REEL_JOB_LISTEN: `tcp://127.0.0.1:${await freePort()}`, REEL_EVENTS_LISTEN: `tcp://127.0.0.1:${await freePort()}` };
  stack.serviceEnv.job2 = { ...stack.serviceEnv.job, ...own };
  user = await newUser(stack.url);
  const clips = path.join(stack.dir, 'clips');
  fs.mkdirSync(clips);
  video = (await user.upload(await clip(clips, 'long.mp4'))).body.videoId;
}, { timeout: 60000 * PATIENCE });

after(async () => {
  await stack?.kill('job2', 'SIGTERM');
  await stack?.stop();
});

// Asks for jobs over REST, each of another size.
async function ask(n) {
  const answers = await Promise.all(Array.from({ length: n }, () => user.post('/api/videos/resize', { videoId: video, width: (width += 2), height: 64 })));
  for (const answer of answers) assert.equal(answer.status, 202, JSON.stringify(answer.body));
  return answers.map(({ body }) => body.jobId);
}

async function until(what, check) {
  const end = Date.now() + 90000 * PATIENCE;
  while (!(await check())) {
    assert.ok(Date.now() < end, `${what} in vain\n${stack.tail()}`);
    await sleep(50);
  }
}

async function allComplete(ids) {
  await until('waited for the jobs', async () => {
    const states = await Promise.all(ids.map(async (id) => (await user.get(`/api/jobs/status/${id}`)).body.state));
    assert.deepEqual(states.filter((state) => ['failed', 'cancelled'].includes(state)), []);
    return states.every((state) => state === 'completed');
  });
}

// The most jobs that were active at once, by the record, whose order is that of the commits: a job is
// recorded as started after Redis let it start, and as ended before Redis lets the next one.
async function mostActive(ids) {
  const list = ids.map((id) => `'${id}'`).join();
  const active = new Set();
  const ended = new Map();
  let most = 0;
  for (const [id, type] of await stack.sql(`select job_id, type from job_events where job_id in (${list}) order by seq`)) {
    if (type === 'job.started') active.add(id);
    else if (['job.completed', 'job.failed', 'job.cancelled', 'job.retrying', 'job.waiting'].includes(type)) active.delete(id);
    if (type === 'job.completed') ended.set(id, (ended.get(id) ?? 0) + 1);
    most = Math.max(most, active.size);
  }
  assert.deepEqual(ids.map((id) => ended.get(id)), ids.map(() => 1), 'each job is completed once');
  return most;
}

const activeNow = async () => Number(await stack.redis('LLEN', 'bull:reelmesh:active'));

test('two job services never run more than five jobs together', { timeout: 240000 * PATIENCE }, async () => {
  stack.start('job2');
  await until('waited for job2', () => /svc.ready/.test(stack.log('job2')));
  const seen = [];
  const ids = await ask(12);
  let done = false;
  const watch = (async () => {
    while (!done) seen.push(await activeNow());
  })();
  await allComplete(ids).finally(() => {
    done = true;
  });
  await watch;
  assert.ok(Math.max(...seen) <= BOUND, `${Math.max(...seen)} were active in Redis`);
  const most = await mostActive(ids);
  assert.ok(most <= BOUND, `${most} were active`);
  assert.ok(most > 1, 'they ran side by side');
});

test('what a job service had begun when it was killed ends on the other', { timeout: 240000 * PATIENCE }, async () => {
  // One of them alone takes the jobs, so that all that run are its own.
  await stack.kill('job2', 'SIGTERM');
  const ids = await ask(6);
  await until('waited for five active jobs', async () => (await activeNow()) === BOUND);
  await stack.kill('job');
  stack.start('job2');
  // The gateway asks the one that is dead, so the record has to tell.
  const list = ids.map((id) => `'${id}'`).join();
  await until('waited for the jobs', async () => {
    const [[n]] = await stack.sql(`select count(*) from job_events where type = 'job.completed' and job_id in (${list})`);
    return Number(n) === ids.length;
  });
  assert.ok((await mostActive(ids)) <= BOUND);
  stack.start('job');
  await stack.ready();
});
