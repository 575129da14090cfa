//! `tidewire log`: what the files of a data directory hold, without a hub.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use tidewire_hub::disk::looking::Looking;

use crate::command::failure::Failure;

mod verify;

mod stats;

mod dump;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Say whether all that was stored is there, and what is not
    Verify(verify::Verify),
    /// Count what is stored, and name the topics with the most
    Stats(stats::Stats),
    /// Print the messages that the files hold, one a line, as JSON
    Dump(dump::Dump),
}

/// The directory that is looked at.
#[derive(Debug, Args)]
struct Directory {
    /// The directory of a hub that does not run, or a copy of one
    #[arg(long, value_name = "DIR", env = "TIDEWIRE_DATA_DIR")]
    data_dir: PathBuf,
}

impl Log {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Verify(verify) => verify.run(),
            Self::Stats(stats) => stats.run(),
            Self::Dump(dump) => dump.run(),
        }
    }
}

impl Directory {
    /// Looks at it. Where there is no log to look at the argument is wrong.
    fn look(&self) -> Result<Looking, Failure> {
        Looking::at(&self.data_dir).map_err(|error| Failure::Input(error.to_string()))
    }
}

/// The exit codes of those that only print.
const EXIT_CODES: &str = "\
Exit codes:
  0  done; what is missing is told on standard error
  1  anything not named here
  2  wrong arguments, no directory of a log, or one that a hub has";
