//! One read of a pattern: a look at its topics, then what was asked for, in bounded steps.

use std::collections::VecDeque;
use std::sync::Arc;

use tidewire_protocol::name::Pattern;
use tidewire_protocol::number::{Offset, TailNumber};
use tidewire_protocol::position::{Gap, Position, Start};

use crate::clock::Millis;
use crate::ledger::{Account, Charge, Kind};
use crate::limits::Limits;
use crate::log::Log;
use crate::names::directory::Directory;
use crate::names::follow::Followed;
use crate::reading::gather::{Found, Gather, Search};
use crate::reading::job::sharing::Sharing;
use crate::reading::merge::{Form, Merge, Part};
use crate::reading::start::{Asked, Stand, await_visible, below};
use crate::sync::Mutex;

mod paging;

mod sharing;

/// What a read looks at.
#[derive(Debug, Clone, Copy)]
pub struct Hub<'a> {
    /// The logs.
    pub logs: &'a [Log],
    /// The names.
    pub names: &'a Mutex<Directory>,
    /// Every bound.
    pub limits: &'a Limits,
    /// Where what is made for one reader is counted: with that reader, and not as messages.
    pub copies: &'a Arc<Account>,
}

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
        pattern: Pattern,
        /// From where.
        start: Start,
        /// Bytes of messages.
        bytes_max: usize,
    },
    /// What comes after a cursor that its pattern's tail has left behind.
    More(More),
}

/// A cursor that catches up.
#[derive(Debug)]
pub struct More {
    /// The pattern.
    pub followed: Arc<Followed>,
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
}

/// A read under way.
#[derive(Debug)]
pub struct Job {
    ask: Ask,
    stage: Stage,
    /// Logs still to be looked into, with what was found there.
    ahead: VecDeque<(u8, Found)>,
    /// How many of the last messages are wanted of each log, where they are shared.
    shares: Vec<u64>,
    charge: Option<Charge>,
    /// Results so far.
    started: Vec<Option<Begun>>,
    page: PageRead,
}

#[derive(Debug)]
enum Stage {
    Begin,
    Gathering(Gather),
    Sharing(Sharing),
    /// Between two logs.
    Next,
    Searching(u8, Found, Search),
    Placing(u8, Stand, Box<Merge>),
    Reading(u8, Box<Merge>),
}

impl Answer {
    /// Lets go of what was only kept for speed.
    pub fn forget_merges(&mut self) {
        match self {
            Self::Started(started) => started.iter_mut().for_each(|begun| begun.merge = None),
            Self::More { merge, .. } => *merge = None,
            Self::Page(_) => {}
        }
    }
}

impl Job {
    /// A read that has not begun.
    #[must_use]
    pub fn new(ask: Ask) -> Self {
        Self {
            ask,
            stage: Stage::Begin,
            ahead: VecDeque::new(),
            shares: Vec::new(),
            charge: None,
            started: Vec::new(),
            page: PageRead::default(),
        }
    }

    /// Whether a cursor waits for it, which asks one thing at a time.
    pub(super) fn is_of_cursor(&self) -> bool {
        matches!(self.ask, Ask::Start { .. } | Ask::More(_))
    }

