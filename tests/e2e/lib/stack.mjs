// The complete real stack for a test: a private PostgreSQL and Redis, the four programs on free
// ports, storage in a directory of its own. Every process is ended by its id.
//
//   const stack = await startStack({ env: { REEL_LOG_LEVEL: 'debug' } });
//   await fetch(`${stack.url}/health`);
//   await stack.kill('video');  await stack.start('video');
//   await stack.stop();
//
// `options.build`, or else REEL_BUILD, names the build to test (default build/dev).
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeLogFolder } from './logs.mjs';
import { BUILD, reportsIn, sanitizerOptions } from './sanitizers.mjs';

const root = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '../../..');
const run = promisify(execFile);

export const SERVICES = ['user', 'job', 'video', 'gateway'];
// For the gateway's REEL_RATE_LIMITS, in tests that are about something else.
export const UNLIMITED = 'auth=0/1,validate=0/1,upload=0/1,operation=0/1,default=0/1';

export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

// Ends a child process and answers its exit code or the signal that ended it, which is SIGKILL when it
// has not ended 30 s after the signal.
export async function endChild(child, signal) {
  const gone = once(child, 'exit');
  child.kill(signal);
  const tooLate = setTimeout(() => child.kill('SIGKILL'), 30000);
  const [code, by] = await gone;
  clearTimeout(tooLate);
  return code ?? by;
}

// Runs functions of scripts/lib/services.sh on `dir` and returns what the script prints.
async function services(dir, script) {
  const { stdout } = await run('bash', ['-c', `set -eu; . scripts/lib/services.sh; ${script}`], {
    cwd: root,
    env: { ...process.env, SERVICES_FAST: '1', D: dir },
  });
  return stdout.trim();
}

class Stack {
  constructor(dir, build) {
    this.dir = dir;
    this.build = build;
    this.processes = new Map(); // name -> child process
    this.exits = []; // { name, code, signal } of processes that ended without being told to
    this.expected = new Set(); // processes we are ending
  }

  async startPostgres() {
    this.pgUrl = await services(this.dir, 'services_start_pg "$D" >&2; services_create_roles "$SERVICES_PG_URL" >&2; echo "$SERVICES_PG_URL"');
  }

  async startRedis() {
    this.redisUrl = await services(this.dir, 'services_start_redis "$D" >&2; echo "$SERVICES_REDIS_URL"');
  }

  // Ends PostgreSQL or Redis with kill -9 and waits until it is gone; start it again with
  // startPostgres or startRedis.
  async killServer(name) {
    const pidFile = path.join(this.dir, 'run', `${name}.pid`);
    process.kill(Number(fs.readFileSync(pidFile, 'utf8').split(/\s/)[0]), 'SIGKILL');
    await services(this.dir, `process_wait_gone '${pidFile}' 5`);
  }

  roleUrl(service) {
    return this.pgUrl.replace('user=reel_admin', `user=reel_${service}`);
  }

  async configure(extra) {
    const ports = { gateway: await freePort(), user: await freePort(), video: await freePort(), job: await freePort(), events: await freePort() };
    const url = (name) => `tcp://127.0.0.1:${ports[name]}`;
    this.port = ports.gateway;
    this.ports = ports;
    this.url = `http://127.0.0.1:${ports.gateway}`;
    this.storage = path.join(this.dir, 'storage');
    const keys = {};
    for (const name of ['GATEWAY', 'USER', 'VIDEO', 'TOOL']) keys[`REEL_KEY_${name}`] = randomBytes(24).toString('hex');
    this.keys = keys;
    this.env = {
      REEL_LOG_LEVEL: 'info',
      REEL_USER_URL: url('user'), REEL_VIDEO_URL: url('video'), REEL_JOB_URL: url('job'),
      REEL_EVENTS_URL: url('events'), REDIS_URL: this.redisUrl, REEL_STORAGE_DIR: this.storage,
    };
    const common = (...names) => Object.fromEntries(names.map((name) => [name, this.env[name] ?? keys[name]]));
    this.serviceEnv = {
      user: { ...common('REEL_LOG_LEVEL', 'REEL_KEY_USER', 'REEL_KEY_GATEWAY', 'REEL_KEY_TOOL'), REEL_USER_LISTEN: url('user'), DATABASE_URL: this.roleUrl('user'), REEL_KEYS_DIR: path.join(this.dir, 'keys') },
      video: { ...common('REEL_LOG_LEVEL', 'REEL_KEY_VIDEO', 'REEL_KEY_GATEWAY', 'REEL_KEY_TOOL', 'REEL_JOB_URL', 'REEL_EVENTS_URL', 'REEL_STORAGE_DIR'), REEL_VIDEO_LISTEN: url('video'), DATABASE_URL: this.roleUrl('video') },
      job: { ...common('REEL_LOG_LEVEL', 'REEL_KEY_VIDEO', 'REEL_KEY_GATEWAY', 'REEL_KEY_TOOL', 'REEL_STORAGE_DIR', 'REDIS_URL'), REEL_JOB_LISTEN: url('job'), REEL_EVENTS_LISTEN: url('events'), DATABASE_URL: this.roleUrl('job') },
      gateway: { ...common('REEL_LOG_LEVEL', 'REEL_KEY_GATEWAY', 'REEL_USER_URL', 'REEL_VIDEO_URL', 'REEL_JOB_URL', 'REEL_EVENTS_URL', 'REEL_STORAGE_DIR', 'REDIS_URL'), REEL_GATEWAY_HOST: '127.0.0.1', REEL_GATEWAY_PORT: String(ports.gateway) },
    };
    for (const name of SERVICES) Object.assign(this.serviceEnv[name], extra.all, extra[name]);
  }

