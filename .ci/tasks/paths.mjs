// Where things are. Everything else asks here, so that a moved folder is one change.

import { resolve } from "node:path";

export const root = resolve(import.meta.dirname, "../..");
export const at = (...parts) => resolve(root, ...parts);

/** Cargo's output; `target` unless the caller keeps it elsewhere. */
export const cargoTarget = at(process.env.CARGO_TARGET_DIR ?? "target");
export const hubBinary = resolve(cargoTarget, "release/tidewire");

/** Our own output is always under `target`: `tsconfig.json` names `target/wasm`. */
export const wasmOut = at("target/wasm");
export const rustPageOut = at("target/rust-page");
export const stamps = at("target/stamps");
export const tools = at("target/tools");
export const demoData = at("target/demo-data");
export const tarball = at("target/npm/tidewire-client.tgz");

export const jsPackage = at("wasm-client/js");
export const web = at("web");
export const chat = at("web/examples/chat");
