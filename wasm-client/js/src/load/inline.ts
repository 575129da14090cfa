// The engine from the bundle itself: deflated, as base64.

import deflated from "#wasm-inline";
import { once } from "./once.js";

export const loadInline = once(async () => {
  const bytes = Uint8Array.from(atob(deflated), (char) => char.charCodeAt(0));
  const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return WebAssembly.compile(await new Response(inflated).arrayBuffer());
});
