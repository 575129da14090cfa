//! `tidewire access`: what a configuration lets somebody do, without a hub.

use std::process::ExitCode;

use clap::Subcommand;

mod explain;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Access {
    /// Say which rule, or what of a token, decides what may be done with a topic, and why
    Explain(explain::Explain),
}

impl Access {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Explain(explain) => explain.run(),
        }
    }
}
