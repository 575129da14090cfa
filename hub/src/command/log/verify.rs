//! `tidewire log verify`: whether all that was stored is there.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Args;
use tidewire_hub_core::log::rows::legible::Legible;

use crate::command::log::{Directory, obstacles};
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
        let mut legible = Legible::default();
        let looking = self.directory.look()?;
        let report = looking.scan(|_, frame| {
            legible.see(frame.number.0, frame.body);
        })?;
        let obstacles = obstacles::of(&self.directory.data_dir, &legible);
        let mut told = report.to_string();
        for obstacle in &obstacles {
            told.push('\n');
            told.push_str(obstacle);
        }
        writeln!(io::stdout().lock(), "{told}").or_else(pipe_closed)?;
        let is_whole = report.is_whole() && obstacles.is_empty();
        Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

const VERIFY_EXIT_CODES: &str = "\
Exit codes:
  0  all that was answered is there
  1  something is damaged or missing, or no hub of this version could start with it, as the lines say, or a file cannot be read
  2  wrong arguments, no directory of a log, or one that a hub has or this user may not read";
