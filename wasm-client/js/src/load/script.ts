// The engine in JavaScript, for where there is no WebAssembly.

import type { Wasm } from "#wasm";
import make from "#wasm-script";
import type { Loader } from "../engine/engine.js";

/**
 * A new engine.
 * @internal
 */
export function scriptEngine(): Wasm {
  const { start, ...engine } = make();
  return {
    ...engine,
    // Numbers of 64 bits are passed as two halves, the lower one first.
    start(producer, producerRest, incarnation, ...limits) {
      const words = BigUint64Array.of(producer, producerRest, incarnation);
      const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = new Uint32Array(words.buffer);
      start(a, b, c, d, e, f, ...limits);
    },
  };
}

export const loadScript: Loader = async () => {
  for (const name of needed) if (!globalThis[name]) throw new Error(`there is no ${name}`);
  return scriptEngine();
};

/** What runtimes without WebAssembly may lack, and would else miss in the midst of something. */
const needed = ["crypto", "performance", "TextDecoder", "TextEncoder"] as const;
