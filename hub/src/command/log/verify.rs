//! `tidewire log verify`: whether all that was stored is there.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Args;
use tidewire_hub_core::log::rows::reading::Rows;

use crate::command::log::Directory;
use crate::command::printing::pipe_closed;

/// The options of `log verify`.
#[derive(Debug, Args)]
#[command(after_help = VERIFY_EXIT_CODES)]
pub(crate) struct Verify {
    #[command(flatten)]
    directory: Directory,
}

impl Verify {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut unreadable = Vec::new();
        let report = self.directory.look()?.scan(|_, frame| {
            if Rows::new(frame.body).any(|row| row.is_err()) {
                unreadable.push(frame.number);
            }
        })?;
        let mut told = report.to_string();
        for number in &unreadable {
            told.push_str(&format!(
                "\nCommit {number} is whole and cannot be read: another version wrote it."
            ));
        }
        writeln!(io::stdout().lock(), "{told}").or_else(pipe_closed)?;
        let is_whole = report.is_whole() && unreadable.is_empty();
        Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

const VERIFY_EXIT_CODES: &str = "\
Exit codes:
  0  all that was answered is there
  1  something is damaged or missing, as the lines say, or a file cannot be read
  2  wrong arguments, no directory of a log, or one that a hub has";
