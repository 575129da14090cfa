// MQTT 3.1.1: packets in a stream of bytes, however the client cuts it into frames.

import { nextTask } from "../task.js";

export class Mqtt {
  #handshake;
  #rest = new Uint8Array(0);
  #answers = [];

  /** `handshake` is what the broker said to CONNECT and to SUBSCRIBE. */
  constructor(handshake) {
    this.#handshake = handshake;
  }

  opened() {}

  heard(socket, data) {
    const bytes = this.#rest.length ? joined(this.#rest, data) : data;
    let at = 0;
    for (let end = endOf(bytes, at); end <= bytes.length; end = endOf(bytes, at)) {
      this.#answer(socket, bytes, at, end);
      at = end;
    }
    this.#rest = bytes.slice(at);
  }

  #answer(socket, bytes, at, end) {
    const kind = bytes[at] >> 4;
    if (kind === CONNECT) socket.deliver([this.#handshake[0]]);
    if (kind === SUBSCRIBE) {
      const answer = new Uint8Array(this.#handshake[1].slice(0));
      answer.set(bytes.subarray(at + 2, at + 4), 2);
      socket.deliver([answer.buffer]);
    }
    if (kind === PUBLISH) {
      const topic = bytes[at + 1] < 128 ? at + 2 : at + 3;
      const id = topic + 2 + bytes[topic] * 256 + bytes[topic + 1];
      if (id + 2 > end) throw new Error("a PUBLISH without its number");
      this.#answers.push(PUBACK, 2, bytes[id], bytes[id + 1]);
      if (this.#answers.length > 4) return;
      nextTask(() => socket.deliver([new Uint8Array(this.#answers.splice(0)).buffer]));
    }
  }
}

/** Where the packet at a place ends; infinity if that cannot be known yet. */
function endOf(bytes, at) {
  let length = 0;
  for (let index = 1; index <= 4 && at + index < bytes.length; index++) {
    const byte = bytes[at + index];
    length += (byte & 127) * 128 ** (index - 1);
    if (byte < 128) return at + index + 1 + length;
  }
  return Number.POSITIVE_INFINITY;
}

function joined(first, second) {
  const whole = new Uint8Array(first.length + second.length);
  whole.set(first);
  whole.set(second, first.length);
  return whole;
}

const CONNECT = 1;
const PUBLISH = 3;
const SUBSCRIBE = 8;
const PUBACK = 64;
