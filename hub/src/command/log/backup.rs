//! `tidewire log backup`: a copy of a data directory, as it is at one moment.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tidewire_hub::disk::backup::BackupError;
use tidewire_hub::disk::snapshot::Snapshot;
use tidewire_hub::report::report;
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::log::rows::legible::Legible;

use crate::command::failure::Failure;
use crate::command::log::counted::Counted;
use crate::command::log::{Directory, LACKS, obstacles, refused, tell};
use crate::command::moment::moment;

/// The options of `log backup`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Backup {
    /// Where the copy goes: an empty directory, or one that is not there yet
    #[arg(value_name = "COPY")]
    to: PathBuf,
    #[command(flatten)]
    directory: Directory,
}

impl Backup {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let snapshot = self.directory.snapshot()?;
        let mut told = format!("{} is a copy of {}\n", self.to.display(), self.directory.data_dir.display());
        let mut legible = Legible::default();
        let found = self.copy(&snapshot, &mut told, &mut legible).map_err(failed)?;
        tell(&told);
        let lines = found.to_string();
        let mut missing = lines.lines().skip(1).peekable();
        if missing.peek().is_some() {
            report("the copy holds all that is there, but something was missing before:");
            missing.for_each(report);
        }
        let code = obstacles::told(&self.to, &legible);
        Ok(if found.is_whole() { code } else { ExitCode::from(LACKS) })
    }

    /// Copies, reads back what was written, and tells what that is; what was missing before is the result.
    fn copy(
        &self,
        snapshot: &Snapshot,
        told: &mut String,
        legible: &mut Legible,
    ) -> Result<tidewire_hub::disk::report::Report, BackupError> {
        let mut counted = Counted::default();
        let mut backup = tidewire_hub::disk::backup::Backup::begin(snapshot, &self.to)?;
        let found = backup.copy(|_, frame| counted.see(&frame))?;
        counted.forget();
        let read_back = backup.verify(|_, frame| {
            legible.see(frame.number.0, frame.body);
            counted.count(&frame);
        })?;
        backup.end()?;
        let _ = writeln!(told, "segments: {}, of {} bytes, read back", read_back.segments, read_back.bytes);
        let _ = writeln!(told, "commits: {}, up to {}", read_back.commits, read_back.last);
        let published = if counted.given == Millis(0) {
            String::new()
        } else {
            format!(", published at {}", moment(counted.given.0))
        };
        let _ = writeln!(told, "offsets: up to {}{published}", counted.last.0);
        counted.tell(told, 0);
        Ok(found)
    }
}

/// What is wrong with a directory is the user's to change.
fn failed(error: BackupError) -> anyhow::Error {
    match error {
        BackupError::Source(error) => refused(error).into(),
        BackupError::NoFile(_)
        | BackupError::NotEmpty(_)
        | BackupError::NoDirectory(_)
        | BackupError::BrokenOff(_)
        | BackupError::Inside { .. }
        | BackupError::NoPermission(_)
        | BackupError::ReadOnly(_) => Failure::Input(error.to_string()).into(),
        BackupError::NoRoom { .. }
        | BackupError::Full(_)
        | BackupError::Differs(_)
        | BackupError::Io { .. } => error.into(),
    }
}

const AFTER_HELP: &str = "\
It is done once the copy is on the disk and was read back. One that was broken off has no META, and no hub starts with it.
A hub that begins with the copy goes on where it ends, as a log with another identity: whoever was further is told of a gap.
To put it back, stop the hub, move its directory away, and put the copy in its place.

Exit codes:
  0  done
  1  anything not named here, such as a full disk: there is no copy
  2  wrong arguments, no directory of a log, or none that may be read or written: there is no copy
  3  done, but something was missing before, or no hub of this version could start with it, as the lines on standard error
     say";
