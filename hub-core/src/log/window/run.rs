//! Consecutive seqs that ended alike.

use tidewire_protocol::code::Code;
use tidewire_protocol::number::Offset;

/// How a seq ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It waits for the engine.
    Pending,
    /// It is in the log.
    Done(Offset),
    /// It was withdrawn.
    Void,
    /// It was refused for good.
    Refused(Code),
    /// It is used up, and what became of it is no longer known.
    Forgotten,
}

/// So many seqs, one after another, with the same answer; of those in the log with offsets one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// They wait for the engine.
    Pending(u32),
    /// They are in the log from this offset on.
    Done(u32, Offset),
    /// They were withdrawn.
    Void(u32),
    /// They were refused for good.
    Refused(u32, Code),
    /// What became of them is no longer known.
    Forgotten(u32),
}

impl Run {
    /// None at all.
    pub const EMPTY: Self = Self::Void(0);

    /// A run of one.
    #[must_use]
    pub fn of(answer: Answer) -> Self {
        match answer {
            Answer::Pending => Self::Pending(1),
            Answer::Done(offset) => Self::Done(1, offset),
            Answer::Void => Self::Void(1),
            Answer::Refused(code) => Self::Refused(1, code),
            Answer::Forgotten => Self::Forgotten(1),
        }
    }

    /// How many seqs it stands for.
    #[must_use]
    pub fn len(self) -> u32 {
        match self {
            Self::Pending(count)
            | Self::Done(count, _)
            | Self::Void(count)
            | Self::Refused(count, _)
            | Self::Forgotten(count) => count,
        }
    }

    /// Whether it stands for none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The answer to the `index`th of it.
    #[must_use]
    pub fn answer(self, index: u32) -> Answer {
        match self {
            Self::Pending(_) => Answer::Pending,
            Self::Done(_, first) => Answer::Done(Offset(first.0 + u64::from(index))),
            Self::Void(_) => Answer::Void,
            Self::Refused(_, code) => Answer::Refused(code),
            Self::Forgotten(_) => Answer::Forgotten,
        }
    }

    /// `count` of it, from the `index`th on.
    #[must_use]
    pub fn part(self, index: u32, count: u32) -> Self {
        match self {
            Self::Pending(_) => Self::Pending(count),
            Self::Done(_, first) => Self::Done(count, Offset(first.0 + u64::from(index))),
            Self::Void(_) => Self::Void(count),
            Self::Refused(_, code) => Self::Refused(count, code),
            Self::Forgotten(_) => Self::Forgotten(count),
        }
    }

    /// Both as one, if `next` goes on as this one ends.
    #[must_use]
    pub fn with(self, next: Self) -> Option<Self> {
        if self.is_empty() || next.is_empty() {
            return Some(if self.is_empty() { next } else { self });
        }
        (self.answer(self.len()) == next.answer(0)).then(|| self.part(0, self.len() + next.len()))
    }
}
