//! What readers ask, and what they are answered.

use std::sync::Arc;

use tidewire_protocol::name::Selector;
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::{Gap, Position, Start};

use crate::names::follow::Followed;
use crate::reading::merge::{Merge, Part};
use crate::reading::most::Most;
use crate::reading::start::Stand;
use crate::tail::Tail;

/// What was asked for.
#[derive(Debug)]
pub enum Ask {
    /// Where a subscription starts, in those logs where that is not known yet.
    Start {
        /// The pattern.
        followed: Arc<Followed>,
        /// From where.
        start: Start,
        /// What is known.
        stands: Vec<Option<Stand>>,
    },
    /// A page of history.
    Page {
        /// Of which topics.
        selector: Selector,
        /// From where.
        start: Start,
        /// How much of it.
        most: Most,
    },
    /// What comes after a cursor that its pattern's tail has left behind, or its topic's has on the disk only.
    More(More),
}

/// What a cursor is on.
#[derive(Debug, Clone)]
pub enum Whose {
    /// A pattern.
    Pattern(Arc<Followed>),
    /// A topic.
    Topic(Arc<Tail>),
}

/// A cursor that catches up.
#[derive(Debug)]
pub struct More {
    /// What it is on.
    pub whose: Whose,
    /// In which log.
    pub log: u8,
    /// Where it stands.
    pub cursor: Offset,
    /// Losses up to here are told.
    pub told: Offset,
    /// From here on topics count that keep nothing to be asked for.
    pub bare_from: Offset,
    /// What is known from the last part.
    pub merge: Option<Box<Merge>>,
}

/// What was read.
#[derive(Debug)]
pub enum Answer {
    /// Where a subscription starts in each log, and what is known already of the way from there.
    Started(Vec<Begun>),
    /// A page of history.
    Page(PageRead),
    /// The disk could not be read for a page. It may be asked for again.
    Unread,
    /// What comes after a cursor.
    More {
        /// The messages.
        part: Part,
        /// The way from there.
        merge: Option<Box<Merge>>,
    },
}

/// Where a subscription starts in one log.
#[derive(Debug)]
pub struct Begun {
    /// What it gets.
    pub stand: Stand,
    /// From here on topics count that keep nothing to be asked for.
    pub bare_from: Offset,
    /// What is known already of the way from there.
    pub merge: Option<Box<Merge>>,
}

/// A page of history.
#[derive(Debug, Default)]
pub struct PageRead {
    /// Where it starts, in each log.
    pub after: Vec<Position>,
    /// It is complete up to here, in each log.
    pub upto: Vec<Position>,
    /// What is missing before its first message.
    pub gap: Option<Gap>,
    /// Bodies of blocks, each behind its length.
    pub blocks: Vec<u8>,
    /// Whether there was more.
    pub more: bool,
    /// Of a topic that keeps the latest of each key: removals up to here were forgotten by then.
    pub removals: Offset,
}

impl Answer {
    /// Lets go of what was only kept for speed.
    pub fn forget_merges(&mut self) {
        match self {
            Self::Started(started) => started.iter_mut().for_each(|begun| begun.merge = None),
            Self::More { merge, .. } => *merge = None,
            Self::Page(_) | Self::Unread => {}
        }
    }
}

/// How people are told of a page for which the disk could not be read.
pub const UNREAD: &str = "the disk could not be read for this now";
