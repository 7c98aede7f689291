// GET /api/auth/user through the gateway, beside the same route in Node: Express proxying to Express,
// on the same PostgreSQL and Redis, in the same run, with the same work for each request (peer/). Rounds
// are interleaved; medians, spread, ratios and processor time are printed and written as JSON.
//
// Usage: node tests/bench/http/bench.mjs [--rounds N] [--seconds N] [--connections N] [--json FILE]
//          [--against BUILD]   another build of ours in place of the Node side
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { createHmac } from 'node:crypto';
import { parseArgs, promisify } from 'node:util';
import { newUser } from '../../e2e/lib/client.mjs';
import { freePort, startStack } from '../../e2e/lib/stack.mjs';
import { cpu, cpuWithChildren } from './cpu.mjs';

const run = promisify(execFile);
const here = path.dirname(new URL(import.meta.url).pathname);
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    connections: { type: 'string', default: '64' },
    json: { type: 'string' },
    against: { type: 'string' },
  },
});
const ROUNDS = Number(options.rounds);
const ORIGIN = 'https://editor.example.com';
const JWT_SECRET = 'peer-secret-0123456789abcdef0123456789abcdef';
// Both sides count every request and refuse none.
const LIMIT = 60_000_000;

const serverPid = (stack, name) => Number(fs.readFileSync(path.join(stack.dir, 'run', `${name}.pid`), 'utf8').split(/\s/)[0]);

// One system: where it listens, with what token, and how to tell what it has used.
function target(name, base, token, pids, stack) {
  const postgres = serverPid(stack, 'postgres');
  const redis = serverPid(stack, 'redis');
  const used = () => ({ own: cpu(pids), postgres: cpuWithChildren(postgres), redis: cpu([redis]) });
  return { name, base, token, used, rounds: [] };
}

async function startOurs(name, build) {
  const stack = await startStack({ build, gateway: { REEL_CORS_ORIGINS: ORIGIN, REEL_RATE_LIMITS: `default=${LIMIT}/60` } });
  const user = await newUser(stack.url);
  return { stack, user, target: target(name, stack.url, user.token, [stack.pid('gateway'), stack.pid('user')], stack) };
}

// A Node program of the peer, once it says that it listens. What it logs goes to a file, as ours does.
async function startPeer(stack, script, env) {
  const log = fs.openSync(path.join(stack.dir, 'log', 'peer.log'), 'a');
  const child = spawn('node', [path.join(here, 'peer', script)], {
    env: { ...process.env, ...env, NODE_ENV: 'production' },
    stdio: ['ignore', log, 'inherit', 'ipc'],
  });
  fs.closeSync(log);
  await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', () => reject(new Error(`${script} ended`)));
  });
  return child;
}

function peerToken(userId, sessionId) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: userId, jti: sessionId, iss: 'peer', iat: now, exp: now + 86400 })}`;
  return `${signed}.${createHmac('sha256', JWT_SECRET).update(signed).digest('base64url')}`;
}

async function startPeers(stack, user, children) {
  const [[session]] = await stack.sql(`CREATE TABLE peer_users AS SELECT id, username, email, created_at, updated_at FROM users;
    ALTER TABLE peer_users ADD PRIMARY KEY (id);
    CREATE TABLE peer_sessions (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id uuid, expires_at timestamptz);
    INSERT INTO peer_sessions (user_id, expires_at) VALUES ('${user.user.id}', now() + interval '1 day') RETURNING id`);
  const [service, plain, alive] = [await freePort(), await freePort(), await freePort()];
  const socket = new URL(stack.pgUrl.replace('postgresql:///', 'postgresql://local/')).searchParams.get('host');
  const env = {
    DATABASE_URL: `postgresql://reel_admin@/reelmesh?host=${encodeURIComponent(socket)}`,
    REDIS_SOCKET: stack.redisUrl.replace('unix://', ''),
    TARGET: `http://127.0.0.1:${service}`,
    JWT_SECRET, ORIGIN, LIMIT: String(LIMIT),
  };
  const start = async (script, more) => {
    const child = await startPeer(stack, script, { ...env, ...more });
    children.push(child);
    return child.pid;
  };
  const servicePid = await start('user-service.mjs', { PORT: service });
  const token = peerToken(user.user.id, session);
  const row = async (name, port, more) => target(name, `http://127.0.0.1:${port}`, token, [await start('gateway.mjs', { PORT: port, ...more }), servicePid], stack);
  return [await row('node', plain, {}), await row('node keep-alive', alive, { KEEP_ALIVE: '1' })];
}

