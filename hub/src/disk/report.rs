//! What the files held when they were read, and what is missing, in plain sentences.

use std::fmt;
use std::ops::RangeInclusive;

use tidewire_hub_core::frames::{CommitNumber, SegmentNumber};

/// What was found. What is missing stays told each time, until its segments are removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// How many segments there are.
    pub segments: u64,
    /// How long they are, without room that was taken ahead.
    pub bytes: u64,
    /// How many commits are whole.
    pub commits: u64,
    /// The last of them; 0 if there is none.
    pub last: CommitNumber,
    /// What is lost in front of commits that are whole.
    pub damage: Vec<Damage>,
    /// Segments that are not there though one before them is, or one behind them was written to. Those that were removed on
    /// purpose are among them, unless they were the first.
    pub missing_segments: Vec<MissingSegments>,
    /// The end of the last segment, if it is no whole commit. It is cut off before more is written.
    pub torn: Option<Torn>,
    /// Commits that somebody was told of are not there.
    pub lost_answered: Option<LostAnswered>,
    /// `HEAD` is missing or damaged, so nobody knows whether the end of what was answered is lost.
    pub head_lost: bool,
    /// It is a copy that was made as one, and no hub has begun with it yet.
    pub is_copy: bool,
}

/// Bytes of a segment that belong to no whole commit, with a whole one somewhere behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Which segment.
    pub segment: SegmentNumber,
    /// The first byte.
    pub from: u64,
    /// The first byte behind them; the same where commits are missing and no byte.
    pub to: u64,
    /// Which commits are missing; empty if it is not known of any, as before the first that is left: older ones may have been
    /// removed on purpose.
    pub commits_missing: RangeInclusive<CommitNumber>,
}

/// Segments without a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingSegments {
    /// Which.
    pub segments: RangeInclusive<SegmentNumber>,
    /// The commits that were in them; empty if it is not known of any.
    pub commits_missing: RangeInclusive<CommitNumber>,
}

/// An end that is no whole commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn {
    /// Which segment.
    pub segment: SegmentNumber,
    /// Where the last whole commit ends.
    pub from: u64,
    /// Where the last byte ends that is not zero.
    pub to: u64,
}

/// Commits that somebody was told of are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostAnswered {
    /// The last that was answered.
    pub answered: CommitNumber,
    /// The last that is there.
    pub found: CommitNumber,
}

impl Report {
    /// What is missing, each loss with a number that it has whenever it is found again: by the commits that are lost, or, where
    /// none is known to be, by the bytes.
    #[must_use]
    pub fn losses(&self) -> Vec<u64> {
        let damage = self.damage.iter().map(|it| loss(&it.commits_missing, it.place()));
        let missing = self.missing_segments.iter().map(|it| {
            let (first, last) = (it.segments.start().0, it.segments.end().0);
            loss(&it.commits_missing, (first, last, u64::MAX))
        });
        let lost = self.lost_answered.iter().map(|it| loss(&(it.found.next()..=it.answered), (0, 0, 0)));
        damage.chain(missing).chain(lost).collect()
    }

    /// The commits that are missing, as far as they are known.
    pub fn missing_commits(&self) -> impl Iterator<Item = RangeInclusive<u64>> {
        let damage = self.damage.iter().map(|it| &it.commits_missing);
        let missing = self.missing_segments.iter().map(|it| &it.commits_missing);
        damage.chain(missing).filter(|it| !it.is_empty()).map(|it| it.start().0..=it.end().0)
    }

    /// The numbers by which these losses are known from now on. Of damage also that of its bytes: it has that once nothing is
    /// left before it by which its commits are known.
    #[must_use]
    pub fn known_losses(&self) -> Vec<u64> {
        let mut known = self.losses();
        let by_commits = self.damage.iter().filter(|it| !it.commits_missing.is_empty());
        known.extend(by_commits.map(|it| loss(&NO_COMMIT, it.place())));
        known
    }

    /// Whether the log is to have another identity, whatever commits say: somebody may have been told of what is not here.
    #[must_use]
    pub const fn wants_identity(&self) -> bool {
        self.head_lost || self.is_copy
    }

    /// Whether all that was answered is there. A commit that was not written to its end was answered to nobody.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.damage.is_empty()
            && self.missing_segments.is_empty()
            && self.lost_answered.is_none()
            && !self.head_lost
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segments, bytes, commits, last, .. } = self;
        write!(f, "{commits} commits up to {last} in {segments} segments of {bytes} bytes.")?;
        for damage in &self.damage {
            write!(f, "\n{damage}")?;
        }
        for missing in &self.missing_segments {
            write!(f, "\n{missing}")?;
        }
        if let Some(Torn { segment, from, to }) = self.torn {
            write!(f, "\nSegment {segment} ends in bytes that are no whole commit ({from} to {to}).")?;
        }
        if let Some(LostAnswered { answered, found }) = self.lost_answered {
            let lost = missing(&(found.next()..=answered));
            write!(f, "\nLost at the end of the log, though somebody was told that it was stored: {lost}.")?;
        }
        if self.head_lost {
            write!(f, "\nHEAD is missing or damaged, so commits may be lost at the end of the log.")?;
        }
        Ok(())
    }
}

impl Damage {
    const fn place(&self) -> (u64, u64, u64) {
        (self.segment.0, self.from, self.to)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment, from, to, commits_missing } = self;
        let missing = missing(commits_missing);
        if from == to {
            return write!(f, "Segment {segment} goes on at byte {from} behind what is missing: {missing}.");
        }
        write!(f, "Segment {segment} is damaged from byte {from} to {to}. Lost with it: {missing}.")
    }
}

impl fmt::Display for MissingSegments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.segments.clone().into_inner();
        let missing = missing(&self.commits_missing);
        if first == last {
            return write!(f, "Segment {first} is not there. Missing with it: {missing}.");
        }
        write!(f, "Segments {first} to {last} are not there. Missing with them: {missing}.")
    }
}

const NO_COMMIT: RangeInclusive<CommitNumber> = CommitNumber(1)..=CommitNumber(0);

/// The number of a loss: FNV-1a over what tells it from others.
fn loss(commits: &RangeInclusive<CommitNumber>, place: (u64, u64, u64)) -> u64 {
    let words = match (commits.start().0, commits.end().0) {
        (first, last) if first <= last => [1, first, last, 0],
        _ => [2, place.0, place.1, place.2],
    };
    let bytes = words.into_iter().flat_map(u64::to_le_bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

fn missing(commits: &RangeInclusive<CommitNumber>) -> String {
    match (commits.start(), commits.end()) {
        (first, last) if first > last => "no commit that is known".to_owned(),
        (first, last) if first == last => format!("commit {first}"),
        (first, last) => format!("commits {first} to {last}"),
    }
}
