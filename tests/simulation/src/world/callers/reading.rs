//! Pages by call, and waits for what comes next: as a task of the hub would make them, question by question.

use std::sync::Arc;

use tidewire_hub_core::access::Granted;
use tidewire_hub_core::access::caller::Right;
use tidewire_hub_core::calls::CallId;
use tidewire_hub_core::calls::asking::Asked;
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::credentials::Unwelcome;
use tidewire_hub_core::reading::most::Most;
use tidewire_hub_core::reading::question::PageRead;
use tidewire_protocol::block::{Message, blocks_of_page};
use tidewire_protocol::code::Code;
use tidewire_protocol::name::Selector;
use tidewire_protocol::number::{NUMBER_MAX, Offset};
use tidewire_protocol::position::{Position, Start};

use crate::names::{NAMES, SELECTORS, SelectorIndex, TOPICS};
use crate::oracle::Oracle;
use crate::oracle::asking::{Asking, Told};
use crate::oracle::closing::RULES_MS;
use crate::oracle::pages::{Page, Sought};
use crate::world::World;
use crate::world::callers::{CallIndex, Of};
use crate::world::event::Event;

/// A call to read.
#[derive(Debug)]
pub(crate) struct Reading {
    sought: Sought,
    /// What was granted.
    granted: Option<Arc<Granted<Selector>>>,
    /// How it waits where there is nothing yet.
    wait: Option<Wait>,
}

#[derive(Debug, Clone, Copy)]
struct Wait {
    patience_ms: u64,
    /// Since when it does.
    since: Option<u64>,
    /// What it waits for now.
    listening: Option<CallId>,
    /// When it waited no more: what comes is read then, and may be on a disk.
    until: Option<u64>,
}

impl World {
    /// A call to read by chance.
    pub(super) fn call_to_read(&mut self, caller: usize) {
        let waits = self.random.one_in(2);
        let among = if waits { TOPICS } else { SELECTORS } as u64;
        let selector = self.random.below(among) as SelectorIndex;
        let start = match self.random.below(8) {
            0 | 1 if !waits => self.some_end(selector),
            2 => Start::Earliest,
            3 => Start::Last(self.random.magnitude(1, 100)),
            4 => Start::Latest,
            _ => self.some_start(selector),
        };
        let wait_ms = waits.then(|| self.random.magnitude(10, WAIT_MS_MAX));
        self.read_by_call(caller, selector, start, wait_ms);
    }

    fn some_end(&mut self, selector: SelectorIndex) -> Start {
        let logs = self.oracle.logs_of(selector);
        let life: Vec<usize> = self.oracle.life(0).into_iter().skip(logs.start).take(logs.len()).collect();
        let places = life.into_iter().map(|log| self.some_place(log, selector));
        let positions = places.map(|place| Position { offset: place.offset.next(), ..place }).collect();
        Start::Before { last: NUMBER_MAX, positions }
    }

    /// Reads a page by a call, or waits so long for one.
    pub fn read_by_call(
        &mut self,
        caller: usize,
        selector: SelectorIndex,
        start: Start,
        wait_ms: Option<u64>,
    ) -> usize {
        self.note(|| {
            format!(
                "caller {caller} reads {} from {start:?}, waits {wait_ms:?}",
                NAMES[usize::from(selector)]
            )
        });
        // Not by chance: what else happens would be another world.
        let limit = [0, 1, 0, 3, 0, 10][self.calls.len() % 6];
        let sought = Sought { selector, start, limit, visible: Vec::new() };
        let wait = wait_ms.map(|patience_ms| Wait { patience_ms, since: None, listening: None, until: None });
        self.begin_call(caller, Of::Read(Reading { sought, granted: None, wait }))
    }

    fn reading(&mut self, call: usize) -> Option<&mut Reading> {
        match &mut self.calls[call].of {
            Of::Read(reading) => Some(reading),
            Of::Publish(_) => None,
        }
    }

    /// The request has arrived.
    pub(super) fn try_to_read(&mut self, call: usize) {
        if !self.is_granted(call) {
            return;
        }
        let now = self.now;
        let Some(Reading { wait, .. }) = self.reading(call) else { return };
        let Some(wait) = wait else { return self.read_page(call) };
        wait.since = Some(now);
        let until = now + wait.patience_ms;
        // Nobody waits longer than a token lasts.
        let ends_at = self.calls[call].token.map(|token| self.tokens[token].expires_at);
        let patience_ms = ends_at.map_or(until, |ends_at| until.min(ends_at)).saturating_sub(now);
        self.after(patience_ms, Event::Patience(call as CallIndex));
        self.look_for_news(call);
    }

