//! One read of a pattern: a look at its topics, then what was asked for, in bounded steps. Or of a topic, where some of that is
//! on the disk only.

use std::collections::VecDeque;
use std::sync::Arc;

use tidewire_protocol::name::{Pattern, Selector};
use tidewire_protocol::number::{Offset, TailNumber};
use tidewire_protocol::position::Start;

use crate::clock::Millis;
use crate::ledger::{Account, Charge, Kind};
use crate::limits::Limits;
use crate::log::Log;
use crate::names::directory::Directory;
use crate::reading::fetch::Fetch;
use crate::reading::gather::{Found, Gather, Search};
use crate::reading::job::of_topic::{Paging, of_tail};
use crate::reading::job::sharing::Sharing;
use crate::reading::merge::{Form, Merge};
use crate::reading::most::Most;
use crate::reading::question::{Answer, Ask, Begun, More, PageRead, Whose};
use crate::reading::start::{Asked, Stand, await_visible, below};
use crate::sync::Mutex;

mod paging;

mod sharing;

pub mod of_topic;

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
    /// How long the page was before the log that is read, and how many messages it had.
    page_len: u32,
    page_messages: usize,
    /// What is to be read from the disk before it goes on.
    wanted: Option<Box<Fetch>>,
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
    /// A page of a topic, which is to be read from the disk.
    OfTopic(Box<Paging>),
    /// The disk could not be read.
    Unread,
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
            page_len: 0,
            page_messages: 0,
            wanted: None,
        }
    }

    /// What it has to have from the disk before it goes on.
    pub fn take_wanted(&mut self) -> Option<Fetch> {
        self.wanted.take().map(|fetch| *fetch)
    }

    /// What it had to have was read, as far as it is there.
    pub fn bring(&mut self, fetched: Fetch) {
        match &mut self.stage {
            Stage::Reading(_, merge) => merge.bring(fetched),
            Stage::OfTopic(paging) => paging.merge.bring(fetched),
            Stage::Begin
            | Stage::Gathering(_)
            | Stage::Sharing(_)
            | Stage::Next
            | Stage::Searching(..)
            | Stage::Placing(..)
            | Stage::Unread => {}
        }
    }

    /// The disk could not be read, and nobody waits for it any longer.
    pub(super) fn give_up(&mut self) {
        self.stage = Stage::Unread;
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
                match self.pattern() {
                    Some(pattern) => {
                        self.stage = Stage::Gathering(Gather::new(pattern, hub.logs));
                        None
                    }
                    None => self.begin_of_topic(now, hub, account),
                }
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
            Stage::OfTopic(paging) => self.page_of_topic(now, hub, paging),
            Stage::Unread => Some(Answer::Unread),
        }
    }

    /// The pattern that is asked about; none if it is a topic.
    fn pattern(&self) -> Option<&Pattern> {
        match &self.ask {
            Ask::Start { followed, .. } | Ask::More(More { whose: Whose::Pattern(followed), .. }) => {
                Some(&followed.pattern)
            }
            Ask::Page { selector: Selector::Pattern(pattern), .. } => Some(pattern),
            Ask::More(More { whose: Whose::Topic(_), .. })
            | Ask::Page { selector: Selector::Topic(_), .. } => None,
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
            Ask::Page { start: Start::Before { last, positions }, most, .. } => {
                let (bytes_max, log_below) = (most.bytes, below(&hub.logs[usize::from(log)], positions));
                self.look_below(hub, log, found, (*last, bytes_max), log_below);
                None
            }
            Ask::Start { .. } | Ask::Page { .. } => {
                self.resolve(now, hub, log, found, Offset(0), account);
                None
            }
            Ask::More(more) => {
                let stand = found.after(&hub.logs[usize::from(log)], Asked::After(more.cursor));
                let charge = Charge::new(account, Kind::Reading);
                let mut merge = Merge::new(found, more.cursor, more.bare_from, charge);
                if stand.told > more.cursor.max(more.told) {
                    merge.lose(stand.told);
                }
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
                self.page_len = self.page.blocks.len() as u32;
                self.stage = Stage::Reading(log, merge);
            }
            Ask::More(_) => self.stage = Stage::Reading(log, merge),
        }
    }

    fn read(&mut self, now: Millis, hub: &Hub<'_>, log: u8, mut merge: Box<Merge>) -> Option<Answer> {
        let mut form = Form {
            tail: TailNumber(0),
            log,
            most: Most::bytes(hub.limits.page_bytes_max),
            named: true,
            block_bytes: hub.limits.block_bytes,
            account: hub.copies,
        };
        match &self.ask {
            Ask::Page { .. } => {
                if self.read_page(now, hub, &form, &mut merge) {
                    self.fetch_for(now, hub, log, merge);
                }
                None
            }
            Ask::More(more) => {
                (form.tail, form.named) = match &more.whose {
                    Whose::Pattern(followed) => (followed.tails[usize::from(log)].number, true),
                    Whose::Topic(tail) => (tail.number, false),
                };
                let part = merge.read(now, &form);
                if part.is_away {
                    self.fetch_for(now, hub, log, merge);
                    return None;
                }
                let merge = (!part.done).then_some(merge);
                Some(Answer::More { part, merge })
            }
            Ask::Start { .. } => None,
        }
    }

    /// The merge goes on when what comes next was read from the disk.
    fn fetch_for(&mut self, now: Millis, hub: &Hub<'_>, log: u8, mut merge: Box<Merge>) {
        self.wanted = self.wants(now, hub, log, &mut merge).map(Box::new);
        self.stage = Stage::Reading(log, merge);
    }

    fn wants(&self, now: Millis, hub: &Hub<'_>, log: u8, merge: &mut Merge) -> Option<Fetch> {
        // A cursor on a topic knows its log by its name only.
        let log = match &self.ask {
            Ask::More(More { whose: Whose::Topic(tail), .. }) => of_tail(tail, hub.logs),
            Ask::More(_) | Ask::Start { .. } | Ask::Page { .. } => log,
        };
        let most = match &self.ask {
            Ask::Page { start, most, .. } if !matches!(start, Start::Before { .. }) => self.left(*most),
            _ => Most::bytes(hub.limits.page_bytes_max.max(FETCHED_BYTES)),
        };
        let wanted = merge.wanted(now, most);
        (!wanted.is_empty()).then(|| Fetch::new(log, wanted))
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

/// So much is read from the disk at once at least, about.
const FETCHED_BYTES: usize = 64 << 10;
