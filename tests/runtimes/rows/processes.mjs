// Runtimes that are a process: the program must end by itself, with nothing left that keeps it.

import { application } from "../support/application.mjs";
import { bun, deno, node } from "../support/binaries.mjs";
import { output } from "../support/processes.mjs";

/** By `import`, with the engine apart, without WebAssembly, and by `require`. */
const PROGRAMS = ["process.js", "slim.js", "js.js", "commonjs.cjs"];

const row = (name, find, options, proves) => ({
  name,
  proves,
  run: async (ground) => {
    const program = find();
    for (const file of PROGRAMS) {
      await ground.trial(async (address) => {
        const args = [...options, file, JSON.stringify(address)];
        return JSON.parse(
          await output(program, args, { cwd: application, seconds: 30, isQuiet: true }),
        );
      });
    }
    const version = await output(program, ["--version"], { cwd: application });
    return { version: /\d+\.\d+\.\d+/.exec(version)[0] };
  },
});

const ENTRIES = "`import`, `require`, `/slim`, `/js`";
const NODE = ["--disallow-code-generation-from-strings"];
/** No rights but those that it needs. */
const DENO = [
  ...["run", "--no-prompt", "--cached-only", "--allow-net=127.0.0.1", "--allow-read=."],
  "--allow-env=WS_NO_BUFFER_UTIL,WS_NO_UTF_8_VALIDATE",
];

export const processes = [
  row("Node 20", () => node(20), NODE, `${ENTRIES}, with \`ws\``),
  row("Node 22", () => node(22), NODE, ENTRIES),
  row("Node 26", () => node(26), NODE, ENTRIES),
  row("Deno", deno, DENO, ENTRIES),
  row("Bun", bun, ["run"], ENTRIES),
];
