// Makes the engine of the npm package: Rust -> wasm -> optimised -> inline text.
//
// Leaves in `target/wasm`:
//   tidewire_wasm.d.ts                what an instance exports; imported as `#wasm`
//   tidewire_wasm_inline.js, .d.ts    the deflated wasm as text; imported as `#wasm-inline`
//   tidewire.wasm                     the same wasm as a file

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { at, cargoTarget, root, wasmOut } from "./paths.mjs";
import { read, run } from "./run.mjs";
import { step, stepIfChanged } from "./steps.mjs";

export async function buildWasm() {
  await step("compile the wasm client", compile);
  await stepIfChanged(
    "bind, optimise and deflate the wasm",
    {
      inputs: [
        rawWasm,
        at("wasm-client/build-helper"),
        at("Cargo.lock"),
        at("node_modules/binaryen/package.json"),
        at(".ci/tasks/wasm.mjs"),
      ],
      outputs: wasmFiles,
    },
    finish,
  );
}

/** Panic messages carry source paths; without the remaps they would tell where they were built. */
export function remaps() {
  const cargoHome = process.env.CARGO_HOME ?? join(homedir(), ".cargo");
  const sysroot = read("rustc", ["--print", "sysroot"]).stdout.trim();
  return [
    `--remap-path-prefix=${root}=tidewire`,
    `--remap-path-prefix=${cargoHome}/registry/src=crates`,
    `--remap-path-prefix=${sysroot}/lib/rustlib/src/rust=rust`,
  ];
}

/**
 * `--crate-type` because the crate is an `rlib` to everybody else, and Cargo leaves out link-time optimisation, a
 * fifth of the size, for a library that is to be both.
 */
function compile() {
  const flags = [
    ...remaps(),
    // Strength reduction trades a hundredth of the size for speed that no socket lets one see, and so does inlining.
    "-Cllvm-args=-disable-lsr",
    "-Cllvm-args=-inline-threshold=0",
    // Nothing recurses, so a megabyte of stack would be memory for nothing; and low addresses are shorter.
    "-Clink-arg=-zstack-size=65536",
  ];
  const args = [
    "rustc",
    "--locked",
    "--profile",
    "wasm",
    "--target",
    TARGET,
    "-p",
    "tidewire-wasm",
    "--crate-type",
    "cdylib",
  ];
  return run("cargo", args, { env: { CARGO_ENCODED_RUSTFLAGS: flags.join("\x1f") } });
}

async function finish() {
  const bound = resolve(wasmOut, "bound");
  mkdirSync(bound, { recursive: true });
  await helper("bind", rawWasm, bound);

  const optimised = resolve(wasmOut, "tidewire.wasm");
  await run(process.execPath, [
    at("node_modules/binaryen/bin/wasm-opt"),
    resolve(bound, "tidewire_bg.wasm"),
    ...OPTIMISE,
    ...FEATURES.map((feature) => `--enable-${feature}`),
    "-o",
    optimised,
  ]);

  writeFileSync(resolve(wasmOut, "tidewire_wasm.d.ts"), WASM_TYPES);

  const deflated = resolve(bound, "tidewire.deflate");
  await helper("deflate", optimised, deflated);
  const text = textOf(readFileSync(deflated));
  writeFileSync(resolve(wasmOut, "tidewire_wasm_inline.js"), `export default "${text}";\n`);
  writeFileSync(resolve(wasmOut, "tidewire_wasm_inline.d.ts"), INLINE_TYPES);
}

/** Two of 91 characters for each 13 bits: to gzip, which counts letters, that is less than base64. */
function textOf(deflated) {
  let bytes = [...deflated];
  // Browsers refuse a byte behind the end: blocks of nothing in front move the end until the last 13 bits hold none.
  while ((bytes.length * 5) % 13 > 7) bytes = [0, 0, 0, 255, 255, ...bytes];
  const digits = [];
  let [bits, count] = [0, 0];
  for (const byte of bytes) {
    bits |= byte << count;
    count += 8;
    if (count < 13) continue;
    digits.push((bits & 8191) % 91, Math.floor((bits & 8191) / 91));
    bits >>= 13;
    count -= 13;
  }
  if (count > 0) digits.push(bits % 91, Math.floor(bits / 91));
  // From "#" on, without the backslash.
  return String.fromCharCode(...digits.map((digit) => digit + (digit > 56 ? 36 : 35)));
}

/** Runs a part of the build that is Rust. */
export function helper(...args) {
  return run("cargo", ["run", "--locked", "-p", "tidewire-wasm-build", "--", ...args]);
}

export const TARGET = "wasm32-unknown-unknown";
const rawWasm = resolve(cargoTarget, TARGET, "wasm/tidewire_wasm.wasm");

export const wasmFiles = [
  "tidewire.wasm",
  "tidewire_wasm.d.ts",
  "tidewire_wasm_inline.js",
  "tidewire_wasm_inline.d.ts",
].map((name) => resolve(wasmOut, name));

/** Functions with one caller stay apart unless they are small: inlined they would deflate less well. */
const OPTIMISE = [
  "-Oz",
  "--converge",
  "--one-caller-inline-max-function-size=20",
  "--always-inline-max-function-size=6",
  // Only the far end of the stack lies there, and no address that is computed wraps around to it.
  "--low-memory-unused",
  "--strip-producers",
  "--strip-target-features",
];

/** What rustc's target emits and every supported engine has; `--all-features` would use more. */
const FEATURES = [
  "bulk-memory",
  "sign-ext",
  "mutable-globals",
  "nontrapping-float-to-int",
  "reference-types",
  "multivalue",
];

const WASM_TYPES = `/** One instance: what the client exports by \`#[wasm_bindgen]\`, and its memory. */
export type Wasm = typeof import("./bound/tidewire.js") & { readonly memory: WebAssembly.Memory };
`;

const INLINE_TYPES = `/** Base64 of the wasm, deflated without a header. */
declare const deflated: string;
export default deflated;
`;
