// Compiles the engine once per realm, and again only if that failed.

import { instantiate, type Loader } from "../engine/engine.js";

export function once(compile: () => Promise<WebAssembly.Module>): Loader {
  let module: Promise<WebAssembly.Module> | undefined;
  return () => {
    module ??= compile().catch((error) => {
      module = undefined;
      throw error;
    });
    return module.then(instantiate);
  };
}
