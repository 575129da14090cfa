//! `tidewire log`: what the files of a data directory hold, and copies of them.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use tidewire_hub::disk::looking::Looking;
use tidewire_hub::disk::opening::OpenError;
use tidewire_hub::disk::snapshot::Snapshot;
use tidewire_hub::report::report;

use crate::command::failure::Failure;
use crate::command::printing::pipe_closed;

mod verify;

mod stats;

mod dump;

mod backup;

mod export;

mod import;

mod carried;

mod obstacles;

mod counted;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Say whether all that was stored is there, and what is not, in a directory that no hub has
    Verify(verify::Verify),
    /// Count what is stored, whether a hub has it or not, and name the topics with the most
    Stats(stats::Stats),
    /// Print what the files hold, whether a hub has them or not, one message a line, as JSON
    Dump(dump::Dump),
    /// Copy a data directory as it is at one moment, whether a hub has it or not
    Backup(backup::Backup),
    /// Print all messages that are kept, one a line, as JSON that `log import` takes, whether a hub has them or not
    Export(export::Export),
    /// Put the messages that `log export` has printed into a directory that no hub has, or an empty one
    Import(import::Import),
}

/// The directory that is looked at.
#[derive(Debug, Args)]
struct Directory {
    /// The data directory of a hub, or a copy of one
    #[arg(long, value_name = "DIR", env = "TIDEWIRE_DATA_DIR")]
    data_dir: PathBuf,
}

impl Log {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Verify(verify) => verify.run(),
            Self::Stats(stats) => stats.run(),
            Self::Dump(dump) => dump.run(),
            Self::Backup(backup) => backup.run(),
            Self::Export(export) => export.run(),
            Self::Import(import) => import.run(),
        }
    }
}

impl Directory {
    /// Looks at it. Where there is no log to look at the argument is wrong.
    fn look(&self) -> Result<Looking, Failure> {
        let looking = Looking::at(&self.data_dir).map_err(unreadable)?;
        obstacles::check_readable(&self.data_dir).map_err(unreadable)?;
        Ok(looking)
    }

    /// All that it holds at one moment, while a hub may have it.
    fn snapshot(&self) -> Result<Snapshot, Failure> {
        let snapshot = Snapshot::take(&self.data_dir).map_err(unreadable)?;
        obstacles::check_readable(&self.data_dir).map_err(unreadable)?;
        Ok(snapshot)
    }
}

/// What is wrong with a directory is the user's to change; what the system said of it is told, too.
fn refused(error: impl Into<anyhow::Error>) -> Failure {
    Failure::Input(format!("{:#}", error.into()))
}

/// The same of one that is only read: nobody has to be able to write it.
fn unreadable(error: OpenError) -> Failure {
    refused(match error {
        OpenError::NoPermission(path) => OpenError::NotReadable(path),
        error => error,
    })
}

/// Prints what was done. That stands whatever becomes of the output, so where it takes nothing it is told on standard error.
fn tell(told: &str) {
    if let Err(error) = io::stdout().lock().write_all(told.as_bytes()).or_else(pipe_closed) {
        report(format_args!(
            "it is done, but standard output cannot be written ({error}); it would have said:"
        ));
        told.lines().for_each(report);
    }
}

/// The exit code where all that is there was taken out, and something was missing before, or a hub could not start with it.
const LACKS: u8 = 3;
/// The exit codes of those that only print.
const EXIT_CODES: &str = "\
Exit codes:
  0  done; what is missing is told on standard error
  1  anything not named here
  2  wrong arguments, no directory of a log, or none that may be read
  3  done, but no hub of this version could start with it, as the last lines on standard error say";
