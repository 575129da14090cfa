// `npm start`: builds what changed and runs the hub with the demo until it is told to stop.
// Further arguments go to the hub: `npm start -- --listen 127.0.0.1:8080`. What is on the board stays there: it is kept below
// `target`, unless another directory is named.

import { spawn } from "node:child_process";
import { buildHub } from "./build.mjs";
import { demoData, hubBinary, root } from "./paths.mjs";

await buildHub();

const given = process.argv.slice(2);
const isDataDir = (argument) => /^--data-dir(=|$)/.test(argument);
const named = given.some(isDataDir) || process.env.TIDEWIRE_DATA_DIR;
const data = named ? [] : ["--data-dir", demoData];
const args = ["serve", "--dev", "--demo", ...data, ...given];
const hub = spawn(hubBinary, args, { cwd: root, stdio: "inherit" });

for (const signal of ["SIGTERM", "SIGHUP", "SIGINT"]) {
  // A terminal sends Ctrl-C to the hub by itself; a second one would cut its drain short.
  const terminalSendsIt = signal === "SIGINT" && process.stdin.isTTY;
  process.on(signal, () => terminalSendsIt || hub.kill(signal));
}
hub.on("error", (error) => {
  console.error(`cannot start ${hubBinary}: ${error.message}`);
  process.exitCode = 1;
});
hub.on("exit", (code, signal) => {
  process.exitCode = signal ? 1 : code;
});
