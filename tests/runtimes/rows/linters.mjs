// What reads the package without running it.

import { readFileSync } from "node:fs";
import { application, repository, tarball } from "../support/application.mjs";
import { script } from "../support/binaries.mjs";
import { output } from "../support/processes.mjs";

const versionOf = (path) => JSON.parse(readFileSync(`${path}/package.json`, "utf8")).version;
const ofRepository = (name) => `${repository}/node_modules/${name}`;

export const linters = [
  {
    name: "TypeScript",
    proves: "types by `node16`, for modules and CommonJS",
    run: () => {
      const options = "--module node16 --target es2022 --lib es2022,dom --strict --noEmit --types";
      const args = [...options.split(" "), "", "--ignoreConfig", "types.mts", "types.cts"];
      return lint(ofRepository("typescript"), "bin/tsc", args);
    },
  },
  {
    name: "Are the types wrong?",
    proves: "clean by `--profile node16`",
    run: () => {
      // An engine has no types.
      const args = ["--profile", "node16", "--exclude-entrypoints", "./tidewire.wasm"];
      return lint(script("@arethetypeswrong/cli"), "dist/index.js", [tarball, ...args]);
    },
  },
  {
    name: "publint",
    proves: "clean by `--strict`",
    run: () => lint(ofRepository("publint"), "src/cli.js", [tarball, "--strict"]),
  },
];

async function lint(folder, program, args) {
  await output(process.execPath, [`${folder}/${program}`, ...args], { cwd: application });
  return { version: versionOf(folder) };
}
