//! `tidewire log import`: lines of JSON become messages of a log that no hub has.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read as _};
use std::process::ExitCode;

use clap::Args;
use tidewire_hub::disk::opening::{Opening, Sizes};
use tidewire_hub::disk::store::{AppendError, Store};
use tidewire_hub::report::report;
use tidewire_hub::tokens::claims::SUBJECT_BYTES_MAX;
use tidewire_hub_core::frames::{self, BODY_BYTES_MAX, TooLong};
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::log::rows::State;
use tidewire_hub_core::log::rows::importing::Importing;
use tidewire_hub_core::log::rows::writing::Scribe;
use tidewire_hub_core::topics::found::Found;
use tidewire_protocol::json::line::{Line, take_line};
use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::{Epoch, Offset};

use crate::command::failure::Failure;
use crate::command::lines::counted;
use crate::command::log::{Directory, carried, refused, tell};
use crate::command::moment::moment;
use crate::command::naming::bad_topic;
use crate::command::number::{count, count_or_none};
use crate::command::place::now_ms;

/// The options of `log import`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Import {
    #[command(flatten)]
    directory: Directory,
    /// Pass over so many lines at the beginning, which an earlier import has stored
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count_or_none, default_value = "0")]
    skip: u64,
    /// Take payloads of up to so many bytes: as many as `limits.message_bytes_max` of the hub that will serve them
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true, value_parser = count,
        default_value_t = Limits::default().message_bytes_max as u64)]
    message_bytes_max: u64,
}

/// A log that takes messages, commit by commit.
struct Log {
    store: Store,
    importing: Importing,
    /// What the next commit begins with; `None` once it was stored.
    begins: Option<(State, Vec<u64>)>,
    frame: Vec<u8>,
    /// Lines that are stored, those that were passed over among them.
    stored: u64,
    /// Bytes of a payload.
    message_bytes_max: usize,
    done: Done,
}

/// What was put in.
#[derive(Default)]
struct Done {
    messages: u64,
    topics: BTreeSet<TopicName>,
    later: u64,
    oldest_ms: Option<u64>,
}

/// Messages of the commit under way.
#[derive(Default)]
struct Gathered {
    lines: Vec<(TopicName, Line<'static>)>,
    bytes: usize,
}

/// Why no more is stored.
enum Stop {
    /// A line is wrong.
    Line(u64, String),
    /// It has only so many lines, fewer than were to be passed over.
    Short(u64),
    /// The input cannot be read.
    Input(io::Error),
    /// The disk does not take it.
    Disk(AppendError),
}

impl Import {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut log = Log::open(&self)?;
        let before = log.importing.last();
        let rest = rest_after(before, self.skip);
        report(format_args!(
            "the log ends at offset {}: line {} becomes offset {}. If this is killed, --skip then {rest}",
            before.0,
            self.skip + 1,
            before.0 + 1
        ));
        let mut input = BufReader::with_capacity(INPUT_BYTES, io::stdin().lock());
        let ended = log.take(&mut input);
        log.store.close()?;
        let mut told = String::new();
        log.done.tell(before, &mut told);
        tell(&told);
        match ended {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(stop) => Err(stop.failure(log.stored, &rest).into()),
        }
    }
}

impl Log {
    /// Takes the directory, and reads how its log stands.
    fn open(import: &Import) -> anyhow::Result<Self> {
        let mut opening = Opening::open(&import.directory.data_dir, Sizes::default()).map_err(refused)?;
        let (mut importing, mut found) = (Importing::default(), Found::new(&[]));
        let mut read = Ok(());
        let found_missing = opening.scan(|_, frame| {
            if read.is_ok() {
                let seen = found.see(frame.number.0, frame.body);
                read = seen.and_then(|()| importing.see(frame.number.0, frame.body));
            }
        })?;
        read.map_err(|error| Failure::Input(format!("{error}: use the release that wrote it")))?;
        found_missing.to_string().lines().skip(1).for_each(report);
        let fresh = Epoch(getrandom::u64().map_err(io::Error::other)?);
        let is_other = found_missing.wants_identity();
        let epoch = if is_other { fresh } else { found.epoch(&found_missing.losses(), fresh) };
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let state = State { epoch, secret, ..State::default() };
        let state = State { secret: found.state.map_or(state.secret, |state| state.secret), ..state };
        let store = opening.start().map_err(refused)?;
        let known = found_missing.known_losses().into_iter().chain(found.lost_beginning()).collect();
        let (begins, done) = (Some((state, known)), Done::default());
        let message_bytes_max = usize::try_from(import.message_bytes_max).unwrap_or(usize::MAX);
        let frame = Vec::new();
        Ok(Self { store, importing, begins, frame, stored: import.skip, message_bytes_max, done })
    }

