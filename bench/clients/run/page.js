// One measurement in a page. What the renderer's process used in the meantime is read from outside.

import { ReplaySocket } from "/replay/socket.js";
import { Measurement } from "/run/measure.js";

const clock = () => ({ wallMs: performance.now(), cpuMs: 0 });
let measurement;

export async function load(recordingUrl, libraryUrl, task) {
  const recording = await (await fetch(recordingUrl)).json();
  globalThis.WebSocket = ReplaySocket;
  measurement = new Measurement(await import(libraryUrl), recording, task);
}

export function run(milliseconds) {
  return measurement.run(milliseconds, clock);
}
