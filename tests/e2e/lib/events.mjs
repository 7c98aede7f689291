// A client of GET /api/events, as a browser's EventSource is one.
import { PATIENCE } from './sanitizers.mjs';

export class EventStream {
  static async open(user, lastEventId = null) {
    const stream = new EventStream();
    stream.abort = new AbortController();
    const headers = user.headers({ accept: 'text/event-stream', ...(lastEventId ? { 'last-event-id': lastEventId } : {}) });
    const answer = await fetch(`${user.url}/api/events`, { headers, signal: stream.abort.signal });
    if (answer.status !== 200) throw new Error(`events: ${answer.status} ${await answer.text()}`);
    stream.seen = []; // { id, type, data, at }
    stream.waiting = [];
    stream.reading = stream.read(answer.body).catch(() => {});
    return stream;
  }

  async read(body) {
    let text = '';
    for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) this.take(text.slice(0, end));
    }
  }

  take(block) {
    const fields = { event: 'message', data: '' };
    for (const line of block.split('\n')) {
      const [, name, value] = /^(\w*):? ?(.*)$/.exec(line) ?? [];
      if (name) fields[name] = name === 'data' && fields.data ? `${fields.data}\n${value}` : value;
    }
    if (!fields.data) return;
    this.seen.push({ id: fields.id, type: fields.event, data: JSON.parse(fields.data), at: Date.now() });
    for (const wake of this.waiting.splice(0)) wake();
  }

  // Waits until an event satisfies `wanted`; answers all seen so far.
  async until(wanted, timeoutMs) {
    const end = Date.now() + timeoutMs * PATIENCE;
    while (!this.seen.some(wanted)) {
      if (Date.now() > end) throw new Error(`no such event in ${timeoutMs} ms: ${JSON.stringify(this.seen).slice(0, 2000)}`);
      await new Promise((resolve) => {
        this.waiting.push(resolve);
        setTimeout(resolve, 200);
      });
    }
    return this.seen;
  }

  close() {
    this.abort.abort();
  }
}
