// A 4 GiB upload and its ranged download in constant memory: the resident set of every service stays
// under 64 MiB above idle. LARGE_BYTES sets another size.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { newUser } from './lib/client.mjs';
import { SANITIZED } from './lib/sanitizers.mjs';
import { startStack, SERVICES } from './lib/stack.mjs';

const run = promisify(execFile);
const BYTES = Number(process.env.LARGE_BYTES ?? 4 * 2 ** 30);
const ALLOWED = 64 * 2 ** 20;

const rss = (pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;

// A real clip, followed by a `free` box that fills it up to `bytes`: sparse on disk, yet every byte
// is sent.
function largeClip(dir, bytes) {
  const file = path.join(dir, 'large.mp4');
  execFileSync('ffmpeg', ['-v', 'error', '-y', '-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=25:duration=2', '-c:v', 'libx264', '-preset', 'ultrafast', '-movflags', '+faststart', file]);
  const { size } = fs.statSync(file);
  const box = Buffer.alloc(16);
  box.writeUInt32BE(1, 0);
  box.write('free', 4);
  box.writeBigUInt64BE(BigInt(bytes - size), 8);
  fs.appendFileSync(file, box);
  fs.truncateSync(file, bytes);
  return file;
}

const residentSets = (stack) => Object.fromEntries(SERVICES.map((name) => [name, rss(stack.pid(name))]));

// Samples the resident set of every service until `work` is done; answers the growth of each above
// `idle`, in KiB.
async function watch(stack, idle, work) {
  const peak = { ...idle };
  const timer = setInterval(() => {
    for (const name of SERVICES) peak[name] = Math.max(peak[name], rss(stack.pid(name)));
  }, 25);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return Object.fromEntries(SERVICES.map((name) => [name, Math.round((peak[name] - idle[name]) / 2 ** 10)]));
}

test(`${BYTES} bytes up and down in constant memory`, { timeout: 900000 }, async (t) => {
  const stack = await startStack();
  t.after(() => stack.stop());
  const user = await newUser(stack.url);
  const file = largeClip(stack.dir, BYTES);
  const auth = ['-H', `Authorization: Bearer ${user.token}`];
  const idle = residentSets(stack); // one for both ways: what an upload leaves behind counts
  let video;

  const up = await watch(stack, idle, async () => {
    const { stdout } = await run('curl', ['-sS', '--fail-with-body', '-X', 'POST', '-T', file, '-H', 'filename: large.mp4', ...auth, `${stack.url}/api/videos/upload`]);
    video = JSON.parse(stdout);
  });
  assert.equal(video.sizeBytes, String(BYTES));
  t.diagnostic(`upload: growth in KiB ${JSON.stringify(up)}`);

  const asset = `${stack.url}/api/videos/asset?videoId=${video.videoId}&type=original`;
  const down = await watch(stack, idle, async () => {
    await run('curl', ['-sS', '--fail', '-o', '/dev/null', '-r', '1024-', ...auth, asset]);
  });
  t.diagnostic(`ranged download: growth in KiB ${JSON.stringify(down)}`);

  for (const [name, kib] of [...Object.entries(up), ...Object.entries(down)]) {
    assert.ok(SANITIZED || kib * 1024 < ALLOWED, `${name} grew by ${kib} KiB`);
  }
  const from = BYTES - 2 ** 20;
  const part = await user.get(asset.slice(stack.url.length), { headers: { range: `bytes=${from}-` } });
  assert.equal(part.status, 206);
  assert.equal(part.headers.get('content-range'), `bytes ${from}-${BYTES - 1}/${BYTES}`);
  const slice = Buffer.alloc(2 ** 20);
  const fd = fs.openSync(file, 'r');
  fs.readSync(fd, slice, 0, slice.length, from);
  fs.closeSync(fd);
  const sha = (bytes) => createHash('sha256').update(bytes).digest('hex');
  assert.equal(sha(part.body), sha(slice));
});
