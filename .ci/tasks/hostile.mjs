// `npm run hostile`: one client with default limits does its worst beside a good one, ten seconds for each attack, and
// the table goes into `docs/RELIABILITY.md`. `npm run hostile -- --seconds 2 WORD...` runs those attacks whose names
// hold a word, for so long, and changes no document.

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { buildHub } from "./build.mjs";
import { at, hubBinary } from "./paths.mjs";
import { run } from "./run.mjs";

/** Runs the attacks against the release build of the hub, which must be there. */
export async function hostile({ seconds, words = [], document }) {
  const env = {
    TIDEWIRE_BIN: hubBinary,
    // A panic that the suite waits for is no finding.
    RUST_BACKTRACE: "0",
    ...(seconds && { TIDEWIRE_HOSTILE_SECONDS: seconds }),
    ...(document && { TIDEWIRE_HOSTILE_DOCUMENT: document }),
  };
  // In release, since an attacker that is slow is none.
  const test = ["test", "--locked", "--release", "-p", "tidewire-tests", "--test", "hostile"];
  await run("cargo", [...test, "--", ...words], { env });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const options = { seconds: { type: "string", default: "10" } };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const { seconds } = values;
  if (!(Number(seconds) > 0)) throw new Error(`--seconds must be a number, not ${seconds}`);
  const document = positionals.length === 0 ? at("docs/RELIABILITY.md") : undefined;
  await buildHub();
  await hostile({ seconds, words: positionals, document });
}
