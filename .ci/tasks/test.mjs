// `npm test`: everything that must hold before a change is merged.

import { run } from "./run.mjs";
import { runSections } from "./sections.mjs";

const cargo = (args, env) => run("cargo", args, { env });

const sections = [
  { name: "cargo fmt", run: () => cargo(["fmt", "--all", "--check"]) },
  {
    name: "biome",
    run: () => run("npx", ["--no-install", "biome", "check", "--error-on-warnings"]),
  },
  {
    name: "clippy",
    run: () =>
      cargo(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]),
  },
  { name: "cargo test", run: () => cargo(["test", "--locked", "--workspace"]) },
];

process.exitCode = (await runSections(sections)) > 0 ? 1 : 0;
