// The entry without the engine in it: the application says where `@tidewire/client/tidewire.wasm` is.

import { openClient } from "./client.js";
import { instantiate, type Loader } from "./engine/engine.js";
import { misuse, TidewireError, wasmError, wordsOf } from "./errors.js";
import type { Client, ClientOptions, Contract } from "./types.js";
import { bytesOf } from "./values.js";

export * from "./exports.js";

/** The engine: its address, a response or bytes that hold it, or the compiled module. */
export type WasmSource = string | URL | Response | BufferSource | WebAssembly.Module;

let module: Promise<WebAssembly.Module> | undefined;

/** Says where the engine is, before the first client connects. Resolves when it is compiled. */
export function initWasm(source: WasmSource | Promise<WasmSource>): Promise<void> {
  module = Promise.resolve(source).then(compile, failed);
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
  if (!module) {
    throw new TidewireError("engine_failed", "engine", false, undefined, "call initWasm first");
  }
  return module.then(instantiate).catch(failed);
};

async function compile(given: unknown): Promise<WebAssembly.Module> {
  try {
    const isAddress = typeof given === "string" || given instanceof URL;
    const source = isAddress ? await fetch(given) : given;
    if (source instanceof WebAssembly.Module) return source;
    const bytes = source instanceof Response ? await bodyOf(source) : bytesOf(source);
    if (bytes) return await WebAssembly.compile(bytes as BufferSource);
  } catch (cause) {
    failed(cause);
  }
  throw misuse(
    "bad_argument",
    "source: give an address, a Response, bytes (in Node those of the file), or a WebAssembly.Module",
  );
}

async function bodyOf(response: Response): Promise<ArrayBuffer> {
  if (response.ok) return response.arrayBuffer();
  const { url, status } = response;
  throw new TidewireError("engine_failed", url || "engine", true, undefined, `HTTP ${status}`);
}

function failed(cause: unknown): never {
  const error = wasmError(cause);
  if (error instanceof TidewireError) throw error;
  throw new TidewireError("engine_failed", "engine", true, cause, wordsOf(cause));
}
