// SPDX-License-Identifier: Apache-2.0
// What docs/protocol.md promises, asked by a client that knows nothing else.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import protobuf from 'protobufjs';
import { CookedClient, Kind, MeshClient, SpSocket, pack, unpack } from './mesh.mjs';

const KEY = 'key-of-the-gateway';
const echo = protobuf.parse(
  readFileSync(new URL('../rpc/echo.proto', import.meta.url), 'utf8'), { keepCase: true }).root;
const type = (name) => echo.lookupType(`echo.${name}`);
const encode = (name, object) =>
  Buffer.from(type(name).encode(type(name).fromObject(object)).finish());
const decode = (name, bytes) => type(name).decode(bytes);

let server;
let url;
let eventsUrl;

before(async () => {
  server = spawn(process.env.PROTOCOL_SERVER, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: server.stdout });
  [url, eventsUrl] = (await lines[Symbol.asyncIterator]().next()).value.split(' ');
});

after(() => server.stdin.end());

async function withClient(work, ...rest) {
  const client = new MeshClient(url, 'gateway', KEY, ...rest);
  try {
    await work(client);
  } finally {
    client.close();
  }
}

async function withCooked(work) {
  const client = new CookedClient(url);
  try {
    await work(client);
  } finally {
    client.close();
  }
}

const identity = [{ key: 'reel-service', value: 'gateway' }, { key: 'reel-key', value: KEY }];

test('HELLO is answered with the limits of the server', () => withClient(async (client) => {
  const hello = await client.greeting;
  assert.equal(hello.status?.code ?? 0, 0);
  assert.equal(hello.hello.service, 'echo');
  assert.equal(hello.hello.window, 32);
  assert.equal(Number(hello.hello.stream_credit), 262144);
  assert.equal(Number(hello.hello.max_message_bytes), 4194304);
}));

test('a unary call is answered', () => withClient(async (client) => {
  const answer = await client.unary('/echo.EchoService/Echo',
    encode('EchoRequest', { payload: Buffer.from('hello') }));
  assert.equal(answer.code, 0);
  assert.equal(Buffer.from(decode('EchoResponse', answer.payload).payload).toString(), 'hello');
}));

test('two thousand calls in flight all come back', () => withClient(async (client) => {
  const answers = await Promise.all(Array.from({ length: 2000 }, (_, i) =>
    client.unary('/echo.EchoService/EchoBlocking',
      encode('EchoRequest', { payload: Buffer.from(`call ${i}`) }))));
  answers.forEach((answer, i) => {
    // 1,024 may wait for a worker; the others are refused, and said so.
    if (answer.code === 8) return;
    assert.equal(answer.code, 0);
    assert.equal(Buffer.from(decode('EchoResponse', answer.payload).payload).toString(),
      `call ${i}`);
  });
  assert.ok(answers.filter(({ code }) => code === 0).length >= 1000);
}));

test('status, violations and retry hint come back', () => withClient(async (client) => {
  const answer = await client.unary('/echo.EchoService/Work',
    encode('WorkRequest', { code: 5, message: 'kein Video: ä', violation: 'video.id' }));
  assert.equal(answer.code, 5);
  assert.equal(answer.message, 'kein Video: ä');
  assert.deepEqual(answer.violations.map(({ field }) => field), ['video.id']);
}));

test('metadata reaches the handler', () => withClient(async (client) => {
  const answer = await client.unary('/echo.EchoService/WhoAmI',
    encode('WhoAmIRequest', { metadata_key: 'x-data-bin' }),
    { metadata: { 'x-data-bin': 'AAH/', 'reel-user-id': 'u-1', 'reel-request-id': 'r-1' } });
  const who = decode('WhoAmIResponse', answer.payload);
  assert.equal(who.peer, 'gateway');
  assert.equal(who.user_id, 'u-1');
  assert.equal(who.request_id, 'r-1');
  assert.equal(who.metadata_value, 'AAH/');
}));

test('a server stream arrives whole, with credit', () => withClient(async (client) => {
  const call = client.start('/echo.EchoService/Split',
    { payload: encode('SplitRequest', { count: 500, chunk_bytes: 10000 }) });
  const answer = await call.response;
  assert.equal(answer.code, 0);
  assert.equal(call.messages.length, 500);
  assert.ok(call.messages.every((m) => decode('Chunk', m).data.length === 10000));
}));

test('a client stream arrives whole, with credit', () => withClient(async (client) => {
  const call = client.start('/echo.EchoService/Join');
  const chunk = encode('Chunk', { data: Buffer.alloc(20000) });
  for (let i = 0; i < 200; i++) await call.send(chunk);
  call.end();
  const answer = await call.response;
  assert.equal(answer.code, 0);
  const joined = decode('JoinResponse', answer.payload);
  assert.equal(Number(joined.chunks), 200);
  assert.equal(Number(joined.bytes), 4000000);
}));