const micros = (text) => {
  const [, number, unit] = /^([\d.]+)(us|ms|s)$/.exec(text);
  return Number(number) * { us: 1, ms: 1e3, s: 1e6 }[unit];
};

// One round of wrk: requests per second, the 50th and 99th percentile, processor time of one request.
async function round({ base, token, used }) {
  const before = used();
  const { stdout } = await run('wrk', ['-t2', `-c${options.connections}`, `-d${options.seconds}s`, '--timeout', '30s', '--latency',
    '-H', `Authorization: Bearer ${token}`, '-H', `Origin: ${ORIGIN}`, `${base}/api/auth/user`]);
  const after = used();
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(stdout);
  const requests = Number(/^\s+(\d+) requests in/m.exec(stdout)[1]);
  const each = (what) => (after[what] - before[what]) / requests;
  return {
    rps: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)[1]),
    p50: micros(/^\s+50%\s+(\S+)/m.exec(stdout)[1]),
    p99: micros(/^\s+99%\s+(\S+)/m.exec(stdout)[1]),
    cpu: each('own'),
    cpuPostgres: each('postgres'),
    cpuRedis: each('redis'),
  };
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

function summary({ name, rounds }) {
  const rps = rounds.map((r) => r.rps);
  const medians = Object.fromEntries(Object.keys(rounds[0]).map((key) => [key, median(rounds.map((r) => r[key]))]));
  return { name, ...medians, low: Math.min(...rps), high: Math.max(...rps) };
}

// The same question must have the same answer on every side, or the comparison is none.
async function check({ name, base, token }) {
  const answer = await fetch(`${base}/api/auth/user`, { headers: { authorization: `Bearer ${token}`, origin: ORIGIN } });
  const body = await answer.json();
  const headers = ['x-request-id', 'ratelimit', 'ratelimit-policy', 'access-control-allow-origin', 'x-content-type-options', 'content-security-policy'];
  const missing = headers.filter((header) => !answer.headers.has(header));
  if (answer.status !== 200 || !body.user?.email || missing.length > 0) {
    throw new Error(`${name}: ${answer.status} ${JSON.stringify(body)}, without ${missing.join(', ')}`);
  }
  const refused = await fetch(`${base}/api/auth/user`, { headers: { authorization: `Bearer ${token}x` } });
  await refused.arrayBuffer();
  if (refused.status !== 401) throw new Error(`${name}: a forged token answers ${refused.status}`);
}

function print(rows) {
  console.log(`GET /api/auth/user, ${options.connections} connections, ${ROUNDS} interleaved rounds of ${options.seconds} s`);
  console.log('                       requests/s                   latency, ms      CPU per request, us            ratio to it');
  console.log('system              median   lowest  highest       p50      p99     system   postgres  redis    requests/s  CPU');
  for (const row of rows) {
    const columns = [[row.rps, 0, 7], [row.low, 0, 9], [row.high, 0, 9], [row.p50 / 1e3, 2, 10], [row.p99 / 1e3, 2, 9], [row.cpu, 1, 11],
      [row.cpuPostgres, 1, 11], [row.cpuRedis, 1, 7], [rows[0].rps / row.rps, 2, 14], [row.cpu / rows[0].cpu, 2, 7]];
    console.log(row.name.padEnd(19) + columns.map(([value, digits, width]) => value.toFixed(digits).padStart(width)).join(''));
  }
}

async function main() {
  const stacks = [];
  const children = [];
  try {
    const ours = await startOurs('reelmesh');
    stacks.push(ours.stack);
    const targets = [ours.target];
    if (options.against) {
      const other = await startOurs(options.against, options.against);
      stacks.push(other.stack);
      targets.push(other.target);
    } else {
      targets.push(...await startPeers(ours.stack, ours.user, children));
    }
    for (const each of targets) await check(each);
    for (let n = 0; n < ROUNDS; n++) {
      for (const each of targets) each.rounds.push(await round(each));
    }
    const rows = targets.map(summary);
    print(rows);
    if (options.json) fs.writeFileSync(options.json, JSON.stringify({ bench: 'http', rows }, null, 2));
  } finally {
    for (const child of children) child.kill();
    for (const stack of stacks) await stack.stop();
  }
}

await main();
