//! A tail: the newest part of what a topic, or all topics of a pattern, hold, as blocks.
//!
//! In the memory engine a topic's tail is its whole history; of a durable topic its older part may be on the disk only. Only
//! sealed blocks are visible; whoever looks first seals what has gathered. A tail knows no subscribers, only which shards have cursors on it.

use std::sync::Arc;

use tidewire_protocol::name::{Pattern, TopicName};
use tidewire_protocol::number::{Epoch, Offset, TailNumber};
use tidewire_protocol::position::Position;

use crate::block::{Block, Entry, Open};
use crate::calendar::Calendar;
use crate::clock::Millis;
use crate::ledger::{Account, Kind};
use crate::mark::Marks;
use crate::mutant::{self, Mutant};
use crate::sync::{Mutex, lock};
use crate::tail::away::{Away, Run};
use crate::tail::latest::Latest;
use crate::tail::sealed::Sealed;

#[cfg(test)]
mod beside_a_list;

pub mod heavy;

pub mod latest;

mod letting_go;

pub mod of_pattern;

pub mod needed;

pub mod reading_back;

pub mod restoring;

mod thinning;

mod evicting;

pub mod away;

pub mod sealed;

/// The newest messages of a topic or pattern.
#[derive(Debug)]
pub struct Tail {
    /// Its number on the wire. A pattern's tails, one in each log, share theirs.
    pub number: TailNumber,
    /// In which of its subscription's logs it lies.
    pub log: u8,
    /// What it holds.
    pub source: Source,
    /// Which shards have cursors here.
    pub marks: Marks,
    terms: Arc<Terms>,
    state: Mutex<State>,
}

/// Which tail: a subscription to a pattern has one in each log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct TailKey {
    /// Its number on the wire.
    pub number: TailNumber,
    /// In which of its subscription's logs.
    pub log: u8,
}

/// Whose messages a tail holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// One topic's.
    Topic(TopicName),
    /// Those of all topics that match.
    Pattern(Pattern),
}

impl Source {
    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Topic(name) => name.as_str(),
            Self::Pattern(pattern) => pattern.as_str(),
        }
    }
}

/// What many tails have in common, so that each holds it by reference only.
#[derive(Debug)]
pub struct Terms {
    /// What they keep.
    pub keep: Keep,
    /// Shards that may have cursors on them.
    pub shards: usize,
    /// Bytes with which one counts as heavy.
    pub heavy_bytes: usize,
    /// The log that they are of.
    pub epoch: Epoch,
    /// Which time their messages are given.
    pub calendar: Arc<Calendar>,
}

/// What a tail keeps. Whichever bound is reached first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Newest messages.
    pub count: u64,
    /// Bytes, as the blocks take them.
    pub bytes: usize,
    /// Milliseconds since publishing.
    pub age_ms: u64,
    /// Whether what is kept can be asked for, or only bridges short breaks.
    pub readable: bool,
    /// Bytes that the open block gathers.
    pub block_bytes: usize,
    /// Of each key only the latest message, and for so many milliseconds that it was removed; `None` for all.
    pub removals_ms: Option<u64>,
    /// Whether what memory lets go of is on a disk.
    pub is_stored: bool,
}

#[derive(Debug)]
struct State {
    /// What has come since the newest block was sealed. Boxed, because a topic at rest has none.
    open: Option<Box<Open>>,
    sealed: Sealed,
    /// What is on the disk only, all of it older than the sealed blocks. Boxed: most topics have none.
    away: Option<Box<Away>>,
    /// Offset of the newest message ever.
    last: Offset,
    /// Of the newest that has neither expired nor was replaced: whatever comes next comes behind it.
    link: Offset,
    /// Everything that is owed after this is here or away. What lies before is gone, or for a pattern with its topics. Never
    /// goes back, but for [`Tail::reach_back`].
    cached_from: Offset,
    /// Where it began.
    begun_at: Offset,
    /// What the oldest block was last looked at for: messages too many, and the time before which they are too old.
    trimmed: (u64, u64, Offset),
    /// Whether it is listed among those that hold most.
    heavy: bool,
    /// The newest message that it did not take.
    passed_by: Offset,
    /// What is the latest of each key, where only that is kept.
    latest: Option<Box<Latest>>,
    /// What went from the front though no bound took it. Boxed: few topics have that.
    emptied: Option<Box<Emptied>>,
}

