// The work that is measured, the same in Node and in a page: a recording is replayed, or values are published, by
// one fresh client after another, until enough time has gone by.

import { payload, Tally } from "../payload.js";
import { peers } from "../replay/peers.js";
import { decode } from "../replay/recording.js";
import { ReplaySocket } from "../replay/socket.js";
import { nextTask } from "../replay/task.js";

export class Measurement {
  #library;
  #recording;
  #work;

  /** `task` is `receive` or `publish`. The library must have been loaded with `ReplaySocket` as its WebSocket. */
  constructor(library, recording, task) {
    this.#library = library;
    this.#recording = decode(recording);
    this.#work = task === "publish" ? () => this.#publish() : () => this.#receive();
  }

  /** Repeats for so long; gives messages, and what `clock` counted while they were worked on. */
  async run(milliseconds, clock) {
    const spent = { messages: 0, wallMs: 0, cpuMs: 0 };
    this.#clock = clock;
    while (spent.wallMs < milliseconds) {
      const { messages, wallMs, cpuMs } = await this.#work();
      spent.messages += messages;
      spent.wallMs += wallMs;
      spent.cpuMs += cpuMs;
    }
    return spent;
  }

  #clock;

  async #receive() {
    const recording = this.#recording;
    const tally = new Tally(recording);
    const player = this.#peer();
    const end = await this.#library.subscribe(ADDRESS, TOPIC, recording, tally.take);
    const spent = await this.#timed(recording.count, () => {
      player.socket.deliver(recording.frames);
      return tally.complete;
    });
    // What comes once too often would come now.
    await new Promise(nextTask);
    tally.check();
    end();
    return spent;
  }

  async #publish() {
    const { kind, bytes } = this.#recording;
    const value = payload(kind, 1, bytes);
    this.#peer();
    const publisher = this.#library.publisher(ADDRESS, TOPIC);
    await publisher.publish(value);
    let left = PUBLISHES;
    const line = async () => {
      while (left-- > 0) await publisher.publish(value);
    };
    const lines = () => Promise.all(Array.from({ length: IN_FLIGHT }, line));
    const spent = await this.#timed(PUBLISHES, lines);
    publisher.end();
    return spent;
  }

  /** A server for the next client. */
  #peer() {
    const { library, handshake } = this.#recording;
    const peer = new peers[library]([...handshake]);
    const { opened } = peer;
    peer.opened = (socket) => {
      peer.socket = socket;
      opened.call(peer, socket);
    };
    ReplaySocket.peer = peer;
    return peer;
  }

  async #timed(messages, work) {
    const before = this.#clock();
    await withDeadline(work());
    const after = this.#clock();
    return { messages, wallMs: after.wallMs - before.wallMs, cpuMs: after.cpuMs - before.cpuMs };
  }
}

function withDeadline(work) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error("messages or answers are missing")), 30_000);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

const ADDRESS = "ws://127.0.0.1:9";
const TOPIC = "bench.1";
const PUBLISHES = 20_000;
const IN_FLIGHT = 64;
