// The entry without the engine in it: the application says where `@tidewire/client/tidewire.wasm` is.

import { openClient } from "./client.js";
import { instantiate, type Loader } from "./engine/engine.js";
import { TidewireError } from "./errors.js";
import type { Client, ClientOptions, Contract } from "./types.js";

export * from "./exports.js";

/** The engine: its address, a response or bytes that hold it, or the compiled module. */
export type WasmSource = string | URL | Response | BufferSource | WebAssembly.Module;

let module: Promise<WebAssembly.Module> | undefined;

/** Says where the engine is, before the first client connects. Resolves when it is compiled. */
export function initWasm(source: WasmSource | Promise<WasmSource>): Promise<void> {
  module = Promise.resolve(source).then(compile);
  return module.then(() => {});
}

/** A client of the hub at `url`, which connects with its first use. */
export function createClient<C extends Contract = never>(
  url: string | URL,
  options: ClientOptions = {},
): Client<C> {
  return openClient(load, url, options) as unknown as Client<C>;
}

const load: Loader = async () => {
  if (!module) throw new TidewireError("engine_failed", "call initWasm first");
  return instantiate(await module);
};

async function compile(source: WasmSource): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  if (typeof source === "string" || source instanceof URL) return compile(await fetch(source));
  if (source instanceof Response) {
    if (!source.ok) {
      throw new TidewireError(
        "engine_failed",
        source.url,
        true,
        undefined,
        `HTTP ${source.status}`,
      );
    }
    return WebAssembly.compile(await source.arrayBuffer());
  }
  return WebAssembly.compile(source);
}
