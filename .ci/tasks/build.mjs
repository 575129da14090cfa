// `npm run build`: the wasm engine, the npm package, the demo page, the hub, the page in Rust and the chat.
//
// What the parts agree on:
// - `wasm-client/js/src/{index,slim,js,workerd,edge}.ts` are the package's entries; each becomes one file in `dist`.
// - They import the types of a wasm instance as `#wasm`, the wasm's text as `#wasm-inline` (raw deflate as text), and the
//   wasm turned into JavaScript as `#wasm-script`; all are made in `target/wasm`, where `tsconfig.json` finds them.
// - `web` and `web/examples/chat` import the built package by its name and leave their pages in `dist`.
//
// Cargo knows for itself what to rebuild; the other steps are skipped while their inputs are unchanged.

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { buildPackage, checkSize } from "./package.mjs";
import { at, chat, hubBinary, jsPackage, root, web } from "./paths.mjs";
import { prepareBuild } from "./prepare.mjs";
import { buildReference } from "./reference.mjs";
import { run } from "./run.mjs";
import { buildRustPage } from "./rust-page.mjs";
import { step, stepIfChanged } from "./steps.mjs";
import { buildWasm } from "./wasm.mjs";
import { buildScript } from "./wasm-script.mjs";

export async function build() {
  await buildHub();
  await buildRustPage();
  await buildPage("build the chat", chat);
}

/** The hub with its demo, and what the demo is made of. */
export async function buildHub() {
  await prepareBuild();
  await buildWasm();
  await buildScript();
  await buildPackage();
  await buildPage("build the demo page", web);
  await buildReference();
  await step("compile the hub", () =>
    run("cargo", ["build", "--locked", "--release", "-p", "tidewire"]),
  );
  console.log(`build: ${hubBinary.replace(`${root}/`, "")} is ready`);
}

/** A page that Vite makes of its own files and the npm package. */
async function buildPage(name, folder) {
  const own = PAGE_FILES.map((file) => resolve(folder, file)).filter(existsSync);
  await stepIfChanged(
    name,
    {
      inputs: [...own, resolve(jsPackage, "dist"), at("package-lock.json")],
      outputs: [resolve(folder, "dist/index.html")],
    },
    () => run("npm", ["run", "--silent", "build", "-w", folder]),
  );
}

/** What a page may be made of; `web` holds other pages beside these. */
const PAGE_FILES = [
  "index.html",
  "package.json",
  "public",
  "src",
  "tsconfig.json",
  "vite.config.ts",
];

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await build();
  checkSize();
}
