// SPDX-License-Identifier: Apache-2.0
// A reporter for `node --test`: one line a test, "ok <stage> <file>: <name>", and why one failed.
import path from 'node:path';

const stage = process.env.TEST_STAGE ?? 'node';

function causes(error) {
  const text = [];
  for (let at = error; at; at = at.cause) text.push(at.stack ?? String(at));
  return text.at(-1);
}

export default async function* lines(events) {
  const stderr = new Map(); // of each file: the reason when it cannot even be loaded
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
      yield `FAILED ${stage} ${file}: ${data.name}\n${causes(data.details.error)}\n`;
      if (isGroup) yield (stderr.get(data.file) ?? '') + '\n';
    }
  }
}
