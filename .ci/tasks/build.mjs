// `npm run build`: the wasm engine, the npm package, the demo page, the page in Rust and the hub.
//
// What the parts agree on:
// - `wasm-client/js/src/{index,slim,workerd,edge}.ts` are the package's entries; each becomes one file in `dist`.
// - They import the types of a wasm instance as `#wasm`, and the wasm's text as `#wasm-inline` (raw deflate as text);
//   both are made in `target/wasm`, where `tsconfig.json` finds them.
// - `web` imports the built package by its name and leaves its page in `web/dist`.
//
// Cargo knows for itself what to rebuild; the other steps are skipped while their inputs are unchanged.

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { buildPackage, checkSize } from "./package.mjs";
import { at, hubBinary, jsPackage, root, web } from "./paths.mjs";
import { prepareBuild } from "./prepare.mjs";
import { run } from "./run.mjs";
import { buildRustPage } from "./rust-page.mjs";
import { step, stepIfChanged } from "./steps.mjs";
import { buildWasm } from "./wasm.mjs";

export async function build() {
  await buildHub();
  await buildRustPage();
}

/** The hub with its demo, and what the demo is made of. */
export async function buildHub() {
  await prepareBuild();
  await buildWasm();
  await buildPackage();
  await buildPage();
  await step("compile the hub", () =>
    run("cargo", ["build", "--locked", "--release", "-p", "tidewire"]),
  );
  console.log(`build: ${hubBinary.replace(`${root}/`, "")} is ready`);
}

async function buildPage() {
  await stepIfChanged(
    "build the demo page",
    {
      inputs: [web, resolve(jsPackage, "dist/index.js"), at("package-lock.json")],
      outputs: [resolve(web, "dist/index.html")],
    },
    () => run("npm", ["run", "--silent", "build", "-w", "web"]),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await build();
  checkSize();
}