test('a stream both ways answers each message', () => withClient(async (client) => {
  const call = client.start('/echo.EchoService/Chat');
  for (let i = 0; i < 20; i++) await call.send(encode('Chunk', { data: Buffer.from([i]) }));
  call.end();
  assert.equal((await call.response).code, 0);
  assert.deepEqual(call.messages.map((m) => decode('Chunk', m).data[0]),
    Array.from({ length: 20 }, (_, i) => i));
}));

test('a client that overdraws its credit is told', () => withClient(async (client) => {
  // Split reads one message and no more, so that nothing is given back.
  const call = client.start('/echo.EchoService/Split');
  await call.send(encode('SplitRequest', { count: 1000000, chunk_bytes: 1000 }));
  const chunk = encode('Chunk', { data: Buffer.alloc(100000) });
  for (let i = 0; i < 100; i++) client.put({ kind: Kind.DATA, call_id: call.id, payload: chunk });
  assert.equal((await call.response).code, 8);
}));

test('a cancelled call frees its handler; others go on', () => withClient(async (client) => {
  const call = client.start('/echo.EchoService/Work',
    { payload: encode('WorkRequest', { until_cancelled: true }) });
  call.cancel();
  assert.equal((await client.unary('/echo.EchoService/Echo', Buffer.alloc(0))).code, 0);
}));

test('a deadline is enforced by the server', () => withClient(async (client) => {
  const answer = await client.unary('/echo.EchoService/Work',
    encode('WorkRequest', { until_cancelled: true }), { timeout_us: 50000 });
  assert.equal(answer.code, 4);
}));

test('PING is answered', () => withClient((client) => client.ping()));

test('a wrong key is UNAUTHENTICATED, in HELLO and in each call', async () => {
  const client = new MeshClient(url, 'gateway', 'wrong');
  const answer = await client.unary('/echo.EchoService/Echo', Buffer.alloc(0));
  assert.equal(answer.code, 16);
  assert.equal((await client.greeting).status.code, 16);
  client.close();
});

test('version 2 is UNIMPLEMENTED, and the connection lives', () => withClient(async (client) => {
  assert.equal((await client.greeting).status.code, 12);
  assert.equal((await client.unary('/echo.EchoService/Echo', Buffer.alloc(0))).code, 12);
  await client.ping();
}, { version: 2 }));

test('unknown methods and services are UNIMPLEMENTED', () => withClient(async (client) => {
  assert.equal((await client.unary('/echo.EchoService/Nope', Buffer.alloc(0))).code, 12);
  assert.equal((await client.unary('/nope.Nope/Nope', Buffer.alloc(0))).code, 12);
  assert.equal((await client.unary('', Buffer.alloc(0))).code, 12);
}));

test('a message beyond the limit is RESOURCE_EXHAUSTED', () => withClient(async (client) => {
  const answer = await client.unary('/echo.EchoService/Echo',
    encode('EchoRequest', { payload: Buffer.alloc(4194304) }));
  assert.equal(answer.code, 8);
  assert.match(answer.message, /4194309.*4194304/);
  await client.ping();
}));

test('an SP message beyond the limit ends the connection, and only that', async () => {
  const sp = new SpSocket(url, 0x30, 0x31);
  sp.socket.write(Buffer.from([0, 0, 1, 0, 0, 0, 0, 0])); // announces a terabyte
  await assert.rejects(sp.receive(), /closed/);
  await withClient((client) => client.ping());
});

test('metadata beyond the limit is RESOURCE_EXHAUSTED', () => withClient(async (client) => {
  const answer = await client.unary('/echo.EchoService/Echo', Buffer.alloc(0),
    { metadata: { 'x-long': 'a'.repeat(9000) } });
  assert.equal(answer.code, 8);
}));

test('a call_id of 0 or in use is INVALID_ARGUMENT', () => withClient(async (client) => {
  await client.greeting;
  const call = client.start('/echo.EchoService/Chat');
  client.nextId = call.id;
  const double = client.start('/echo.EchoService/Echo', { payload: Buffer.alloc(0) });
  assert.equal((await double.response).code, 3);
  client.put({ kind: Kind.REQUEST, method: '/echo.EchoService/Echo' });
  await client.ping();
  assert.equal(client.strays[0].status.code, 3);
}));

