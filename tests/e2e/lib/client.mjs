// A REST client of the gateway, as a web application would write it.
import { createReadStream, statSync } from 'node:fs';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { PATIENCE } from './sanitizers.mjs';

export const TERMINAL = new Set(['completed', 'failed', 'cancelled']);

export class Client {
  constructor(url, token = null) {
    this.url = url;
    this.token = token;
    this.timeoutMs = 30000 * PATIENCE;
  }

  headers(extra = {}) {
    return { ...(this.token ? { authorization: `Bearer ${this.token}` } : {}), ...extra };
  }

  // Answers { status, headers, body }; body is parsed when it is JSON.
  async request(method, target, { json, body, headers = {} } = {}) {
    const init = { method, headers: this.headers(headers), body, signal: AbortSignal.timeout(this.timeoutMs) };
    if (json !== undefined) {
      init.body = JSON.stringify(json);
      init.headers['content-type'] ??= 'application/json';
    }
    if (body?.pipe) init.duplex = 'half';
    const answer = await fetch(this.url + target, init);
    const type = answer.headers.get('content-type') ?? '';
    const bytes = Buffer.from(await answer.arrayBuffer());
    return { status: answer.status, headers: answer.headers, body: type.includes('json') && bytes.length ? JSON.parse(bytes) : bytes };
  }

  get(target, options) {
    return this.request('GET', target, options);
  }

  post(target, json, options = {}) {
    return this.request('POST', target, { json, ...options });
  }

  upload(file, name = path.basename(file)) {
    return this.request('POST', '/api/videos/upload', {
      body: createReadStream(file),
      headers: { filename: encodeURIComponent(name), 'content-length': String(statSync(file).size) },
    });
  }

  // Polls a job until it has ended and answers it.
  async job(jobId, timeoutMs = 60000) {
    const end = Date.now() + timeoutMs * PATIENCE;
    for (;;) {
      const { status, body } = await this.get(`/api/jobs/status/${jobId}`).catch((error) => ({ status: 0, body: String(error) }));
      if (status === 200 && TERMINAL.has(body.state)) return body;
      if (Date.now() > end) throw new Error(`job ${jobId} has not ended: ${status} ${JSON.stringify(body)}`);
      await sleep(50);
    }
  }
}

// Registers a new user and signs in.
export async function newUser(url, name = `u${randomBytes(6).toString('hex')}`) {
  const client = new Client(url);
  const password = randomBytes(9).toString('base64url');
  const registered = await client.post('/api/auth/register', { username: name, email: `${name}@example.com`, password });
  if (registered.status !== 201) throw new Error(`register: ${registered.status} ${JSON.stringify(registered.body)}`);
  const login = await client.post('/api/auth/login', { username: name, password });
  if (login.status !== 200) throw new Error(`login: ${login.status} ${JSON.stringify(login.body)}`);
  return Object.assign(new Client(url, login.body.accessToken), { user: login.body.user, password, refreshToken: login.body.refreshToken });
}
