// GET /api/auth/user through the gateway, beside the same route in Node: Express proxying to Express,
// on the same PostgreSQL, in the same run. Rounds are interleaved; medians, spread and ratios are
// printed and written as JSON.
//
// Usage: node tests/bench/http/bench.mjs [--rounds N] [--seconds N] [--connections N] [--json FILE]
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { newUser } from '../../e2e/lib/client.mjs';
import { freePort, startStack, UNLIMITED } from '../../e2e/lib/stack.mjs';

const run = promisify(execFile);
const here = path.dirname(new URL(import.meta.url).pathname);
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    connections: { type: 'string', default: '64' },
    json: { type: 'string' },
  },
});
const ROUNDS = Number(options.rounds);
const PEER_TOKEN = 'peer-session-token-0123456789abcdef';

// A Node program of the peer, once it says that it listens.
function startPeer(script, env) {
  const child = spawn('node', [path.join(here, 'peer', script)], { env: { ...process.env, ...env, NODE_ENV: 'production' }, stdio: ['ignore', 'pipe', 'inherit'] });
  return new Promise((resolve, reject) => {
    child.stdout.once('data', () => resolve(child));
    child.once('exit', () => reject(new Error(`${script} ended`)));
  });
}

async function startPeers(stack, user) {
  await stack.sql(`CREATE TABLE peer_users AS SELECT id, username, email FROM users;
    ALTER TABLE peer_users ADD PRIMARY KEY (id);
    CREATE TABLE peer_sessions (token text PRIMARY KEY, user_id uuid, expires_at timestamptz);
    INSERT INTO peer_sessions VALUES ('${PEER_TOKEN}', '${user.user.id}', now() + interval '1 day')`);
  const [service, plain, alive] = [await freePort(), await freePort(), await freePort()];
  const socket = new URL(stack.pgUrl.replace('postgresql:///', 'postgresql://local/')).searchParams.get('host');
  const env = { DATABASE_URL: `postgresql://reel_admin@/reelmesh?host=${encodeURIComponent(socket)}` };
  const children = [
    await startPeer('user-service.mjs', { ...env, PORT: service }),
    await startPeer('gateway.mjs', { TARGET: `http://127.0.0.1:${service}`, PORT: plain }),
    await startPeer('gateway.mjs', { TARGET: `http://127.0.0.1:${service}`, PORT: alive, KEEP_ALIVE: '1' }),
  ];
  return { children, plain: `http://127.0.0.1:${plain}`, alive: `http://127.0.0.1:${alive}` };
}

const micros = (text) => {
  const [, number, unit] = /^([\d.]+)(us|ms|s)$/.exec(text);
  return Number(number) * { us: 1, ms: 1e3, s: 1e6 }[unit];
};

// One round of wrk: requests per second and the 50th and 99th percentile.
async function wrk(base, token) {
  const { stdout } = await run('wrk', ['-t2', `-c${options.connections}`, `-d${options.seconds}s`, '--timeout', '30s', '--latency', '-H', `Authorization: Bearer ${token}`, `${base}/api/auth/user`]);
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(stdout);
  return {
    rps: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)[1]),
    p50: micros(/^\s+50%\s+(\S+)/m.exec(stdout)[1]),
    p99: micros(/^\s+99%\s+(\S+)/m.exec(stdout)[1]),
  };
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

function summary(name, rounds) {
  const rps = rounds.map((round) => round.rps);
  return { name, rps: median(rps), low: Math.min(...rps), high: Math.max(...rps), p50: median(rounds.map((r) => r.p50)), p99: median(rounds.map((r) => r.p99)) };
}

async function main() {
  const stack = await startStack({ env: { REEL_LOG_LEVEL: 'warn' }, gateway: { REEL_RATE_LIMITS: UNLIMITED } });
  let peers = { children: [] };
  try {
    const user = await newUser(stack.url);
    peers = await startPeers(stack, user);
    const targets = [
      { name: 'reelmesh', base: stack.url, token: user.token },
      { name: 'node', base: peers.plain, token: PEER_TOKEN },
      { name: 'node keep-alive', base: peers.alive, token: PEER_TOKEN },
    ];
    for (const target of targets) target.rounds = [];
    for (let round = 0; round < ROUNDS; round++) {
      for (const target of targets) target.rounds.push(await wrk(target.base, target.token));
    }
    const rows = targets.map((target) => summary(target.name, target.rounds));
    console.log(`GET /api/auth/user, ${options.connections} connections, ${ROUNDS} interleaved rounds of ${options.seconds} s`);
    console.log('system            req/s (median)   lowest  highest   p50 ms   p99 ms   ratio to it');
    for (const row of rows) {
      console.log(`${row.name.padEnd(17)} ${row.rps.toFixed(0).padStart(14)} ${row.low.toFixed(0).padStart(8)} ${row.high.toFixed(0).padStart(8)} ` +
        `${(row.p50 / 1e3).toFixed(2).padStart(8)} ${(row.p99 / 1e3).toFixed(2).padStart(8)} ${(rows[0].rps / row.rps).toFixed(1).padStart(13)}`);
    }
    if (options.json) fs.writeFileSync(options.json, JSON.stringify({ bench: 'http', rows }, null, 2));
  } finally {
    for (const child of peers.children) child.kill();
    await stack.stop();
  }
}

await main();
