// Bundles the npm package: one file per entry in `wasm-client/js/dist`, with types beside it.

import { copyFileSync, readFileSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { at, jsPackage, wasmOut } from "./paths.mjs";
import { run } from "./run.mjs";
import { stepIfChanged } from "./steps.mjs";
import { wasmFiles } from "./wasm.mjs";

export async function buildPackage() {
  const outputs = [
    ...ENTRIES.map((name) => resolve(dist, `${name}.js`)),
    resolve(dist, "index.d.ts"),
  ];
  await stepIfChanged(
    "bundle the npm package",
    {
      inputs: [
        resolve(jsPackage, "src"),
        resolve(jsPackage, "package.json"),
        resolve(jsPackage, "tsconfig.json"),
        at(".ci/tasks/package.mjs"),
        at("package-lock.json"),
        ...wasmFiles,
      ],
      outputs: [...outputs, resolve(dist, "tidewire.wasm")],
    },
    bundle,
  );
}

async function bundle() {
  rmSync(dist, { recursive: true, force: true });
  await bundleWith({
    entryPoints: ENTRIES.map((name) => resolve(jsPackage, "src", `${name}.ts`)),
    outdir: dist,
    minify: true,
    // What `#private` cannot hide, since other modules of the package use it, is shortened here.
    mangleProps: new RegExp(`^(${INTERNAL.join("|")})$`),
    define: { "Number.POSITIVE_INFINITY": "Infinity" },
    external: ["*.wasm", "*.wasm?module"],
  });
  copyFileSync(resolve(wasmOut, "tidewire.wasm"), resolve(dist, "tidewire.wasm"));
  await run(process.execPath, [TSC, "-p", resolve(jsPackage, "tsconfig.json")]);
}

/** esbuild as every bundle of ours uses it. */
export async function bundleWith(options) {
  // Loaded late: `npm start` imports this file before the packages are installed.
  const esbuild = await import("esbuild");
  await esbuild.build({
    bundle: true,
    format: "esm",
    target: "es2022",
    platform: "neutral",
    legalComments: "none",
    logLevel: "warning",
    alias: {
      "#wasm-inline": resolve(wasmOut, "tidewire_wasm_inline.js"),
    },
    ...options,
  });
}

/** Prints what each entry costs a page; throws when the default one costs more than we allow ourselves. */
export function checkSize() {
  for (const name of ENTRIES) {
    const bytes = gzipSync(readFileSync(resolve(dist, `${name}.js`)), { level: 9 }).length;
    console.log(`build: @tidewire/client ${name}.js: ${bytes.toLocaleString("en")} bytes gzip`);
    if (name === "index" && bytes > DEFAULT_ENTRY_BYTES_MAX) {
      throw new Error(`index.js may have ${DEFAULT_ENTRY_BYTES_MAX} bytes gzip; it has ${bytes}`);
    }
  }
}

/** Members of the package's own classes: neither its public API, nor what the engine exports, nor the platform's. */
const INTERNAL = [
  ...[
    "settledMessages",
    "settledBytes",
    "settled",
    "orphan",
    "places",
    "begin",
    "give",
    "consume",
    "refused",
  ],
  ...[
    "owner",
    "home",
    "driver",
    "listen",
    "listeners",
    "forget",
    "refuse",
    "drop",
    "report",
    "setStatus",
  ],
  ...["entries", "number", "seq", "fail", "flushed", "upto", "events", "ended"],
  ...["lower", "upper", "tell", "drain", "suspend", "received", "opened", "shown", "hidden"],
];

const ENTRIES = ["index", "slim", "workerd", "edge"];
const DEFAULT_ENTRY_BYTES_MAX = 23_040;
const dist = resolve(jsPackage, "dist");
const TSC = at("node_modules/typescript/bin/tsc");
