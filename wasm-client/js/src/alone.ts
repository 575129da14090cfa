// Clients that share nothing, for runtimes in which what one request opened no other may touch.

import { openClient } from "./client.js";
import type { Loader } from "./engine/engine.js";
import type { ClientOptions } from "./types.js";

/** As `openClient`, with a connection of its own, whatever the identity. */
export function openAlone(load: Loader, address: string | URL, options: ClientOptions) {
  return openClient(load, address, { ...options, identity: `${++clients}` });
}

let clients = 0;
