// A hub that does what a test tells it: real WebSocket, real bytes, no logic of its own.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { WebSocketServer } from "ws";

export const Client = {
  hello: 1,
  open: 4,
  publish: 5,
  subscribe: 7,
  unsubscribe: 8,
  history: 9,
  heartbeat: 10,
  batch: 11,
  send: 22,
  signIn: 23,
};
export const Hub = {
  welcome: 64,
  opened: 67,
  acked: 68,
  refused: 69,
  subscribed: 70,
  unsubscribed: 71,
  missing: 72,
  page: 74,
  heartbeat: 75,
  failed: 76,
  goodbye: 77,
  signedIn: 81,
  block: 96,
};

/** The golden frames that Rust reads too, as `{ name, side, bytes }`. */
export const golden = JSON.parse(
  readFileSync(resolve(process.cwd(), "tests/golden/frames.json"), "utf8"),
)
  .filter(({ binary }) => binary)
  .map(({ name, side, binary }) => ({ name, side, bytes: Buffer.from(binary, "hex") }));

export class ScriptedHub {
  #server;
  #sockets = [];
  #waiting = [];
  #heard = [];
  connections = 0;
  /** Answers when it is asked for a heartbeat. */
  echoes = false;

  static async start() {
    const hub = new ScriptedHub();
    hub.#server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    hub.#server.on("connection", (socket) => {
      hub.connections++;
      hub.#sockets.push(socket);
      socket.on("message", (data) => hub.#hear(data));
    });
    await once(hub.#server, "listening");
    return hub;
  }

  get url() {
    return `ws://127.0.0.1:${this.#server.address().port}`;
  }

  /** The next frame of a kind; frames of other kinds before it are passed over. */
  async next(kind) {
    for (;;) {
      const frame = await this.following();
      if (frame.kind === kind) return frame;
    }
  }

  /** The next frame of any kind. */
  async following() {
    return this.#heard.shift() ?? (await this.#more());
  }

  /** Sends frames as one WebSocket message on the newest connection. */
  send(...frames) {
    this.#sockets.at(-1).send(Buffer.concat(frames));
  }

  /** Takes the next sign-in. */
  async welcome(features = 0) {
    const hello = await this.next(Client.hello);
    const fields = { 1: 7, 2: 30_000, 3: 65_536, 4: 100, 6: "scripted", 7: features };
    this.send(frame(Hub.welcome, fields));
    return hello;
  }

  /** Begins the subscription that is asked for next, live after `offset`. */
  async begin(tail, offset = 0, outcome = 1) {
    const asked = await this.next(Client.subscribe);
    const fields = { 1: asked.fields[1], 2: tail, 3: outcome, 4: position(epoch, offset) };
    this.send(frame(Hub.subscribed, fields));
    return asked;
  }

  /** Opens the handle that is asked for next. */
  async opened(next = 1, windowNew = 0) {
    const open = await this.next(Client.open);
    this.send(frame(Hub.opened, { 1: open.fields[1] ?? 0, 2: windowNew, 3: next }));
    return open.fields[1] ?? 0;
  }

  /** From now on the newest connection swallows everything, and nobody is told. */
  freeze() {
    this.#sockets.at(-1).pause();
  }

  /** Closes the newest connection with a code, and words. */
  close(code, reason) {
    this.#sockets.at(-1).close(code, reason);
  }

  /** Breaks the newest connection without a word. */
  cut() {
    this.#sockets.at(-1).terminate();
  }

  /** Waits until the client has left the newest connection. */
  async left() {
    const socket = this.#sockets.at(-1);
    if (socket.readyState !== socket.CLOSED) await once(socket, "close");
  }

