//! Which message of each key is its latest, in the tail of a topic that keeps only those. What was replaced goes out of the
//! tail bit by bit, as more is: a tail holds about twice as much as is needed at most.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::block as wire;
use tidewire_protocol::number::Offset;

use crate::block::Entry;
use crate::clock::Millis;
use crate::ledger::{Account, Charge, Kind};
use crate::mutant::{self, Mutant};
use crate::sync::lock;
use crate::tail::restoring::Bounds;
use crate::tail::sealed::thinning::Form;
use crate::tail::{State, Tail};

mod versions;

/// The latest of each key.
#[derive(Debug, Default)]
pub(super) struct Latest {
    keys: HashMap<Box<str>, Known>,
    /// Messages that are numbered and not seen yet, and when they expire; 0 if they remove their key.
    staged: BTreeMap<(Box<str>, Offset), u64>,
    /// Those with a time to live, but where another waits to be seen: when it is over, by the time that messages are given.
    ends: BTreeMap<(u64, Offset), Box<str>>,
    /// Everything up to here was looked at in this round.
    hand: Offset,
    /// The tail's last message when the round began: what that replaced goes in this round.
    round_upto: Offset,
    /// About so many messages are there that were replaced.
    replaced: u64,
    /// So many keys are removed and still known.
    removals: u64,
    /// So many bytes were replaced for which nothing was looked at yet.
    debt: usize,
    /// Removals up to here are dropped in this round, or were: who stands before it may have missed some.
    removals_gone: Offset,
    /// The newest one that is old enough to go in the next round.
    removals_due: Offset,
    /// How it stood when that was told last, and before, each in a round that began with a commit.
    told: [(u64, Bounds); 2],
}

/// What is known of a key.
#[derive(Debug)]
struct Known {
    offset: Offset,
    removed: bool,
    published_ms: u64,
    /// When it expires; the largest number if never.
    ends_ms: u64,
    /// To who brought it.
    charge: Charge,
}

/// A key whose value has expired, and where that is.
#[derive(Debug, Clone)]
pub struct Expired {
    /// The key.
    pub key: Box<str>,
    /// Its latest message.
    pub version: Offset,
    /// Who brought that.
    pub account: Arc<Account>,
}

impl Tail {
    /// Whether it keeps only the latest message of each key.
    #[must_use]
    pub fn keeps_latest(&self) -> bool {
        self.terms.keep.removals_ms.is_some()
    }

    /// A message that was given a time is numbered, and will be seen later.
    pub fn stage(&self, offset: Offset, published_at: Millis, ext: &[u8]) {
        if !self.keeps_latest() {
            return;
        }
        let attributes = Attributes::take(ext).unwrap_or_default();
        let ends_ms = if attributes.remove { 0 } else { ends_ms(published_at.0, attributes.ttl_ms) };
        let mut state = lock(&self.state);
        let latest = state.latest.get_or_insert_default();
        latest.staged.insert((attributes.key.as_ref().into(), offset), ends_ms);
        // What it replaces is not removed meanwhile.
        if let Some(known) = latest.keys.get(&*attributes.key)
            && !mutant::active(Mutant::RemovedOverNewer)
        {
            latest.ends.remove(&(known.ends_ms, known.offset));
        }
    }

    /// A message that was numbered will never be seen.
    pub fn unstage(&self, offset: Offset, ext: &[u8]) {
        if !self.keeps_latest() {
            return;
        }
        let attributes = Attributes::take(ext).unwrap_or_default();
        if let Some(latest) = &mut lock(&self.state).latest {
            latest.staged.remove(&(Box::from(&*attributes.key), offset));
            latest.watch_end(&attributes.key);
        }
    }

    /// The newest removal that was dropped: whoever stands before it, and began to read before that, may have missed it.
    #[must_use]
    pub fn removals_gone(&self) -> Offset {
        lock(&self.state).removals_gone()
    }

    /// Some keys whose values have expired and were not removed yet.
    #[must_use]
    pub fn expired_keys(&self, now: Millis, max: usize) -> Vec<Expired> {
        let given_ms = self.terms.calendar.at(now).0;
        let state = lock(&self.state);
        let Some(latest) = &state.latest else { return Vec::new() };
        let ended = latest.ends.iter().take_while(|((ends_ms, _), _)| *ends_ms <= given_ms);
        let mut expired = Vec::new();
        for ((_, version), key) in ended.take(max) {
            if let Some(known) = latest.keys.get(key) {
                let account = Arc::clone(known.charge.account());
                expired.push(Expired { key: key.clone(), version: *version, account });
            }
        }
        expired
    }

