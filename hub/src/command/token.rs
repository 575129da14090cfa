//! `tidewire token`: tokens without a hub, for whoever sets one up or wonders why one is refused.

use std::io::{self, Read as _};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use tidewire_hub::config::{Config, Flags};
use tidewire_hub::foreign;
use tidewire_hub::report::report;
use tidewire_hub::tokens::{Keyring, wall_ms};

use crate::command::config_file::ConfigFile;
use crate::command::failure::Failure;
use crate::command::hub_address::{NO_TOKEN, TOKEN};

mod create;
mod inspect;
mod verify;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Sign a token, and print it
    Create(Box<create::Create>),
    /// Print what a token says, without checking anything of it
    Inspect(inspect::Inspect),
    /// Say whether a hub with this configuration would take a token, and what it allows
    Verify(verify::Verify),
}

/// A token that is given.
#[derive(Debug, Args)]
pub(super) struct Given {
    /// The token; - reads it from the standard input. Others on this machine may see arguments: TIDEWIRE_TOKEN is safer
    #[arg(env = TOKEN, hide_env_values = true)]
    pub(super) token: String,
}

impl Token {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create(create) => create.run(),
            Self::Inspect(inspect) => inspect.run(),
            Self::Verify(verify) => verify.run(),
        }
    }
}

impl Given {
    /// The token itself, without what surrounds it.
    pub(super) fn read(self) -> Result<String, Failure> {
        let mut given = self.token;
        if given == "-" {
            given.clear();
            // What is longer is none, and is refused as what it is.
            let read = io::stdin().lock().take(INPUT_BYTES_MAX).read_to_string(&mut given);
            read.map_err(|error| Failure::Unreadable(format!("cannot read the standard input: {error}")))?;
        }
        match given.trim() {
            "" => Err(Failure::Input(format!("the token, or TIDEWIRE_TOKEN, {NO_TOKEN}"))),
            token => Ok(token.to_owned()),
        }
    }
}

/// The keys of a configuration, those that are fetched among them.
fn keys(config: ConfigFile) -> anyhow::Result<Keyring> {
    let flags = Flags { config: config.path()?, ..Flags::default() };
    fetched(Config::load(&flags, std::env::vars_os())?.keys)
}

/// With keys, those that are fetched.
pub(super) fn fetched(keys: Keyring) -> anyhow::Result<Keyring> {
    if keys.sources.is_empty() {
        return Ok(keys);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (keys, missing) = runtime.block_on(keys.fetch());
    for why in missing {
        report(format_args!("warning: keys cannot be fetched from {why}"));
    }
    Ok(keys)
}

/// So much time, in its two largest units.
fn duration(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let largest = units.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(units.len() - 1);
    let mut rest = seconds;
    let parts = units.iter().skip(largest).take(2).map(|(unit, name)| {
        let count = rest / unit;
        rest %= unit;
        format!("{count} {name}")
    });
    parts.collect::<Vec<_>>().join(" ")
}

/// Tells of a time that is counted in milliseconds: nobody means to sign for thousands of years.
fn warn_of_millis(claim: &str, seconds: u64) {
    if seconds > wall_ms() / 1_000 + CENTURY_SECONDS {
        report(format_args!(
            "warning: `{claim}` counts seconds since 1970, and that is more than a hundred years from now; are these milliseconds?"
        ));
    }
}

/// Tells of what looks as if it stood for something in a pattern, and does not.
fn warn_of_pattern(topic: &str) {
    for says in [foreign::warning(topic), foreign::braces(topic)].into_iter().flatten() {
        report(format_args!("warning: in `{topic}` {says}"));
    }
}

const CENTURY_SECONDS: u64 = 100 * 365 * 86_400;
/// More than a token has, by far.
const INPUT_BYTES_MAX: u64 = 1 << 20;
