//! A topic's tail is filled again with what outlived the hub: that is gathered message by message in the order in which they
//! came, and put back at once.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::Arc;

use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::number::Offset;

use crate::block::{Entry, Open, expires_ms};
use crate::clock::{Millis, NEVER};
use crate::ledger::Account;
use crate::record::{OwnRecord, Record};
use crate::sync::lock;
use crate::tail::away::{Away, Growing, Place};
use crate::tail::{State, Tail};

/// How a topic's tail stands, as that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// Everything up to here is gone.
    pub gone: Offset,
    /// The last that became visible.
    pub last: Offset,
    /// The newest removal of a key that was dropped.
    pub removals_gone: Offset,
}

/// What outlived the hub of a topic: it is on the disk, and away, but where the latest of each key is kept.
#[derive(Debug, Default)]
pub struct Outlived {
    runs: Vec<Growing>,
    /// The latest of each key, where these are kept.
    whole: Option<Whole>,
    bounds: Bounds,
    /// What came last has expired.
    is_behind_expired: bool,
    /// The last of the messages that were given up since one behind them is not here.
    given_up: Offset,
    /// Up to here all was gone before the hub ended.
    was_gone: Offset,
}

/// The latest of each key, as they are known so far.
#[derive(Debug, Default)]
struct Whole {
    records: BTreeMap<Offset, OwnRecord>,
    keys: HashMap<Box<str>, Offset>,
}

impl Outlived {
    /// Nothing yet, of a topic that keeps the latest of each key, or all.
    #[must_use]
    pub fn new(keeps_latest: bool) -> Self {
        Self { whole: keeps_latest.then(Whole::default), ..Self::default() }
    }

    /// Nothing came after this.
    #[must_use]
    pub const fn last(&self) -> Offset {
        self.bounds.last
    }

    /// The last of the messages that were given up since one behind them is not here.
    pub(crate) const fn given_up(&self) -> Offset {
        self.given_up
    }

    /// From where on there are messages, if some that were given up were not gone.
    pub(crate) fn begins_behind_given_up(&self) -> Option<Offset> {
        (self.given_up > self.was_gone).then(|| self.bounds.gone.next())
    }

    /// How it stood when that was stored.
    pub fn reach(&mut self, Bounds { gone, last, removals_gone }: Bounds) {
        self.was_gone = self.was_gone.max(gone);
        self.bounds.removals_gone = self.bounds.removals_gone.max(removals_gone);
        if self.whole.is_some() {
            self.bounds.last = self.bounds.last.max(last);
        } else if last > self.bounds.last {
            self.end_at(last);
        }
        if gone > self.bounds.gone {
            self.bounds.gone = gone.min(self.bounds.last);
            let passed = self.runs.iter().take_while(|run| run.last() <= gone).count();
            self.runs.drain(..passed);
            if let Some(whole) = &mut self.whole {
                whole.forget_upto(self.bounds.gone);
            }
        }
    }

    /// The next message, behind `prev`; it is passed by if it has expired by then. Where something between is not here, what came before is given up: a tail has no holes.
    pub fn take(&mut self, given: Millis, prev: Offset, record: &Record<'_>) {
        let offset = record.offset;
        if offset <= self.bounds.last {
            return;
        }
        if let Some(whole) = &mut self.whole {
            // Others were left out in between, or replaced.
            whole.take(record);
            self.bounds.last = offset;
            return;
        }
        if prev > self.bounds.last {
            self.end_at(prev);
        }
        self.bounds.last = offset;
        let time_ms = record.published_at.0;
        let place = Place { offset, time_ms, expires_ms: expires_ms(record.ext, time_ms) };
        if place.expires_ms <= given.0 {
            self.is_behind_expired = true;
            return;
        }
        let (bytes, is_behind_expired) = (record.len() + HEAD_BYTES, mem::take(&mut self.is_behind_expired));
        if self.runs.last().is_none_or(|run| run.is_long(bytes)) {
            self.runs.push(Growing::behind(is_behind_expired));
        }
        if let Some(run) = self.runs.last_mut() {
            run.add(place, bytes);
        }
    }

    /// Messages behind `prev` and up to `last` are left out, since they have expired.
    pub fn pass(&mut self, prev: Offset, last: Offset, had_keys: bool) {
        if last <= self.bounds.last {
            return;
        }
        if let Some(whole) = &mut self.whole {
            // They came when the topic kept others, too. What they replaced must not come back.
            if had_keys {
                (*whole, self.bounds.gone) = (Whole::default(), last);
            }
        } else {
            if prev > self.bounds.last {
                self.end_at(prev);
            }
            self.is_behind_expired = true;
        }
        self.bounds.last = last;
    }

