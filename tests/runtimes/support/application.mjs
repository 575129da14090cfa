// An application with the packed package installed as anyone would, and its files served.

import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, resolve } from "node:path";
import { output } from "./processes.mjs";

export const repository = resolve(import.meta.dirname, "../../..");
export const tarball = join(repository, "target/npm/tidewire-client.tgz");

/** Where the application is. Its tools are found in the folder above. */
export const application = resolve(import.meta.dirname, "../dist");

export async function install() {
  rmSync(application, { recursive: true, force: true });
  mkdirSync(application);
  cpSync(resolve(import.meta.dirname, "../app"), application, { recursive: true });
  writeFileSync(join(application, "package.json"), '{ "type": "module", "private": true }');
  const args = ["install", "--offline", "--no-audit", "--no-fund", "--ignore-scripts", tarball];
  await output("npm", args, { cwd: application });
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