test('frames of a later version and of unknown calls are ignored', () => withClient(async (client) => {
  client.put({ kind: 77, call_id: 5 });
  client.put({ kind: Kind.DATA, call_id: 12345, payload: Buffer.from('x') });
  client.put({ kind: Kind.CANCEL, call_id: 12345 });
  await client.ping();
  assert.equal(client.strays.length, 0);
}));

test('bytes that are no packet are INVALID_ARGUMENT, and the connection lives', () =>
  withClient(async (client) => {
    await client.greeting;
    client.sp.send(Buffer.concat([Buffer.from([0x80, 0, 0, 1]), Buffer.from([0xff, 0xff, 0xff])]));
    await client.ping();
    assert.equal(client.strays[0].status.code, 3);
  }));

test('GOAWAY is answered, after which nothing comes', () => withClient(async (client) => {
  const call = client.start('/echo.EchoService/Split',
    { payload: encode('SplitRequest', { count: 100000, chunk_bytes: 1000 }) });
  client.put({ kind: Kind.GOAWAY, call_id: 99 });
  assert.equal(Number((await client.goaway).call_id), 99);
  const before = call.messages.length;
  await new Promise((resolve) => { setTimeout(resolve, 100); });
  assert.equal(call.messages.length, before);
}));

test('cooked: one request, one answer', () => withCooked(async (client) => {
  for (const text of ['one', 'two', 'three']) {
    const packet = await client.exchange({ version: 1, frames: [{ kind: Kind.REQUEST, call_id: 7,
      method: '/echo.EchoService/Echo', metadata: identity,
      payload: encode('EchoRequest', { payload: Buffer.from(text) }) }] });
    assert.equal(packet.frames.length, 1);
    assert.equal(packet.frames[0].kind, Kind.RESPONSE);
    assert.equal(Number(packet.frames[0].call_id), 7);
    const { payload } = decode('EchoResponse', packet.frames[0].payload);
    assert.equal(Buffer.from(payload).toString(), text);
  }
}));

test('cooked: the answer has the id of its request', async () => {
  const sp = new SpSocket(url, 0x30, 0x31);
  const ids = new Set();
  for (let i = 1; i <= 10; i++)
    sp.send(Buffer.concat([Buffer.from([0x80, 0, 0, i]),
      pack({ version: 1, frames: [{ kind: Kind.REQUEST, call_id: i, metadata: identity,
        method: '/echo.EchoService/EchoBlocking', payload: Buffer.alloc(0) }] })]));
  for (let i = 1; i <= 10; i++) {
    const content = await sp.receive();
    assert.equal(Number(unpack(content).frames[0].call_id), content[3]);
    ids.add(content[3]);
  }
  assert.equal(ids.size, 10);
  sp.close();
});

test('cooked: no key, a wrong key, a stream, two frames, none, garbage', () =>
  withCooked(async (client) => {
    const request = { kind: Kind.REQUEST, call_id: 1, method: '/echo.EchoService/Echo' };
    const code = async (packet) => (await client.exchange(packet)).frames[0].status?.code ?? 0;
    assert.equal(await code({ version: 1, frames: [request] }), 16);
    assert.equal(await code({ version: 1, frames: [{ ...request,
      metadata: [identity[0], { key: 'reel-key', value: 'wrong' }] }] }), 16);
    assert.equal(await code({ version: 1, frames: [{ ...request, metadata: identity,
      method: '/echo.EchoService/Chat' }] }), 3);
    assert.equal(await code({ version: 1, frames: [{ kind: Kind.DATA, call_id: 1 }] }), 3);
    assert.equal(await code({ version: 1, frames: [] }), 3);
    assert.equal(await code({ version: 2, frames: [request] }), 12);
    assert.equal(await code(Buffer.from([0xff])), 3);
    assert.equal(await code({ version: 1, frames: [{ ...request, metadata: identity }] }), 0);
  }));

test('cooked: PING needs no identity', () => withCooked(async (client) => {
  const packet = await client.exchange({ version: 1, frames: [{ kind: Kind.PING, call_id: 3 }] });
  assert.equal(packet.frames[0].kind, Kind.PONG);
  assert.equal(Number(packet.frames[0].call_id), 3);
}));

test('a peer that does not shake hands is turned away', async () => {
  const sp = new SpSocket(url, 0x77, 0x31); // no such protocol
  await assert.rejects(sp.receive(), /closed/);
  await withClient((client) => client.ping());
});

test('events are topic, NUL, payload', async () => {
  const sp = new SpSocket(eventsUrl, 0x21, 0x20);
  const event = await sp.receive();
  assert.equal(event.subarray(0, 10).toString('latin1'), 'demo.tick\0');
  assert.deepEqual([...event.subarray(10)], [1, 0, 2]);
  sp.close();
});
