// `npm run bench -- --clients`: what a page or a Node program pays per message, beside the clients of others.
// Installs those into `target/bench-clients`, beside our own packed package, and bundles each as a site would.

import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { pack } from "./pack.mjs";
import { bundleWith } from "./package.mjs";
import { at, tarball } from "./paths.mjs";
import { run } from "./run.mjs";

const folder = at("target/bench-clients");

/** Installs and bundles everything; the libraries that there are. */
export async function prepareClients() {
  mkdirSync(folder, { recursive: true });
  for (const name of ["libraries", "record", "replay", "run", "payload.js", "package.json"]) {
    rmSync(resolve(folder, name), { recursive: true, force: true });
    cpSync(at("bench/clients", name), resolve(folder, name), { recursive: true });
  }
  await installOthers();
  await installOurs();
  for (const library of LIBRARIES) await bundle(library);
}

async function installOthers() {
  const wanted = JSON.parse(readFileSync(resolve(folder, "package.json"), "utf8")).dependencies;
  if (Object.entries(wanted).every(([name, version]) => versionOf(name) === version)) return;
  await run("npm", ["install", ...QUIETLY], { cwd: folder });
  rmSync(resolve(folder, "tidewire.sha256"), { force: true });
}

/** The package as a user gets it: out of its tarball. */
async function installOurs() {
  pack();
  const stamp = resolve(folder, "tidewire.sha256");
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
    define: { global: "globalThis" },
  });
}

/** In Node the libraries take their WebSocket from the package `ws`. */
const replaySocket = {
  name: "replay-socket",
  setup(build) {
    build.onResolve({ filter: /^ws$/ }, () => ({ path: resolve(folder, "libraries/ws.js") }));
    build.onResolve({ filter: /^ws\/lib\/stream\.js$/ }, () => ({
      path: resolve(folder, "node_modules/ws/lib/stream.js"),
    }));
  },
};

export const LIBRARIES = ["tidewire", "centrifuge", "socket.io", "mqtt", "bare"];
const QUIETLY = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"];
const REQUIRE =
  'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';