    /// Drops some of what was replaced, and removals that are old.
    pub(super) fn drop_replaced(&self, state: &mut State, now: Millis, bytes: usize) {
        let Some(removals_ms) = self.terms.keep.removals_ms else { return };
        let State { sealed, latest: Some(latest), open: None, .. } = state else { return };
        if latest.replaced == 0 && latest.removals == 0 {
            return;
        }
        let oldest_ms = self.terms.calendar.at(Millis(now.0.saturating_sub(removals_ms))).0;
        // What came since the round began waits for the next: else one that is written to all the time would never end.
        if latest.hand >= latest.round_upto || sealed.run_after(latest.hand, bytes).0.is_empty() {
            (latest.hand, latest.round_upto) = (Offset(0), state.last);
            // All at once: readers begin anew once in a round, and not at each removal that goes in it.
            latest.removals_gone = latest.removals_gone.max(latest.removals_due);
        }
        let (places, is_cold) = sealed.run_after(latest.hand, bytes);
        let Some(last) = places.end.checked_sub(1).and_then(|place| sealed.from(place).next()) else {
            return;
        };
        latest.hand = last.last;
        let bytes_max = if is_cold { self.terms.keep.block_bytes } else { 0 };
        let form = Form { tail: self.number, log: self.log, bytes_max };
        let link = sealed.thin(places, form, |_| true, |record| latest.stays(record, Some(oldest_ms)));
        state.link = link.unwrap_or(state.link);
    }

    /// Drops what was replaced of what comes after a place, about so much of it: for a reader who is too slow for more than
    /// the latest.
    pub fn conflate(&self, now: Millis, cursor: Offset, bytes: usize) {
        let mut state = lock(&self.state);
        self.seal(&mut state);
        self.drop_expired(&mut state, now);
        let State { sealed, latest: Some(latest), .. } = &mut *state else { return };
        if latest.replaced == 0 {
            return;
        }
        let (places, is_cold) = sealed.run_after(cursor, bytes);
        if places.is_empty() {
            return;
        }
        let bytes_max = if is_cold { self.terms.keep.block_bytes } else { 0 };
        let form = Form { tail: self.number, log: self.log, bytes_max };
        let link = sealed.thin(places, form, |_| true, |record| latest.stays(record, None));
        state.link = link.unwrap_or(state.link);
    }

    /// Drops as much of what was replaced as is due.
    pub(super) fn drop_due(&self, state: &mut State, now: Millis) {
        let step = self.terms.keep.block_bytes;
        if let Some(latest) = &mut state.latest
            && latest.debt >= step
            && state.open.is_none()
        {
            let due = (latest.debt / step).min(STEPS_AT_ONCE) * step;
            latest.debt -= due;
            self.drop_replaced(state, now, due);
        }
    }

    /// As it is appended, a message becomes the latest of its key.
    pub(super) fn take_latest(&self, state: &mut State, entry: &Entry<'_>, account: &Arc<Account>) {
        if self.keeps_latest() {
            state.latest.get_or_insert_default().take(entry, account);
        }
    }
}

impl State {
    pub(super) fn removals_gone(&self) -> Offset {
        self.latest.as_ref().map_or(Offset(0), |latest| latest.removals_gone)
    }

    /// No key has a message any more.
    pub(super) fn forget_keys(&mut self) {
        if let Some(latest) = &mut self.latest {
            let Latest { removals_gone, told, .. } = **latest;
            let staged = std::mem::take(&mut latest.staged);
            **latest = Latest { removals_gone, told, staged, ..Latest::default() };
        }
    }

    /// Removals up to there were dropped in an earlier life of the hub.
    pub(super) fn restore_removals(&mut self, gone: Offset) {
        if gone > Offset(0) {
            let latest = self.latest.get_or_insert_default();
            latest.removals_gone = latest.removals_gone.max(gone);
        }
    }
}

impl Latest {
    /// The latest message of a key, if it has one.
    pub(super) fn offset_of(&self, key: &str) -> Option<Offset> {
        self.keys.get(key).map(|known| known.offset)
    }

    /// How the tail stands is told in a round that began with a commit.
    pub(super) fn tell(&mut self, since: u64, bounds: Bounds) {
        let [before, now] = &mut self.told;
        if now.0 < since {
            *before = *now;
        }
        *now = (since, bounds);
    }

    /// What is told for sure, if the last round that came to its end began with a commit.
    pub(super) fn told_by(&self, since: u64) -> Bounds {
        let mut rounds = self.told.iter().rev();
        rounds.find(|(round, _)| *round <= since).map(|(_, bounds)| *bounds).unwrap_or_default()
    }

