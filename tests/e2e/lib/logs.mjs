// Where the services of a test write their logs.
import fs from 'node:fs';
import path from 'node:path';

let stacks = 0;

// Makes `<dir>/log`. With TEST_LOGS, a folder, it is a link into that folder, so that the logs outlive
// the stack; scripts/lib/node-lines.mjs removes them when the tests of the file have passed.
export function makeLogFolder(dir) {
  const link = path.join(dir, 'log');
  if (!process.env.TEST_LOGS) return fs.mkdirSync(link, { recursive: true });
  const file = path.basename(process.argv[1] ?? '').replace(/\.test\.mjs$/, '');
  const kept = path.join(process.env.TEST_LOGS, `${file}.services`, String(++stacks));
  fs.rmSync(kept, { recursive: true, force: true });
  fs.mkdirSync(kept, { recursive: true });
  fs.symlinkSync(kept, link);
}
