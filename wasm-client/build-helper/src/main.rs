//! Turns compiled wasm into JavaScript glue: `tidewire-wasm-build INPUT.wasm OUTPUT_FOLDER`.
//!
//! The library behind the `wasm-bindgen` command, locked by `Cargo.lock` to the version the client
//! is compiled with: nothing to install, and the two cannot drift apart. Before it, panics lose their
//! messages ([`panics`]). Optimising, inlining and bundling come after it, in `.ci/tasks/build.mjs`.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use walrus::Module;
use wasm_bindgen_cli_support::Bindgen;

mod panics;

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [input, output] = arguments.as_slice() else {
        bail!("usage: tidewire-wasm-build INPUT.wasm OUTPUT_FOLDER");
    };
    let mut module = Module::from_file(input).with_context(|| format!("cannot read {}", input.display()))?;
    panics::trap(&mut module)?;
    // The bundler's shape keeps the glue apart from how the wasm is loaded, which is ours to say.
    Bindgen::new()
        .bundler(true)?
        .input_module(OUTPUT_NAME, module)
        .out_name(OUTPUT_NAME)
        .typescript(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(output)
        .with_context(|| format!("cannot make glue for {}", input.display()))
}

/// The build looks for `tidewire_bg.js`, `tidewire_bg.wasm` and `tidewire.d.ts`.
const OUTPUT_NAME: &str = "tidewire";
