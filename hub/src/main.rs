//! The command line: `tidewire serve`, `check`, `pub`, `sub`, `history`, `token` and `log` among others.

use std::process::ExitCode;

use clap::Parser as _;

mod command;
mod demo;

fn main() -> ExitCode {
    let done = command::CommandLine::parse().command.run();
    // Where nobody reads what a hub said, nobody is waited for to say more.
    let is_read = tidewire_hub::logs::flush();
    match done {
        Ok(code) => code,
        Err(error) => {
            if is_read {
                tidewire_hub::report::report(format_args!("{error:#}"));
            }
            command::exit_code(&error)
        }
    }
}
