//! Messages of a durable topic that memory has let go of: they are on the disk. Of each is known where it stands and when it
//! was published, in some four bytes, so that whatever is asked of a tail is answered without the disk, but for what the
//! messages say.

use std::collections::VecDeque;
use std::sync::Arc;

use tidewire_protocol::block as wire;
use tidewire_protocol::number::Offset;
use tidewire_protocol::varint::{put, take};

use crate::block::shares;
use crate::block::{Block, OVERHEAD_BYTES, expires_ms};
use crate::ledger::{Account, Kind};
use crate::tail::sealed::Totals;

/// Messages that follow on each other in a topic.
#[derive(Debug)]
pub struct Run {
    /// Offset of its first message.
    pub first: Offset,
    /// Offset of its last message.
    pub last: Offset,
    /// Number of messages.
    pub count: u32,
    /// Bytes that they took as a block.
    pub bytes: u32,
    /// Time of its last message.
    pub last_time_ms: u64,
    /// Some message in it has expired then; none if that is the largest number.
    expires_ms: u64,
    places: Box<[u8]>,
    account: Arc<Account>,
}

/// A run that still grows.
#[derive(Debug, Default)]
pub struct Growing {
    first: Offset,
    last: Offset,
    count: u32,
    bytes: usize,
    last_time_ms: u64,
    expires_ms: Option<u64>,
    places: Vec<u8>,
    /// Others that were before it have expired.
    is_behind_expired: bool,
}

/// A message of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its offset.
    pub offset: Offset,
    /// When it was published.
    pub time_ms: u64,
    /// When it expires; the largest number if never.
    pub expires_ms: u64,
}

/// All runs of a tail, oldest first.
#[derive(Debug)]
pub struct Away {
    held: VecDeque<(Arc<Run>, Totals)>,
    /// Totals of all that was ever dropped from the front.
    dropped: Totals,
    /// Bytes that the runs take in memory.
    own_bytes: usize,
    /// Nothing expires before that.
    expires_ms: u64,
    /// What had expired by then was let go of.
    swept_ms: u64,
}

impl Default for Away {
    fn default() -> Self {
        let (held, dropped) = (VecDeque::new(), Totals::default());
        Self { held, dropped, own_bytes: 0, expires_ms: u64::MAX, swept_ms: 0 }
    }
}

impl Growing {
    /// No message yet, behind others that have expired, or not.
    #[must_use]
    pub fn behind(is_behind_expired: bool) -> Self {
        Self { is_behind_expired, ..Self::default() }
    }

    /// Whether others that were before it have expired.
    #[must_use]
    pub const fn is_behind_expired(&self) -> bool {
        self.is_behind_expired
    }

    /// Adds a message that takes so many bytes.
    pub fn add(&mut self, place: Place, bytes: usize) {
        if self.count == 0 {
            self.first = place.offset;
        }
        let does_expire = place.expires_ms < u64::MAX;
        put(place.offset.0 - self.last.0, &mut self.places);
        put(place.time_ms.saturating_sub(self.last_time_ms) << 1 | u64::from(does_expire), &mut self.places);
        if does_expire {
            put(place.expires_ms.saturating_sub(place.time_ms), &mut self.places);
            let first = self.expires_ms.get_or_insert(u64::MAX);
            *first = place.expires_ms.min(*first);
        }
        (self.last, self.last_time_ms) = (place.offset, place.time_ms.max(self.last_time_ms));
        self.count += 1;
        self.bytes += bytes;
    }

    /// Offset of its last message.
    #[must_use]
    pub const fn last(&self) -> Offset {
        self.last
    }

    /// Whether it is long enough, if so many bytes more come.
    #[must_use]
    pub const fn is_long(&self, bytes: usize) -> bool {
        self.count >= RUN_MAX || self.count > 0 && self.bytes + bytes > RUN_BYTES
    }

    /// It grows no more; `account` answers for it. Must not be empty.
    #[must_use]
    pub fn end(self, account: &Arc<Account>) -> Run {
        let run = Run {
            first: self.first,
            last: self.last,
            count: self.count,
            bytes: u32::try_from(self.bytes + OVERHEAD_BYTES).unwrap_or(u32::MAX),
            last_time_ms: self.last_time_ms,
            expires_ms: self.expires_ms.unwrap_or(u64::MAX),
            places: self.places.into(),
            account: Arc::clone(account),
        };
        account.charge(Kind::Messages, run.own_bytes());
        run
    }
}

