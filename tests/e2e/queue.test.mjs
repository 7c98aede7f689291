// The job service while Redis, PostgreSQL and the service itself are killed, and Redis even loses
// all it has: every recorded job ends once.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { Fleet, sleep, until } from './bullmq/fleet.mjs';
import { PATIENCE } from './lib/sanitizers.mjs';

const root = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../..');
const fleet = new Fleet();
after(() => fleet.stop());

function services(script) {
  execFileSync('bash', ['-c', `set -eu; . scripts/lib/services.sh; ${script} >&2`], {
    cwd: root, env: { ...process.env, SERVICES_FAST: '1', D: fleet.dir }, stdio: 'ignore',
  });
}

// As the transaction of an Enqueue leaves it whose process died before Redis was told.
async function record(queue) {
  const data = await fleet.request();
  await fleet.sql(queue, `INSERT INTO job_history (job_id, queue_id, type, video_id, user_id, state, request, max_attempts)
    VALUES ('${data.operationId}', '${data.operationId}', 'resize', '${data.videoId}', '${data.userId}', 'waiting', '${JSON.stringify(data)}', 3)`);
}

const kill = {
  async redis() {
    fleet.killServer('redis');
    await sleep(1000);
    services('services_start_redis "$D"');
  },
  async 'redis and its files'() {
    fleet.killServer('redis');
    await sleep(1000);
    fs.rmSync(path.join(fleet.dir, 'redis'), { recursive: true });
    services('services_start_redis "$D"');
  },
  async postgres() {
    fleet.killServer('postgres');
    await sleep(1000);
    services('services_start_pg "$D"');
  },
};

test('jobs survive the loss of each part, and of all that Redis knew', { timeout: 180000 * PATIENCE }, async () => {
  await fleet.start();
  await fleet.startPostgres();
  const { name } = await fleet.queue();
  let service = await fleet.service(name);
  for (let i = 0; i < 20; i++) await record(name);
  for (const part of ['redis', 'postgres', 'service', 'redis and its files', 'service', 'postgres']) {
    await sleep(200 + Math.random() * 1000);
    if (part === 'service') {
      await fleet.end(service, 'SIGKILL');
      service = await fleet.service(name);
    } else {
      await kill[part]();
    }
    for (let i = 0; i < 4; i++) await record(name);
  }
  const open = () => fleet.sql(name, "SELECT count(*) FROM job_history WHERE state IN ('waiting', 'delayed', 'active')").catch(() => 'away');
  await until(async () => (await open()) === '0', 'all jobs to end', 120000);
  assert.equal(await fleet.sql(name, 'SELECT state, count(*) FROM job_history GROUP BY state'), 'completed|44');
  assert.equal(await fleet.sql(name, "SELECT count(*), count(DISTINCT job_id) FROM job_events WHERE type = 'job.completed'"), '44|44');
  assert.ok(fleet.children.has(service), 'the service lives');
  await until(async () => (await fleet.redis.llen(`bull:${name}:active`)) === 0, 'Redis to know');
  await fleet.check(name);
});
