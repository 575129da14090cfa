// `npm run bench -- --clients`: what a page or a Node program pays per message, beside the clients of others.
// Installs those into `target/bench-clients`, beside our own packed package, and bundles each as a site would.

import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { measureClients } from "../../bench/clients/campaign.mjs";
import { documented, tables } from "../../bench/clients/report.mjs";
import { LIBRARIES, ROWS } from "../../bench/clients/rows.mjs";
import { pack } from "./pack.mjs";
import { buildPackage, bundleWith } from "./package.mjs";
import { at, hubBinary, tarball } from "./paths.mjs";
import { prepareBuild } from "./prepare.mjs";
import { CommandFailed, run } from "./run.mjs";
import { buildWasm } from "./wasm.mjs";
import { buildScript } from "./wasm-script.mjs";

/** Builds, installs, measures and reports; `centrifugeServer` is where Centrifuge's server is, if it is there. */
export async function benchClients(args, centrifugeServer) {
  const options = parse(args);
  const rows = ROWS.filter(({ name }) => name.includes(options.only));
  const hub = await buildHub();
  const versions = await prepareClients();
  const found = ({ libraries }) => libraries.filter((name) => versions[name] !== undefined);
  const measured = await measureClients({
    folder,
    rows: rows.map((row) => ({ ...row, libraries: found(row) })),
    rounds: options.rounds,
    env: { TIDEWIRE_BIN: hub, CENTRIFUGE_SERVER: centrifugeServer },
    milliseconds: MEASURED_MS,
    say: (line) => console.error(`bench: ${line}`),
  });
  report(options, versions, measured);
  if (measured.failures.length) process.exitCode = 1;
}

function parse(args) {
  const { values } = parseArgs({
    args,
    options: {
      full: { type: "boolean", default: false },
      rounds: { type: "string" },
      only: { type: "string", default: "" },
      json: { type: "string" },
      document: { type: "string" },
    },
  });
  const rounds = Number(values.rounds ?? (values.full ? 5 : 3));
  if (!(rounds >= 1)) throw new Error("--rounds wants a number");
  return { ...values, rounds };
}

/** The hub that is there to be used, or else one built now. */
async function buildHub() {
  await prepareBuild();
  await buildWasm();
  await buildScript();
  await buildPackage();
  if (process.env.TIDEWIRE_BIN) return process.env.TIDEWIRE_BIN;
  await run("cargo", ["build", "--locked", "--release", "-p", "tidewire"]);
  return hubBinary;
}

/** Installs and bundles everything; gives the version of each library that is there. */
async function prepareClients() {
  mkdirSync(folder, { recursive: true });
  for (const name of ["libraries", "record", "replay", "run", "payload.js"]) {
    rmSync(resolve(folder, name), { recursive: true, force: true });
    cpSync(at("bench/clients", name), resolve(folder, name), { recursive: true });
  }
  await installOthers();
  await installOurs();
  const versions = Object.fromEntries(
    LIBRARIES.map((library) => [library, versionOf(PACKAGES[library][0])]),
  );
  const missing = LIBRARIES.filter((library) => versions[library] === undefined);
  if (missing.length) console.error(`bench: not installed, so not measured: ${missing.join(", ")}`);
  for (const library of LIBRARIES) if (versions[library]) await bundle(library);
  return versions;
}

/** All at once; if that fails, one library after another, so that one that is not to be had hinders no other. */
async function installOthers() {
  const { dependencies, ...rest } = JSON.parse(
    readFileSync(at("bench/clients/package.json"), "utf8"),
  );
  const isInstalled = ([name, version]) => versionOf(name) === version;
  const isThere = existsSync(resolve(folder, "package.json"));
  if (isThere && Object.entries(dependencies).every(isInstalled)) return;
  rmSync(stamp, { force: true });
  const install = async (names) => {
    const own = Object.fromEntries(names.map((name) => [name, dependencies[name]]));
    const text = JSON.stringify({ ...rest, dependencies: own }, undefined, 2);
    writeFileSync(resolve(folder, "package.json"), text);
    await run("npm", ["install", ...QUIETLY], { cwd: folder });
  };
  try {
    await install(Object.keys(dependencies));
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    await installSome(install);
  }
}

async function installSome(install) {
  let names = ["ws"];
  for (const library of ["centrifuge", "socket.io", "mqtt"]) {
    const more = [...names, ...PACKAGES[library]];
    try {
      await install(more);
      names = more;
    } catch (error) {
      if (!(error instanceof CommandFailed)) throw error;
      console.error(`bench: ${library} cannot be installed here: ${error.message}`);
    }
  }
  await install(names);
}

/** The package as a user gets it: out of its tarball. */
async function installOurs() {
  pack();
  const digest = createHash("sha256").update(readFileSync(tarball)).digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
  await run("npm", ["install", "--no-save", "--offline", ...QUIETLY, tarball], { cwd: folder });
  writeFileSync(stamp, digest);
}

function versionOf(name) {
  const path = resolve(folder, "node_modules", name, "package.json");
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).version : undefined;
}

async function bundle(library) {
  const entryPoints = [resolve(folder, `libraries/${library}.js`)];
  await bundleWith({
    entryPoints,
    outdir: resolve(folder, "bundles/node"),
    platform: "node",
    // What is not ESM asks for Node's own modules by `require`.
    banner: { js: REQUIRE },
    plugins: [replaySocket],
  });
  await bundleWith({
    entryPoints,
    outdir: resolve(folder, "bundles/page"),
    platform: "browser",
    minify: true,
  });
}

/** In Node the libraries take their WebSocket from the package `ws`. */
const replaySocket = {
  name: "replay-socket",
  setup(build) {
    const replace = (filter, path) =>
      build.onResolve({ filter }, () => ({ path: resolve(folder, path) }));
    replace(/^ws$/, "libraries/ws.js");
    replace(/^ws\/lib\/stream\.js$/, "node_modules/ws/lib/stream.js");
  },
};

function report({ json, document, rounds, full }, versions, { results, failures }) {
  const text = tables(results).join("\n\n");
  console.log(`\n${text}`);
  for (const failure of failures) console.log(`failed: ${failure}`);
  const at = new Date().toISOString().slice(0, 10);
  const machine = `${cpus().length} x ${cpus()[0].model}`;
  if (json) {
    const figures = results.map(({ row, ...rest }) => ({ row: row.name, ...rest }));
    writeFileSync(json, JSON.stringify({ at, machine, versions, results: figures, failures }));
  }
  if (!document) return;
  const command = `npm run bench -- --clients${full ? " --full" : ""}`;
  const installed = Object.entries(versions).map(
    ([name, version]) => `${name} ${version ?? "not installed"}`,
  );
  const head = `${at}, \`${command}\`, medians of ${rounds} rounds. ${machine}. ${installed.join(", ")}.`;
  writeFileSync(document, documented(readFileSync(document, "utf8"), `${head}\n\n${text}`));
}

const folder = at("target/bench-clients");
/** Which tarball is installed. */
const stamp = resolve(folder, "tidewire.sha256");
const MEASURED_MS = 500;
const QUIETLY = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"];
const REQUIRE =
  'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';

/** What each library is made of, its client first. */
const PACKAGES = {
  tidewire: ["@tidewire/client"],
  centrifuge: ["centrifuge"],
  "centrifuge-protobuf": ["centrifuge"],
  "socket.io": ["socket.io-client", "socket.io"],
  mqtt: ["mqtt", "aedes"],
  bare: ["ws"],
};
