// SPDX-License-Identifier: Apache-2.0
// A client of the mesh on plain TCP sockets, written from docs/protocol.md and nothing else.
import net from 'node:net';
import protobuf from 'protobufjs';

const envelope = protobuf.parse(`
syntax = "proto3";
package rpc;
message Packet { uint32 version = 1; uint32 ack = 2; repeated Frame frames = 3; }
message Frame {
  FrameKind kind = 1; uint64 call_id = 2; string method = 3; uint64 timeout_us = 4;
  repeated Metadata metadata = 5; oneof content { bytes payload = 6; }
  Status status = 7; uint64 credit = 8; Hello hello = 9;
}
enum FrameKind { NONE = 0; HELLO = 1; REQUEST = 2; RESPONSE = 3; DATA = 4; END = 5; CANCEL = 6;
                 CREDIT = 7; PING = 8; PONG = 9; GOAWAY = 10; }
message Metadata { string key = 1; string value = 2; }
message Status { uint32 code = 1; string message = 2; repeated Violation violations = 3;
                 uint32 retry_after_ms = 4; string policy = 5;
                 uint32 quota = 6; uint32 window_s = 7; }
message Violation { string field = 1; string description = 2; }
message Hello { string service = 1; string key = 2; uint32 window = 3; uint64 stream_credit = 4;
                uint64 max_message_bytes = 5; }
`, { keepCase: true }).root;

const Packet = envelope.lookupType('rpc.Packet');
export const Kind = envelope.lookupEnum('rpc.FrameKind').values;
const REQUEST_ID = Buffer.from([0x80, 0, 0, 1]);

// SP messages over TCP: the handshake, then length and content.
export class SpSocket {
  constructor(url, self, peer) {
    const { hostname, port } = new URL(url.replace('tcp:', 'http:'));
    this.peer = peer;
    this.buffer = Buffer.alloc(0);
    this.greeted = false;
    this.closed = false;
    this.inbox = [];
    this.waiting = [];
    this.onMessage = (content) => this.deliver(content);
    this.socket = net.connect(Number(port), hostname);
    this.socket.on('data', (data) => this.read(data));
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.closed = true;
      this.waiting.splice(0).forEach(({ reject }) => reject(new Error('closed')));
    });
    this.socket.write(Buffer.from([0, 0x53, 0x50, 0, 0, self, 0, 0]));
  }

  read(data) {
    this.buffer = Buffer.concat([this.buffer, data]);
    if (!this.greeted && this.buffer.length >= 8) {
      const expected = Buffer.from([0, 0x53, 0x50, 0, 0, this.peer, 0, 0]);
      if (!this.buffer.subarray(0, 8).equals(expected)) throw new Error('not an SP peer');
      this.greeted = true;
      this.buffer = this.buffer.subarray(8);
    }
    while (this.greeted && this.buffer.length >= 8) {
      const length = Number(this.buffer.readBigUInt64BE(0));
      if (this.buffer.length < 8 + length) break;
      const content = this.buffer.subarray(8, 8 + length);
      this.buffer = this.buffer.subarray(8 + length);
      this.onMessage(content);
    }
  }

  deliver(content) {
    const next = this.waiting.shift();
    if (next) next.resolve(content);
    else this.inbox.push(content);
  }

  receive() {
    if (this.inbox.length > 0) return Promise.resolve(this.inbox.shift());
    if (this.closed) return Promise.reject(new Error('closed'));
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  send(content) {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(content.length));
    this.socket.write(Buffer.concat([length, content]));
  }

  close() {
    this.socket.destroy();
  }
}

export function pack(packet) {
  return Buffer.from(Packet.encode(Packet.fromObject(packet)).finish());
}

export function unpack(content) {
  return Packet.decode(content.subarray(4));
}

// One request, one answer, no state: section 9.
export class CookedClient {
  constructor(url) {
    this.sp = new SpSocket(url, 0x30, 0x31);
  }

  async exchange(packet) {
    this.sp.send(Buffer.concat([REQUEST_ID, Buffer.isBuffer(packet) ? packet : pack(packet)]));
    return unpack(await this.sp.receive());
  }

  close() {
    this.sp.close();
  }
}