    /// Stores all lines, or all before the first that is wrong.
    fn take(&mut self, input: &mut impl BufRead) -> Result<(), Stop> {
        let (mut number, mut text, mut gathered) = (0, Vec::new(), Gathered::default());
        loop {
            text.clear();
            let mut line = input.by_ref().take(LINE_BYTES_MAX);
            if line.read_until(b'\n', &mut text).map_err(Stop::Input)? == 0 {
                break;
            }
            number += 1;
            if line.limit() == 0 {
                self.store(&mut gathered)?;
                return Err(Stop::Line(number, format!("it has {LINE_BYTES_MAX} bytes or more")));
            }
            if number <= self.stored {
                continue;
            }
            // What is large goes into a commit of its own, which holds more than any hub takes.
            if gathered.bytes + text.len() > COMMIT_BYTES {
                self.store(&mut gathered)?;
            }
            match message(&text, self.message_bytes_max) {
                Ok((topic, line)) => {
                    gathered.bytes += text.len();
                    gathered.lines.push((topic, line));
                }
                Err(why) => {
                    self.store(&mut gathered)?;
                    return Err(Stop::Line(number, why));
                }
            }
            if gathered.bytes >= COMMIT_BYTES || gathered.lines.len() >= COMMIT_LINES {
                self.store(&mut gathered)?;
            }
        }
        if number < self.stored {
            return Err(Stop::Short(number));
        }
        self.store(&mut gathered)
    }

    /// Stores a commit of what was gathered.
    fn store(&mut self, gathered: &mut Gathered) -> Result<(), Stop> {
        if gathered.lines.is_empty() {
            return Ok(());
        }
        self.frame.clear();
        frames::begin(&mut self.frame);
        let mut scribe = Scribe::new(&mut self.frame);
        if let Some((state, known_losses)) = &self.begins {
            self.importing.begin(&mut scribe, *state, known_losses);
        }
        let (mut later, mut ext, now) = (0, Vec::new(), now_ms());
        for (topic, line) in &gathered.lines {
            let published_at_ms = line.published_at_ms.unwrap_or(now);
            let record = carried::into(line, published_at_ms, &mut ext);
            later += u64::from(self.importing.put(&mut scribe, topic, &record).is_later);
        }
        self.importing.end_commit();
        self.store.append(&mut self.frame).map_err(Stop::Disk)?;
        self.begins = None;
        self.stored += gathered.lines.len() as u64;
        self.done.add(gathered, later);
        Ok(())
    }
}

/// A line as a message; or what is wrong with it.
fn message(text: &[u8], bytes_max: usize) -> Result<(TopicName, Line<'static>), String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("it is no UTF-8 text: {error}"))?;
    let line = take_line(text.trim_end()).map_err(|error| error.to_string())?;
    let topic = TopicName::parse(&line.topic).map_err(|_| bad_topic(&line.topic))?;
    if topic.is_reserved() {
        return Err(format!("{}: topics whose names begin with `$` are the hub's own", line.topic));
    }
    line.attributes.check().map_err(|error| error.to_string())?;
    let sender = line.sender.as_deref().unwrap_or_default();
    if sender.len() > SUBJECT_BYTES_MAX || sender.contains(char::is_control) {
        return Err(format!("its sender is more than {SUBJECT_BYTES_MAX} bytes, or has control characters"));
    }
    if line.payload.len() > bytes_max {
        return Err(format!(
            "its payload has {} bytes, and {bytes_max} are taken (--message-bytes-max)",
            line.payload.len(),
        ));
    }
    match line.published_at_ms {
        // The log could give nothing an earlier time any more.
        Some(at_ms) if at_ms > now_ms() + AHEAD_MS_MAX => {
            Err(format!("`published_at` is {at_ms}, and that time has not come yet"))
        }
        _ => Ok((topic, line.into_owned())),
    }
}

