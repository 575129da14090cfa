// The engine from the bundle itself: deflated, as text of 83 letters, which begins with all of them. The first 15 stand
// for five bits each, from 0 on, and the others for seven, from where those end.

import deflated from "#wasm-inline";
import { once } from "./once.js";

export const loadInline = once(async () => {
  // Before all else, which in Node needs WebAssembly, too, and fails where nobody can catch it.
  const { compile } = WebAssembly;
  const bytes: number[] = [];
  for (let at = 83, bits = 0, count = 0; at < deflated.length; at += 1) {
    const place = deflated.indexOf(deflated.charAt(at));
    const width = place < 15 ? 5 : 7;
    bits = (bits << width) | (place < 15 ? place : place + 45);
    count += width;
    if (count > 7) {
      count -= 8;
      // As an element of the array below, it keeps its last eight bits only.
      bytes.push(bits >> count);
    }
  }
  // Not from a `Blob`: that of jsdom has no stream.
  const inflated = new Response(new Uint8Array(bytes)).body?.pipeThrough(
    new DecompressionStream("deflate-raw"),
  );
  return compile(await new Response(inflated).arrayBuffer());
});