// HELLO, window, calls by id: sections 3 to 7.
export class MeshClient {
  constructor(url, service, key, { version = 1 } = {}) {
    this.version = version;
    this.sp = new SpSocket(url, 0x30, 0x31);
    this.sp.onMessage = (content) => this.receive(unpack(content));
    this.sp.socket.on('close', () => {
      for (const call of this.calls.values())
        call.onResponse({ code: 14, message: 'the connection was lost', violations: [] });
    });
    this.received = 0;
    this.confirmed = 0;
    this.sent = 0;
    this.acked = 0;
    this.outbox = [];
    this.nextId = 1;
    this.calls = new Map();
    this.pongs = new Map();
    this.strays = [];
    this.greeting = new Promise((resolve) => { this.onHello = resolve; });
    this.goaway = new Promise((resolve) => { this.onGoaway = resolve; });
    this.put({ kind: Kind.HELLO,
      hello: { service, key, window: 32, stream_credit: 262144, max_message_bytes: 4194304 } });
  }

  put(frame) {
    this.outbox.push(frame);
    this.flush();
  }

  // What waits leaves together, if the window is open and the message stays within its limit.
  flush() {
    while (this.outbox.length > 0 && this.sent - this.acked < 32) {
      const size = (frame) => (frame.payload?.length ?? 0) + 200;
      let n = 1;
      for (let bytes = size(this.outbox[0]); n < this.outbox.length; n += 1) {
        bytes += size(this.outbox[n]);
        if (bytes > 1000000) break;
      }
      this.sendPacket(this.outbox.splice(0, n));
      this.sent += 1;
    }
  }

  sendPacket(frames) {
    this.confirmed = this.received;
    this.sp.send(Buffer.concat([REQUEST_ID,
      pack({ version: this.version, ack: this.received, frames })]));
  }

  receive(packet) {
    if (packet.frames.length > 0) this.received += 1;
    if (packet.ack > this.acked && packet.ack <= this.sent) this.acked = packet.ack;
    for (const frame of packet.frames) this.handle(frame);
    this.flush();
    if (this.received - this.confirmed >= 16) this.sendPacket([]);
  }

  handle(frame) {
    const call = this.calls.get(Number(frame.call_id));
    if (frame.kind === Kind.HELLO) this.onHello(frame);
    else if (frame.kind === Kind.PING) this.put({ kind: Kind.PONG, call_id: frame.call_id });
    else if (frame.kind === Kind.PONG) this.pongs.get(Number(frame.call_id))?.();
    else if (frame.kind === Kind.GOAWAY) this.onGoaway(frame);
    else if (call) call.handle(frame);
    else this.strays.push(frame);
  }

  ping() {
    const call_id = this.nextId++;
    return new Promise((resolve) => {
      this.pongs.set(call_id, resolve);
      this.put({ kind: Kind.PING, call_id });
    });
  }

  start(method, { payload, metadata = {}, timeout_us = 0 } = {}) {
    const call = new Call(this, this.nextId++);
    this.calls.set(call.id, call);
    this.put({ kind: Kind.REQUEST, call_id: call.id, method, timeout_us, payload,
      metadata: Object.entries(metadata).map(([key, value]) => ({ key, value })) });
    return call;
  }

  unary(method, payload, options) {
    return this.start(method, { ...options, payload }).response;
  }

  close() {
    this.sp.close();
  }
}

class Call {
  constructor(client, id) {
    this.client = client;
    this.id = id;
    this.messages = [];
    this.credit = 0;
    this.consumed = 0;
    this.response = new Promise((resolve) => { this.onResponse = resolve; });
    client.greeting.then((hello) => this.grant(Number(hello.hello.stream_credit)));
  }

  handle(frame) {
    if (frame.kind === Kind.DATA) {
      this.messages.push(frame.payload);
      this.consumed += frame.payload.length + 64;
      if (this.consumed >= 131072) {
        this.client.put({ kind: Kind.CREDIT, call_id: this.id, credit: this.consumed });
        this.consumed = 0;
      }
    } else if (frame.kind === Kind.CREDIT) {
      this.grant(Number(frame.credit));
    } else if (frame.kind === Kind.RESPONSE) {
      this.client.calls.delete(this.id);
      const { code = 0, message = '', violations = [] } = frame.status ?? {};
      this.onResponse({ code, message, violations, payload: frame.payload });
    }
  }

  grant(credit) {
    this.credit += credit;
    this.wake?.();
  }

  async send(payload) {
    while (this.credit <= 0) await new Promise((resolve) => { this.wake = resolve; });
    this.credit -= payload.length + 64;
    this.client.put({ kind: Kind.DATA, call_id: this.id, payload });
  }

  end() {
    this.client.put({ kind: Kind.END, call_id: this.id });
  }

  cancel() {
    this.client.calls.delete(this.id);
    this.client.put({ kind: Kind.CANCEL, call_id: this.id });
  }
}
