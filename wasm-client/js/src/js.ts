// The entry without WebAssembly: the same engine, turned into JavaScript.

import { loadScript } from "./load/script.js";

// As in the default entry, the engine stands first in the bundle.

import { openClient } from "./client.js";
import type { Contract } from "./contract.js";
import type { Client, ClientOptions } from "./types.js";

export * from "./exports.js";

/** A client of the hub at `url`, which connects with its first use. */
export function createClient<C extends Contract = never>(
  url: string | URL,
  options: ClientOptions = {},
): Client<C> {
  return openClient(loadScript, url, options) as unknown as Client<C>;
}