impl Done {
    fn add(&mut self, gathered: &mut Gathered, later: u64) {
        self.messages += gathered.lines.len() as u64;
        self.later += later;
        let oldest = gathered.lines.iter().filter_map(|(_, line)| line.published_at_ms).min();
        self.oldest_ms = [self.oldest_ms, oldest].into_iter().flatten().min();
        gathered.bytes = 0;
        self.topics.extend(gathered.lines.drain(..).map(|(topic, _)| topic));
    }

    fn tell(&self, before: Offset, told: &mut String) {
        let _ = writeln!(told, "messages: {}, of {} topics", self.messages, self.topics.len());
        if self.messages == 0 {
            return;
        }
        // Each takes one.
        let _ = writeln!(told, "offsets: {} to {}", before.0 + 1, before.0 + self.messages);
        if let Some(oldest_ms) = self.oldest_ms {
            let _ = writeln!(
                told,
                "the oldest is of {}: what its topic's retention does not keep so long goes when a hub starts",
                moment(oldest_ms)
            );
        }
        if self.later > 0 {
            let _ =
                writeln!(told, "{} got a later time than their own, which the log had already", self.later);
        }
    }
}

impl Stop {
    fn failure(self, stored: u64, rest: &str) -> Failure {
        let told = format!("stored: {}; go on with --skip {stored}", counted(stored));
        match self {
            Self::Line(number, why) => Failure::Input(format!("line {number}: {why}; {told}")),
            Self::Short(lines) => Failure::Input(format!(
                "the input has {}, and --skip passes over more: nothing was stored",
                counted(lines)
            )),
            Self::Input(error) => {
                Failure::Unreadable(format!("cannot read the standard input: {error}; {told}"))
            }
            // A large line is alone in its commit, and all before it are stored.
            Self::Disk(AppendError::TooLong(TooLong { bytes })) => Failure::Input(format!(
                "line {}: its message takes {bytes} bytes of a commit, which holds {BODY_BYTES_MAX}: no log takes it; {told}",
                stored.saturating_add(1)
            )),
            Self::Disk(error @ AppendError::Full) => Failure::Unreadable(format!("{error}; {told}")),
            Self::Disk(error @ (AppendError::Failed(_) | AppendError::Stopped)) => {
                Failure::Unreadable(format!("{error}. Nobody knows how much is stored: --skip then {rest}"))
            }
        }
    }
}

/// How many lines are stored by what `log stats` says, as each of them takes an offset.
fn rest_after(before: Offset, skipped: u64) -> String {
    let says = "the offset up to which `tidewire log stats` says that messages are stored";
    match before.0.checked_sub(skipped) {
        Some(others) => format!("{says}, less {others}"),
        None => format!("{says}, and {} more", skipped - before.0),
    }
}

/// Lines of a commit: bounds what is lost when it is broken off, and what is held in memory.
const COMMIT_LINES: usize = 4_096;
const COMMIT_BYTES: usize = 1 << 20;
/// More than any message takes that a commit holds, where each byte of it is six in JSON.
const LINE_BYTES_MAX: u64 = 7 * BODY_BYTES_MAX as u64;
const INPUT_BYTES: usize = 64 << 10;
/// Clocks may differ by that.
const AHEAD_MS_MAX: u64 = 60_000;

const AFTER_HELP: &str = "\
The lines come on the standard input: objects with `topic`, and one of `data`, `text` and `base64` with `content` (json, text,
binary or cbor). `published_at`, `sender`, `key`, `headers`, `ttl_ms`, `remove` and `maybe_duplicate` may be there; `offset`,
`epoch` and `tag` are passed over. Messages go behind what the log has, in the order of the lines and under offsets of its own, and
keep their times, unless the log has later ones already. Whoever is subscribed gets them as new ones.

A key, headers and a sender have the bounds that a hub has for them, and a payload has 256 KiB at most, or what
--message-bytes-max says: a hub with less for its messages serves what is larger all the same, beyond what it reckons with.

What is stored is stored in commits of up to 4,096 lines, whole or not at all. A line that is wrong is named, and those before it
are stored; --skip passes over these when it is run again. If it was killed, skip the offset up to which `tidewire log stats` says
that messages are stored, less what was told at the beginning: each line takes an offset, and others had theirs before.

Exit codes:
  0  done
  1  anything not named here, such as a full disk: how many lines are stored is told
  2  wrong arguments, a line that is no message, or a directory that a hub has or that is none of a log";