  // A second process of a service is called job2, say, with settings of its own in serviceEnv.
  program(name) {
    return path.join(this.build, 'bin', `reel-${name.replace(/\d+$/, '')}`);
  }

  // Only what a process needs: a REEL_ variable it does not know is an error by design.
  environment(name) {
    const kept = ['PATH', 'HOME', 'TMPDIR'];
    const base = Object.fromEntries(kept.filter((key) => process.env[key]).map((key) => [key, process.env[key]]));
    return { ...base, ...sanitizerOptions(), ...this.serviceEnv[name] };
  }

  async migrate() {
    for (const name of ['user', 'video', 'job']) {
      await run(this.program(name), ['--migrate'], { env: { ...this.environment(name), DATABASE_URL: this.pgUrl } });
    }
  }

  start(name) {
    const log = fs.openSync(path.join(this.dir, 'log', `${name}.log`), 'a');
    const child = spawn(this.program(name), [], { env: this.environment(name), stdio: ['ignore', log, log], cwd: this.dir });
    fs.closeSync(log);
    this.processes.set(name, child);
    child.on('exit', (code, signal) => {
      if (this.processes.get(name) === child) this.processes.delete(name);
      if (!this.expected.delete(child.pid)) this.exits.push({ name, code, signal });
    });
    return child;
  }

  pid(name) {
    return this.processes.get(name)?.pid;
  }

  // Ends a process (SIGKILL by default) and waits until it is gone. Answers its exit code or signal.
  async kill(name, signal = 'SIGKILL') {
    const child = this.processes.get(name);
    if (!child) return null;
    this.expected.add(child.pid);
    return endChild(child, signal);
  }

  // Stops a process where it stands. The signal is taken by one thread after the other: returns when
  // all of them have.
  async freeze(name) {
    const tasks = `/proc/${this.pid(name)}/task`;
    const runs = (task) => fs.existsSync(`${tasks}/${task}`) && !/\) [Tt] /.test(fs.readFileSync(`${tasks}/${task}/stat`, 'utf8'));
    process.kill(this.pid(name), 'SIGSTOP');
    for (const end = Date.now() + 5000; fs.readdirSync(tasks).some(runs); await sleep(1)) {
      if (Date.now() > end) throw new Error(`${name} does not stop`);
    }
  }

  async restart(name, signal = 'SIGTERM') {
    const status = await this.kill(name, signal);
    this.start(name);
    return status;
  }

  log(name) {
    return fs.readFileSync(path.join(this.dir, 'log', `${name}.log`), 'utf8');
  }

  // Waits until GET /ready answers 200.
  async ready(timeoutMs = 30000) {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const answer = await fetch(`${this.url}/ready`).catch(() => null);
      if (answer?.status === 200) return;
      if (Date.now() > end) throw new Error(`not ready: ${answer ? await answer.text() : 'no answer'}\n${this.tail()}`);
      await answer?.arrayBuffer();
      await sleep(50);
    }
  }

  tail(lines = 15) {
    const last = (name) => (fs.existsSync(path.join(this.dir, 'log', `${name}.log`)) ? this.log(name).trimEnd().split('\n').slice(-lines).join('\n') : '');
    return SERVICES.map((name) => `== ${name}\n${last(name)}`).join('\n');
  }

  // One SQL statement as administrator; rows as arrays of strings.
  async sql(statement) {
    const { stdout } = await run('psql', [this.pgUrl, '-XAtq', '-F', '\t', '-v', 'ON_ERROR_STOP=1', '-c', statement]);
    return stdout.split('\n').filter(Boolean).map((line) => line.split('\t'));
  }

  async redis(...args) {
    const { stdout } = await run('redis-cli', ['-s', this.redisUrl.replace('unix://', ''), ...args.map(String)]);
    return stdout.trimEnd();
  }

  async stop() {
    let blame = this.exits.map(({ name, code, signal }) => `${name} ended by itself: ${code ?? signal}\n`).join('');
    for (const name of [...SERVICES].reverse()) {
      const status = await this.kill(name, 'SIGTERM');
      if (status) blame += `${name} ended with ${status}\n`;
    }
    await services(this.dir, 'services_stop_redis "$D" >&2; services_stop_pg "$D" >&2').catch(() => {});
    blame += reportsIn(path.join(this.dir, 'log'));
    if (blame) blame += this.tail();
    if (!process.env.REEL_KEEP) fs.rmSync(this.dir, { recursive: true, force: true });
    if (blame) throw new Error(blame);
  }
}

// Starts everything and waits until it is ready. `options.env` adds settings for every program or,
// by name (`options.user`, ...), for one.
export async function startStack(options = {}) {
  const build = path.resolve(root, options.build ?? process.env.REEL_BUILD ?? 'build/dev');
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'reelstack.'));
  fs.chmodSync(dir, 0o711); // the servers' own users must be able to enter
  makeLogFolder(dir);
  const stack = new Stack(dir, BUILD);
  try {
    await stack.startPostgres();
    await stack.startRedis();
    await stack.configure({ ...options, all: options.env });
    await stack.migrate();
    for (const name of SERVICES) stack.start(name);
    await stack.ready();
  } catch (error) {
    const blame = await stack.stop().then(() => '', (reason) => reason.message);
    throw new Error(`${error.message}\n${blame}`);
  }
  return stack;
}
