// `npm start`: builds what changed and runs the hub with the demo until it is told to stop.
// Further arguments go to the hub: `npm start -- --listen 127.0.0.1:8080`.

import { spawn } from "node:child_process";
import { buildHub } from "./build.mjs";
import { hubBinary, root } from "./paths.mjs";

await buildHub();

const args = ["serve", "--dev", "--demo", ...process.argv.slice(2)];
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
