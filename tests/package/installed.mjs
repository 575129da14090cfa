// An application outside the repository, with the packed package installed as anyone would.

import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");

/** Makes the application; returns its folder. */
export function install() {
  const folder = mkdtempSync(join(tmpdir(), "tidewire-package-"));
  cpSync(join(import.meta.dirname, "app"), folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "type": "module", "private": true }');
  const tarball = join(root, "target/npm/tidewire-client.tgz");
  const args = ["install", "--offline", "--no-audit", "--no-fund", "--ignore-scripts", tarball];
  execFileSync("npm", args, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
  // The tests' own copy will do: it is not what is tested.
  symlinkSync(join(root, "node_modules/ws"), join(folder, "node_modules/ws"));
  return folder;
}

export function remove(folder) {
  rmSync(folder, { recursive: true, force: true });
}

/** Runs a program of the application; gives what it printed. */
export function runNode(folder, script, ...args) {
  return execFileSync(process.execPath, [script, ...args], { cwd: folder, encoding: "utf8" });
}

/** Compiles programs of the application as `tsc` does for Node; throws with what is wrong. */
export function checkTypes(folder, ...programs) {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const options =
    "--module node16 --target es2022 --lib es2022,dom --strict --noEmit --types".split(" ");
  execFileSync(process.execPath, [tsc, ...options, "--ignoreConfig", ...programs], {
    cwd: folder,
    stdio: ["ignore", "inherit", "inherit"],
  });
}

/** Builds the application as Vite does without being told anything. */
export function viteBuild(folder) {
  const vite = join(root, "node_modules/vite/bin/vite.js");
  execFileSync(process.execPath, [vite, "build", "--base=./", "--logLevel=warn"], {
    cwd: folder,
    stdio: ["ignore", "inherit", "inherit"],
  });
}

/** Serves a folder on loopback; `{ url, close }`. */
export async function serve(folder) {
  const server = createServer(async ({ url }, response) => {
    const path = normalize(new URL(url, "http://localhost").pathname);
    try {
      const bytes = await readFile(join(folder, path));
      response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream");
      response.end(bytes);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const close = () => {
    server.closeAllConnections();
    return new Promise((done) => server.close(done));
  };
  return { url: `http://127.0.0.1:${server.address().port}`, close };
}

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };
