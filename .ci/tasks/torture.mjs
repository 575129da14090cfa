// `npm run torture`: hubs are killed, lose power, find their files bitten and their disk full or failing, and whatever they
// acknowledged must be there or be named. Some half a minute; `npm run torture -- --kills 1000 --powers 200 --bites 10000`
// is what the table in `docs/RELIABILITY.md` is made by, with `--document`. Words choose kinds by their names, and
// `--seed` has the same moments drawn again.

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { buildHub } from "./build.mjs";
import { at, hubBinary } from "./paths.mjs";
import { run } from "./run.mjs";

/** Tortures the release build of the hub, which must be there. */
export async function torture({ args = [], document }) {
  const env = {
    TIDEWIRE_BIN: hubBinary,
    ...(document && { TIDEWIRE_TORTURE_DOCUMENT: document }),
  };
  const test = ["test", "--locked", "--release", "-p", "tidewire-tests", "--test", "torture"];
  await run("cargo", [...test, "--", ...args], { env });
}

const NUMBERS = ["kills", "freezes", "powers", "bites", "failures", "fills", "seed"];

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const numbers = NUMBERS.map((name) => [name, { type: "string" }]);
  const options = { ...Object.fromEntries(numbers), document: { type: "boolean" } };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const args = [...positionals];
  for (const name of NUMBERS) {
    const value = values[name];
    if (value === undefined) continue;
    if (!/^\d+$/.test(value)) throw new Error(`--${name} must be a number, not ${value}`);
    args.push(`--${name}`, value);
  }
  await buildHub();
  await torture({ args, document: values.document ? at("docs/RELIABILITY.md") : undefined });
}
