//! `tidewire log export`: all messages that are kept, as lines of JSON.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Args;
use tidewire_hub::report::report;
use tidewire_hub_core::frames::scan::Frame;
use tidewire_hub_core::log::rows::reading::Rows;
use tidewire_hub_core::log::rows::{MessageRow, Row};
use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::json::line::put_line;
use tidewire_protocol::name::{Pattern, TopicName};

use crate::command::failure::Failure;
use crate::command::log::carried::out as out_of;
use crate::command::log::counted::Counted;
use crate::command::log::{Directory, LACKS, obstacles};
use crate::command::naming::bad_selector;
use crate::command::number::count;
use crate::command::place::{Since, now_ms};
use crate::command::printing::finish;

/// The options of `log export`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Export {
    #[command(flatten)]
    directory: Directory,
    /// Print messages of this topic, or of those that a pattern stands for: `*` for one token between dots, a last `>` for one
    /// or more. May be given several times [default: all]
    #[arg(long, value_name = "NAME")]
    topic: Vec<String>,
    /// Print from this offset on
    #[arg(long, value_name = "OFFSET", allow_negative_numbers = true, value_parser = count, default_value = "1")]
    from: u64,
    /// Print what was published since then: 10m (s, m, h or d) ago, or a time such as 2026-01-02T03:04:05Z
    #[arg(long, value_name = "TIME", default_value = "1970-01-01T00:00:00Z", hide_default_value = true)]
    since: Since,
}

/// Which messages are asked for.
struct Asked {
    /// All, if there is none.
    patterns: Vec<Pattern>,
    from: u64,
    since_ms: u64,
    /// What is worth nothing any more by then is not.
    now_ms: u64,
}

impl Export {
    /// Reads everything twice: how topics stand at the end, then what of their messages is kept.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let asked =
            Asked { patterns: self.patterns()?, from: self.from, since_ms: self.since.0, now_ms: now_ms() };
        let snapshot = self.directory.snapshot()?;
        let mut counted = Counted::default();
        snapshot.scan(|_, frame| counted.see(&frame))?;
        counted.forget();
        let mut out = BufWriter::with_capacity(OUTPUT_BYTES, io::stdout().lock());
        let mut printed = Ok(());
        let found = snapshot.scan(|_, frame| {
            if printed.is_ok() {
                printed = print(&frame, &counted, &asked, &mut out);
            }
        })?;
        finish(printed.map_err(Into::into), &mut out)?;
        found.to_string().lines().skip(1).for_each(report);
        let code = obstacles::told(&self.directory.data_dir, &counted.legible);
        Ok(if found.is_whole() { code } else { ExitCode::from(LACKS) })
    }

    fn patterns(&self) -> Result<Vec<Pattern>, Failure> {
        let pattern = |text: &String| {
            let wrong = |_| Failure::Input(format!("{text}: {}", bad_selector(text)));
            Pattern::parse(text).map_err(wrong)
        };
        self.topic.iter().map(pattern).collect()
    }
}

/// Prints the messages of a commit that are kept: of one that cannot be read, those that stand before that.
fn print(frame: &Frame<'_>, counted: &Counted, asked: &Asked, out: &mut impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    for row in Rows::new(frame.body).map_while(Result::ok) {
        let Row::Message(row) = row else { continue };
        let topic = counted.kept(row.topic, row.record.offset);
        if let Some(topic) = topic.filter(|topic| asked.holds(topic, &row)) {
            line.clear();
            put_line(out_of(topic, &row.record), &mut line).map_err(io::Error::other)?;
            line.push(b'\n');
            out.write_all(&line)?;
        }
    }
    Ok(())
}

impl Asked {
    fn holds(&self, topic: &str, row: &MessageRow<'_>) -> bool {
        let record = &row.record;
        let is_named = || {
            TopicName::parse(topic)
                .is_ok_and(|topic| self.patterns.iter().any(|pattern| pattern.matches(&topic)))
        };
        let is_worth_something = || {
            // The hub wrote these fields itself. What was removed must not come back, whatever the removal is worth by now.
            let Attributes { ttl_ms, remove, .. } = Attributes::take(record.ext).unwrap_or_default();
            remove || ttl_ms == 0 || record.published_at.0.saturating_add(ttl_ms) > self.now_ms
        };
        record.offset.0 >= self.from
            && record.published_at.0 >= self.since_ms
            && (self.patterns.is_empty() || is_named())
            && (record.ext.is_empty() || is_worth_something())
    }
}

const OUTPUT_BYTES: usize = 64 << 10;

const AFTER_HELP: &str = "\
Each line is an object with `topic`, `offset`, `published_at` in milliseconds since 1970, if it has them `sender`, `key`,
`headers`, `ttl_ms` and `remove`, and the payload as `data` (JSON), `text` or `base64`, as in the answers of the HTTP API; JSON
that does not fit on a line as it was published goes as `base64`. What a topic's retention drops at the next start of the hub
may be among them, and of a topic that keeps the latest of each key earlier ones.

Exit codes:
  0  done
  1  anything not named here
  2  wrong arguments, no directory of a log, or none that may be read
  3  done, but something was missing before, or no hub of this version could start with it, as the lines on standard error
     say";
