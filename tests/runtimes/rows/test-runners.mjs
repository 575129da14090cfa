// Test runners in which applications try what uses the package.

import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { application } from "../support/application.mjs";
import { script } from "../support/binaries.mjs";
import { output } from "../support/processes.mjs";

const cwd = join(application, "tests");
const versionOf = (name) =>
  JSON.parse(readFileSync(script(`${name}/package.json`), "utf8")).version;

export const testRunners = [
  {
    name: "Jest with jsdom",
    proves:
      "a test, in an environment with what jsdom lacks; as jsdom is, import and `createClient`",
    run: async (ground) => {
      const jest = ["--experimental-vm-modules", script("jest/bin/jest.js"), "-c"];
      await runTest(ground, [...jest, "jest.config.mjs"]);
      await output(process.execPath, [...jest, "jest-plain.config.mjs"], { cwd });
      return { version: versionOf("jest") };
    },
  },
  {
    name: "Vitest",
    proves: "a test, in `node`; in `jsdom` with `ws`",
    run: async (ground) => {
      const vitest = [script("vitest/vitest.mjs"), "run", "--config"];
      for (const environment of ["node", "jsdom"]) {
        await runTest(ground, [...vitest, `vitest-${environment}.config.mjs`]);
      }
      return { version: versionOf("vitest") };
    },
  },
];

/** The test writes what the program saw where we look for it. */
function runTest(ground, args) {
  const RESULT = join(cwd, "result.json");
  rmSync(RESULT, { force: true });
  return ground.trial(async (address) => {
    const env = { ADDRESS: JSON.stringify(address), RESULT };
    await output(process.execPath, args, { cwd, env });
    return JSON.parse(readFileSync(RESULT, "utf8"));
  });
}