    fn take(&mut self, entry: &Entry<'_>, account: &Arc<Account>) {
        let attributes = Attributes::take(entry.head.ext).unwrap_or_default();
        let key: &str = &attributes.key;
        if !self.staged.is_empty() {
            self.staged.remove(&(Box::from(key), entry.offset));
        }
        // Of a time when the topic kept others: nobody could ever replace it.
        if key.is_empty() {
            self.replaced += 1;
            return;
        }
        let published_ms = entry.head.published_at_ms;
        let ends_ms = ends_ms(published_ms, attributes.ttl_ms);
        let mut known = Known {
            offset: entry.offset,
            removed: attributes.remove,
            published_ms,
            ends_ms,
            charge: Charge::new(account, Kind::Latest),
        };
        known.charge.set(known.bytes(key));
        self.removals += u64::from(known.removed);
        if let Some(before) = self.keys.insert(key.into(), known) {
            self.let_go(&before);
            self.replaced += 1;
            // Whoever replaces a byte pays for looking at two.
            self.debt = self.debt.saturating_add(2 * (entry.len() + HEAD_BYTES));
        }
        self.watch_end(key);
    }

    /// A key is removed when its value expires, unless another waits to be seen.
    fn watch_end(&mut self, key: &str) {
        if let Some(known) = self.keys.get(key).filter(|known| known.expires())
            && (self.staged_of(key).is_none() || mutant::active(Mutant::RemovedOverNewer))
        {
            self.ends.insert((known.ends_ms, known.offset), key.into());
        }
    }

    /// Whether a message is its key's latest, and no removal of long ago, where a round comes by that looks for such. One that is
    /// known no more is forgotten.
    fn stays(&mut self, record: &wire::Record<'_>, oldest_ms: Option<u64>) -> bool {
        let attributes = Attributes::take(record.ext).unwrap_or_default();
        let is_replaced =
            mutant::active(Mutant::ReplacedByWaiting) && self.staged_of(&attributes.key).is_some();
        let known = self.keys.get(&*attributes.key).filter(|known| known.offset == record.offset);
        let Some(known) = known.filter(|_| !is_replaced) else {
            self.replaced = self.replaced.saturating_sub(1);
            return false;
        };
        let Some(oldest_ms) = oldest_ms.filter(|_| known.removed) else { return true };
        let is_old = known.published_ms < oldest_ms;
        if is_old {
            self.removals_due = self.removals_due.max(record.offset);
        }
        // Behind all that it removed, which went before it in this round.
        let goes = record.offset <= self.removals_gone;
        if goes {
            self.forget(record);
        } else if is_old && mutant::active(Mutant::RemovalForgottenEarly) {
            self.removals_gone = self.removals_gone.max(record.offset);
            self.forget(record);
            return false;
        }
        !goes
    }

    /// A message goes: it is the latest of its key no more.
    pub(super) fn forget(&mut self, record: &wire::Record<'_>) {
        let attributes = Attributes::take(record.ext).unwrap_or_default();
        let key: &str = &attributes.key;
        if self.keys.get(key).is_none_or(|known| known.offset != record.offset) {
            self.replaced = self.replaced.saturating_sub(1);
        } else if let Some(known) = self.keys.remove(key) {
            self.let_go(&known);
            if self.keys.len() * 4 < self.keys.capacity() {
                self.keys.shrink_to(self.keys.len() * 2);
            }
        }
    }

    fn let_go(&mut self, known: &Known) {
        self.removals -= u64::from(known.removed);
        if known.expires() {
            self.ends.remove(&(known.ends_ms, known.offset));
        }
    }
}

impl Known {
    const fn expires(&self) -> bool {
        self.ends_ms < u64::MAX && !self.removed
    }

    /// About what it takes.
    const fn bytes(&self, key: &str) -> usize {
        let times = if self.expires() { 2 } else { 1 };
        times * (key.len() + KNOWN_BYTES)
    }
}

/// When a message expires; the largest number if never.
const fn ends_ms(published_ms: u64, ttl_ms: u64) -> u64 {
    if ttl_ms == 0 { u64::MAX } else { published_ms.saturating_add(ttl_ms) }
}

/// So many blocks are looked at with one publish at most: a block that fills up has two of them looked at, and a little more.
const STEPS_AT_ONCE: usize = 4;
/// What stands before a payload, about.
const HEAD_BYTES: usize = 16;
/// What a key takes besides its bytes, about: a map is half empty when it has grown.
const KNOWN_BYTES: usize = 2 * size_of::<(Box<str>, Known)>() + 16;
