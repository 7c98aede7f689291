// What a build with a sanitizer needs to be told, and what it tells.
import fs from 'node:fs';
import path from 'node:path';

const root = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../../..');

// The build that is tested: REEL_BUILD, by default build/dev.
export const BUILD = path.resolve(root, process.env.REEL_BUILD ?? 'build/dev');
// A sanitizer takes memory of its own, so that limits on memory say nothing.
export const SANITIZED = /^REEL_SANITIZE:\w+=\w/m.test(cacheOf(BUILD));
// By what everything that a test bounds may take longer.
export const PATIENCE = SANITIZED ? 3 : 1;

const REPORT = /Sanitizer: |: runtime error: /;

function cacheOf(build) {
  const file = path.join(build, 'CMakeCache.txt');
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
}

// The settings of the sanitizers' run-times for a service; other builds ignore them.
export function sanitizerOptions() {
  const names = ['ASAN_OPTIONS', 'UBSAN_OPTIONS', 'TSAN_OPTIONS', 'LSAN_OPTIONS'];
  const given = Object.fromEntries(names.filter((name) => process.env[name]).map((name) => [name, process.env[name]]));
  const ours = (name) => `suppressions=${path.join(root, 'tests/e2e/lib', name)}:print_suppressions=0`;
  return { TSAN_OPTIONS: ours('tsan.supp'), LSAN_OPTIONS: ours('lsan.supp'), ...given };
}

// The first report of a sanitizer in each log of a folder, with the log's name; none is ''.
export function reportsIn(folder) {
  return fs.readdirSync(folder).filter((name) => name.endsWith('.log')).map((name) => {
    const lines = fs.readFileSync(path.join(folder, name), 'utf8').split('\n');
    const first = lines.findIndex((line) => REPORT.test(line));
    return first < 0 ? '' : `${name}: ${lines.slice(first, first + 30).join('\n')}\n`;
  }).join('');
}
