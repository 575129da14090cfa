// Asks a hub by HTTP whatever its own description allows, and what it does not, for a bounded time: no answer may be of
// another shape than described, no wrong request may be taken, and nothing may make the hub fail.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { cargoTarget, hubBinary } from "./paths.mjs";
import { preparePythonTool } from "./prepare.mjs";
import { run } from "./run.mjs";

export async function schemathesis({ seconds }) {
  const folder = `${cargoTarget}/tools/schemathesis-${VERSION}`;
  const st = await preparePythonTool({ name: "schemathesis", version: VERSION, folder });
  const hub = startHub();
  try {
    for (const address of await addressesOf(hub)) {
      await run(st, [...ARGS, "--max-time", String(seconds), `${address}/v1/openapi.json`], {
        cwd: folder,
      });
    }
    if (hub.exitCode !== null) throw new Error("the hub has ended");
  } finally {
    hub.kill();
  }
}

/** A hub for development. */
const startHub = () =>
  spawn(hubBinary, ["serve", "--dev", "--listen", "127.0.0.1:0"], {
    env: { ...process.env, TIDEWIRE_ADMIN_LISTEN: "127.0.0.1:0", TIDEWIRE_SHARDS: "2" },
    stdio: ["ignore", "pipe", "pipe"],
  });

/** Where it says that it and its operators' address are. */
async function addressesOf(hub) {
  const patience = new AbortController();
  const late = setTimeout(() => patience.abort(), 10_000);
  const told = async (stream, pattern) => {
    let found;
    // Several lines may come at once: whoever waits for one event after the other would miss some.
    for await (const line of createInterface({ input: stream, signal: patience.signal })) {
      [, found] = pattern.exec(line) ?? [];
      if (found) break;
    }
    if (!found) throw new Error("the hub does not say where it listens");
    // What is told later is not read, and must not block the hub.
    stream.resume();
    return found;
  };
  const operators = told(hub.stderr, /^tidewire: operators ask at (http:\S+)$/);
  const everybody = told(hub.stdout, /^tidewire listening on (http:\S+)$/);
  try {
    return await Promise.all([everybody, operators]);
  } finally {
    // Else it would stop the streams later.
    clearTimeout(late);
  }
}

const VERSION = "4.32.5";
const ARGS = [
  "run",
  "--no-color",
  "--continue-on-failure",
  // A description cannot say what a name or a place is, nor which parameters go together: a request that is of the
  // shape described may still be wrong.
  "--exclude-checks=positive_data_acceptance",
  "--warnings=off",
  // It never ends.
  "--exclude-path=/v1/events",
];
