// How edge runtimes import wasm: compiled by the bundler.

declare module "*.wasm" {
  const engine: WebAssembly.Module;
  export default engine;
}

declare module "*.wasm?module" {
  const engine: WebAssembly.Module;
  export default engine;
}
