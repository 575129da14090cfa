// Turns the bound wasm into JavaScript, for where there is no WebAssembly: `target/wasm/tidewire_wasm_script.js` and its
// types, imported as `#wasm-script`.

import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { at, wasmOut } from "./paths.mjs";
import { run } from "./run.mjs";
import { stepIfChanged } from "./steps.mjs";
import { boundWasm, FEATURES, OPTIMISE_SIZE } from "./wasm.mjs";

export async function buildScript() {
  await stepIfChanged(
    "turn the wasm into JavaScript",
    {
      inputs: [
        boundWasm,
        at("node_modules/binaryen/package.json"),
        at(".ci/tasks/wasm.mjs"),
        at(".ci/tasks/wasm-script.mjs"),
      ],
      outputs: scriptFiles,
    },
    convert,
  );
}

async function convert() {
  const bound = (name) => resolve(wasmOut, "bound", name);
  const features = FEATURES.map((feature) => `--enable-${feature}`);
  await binaryen("wasm-dis", boundWasm, ...features, "-o", bound("bound.wat"));
  writeFileSync(bound("lowered.wat"), withoutSaturation(readFileSync(bound("bound.wat"), "utf8")));
  const options = [...features, "--signext-lowering", ...OPTIMISE_SIZE, WHOLE];
  await binaryen("wasm-opt", bound("lowered.wat"), ...options, "-o", bound("lowered.wasm"));
  await binaryen(
    "wasm2js",
    bound("lowered.wasm"),
    ...features,
    "-Oz",
    WHOLE,
    "-o",
    bound("bound.js"),
  );
  const [script, types] = scriptFiles;
  writeFileSync(script, asFunction(readFileSync(bound("bound.js"), "utf8")));
  writeFileSync(types, SCRIPT_TYPES);
}

/** Each piece of data between zeros would be a call. */
const WHOLE = "--skip-pass=memory-packing";

function binaryen(tool, ...args) {
  return run(process.execPath, [at("node_modules/binaryen/bin", tool), ...args]);
}

/**
 * JavaScript has no conversion that saturates, and binaryen's own lowering makes zeros of numbers that are too large, as C
 * may: these do what Rust's `as` does.
 */
function withoutSaturation(text) {
  const functions = [
    ["i32", "0x1p32"],
    ["i64", "0x1p64"],
  ].map(
    ([type, end]) => `
 (func $saturated_${type} (param $x f64) (result ${type})
  (if (result ${type}) (f64.ge (local.get $x) (f64.const 0))
   (then
    (if (result ${type}) (f64.lt (local.get $x) (f64.const ${end}))
     (then (${type}.trunc_f64_u (local.get $x)))
     (else (${type}.const -1))))
   (else (${type}.const 0))))
`,
  );
  const called = text.replaceAll(/\((i32|i64)\.trunc_sat_f64_u\b/g, "(call $saturated_$1");
  if (called.includes("trunc_sat")) throw new Error("wasm-script.mjs has no such conversion yet");
  return called.replace(/\)\s*$/, `${functions.join("")})\n`);
}

/** What comes out of wasm2js makes one instance when it is imported; each client needs one of its own. */
function asFunction(text) {
  const inside = withoutUnused(withNumbers(text));
  const made = replaced(
    inside,
    /\n(?:export var \w+ = retasmFunc\.\w+;\n)+$/,
    "\nreturn retasmFunc;\n}\n",
  );
  return `export default function make() {${made}`;
}

/** Data as numbers: as base64 it would bring what decodes that, which is more than there is to decode. */
function withNumbers(text) {
  const decoder = /^ *var base64ReverseLookup[\s\S]*?return uint8Array;\n *\}\n/m;
  const calls = /base64DecodeToExistingUint8Array\(bufferView, (\d+), "([^"]*)"\)/g;
  return replaced(replaced(text, decoder, ""), calls, (_, at, data) => {
    return `bufferView.set([${[...Buffer.from(data, "base64")]}], ${at})`;
  });
}

/** Without the constants that nothing names: a bundler cannot know that reading them does nothing. */
function withoutUnused(text) {
  return replaced(text, /^ var (Math_\w+) = Math\.\w+;\n/gm, (line, name) =>
    text.split(name).length > 2 ? line : "",
  );
}

function replaced(text, pattern, by) {
  if (text.search(pattern) < 0) throw new Error("wasm2js has another shape than this knows");
  return text.replace(pattern, by);
}

export const scriptFiles = ["tidewire_wasm_script.js", "tidewire_wasm_script.d.ts"].map((name) =>
  resolve(wasmOut, name),
);

const SCRIPT_TYPES = `import type { Wasm } from "#wasm";

type Halved<T extends unknown[]> = T extends [infer First, ...infer Rest]
  ? [...(First extends bigint ? [lower: number, upper: number] : [First]), ...Halved<Rest>]
  : [];

/** As an instance of the wasm, but that 64-bit numbers are passed as two halves. */
interface Script extends Omit<Wasm, "start"> {
  start(...given: Halved<Parameters<Wasm["start"]>>): void;
}

/** Makes a new engine. */
export default function make(): Script;
`;
