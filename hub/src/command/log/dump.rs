//! `tidewire log dump`: the messages that the files hold.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Args;
use tidewire_hub::report::report;
use tidewire_hub_core::frames::scan::Frame;
use tidewire_hub_core::log::rows::Row;
use tidewire_hub_core::log::rows::legible::Legible;
use tidewire_hub_core::log::rows::reading::Rows;
use tidewire_protocol::json::line::put_line;
use tidewire_protocol::name::{Pattern, TopicName};

use crate::command::failure::Failure;
use crate::command::log::carried::out as out_of;
use crate::command::log::{Directory, EXIT_CODES, obstacles};
use crate::command::number::count;
use crate::command::printing::finish;

/// The options of `log dump`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Dump {
    #[command(flatten)]
    directory: Directory,
    /// Print messages of these topics only: `*` stands for one token between dots, a last `>` for one or more. Messages that
    /// are gone are among them until their segment is tidied
    #[arg(long, value_name = "PATTERN")]
    topic: Option<String>,
    /// Print from this commit on, as `log verify` and this print their numbers
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count, default_value = "1")]
    from_commit: u64,
}

impl Dump {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let pattern = self.pattern()?;
        let mut out = BufWriter::with_capacity(OUTPUT_BYTES, io::stdout().lock());
        let (mut printed, mut legible) = (Ok(()), Legible::default());
        let found = self.directory.snapshot()?.scan(|_, frame| {
            legible.see(frame.number.0, frame.body);
            if printed.is_ok() && frame.number.0 >= self.from_commit {
                printed = print(&frame, pattern.as_ref(), &mut out);
            }
        })?;
        finish(printed.map_err(Into::into), &mut out)?;
        found.to_string().lines().skip(1).for_each(report);
        Ok(obstacles::told(&self.directory.data_dir, &legible))
    }

    fn pattern(&self) -> Result<Option<Pattern>, Failure> {
        let Some(text) = &self.topic else { return Ok(None) };
        let pattern = Pattern::parse(text);
        pattern.map(Some).map_err(|error| Failure::Input(format!("`{text}` is no topic or pattern; {error}")))
    }
}

/// Prints the messages of a commit. What stands before something that cannot be read is printed.
fn print(frame: &Frame<'_>, pattern: Option<&Pattern>, out: &mut impl Write) -> io::Result<()> {
    // Each commit names the topics that it refers to; no name if it is not asked for.
    let mut names: BTreeMap<u64, Option<&str>> = BTreeMap::new();
    let mut line = Vec::new();
    for row in Rows::new(frame.body) {
        match row {
            Ok(Row::Topic(row)) => {
                let is_asked =
                    |pattern: &Pattern| TopicName::parse(row.name).is_ok_and(|name| pattern.matches(&name));
                names.insert(row.number, pattern.is_none_or(is_asked).then_some(row.name));
            }
            Ok(Row::Message(row)) => {
                if let Some(Some(topic)) = names.get(&row.topic) {
                    line.clear();
                    put_line(out_of(topic, &row.record), &mut line).map_err(io::Error::other)?;
                    // The commit stands before what the object begins with.
                    let rest = line.strip_prefix(b"{").unwrap_or(&line);
                    write!(out, "{{\"commit\":{},", frame.number)?;
                    out.write_all(rest)?;
                    out.write_all(b"\n")?;
                }
            }
            // That is told at the end.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

const OUTPUT_BYTES: usize = 64 << 10;
