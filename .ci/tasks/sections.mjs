// Runs the sections of a test run one after another and sums them up.
// A failed section does not stop the others: one run shows everything that is broken.

import { Missing } from "./prepare.mjs";
import { CommandFailed } from "./run.mjs";

/**
 * Runs `sections`, each `{ name, run, needs? }`; `needs` names a section without which this one cannot work.
 * Returns the number of failures.
 */
export async function runSections(sections) {
  const results = [];
  for (const section of sections) {
    console.log(`\n=== ${section.name} ===`);
    const started = performance.now();
    const error = await attempt(section, results);
    const seconds = (performance.now() - started) / 1000;
    if (error) console.error(describe(error));
    console.log(`--- ${section.name}: ${error ? "FAILED" : "passed"} in ${seconds.toFixed(1)} s`);
    results.push({ name: section.name, failed: error !== undefined, seconds });
  }
  return summarise(results);
}

async function attempt({ run, needs }, results) {
  if (needs && results.some(({ name, failed }) => name === needs && failed)) {
    return new CommandFailed(needs, [], "this section needs it");
  }
  try {
    await run();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** A program that failed has already said why; a fault of ours needs its stack. */
function describe(error) {
  const isExplained = error instanceof CommandFailed || error instanceof Missing;
  return isExplained ? error.message : (error.stack ?? String(error));
}

function summarise(results) {
  const failures = results.filter(({ failed }) => failed);
  const slowest = results.toSorted((a, b) => b.seconds - a.seconds).slice(0, SLOWEST_SHOWN);
  const total = results.reduce((sum, { seconds }) => sum + seconds, 0);

  console.log("\nslowest:");
  for (const { name, seconds } of slowest) {
    console.log(`  ${seconds.toFixed(1).padStart(7)} s  ${name}`);
  }
  console.log(`  ${total.toFixed(1).padStart(7)} s  in all`);
  for (const { name } of failures) console.log(`failed: ${name}`);
  console.log(`${results.length - failures.length} passed, ${failures.length} failed`);
  return failures.length;
}

const SLOWEST_SHOWN = 8;
