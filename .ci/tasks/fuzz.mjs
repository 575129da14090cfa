// `npm run fuzz -- --seconds N [--target NAME]`: every fuzz target of `tests/fuzz` for N seconds each, and as long
// `engines`, the package's two engines side by side.
//
// Built by the pinned stable compiler: what `cargo fuzz` asks of a nightly one is the address sanitizer, and there is
// no unsafe code here for it to watch. What was found stays in `tests/fuzz/artifacts`; to run one again, build by this
// command and give the file to the program in `target/fuzz`.

import { mkdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { compareEngines } from "./js-tests.mjs";
import { at, cargoTarget } from "./paths.mjs";
import { prepareBuild, prepareFuzz } from "./prepare.mjs";
import { read, run } from "./run.mjs";
import { buildWasm } from "./wasm.mjs";
import { buildScript } from "./wasm-script.mjs";

/** Builds the targets and runs each whose name holds `only`; throws after the last if any found something. */
export async function fuzz({ seconds, only = "" }) {
  await prepareFuzz();
  const triple = read("rustc", ["--print", "host-tuple"]).stdout.trim();
  const targetFolder = resolve(cargoTarget, "fuzz");
  await run("cargo", ["build", "--locked", "--release", "--target", triple], {
    cwd: folder,
    env: { CARGO_ENCODED_RUSTFLAGS: COVERAGE.join("\x1f"), CARGO_TARGET_DIR: targetFolder },
  });
  const names = targetNames().filter((name) => name.includes(only));
  if (names.length === 0) throw new Error(`no fuzz target has ${only} in its name`);
  const program = (name) => resolve(targetFolder, triple, "release", name);
  const findings = names.filter((name) => !runTarget(name, program(name), seconds));
  if (findings.length > 0) throw new Error(`findings in ${findings.join(", ")}; see above`);
}

/** Whether nothing was found. */
function runTarget(name, program, seconds) {
  console.log(`fuzz: ${name} for ${seconds} s`);
  const corpus = resolve(folder, "corpus", name);
  const artifacts = resolve(folder, "artifacts", name);
  for (const path of [corpus, artifacts]) mkdirSync(path, { recursive: true });
  const { ok, stderr } = read(program, [
    corpus,
    `-max_total_time=${seconds}`,
    `-artifact_prefix=${artifacts}/`,
    "-timeout=10",
    "-rss_limit_mb=1024",
    "-print_final_stats=1",
  ]);
  // What libFuzzer says on its way is worth reading only when it ends with a finding.
  const shown = ok ? stderr.split("\n").filter((line) => line.startsWith("stat::")) : [stderr];
  console.log(shown.join("\n"));
  return ok;
}

function targetNames() {
  const manifest = readFileSync(resolve(folder, "Cargo.toml"), "utf8");
  return [...manifest.matchAll(/^\[\[bin\]\]\nname = "(\w+)"/gm)].map(([, name]) => name);
}

const folder = at("tests/fuzz");

/** What libFuzzer steers by. */
const COVERAGE = [
  "--cfg=fuzzing",
  "-Cpasses=sancov-module",
  "-Cllvm-args=-sanitizer-coverage-level=4",
  "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
  "-Cllvm-args=-sanitizer-coverage-pc-table",
  "-Cllvm-args=-sanitizer-coverage-trace-compares",
  "-Ccodegen-units=1",
];

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const options = {
    seconds: { type: "string", default: "60" },
    target: { type: "string", default: "" },
  };
  const { seconds, target } = parseArgs({ options }).values;
  if (!/^[1-9]\d*$/.test(seconds))
    throw new Error(`--seconds must be a whole number, not ${seconds}`);
  const isEngines = "engines".includes(target);
  if (!target || !isEngines) await fuzz({ seconds: Number(seconds), only: target });
  if (isEngines) {
    await prepareBuild();
    await buildWasm();
    await buildScript();
    await compareEngines(Number(seconds));
  }
}
