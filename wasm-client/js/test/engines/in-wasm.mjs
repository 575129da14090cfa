// Plays the engine in WebAssembly, in Node.

import { readFileSync } from "node:fs";
import { lives } from "./lives.mjs";

const module = new WebAssembly.Module(readFileSync("target/wasm/tidewire.wasm"));
console.log(lives(() => new WebAssembly.Instance(module).exports));
