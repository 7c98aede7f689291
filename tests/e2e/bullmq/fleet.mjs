// Redis, PostgreSQL and the C side of the queue for conformance tests with npm clients.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { randomUUID, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue, QueueEvents, Worker, FlowProducer } from 'bullmq';
import IORedis from 'ioredis';
import { makeLogFolder } from '../lib/logs.mjs';
import { BUILD, PATIENCE, reportsIn, sanitizerOptions } from '../lib/sanitizers.mjs';
import { endChild } from '../lib/stack.mjs';

const root = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../../..');
const run = promisify(execFile);

export { sleep, Queue, QueueEvents, Worker, FlowProducer };

async function services(dir, script) {
  const { stdout } = await run('bash', ['-c', `set -eu; . scripts/lib/services.sh; ${script}`], {
    cwd: root,
    env: { ...process.env, SERVICES_FAST: '1', D: dir },
  });
  return stdout.trim();
}

// Waits until `condition` answers something true, and answers it.
export async function until(condition, what, timeoutMs = 20000) {
  const end = Date.now() + timeoutMs * PATIENCE;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await sleep(20);
  }
}

export class Fleet {
  constructor() {
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'reelmq.'));
    fs.chmodSync(this.dir, 0o711);
    makeLogFolder(this.dir);
    this.closers = [];
    this.children = new Set();
    this.services = new Set();
  }

  async start() {
    this.redisUrl = await services(this.dir, 'services_start_redis "$D" >&2; echo "$SERVICES_REDIS_URL"');
    this.redisPath = this.redisUrl.replace('unix://', '');
    this.redis = this.connect();
    return this;
  }

  async startPostgres() {
    this.pgUrl = await services(this.dir, 'services_start_pg "$D" >&2; services_create_roles "$SERVICES_PG_URL" >&2; echo "$SERVICES_PG_URL"');
    this.databases = new Map(); // queue -> URL: a record belongs to one queue
  }

  async #database(queue) {
    if (this.databases.has(queue)) return this.databases.get(queue);
    await run('psql', [this.pgUrl, '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', `CREATE DATABASE ${queue}`]);
    const url = this.pgUrl.replace(/\/\/\/[^?]*/, `///${queue}`);
    await run(path.join(BUILD, 'bin/reel-job'), ['--migrate'], { env: { PATH: process.env.PATH, DATABASE_URL: url } });
    this.databases.set(queue, url);
    return url;
  }

  async sql(queue, statement) {
    const { stdout } = await run('psql', [await this.#database(queue), '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', statement]);
    return stdout.trim();
  }

  connect() {
    const connection = new IORedis({ path: this.redisPath, maxRetriesPerRequest: null });
    connection.on('error', () => {}); // it connects again by itself
    this.closers.push(() => connection.quit().catch(() => {}));
    return connection;
  }

  #keep(closable) {
    this.closers.unshift(() => closable.close().catch(() => {}));
    closable.on('error', () => {});
    return closable;
  }

  // A queue under a name of its own with its events; closed with the fleet.
  async queue(name = `q${randomBytes(6).toString('hex')}`) {
    const queue = this.#keep(new Queue(name, { connection: this.connect() }));
    const events = this.#keep(new QueueEvents(name, { connection: this.connect() }));
    await events.waitUntilReady();
    return { name, queue, events };
  }

  worker(name, processor, options = {}) {
    return this.#keep(new Worker(name, processor, { connection: this.connect(), ...options }));
  }

  flow() {
    return this.#keep(new FlowProducer({ connection: this.connect() }));
  }

  #spawn(program, args, env) {
    const log = fs.openSync(path.join(this.dir, 'log', 'job.log'), 'a');
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', log] });
    fs.closeSync(log);
    this.children.add(child);
    child.on('exit', () => this.children.delete(child));
    return child;
  }

  // Our queue code with jobs that do nothing; see tests/integration/job/tool.
  async toolWorker(name, { threads = 1, lockMs = 1000 } = {}) {
    const child = this.#spawn(path.join(BUILD, 'bin/job_queue_tool'), [this.redisUrl, 'bull', name, 'work', String(threads), String(lockMs)], process.env);
    await once(child.stdout, 'data');
    return child;
  }

  async toolAdd(queue, { id = randomUUID(), name = 'ok', data = '{}', delay = 0, priority = 0, lifo = 0, attempts = 1, backoffType = 'fixed', backoff = 0 }) {
    await run(path.join(BUILD, 'bin/job_queue_tool'), [this.redisUrl, 'bull', queue, 'add', id, name, data, delay, priority, lifo, attempts, backoffType, backoff].map(String));
    return id;
  }

  nodeWorker(name, script) {
    return this.#spawn(process.execPath, [path.join(root, 'tests/e2e/bullmq', script), this.redisPath, name], process.env);
  }

  // The real service on a queue.
  async service(name, extra = {}) {
    const tag = randomBytes(4).toString('hex');
    const database = await this.#database(name);
    const events = `ipc://${this.dir}/${tag}.events`;
    const child = this.#spawn(path.join(BUILD, 'bin/reel-job'), [], {
      PATH: process.env.PATH,
      ...sanitizerOptions(),
      DATABASE_URL: database.replace('user=reel_admin', 'user=reel_job'),
      REDIS_URL: this.redisUrl,
      REEL_JOB_LISTEN: `ipc://${this.dir}/${tag}.rpc`,
      REEL_EVENTS_LISTEN: events,
      REEL_STORAGE_DIR: path.join(this.dir, 'storage'),
      REEL_KEY_VIDEO: 'k',
      REEL_QUEUE_NAME: name,
      REEL_JOB_LOCK_MS: '1500',
      REEL_JOB_SWEEP_MS: '300',
      REEL_GRACE_MS: '0',
      ...extra,
    });
    const blocked = async () => (await this.redis.client('LIST')).includes(`${Buffer.from(name).toString('base64')}:w:reel-job`);
    this.services.add(child);
    await until(blocked, 'the service to wait for jobs');
    return child;
  }

  // A video in the storage and the data of a job on it.
  async request(type = 'resize') {
    const videoId = randomUUID();
    const operationId = randomUUID();
    const clip = path.join(this.dir, 'clip.mp4');
    if (!fs.existsSync(clip)) {
      await run('ffmpeg', ['-nostdin', '-v', 'error', '-f', 'lavfi', '-i', 'testsrc=s=96x64:r=10:d=1', '-c:v', 'libx264', '-preset', 'ultrafast', clip]);
    }
    fs.mkdirSync(path.join(this.dir, 'storage', videoId), { recursive: true });
    fs.copyFileSync(clip, path.join(this.dir, 'storage', videoId, 'original'));
    return {
      operationId, type, videoId, userId: randomUUID(),
      params: { width: 48, height: 32 },
      inputKey: `${videoId}/original`, outputKey: `${videoId}/${operationId}.mp4`,
    };
  }

  // The queue's events so far, as [name, fields].
  async story(name, jobId) {
    const rows = await this.redis.xrange(`bull:${name}:events`, '-', '+');
    const all = rows.map(([, f]) => Object.fromEntries(f.flatMap((v, i) => (i % 2 ? [] : [[v, f[i + 1]]]))));
    return jobId === undefined ? all : all.filter((e) => e.jobId === jobId);
  }

  // Fails unless every job of the queue is in exactly one state and no lock is left over.
  async check(name) {
    const p = `bull:${name}:`;
    const keys = await this.redis.keys(`${p}*`);
    const reserved = new Set(['meta', 'events', 'id', 'pc', 'marker', 'wait', 'active', 'paused', 'prioritized', 'delayed', 'completed', 'failed', 'waiting-children', 'stalled', 'stalled-check', 'limiter', 'repeat']);
    const count = new Map();
    for (const list of ['wait', 'active', 'paused']) for (const id of await this.redis.lrange(p + list, 0, -1)) count.set(id, (count.get(id) ?? 0) + 1);
    for (const set of ['prioritized', 'delayed', 'completed', 'failed', 'waiting-children']) for (const id of await this.redis.zrange(p + set, 0, -1)) count.set(id, (count.get(id) ?? 0) + 1);
    for (const key of keys) {
      const suffix = key.slice(p.length);
      if (reserved.has(suffix) || suffix.includes(':')) continue;
      if (count.get(suffix) !== 1) throw new Error(`job ${suffix} is in ${count.get(suffix) ?? 0} states`);
    }
    const active = new Set(await this.redis.lrange(`${p}active`, 0, -1));
    for (const key of keys) {
      const lock = /^([^:]+):lock$/.exec(key.slice(p.length));
      if (lock && !active.has(lock[1])) throw new Error(`the lock of ${lock[1]} is left over`);
    }
  }

  // Ends a server as a power cut would.
  killServer(name) {
    process.kill(Number(fs.readFileSync(path.join(this.dir, 'run', `${name}.pid`), 'utf8').split(/\s/)[0]), 'SIGKILL');
  }

  async end(child, signal = 'SIGTERM') {
    return this.children.has(child) ? endChild(child, signal) : null;
  }

  // Fails when a service does not exit with 0, and when a sanitizer has reported anything.
  async stop() {
    let blame = '';
    for (const child of [...this.children]) {
      const isService = this.services.has(child);
      const status = await this.end(child, isService ? 'SIGTERM' : 'SIGKILL');
      if (isService && status) blame += `the job service ended with ${status}\n`;
    }
    await Promise.all(this.closers.map((close) => Promise.race([close(), sleep(2000)])));
    await services(this.dir, `services_stop_redis "$D" >&2; ${this.pgUrl ? 'services_stop_pg "$D" >&2' : ''}`).catch(() => {});
    blame += reportsIn(path.join(this.dir, 'log'));
    if (!process.env.REEL_KEEP) fs.rmSync(this.dir, { recursive: true, force: true });
    if (blame) throw new Error(blame);
  }
}
