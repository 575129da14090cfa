//! `tidewire log stats`: how much is stored, and of which topics.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Args;
use tidewire_hub::report::report;
use tidewire_hub_core::frames::scan::Frame;
use tidewire_hub_core::log::rows::reading::Rows;
use tidewire_hub_core::log::rows::{MessageRow, Row, TopicRow};
use tidewire_protocol::number::{Offset, ProducerId};

use crate::command::log::{Directory, EXIT_CODES};
use crate::command::number::count;
use crate::command::printing::{pipe_closed, plain};

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

/// The producer at a place in a commit.
fn place_of(producers: &[ProducerId], place: u64) -> Option<ProducerId> {
    let index = usize::try_from(place).ok()?.checked_sub(1)?;
    producers.get(index).copied()
}

/// What commits say that is not gone by what they say themselves.
#[derive(Debug, Default)]
struct Counted {
    /// By their numbers.
    topics: BTreeMap<u64, Topic>,
    /// Which commit has said something of it last.
    windows: BTreeMap<(ProducerId, String), u64>,
    /// What was not said from this commit on is forgotten.
    since: u64,
}

#[derive(Debug, Default)]
struct Topic {
    name: String,
    gone: Offset,
    last: Offset,
    told: u64,
    messages: u64,
    bytes: u64,
}

impl Stats {
    /// Reads everything twice: how topics stand at the end, then what of their messages is left.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let looking = self.directory.look()?;
        let mut counted = Counted::default();
        looking.scan(|_, frame| counted.see(&frame))?;
        counted.forget();
        let found = looking.scan(|_, frame| counted.count(&frame))?;
        let mut told = format!("segments: {}, of {} bytes\n", found.segments, found.bytes);
        let _ = writeln!(told, "commits: {}, up to {}", found.commits, found.last);
        counted.tell(&mut told, usize::try_from(self.top).unwrap_or(usize::MAX));
        io::stdout().lock().write_all(told.as_bytes()).or_else(pipe_closed)?;
        found.to_string().lines().skip(1).for_each(report);
        Ok(ExitCode::SUCCESS)
    }
}

impl Counted {
    /// How topics and windows stand.
    fn see(&mut self, frame: &Frame<'_>) {
        let number = frame.number.0;
        let mut producers = Vec::new();
        for row in Rows::new(frame.body).map_while(Result::ok) {
            match row {
                Row::Topic(row) => self.topic(number, &row),
                Row::Message(row) => {
                    let Some(topic) = self.topics.get_mut(&row.topic) else { continue };
                    topic.stands(number, row.prev, row.record.offset);
                    if let Some((producer, ..)) = row.numbered {
                        let name = topic.name.clone();
                        self.window(number, &producers, producer, name);
                    }
                }
                Row::Producer(row) => producers.push(row.id),
                Row::WindowGone(producer, topic) => {
                    if let Some(id) = place_of(&producers, producer) {
                        self.windows.remove(&(id, topic.to_owned()));
                    }
                }
                Row::Window(row) => self.window(number, &producers, row.producer, row.topic.to_owned()),
                Row::Outcome(row) => {
                    let Some(topic) = self.topics.get_mut(&row.of.topic) else { continue };
                    topic.told = number;
                    let name = topic.name.clone();
                    self.window(number, &producers, row.of.producer, name);
                }
                Row::Told(since) => self.since = self.since.max(since),
                Row::State(_) | Row::KnownLoss(_) | Row::Gone(..) | Row::Floor(_) => {}
            }
        }
    }

    fn topic(&mut self, number: u64, row: &TopicRow<'_>) {
        let topic = self.topics.entry(row.number).or_default();
        row.name.clone_into(&mut topic.name);
        // Where the end was lost, so is what came before it.
        let lost = if row.last > topic.last { row.last } else { Offset(0) };
        topic.gone = topic.gone.max(row.gone).max(lost);
        (topic.last, topic.told) = (topic.last.max(row.last), number);
    }

    fn window(&mut self, number: u64, producers: &[ProducerId], place: u64, topic: String) {
        if let Some(id) = place_of(producers, place) {
            self.windows.insert((id, topic), number);
        }
    }

    /// What was not told again is no more.
    fn forget(&mut self) {
        let since = self.since;
        self.topics.retain(|_, topic| topic.told >= since);
        self.windows.retain(|_, told| *told >= since);
    }

    /// Counts the messages that are left.
    fn count(&mut self, frame: &Frame<'_>) {
        for row in Rows::new(frame.body).map_while(Result::ok) {
            if let Row::Message(MessageRow { topic, record, .. }) = row
                && let Some(topic) = self.topics.get_mut(&topic).filter(|topic| record.offset > topic.gone)
            {
                topic.messages += 1;
                topic.bytes += (record.payload.len() + record.sender.len()) as u64;
            }
        }
    }

    fn tell(&self, told: &mut String, top: usize) {
        let messages: u64 = self.topics.values().map(|topic| topic.messages).sum();
        let bytes: u64 = self.topics.values().map(|topic| topic.bytes).sum();
        let _ = writeln!(told, "topics: {}", self.topics.len());
        let _ = writeln!(told, "messages that are kept: {messages}, with {bytes} bytes");
        let _ = writeln!(told, "windows of producers: {}", self.windows.len());
        let mut topics: Vec<&Topic> = self.topics.values().collect();
        topics.sort_by_key(|topic| Reverse((topic.bytes, topic.messages)));
        for Topic { name, messages, bytes, .. } in topics.into_iter().take(top) {
            let _ = writeln!(told, "  {}: {messages} messages, {bytes} bytes", plain(name));
        }
    }
}

impl Topic {
    /// A message came behind another. If that was lost, so is what came before it.
    fn stands(&mut self, number: u64, prev: Offset, offset: Offset) {
        if prev > self.last {
            self.gone = self.gone.max(prev);
        }
        (self.last, self.told) = (self.last.max(offset), number);
    }
}
