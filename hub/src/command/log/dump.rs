//! `tidewire log dump`: the messages that the files hold.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Args;
use serde::Serialize;
use tidewire_hub::report::report;
use tidewire_hub_core::frames::scan::Frame;
use tidewire_hub_core::log::rows::reading::Rows;
use tidewire_hub_core::log::rows::{MessageRow, Row};
use tidewire_protocol::code::Content;
use tidewire_protocol::name::{Pattern, TopicName};

use crate::command::failure::Failure;
use crate::command::log::{Directory, EXIT_CODES};
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

/// A message as it is printed. The payload is one of `text` and `base64`.
#[derive(Serialize)]
struct Line<'a> {
    commit: u64,
    topic: &'a str,
    offset: u64,
    published_at_ms: u64,
    content: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    sender: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    maybe_duplicate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl Dump {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let pattern = self.pattern()?;
        let mut out = BufWriter::with_capacity(OUTPUT_BYTES, io::stdout().lock());
        let mut printed = Ok(());
        let found = self.directory.snapshot()?.scan(|_, frame| {
            if printed.is_ok() && frame.number.0 >= self.from_commit {
                printed = print(&frame, pattern.as_ref(), &mut out);
            }
        })?;
        finish(printed.map_err(Into::into), &mut out)?;
        found.to_string().lines().skip(1).for_each(report);
        Ok(ExitCode::SUCCESS)
    }

    fn pattern(&self) -> Result<Option<Pattern>, Failure> {
        let Some(text) = &self.topic else { return Ok(None) };
        let pattern = Pattern::parse(text);
        pattern.map(Some).map_err(|error| Failure::Input(format!("`{text}` is no topic or pattern; {error}")))
    }
}

/// Prints the messages of a commit. What cannot be read is told, and what stands before it printed.
fn print(frame: &Frame<'_>, pattern: Option<&Pattern>, out: &mut impl Write) -> io::Result<()> {
    // Each commit names the topics that it refers to; no name if it is not asked for.
    let mut names: BTreeMap<u64, Option<&str>> = BTreeMap::new();
    for row in Rows::new(frame.body) {
        match row {
            Ok(Row::Topic(row)) => {
                let is_asked =
                    |pattern: &Pattern| TopicName::parse(row.name).is_ok_and(|name| pattern.matches(&name));
                names.insert(row.number, pattern.is_none_or(is_asked).then_some(row.name));
            }
            Ok(Row::Message(row)) => {
                if let Some(Some(topic)) = names.get(&row.topic) {
                    serde_json::to_writer(&mut *out, &Line::new(frame.number.0, topic, &row))?;
                    out.write_all(b"\n")?;
                }
            }
            Ok(_) => {}
            Err(error) => report(format_args!("commit {}: {error}", frame.number)),
        }
    }
    Ok(())
}

impl<'a> Line<'a> {
    /// A payload that is no text goes as base64.
    fn new(commit: u64, topic: &'a str, row: &MessageRow<'a>) -> Self {
        let record = &row.record;
        let is_text = matches!(record.content, Content::Json | Content::Text);
        let text = std::str::from_utf8(record.payload).ok().filter(|_| is_text);
        Self {
            commit,
            topic,
            offset: record.offset.0,
            published_at_ms: record.published_at.0,
            content: record.content.name(),
            sender: record.sender,
            maybe_duplicate: record.maybe_duplicate,
            text,
            base64: text.is_none().then(|| BASE64.encode(record.payload)),
        }
    }
}

const OUTPUT_BYTES: usize = 64 << 10;
