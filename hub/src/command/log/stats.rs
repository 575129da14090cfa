//! `tidewire log stats`: how much is stored, and of which topics.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Args;
use tidewire_hub::report::report;

use crate::command::log::counted::Counted;
use crate::command::log::{Directory, EXIT_CODES, obstacles};
use crate::command::number::count;
use crate::command::printing::pipe_closed;

/// The options of `log stats`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Stats {
    #[command(flatten)]
    directory: Directory,
    /// Name so many topics, those with the most bytes first
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count, default_value = "10")]
    top: u64,
}

impl Stats {
    /// Reads everything twice: how topics stand at the end, then what of their messages is left.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let snapshot = self.directory.snapshot()?;
        let mut counted = Counted::default();
        snapshot.scan(|_, frame| counted.see(&frame))?;
        counted.forget();
        let found = snapshot.scan(|_, frame| counted.count(&frame))?;
        let mut told = format!("segments: {}, of {} bytes\n", found.segments, found.bytes);
        let _ = writeln!(told, "commits: {}, up to {}", found.commits, found.last);
        let _ = writeln!(told, "offsets: up to {}", counted.last.0);
        counted.tell(&mut told, usize::try_from(self.top).unwrap_or(usize::MAX));
        io::stdout().lock().write_all(told.as_bytes()).or_else(pipe_closed)?;
        found.to_string().lines().skip(1).for_each(report);
        Ok(obstacles::told(&self.directory.data_dir, &counted.legible))
    }
}
