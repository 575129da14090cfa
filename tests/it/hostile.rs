//! A hostile neighbour: one client with default limits does its worst, and a good one beside it must not notice.
//!
//! Not run by a harness: it measures, so one attack follows another, and at the end it prints a table. Words after
//! `--` choose attacks by their names.

// A test may fail where it stands, say why, and print.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

mod hostile {
    pub(crate) mod suite;

    pub(crate) mod attacks;
    pub(crate) mod ground;
    pub(crate) mod landscape;
    pub(crate) mod neighbour;
    pub(crate) mod report;

    pub(crate) mod stranger;

    pub(crate) mod frames;
}

mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["--attack", name, hub] => hostile::suite::attack(name, hub.parse().unwrap(), None),
        ["--attack", name, hub, authority] => {
            hostile::suite::attack(name, hub.parse().unwrap(), Some(authority))
        }
        _ => hostile::suite::run(&args),
    }
}
