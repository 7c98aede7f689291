// What is in flight while something is restarted: clients that ask in a loop, uploads that take time.
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

// One request. Answers { status, retryAfter, body }; status 0 with `error`, the code of a connection
// that failed, and `reused`, whether that connection had carried a request before.
function ask(options) {
  return new Promise((resolve) => {
    const request = http.request(options);
    request.on('error', (error) => resolve({ status: 0, error: error.code ?? error.message, reused: request.reusedSocket }));
    request.on('response', (answer) => {
      const chunks = [];
      answer.on('data', (chunk) => chunks.push(chunk));
      answer.on('error', (error) => resolve({ status: 0, error: `in the reply: ${error.code}`, reused: false }));
      answer.on('end', () => resolve({ status: answer.statusCode, retryAfter: answer.headers['retry-after'] ?? null, body: Buffer.concat(chunks).toString() }));
    });
    request.end();
  });
}

// A connection may be closed under a request that is sent on it after a pause. No server can spare
// its clients that, and RFC 9112, 9.3.1 tells them to ask once more on a new connection.
const isCrossing = (answer) => answer.reused && ['ECONNRESET', 'EPIPE'].includes(answer.error);

// Clients that ask one after the other, each on a connection that it keeps, and record every answer.
export class Load {
  constructor(user, routes, clients = 8) {
    this.answers = [];
    this.crossings = 0;
    this.running = true;
    const loops = Array.from({ length: clients }, (_, i) => this.loop(user, routes[i % routes.length]));
    this.done = Promise.all(loops);
  }

  async loop(user, path) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const { hostname, port } = new URL(user.url);
    const options = { hostname, port, path, headers: user.headers(), agent };
    while (this.running) {
      const started = Date.now();
      let answer = await ask(options);
      if (isCrossing(answer)) {
        this.crossings += 1;
        answer = await ask({ ...options, agent: false });
      }
      this.answers.push({ ...answer, started, took: Date.now() - started });
      if (answer.status !== 200) await sleep(10);
    }
    agent.destroy();
  }

  async stop() {
    this.running = false;
    await this.done;
  }
}

const PIECES = 500;

// An upload whose bytes take `overMs` to send. `begun` resolves when a tenth of it has been sent,
// `answer` with { status, retryAfter, body } or { status: 0, error }.
export class SlowUpload {
  constructor(user, bytes, name, overMs) {
    const { hostname, port } = new URL(user.url);
    const headers = user.headers({ filename: name, 'content-length': bytes.length });
    this.request = http.request({ hostname, port, method: 'POST', path: '/api/videos/upload', headers, agent: false });
    this.answer = new Promise((resolve) => {
      this.request.on('error', (error) => resolve({ status: 0, error: error.code ?? error.message }));
      this.request.on('response', (answer) => {
        const chunks = [];
        this.answered = true;
        answer.on('data', (chunk) => chunks.push(chunk));
        answer.on('error', (error) => resolve({ status: 0, error: `in the reply: ${error.code}` }));
        answer.on('end', () => resolve({ status: answer.statusCode, retryAfter: answer.headers['retry-after'] ?? null, body: JSON.parse(Buffer.concat(chunks)) }));
      });
    });
    this.answer.then(() => { this.answered = true; });
    this.begun = new Promise((resolve) => { this.tellBegun = resolve; });
    this.send(bytes, overMs);
  }

  async send(bytes, overMs) {
    const size = Math.ceil(bytes.length / PIECES);
    for (let i = 0; i < PIECES && !this.answered; i++) {
      await new Promise((resolve) => this.request.write(bytes.subarray(i * size, (i + 1) * size), resolve));
      if (i === PIECES / 10) this.tellBegun();
      await sleep(overMs / PIECES);
    }
    if (this.answered) this.request.destroy();
    else this.request.end();
  }

  // The client goes away.
  abort() {
    this.answered = true;
    this.request.destroy();
  }
}