/// Messages at the front of a tail that went though no bound took them.
#[derive(Debug, Clone, Copy)]
struct Emptied {
    /// Up to here nothing was left
    upto: Offset,
    /// since then,
    since: Millis,
    /// and by now up to there.
    newest: Offset,
}

/// What a cursor finds.
#[derive(Debug, Default)]
pub struct Found {
    /// Blocks after the cursor, oldest first; the first may begin before it. None if what comes next is away.
    pub blocks: Vec<Arc<Block>>,
    /// What comes next is away: it is to be read from the disk.
    pub is_away: bool,
    /// Everything owed after this is in the tail.
    pub cached_from: Offset,
    /// Nothing owed lies between that and here, if this is more: the tail's first block begins behind it.
    pub begun_at: Offset,
    /// The tail's newest offset.
    pub last: Offset,
    /// Its newest message that it did not take, so that whoever lags behind it may have done nothing wrong.
    pub passed_by: Offset,
    /// Bytes of all blocks after the cursor, also those not taken.
    pub behind_bytes: u64,
    /// The newest removal of a key that was dropped.
    pub removals_gone: Offset,
}

/// What a reader of a topic finds next.
#[derive(Debug)]
pub struct Next {
    /// The first block that ends after the cursor, if nothing after it is away.
    pub block: Option<Arc<Block>>,
    /// Messages that are away, some of them after the cursor and before all blocks.
    pub run: Option<Arc<Run>>,
    /// Everything up to here is gone.
    pub gone: Offset,
}

impl Tail {
    /// An empty tail, as if everything up to `gone` had been there and was dropped.
    #[must_use]
    pub fn new(number: TailNumber, log: u8, source: Source, terms: &Arc<Terms>, gone: Offset) -> Self {
        let state = State {
            open: None,
            sealed: Sealed::default(),
            away: None,
            last: gone,
            link: gone,
            cached_from: gone,
            begun_at: Offset(0),
            trimmed: (0, 0, Offset(0)),
            heavy: false,
            passed_by: Offset(0),
            latest: None,
            emptied: None,
        };
        let (marks, terms, state) = (Marks::default(), Arc::clone(terms), Mutex::new(state));
        Self { number, log, source, marks, terms, state }
    }

    /// Which it is.
    #[must_use]
    pub fn key(&self) -> TailKey {
        TailKey { number: self.number, log: self.log }
    }

