// The entry without the engine in it: the application says where `@tidewire/client/tidewire.wasm` is.

import { openClient } from "./client.js";
import type { Contract } from "./contract.js";
import { instantiate, type Loader } from "./engine/engine.js";
import { misuse, TidewireError, wasmError, wordsOf } from "./errors.js";
import type { Client, ClientOptions } from "./types.js";
import { bytesOf } from "./values.js";

export * from "./exports.js";

/** The engine: its address, a response or bytes that hold it, or the compiled module. */
export type WasmSource = string | URL | Response | BufferSource | WebAssembly.Module;

let module: Promise<WebAssembly.Module> | undefined;

/** Says where the engine is, before the first client connects. Resolves when it is compiled; until then one before it works. */
export async function initWasm(source: WasmSource | Promise<WasmSource>): Promise<void> {
  const next = Promise.resolve(source).then(compile, failed);
  module = module ? Promise.any([next, module]).catch(() => next) : next;
  // Whoever needs it hears of it.
  module.catch(() => {});
  await next;
  module = next;
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
  return module.then(instantiate).catch((cause) => failed(cause));
};

async function compile(given: unknown): Promise<WebAssembly.Module> {
  const isAddress = typeof given === "string" || given instanceof URL;
  const address = isAddress ? String(given) : given instanceof Response ? given.url : "";
  try {
    const source = isAddress ? await fetch(given) : given;
    if (source instanceof WebAssembly.Module) return source;
    const bytes = source instanceof Response ? await bodyOf(source) : bytesOf(source);
    if (bytes) return await WebAssembly.compile(bytes as BufferSource);
  } catch (cause) {
    failed(cause, address);
  }
  throw misuse(
    "bad_argument",
    "source: give an address, a Response, bytes (in Node those of the file), or a WebAssembly.Module",
  );
}

async function bodyOf(response: Response): Promise<ArrayBuffer> {
  if (response.ok) return response.arrayBuffer();
  throw new Error(`HTTP ${response.status}`);
}

/** By an error that says where the engine was looked for, and what to do. */
function failed(cause: unknown, address = ""): never {
  const error = wasmError(cause);
  if (error instanceof TidewireError) throw error;
  const detail = `${wordsOf(cause)}; give initWasm the address of tidewire.wasm of this package, or its bytes`;
  throw new TidewireError("engine_failed", address || "engine", true, cause, detail);
}
