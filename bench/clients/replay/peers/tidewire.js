// A hub: frames of kind, length and body; see docs/PROTOCOL.md.

import { nextTask } from "../task.js";

export class Tidewire {
  #handshake;
  #opened = 0;
  #acked = 0;
  #unacked = 0;

  /** `handshake` is what the hub said to `hello` and to `subscribe`. */
  constructor(handshake) {
    this.#handshake = handshake;
  }

  opened() {}

  heard(socket, data) {
    for (let at = 0; at < data.length; ) {
      const kind = data[at];
      const [length, body] = varint(data, at + 1);
      if (kind === HELLO) socket.deliver([this.#handshake[0]]);
      if (kind === SUBSCRIBE) socket.deliver([this.#handshake[1]]);
      if (kind === OPEN) socket.deliver([frame(OPENED, [2, ++this.#opened, 4, 1, 6, 1])]);
      if (kind === PUBLISH && this.#unacked++ === 0) nextTask(() => this.#ack(socket));
      at = body + length;
    }
  }

  #ack(socket) {
    const first = this.#acked + 1;
    this.#acked += this.#unacked;
    const body = [2, 1, 4, ...leb(first), 6, ...leb(this.#unacked), ...EPOCH, 10, ...leb(first)];
    this.#unacked = 0;
    socket.deliver([frame(ACKED, body)]);
  }
}

function frame(kind, body) {
  return new Uint8Array([kind, ...leb(body.length), ...body]).buffer;
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

const HELLO = 1;
const OPEN = 4;
const PUBLISH = 5;
const SUBSCRIBE = 7;
const OPENED = 67;
const ACKED = 68;
/** Field 4, eight bytes. */
const EPOCH = [9, 8, 1, 2, 3, 4, 5, 6, 7, 8];