    /// The log that it is of.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.terms.epoch
    }

    /// A place in its log.
    #[must_use]
    pub fn position(&self, offset: Offset) -> Position {
        Position { epoch: self.terms.epoch, offset }
    }

    /// The time that is given to a message that is taken `now`, behind one that was given `before`.
    #[must_use]
    pub fn time_after(&self, before: Millis, now: Millis) -> Millis {
        let time = self.terms.calendar.at(now);
        if mutant::active(Mutant::TimeGoesBack) { time } else { time.max(before) }
    }

    /// Appends a message that was taken `now` and that `account` answers for, and calls `wake` for each shard that has to
    /// look. `true` if that has made it heavy.
    #[must_use]
    pub fn append(
        &self,
        now: Millis,
        entry: &Entry<'_>,
        account: &Arc<Account>,
        wake: impl FnMut(usize),
    ) -> bool {
        let mut state = lock(&self.state);
        if entry.offset <= state.last {
            debug_assert!(mutant::active(Mutant::VisibleOutOfOrder), "the sequencer reveals in offset order");
            return false;
        }
        let keep = &self.terms.keep;
        if state.open_bytes() + entry.len() > keep.block_bytes {
            self.seal(&mut state);
        }
        // Where each message is sent at once, blocks are sealed by those who read and are never full here.
        self.drop_old(&mut state, now);
        self.drop_due(&mut state, now);
        self.take_latest(&mut state, entry, account);
        let prev = state.link;
        let open = state.open.get_or_insert_with(|| Box::new(Open::new(account, self.kind())));
        open.append(prev, entry, account);
        (state.last, state.link) = (entry.offset, entry.offset);
        self.marks.raise(wake);
        self.becomes_heavy(&mut state)
    }

    /// What its messages are charged for.
    fn kind(&self) -> Kind {
        if self.keeps_latest() { Kind::Latest } else { Kind::Messages }
    }

    /// Whether it holds so much now, and did not before, that some of it is to go first where room is short. What is the latest
    /// of its key stays.
    fn becomes_heavy(&self, state: &mut State) -> bool {
        let is_heavy = state.memory_bytes() >= self.terms.heavy_bytes;
        let becomes_heavy = is_heavy && !state.heavy && !self.keeps_latest();
        state.heavy |= becomes_heavy;
        becomes_heavy
    }

    /// Takes the blocks after `cursor`, all of them, and tells the tail's end.
    pub fn take_after(&self, cursor: Offset, blocks: &mut Vec<Arc<Block>>) -> Offset {
        let mut state = lock(&self.state);
        self.seal(&mut state);
        let from = state.sealed.place_after(cursor);
        blocks.extend(state.sealed.from(from).cloned());
        state.last
    }

    /// Reads blocks after `cursor`, up to `bytes_max` but one at least.
    #[must_use]
    pub fn read_after(&self, now: Millis, cursor: Offset, bytes_max: usize) -> Found {
        let mut state = lock(&self.state);
        self.seal(&mut state);
        self.drop_old(&mut state, now);
        self.drop_stale(&mut state, now);
        self.drop_expired(&mut state, now);
        let from = state.sealed.place_after(cursor);
        let mut found = Found {
            cached_from: state.told_from(),
            begun_at: state.begun_at,
            last: state.last,
            passed_by: state.passed_by,
            removals_gone: state.removals_gone(),
            behind_bytes: state.after(cursor).bytes,
            is_away: state.is_away_after(cursor),
            ..Found::default()
        };
        if found.is_away {
            return found;
        }
        found.behind_bytes = state.sealed.bytes_from(from);
        let mut bytes = 0;
        for block in state.sealed.from(from) {
            bytes += block.size();
            if !found.blocks.is_empty() && bytes > bytes_max {
                break;
            }
            found.blocks.push(Arc::clone(block));
        }
        // What lay before the first of them has expired while it was away.
        let begins = found.blocks.first().map_or(Offset(0), |first| first.prev);
        found.begun_at = found.begun_at.max(begins);
        found
    }

    /// Counts one more cursor of `shard` and tells (cached from, begun at): nothing slips in between.
    pub fn join(&self, now: Millis, shard: usize) -> (Offset, Offset) {
        let mut state = lock(&self.state);
        self.look(&mut state, now);
        self.marks.join(shard, self.terms.shards);
        (state.cached_from, state.begun_at)
    }

    /// Drops what is kept no longer and tells (gone, last).
    pub fn bounds(&self, now: Millis) -> (Offset, Offset) {
        let mut state = lock(&self.state);
        self.look(&mut state, now);
        (state.cached_from, state.last)
    }

    /// The same, and between these the newest that neither expired nor was replaced, if there is one.
    pub fn ends(&self, now: Millis) -> (Offset, Offset, Offset) {
        let mut state = lock(&self.state);
        self.look(&mut state, now);
        let here = (state.open.is_some() || !state.sealed.is_empty()).then_some(state.link);
        let kept = here.or_else(|| Some(state.away.as_ref()?.last()));
        (state.cached_from, kept.unwrap_or(state.cached_from), state.last)
    }

    /// Whether what is kept may be asked for.
    #[must_use]
    pub fn readable(&self) -> bool {
        self.terms.keep.readable
    }

    /// Milliseconds for which a message is kept at most.
    #[must_use]
    pub fn age_ms(&self) -> u64 {
        self.terms.keep.age_ms
    }

    /// Seals, and drops what is kept no longer, to the message.
    fn look(&self, state: &mut State, now: Millis) {
        self.seal(state);
        self.drop_old(state, now);
        self.drop_stale(state, now);
        self.drop_expired(state, now);
        state.trim_front(self.oldest(now), &self.terms.keep);
    }

    /// Makes what has gathered visible.
    fn seal(&self, state: &mut State) {
        let State { open, sealed, .. } = state;
        if let Some(open) = open.take() {
            sealed.push(Arc::new(open.seal(self.number, self.log)));
            if matches!(self.source, Source::Topic(_)) {
                sealed.merge_cold(self.number, self.log, self.terms.keep.block_bytes);
            }
        }
    }
}

