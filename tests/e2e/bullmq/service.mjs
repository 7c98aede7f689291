// The whole service on a queue that npm clients drive and watch.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Fleet, sleep, until } from './fleet.mjs';

describe('the service as a worker for npm producers', () => {
  const fleet = new Fleet();
  before(async () => {
    await fleet.start();
    await fleet.startPostgres();
  });
  after(() => fleet.stop());

  test('Queue.add, our worker, waitUntilFinished', async () => {
    const { name, queue, events } = await fleet.queue();
    await fleet.service(name);
    const data = await fleet.request();
    const job = await queue.add('resize', data, { attempts: 3, backoff: { type: 'fixed', delay: 100 } });
    const result = await job.waitUntilFinished(events, 20000);
    assert.equal(result.storageKey, data.outputKey);
    assert.equal(result.width, 48);
    assert.ok(fs.existsSync(path.join(fleet.dir, 'storage', data.outputKey)));
    const told = (await fleet.story(name, job.id)).map((e) => e.event).filter((e) => e !== 'progress');
    assert.deepEqual(told, ['added', 'waiting', 'active', 'completed']);
    const done = await queue.getJob(job.id);
    assert.equal(done.attemptsMade, 1);
    assert.equal(done.attemptsStarted, 1);
    assert.ok(done.finishedOn >= done.processedOn && done.processedOn >= done.timestamp);
    assert.match(done.processedBy, /^reel-job-/);
    assert.equal(await fleet.sql(name, `SELECT state FROM job_history WHERE job_id = '${data.operationId}'`), 'completed');
    await fleet.check(name);
  });

  test('npm tools see the queue and its worker', async () => {
    const { name, queue } = await fleet.queue();
    await fleet.service(name);
    const workers = await until(async () => { const w = await queue.getWorkers(); return w.length && w; }, 'the worker');
    assert.equal(workers.length, 1);
    assert.equal((await queue.getMeta()).concurrency, 5);
    assert.match(await fleet.redis.hget(`bull:${name}:meta`, 'library'), /^reelmesh:/);
  });

  test('an idle worker starts at once, not at its next poll', async () => {
    const { name, queue, events } = await fleet.queue();
    await fleet.service(name);
    await sleep(1500);
    for (const opts of [{}, { priority: 3 }]) {
      const job = await queue.add('resize', await fleet.request(), opts);
      await job.waitUntilFinished(events, 20000);
      const done = await queue.getJob(job.id);
      assert.ok(done.processedOn - done.timestamp < 3000, `${done.processedOn - done.timestamp} ms`);
    }
  });

  test('a delayed job comes when it is due; promote and changeDelay are heard', async () => {
    const { name, queue, events } = await fleet.queue();
    await fleet.service(name);
    const soon = await queue.add('resize', await fleet.request(), { delay: 800 });
    await soon.waitUntilFinished(events, 20000);
    const waited = (await queue.getJob(soon.id)).processedOn - soon.timestamp;
    assert.ok(waited >= 790 && waited < 4000, `${waited} ms`);
    const far = await queue.add('resize', await fleet.request(), { delay: 3600000 });
    const farther = await queue.add('resize', await fleet.request(), { delay: 7200000 });
    await sleep(500);
    let began = Date.now();
    await (await queue.getJob(farther.id)).promote();
    await farther.waitUntilFinished(events, 20000);
    assert.ok(Date.now() - began < 8000);
    began = Date.now();
    await (await queue.getJob(far.id)).changeDelay(100);
    await far.waitUntilFinished(events, 20000);
    assert.ok(Date.now() - began < 8000);
  });

  test('what makes no sense fails with a reason and deafens nobody', async () => {
    const { name, queue, events } = await fleet.queue();
    await fleet.service(name);
    for (const data of [{ hello: 'world' }, {}, { ...(await fleet.request()), inputKey: '../../etc/passwd' }, { ...(await fleet.request()), type: 'explode' }]) {
      const bad = await queue.add('resize', data, { attempts: 3 });
      await assert.rejects(bad.waitUntilFinished(events, 20000), /not a job of this service/);
      assert.equal((await queue.getJob(bad.id)).attemptsMade, 1);
    }
    const good = await queue.add('resize', await fleet.request());
    assert.equal((await good.waitUntilFinished(events, 20000)).width, 48);
  });

  test('a failure says why, in the log too', async () => {
    const { name, queue, events } = await fleet.queue();
    await fleet.service(name);
    const data = await fleet.request('extract_audio');
    const job = await queue.add('extract_audio', { ...data, params: {} }, { attempts: 3 });
    await assert.rejects(job.waitUntilFinished(events, 20000), /audio/i);
    const { logs } = await queue.getJobLogs(job.id);
    assert.match(logs.join('\n'), /NO_AUDIO/);
    assert.equal(await fleet.sql(name, `SELECT failed_code FROM job_history WHERE job_id = '${data.operationId}'`), 'NO_AUDIO');
  });

  test('a pause at a dashboard holds, a resume starts at once', async () => {
    const { name, queue, events } = await fleet.queue();
    await fleet.service(name);
    await queue.pause();
    const job = await queue.add('resize', await fleet.request());
    await sleep(700);
    assert.equal(await job.getState(), 'waiting');
    await queue.resume();
    await job.waitUntilFinished(events, 20000);
  });

  test('kill -9 of the service: the other replica takes over', async () => {
    const { name, queue, events } = await fleet.queue();
    const services = [await fleet.service(name), await fleet.service(name)];
    const jobs = [];
    for (let i = 0; i < 12; i++) jobs.push(await queue.add('resize', await fleet.request()));
    await until(async () => (await queue.getActiveCount()) > 0, 'a start');
    await fleet.end(services[0], 'SIGKILL');
    await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 60000)));
    const completed = (await fleet.story(name)).filter((e) => e.event === 'completed').map((e) => e.jobId);
    assert.equal(new Set(completed).size, 12);
    assert.equal(completed.length, 12);
    await fleet.check(name);
  });

  test('two replicas keep the one global bound', async () => {
    const { name, queue, events } = await fleet.queue();
    await fleet.service(name, { REEL_JOB_WORKERS: '2' });
    await fleet.service(name, { REEL_JOB_WORKERS: '2' });
    const jobs = [];
    for (let i = 0; i < 10; i++) jobs.push(await queue.add('resize', await fleet.request()));
    let most = 0;
    await until(async () => {
      most = Math.max(most, await queue.getActiveCount());
      return (await queue.getCompletedCount()) === 10;
    }, 'all', 60000);
    assert.ok(most <= 2, `${most} at once`);
    await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 5000)));
  });
});