    /// Asks whether it may be read, which is so exactly where the rules say so.
    fn is_granted(&mut self, call: usize) -> bool {
        let Some(Reading { sought, .. }) = self.reading(call) else { return false };
        let selector = sought.selector;
        let now = Millis(self.now);
        let name = NAMES[usize::from(selector)];
        let asked = self.ask(call, |hub, by| hub.calls.readable(now, by, Right::History, name));
        match asked {
            Some(Ok(granted)) => {
                let is_closed = self.oracle.closing.to_readers_since(selector).is_some();
                if is_closed || self.is_hidden(call, selector) || self.token_of_call_has_ended(call) {
                    self.oracle.object(format_args!("call {call} may read {name}, which is closed to it"));
                }
                if let Some(reading) = self.reading(call) {
                    reading.granted = Some(Arc::new(granted));
                }
                true
            }
            Some(Err(unwelcome)) => {
                self.refused_by_call(call, unwelcome);
                false
            }
            None => false,
        }
    }

    /// Whether its token does not allow to read what the rules leave to tokens.
    fn is_hidden(&self, call: usize, selector: SelectorIndex) -> bool {
        let is_wide = self.calls[call].token.is_none_or(|token| self.tokens[token].is_wide);
        !is_wide && self.is_left_out(selector)
    }

    /// A call is told that it may not read, at once or as soon as what it waited for is closed.
    fn refused_by_call(&mut self, call: usize, unwelcome: Unwelcome) {
        self.note(|| format!("call {call} is refused: {unwelcome:?}"));
        self.end_call(call);
        let now = self.now;
        let Some(Reading { sought, wait, .. }) = self.reading(call) else { return };
        let (selector, waits_since) = (sought.selector, wait.and_then(|wait| wait.since).unwrap_or(now));
        // What it reads then may be on a disk.
        let waits_until = wait.and_then(|wait| wait.until).unwrap_or(now);
        let since = match unwelcome {
            Unwelcome::Token(_) => self.calls[call].token.map(|token| self.tokens[token].ends_at()),
            Unwelcome::Code(Code::Forbidden) if self.is_hidden(call, selector) => Some(waits_since),
            Unwelcome::Code(Code::Forbidden) => self.oracle.closing.to_readers_since(selector),
            Unwelcome::Code(_) => None,
        };
        if since.is_none_or(|since| since > now) {
            self.oracle.object(format_args!("call {call} may not read: {unwelcome:?}"));
        }
        if since.is_some_and(|since| since.max(waits_since) + RULES_MS < waits_until) {
            self.oracle
                .object(format_args!("call {call} waited on for what is closed to it since {since:?}"));
        }
    }

    /// Reads the page, as it is by now.
    fn read_page(&mut self, call: usize) {
        let visible = self.visible_to(call);
        let Some(reading) = self.reading(call) else { return };
        reading.sought.visible = visible;
        let (start, granted) = (reading.sought.start.clone(), reading.granted.clone());
        // In bytes the hub's own bound holds.
        let most = Most::ALL.messages(reading.sought.limit);
        let Some(granted) = granted else { return };
        let now = Millis(self.now);
        let asked =
            self.ask(call, |hub, by| hub.calls.page(now, by, &granted, &start, most, call as CallIndex));
        match asked {
            Some(Ok(Asked::Page(page))) => self.page_by_call(call, page),
            Some(Ok(Asked::Later(_))) | None => {}
            Some(Err(code)) => self.oracle.object(format_args!("call {call} gets no page: {code}")),
        }
    }

    fn visible_to(&mut self, call: usize) -> Vec<u64> {
        let Some(selector) = self.reading(call).map(|reading| reading.sought.selector) else {
            return Vec::new();
        };
        let logs = self.oracle.logs_of(selector);
        let life = self.oracle.life(0).into_iter().skip(logs.start).take(logs.len());
        life.map(|log| self.oracle.logs[log].visible).collect()
    }

    /// The page is there: told if it may still be.
    pub(super) fn page_by_call(&mut self, call: usize, page: PageRead) {
        let now = Millis(self.now);
        let Some(granted) = self.reading(call).and_then(|reading| reading.granted.clone()) else { return };
        if let Some(Err(unwelcome)) = self.ask(call, |hub, by| hub.calls.still_readable(now, by, &granted)) {
            return self.refused_by_call(call, unwelcome);
        }
        self.end_call(call);
        self.tally.pages += 1;
        let Some(Reading { sought, wait, .. }) = self.reading(call) else { return };
        let (sought, wait) = (sought.clone(), *wait);
        let page = told(page, &self.oracle);
        let is_closed = self.oracle.closing.to_readers_since(sought.selector).is_some();
        if is_closed || self.token_of_call_has_ended(call) {
            self.oracle.object(format_args!("call {call} is told a page of what is closed"));
        }
        if sought.limit > 0 && page.messages.len() as u64 > sought.limit {
            self.oracle.object(format_args!("call {call} is told more than {}: {page:?}", sought.limit));
        }
        if let Some(Wait { since: Some(since), until: Some(until), .. }) = wait {
            self.check_wait(call, (since, until), &page);
        }
        let done = match &sought.start {
            Start::Before { positions, .. } => {
                let above = |place: &Position| Position { offset: place.offset.next(), ..*place };
                let previous: Vec<_> = page.after.iter().map(above).collect();
                let (next, gap, more) = (&page.upto[..], page.gap, page.more);
                let asking = Asking {
                    selector: sought.selector,
                    below: positions.clone(),
                    limit: if more { page.messages.len() } else { usize::MAX },
                    visible: sought.visible.clone(),
                    messages: page.messages.clone(),
                };
                self.oracle.answered(&asking, Told { next, previous: &previous, gap, more })
            }
            _ => self.oracle.page_fits(&sought, &page),
        };
        if let Err(objection) = done {
            self.oracle.object(format_args!("call {call}: {objection}\n  {sought:?}\n  {page:?}"));
        }
    }

