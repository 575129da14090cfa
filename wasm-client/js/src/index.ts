// The default entry: one file with the engine in it.

import { loadInline } from "./load/inline.js";

// The engine stands first in the bundle: gzip finds one code for the letters of its text and one for the rest, and so
// takes 3 % less.

import { openClient } from "./client.js";
import type { Contract } from "./contract.js";
import type { Client, ClientOptions } from "./types.js";

export * from "./exports.js";

/** A client of the hub at `url`, which connects with its first use. */
export function createClient<C extends Contract = never>(
  url: string | URL,
  options: ClientOptions = {},
): Client<C> {
  return openClient(loadInline, url, options) as unknown as Client<C>;
}
