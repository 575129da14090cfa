// Bundles the npm package: one file per entry in `wasm-client/js/dist`, with types beside it.

import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { at, jsPackage, wasmOut } from "./paths.mjs";
import { run } from "./run.mjs";
import { stepIfChanged } from "./steps.mjs";
import { wasmFiles } from "./wasm.mjs";
import { scriptFiles } from "./wasm-script.mjs";
import placeholder from "./wasm-text.js";

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
        at(".ci/tasks/wasm-text.js"),
        at("package-lock.json"),
        ...wasmFiles,
        ...scriptFiles,
      ],
      outputs: [...outputs, resolve(dist, "tidewire.wasm")],
    },
    bundle,
  );
}

async function bundle() {
  checkInternal();
  rmSync(dist, { recursive: true, force: true });
  await bundleWith({
    entryPoints: ENTRIES.map((name) => resolve(jsPackage, "src", `${name}.ts`)),
    outdir: dist,
    minify: true,
    // Fields that a constructor sets are not declared once more.
    tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
    alias: { "#wasm-inline": at(".ci/tasks/wasm-text.js"), "#wasm-script": script },
    // What `#private` cannot hide, since other modules of the package use it, is shortened here.
    mangleProps: new RegExp(`^(${INTERNAL.join("|")})$`),
    define: { "Number.POSITIVE_INFINITY": "Infinity" },
    external: ["*.wasm", "*.wasm?module"],
  });
  // Put in afterwards: as one line it takes less, and nothing throws there.
  const { default: text } = await import(inlineText);
  for (const name of ENTRIES) {
    const entry = resolve(dist, `${name}.js`);
    const bundled = await inLines(readFileSync(entry, "utf8"));
    writeFileSync(
      entry,
      bundled.replace(`"${placeholder}"`, () => `"${text}"\n`),
    );
  }
  copyFileSync(resolve(wasmOut, "tidewire.wasm"), resolve(dist, "tidewire.wasm"));
  for (const name of ["index", "slim", "js"]) {
    copyFileSync(resolve(jsPackage, "src", `${name}.d.cts`), resolve(dist, `${name}.d.cts`));
    // The same module, as what its types say that it is.
    writeFileSync(resolve(dist, `${name}.cjs`), `module.exports = require("./${name}.js");\n`);
  }
  await run(process.execPath, [TSC, "-p", resolve(jsPackage, "tsconfig.json")]);
  checkPublic();
}

/** Throws where a shortened name is one that the language or the platform has, too: their members would be lost. */
function checkInternal() {
  const theirs = [Array, Map, Set, String, Promise, Uint8Array, DataView, Error, WeakRef, URL];
  const platform = [Event, EventTarget, AbortSignal, MessageEvent, Response, ReadableStream];
  for (const { name, prototype } of [...theirs, ...platform]) {
    const taken = INTERNAL.filter((member) => member in prototype);
    if (taken.length)
      throw new Error(`${taken} of INTERNAL: ${name} has it, too; name it otherwise`);
  }
}

/** Throws where a shortened name is one that the package's types promise: applications would not find it. */
function checkPublic() {
  const types = (name) => readFileSync(resolve(dist, `${name}.d.ts`), "utf8");
  const declaring = [...types("exports").matchAll(/ from "\.\/(\w+)\.js"/g)].map(
    ([, name]) => name,
  );
  const members = declaring.flatMap((name) => {
    const bare = types(name).replaceAll(/\/\*.*?\*\//gs, "");
    return [...bare.matchAll(DECLARED_MEMBER)].map(([, member]) => member);
  });
  for (const known of ["publish", "data", "cancel", "retryable"])
    if (!members.includes(known)) throw new Error(`${known} was not found among what is public`);
  const taken = INTERNAL.filter((member) => members.includes(member));
  if (taken.length)
    throw new Error(`${taken} of INTERNAL: the package's types have it; name it otherwise`);
}

/**
 * Node prints the whole line that threw an error which nobody caught. Lines that all end before the same words cost next to
 * nothing when packed; where esbuild ends them, amid whatever stands there, 150 bytes more.
 */
async function inLines(bundled) {
  let text = "";
  let length = 0;
  for (const part of bundled.split(FUNCTION_STARTS)) {
    if (OUTER_START.test(part) || length + part.length > LINE_CHARACTERS) {
      text += "\n";
      length = 0;
    }
    text += part;
    length += part.length;
  }
  const { transform } = await import("esbuild");
  const [one, other] = await Promise.all(
    [bundled, text].map((code) => transform(code, { minify: true })),
  );
  if (one.code !== other.code) throw new Error("a line ends where it means something");
  return text;
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
      "#wasm-inline": inlineText,
      "#wasm-script": script,
    },
    ...options,
  });
}

/** Prints what each entry costs a page; throws when one costs more than we allow ourselves. */
export function checkSize() {
  for (const name of ENTRIES) {
    const bytes = readFileSync(resolve(dist, `${name}.js`));
    const gzip = gzipSync(bytes, GZIP_9).length;
    const brotli = brotliCompressSync(bytes).length;
    const sizes = `${gzip.toLocaleString("en")} bytes gzip -9, ${brotli.toLocaleString("en")} brotli`;
    console.log(`build: @tidewire/client ${name}.js: ${sizes}`);
    const max = BYTES_MAX[name];
    if (gzip > max) throw new Error(`${name}.js may have ${max} bytes gzip -9; it has ${gzip}`);
  }
}

/** Members of the package's own classes: neither its public API, nor what the engine exports, nor the platform's. */
const INTERNAL = [
  ...words("ask begin boot busy doubted drain drainSoon failed keep lost lower orphaned restarts"),
  ...words("suspend take taken tell upper"),
  ...words("answer end hidden offline online open opened received request sentAt shown"),
  ...words(
    "outgoing entryOf fail flushed left number over payload publisher running seq withdrawn",
  ),
  ...words("release succeed unsettled upto"),
  ...words(
    "consume consumer ended give signIn listen members orphan owner places read report session unsendable",
  ),
  ...words("settled settledBytes settledMessages choices closed emit home leave"),
  ...words(
    "following introduce caught pursue about watch probe dropped sending route told waiting",
  ),
  ...words("drained unplaced tokenless besides"),
];

function words(text) {
  return text.split(" ");
}

/** In a file of types: what an interface, a class or a type of objects has. */
const DECLARED_MEMBER = /(?:^|[{;])\s*(?:(?:static|readonly|get|set) )*([\w$]+)\??(?=[:(<])/gm;
/** Of those that hold more than one method. */
const LINE_CHARACTERS = 500;
/** Before a function, a method, or what may hold some. */
const FUNCTION_STARTS =
  /(?<=[;}])(?=(?:async |static |get )*(?:function |var |#?[\w$]+\([^()]*\)\{))/;
const OUTER_START = /^(?:async )?(?:function|var) /;
const inlineText = resolve(wasmOut, "tidewire_wasm_inline.js");
const [script] = scriptFiles;
const ENTRIES = ["index", "slim", "js", "workerd", "edge"];
/** As the program `gzip -9` counts, but for some bytes: its blocks are twice as long as those of zlib's own default. */
const GZIP_9 = { level: 9, memLevel: 9 };
/** By entry, as they are bundled and packed by `gzip -9`. */
const BYTES_MAX = { index: 39_750, js: 57_300 };
const dist = resolve(jsPackage, "dist");
const TSC = at("node_modules/typescript/bin/tsc");
