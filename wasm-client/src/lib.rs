//! The Tidewire client for WebAssembly.
//!
//! The npm face is what `@tidewire/client` drives: one [`tidewire_client_core::client::Client`] per wasm
//! instance, called with numbers only. Bytes and texts go in through [`npm::input`]; everything that comes
//! out is a row of a table in linear memory ([`table`]), read by JavaScript after the call has returned.
//! JavaScript owns sockets, timers, promises and payloads; no code of the application runs inside a call.

// The standard library would bring what composes the messages of panics, which nobody reads here.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod npm;

mod engine;

mod table;

/// A third of the size of the standard allocator.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// A panic is a trap: the driver drops the instance and makes a new one.
#[cfg(target_family = "wasm")]
#[panic_handler]
fn trap(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
