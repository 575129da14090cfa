// Runs the Autobahn conformance cases against the hub's frame reader and writer: all but compression, which the
// hub does not speak. Every case must be OK or informational; "non-strict" is a failure.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { cargoTarget } from "./paths.mjs";
import { preparePythonTool } from "./prepare.mjs";
import { run } from "./run.mjs";

export async function autobahn() {
  const folder = `${cargoTarget}/tools/kosoku-${KOSOKU}`;
  const kosoku = await preparePythonTool({ name: "kosoku", version: KOSOKU, folder });
  await run("cargo", ["build", "--locked", "--release", "-p", "tidewire-autobahn"]);
  const echo = spawn(`${cargoTarget}/release/tidewire-autobahn`, {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [line] = await once(createInterface({ input: echo.stdout }), "line", {
      signal: AbortSignal.timeout(10_000),
    });
    const address = line.replace("listening on ", "ws://");
    const report = `${cargoTarget}/autobahn`;
    await run(kosoku, ["-x", "12.*", "-x", "13.*", "-o", report, address]);
    judge(JSON.parse(readFileSync(`${report}/index.json`, "utf8")), address);
  } finally {
    echo.kill();
  }
}

function judge(index, address) {
  const cases = Object.entries(index[address.replace("ws://", "")] ?? {});
  const good = ["OK", "INFORMATIONAL"];
  const bad = cases.filter(
    ([, { behavior, behaviorClose }]) => !good.includes(behavior) || !good.includes(behaviorClose),
  );
  for (const [name, { behavior, behaviorClose }] of bad) {
    console.log(`autobahn: case ${name}: ${behavior}, close ${behaviorClose}`);
  }
  console.log(`autobahn: ${cases.length} cases, ${bad.length} not OK`);
  if (cases.length !== CASES || bad.length > 0) throw new Error(`${CASES} cases must be OK`);
}

const KOSOKU = "0.1.0";
const CASES = 301;