    /// Whether somebody who is subscribed already waits for it.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self.ask, Ask::More(_))
    }

    /// Whether a step of it was done.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.stage, Stage::Begin)
    }

    /// Whether it comes to know no more of its topics than it does.
    pub(super) fn knows_its_topics(&self) -> bool {
        self.has_begun() || matches!(&self.ask, Ask::More(More { merge: Some(_), .. }))
    }

    /// Does one step; the answer, when it is there.
    pub fn step(&mut self, now: Millis, hub: &Hub<'_>, account: &Arc<Account>) -> Option<Answer> {
        match std::mem::replace(&mut self.stage, Stage::Next) {
            Stage::Begin => {
                if let Ask::More(More { merge, log, .. }) = &mut self.ask
                    && let Some(merge) = merge.take()
                {
                    let log = *log;
                    return self.read(now, hub, log, merge);
                }
                if let Ask::Page { start, .. } = &self.ask {
                    await_visible(start, hub.logs);
                }
                self.stage = Stage::Gathering(Gather::new(self.pattern(), hub.logs));
                None
            }
            Stage::Gathering(mut gather) => {
                let done = gather.step(now, hub.names);
                let charge = self.charge.get_or_insert_with(|| Charge::new(account, Kind::Reading));
                charge.set(gather.bytes());
                if done {
                    self.gathered(gather);
                    self.begin_sharing(now, hub);
                } else {
                    self.stage = Stage::Gathering(gather);
                }
                None
            }
            Stage::Sharing(sharing) => self.share(now, sharing),
            Stage::Next => match self.ahead.pop_front() {
                Some((log, found)) => self.look_into(now, hub, log, found, account),
                None => Some(self.end()),
            },
            Stage::Searching(log, found, mut search) => {
                match search.step(now, &found) {
                    Some(before_last) => self.resolve(now, hub, log, found, before_last, account),
                    None => self.stage = Stage::Searching(log, found, search),
                }
                None
            }
            Stage::Placing(log, stand, mut merge) => {
                if merge.place(now) {
                    self.placed(hub, log, stand, merge);
                } else {
                    self.stage = Stage::Placing(log, stand, merge);
                }
                None
            }
            Stage::Reading(log, merge) => self.read(now, hub, log, merge),
        }
    }

    fn pattern(&self) -> &Pattern {
        match &self.ask {
            Ask::Start { followed, .. } | Ask::More(More { followed, .. }) => &followed.pattern,
            Ask::Page { pattern, .. } => pattern,
        }
    }

    /// All topics are listed: what matters of that, log by log.
    fn gathered(&mut self, gather: Gather) {
        let found = (0..).zip(gather.found);
        match &self.ask {
            Ask::Start { followed, stands, .. } => {
                let begun = |stand| Begun { stand, bare_from: Offset(0), merge: None };
                self.started = stands.iter().map(|stand| stand.map(begun)).collect();
                for (log, found) in found {
                    let place = usize::from(log);
                    followed.tails[place].reach_back(found.newest);
                    if stands[place].is_none() {
                        self.ahead.push_back((log, found));
                    }
                }
            }
            Ask::More(more) => self.ahead.extend(found.filter(|(log, _)| *log == more.log)),
            Ask::Page { .. } => self.ahead.extend(found),
        }
    }

    /// Finds where to start in one log.
    fn look_into(
        &mut self,
        now: Millis,
        hub: &Hub<'_>,
        log: u8,
        found: Found,
        account: &Arc<Account>,
    ) -> Option<Answer> {
        match &self.ask {
            Ask::Page { start: Start::Last(0), .. } => self.tell_end(hub, log, &found),
            Ask::Start { start: Start::Last(count), .. } | Ask::Page { start: Start::Last(count), .. } => {
                let count = self.shares.get(usize::from(log)).unwrap_or(count);
                let search = Search::new(&found, *count, u64::MAX);
                self.stage = Stage::Searching(log, found, search);
                None
            }
            Ask::Page { start: Start::Before { last, positions }, bytes_max, .. } => {
                let (bytes_max, log_below) = (*bytes_max, below(&hub.logs[usize::from(log)], positions));
                self.look_below(hub, log, found, (*last, bytes_max), log_below);
                None
            }
            Ask::Start { .. } | Ask::Page { .. } => {
                self.resolve(now, hub, log, found, Offset(0), account);
                None
            }
            Ask::More(more) => {
                let stand = found.after(&hub.logs[usize::from(log)], Asked::After(more.cursor));
                if stand.told > more.cursor.max(more.told) {
                    // Told first; what follows is read next time.
                    let part = Part { upto: more.cursor, lost: Some(stand.told), ..Part::default() };
                    return Some(Answer::More { part, merge: None });
                }
                let charge = Charge::new(account, Kind::Reading);
                let merge = Merge::new(found, more.cursor, more.bare_from, charge);
                self.charge_ahead();
                self.stage = Stage::Placing(log, stand, Box::new(merge));
                None
            }
        }
    }

    fn resolve(
        &mut self,
        now: Millis,
        hub: &Hub<'_>,
        log: u8,
        found: Found,
        before_last: Offset,
        account: &Arc<Account>,
    ) {
        let (Ask::Start { start, .. } | Ask::Page { start, .. }) = &self.ask else { return };
        let stand = found.stand(&hub.logs[usize::from(log)], now, start, before_last);
        // Who resumes within the tail of a topic that keeps nothing gets it; who asks for what is kept does not.
        let bare_from = if matches!(start, Start::After(_)) { Offset(0) } else { found.upto };
        let merge = Merge::new(found, stand.cursor, bare_from, Charge::new(account, Kind::Reading));
        self.charge_ahead();
        self.stage = Stage::Placing(log, stand, Box::new(merge));
    }

    /// A merge is charged for what was found in its log; what is still ahead stays charged here.
    fn charge_ahead(&mut self) {
        let bytes = self.ahead.iter().map(|(_, found)| found.bytes()).sum();
        if let Some(charge) = &mut self.charge {
            charge.set(bytes);
        }
    }

    /// All sources of a log stand at their places.
    fn placed(&mut self, hub: &Hub<'_>, log: u8, stand: Stand, merge: Box<Merge>) {
        match &self.ask {
            Ask::Start { .. } => {
                let bare_from = merge.bare_from();
                self.started[usize::from(log)] = Some(Begun { stand, bare_from, merge: Some(merge) });
                self.stage = Stage::Next;
            }
            Ask::Page { .. } => {
                if self.page.gap.is_some() && stand.gap.is_some() {
                    // A page has room for one gap: in this log the reader stays where it is, and asks again.
                    return self.stay_where_asked(hub, log);
                }
                self.page.gap = self.page.gap.or(stand.gap);
                self.stage = Stage::Reading(log, merge);
            }
            Ask::More(_) => self.stage = Stage::Reading(log, merge),
        }
    }

    fn read(&mut self, now: Millis, hub: &Hub<'_>, log: u8, mut merge: Box<Merge>) -> Option<Answer> {
        let mut form = Form {
            tail: TailNumber(0),
            log,
            bytes_max: hub.limits.page_bytes_max,
            block_bytes: hub.limits.block_bytes,
            account: hub.copies,
        };
        match &self.ask {
            Ask::Page { .. } => {
                self.read_page(now, hub, &form, &mut merge);
                None
            }
            Ask::More(more) => {
                form.tail = more.followed.tails[usize::from(log)].number;
                let part = merge.read(now, &form);
                let merge = (!part.done).then_some(merge);
                Some(Answer::More { part, merge })
            }
            Ask::Start { .. } => None,
        }
    }

    fn end(&mut self) -> Answer {
        match &self.ask {
            Ask::Page { .. } => Answer::Page(std::mem::take(&mut self.page)),
            Ask::Start { .. } | Ask::More(_) => {
                Answer::Started(std::mem::take(&mut self.started).into_iter().flatten().collect())
            }
        }
    }
}
