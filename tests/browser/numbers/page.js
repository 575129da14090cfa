// Runs in the pages: one publishes numbers, the other writes down what it is given.

import { createClient } from "/client.js";

/** The page's sockets, so that a test can close them under the client's feet. */
const sockets = new Set();

class NotedSocket extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols);
    sockets.add(this);
    this.addEventListener("close", () => sockets.delete(this));
  }
}

/** What both pages tell of their client. */
class Side {
  /** How often the link was lost. */
  breaks = 0;
  /** What nobody should have to hear of. */
  failures = [];
  isOnline = false;

  constructor(url) {
    this.tide = createClient(url, { WebSocket: NotedSocket });
    this.topic = this.tide.topic("numbers");
    this.tide.on("error", (error) => this.failures.push(String(error)));
    this.tide.on("status", ({ state }) => {
      if (this.isOnline && state !== "online") this.breaks++;
      this.isOnline = state === "online";
    });
    this.tide.connect();
  }

  closeSockets() {
    for (const socket of sockets) socket.close();
  }
}

export class Publisher extends Side {
  /** By number: what the hub said of it. */
  outcomes = [];
  acked = 0;
  #next = 1;
  #limit = 0;
  #isPublishing = false;

  /** Publishes the numbers up to this one, whether there is a link or not. */
  async upTo(limit = this.#limit + NUMBERS_MORE) {
    this.#limit = limit;
    if (this.#isPublishing) return;
    this.#isPublishing = true;
    while (this.#next <= this.#limit) {
      this.#publish(this.#next++);
      if (this.#next % NUMBERS_A_TURN === 0) await new Promise((resume) => setTimeout(resume));
    }
    this.#isPublishing = false;
  }

  #publish(n) {
    this.topic.publish(n).then(
      ({ epoch, offset, maybeDuplicate }) => {
        this.outcomes[n] = { epoch, offset, maybeDuplicate };
        this.acked++;
      },
      (error) => this.failures.push(`${n}: ${error}`),
    );
  }
}

export class Subscriber extends Side {
  /** Messages and gaps in the order in which they were told. */
  events = [];
  last = 0;

  async listen() {
    const subscription = this.topic.subscribe(({ data, epoch, offset, maybeDuplicate }) => {
      this.events.push({ n: data, epoch, offset, maybeDuplicate });
      this.last = data;
    });
    subscription.on("gap", ({ reason, epoch, from, to }) =>
      this.events.push({ gap: { reason, epoch, from, to } }),
    );
    await subscription.ready;
  }
}

/** Few enough that the page stays alive to its socket. */
const NUMBERS_A_TURN = 128;
/** Fewer than a client sends before it wants an answer. */
const NUMBERS_MORE = 256;
