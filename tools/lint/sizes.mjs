// SPDX-License-Identifier: Apache-2.0
// Reads ctags' JSON on stdin and the list of files named by the argument; prints what is too large.
import { readFileSync } from 'node:fs';

const MAX = { file: 700, lines: 80, complexity: 15 };
const NOISE = /\/\*[^]*?\*\/|\/\/[^\n]*|"(\\.|[^"\\\n])*"|'(\\.|[^'\\\n])*'/g;
const BRANCH = /\b(if|for|while|case)\b|&&|\|\||\?/g;

const problems = [];
const code = new Map();

function linesOf(path) {
  if (!code.has(path)) {
    const text = readFileSync(path, 'utf8').replace(NOISE, (s) => s.replace(/[^\n]/g, ' '));
    code.set(path, text.split('\n'));
  }
  return code.get(path);
}

function check(where, what, value, max) {
  if (value > max) problems.push(`${where}: ${what} is ${value}, at most ${max} is allowed`);
}

for (const path of readFileSync(process.argv[2], 'utf8').split('\n').filter(Boolean)) {
  check(path, 'length in lines', readFileSync(path, 'utf8').split('\n').length - 1, MAX.file);
}
for (const line of readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  const tag = JSON.parse(line);
  if (!tag.end) continue;
  const where = `${tag.path}:${tag.line}: ${tag.name}()`;
  const body = linesOf(tag.path).slice(tag.line - 1, tag.end).join('\n');
  check(where, 'length in lines', tag.end - tag.line + 1, MAX.lines);
  check(where, 'complexity', 1 + (body.match(BRANCH) ?? []).length, MAX.complexity);
}
for (const problem of problems) console.error(problem);
process.exit(problems.length ? 1 : 0);
