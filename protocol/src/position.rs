//! Where in a log: positions, where a subscription starts, and what is missing.

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::code::GapReason;
use crate::number::{Epoch, NUMBER_MAX, Offset};

/// A place in one log: everything up to and including `offset` lies before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "json", derive(serde::Serialize, serde::Deserialize))]
pub struct Position {
    /// Identity of the log.
    pub epoch: Epoch,
    /// Last offset before this place; 0 is the log's beginning.
    pub offset: Offset,
}

/// A text that is no position: 16 hexadecimal digits, a colon, and an offset up to [`NUMBER_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotPosition;

/// `EPOCH:OFFSET`, as people and URLs have it.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.offset.0)
    }
}

impl FromStr for Position {
    type Err = NotPosition;

    fn from_str(text: &str) -> Result<Self, NotPosition> {
        let (epoch, offset) = text.split_once(':').ok_or(NotPosition)?;
        let is_number = !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_digit());
        let offset = offset.parse().ok().filter(|offset| is_number && *offset <= NUMBER_MAX);
        Ok(Self {
            epoch: epoch.parse().map_err(|_| NotPosition)?,
            offset: Offset(offset.ok_or(NotPosition)?),
        })
    }
}

/// Where a subscription or a page of history starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "json", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Start {
    /// After the newest message.
    #[default]
    Latest,
    /// With the oldest message that is kept.
    Earliest,
    /// With the last so many messages; for a pattern, so many in all.
    Last(#[cfg_attr(feature = "json", serde(deserialize_with = "crate::number::within_range"))] u64),
    /// With the first message published within this many milliseconds before now.
    SinceMs(#[cfg_attr(feature = "json", serde(deserialize_with = "crate::number::within_range"))] u64),
    /// After these places: one for a topic; for a pattern one per log. None at all: before the first message of each.
    After(Vec<Position>),
    /// Of pages only: with the newest `last` messages below these places, where the page then ends. Of a log that they do
    /// not name there is nothing, since it began later; with no place at all a page ends where its logs do.
    Before {
        /// So many messages.
        #[cfg_attr(feature = "json", serde(default, deserialize_with = "crate::number::within_range"))]
        last: u64,
        /// Each one's own offset is above what is meant.
        #[cfg_attr(feature = "json", serde(default))]
        positions: Vec<Position>,
    },
}

impl Start {
    /// Everything below these places: the newest first, as much as a page takes.
    #[must_use]
    pub const fn before(positions: Vec<Position>) -> Self {
        Self::Before { last: NUMBER_MAX, positions }
    }
}

/// Messages are gone: some or all of those at `from..=to`. Where delivery goes on stands beside the gap.
///
/// With [`GapReason::EpochChanged`] the whole log is new: `from` is 1, `epoch` the new identity, and what
/// the old log held beyond the reader's cursor is missing as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "json", derive(serde::Serialize, serde::Deserialize))]
pub struct Gap {
    /// Identity of the log that `from` and `to` belong to.
    pub epoch: Epoch,
    /// First offset that may be missing.
    pub from: Offset,
    /// Last offset that may be missing.
    pub to: Offset,
    /// Why.
    pub reason: GapReason,
}
