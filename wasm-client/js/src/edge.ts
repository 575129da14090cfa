// The entry for Vercel's edge runtime, which compiles no wasm at run time: the bundler brings the module.

import { openAlone } from "./alone.js";
import type { Contract } from "./contract.js";
import { instantiate } from "./engine/engine.js";
import engine from "./tidewire.wasm?module";
import type { Client, ClientOptions } from "./types.js";

export * from "./exports.js";

/** A client of the hub at `url`, which connects with its first use. */
export function createClient<C extends Contract = never>(
  url: string | URL,
  options: ClientOptions = {},
): Client<C> {
  return openAlone(() => instantiate(engine), url, options) as unknown as Client<C>;
}
