//! The list of fault codes in TypeScript is the core's.

use tidewire_client_core::fault::ClientCode;
use tidewire_protocol::code::Code;

#[test]
fn typescript_names_every_fault_by_its_number() {
    let source = include_str!("../js/src/engine/faults.ts");
    let listed: Vec<&str> =
        source.lines().filter_map(|line| line.strip_prefix("  \"")?.strip_suffix("\",")).collect();
    let protocol = Code::ALL.iter().map(|code| (code.number() as usize - 1, code.name()));
    let client = ClientCode::ALL.iter().map(|code| (*code as usize - 100 + Code::ALL.len(), code.name()));
    let expected: Vec<(usize, &str)> = protocol.chain(client).collect();
    assert_eq!(listed.into_iter().enumerate().collect::<Vec<_>>(), expected);
}
