// The engine from the bundle itself: deflated, as text of 91 characters, two for each 13 bits.

import deflated from "#wasm-inline";
import { once } from "./once.js";

export const loadInline = once(async () => {
  const bytes: number[] = [];
  const digit = (at: number) => {
    const code = deflated.charCodeAt(at);
    // From "#" on, without the backslash.
    return code - (code > 92 ? 36 : 35);
  };
  let bits = 0;
  for (let at = 0, count = 0; at < deflated.length; at += 2) {
    bits |= (digit(at) + 91 * digit(at + 1)) << count;
    for (count += 13; count > 7; count -= 8) {
      bytes.push(bits & 255);
      bits >>= 8;
    }
  }
  const inflated = new Blob([new Uint8Array(bytes)])
    .stream()
    .pipeThrough(new DecompressionStream("deflate-raw"));
  return WebAssembly.compile(await new Response(inflated).arrayBuffer());
});
