// SPDX-License-Identifier: Apache-2.0
// A reporter for `node --test`: one line a test, "ok <stage> <file>: <name>", and why one failed. With
// TEST_LOGS, a folder, that is also kept in <file>.<name>.log; the logs of services that a file with
// no failed test left there (tests/e2e/lib/logs.mjs) are removed.
import fs from 'node:fs';
import path from 'node:path';
import { inspect } from 'node:util';

const stage = process.env.TEST_STAGE ?? 'node';
const folder = process.env.TEST_LOGS;

function causes(error) {
  const text = [];
  for (let at = error; at; at = at.cause) text.push(at.stack ?? (typeof at === 'string' ? at : inspect(at)));
  return text.at(-1);
}

function keep(name, text) {
  if (folder) fs.writeFileSync(path.join(folder, `${name.replace(/[^\w.-]+/g, '-').slice(0, 100)}.log`), text);
}

export default async function* lines(events) {
  const stderr = new Map(); // of each file: the reason when it cannot even be loaded
  const failed = new Set();
  for await (const { type, data } of events) {
    if (type === 'test:stderr') stderr.set(data.file, (stderr.get(data.file) ?? '') + data.message);
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const file = data.file ? path.basename(data.file).replace(/\.test\.mjs$/, '') : '';
    // A suite, or a file as a whole, passes with its tests; it fails on its own only when it has
    // none to blame.
    const isGroup = data.details?.type === 'suite' || /\.mjs$/.test(data.name);
    const code = data.details?.error?.failureType;
    if (isGroup && (type === 'test:pass' || code === 'subtestsFailed')) continue;
    if (data.skip !== undefined) yield `skipped ${stage} ${file}: ${data.name} (${data.skip})\n`;
    else if (type === 'test:pass') yield `ok ${stage} ${file}: ${data.name}\n`;
    else {
      const why = `${causes(data.details.error)}\n${isGroup ? (stderr.get(data.file) ?? '') : ''}`;
      failed.add(file);
      keep(`${file}.${path.basename(data.name)}`, why);
      yield `FAILED ${stage} ${file}: ${data.name}\n${why}\n`;
    }
  }
  // A module that a test file imports bears its own name: any of the files may be the one that ran it.
  const isKept = (file) => failed.has(file) || [...failed].some((name) => name.endsWith('.mjs'));
  for (const name of folder ? fs.readdirSync(folder) : []) {
    if (name.endsWith('.services') && !isKept(path.parse(name).name)) fs.rmSync(path.join(folder, name), { recursive: true });
  }
}
