// The description that the gateway gives of itself, and answers held against it.
import assert from 'node:assert/strict';
import http from 'node:http';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

const VERBS = ['get', 'put', 'post', 'delete', 'patch'];

// What the OpenAPI 3.1 specification and the usual rules of the linter find wrong, as sentences.
export async function lint(text) {
  const config = await createConfig({
    extends: ['recommended-strict'],
    rules: {
      // The Node system's paths: /api/jobs/status/{jobId} beside /api/jobs/{jobId}/cancel.
      'no-ambiguous-paths': 'off',
    },
  });
  const problems = await lintFromString({ source: text, absoluteRef: 'openapi.json', config });
  return problems.map((problem) => `${problem.ruleId}: ${problem.message} at ${problem.location[0]?.pointer}`);
}

export class Description {
  constructor(api) {
    this.api = api;
    this.operations = new Map(); // "GET /api/videos" -> operation
    for (const [path, item] of Object.entries(api.paths)) {
      for (const verb of VERBS) if (item[verb]) this.operations.set(`${verb.toUpperCase()} ${path}`, item[verb]);
    }
    // The answers are held against a closed form: a field that the description lacks is a fault.
    this.ajv = new Ajv2020({ strict: false, allErrors: true });
    addFormats(this.ajv);
    this.ajv.addSchema({ $id: 'api', ...closed(api) });
    this.validators = new Map();
  }

  statuses(key) {
    return Object.keys(this.operations.get(key).responses);
  }

  resolve(node) {
    return node?.$ref ? node.$ref.slice(2).split('/').reduce((at, name) => at[name.replaceAll('~1', '/').replaceAll('~0', '~')], this.api) : node;
  }

  response(key, status) {
    return this.resolve(this.operations.get(key).responses[status]);
  }

  // The properties that the JSON body of an operation may have, {} without one.
  bodyProperties(key) {
    const schema = this.operations.get(key).requestBody?.content['application/json']?.schema;
    return this.resolve(schema)?.properties ?? {};
  }

  // Holds an answer against the response that the description promises for it.
  check(key, answer) {
    const response = this.response(key, answer.status);
    assert.ok(response, `${key} answered ${answer.status}, which is not documented`);
    for (const [name, header] of Object.entries(response.headers ?? {})) {
      if (this.resolve(header).required) assert.ok(answer.headers[name.toLowerCase()], `${key} ${answer.status}: header ${name}`);
    }
    if (!response.content || answer.method === 'HEAD') return;
    const type = (answer.headers['content-type'] ?? '').split(';')[0];
    const [range, media] = Object.entries(response.content).find(([range]) => range === '*/*' || range === type) ?? [];
    assert.ok(media, `${key} ${answer.status}: ${type} is not one of ${Object.keys(response.content)}`);
    if (!/json$/.test(type) || range === '*/*') return;
    const validate = this.validator(media.schema);
    assert.ok(validate(answer.body), `${key} ${answer.status}: ${this.ajv.errorsText(validate.errors)} in ${JSON.stringify(answer.body)}`);
  }

  validator(schema) {
    const text = JSON.stringify(schema);
    if (!this.validators.has(text)) this.validators.set(text, this.ajv.compile(JSON.parse(text.replaceAll('"#/', '"api#/'))));
    return this.validators.get(text);
  }
}

function closed(node) {
  if (Array.isArray(node)) return node.map(closed);
  if (node === null || typeof node !== 'object') return node;
  const copy = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, closed(value)]));
  if (copy.type === 'object' && copy.properties && copy.additionalProperties === undefined) copy.additionalProperties = false;
  return copy;
}

// What every failure promises to whoever has to make sense of it.
export function checkProblem(answer) {
  const where = `${answer.method} ${answer.target.slice(0, 200)} ${answer.status} ${answer.bytes.subarray(0, 600)}`;
  assert.equal(answer.headers['content-type'], 'application/problem+json', where);
  const problem = answer.body;
  assert.equal(problem.status, answer.status, where);
  assert.equal(problem.title, answer.reason, where);
  assert.equal(problem.title, { 413: 'Content Too Large', 422: 'Unprocessable Content' }[answer.status] ?? http.STATUS_CODES[answer.status], where);
  assert.match(problem.type, /^(about:blank|https?:\/\/\S+)$/, where);
  assert.equal(problem.error, problem.detail, where);
  assert.match(problem.code, /^[A-Z_]+$/, where);
  assert.equal(problem.requestId, answer.headers['x-request-id'], where);
  assert.ok(problem.requestId, where);
  // A sentence or two for people, without anything of the insides.
  assert.match(problem.detail, /^\S.{15,}\S$/su, where);
  assert.doesNotMatch(problem.detail, /\b(errno|SQL|psql|relation|NULL|nng|hiredis|redis|0x[0-9a-f]+|\/(tmp|var|work)\/)/i, where);
  assert.match(answer.headers['cache-control'], /no-store|no-cache/, where);
  assert.equal(answer.headers['x-content-type-options'], 'nosniff', where);
  if (answer.status === 401) assert.match(answer.headers['www-authenticate'], /^Bearer realm="/, where);
  if (answer.status === 405) assert.match(answer.headers.allow, /^[A-Z]+(, [A-Z]+)*$/, where);
  if (answer.status === 416) assert.match(answer.headers['content-range'], /^bytes \*\/\d+$/, where);
  if ([429, 503].includes(answer.status)) assert.match(answer.headers['retry-after'], /^[1-9]\d*$/, where);
  for (const error of problem.errors ?? []) {
    assert.ok(error.detail.length > 5, where);
    assert.ok((error.pointer === undefined) !== (error.parameter === undefined), where);
    if (error.pointer !== undefined) assert.match(error.pointer, /^#(\/|$)/, where);
  }
}
