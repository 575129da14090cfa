// `node .ci/tasks/fuzz.mjs --seconds 60`: runs every fuzz target for so long, one after another.
// A finding fails the run; its input stays in `tests/fuzz/artifacts`.

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { at, cargoTarget, tools } from "./paths.mjs";
import { CommandFailed, read, run } from "./run.mjs";
import { runSections } from "./sections.mjs";

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "60" }, target: { type: "string" } },
});
const seconds = Number(values.seconds);
if (!Number.isInteger(seconds) || seconds < 1) {
  throw new Error(`--seconds must be a whole number of at least 1, not ${values.seconds}`);
}

const version = "0.13.2";
const cargoFuzz = resolve(tools, "bin/cargo-fuzz");
const folder = at("tests/fuzz");
// Sanitizers and coverage counters are unstable compiler flags.
const env = { RUSTUP_TOOLCHAIN: "nightly" };

if (!existsSync(cargoFuzz)) {
  await run("cargo", ["install", "--locked", "--root", tools, `cargo-fuzz@${version}`]);
}
const sections = targets().map((target) => ({ name: target, run: () => fuzz(target) }));
process.exitCode = (await runSections(sections)) > 0 ? 1 : 0;

function targets() {
  if (values.target) return [values.target];
  const { ok, stdout, stderr } = read(cargoFuzz, ["list", "--fuzz-dir", folder]);
  if (!ok) throw new CommandFailed(cargoFuzz, ["list"], stderr);
  return stdout.split("\n").filter((name) => name !== "");
}

function fuzz(target) {
  const build = ["--fuzz-dir", folder, "--target-dir", resolve(cargoTarget, "fuzz")];
  const limits = [`-max_total_time=${seconds}`, "-timeout=10"];
  return run(cargoFuzz, ["run", ...build, target, "--", ...limits], { env });
}
