//! The tables of numbers in TypeScript are Rust's.
#![allow(clippy::unwrap_used)]

use std::fmt::Debug;
use std::fs;
use std::path::Path;

use tidewire_client_core::fault::ClientCode;
use tidewire_client_core::output::Fate;
use tidewire_protocol::code::{Code, Content, Durability, GapReason, Outcome, WhenSlow};
use tidewire_wasm::numbers::{Call, Kind, Standing};

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

/// The names of all codes of a kind.
macro_rules! listed {
    ($name:literal, $doc:literal, $codes:ident) => {
        names(
            $name,
            $doc,
            1,
            &$codes::ALL.iter().map(|code| (code.name(), code.number())).collect::<Vec<_>>(),
        )
    };
}

fn tables() -> String {
    let fates = [Fate::Dropped, Fate::Gone, Fate::Waits].map(|fate| (named(fate), fate as u8));
    let standings: Vec<_> = Standing::ALL
        .iter()
        .map(|(name, number)| (&*name.to_lowercase().leak(), u64::from(*number)))
        .collect();
    let contents: Vec<_> =
        Content::ALL.iter().map(|content| (named(*content), content.number() as u8)).collect();
    let client: Vec<_> = ClientCode::ALL.iter().map(|code| (code.name(), *code as u64)).collect();
    [
        "// The numbers that the engine speaks. Written by `wasm-client/tests/tables.rs` from what stands in Rust.\n".into(),
        numbers("Call", "What the engine can be told; `wasm-client/src/numbers.rs` says what goes with each.", Call::ALL),
        numbers("Kind", "What its rows are; the same file says what stands in each.", Kind::ALL),
        numbers("Standing", "How the client stands to its hub.", Standing::ALL),
        names("standings", "The same by name, from 0.", 0, &standings),
        numbers("Fate", "What becomes of an update.", &fates),
        numbers("Content", "What a payload is.", &contents),
        listed!("contents", "The same by name, from 1.", Content),
        listed!("outcomes", "What a subscriber got, from 1.", Outcome),
        listed!("gapReasons", "Why messages are missing, from 1.", GapReason),
        listed!("durabilities", "What holds of what is published, from 1.", Durability),
        listed!("slownesses", "What the hub does about a slow subscriber, from 1.", WhenSlow),
        listed!("protocolCodes", "Faults of the protocol, from 1.", Code),
        names("clientCodes", "The client's own, from 100.", 100, &client),
    ]
    .join("\n")
}

/// The name of a variant.
fn named(variant: impl Debug) -> &'static str {
    format!("{variant:?}").leak()
}

fn numbers(name: &str, doc: &str, all: &[(&str, u8)]) -> String {
    let lines: String = all.iter().map(|(name, number)| format!("  {name} = {number},\n")).collect();
    format!(
        "/** {doc} */\n// biome-ignore lint/suspicious/noConstEnum: inlined by the bundler, names and all, and private to this \
         package.\nexport const enum {name} {{\n{lines}}}\n"
    )
}

/// A list, where the place says the number. As long as it fits, it is one line.
fn names(name: &str, doc: &str, first: u64, all: &[(&str, u64)]) -> String {
    let quoted: Vec<_> = (first..)
        .zip(all)
        .map(|(place, (name, number))| {
            assert_eq!(place, *number, "{name} leaves a hole");
            format!("\"{name}\"")
        })
        .collect();
    let line = format!("export const {name} = [{}] as const;", quoted.join(", "));
    let lines = format!("export const {name} = [\n  {},\n] as const;", quoted.join(",\n  "));
    format!("/** {doc} */\n{}\n", if line.len() > LINE_MAX { lines } else { line })
}

/// Characters in a line, as the formatter has it.
const LINE_MAX: usize = 100;
