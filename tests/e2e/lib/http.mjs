// One HTTP request with nothing added or repaired: targets, headers and bodies go out as they are
// given, which fetch does not allow.
import http from 'node:http';

export const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });

// Answers { status, reason, headers, bytes, body }; body is parsed when it is JSON. `body` is a
// string or bytes; `endless` takes the head of the answer and goes away, `headOnly` announces a body
// and never sends it.
export function send(url, method, target, { headers = {}, body, endless = false, headOnly = false, timeoutMs = 30000 } = {}) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const length = body === undefined ? (method === 'GET' || method === 'DELETE' ? {} : { 'content-length': 0 }) : { 'content-length': Buffer.byteLength(body) };
    const single = endless || headOnly;
    const request = http.request({ hostname, port, method, path: target, headers: { ...(single ? {} : length), ...headers }, agent: single ? false : agent });
    request.setTimeout(timeoutMs, () => request.destroy(new Error(`${method} ${target}: no answer in ${timeoutMs} ms`)));
    request.on('error', reject);
    request.on('response', (answer) => {
      const chunks = [];
      const done = () => {
        const bytes = Buffer.concat(chunks);
        const isJson = /\bjson\b/.test(answer.headers['content-type'] ?? '') && bytes.length > 0;
        resolve({ method, target, status: answer.statusCode, reason: answer.statusMessage, headers: answer.headers, bytes, body: isJson ? JSON.parse(bytes) : bytes });
        if (single) request.destroy();
      };
      answer.on('data', (chunk) => chunks.push(chunk));
      answer.on('end', done);
      answer.on('error', () => {});
      if (endless && answer.statusCode === 200) done();
    });
    if (headOnly && !headers['content-length']) {
      request.useChunkedEncodingByDefault = false;
      request.removeHeader('content-length');
      request.end();
    } else if (headOnly) request.flushHeaders();
    else request.end(body);
  });
}
