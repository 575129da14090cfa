// A TCP proxy that can be cut: loudly, as when a router is pulled, or silently, as when a tunnel swallows
// everything and nobody is told.

import { once } from "node:events";
import { connect, createServer } from "node:net";

export class CuttableLink {
  #server;
  #pairs = new Set();
  #isDown = false;
  /** Where to pass everything on to, on this machine. */
  port;

  static async start(port) {
    const link = new CuttableLink();
    link.port = port;
    link.#server = createServer((near) => link.#join(near));
    link.#server.listen(0, "127.0.0.1");
    await once(link.#server, "listening");
    return link;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** Ends all connections, and refuses new ones until `restore`. */
  cut() {
    this.#isDown = true;
    for (const pair of this.#pairs) end(pair);
  }

  /** Passes nothing on any more, and tells nobody; refuses new connections until `restore`. */
  silence() {
    this.#isDown = true;
    for (const { near, far } of this.#pairs) {
      near.unpipe(far);
      far.unpipe(near);
      // What still comes is read and forgotten.
      near.resume();
      far.resume();
    }
  }

  /** Passes nothing back any more, and tells nobody: what is said arrives, what is answered does not. */
  swallowAnswers() {
    for (const { near, far } of this.#pairs) {
      far.unpipe(near);
      far.resume();
    }
  }

  restore() {
    this.#isDown = false;
  }

  async stop() {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  #join(near) {
    if (this.#isDown) {
      near.destroy();
      return;
    }
    const far = connect(this.port, "127.0.0.1");
    const pair = { near, far };
    this.#pairs.add(pair);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ]) {
      socket.setNoDelay(true);
      socket.pipe(other);
      // The close that follows tells.
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#pairs.delete(pair);
        other.destroy();
      });
    }
  }
}

function end({ near, far }) {
  near.destroy();
  far.destroy();
}
