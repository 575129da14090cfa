//! The Tidewire client for WebAssembly.
//!
//! The npm face is what `@tidewire/client` drives: one [`tidewire_client_core::client::Client`] per wasm
//! instance, called with numbers only. Bytes and texts go in through [`npm::input`]; everything that comes
//! out is a row of a table in linear memory ([`table`]), read by JavaScript after the call has returned.
//! JavaScript owns sockets, timers, promises and payloads; no code of the application runs inside a call.

pub mod npm;

mod engine;

mod table;

/// A third of the size of the standard allocator.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();
