//! The tables of numbers in TypeScript are Rust's.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use tidewire_client_core::fault::ClientCode;
use tidewire_protocol::code::Code;
use tidewire_wasm::numbers::{Call, Kind};

#[test]
fn typescript_has_the_tables_that_rust_has() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("js/src/engine/tables.ts");
    let tables = tables();
    if std::env::var_os("TIDEWIRE_WRITE_TABLES").is_some() {
        fs::write(&path, &tables).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(
        written, tables,
        "write it anew: TIDEWIRE_WRITE_TABLES=1 cargo test -p tidewire-wasm --test tables"
    );
}

fn tables() -> String {
    let protocol: Vec<_> = Code::ALL.iter().map(|code| (code.name(), code.number())).collect();
    let client: Vec<_> = ClientCode::ALL.iter().map(|code| (code.name(), *code as u64)).collect();
    [
        "// The numbers that the engine speaks. Written by `wasm-client/tests/tables.rs` from what stands in Rust.\n".into(),
        numbers("Call", "What the engine can be told; `wasm-client/src/numbers.rs` says what goes with each.", Call::ALL),
        numbers("Kind", "What its rows are; the same file says what stands in each.", Kind::ALL),
        names("protocolCodes", "Faults of the protocol, from 1.", 1, &protocol),
        names("clientCodes", "The client's own, from 100.", 100, &client),
    ]
    .join("\n")
}

fn numbers(name: &str, doc: &str, all: &[(&str, u8)]) -> String {
    let lines: String = all.iter().map(|(name, number)| format!("  {name} = {number},\n")).collect();
    format!(
        "/** {doc} */\n// biome-ignore lint/suspicious/noConstEnum: inlined by the bundler, names and all, and private to this \
         package.\nexport const enum {name} {{\n{lines}}}\n"
    )
}

/// A list, where the place says the number.
fn names(name: &str, doc: &str, first: u64, all: &[(&str, u64)]) -> String {
    let lines: String = (first..)
        .zip(all)
        .map(|(place, (name, number))| {
            assert_eq!(place, *number, "{name} leaves a hole");
            format!("  \"{name}\",\n")
        })
        .collect();
    format!("/** {doc} */\nexport const {name} = [\n{lines}] as const;\n")
}
