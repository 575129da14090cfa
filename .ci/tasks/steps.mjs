// Shows the steps of a build as they happen, and skips those whose inputs have not changed.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { root, stamps } from "./paths.mjs";

/** Runs `work`, prints its name before and its seconds after. */
export async function step(name, work) {
  console.log(`build: ${name}`);
  await timed(name, work);
}

/**
 * As `step`, but skipped when the content of every file in `inputs` (files or folders) and the text of `facts`
 * (tool versions, flags) are what they were when the step last succeeded, and its `outputs` are still there.
 */
export async function stepIfChanged(name, { inputs, facts = [], outputs }, work) {
  const stamp = join(stamps, name.replaceAll(/\W+/g, "-"));
  const digest = digestOf(inputs, facts);
  const unchanged = existsSync(stamp) && readFileSync(stamp, "utf8") === digest;
  if (unchanged && outputs.every((path) => existsSync(path))) {
    console.log(`build: ${name}: unchanged`);
    return;
  }
  rmSync(stamp, { force: true });
  await step(name, work);
  mkdirSync(stamps, { recursive: true });
  writeFileSync(stamp, digest);
}

async function timed(name, work) {
  const started = performance.now();
  await work();
  console.log(`build: ${name}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

function digestOf(inputs, facts) {
  const hash = createHash("sha256").update(JSON.stringify(facts));
  for (const path of inputs.flatMap(filesIn).sort()) {
    hash.update(`\0${relative(root, path)}\0`).update(readFileSync(path));
  }
  return hash.digest("hex");
}

/** Every file at or below `path`, leaving out what a build makes. */
function filesIn(path) {
  if (!existsSync(path)) throw new Error(`${relative(root, path)} is missing`);
  const entries = readEntries(path);
  if (entries === undefined) return [path];
  return entries
    .filter(({ name }) => !BUILT.has(name))
    .flatMap((entry) => filesIn(join(path, entry.name)));
}

function readEntries(path) {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch (error) {
    if (error.code === "ENOTDIR") return undefined;
    throw error;
  }
}

const BUILT = new Set(["node_modules", "dist", "target"]);
