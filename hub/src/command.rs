//! What can be asked on the command line. Each command is a file of its own.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod check;
mod serve;

/// A realtime hub: publish to topics, subscribe from any point, in order and without silent holes.
#[derive(Debug, Parser)]
#[command(name = "tidewire", version, about, long_about = None)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a hub
    Serve(serve::Serve),
    /// Say whether a configuration is right, and if not, what is wrong and what is allowed
    Check(check::Check),
}

impl Command {
    /// Does what was asked.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Serve(serve) => serve.run(),
            Self::Check(check) => check.run(),
        }
    }
}