    /// Whoever waited is told of a message soon after it came.
    fn check_wait(&mut self, call: usize, (since, until): (u64, u64), page: &Page) {
        let Some((epoch, offset, _)) = page.messages.first() else { return };
        let record = self.oracle.log(*epoch).and_then(|log| self.oracle.logs[log].record(*offset));
        if let Some(record) = record.filter(|it| it.shown_ms.max(since) + NEWS_MS < until) {
            self.oracle.object(format_args!("call {call} waited on behind {record:?}, since {since}"));
        }
    }

    /// Listens, then looks whether there is something already: if so that is the page, and if not, what comes next wakes it.
    fn look_for_news(&mut self, call: usize) {
        let now = Millis(self.now);
        let Some(reading) = self.reading(call) else { return };
        let (start, granted) = (reading.sought.start.clone(), reading.granted.clone());
        let Some(granted) = granted else { return };
        let looked = self.ask(call, |hub, by| {
            let listening = hub.calls.listen(now, by, &granted, call as CallIndex)?;
            let page = hub.calls.page(now, by, &granted, &start, Most::bytes(1), call as CallIndex)?;
            Ok::<_, Code>((listening, page, hub.calls.still_readable(now, by, &granted)))
        });
        match looked {
            Some(Ok((listening, Asked::Page(page), Ok(())))) => {
                let Some(reading) = self.reading(call) else { return };
                let Some(wait) = &mut reading.wait else { return };
                wait.listening = Some(listening);
                if !page.blocks.is_empty() || page.gap.is_some() {
                    self.read_at_last(call);
                } else {
                    reading.sought.start = Start::After(page.upto);
                }
            }
            Some(Ok((listening, _, Err(unwelcome)))) => {
                self.ask(call, |hub, _| hub.calls.forget(now, listening));
                self.refused_by_call(call, unwelcome);
            }
            Some(Ok((listening, Asked::Later(page), Ok(())))) => {
                // There is something, and it is on the disk.
                self.ask(call, |hub, _| hub.calls.forget(now, page));
                if let Some(wait) = self.reading(call).and_then(|reading| reading.wait.as_mut()) {
                    wait.listening = Some(listening);
                    self.read_at_last(call);
                }
            }
            Some(Err(code)) => self.oracle.object(format_args!("call {call} cannot wait: {code}")),
            None => {}
        }
    }

    /// There may be news.
    pub(super) fn news_by_call(&mut self, call: usize) {
        if !self.calls[call].is_over {
            self.look_for_news(call);
        }
    }

    /// It does not wait any longer.
    pub(crate) fn patience_ends(&mut self, call: CallIndex) {
        let call = call as usize;
        let waits = self.reading(call).and_then(|reading| reading.wait?.listening).is_some();
        if waits && !self.calls[call].is_over {
            self.read_at_last(call);
        }
    }

    /// It has waited, and reads what there is.
    fn read_at_last(&mut self, call: usize) {
        let now = Millis(self.now);
        let waited = self.reading(call).and_then(|reading| reading.wait.as_mut());
        let listening = waited.and_then(|wait| {
            wait.until = Some(now.0);
            wait.listening.take()
        });
        if let Some(listening) = listening {
            self.ask(call, |hub, _| hub.calls.forget(now, listening));
        }
        if self.is_granted(call) {
            self.read_page(call);
        }
    }
}

/// A page as a caller reads it.
fn told(page: PageRead, oracle: &Oracle) -> Page {
    let PageRead { after, upto, gap, blocks, more, .. } = page;
    let mut messages = Vec::new();
    for block in blocks_of_page(&blocks).flatten() {
        let log = if after.len() == 1 { 0 } else { block.log as usize };
        let begin = after.get(log).map_or(Offset(0), |place| place.offset);
        let Some(end) = upto.get(log) else { continue };
        let within = block.messages().flatten().filter(|it| it.offset > begin && it.offset <= end.offset);
        let uid_of = |it: &Message<'_>| oracle.uid_at(end.epoch, it.offset.0, it.payload);
        messages.extend(within.map(|it| (end.epoch, it.offset, uid_of(&it))));
    }
    Page { after, upto, gap, more, messages }
}

/// Longest wait: shorter than a calm.
const WAIT_MS_MAX: u64 = 20_000;
/// Whoever waits is told so soon after a message came.
const NEWS_MS: u64 = 1_000;