    /// Nothing is kept, and everything up to there is gone.
    fn end_at(&mut self, last: Offset) {
        self.given_up = self.runs.last().map_or(self.given_up, Growing::last);
        (self.runs, self.is_behind_expired) = (Vec::new(), false);
        (self.bounds.last, self.bounds.gone) = (last, last);
    }
}

impl Whole {
    fn take(&mut self, record: &Record<'_>) {
        let attributes = Attributes::take(record.ext).unwrap_or_default();
        if let Some(before) = self.keys.insert((*attributes.key).into(), record.offset) {
            self.records.remove(&before);
        }
        self.records.insert(record.offset, (*record).into());
    }

    /// All up to there is gone.
    fn forget_upto(&mut self, gone: Offset) {
        while let Some(first) = self.records.first_entry().filter(|first| *first.key() <= gone) {
            let record = first.remove();
            let attributes = Attributes::take(record.record().ext).unwrap_or_default();
            self.keys.remove(&*attributes.key);
        }
    }
}

impl Tail {
    /// What is gone, and the last that became visible, as they stand.
    #[must_use]
    pub fn stored_bounds(&self) -> Bounds {
        let state = lock(&self.state);
        Bounds { gone: state.cached_from, last: state.last, removals_gone: state.removals_gone() }
    }

    /// What outlived the hub is there again, but for what is kept no longer; `account` answers for it. What the tail has
    /// of the same name by another number was gone before that came. `true` if that has made it heavy.
    #[must_use]
    pub fn restore(&self, now: Millis, outlived: Outlived, account: &Arc<Account>) -> bool {
        let Outlived { runs, whole, bounds, is_behind_expired, .. } = outlived;
        let is_behind_expired = runs.first().map_or(is_behind_expired, Growing::is_behind_expired);
        let mut state = lock(&self.state);
        let (gone_before, last_before) = (state.cached_from, state.last);
        state.end_at(last_before);
        state.restore_removals(bounds.removals_gone);
        (state.cached_from, state.last) = (bounds.gone.max(gone_before), bounds.last.max(last_before));
        state.link = state.last;
        let mut away = Away::default();
        runs.into_iter().for_each(|run| away.push(Arc::new(run.end(account))));
        state.away = (!away.is_empty()).then(|| Box::new(away));
        if let Some(Whole { records, keys }) = whole {
            // The tail makes its own.
            drop(keys);
            self.fill(now, &mut state, records, account);
        } else if is_behind_expired {
            let upto = state.before_first().unwrap_or(state.last);
            state.is_emptied(upto, now);
        }
        self.drop_old(&mut state, now);
        self.becomes_heavy(&mut state)
    }

    /// Takes the latest of each key, one after another, as if they came now; what was gathered of them is let go of meanwhile.
    fn fill(
        &self,
        now: Millis,
        state: &mut State,
        mut records: BTreeMap<Offset, OwnRecord>,
        account: &Arc<Account>,
    ) {
        state.link = state.cached_from;
        while let Some((offset, record)) = records.pop_first() {
            if offset <= state.cached_from {
                continue;
            }
            let record = record.record();
            if record.published_at < self.oldest(now) && state.open.is_none() && state.sealed.is_empty() {
                state.cached_from = offset;
                continue;
            }
            if state.open_bytes() + record.len() > self.terms.keep.block_bytes {
                self.seal(state);
            }
            let (head, payload) = (record.head(), record.payload);
            let entry = Entry { offset, head, stale_at: NEVER, topic: None, payload };
            self.take_latest(state, &entry, account);
            let prev = state.link;
            state
                .open
                .get_or_insert_with(|| Box::new(Open::new(account, self.kind())))
                .append(prev, &entry, account);
            state.link = offset;
        }
    }
}

impl State {
    /// Nothing is kept, and everything up to there is gone.
    fn end_at(&mut self, last: Offset) {
        self.discard_open();
        self.away = None;
        while self.sealed.drop_front().is_some() {}
        self.forget_keys();
        (self.last, self.link, self.cached_from) = (last, last, last);
    }
}

/// What a message takes in a block besides its own bytes, about.
const HEAD_BYTES: usize = 12;