impl State {
    fn open_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.len())
    }

    /// Lets go of what has gathered. Tells how many bytes that freed.
    fn discard_open(&mut self) -> usize {
        self.open.take().map_or(0, |open| open.held_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock::NEVER;
    use crate::ledger::Ledger;
    use crate::tail::letting_go::SMALL_BYTES;
    use tidewire_protocol::block::Head;

    const AGE_MS: u64 = 1_000;

    fn tail(block_bytes: usize) -> Tail {
        let keep = Keep {
            count: u64::MAX,
            bytes: usize::MAX,
            age_ms: AGE_MS,
            readable: true,
            block_bytes,
            removals_ms: None,
            is_stored: false,
        };
        let (heavy_bytes, epoch) = (usize::MAX, Epoch(1));
        let terms = Arc::new(Terms { keep, shards: 1, heavy_bytes, epoch, calendar: Arc::default() });
        let source = Source::Topic(TopicName::parse("t").unwrap());
        Tail::new(TailNumber(1), 0, source, &terms, Offset(0))
    }

    fn append(tail: &Tail, account: &Arc<Account>, offset: u64, time: u64, payload: &[u8]) {
        let head = Head { published_at_ms: time, ..Head::default() };
        let _ = tail.append(
            Millis(time),
            &Entry { offset: Offset(offset), head, stale_at: NEVER, topic: None, payload },
            account,
            |_| (),
        );
    }

    /// Whether a block stands open once a message has been there for `age_ms`, and how much is gone.
    #[track_caller]
    fn check(payload_len: usize, age_ms: u64, gone: u64, is_open: bool) {
        let account = Arc::new(Ledger::default()).nobody();
        let tail = tail(9_999);
        append(&tail, &account, 7, 1, &vec![b'.'; payload_len]);
        assert_eq!(tail.age(Millis(1 + age_ms)), (Offset(gone), Offset(7)));
        assert_eq!(lock(&tail.state).open.is_some(), is_open);
    }

    #[test]
    fn a_message_ages_whether_or_not_its_block_is_sealed() {
        check(10, AGE_MS, 0, true);
        check(SMALL_BYTES, AGE_MS, 0, false);
        check(10, AGE_MS + 1, 7, false);
        check(SMALL_BYTES, AGE_MS + 1, 7, false);
    }

    #[test]
    fn blocks_of_one_message_are_merged_when_they_are_cold_and_all_is_found_again() {
        let account = Arc::new(Ledger::default()).nobody();
        let tail = tail(16 << 10);
        let mut cursor = Offset(0);
        for n in 1..=5_000u64 {
            append(&tail, &account, n * 3, 1 + n / 100, b"a small message");
            // Somebody live, so that each has a block of its own.
            let mut blocks = Vec::new();
            cursor = tail.take_after(cursor, &mut blocks);
            assert_eq!(blocks.iter().map(|block| block.count).sum::<u32>(), 1);
        }
        let (now, all) = (Millis(60), Offset(15_000));
        assert!(lock(&tail.state).sealed.len() < 300, "{} blocks", lock(&tail.state).sealed.len());
        let mut seen = Vec::new();
        let mut at = Offset(0);
        while at < all {
            let next = tail.next_after(now, at).block.unwrap();
            assert!(next.prev <= at, "no hole");
            seen.extend(next.wire().messages().flatten().map(|m| (m.offset.0, m.published_at_ms)));
            at = next.last;
        }
        let expected: Vec<_> = (1..=5_000u64).map(|n| (n * 3, 1 + n / 100)).collect();
        assert_eq!(seen, expected);
        assert_eq!(tail.held_between(now, Offset(300), Offset(600)).count, 100);
        assert_eq!(tail.before_last(now, 10), Some(Offset(15_000 - 30)));
        assert_eq!(tail.before_time(now, Millis(31)), Offset(3 * 2_999));
        let held = account.held(Kind::Messages);
        assert!(held < 5_000 * 60, "{held} bytes for 5,000 messages of 15 bytes");
        drop(tail);
        assert_eq!(account.held(Kind::Messages), 0);
    }
}
