//! `tidewire-bench`: see `docs/BENCHMARKS.md`.

use std::process::ExitCode;

use clap::Parser as _;

#[allow(clippy::print_stderr)]
fn main() -> ExitCode {
    match tidewire_bench::command::CommandLine::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
