//! The parts of the wasm build that are Rust: `tidewire-wasm-build bind INPUT.wasm OUTPUT_FOLDER` turns compiled
//! wasm into one that JavaScript can call, `tidewire-wasm-build deflate INPUT OUTPUT` packs what came of it;
//! `tidewire-wasm-build web INPUT.wasm OUTPUT_FOLDER` makes a module that a page loads as it is.
//!
//! The library behind the `wasm-bindgen` command, locked by `Cargo.lock` to the version the client
//! is compiled with: nothing to install, and the two cannot drift apart. Optimising, inlining and bundling
//! come after it, in `.ci/tasks/wasm.mjs`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    match arguments.as_slice() {
        [task, input, output] if task == Path::new("bind") => bind(input, output),
        [task, input, output] if task == Path::new("deflate") => deflate(input, output),
        [task, input, output] if task == Path::new("web") => web(input, output),
        _ => bail!("usage: tidewire-wasm-build bind|web INPUT.wasm OUTPUT_FOLDER | deflate INPUT OUTPUT"),
    }
}

/// Leaves `tidewire_bg.wasm` and its types, `tidewire.d.ts`. The glue beside them is not used.
fn bind(input: &Path, output: &Path) -> Result<()> {
    let mut bound = Bindgen::new()
        .bundler(true)?
        .input_path(input)
        .out_name(OUTPUT_NAME)
        .typescript(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate_output()
        .with_context(|| format!("cannot bind {}", input.display()))?;
    for name in UNUSED_EXPORTS {
        bound.wasm_mut().exports.remove(name)?;
    }
    bound.emit(output)
}

/// What generated JavaScript would use. Ours passes numbers only, and calls the wasm as it is.
const UNUSED_EXPORTS: &[&str] =
    &["__abort_handler", "__instance_terminated", "__wbindgen_externrefs", "__wbindgen_start"];

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

const OUTPUT_NAME: &str = "tidewire";
