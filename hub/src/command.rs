//! What can be asked on the command line. Each command is a file of its own.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::{self, Runtime};

mod access;
mod check;
mod context;
mod log;
mod publish;
mod serve;
mod signals;
mod subscribe;
mod token;

mod history;

mod updates;

mod besides;

mod config_file;
mod data_dir;
mod hub_address;
mod silence;

mod asked;
mod lines;
mod number;
mod place;
mod printing;

mod content;

mod contexts;

mod moment;

mod failure;

mod naming;

pub(crate) use failure::exit_code;

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
    /// Publish a message, or each line of the standard input
    Pub(publish::Publish),
    /// Print messages as they come, one a line
    Sub(subscribe::Subscribe),
    /// Print what is kept, one message a line, and end
    History(history::History),
    /// Sign a token, look into one, or say whether a hub would take it
    #[command(subcommand)]
    Token(token::Token),
    /// Give hubs names, and use them by these
    #[command(subcommand)]
    Context(context::Named),
    /// Say what a configuration lets somebody do, and why
    #[command(subcommand)]
    Access(access::Access),
    /// Look at the files of a data directory, copy it, or take messages out of it and in
    #[command(subcommand)]
    Log(log::Log),
}

impl Command {
    /// Does what was asked.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Serve(serve) => serve.run(),
            Self::Check(check) => check.run(),
            Self::Pub(publish) => client_runtime()?.block_on(publish.run()),
            Self::Sub(subscribe) => client_runtime()?.block_on(subscribe.run()),
            Self::History(history) => client_runtime()?.block_on(history.run()),
            Self::Token(token) => token.run(),
            Self::Context(named) => named.run(),
            Self::Access(access) => access.run(),
            Self::Log(log) => log.run(),
        }
    }
}

/// The client has a thread beside the command's own, so that it answers heartbeats while our output is blocked.
fn client_runtime() -> std::io::Result<Runtime> {
    runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}