impl Run {
    /// Its messages, in order.
    pub fn places(&self) -> impl Iterator<Item = Place> + '_ {
        let mut rest = &*self.places;
        let (mut offset, mut time_ms) = (0, 0);
        std::iter::from_fn(move || {
            offset += take(&mut rest)?;
            let time = take(&mut rest)?;
            time_ms += time >> 1;
            let ttl_ms = if time & 1 == 1 { take(&mut rest)? } else { u64::MAX };
            Some(Place { offset: Offset(offset), time_ms, expires_ms: time_ms.saturating_add(ttl_ms) })
        })
    }

    /// Bytes that a message of it takes, about.
    #[must_use]
    pub const fn bytes_each(&self) -> usize {
        self.bytes as usize / self.count as usize
    }

    /// Bytes that it takes in memory.
    fn own_bytes(&self) -> usize {
        size_of::<Self>() + size_of::<(Arc<Self>, Totals)>() + 32 + self.places.len()
    }

    /// What is left of it without those that have expired.
    fn without_expired(&self, given_ms: u64) -> Option<Self> {
        let mut growing = Growing::default();
        for place in self.places().filter(|place| place.expires_ms > given_ms) {
            growing.add(place, self.bytes_each());
        }
        (growing.count > 0).then(|| growing.end(&self.account))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.account.release(Kind::Messages, self.own_bytes());
    }
}

impl Place {
    /// That of a message.
    #[must_use]
    pub fn of(record: &wire::Record<'_>) -> Self {
        let (offset, time_ms) = (record.offset, record.published_at_ms);
        Self { offset, time_ms, expires_ms: expires_ms(record.ext, time_ms) }
    }
}

impl Away {
    /// Adds a run behind the others.
    pub fn push(&mut self, run: Arc<Run>) {
        let Totals { count, bytes } = self.total();
        let upto = Totals { count: count + u64::from(run.count), bytes: bytes + u64::from(run.bytes) };
        self.own_bytes += run.own_bytes();
        self.expires_ms = self.expires_ms.min(run.expires_ms);
        self.held.push_back((run, upto));
    }

    /// Adds what is left of a block that is let go of. Of a topic that is heard live each message is a block, and many of
    /// these become one run.
    pub fn push_block(&mut self, block: &Block) {
        let mut growing = Growing::default();
        let joins = |(run, _): &&(Arc<Run>, Totals)| {
            run.count + block.count <= RUN_MAX && run.bytes as usize + block.size() <= RUN_BYTES
        };
        if let Some((run, _)) = self.held.back().filter(joins).cloned() {
            self.held.pop_back();
            self.own_bytes -= run.own_bytes();
            run.places().for_each(|place| growing.add(place, 0));
            growing.bytes = (run.bytes as usize).saturating_sub(OVERHEAD_BYTES);
        }
        let bytes = growing.bytes + block.size() - OVERHEAD_BYTES;
        for record in block.wire().records().flatten() {
            growing.add(Place::of(&record), 0);
        }
        growing.bytes = bytes;
        self.push(Arc::new(growing.end(block.first_account())));
    }

    /// Lets go of the oldest. Tells where it ended, and how many bytes of memory that freed.
    pub fn drop_front(&mut self) -> Option<(Offset, usize)> {
        let (run, upto) = self.held.pop_front()?;
        self.dropped = upto;
        self.own_bytes -= run.own_bytes();
        Some((run.last, run.own_bytes()))
    }

    /// The oldest.
    #[must_use]
    pub fn front(&self) -> Option<&Arc<Run>> {
        self.held.front().map(|(run, _)| run)
    }

    /// The newest message; 0 if there is none.
    #[must_use]
    pub fn last(&self) -> Offset {
        self.held.back().map_or(Offset(0), |(run, _)| run.last)
    }

    /// Number of runs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Messages, and the bytes that they took.
    #[must_use]
    pub fn all(&self) -> Totals {
        self.total().without(self.dropped)
    }

    /// Bytes that they take in memory.
    #[must_use]
    pub const fn own_bytes(&self) -> usize {
        self.own_bytes
    }

    /// The first that ends after `cursor`.
    #[must_use]
    pub fn next_after(&self, cursor: Offset) -> Option<&Arc<Run>> {
        self.held.get(self.place_after(cursor)).map(|(run, _)| run)
    }

