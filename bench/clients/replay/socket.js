// A WebSocket without a network: its other end is `ReplaySocket.peer`, in the same realm. It hands over one frame
// a task, as a browser does, and knows both ways of listening: the DOM's, and that of `ws`, which Node's libraries use.

import { nextTask } from "./task.js";

export class ReplaySocket {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSING = 2;
  static CLOSED = 3;
  /** Who answers: `opened(socket)` and `heard(socket, data)`. */
  static peer;

  CONNECTING = 0;
  OPEN = 1;
  CLOSING = 2;
  CLOSED = 3;
  readyState = 0;
  binaryType = "arraybuffer";
  bufferedAmount = 0;
  isPaused = false;
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;
  #peer = ReplaySocket.peer;
  #listeners = { open: [], message: [], close: [], error: [] };
  #frames = [];
  #next = 0;
  #tasks = 0;

  constructor(url, protocols) {
    this.url = url;
    this.protocol = [protocols ?? ""].flat()[0];
    nextTask(() => {
      if (this.readyState !== 0) return;
      this.readyState = 1;
      this.#tell("open", { type: "open", target: this });
      this.#peer.opened(this);
    });
  }

  /** What the peer sends: strings and ArrayBuffers. */
  deliver(frames) {
    if (this.#next === this.#frames.length) {
      this.#frames = frames;
      this.#next = 0;
    } else {
      this.#frames = [...this.#frames.slice(this.#next), ...frames];
      this.#next = 0;
    }
    this.#schedule();
  }

  send(data, options, callback = options) {
    if (this.readyState !== 1) return;
    this.#peer.heard(this, data);
    if (typeof callback === "function") queueMicrotask(callback);
  }

  close(code = 1000) {
    if (this.readyState >= 2) return;
    this.readyState = 2;
    this.#frames = [];
    this.#next = 0;
    nextTask(() => {
      this.readyState = 3;
      this.#tell(
        "close",
        { type: "close", code, reason: "", wasClean: true, target: this },
        code,
        "",
      );
    });
  }

  terminate() {
    this.close(1006);
  }

  pause() {
    this.isPaused = true;
  }

  resume() {
    this.isPaused = false;
    this.#schedule();
  }

  addEventListener(type, call) {
    this.#listeners[type]?.push({ call, isDom: true });
  }

  on(type, call) {
    this.#listeners[type]?.push({ call, isDom: false });
    return this;
  }

  once(type, call) {
    const only = (...args) => {
      this.removeListener(type, only);
      call(...args);
    };
    return this.on(type, only);
  }

  removeListener(type, call) {
    this.#listeners[type] = this.#listeners[type]?.filter((listener) => listener.call !== call);
    return this;
  }

  removeEventListener(type, call) {
    this.removeListener(type, call);
  }

  /** Some tasks stand ready, so that the event loop never waits for the next frame. */
  #schedule() {
    while (this.#tasks < TASKS_AHEAD && this.#next + this.#tasks < this.#frames.length) {
      this.#tasks++;
      nextTask(this.#step);
    }
  }

  #step = () => {
    this.#tasks--;
    if (this.isPaused || this.#next >= this.#frames.length) return;
    this.#hand(this.#frames[this.#next++]);
    this.#schedule();
  };

  #hand(frame) {
    const isText = typeof frame === "string";
    const isBuffer = !isText && this.binaryType === "nodebuffer";
    const event = { type: "message", data: isBuffer ? Buffer.from(frame) : frame, target: this };
    this.onmessage?.(event);
    for (const { call, isDom } of this.#listeners.message) {
      if (isDom) call(event);
      else call(Buffer.from(frame), !isText);
    }
  }

  #tell(type, event, ...args) {
    this[`on${type}`]?.(event);
    for (const { call, isDom } of [...this.#listeners[type]]) {
      if (isDom) call(event);
      else call(...args);
    }
  }
}

const TASKS_AHEAD = 32;
