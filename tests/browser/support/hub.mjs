// A hub in a process of its own, which can be stopped, killed and started again at the same address.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { createInterface } from "node:readline";

export class Hub {
  #process;
  #args;
  #env;
  /** `http://HOST:PORT`. */
  url;
  /** The same for operators, if they have an address of their own, by the hub's word. */
  operators;

  /** Starts a hub for development at a free port, which it keeps. */
  static start(...args) {
    return Hub.#of(["--dev", ...args], {});
  }

  /** Starts a hub with the rules of a file, for pages of one origin. */
  static configured(file, origin) {
    return Hub.#of(["--config", file], {
      TIDEWIRE_ORIGINS: origin,
      TIDEWIRE_PUBLIC_METRICS: "true",
    });
  }

  static async #of(args, env) {
    const hub = new Hub();
    hub.#args = args;
    hub.#env = env;
    await hub.#start("127.0.0.1:0");
    return hub;
  }

  async restart() {
    await this.#start(new URL(this.url).host);
  }

  /** Asks the hub to end, or with SIGKILL does not ask; returns when it has ended. */
  async stop(signal = "SIGTERM") {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, "exit");
    this.#process.kill(signal);
    await exited;
  }

  get port() {
    return Number(new URL(this.url).port);
  }

  async #start(address) {
    const args = ["serve", ...this.#args, "--listen", address];
    // Two shards, whatever the machine has: messages must find their way from one to the other.
    const env = { TIDEWIRE_SHARDS: "2", ...process.env, ...this.#env };
    this.#process = spawn(BINARY, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    this.operators = addressIn(this.#process.stderr);
    for await (const line of createInterface(this.#process.stdout)) {
      const [, url] = /^tidewire listening on (http:\S+)$/.exec(line) ?? [];
      if (!url) continue;
      this.url = url;
      // What it says later is not waited for.
      this.#process.stdout.resume();
      return;
    }
    throw new Error("the hub ended before it listened");
  }
}

/** Where operators ask, once the hub says so in what it logs, which is passed on. */
function addressIn(log) {
  return new Promise((tell) => {
    createInterface(log).on("line", (line) => {
      process.stderr.write(`${line}\n`);
      const [, url] = /operators ask at (http:\S+)$/.exec(line) ?? [];
      if (url) tell(url);
    });
  });
}

const BINARY =
  process.env.TIDEWIRE_BIN ?? resolve(import.meta.dirname, "../../../target/release/tidewire");