    /// The runs that begin up to there, the newest first.
    pub fn back_from(&self, upto: Offset) -> impl Iterator<Item = &Arc<Run>> {
        let end = self.held.partition_point(|(run, _)| run.first <= upto);
        self.held.range(..end).rev().map(|(run, _)| run)
    }

    /// Whether those who hold more than `level` answer for half of the runs or more, by some that lie evenly.
    #[must_use]
    pub fn is_of_many(&self, level: usize) -> bool {
        let runs = self.held.iter().step_by(self.held.len().div_ceil(RUNS_ASKED).max(1));
        shares::is_of_many(runs.map(|(run, _)| (&run.account, run.bytes as usize)), level)
    }

    /// What lies after `cursor`. Of a run that it lies in the bytes are counted as if all its messages were as long.
    #[must_use]
    pub fn after(&self, cursor: Offset) -> Totals {
        let place = self.place_after(cursor);
        let mut upto = self.before(place);
        if let Some((run, _)) = self.held.get(place).filter(|(run, _)| run.first <= cursor) {
            let passed = run.places().take_while(|place| place.offset <= cursor).count() as u64;
            upto.count += passed;
            upto.bytes += passed * run.bytes_each() as u64;
        }
        self.total().without(upto)
    }

    /// The last offset before the newest `count` messages, of which there must be so many; 0 if those are all.
    #[must_use]
    pub fn before_last(&self, count: u64) -> Offset {
        let wanted = self.total().count.saturating_sub(count);
        let place = self.held.partition_point(|(_, upto)| upto.count <= wanted);
        let Some((run, _)) = self.held.get(place) else { return Offset(0) };
        let passed = usize::try_from(wanted - self.before(place).count).unwrap_or(usize::MAX);
        match passed.checked_sub(1) {
            Some(at) => run.places().nth(at).map_or(Offset(0), |place| place.offset),
            None => place.checked_sub(1).map_or(Offset(0), |before| self.held[before].0.last),
        }
    }

    /// The newest offset that was published before `time_ms`; 0 if all are younger.
    #[must_use]
    pub fn before_time(&self, time_ms: u64) -> Offset {
        let place = self.held.partition_point(|(run, _)| run.last_time_ms < time_ms);
        let within = self.held.get(place).and_then(|(run, _)| {
            run.places().take_while(|place| place.time_ms < time_ms).last().map(|place| place.offset)
        });
        let before = || place.checked_sub(1).map_or(Offset(0), |before| self.held[before].0.last);
        within.unwrap_or_else(before)
    }

    /// Lets go of messages that have expired. Of very many runs not each time that one has something, for it looks at them all:
    /// whoever reads passes over the others.
    pub fn drop_expired(&mut self, given_ms: u64) {
        let rest_ms = self.held.len() as u64 / RUNS_SWEPT;
        if given_ms < self.expires_ms || given_ms < self.swept_ms.saturating_add(rest_ms) {
            return;
        }
        let has_some = |(run, _): &(Arc<Run>, Totals)| run.expires_ms <= given_ms;
        let first = self.held.iter().position(has_some).unwrap_or(self.held.len());
        let later = self.held.range(..first).map(|(run, _)| run.expires_ms).min();
        (self.expires_ms, self.swept_ms) = (later.unwrap_or(u64::MAX), given_ms);
        for (run, _) in self.held.split_off(first) {
            self.own_bytes -= run.own_bytes();
            if run.expires_ms > given_ms {
                self.push(run);
            } else if let Some(rest) = run.without_expired(given_ms) {
                self.push(Arc::new(rest));
            }
        }
    }

    fn place_after(&self, cursor: Offset) -> usize {
        self.held.partition_point(|(run, _)| run.last <= cursor)
    }

    /// Totals of all that lies before an index.
    fn before(&self, place: usize) -> Totals {
        place.checked_sub(1).map_or(self.dropped, |before| self.held[before].1)
    }

    fn total(&self) -> Totals {
        self.held.back().map_or(self.dropped, |(_, upto)| *upto)
    }
}

impl Totals {
    fn without(self, other: Self) -> Self {
        Self { count: self.count - other.count, bytes: self.bytes - other.bytes }
    }
}

/// For each so many runs a millisecond passes between two looks at all of them.
const RUNS_SWEPT: u64 = 256;
/// So many runs tell whose they are.
const RUNS_ASKED: usize = 64;
/// Messages of a run: so many are looked at to find one.
const RUN_MAX: u32 = 256;
/// Bytes of these as a block: what goes by its bytes goes in such steps.
const RUN_BYTES: usize = 16 << 10;
