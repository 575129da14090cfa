//! What a commit of a durable log is made of: rows. Each says what changed, so that whoever reads all commits in order knows
//! what the log held; some say again how things stand, so that older ones are not needed.
//!
//! A row refers to what stands before it in its commit: producers by their place there, offsets and times by the distance
//! from the message before. So a commit is read whole or not at all.

use tidewire_protocol::code::Content;
use tidewire_protocol::number::{Epoch, Incarnation, Offset, ProducerId, Seq};

use crate::clock::Millis;
use crate::log::window::Window;
use crate::log::window::run::Answer;
use crate::record::Record;

pub mod importing;

pub mod tellings;

pub mod tidying;

pub mod legible;

pub mod reading;

pub mod writing;

/// What a commit says.
#[derive(Debug, PartialEq, Eq)]
pub enum Row<'a> {
    /// How the log stands. In the first commit of each start, before all else.
    State(State),
    /// Something is missing, and that was told by the epoch of the state before it.
    KnownLoss(u64),
    /// A topic, and how it stands. Stands before the first message to it.
    Topic(TopicRow<'a>),
    /// A name that went: the offset of its last message.
    Gone(&'a str, Offset),
    /// The highest offset that a topic may have had of which nothing is remembered.
    Floor(Offset),
    /// A producer: the next that rows behind this one may refer to, from 1 on.
    Producer(ProducerRow<'a>),
    /// How a producer's window on a topic stands.
    Window(WindowRow<'a>),
    /// A producer's window on a topic is kept no longer: the producer's place, and the topic's name.
    WindowGone(u64, &'a str),
    /// A message.
    Message(MessageRow<'a>),
    /// What became of seqs that no message stands for.
    Outcome(OutcomeRow),
    /// All that is not said in the commits from this number on is forgotten.
    Told(u64),
    /// Messages of a topic that went, since their time to live was over.
    Expired(ExpiredRow),
}

/// How a log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State {
    /// Its identity.
    pub epoch: Epoch,
    /// Its last offset.
    pub last: Offset,
    /// The time that its newest message was given.
    pub given: Millis,
    /// What producers of the hub's own are derived from.
    pub secret: [u8; 32],
}

/// A topic as a commit names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicRow<'a> {
    /// What rows call it; never used again for another.
    pub number: u64,
    /// Its name.
    pub name: &'a str,
    /// Everything up to here is gone.
    pub gone: Offset,
    /// Its last offset.
    pub last: Offset,
    /// The newest removal of a key that was dropped.
    pub removals_gone: Offset,
}

/// A producer as a commit names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProducerRow<'a> {
    /// Its secret identity.
    pub id: ProducerId,
    /// In which incarnation it published.
    pub incarnation: Incarnation,
    /// Whose it is; `None` if it is theirs who have no token.
    pub subject: Option<&'a str>,
}

/// Whose, and on which topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Of {
    /// The producer's place, from 1 on.
    pub producer: u64,
    /// The topic's number.
    pub topic: u64,
}

/// A window. It is told with its topic's name, since it may outlive what the hub knows of the topic.
#[derive(Debug, PartialEq, Eq)]
pub struct WindowRow<'a> {
    /// The producer's place, from 1 on.
    pub producer: u64,
    /// Its topic's name.
    pub topic: &'a str,
    /// How it stands.
    pub window: Window,
}

/// A message, and which of whose publishes it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRow<'a> {
    /// Its topic's number.
    pub topic: u64,
    /// The topic's last message before it.
    pub prev: Offset,
    /// The producer's place, its seq, and the lowest whose outcome is wanted (0 if that is as before); `None` for one that
    /// no producer numbers.
    pub numbered: Option<(u64, Seq, Seq)>,
    /// The message. The steady clock is not stored.
    pub record: Record<'a>,
}

/// Messages that stood here and are left out, so that nobody takes what is missing for a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpiredRow {
    /// Their topic's number.
    pub topic: u64,
    /// The topic's last message before them.
    pub prev: Offset,
    /// The last of them.
    pub last: Offset,
    /// Some had keys: what came before these may have been replaced by them.
    pub had_keys: bool,
}

/// What became of some seqs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutcomeRow {
    /// Whose, and where.
    pub of: Of,
    /// The first.
    pub seq: Seq,
    /// How many.
    pub count: u64,
    /// The lowest whose outcome is wanted; 0 if that is as before.
    pub lowest: Seq,
    /// What.
    pub answer: Answer,
}

/// The kinds of rows, as they are stored.
mod kind {
    pub(super) const STATE: u8 = 1;
    pub(super) const TOPIC: u8 = 2;
    pub(super) const GONE: u8 = 3;
    pub(super) const FLOOR: u8 = 4;
    pub(super) const PRODUCER: u8 = 5;
    pub(super) const WINDOW: u8 = 6;
    pub(super) const MESSAGE: u8 = 7;
    pub(super) const OUTCOME: u8 = 8;
    pub(super) const TOLD: u8 = 9;
    pub(super) const KNOWN_LOSS: u8 = 10;
    pub(super) const WINDOW_GONE: u8 = 11;
    pub(super) const EXPIRED: u8 = 12;
}

/// The kinds of answers, as they are stored.
mod answer {
    pub(super) const DONE: u8 = 1;
    pub(super) const VOID: u8 = 2;
    pub(super) const REFUSED: u8 = 3;
    pub(super) const FORGOTTEN: u8 = 4;
}

const MAYBE_DUPLICATE: u8 = 0x10;
const EXT: u8 = 0x20;

const fn flags(record: &Record<'_>) -> u8 {
    record.content.number() as u8
        | if record.maybe_duplicate { MAYBE_DUPLICATE } else { 0 }
        | if record.ext.is_empty() { 0 } else { EXT }
}

/// What a message's flags say: its content, whether it may be a duplicate, and whether it has attributes.
const fn of_flags(flags: u8) -> (Content, bool, bool) {
    let content = Content::from_number((flags & !(MAYBE_DUPLICATE | EXT)) as u64);
    (content, flags & MAYBE_DUPLICATE != 0, flags & EXT != 0)
}
