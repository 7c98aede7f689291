// Our scripts and npm's on one queue: what each side does, the other understands.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { Fleet, sleep, until } from './fleet.mjs';

describe('the queue shared with npm', () => {
  const fleet = new Fleet();
  before(() => fleet.start());
  after(() => fleet.stop());

  test('a job of ours is what an npm worker sees', async () => {
    const { name, queue } = await fleet.queue();
    const id = await fleet.toolAdd(name, { name: 'trim', data: '{"é":"\\"q\\" 😀","n":1.5}', priority: 7, attempts: 3, backoffType: 'exponential', backoff: 1000 });
    const waiting = await queue.getJob(id);
    assert.equal(await waiting.getState(), 'prioritized');
    assert.equal(waiting.opts.priority, 7);
    assert.equal(waiting.opts.attempts, 3);
    assert.deepEqual(waiting.opts.backoff, { type: 'exponential', delay: 1000 });
    const seen = new Promise((resolve) => fleet.worker(name, async (job) => { resolve(job); return { done: true }; }));
    const job = await seen;
    assert.equal(job.name, 'trim');
    assert.deepEqual(job.data, { é: '"q" 😀', n: 1.5 });
    await until(async () => (await queue.getJob(id)).isCompleted(), 'completion');
    assert.deepEqual((await queue.getJob(id)).returnvalue, { done: true });
    await fleet.check(name);
  });

  test('states and counts agree at each step', async () => {
    const { name, queue } = await fleet.queue();
    const waiting = await fleet.toolAdd(name, {});
    const delayed = await fleet.toolAdd(name, { delay: 60000 });
    const prioritized = await fleet.toolAdd(name, { priority: 2 });
    assert.equal(await queue.getJobState(waiting), 'waiting');
    assert.equal(await queue.getJobState(delayed), 'delayed');
    assert.equal(await queue.getJobState(prioritized), 'prioritized');
    assert.deepEqual(await queue.getJobCounts('waiting', 'delayed', 'prioritized'), { waiting: 1, delayed: 1, prioritized: 1 });
    assert.equal((await queue.getDelayed())[0].delay, 60000);
    assert.equal((await queue.getMeta()).maxLenEvents, 10000);
  });

  test('waitUntilFinished hears our worker, whatever the text', async () => {
    const { name, queue, events } = await fleet.queue();
    await fleet.toolWorker(name);
    for (const data of [{ a: 1 }, { text: 'naïve "quoted" \\ \u0000\u001f 😀' }, { big: 'x'.repeat(1024 * 1024) }]) {
      const job = await queue.add('ok', data);
      assert.deepEqual(await job.waitUntilFinished(events, 20000), data);
      const told = (await fleet.story(name, job.id)).map((e) => e.event);
      assert.deepEqual(told, ['added', 'waiting', 'active', 'completed']);
    }
    await fleet.check(name);
  });

  test('a failure is heard, with its reason as plain text', async () => {
    const { name, queue, events } = await fleet.queue();
    await fleet.toolWorker(name);
    const job = await queue.add('fail', {});
    await assert.rejects(job.waitUntilFinished(events, 10000), /failed on purpose/);
    const told = (await fleet.story(name, job.id)).map((e) => e.event);
    assert.deepEqual(told, ['added', 'waiting', 'active', 'failed', 'retries-exhausted']);
    const failed = await queue.getJob(job.id);
    assert.equal(failed.failedReason, 'failed on purpose');
    assert.equal(failed.attemptsMade, 1);
    assert.equal(failed.attemptsStarted, 1);
  });

  for (const [type, delays] of [['fixed', [200, 200]], ['exponential', [200, 400]]]) {
    test(`backoff: ${type}`, async () => {
      const { name, queue, events } = await fleet.queue();
      await fleet.toolWorker(name);
      const job = await queue.add('fail', {}, { attempts: 3, backoff: { type, delay: 200 } });
      await assert.rejects(job.waitUntilFinished(events, 10000));
      const story = await fleet.story(name, job.id);
      assert.equal(story.filter((e) => e.event === 'active').length, 3);
      assert.equal(story.filter((e) => e.event === 'delayed').length, delays.length);
      const failed = await queue.getJob(job.id);
      assert.equal(failed.attemptsMade, 3);
      assert.equal(failed.stacktrace.length, 3);
      assert.ok(failed.finishedOn - failed.timestamp >= delays[0] + delays[1]);
      await fleet.check(name);
    });
  }

  test('a retry at a dashboard starts the attempts again', async () => {
    const { name, queue, events } = await fleet.queue();
    await fleet.toolWorker(name);
    const job = await queue.add('flaky', { n: 1 });
    await assert.rejects(job.waitUntilFinished(events, 10000));
    await (await queue.getJob(job.id)).retry('failed');
    await until(async () => (await queue.getJob(job.id)).isCompleted(), 'the second run');
    assert.equal((await queue.getJob(job.id)).attemptsMade, 2);
    const again = await queue.add('fail', {}, { attempts: 1 });
    await assert.rejects(again.waitUntilFinished(events, 10000));
    await (await queue.getJob(again.id)).retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true });
    await until(async () => (await fleet.story(name, again.id)).filter((e) => e.event === 'failed').length === 2, 'the second failure');
    assert.equal((await queue.getJob(again.id)).attemptsMade, 1);
  });

  test('order: lifo, none, then by priority, first come first served', async () => {
    const { name, queue } = await fleet.queue();
    const ids = {};
    for (const [key, opts] of [['p3', { priority: 3 }], ['p1', { priority: 1 }], ['p2', { priority: 2 }], ['p1b', { priority: 1 }], ['n1', {}], ['n2', {}], ['lifo', { lifo: true }]]) {
      ids[(await queue.add('ok', {}, opts)).id] = key;
    }
    await fleet.toolWorker(name);
    await until(async () => (await queue.getCompletedCount()) === 7, 'all');
    const order = (await fleet.story(name)).filter((e) => e.event === 'active').map((e) => ids[e.jobId]);
    assert.deepEqual(order, ['lifo', 'n1', 'n2', 'p1', 'p1b', 'p2', 'p3']);
  });

  test('a pause lets what runs finish and nothing new start', async () => {
    const { name, queue, events } = await fleet.queue();
    await fleet.toolWorker(name);
    const running = await queue.add('slow', { n: 1 });
    await until(async () => running.isActive(), 'the start');
    await queue.pause();
    const next = await queue.add('ok', { n: 2 });
    await running.waitUntilFinished(events, 10000);
    await sleep(400);
    assert.equal(await next.getState(), 'waiting');
    await queue.resume();
    await next.waitUntilFinished(events, 10000);
    await fleet.check(name);
  });

  test('a mixed fleet runs each of many jobs to one end', async () => {
    const { name, queue } = await fleet.queue();
    const n = 1500;
    const jobs = Array.from({ length: n }, (_, i) => ({ name: ['ok', 'flaky', 'ok', 'fail'][i % 4], data: { i }, opts: { attempts: 2, priority: i % 5 === 0 ? 1 + (i % 3) : 0 } }));
    for (let i = 0; i < n; i += 500) await queue.addBulk(jobs.slice(i, i + 500));
    fleet.worker(name, async (job) => {
      if (job.name === 'fail' || (job.name === 'flaky' && job.attemptsMade === 0)) throw new Error('npm fails');
      return { by: 'npm' };
    }, { concurrency: 4 });
    await fleet.toolWorker(name, { threads: 4, lockMs: 5000 });
    await until(async () => { const c = await queue.getJobCounts('completed', 'failed'); return c.completed + c.failed === n; }, 'all to end', 90000);
    const counts = await queue.getJobCounts('completed', 'failed', 'active', 'waiting', 'delayed', 'prioritized');
    assert.deepEqual(counts, { completed: n * 0.75, failed: n * 0.25, active: 0, waiting: 0, delayed: 0, prioritized: 0 });
    const ended = [...(await queue.getCompleted(0, -1)), ...(await queue.getFailed(0, -1))];
    assert.equal(ended.reduce((sum, job) => sum + job.attemptsMade, 0), n * 0.5 + n * 0.25 * 2 + n * 0.25 * 2);
    const by = ended.filter((job) => job.returnvalue?.by === 'npm').length;
    assert.ok(by > 0 && by < n * 0.75, `both sides worked: npm ${by}`);
    await fleet.check(name);
  });

  test('a killed worker of ours is replaced by an npm worker', async () => {
    const { name, queue, events } = await fleet.queue();
    const tool = await fleet.toolWorker(name, { lockMs: 1000 });
    const job = await queue.add('hold', {});
    await until(() => job.isActive(), 'the start');
    await fleet.end(tool, 'SIGKILL');
    fleet.worker(name, async () => 'recovered', { lockDuration: 1000, stalledInterval: 300 });
    assert.equal(await job.waitUntilFinished(events, 20000), 'recovered');
    const told = (await fleet.story(name, job.id)).map((e) => e.event);
    assert.ok(told.includes('stalled'));
    assert.equal((await queue.getJob(job.id)).stalledCounter, 1);
    await fleet.check(name);
  });

  test('a killed npm worker is replaced by ours; the second loss fails the job', async () => {
    const { name, queue, events } = await fleet.queue();
    const job = await queue.add('hold', {}, { attempts: 3 });
    const victim = fleet.nodeWorker(name, 'hold-worker.mjs');
    await until(async () => (await fleet.redis.exists(`bull:${name}:${job.id}:lock`)) === 1, 'the npm worker to take it');
    await fleet.end(victim, 'SIGKILL');
    const tool = await fleet.toolWorker(name, { lockMs: 1000 });
    await until(async () => (await fleet.redis.hget(`bull:${name}:${job.id}`, 'pb')) === 'tool', 'ours to take over');
    await fleet.end(tool, 'SIGKILL');
    assert.equal(await fleet.redis.hget(`bull:${name}:${job.id}`, 'stc'), '1');
    await fleet.toolWorker(name, { lockMs: 1000 });
    await assert.rejects(job.waitUntilFinished(events, 20000), /job stalled more than allowable limit/);
    await fleet.check(name);
  });

  test('a worker that slept past its lock discards what it did', async () => {
    const { name, queue, events } = await fleet.queue();
    const tool = await fleet.toolWorker(name, { lockMs: 600 });
    const job = await queue.add('hold', {});
    await until(() => job.isActive(), 'the start');
    tool.kill('SIGSTOP');
    fleet.worker(name, async () => { await sleep(1500); return 'npm'; }, { lockDuration: 3000, stalledInterval: 300 });
    await until(async () => (await fleet.redis.hget(`bull:${name}:${job.id}`, 'stc')) === '1' && job.isActive(), 'npm to take the job');
    tool.kill('SIGCONT');
    assert.equal(await job.waitUntilFinished(events, 20000), 'npm');
    await sleep(300);
    assert.equal((await fleet.story(name, job.id)).filter((e) => e.event === 'completed').length, 1);
    const other = await queue.add('ok', { x: 1 });
    await other.waitUntilFinished(events, 10000);
    await fleet.check(name);
  });

  test('a deduplication id is free when our worker is done', async () => {
    const { name, queue, events } = await fleet.queue();
    const first = await queue.add('ok', { n: 1 }, { deduplication: { id: 'D' } });
    const dropped = await queue.add('ok', { n: 2 }, { deduplication: { id: 'D' } });
    assert.equal(dropped.id, first.id);
    await fleet.toolWorker(name);
    await first.waitUntilFinished(events, 10000);
    const second = await queue.add('ok', { n: 3 }, { deduplication: { id: 'D' } });
    assert.notEqual(second.id, first.id);
    await second.waitUntilFinished(events, 10000);
    const kept = await queue.add('ok', { n: 4 }, { deduplication: { id: 'T', ttl: 60000 } });
    await kept.waitUntilFinished(events, 10000);
    assert.equal((await queue.add('ok', { n: 5 }, { deduplication: { id: 'T', ttl: 60000 } })).id, kept.id);
  });

  test('finished jobs are kept as the producer asked', async () => {
    const { name, queue, events } = await fleet.queue();
    await fleet.toolWorker(name);
    for (let i = 0; i < 6; i++) await (await queue.add('ok', { i }, { removeOnComplete: { count: 3 } })).waitUntilFinished(events, 10000);
    assert.equal(await queue.getCompletedCount(), 3);
    const gone = await queue.add('ok', {}, { removeOnComplete: true });
    await gone.waitUntilFinished(events, 10000);
    assert.equal(await queue.getJob(gone.id), undefined);
    const failed = await queue.add('fail', {}, { removeOnFail: true });
    await assert.rejects(failed.waitUntilFinished(events, 10000));
    assert.equal(await queue.getFailedCount(), 0);
    await sleep(1100);
    await (await queue.add('ok', {}, { removeOnComplete: { age: 1 } })).waitUntilFinished(events, 10000);
    assert.equal(await queue.getCompletedCount(), 1);
    await fleet.check(name);
  });

  test('an obliterated queue does not stop our worker', async () => {
    const { name, queue, events } = await fleet.queue();
    await fleet.toolWorker(name, { threads: 2, lockMs: 2000 });
    await queue.addBulk(Array.from({ length: 10 }, () => ({ name: 'slow', data: {} })));
    await until(async () => (await queue.getActiveCount()) > 0, 'a start');
    await queue.obliterate({ force: true });
    await queue.resume();
    const job = await queue.add('ok', { again: true });
    assert.deepEqual(await job.waitUntilFinished(events, 10000), { again: true });
  });

  test('the global bound and rate limit of a dashboard hold', async () => {
    const { name, queue } = await fleet.queue();
    await queue.setGlobalConcurrency(1);
    await queue.addBulk(Array.from({ length: 6 }, () => ({ name: 'slow', data: {} })));
    await fleet.toolWorker(name, { threads: 3, lockMs: 5000 });
    fleet.worker(name, async () => sleep(50), { concurrency: 3 });
    await until(async () => {
      assert.ok((await queue.getActiveCount()) <= 1);
      return (await queue.getCompletedCount()) === 6;
    }, 'all, one at a time');
    const limited = await fleet.queue();
    await limited.queue.setGlobalRateLimit(2, 500);
    await limited.queue.addBulk(Array.from({ length: 6 }, () => ({ name: 'ok', data: {} })));
    const began = Date.now();
    await fleet.toolWorker(limited.name, { threads: 3 });
    await until(async () => (await limited.queue.getCompletedCount()) === 6, 'all');
    assert.ok(Date.now() - began >= 900);
  });

  test('a parent waits for children that our worker runs', async () => {
    const children = await fleet.queue();
    const parents = await fleet.queue();
    fleet.worker(parents.name, async (job) => Object.values(await job.getChildrenValues()));
    await fleet.toolWorker(children.name);
    const kid = (name, opts) => ({ name, queueName: children.name, data: { kid: name }, opts });
    const tree = (kids) => fleet.flow().add({ name: 'parent', queueName: parents.name, children: kids });
    const good = await tree([kid('ok'), kid('ok')]);
    assert.equal((await good.job.waitUntilFinished(parents.events, 10000)).length, 2);
    const broken = await tree([kid('ok'), kid('fail', { failParentOnFailure: true })]);
    await assert.rejects(broken.job.waitUntilFinished(parents.events, 10000));
    const ignored = await tree([kid('ok'), kid('fail', { ignoreDependencyOnFailure: true })]);
    assert.equal((await ignored.job.waitUntilFinished(parents.events, 10000)).length, 1);
    const removed = await tree([kid('ok'), kid('fail', { removeDependencyOnFailure: true })]);
    assert.equal((await removed.job.waitUntilFinished(parents.events, 10000)).length, 1);
    const going = await tree([kid('slow'), kid('fail', { continueParentOnFailure: true })]);
    assert.ok(Array.isArray(await going.job.waitUntilFinished(parents.events, 10000)));
    await fleet.check(children.name);
    await fleet.check(parents.name);
  });

  test('an id that an npm producer chose is taken once', async () => {
    const { name, queue, events } = await fleet.queue();
    const jobId = randomUUID();
    await queue.add('ok', { n: 1 }, { jobId });
    await fleet.toolAdd(name, { id: jobId, data: '{"n":2}' });
    await fleet.toolWorker(name);
    await until(async () => (await queue.getCompletedCount()) === 1, 'the end');
    assert.deepEqual((await queue.getJob(jobId)).returnvalue, { n: 1 });
    assert.equal((await fleet.story(name, jobId)).filter((e) => e.event === 'duplicated').length, 1);
    assert.ok(events);
  });
});
