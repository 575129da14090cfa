// What the engine in JavaScript costs beside the one in WebAssembly: `node bench/clients/engines.mjs`, after a build.
// A socket without a network brings one message a frame, or takes one publish at a time and acknowledges it.

import { execFileSync } from "node:child_process";
import { block, frame, framesOf, varint } from "../../wasm-client/js/test/engines/frames.mjs";

/** The last as where there is no compiler: in Hermes, and in the Lockdown Mode of iOS. */
const VARIANTS = [
  { name: "wasm", entry: "index", flags: [] },
  { name: "JavaScript", entry: "js", flags: [] },
  { name: "interpreted", entry: "js", flags: ["--jitless", "--no-expose-wasm"] },
];
const ROUNDS = 3;
const MESSAGES = 50_000;
const WARM_UP = 10_000;
const SIZES = [64, 1_024];
const OPTIONS = { encoding: "utf8", timeout: 60_000 };

const epoch = [1, 2, 3, 4, 5, 6, 7, 8];

/** A hub inside of the client's own process. */
class Socket extends EventTarget {
  static newest;
  #handle = 0;
  #offset = 0;

  constructor() {
    super();
    Socket.newest = this;
    queueMicrotask(() => this.dispatchEvent(new Event("open")));
  }

  send(data) {
    if (data[0] === 5) {
      // Nothing but publishes is in such a packet, and no more than one.
      this.#acknowledge();
      return;
    }
    for (const { kind, fields } of framesOf({ bytes: data, places: [] })) {
      const { 1: number = 0 } = fields;
      if (kind === 1) this.#say(frame(64, { 1: 7, 2: 30_000, 3: 65_536, 4: 1_000, 6: [] }));
      if (kind === 4) {
        this.#handle = number;
        this.#say(frame(67, { 1: number, 3: fields[4] }));
      }
      if (kind === 7) {
        this.#say(frame(70, { 1: number, 2: 5, 3: 1, 4: [...epoch, ...varint(0)] }));
      }
      if (kind === 5) this.#acknowledge();
    }
  }

  close() {}

  hear(bytes) {
    this.dispatchEvent(Object.assign(new Event("message"), { data: bytes.buffer }));
  }

  #acknowledge() {
    const seq = ++this.#offset;
    this.#say(frame(68, { 1: this.#handle, 2: seq, 3: 1, 4: epoch, 5: seq, 6: 1 }));
  }

  #say(bytes) {
    queueMicrotask(() => this.hear(new Uint8Array(bytes)));
  }
}

/** Microseconds of processor time for each message, in this process. */
async function measure(entry, task, size) {
  const path = new URL(`../../wasm-client/js/dist/${entry}.js`, import.meta.url);
  const { createClient } = await import(path.href);
  const tide = createClient("ws://hub", { WebSocket: Socket });
  const prepare = await TASKS[task](tide.topic("t"), size);
  await prepare(WARM_UP)();
  const work = prepare(MESSAGES);
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / MESSAGES;
}

const TASKS = {
  async receive(topic, size) {
    let taken = 0;
    await topic.subscribe(({ data }) => {
      taken += data.length > 0;
    }).ready;
    const payload = new TextEncoder().encode(JSON.stringify("x".repeat(size - 2)));
    let offset = 0;
    return (count) => {
      const frames = Array.from({ length: count }, () =>
        Uint8Array.from(block(5, offset++, [[1, 1, payload]])),
      );
      return async () => {
        for (const [sent, frame] of frames.entries()) {
          Socket.newest.hear(frame);
          if (sent % 10 === 9) await new Promise(setImmediate);
        }
        if (taken !== offset) throw new Error(`${offset - taken} messages are missing`);
      };
    };
  },
  async publish(topic, size) {
    const value = "x".repeat(size - 2);
    return (count) => async () => {
      for (let sent = 0; sent < count; sent++) await topic.publish(value);
    };
  },
};

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
}

const [entry, task, size] = process.argv.slice(2);
if (entry) {
  console.log(await measure(entry, task, Number(size)));
  // Clients keep a process alive.
  process.exit();
}
for (const task of Object.keys(TASKS)) {
  for (const size of SIZES) {
    const found = VARIANTS.map(() => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [place, { entry, flags }] of VARIANTS.entries()) {
        const args = [...flags, import.meta.filename, entry, task, String(size)];
        found[place].push(Number(execFileSync(process.execPath, args, OPTIONS)));
      }
    }
    const [wasm] = found.map(median);
    const columns = VARIANTS.map(({ name }, place) => {
      const spent = median(found[place]);
      return `${name} ${spent.toFixed(1)} us (${(spent / wasm).toFixed(2)})`;
    });
    console.log(`${task} ${size} B: ${columns.join(", ")}`);
  }
}
