//! Torture of the durable log on real processes and real file systems: hubs are killed, lose power, find their files
//! bitten, their disk full or failing, and stand still, under the load of publishers that know what was acknowledged.
//!
//! Not run by a harness: at the end it prints a table. Words after `--` choose kinds by their names; `--kills N`,
//! `--powers N`, `--bites N` and so on say how often.

// A test may fail where it stands, say why, and print.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

mod torture {
    pub(crate) mod suite;

    pub(crate) mod bites;
    pub(crate) mod disks;
    pub(crate) mod kills;
    pub(crate) mod powers;

    pub(crate) mod course;

    pub(crate) mod checker;
    pub(crate) mod load;

    pub(crate) mod mount;
    pub(crate) mod random;
    pub(crate) mod report;
}

mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    torture::suite::run(&args)
}
