// Records what a library's server sends to a subscriber:
// `node main.js '{"library", "kind", "bytes", "count", "pace"}' FILE`.

import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { jsonText, payload, Tally } from "../payload.js";
import { servers } from "./servers.js";
import { RecordingSocket } from "./socket.js";

async function record(wanted) {
  globalThis.WebSocket = RecordingSocket;
  const server = await servers[wanted.library]();
  const library = await import(resolve(`bundles/node/${wanted.library}.js`));
  const publisher = library.publisher(server.url, TOPIC);
  const publish = (n) => publisher.publish(payload(wanted.kind, n, wanted.bytes));

  // Blocks are full for whoever asks for what was published before.
  if (wanted.pace === "full") await publishBusily(publish, wanted);
  const subscriber = new Subscriber(wanted);
  await subscriber.listen(server.url, library);
  if (wanted.pace === "slow") await publishSlowly(publish, wanted, subscriber);
  if (wanted.pace === "busy") await publishBusily(publish, wanted);
  const heard = await subscriber.finish();
  server.stop();
  return { ...wanted, ...heard };
}

class Subscriber {
  #wanted;
  #tally;
  #frames = [];
  #signedIn = 0;
  #arrived = () => {};

  constructor(wanted) {
    this.#wanted = wanted;
    this.#tally = new Tally(wanted);
  }

  async listen(url, library) {
    RecordingSocket.frames = this.#frames;
    await library.subscribe(url, TOPIC, this.#wanted, (value) => {
      // What had come before the first message was the handshake.
      this.#signedIn ||= this.#frames.length - 1;
      this.#tally.take(value);
      this.#arrived();
    });
    this.#signedIn ||= this.#frames.length;
    RecordingSocket.frames = undefined;
  }

  /** Resolves with the next message. */
  arrival() {
    return new Promise((resolve) => {
      this.#arrived = resolve;
    });
  }

  async finish() {
    await this.#tally.complete;
    this.#tally.check();
    const at = this.#signedIn;
    return { handshake: this.#frames.slice(0, at), frames: this.#frames.slice(at) };
  }
}

/** The next when the last has come. */
async function publishSlowly(publish, { count }, subscriber) {
  for (let n = 1; n <= count; n++) await Promise.all([subscriber.arrival(), publish(n)]);
}

/** As many at a time as servers take that were not told to take more. */
async function publishBusily(publish, { count, bytes }) {
  // The first opens the connection.
  await publish(1);
  let next = 2;
  const line = async () => {
    while (next <= count) await publish(next++);
  };
  const inFlight = Math.min(IN_FLIGHT_MAX, Math.ceil(IN_FLIGHT_BYTES_MAX / bytes));
  await Promise.all(Array.from({ length: inFlight }, line));
}

/** What somebody would send who needs no library. */
function bare(wanted) {
  const frames = Array.from({ length: wanted.count }, (_, index) => {
    if (wanted.kind === "json") return jsonText(index + 1, wanted.bytes);
    const bytes = payload(wanted.kind, index + 1, wanted.bytes);
    return { base64: Buffer.from(bytes).toString("base64") };
  });
  return { ...wanted, handshake: [], frames };
}

const TOPIC = "bench.1";
const IN_FLIGHT_MAX = 256;
const IN_FLIGHT_BYTES_MAX = 32_768;
const LATE_MS = 60_000;

setTimeout(() => {
  console.error("the server has not sent everything within a minute");
  process.exit(1);
}, LATE_MS);
const [text, file] = process.argv.slice(2);
const wanted = JSON.parse(text);
const recording = wanted.library === "bare" ? bare(wanted) : await record(wanted);
writeFileSync(file, JSON.stringify(recording));
process.exit();
