//! The Tidewire client for WebAssembly.
//!
//! The npm face is what `@tidewire/client` drives: one [`tidewire_client_core::client::Client`] per wasm
//! instance, called with numbers only. Bytes and texts go in through [`npm::input`]; everything that comes
//! out is a row of a table in linear memory ([`table`]), read by JavaScript after the call has returned.
//! JavaScript owns sockets, timers, promises and payloads; no code of the application runs inside a call.
//!
//! The Rust face, [`rust_app`], is for front ends written in Rust: the same core, with sockets and timers driven
//! from here. It is a feature that the npm package is built without, and nothing in the package comes from it.

// The standard library would bring what composes the messages of panics, which nobody reads here.
#![cfg_attr(all(target_family = "wasm", not(feature = "rust-app")), no_std)]

extern crate alloc;

#[cfg(feature = "rust-app")]
pub mod rust_app;

#[cfg(feature = "npm")]
pub mod npm;

#[cfg(feature = "npm")]
mod engine;

#[cfg(feature = "npm")]
mod table;

#[cfg(feature = "npm")]
pub mod numbers;

/// The smallest that takes memory back.
#[cfg(all(target_family = "wasm", feature = "npm", not(feature = "rust-app")))]
#[global_allocator]
static ALLOCATOR: lol_alloc::LockedAllocator<lol_alloc::FreeListAllocator> =
    lol_alloc::LockedAllocator::new(lol_alloc::FreeListAllocator::new());

/// A panic is a trap: the driver drops the instance and makes a new one.
#[cfg(all(target_family = "wasm", not(feature = "rust-app")))]
#[panic_handler]
fn trap(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
