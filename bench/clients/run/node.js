// One measurement in a process of its own: `node node.js RECORDING receive|publish MILLISECONDS`.

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { ReplaySocket } from "../replay/socket.js";
import { Measurement } from "./measure.js";

const [file, task, milliseconds] = process.argv.slice(2);
const recording = JSON.parse(readFileSync(file, "utf8"));

globalThis.WebSocket = ReplaySocket;
const library = await import(resolve(`bundles/node/${recording.library}.js`));
const measurement = new Measurement(library, recording, task);

function clock() {
  const { user, system } = process.cpuUsage();
  return { wallMs: performance.now(), cpuMs: (user + system) / 1000 };
}

await measurement.run(milliseconds, clock);
console.log(JSON.stringify(await measurement.run(milliseconds, clock)));
process.exit();
