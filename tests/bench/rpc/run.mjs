// The RPC core beside gRPC C++: a 64-byte echo over a Unix socket at 1, 16 and 64 calls in flight by
// callback, and one at a time by the blocking stub.
// Rounds are interleaved; medians, spread and ratios are printed and written as JSON.
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';

const run = promisify(execFile);
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    ms: { type: 'string', default: '1500' },
    build: { type: 'string', default: 'build/dev' },
    json: { type: 'string' },
  },
});

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

async function round(system, inFlight) {
  const { stdout } = await run(system.program, ['client', system.url, String(inFlight), options.ms]);
  const [calls, seconds, p50, p99] = stdout.trim().split(' ').map(Number);
  return { rate: calls / seconds, p50, p99 };
}

function summary(rounds) {
  const rates = rounds.map((r) => r.rate);
  return { rate: median(rates), low: Math.min(...rates), high: Math.max(...rates), p50: median(rounds.map((r) => r.p50)), p99: median(rounds.map((r) => r.p99)) };
}

async function main() {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'rpcbench.'));
  const bin = path.resolve(options.build, 'bin');
  const systems = [
    { name: 'reelmesh', program: path.join(bin, 'reel_bench'), url: `ipc://${dir}/reel.sock` },
    { name: 'grpc', program: path.join(bin, 'grpc_bench'), url: `unix:${dir}/grpc.sock` },
  ];
  const servers = systems.map((system) => spawn(system.program, ['server', system.url], { stdio: 'ignore' }));
  const rows = [];
  try {
    await sleep(500);
    console.log(`64-byte echo over a Unix socket, ${options.rounds} interleaved rounds of ${options.ms} ms`);
    console.log('in flight  system      calls/s (median)    lowest   highest   p50 us   p99 us');
    for (const [label, inFlight] of [['blocking', 0], ['1', 1], ['16', 16], ['64', 64]]) {
      const results = systems.map(() => []);
      for (let i = 0; i < Number(options.rounds); i++) {
        for (const [k, system] of systems.entries()) results[k].push(await round(system, inFlight));
      }
      const [ours, theirs] = results.map(summary);
      for (const [k, row] of [ours, theirs].entries()) {
        console.log(`${label.padStart(9)}  ${systems[k].name.padEnd(10)} ${row.rate.toFixed(0).padStart(17)} ${row.low.toFixed(0).padStart(9)} ${row.high.toFixed(0).padStart(9)} ${String(row.p50).padStart(8)} ${String(row.p99).padStart(8)}`);
      }
      console.log(`           ratio ${(ours.rate / theirs.rate).toFixed(2)} in calls/s, ${(ours.p50 / theirs.p50).toFixed(2)} in p50`);
      rows.push({ inFlight: label, reelmesh: ours, grpc: theirs });
    }
    if (options.json) fs.writeFileSync(options.json, JSON.stringify({ bench: 'rpc', rows }, null, 2));
  } finally {
    for (const server of servers) server.kill('SIGKILL');
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

await main();
