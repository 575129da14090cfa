// Compiles the engine once per realm, and again only if that failed.

import { instantiate, type Loader } from "../engine/engine.js";
import { wasmError } from "../errors.js";

export function once(compile: () => Promise<WebAssembly.Module>): Loader {
  let module: Promise<WebAssembly.Module> | undefined;
  return () => {
    module ??= compile();
    return module.then(instantiate).catch((cause) => {
      module = undefined;
      throw wasmError(cause);
    });
  };
}
