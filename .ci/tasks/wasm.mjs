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
      outputs: [...wasmFiles, boundWasm],
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
    // These trade size for speed that no socket lets one see: strength reduction, inlining, and expressions computed
    // where they are not needed yet.
    "-Cllvm-args=-disable-lsr",
    "-Cllvm-args=-inline-threshold=0",
    "-Cllvm-args=-enable-pre=false",
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
    boundWasm,
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

/**
 * `LETTERS`, then the bits: five for each letter that JavaScript has often, seven for each other. What packs the bundle
 * has one code for both, so the text is cheapest where its letters are as frequent as those of the code around it.
 */
function textOf(deflated) {
  const bits = [...deflated].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  let text = LETTERS;
  for (let at = 0; at < bits.length; ) {
    const value = Number.parseInt(bits.slice(at, at + 7).padEnd(7, "0"), 2);
    const often = value >> 2 < OFTEN;
    text += LETTERS[often ? value >> 2 : value - 3 * OFTEN];
    at += often ? 5 : 7;
  }
  return text;
}

/** Runs a part of the build that is Rust. */
export function helper(...args) {
  return run("cargo", ["run", "--locked", "-p", "tidewire-wasm-build", "--", ...args]);
}

export const TARGET = "wasm32-unknown-unknown";
/** What JavaScript can call, not optimised yet. */
export const boundWasm = resolve(wasmOut, "bound/tidewire_bg.wasm");
const rawWasm = resolve(cargoTarget, TARGET, "wasm/tidewire_wasm.wasm");

export const wasmFiles = [
  "tidewire.wasm",
  "tidewire_wasm.d.ts",
  "tidewire_wasm_inline.js",
  "tidewire_wasm_inline.d.ts",
].map((name) => resolve(wasmOut, name));

/**
 * What leaves least after deflating, as wasm and as JavaScript. Functions with one caller stay apart unless they are
 * small, and what is computed twice in one stays so: else the code would be smaller, but would deflate less well.
 */
export const OPTIMISE_SIZE = [
  "-Oz",
  "--converge",
  "--skip-pass=local-cse",
  "--one-caller-inline-max-function-size=20",
  "--always-inline-max-function-size=6",
  // Only the far end of the stack lies there, and no address that is computed wraps around to it.
  "--low-memory-unused",
];

const OPTIMISE = [
  // Branches and loops are made anew first, with fewer jumps than those of the compiler.
  "--flatten",
  "--rereloop",
  // What was compiled for each of several types and differs in numbers alone becomes one function, which is passed them.
  "--merge-similar-functions",
  "--merge-blocks",
  ...OPTIMISE_SIZE,
  "--strip-producers",
  "--strip-target-features",
];

/** What rustc's target emits and every supported engine has; `--all-features` would use more. */
export const FEATURES = [
  "bulk-memory",
  "sign-ext",
  "mutable-globals",
  "nontrapping-float-to-int",
  "reference-types",
  "multivalue",
];

const WASM_TYPES = `/** One instance: what the client exports by \`#[wasm_bindgen]\`, and its memory. */
export type Wasm = typeof import("./bound/tidewire.js") & {
  readonly memory: { readonly buffer: ArrayBufferLike };
};
`;

/** By how often the package has them; without what a string or a page would escape. */
const LETTERS =
  "etsi.()nr,ho= a#lcu{};df:pbgwm0&yv>1?!|[]_kS+x$A`E2/MOTj-PU*I38BNWL4DFC6RG5qJVz7^9H";
const OFTEN = 15;

const INLINE_TYPES = `/** The wasm, deflated without a header, as text that \`load/inline.ts\` reads. */
declare const deflated: string;
export default deflated;
`;
