// Licences, sources, duplicates and known vulnerabilities of what we depend on.
// Advisories live on servers that a build machine may not reach: that is said aloud, and is no failure.

import { at, root, tools } from "./paths.mjs";
import { prepareCargoTool } from "./prepare.mjs";
import { CommandFailed, read, run } from "./run.mjs";

export async function checkRustDependencies() {
  const deny = await prepareCargoTool({ name: "cargo-deny", version: DENY_VERSION, folder: tools });
  await run(deny, ["--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]);

  const args = ["--locked", "check", "advisories"];
  const advisories = read(deny, args);
  process.stdout.write(advisories.stderr);
  if (advisories.ok) return;
  if (!advisories.stderr.includes("failed to fetch advisory database")) {
    throw new CommandFailed("cargo-deny", args, "see above");
  }
  console.log("NOT CHECKED: advisories of crates; their database cannot be reached from here");
}

/** Those of our own packages fail; what the tarball is only tried with reaches no user, so its own are told. */
export function checkNpmAdvisories() {
  const ours = advisoriesIn(root);
  const others = advisoriesIn(at("tests/runtimes"));
  if (others) console.log(`advisories of what the package is tried with:\n${others}`);
  if (ours) {
    console.error(ours);
    throw new CommandFailed("npm", AUDIT, "see above");
  }
}

/** What `npm audit` says; nothing if all is well, or cannot be known. */
function advisoriesIn(folder) {
  const audit = read("npm", AUDIT, { cwd: folder });
  if (audit.ok) return;
  const report = JSON.parse(audit.stdout);
  if (report.statusCode !== undefined || UNREACHABLE.has(report.error?.code)) {
    console.log(`NOT CHECKED: advisories of npm packages; the registry says: ${report.message}`);
    return;
  }
  return audit.stdout;
}

const AUDIT = ["audit", "--json", "--package-lock-only"];
const DENY_VERSION = "0.20.2";
const UNREACHABLE = new Set(["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENOAUDIT"]);
