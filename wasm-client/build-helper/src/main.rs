//! The parts of the wasm build that are Rust: `tidewire-wasm-build glue INPUT.wasm OUTPUT_FOLDER` turns compiled
//! wasm into JavaScript glue, `tidewire-wasm-build deflate INPUT OUTPUT` packs what came of it;
//! `tidewire-wasm-build web INPUT.wasm OUTPUT_FOLDER` makes a module that a page loads as it is.
//!
//! The library behind the `wasm-bindgen` command, locked by `Cargo.lock` to the version the client
//! is compiled with: nothing to install, and the two cannot drift apart. Before it, the engine's panics lose
//! their messages ([`panics`]). Optimising, inlining and bundling come after it, in `.ci/tasks/wasm.mjs`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use walrus::Module;
use wasm_bindgen_cli_support::Bindgen;

mod panics;

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    match arguments.as_slice() {
        [task, input, output] if task == Path::new("glue") => glue(input, output),
        [task, input, output] if task == Path::new("deflate") => deflate(input, output),
        [task, input, output] if task == Path::new("web") => web(input, output),
        _ => bail!("usage: tidewire-wasm-build glue|web INPUT.wasm OUTPUT_FOLDER | deflate INPUT OUTPUT"),
    }
}

fn glue(input: &Path, output: &Path) -> Result<()> {
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

/// Leaves `NAME.js` and `NAME_bg.wasm`, named as the input is.
fn web(input: &Path, output: &Path) -> Result<()> {
    Bindgen::new()
        .web(true)?
        .omit_default_module_path(false)
        .input_path(input)
        .typescript(false)
        .generate(output)
        .with_context(|| format!("cannot make a module of {}", input.display()))
}

/// A twentieth smaller than zlib at its best, and any inflater reads it.
fn deflate(input: &Path, output: &Path) -> Result<()> {
    let bytes = fs::read(input).with_context(|| format!("cannot read {}", input.display()))?;
    let mut deflated = Vec::new();
    zopfli::compress(zopfli::Options::default(), zopfli::Format::Deflate, bytes.as_slice(), &mut deflated)?;
    fs::write(output, deflated).with_context(|| format!("cannot write {}", output.display()))
}

/// The build looks for `tidewire_bg.js`, `tidewire_bg.wasm` and `tidewire.d.ts`.
const OUTPUT_NAME: &str = "tidewire";