  async stop() {
    for (const socket of this.#sockets) socket.terminate();
    this.#server.close();
    await once(this.#server, "close");
  }

  #hear(data) {
    for (let bytes = data; bytes.length > 0; ) {
      const kind = bytes[0];
      const [length, at] = varint(bytes, 1);
      const fields = fieldsOf(bytes.subarray(at, at + length));
      this.#heard.push({ kind, fields });
      if (this.echoes && kind === Client.heartbeat && fields[1]) {
        this.send(frame(Hub.heartbeat, { 1: fields[1] }));
      }
      bytes = bytes.subarray(at + length);
    }
    while (this.#waiting.length && this.#heard.length) this.#waiting.shift()(this.#heard.shift());
  }

  #more() {
    return new Promise((done, fail) => {
      const late = setTimeout(() => fail(new Error("the client sent nothing more")), 5_000);
      this.#waiting.push((frame) => {
        clearTimeout(late);
        done(frame);
      });
    });
  }
}

/** What a hub can do that takes updates. */
export const takesUpdates = 1 << 11;

export const epoch = 0x0123_4567_89ab_cdefn;
export const epochText = "0123456789abcdef";

/** A control frame: numbers, strings and bytes by field number; what is absent or 0 is left out. */
export function frame(kind, fields) {
  return framed(kind, fieldsAs(fields));
}

/** What a message has besides, or the body of a frame: fields by number. */
export function fieldsAs(fields) {
  const all = Object.entries(fields)
    .filter(([, value]) => value)
    .map(([number, value]) => {
      if (typeof value === "number") return Buffer.from([...leb(number * 2), ...leb(value)]);
      const bytes = Buffer.from(value);
      return Buffer.from([...leb(number * 2 + 1), ...leb(bytes.length), ...bytes]);
    });
  return Buffer.concat(all);
}

/** Names and values, each behind its length. */
export function headersAs(headers) {
  const texts = Object.entries(headers)
    .flat()
    .map((text) => Buffer.from(text));
  return Buffer.concat(texts.flatMap((text) => [Buffer.from(leb(text.length)), text]));
}

/** A block of JSON messages at these offsets, the tail's last before them being `prev`. */
export function block(tail, prev, messages) {
  return framed(Hub.block, blockBody(tail, prev, messages));
}

/** The answer to a question for a page: JSON messages after `after`. */
export function page(request, after, messages, { more = false, upto, lost } = {}) {
  const body = blockBody(0, after, messages);
  return frame(Hub.page, {
    1: request,
    2: Number(more),
    3: position(epoch, after),
    4: position(epoch, upto ?? messages.at(-1)?.[0] ?? after),
    5: lost,
    6: messages.length && Buffer.from([...leb(body.length), ...body]),
  });
}

function blockBody(tail, prev, messages) {
  let before = prev;
  const records = messages.map(([offset, text, content = 1, ext]) => {
    const head = [content - 1 + (ext ? 32 : 0), ...leb(offset - before), 0];
    if (ext) head.push(...leb(ext.length), ...ext);
    before = offset;
    const payload = Buffer.from(text);
    return Buffer.from([...leb(head.length + payload.length), ...head, ...payload]);
  });
  const header = Buffer.from([...leb(tail), 0, ...leb(prev), ...leb(1_000)]);
  return Buffer.concat([header, ...records]);
}

export function gap(from, to, reason = 1) {
  return Buffer.from([...leb(reason), ...leb(from), ...leb(to), ...epochBytes(epoch)]);
}

export function position(epoch, offset) {
  return Buffer.from([...epochBytes(epoch), ...leb(offset)]);
}

export function epochBytes(epoch) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(epoch);
  return bytes;
}

function framed(kind, body) {
  return Buffer.from([kind, ...leb(body.length), ...body]);
}

function leb(number) {
  const bytes = [];
  for (; number > 127; number = Math.floor(number / 128)) bytes.push((number % 128) | 128);
  return [...bytes, number];
}

function varint(bytes, at) {
  let number = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[at++];
    number += (byte & 127) * scale;
    if (byte < 128) return [number, at];
  }
}

function fieldsOf(body) {
  const fields = {};
  for (let at = 0; at < body.length; ) {
    let key;
    let value;
    [key, at] = varint(body, at);
    [value, at] = varint(body, at);
    if (key % 2 === 1) {
      value = body.subarray(at, at + value);
      at += value.length;
    }
    fields[Math.floor(key / 2)] = value;
  }
  return fields;
}
