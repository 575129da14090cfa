//! Makes every panic a bare trap.
//!
//! A panic in the client is a trap either way, and nobody reads its message: the driver drops the instance and
//! makes a new one. What composes the message (`core::fmt`, the panic hook) would be a fifth of the package.

use anyhow::{Result, ensure};
use walrus::{FunctionBuilder, FunctionId, FunctionKind, Module, TypeId};

/// Empties the functions that begin a panic. What only they used, `wasm-opt` then removes.
pub(crate) fn trap(module: &mut Module) -> Result<()> {
    let found: Vec<(FunctionId, TypeId)> = module
        .funcs
        .iter()
        .filter(|function| matches!(function.kind, FunctionKind::Local(_)))
        .filter(|function| function.name.as_deref().is_some_and(begins_panic))
        .map(|function| (function.id(), function.ty()))
        .collect();
    ensure!(!found.is_empty(), "no function that begins a panic is known by its name any more");
    for (id, kind) in found {
        let kind = module.types.get(kind);
        let (params, results) = (kind.params().to_vec(), kind.results().to_vec());
        let mut builder = FunctionBuilder::new(&mut module.types, &params, &results);
        builder.func_body().unreachable();
        let params = params.iter().map(|param| module.locals.add(*param)).collect();
        module.funcs.get_mut(id).kind = FunctionKind::Local(builder.local_func(params));
    }
    Ok(())
}

fn begins_panic(mangled: &str) -> bool {
    BEGINNINGS.iter().any(|part| mangled.contains(part))
}

/// As symbols hold them: each part of a path behind its length.
const BEGINNINGS: &[&str] = &[
    "4core9panicking",
    "4core4cell22panic_already_borrowed",
    "4core4cell30panic_already_mutably_borrowed",
    "4core6option13expect_failed",
    "4core6option13unwrap_failed",
    "4core6result13unwrap_failed",
    "4core5slice5index16slice_index_fail",
    "4core3str16slice_error_fail",
    "5alloc5alloc18handle_alloc_error",
    "5alloc7raw_vec17capacity_overflow",
    "5alloc7raw_vec12handle_error",
    "3std6thread5local18panic_access_error",
    "rust_begin_unwind",
];
