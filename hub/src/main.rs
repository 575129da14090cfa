//! The command line: `tidewire serve`, `check`, `pub`, `sub`, `history`, `token` and `log` among others.

use std::process::ExitCode;

use clap::Parser as _;

mod command;
mod demo;

fn main() -> ExitCode {
    match command::CommandLine::parse().command.run() {
        Ok(code) => code,
        Err(error) => {
            tidewire_hub::report::report(format_args!("{error:#}"));
            command::exit_code(&error)
        }
    }
}
