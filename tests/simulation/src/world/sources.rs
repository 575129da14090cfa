//! Those who listen to event streams, as browsers do: what they were told is an id, and with the last one they come back.

use std::sync::Arc;

use tidewire_hub_core::access::caller::{Caller, Right};
use tidewire_hub_core::ledger::AccountKey;
use tidewire_hub_core::session::asking::readable;
use tidewire_hub_core::shard::listening::Listening as Wishes;
use tidewire_protocol::code::{Code, Outcome, WhenSlow};
use tidewire_protocol::name::Selector;
use tidewire_protocol::position::{Gap, Position, Start};

use crate::events::Body;
use crate::names::{KEYED, NAMES, SELECTORS, SelectorIndex, TOPICS, TopicIndex, audience_of};
use crate::oracle::listening::Listening;
use crate::world::event::Event;
use crate::world::link::{Link, LinkId, Owner};
use crate::world::tokens::{Bearer, TokenIndex};
use crate::world::travel::CALM_SOCKET_BYTES;
use crate::world::{CALM_MS, World};

mod hearing;

/// One who listens to an event stream.
#[derive(Debug)]
pub struct Source {
    /// What to, with where each begins that was never heard of.
    pub wishes: Vec<(SelectorIndex, Start)>,
    /// The last id that it was told.
    pub id: Option<Vec<Position>>,
    /// The token that it came with last.
    pub token: Option<TokenIndex>,
    /// Its link, while it has one.
    pub link: Option<LinkId>,
    /// Number of its last try to come; those before are void.
    attempt: u32,
    body: Body,
    /// What it listens to on this link.
    seats: Vec<Seat>,
    retry_ms: u64,
}

/// A topic or pattern on one link.
#[derive(Debug)]
struct Seat {
    /// The oracle's listener.
    listener: usize,
    /// Where it was told that it begins, log by log.
    begins: Vec<Position>,
    outcome: Outcome,
    gap: Option<Gap>,
}

impl World {
    /// One more, who comes soon.
    pub fn new_source(&mut self, wishes: Vec<(SelectorIndex, Start)>) -> usize {
        self.sources.push(Source {
            wishes,
            id: None,
            token: None,
            link: None,
            attempt: 0,
            body: Body::default(),
            seats: Vec::new(),
            retry_ms: 1_000,
        });
        let source = self.sources.len() - 1;
        self.comes_in(source, 1);
        source
    }

    /// One who wants something by chance: nothing twice, since a message does not say for which of them it is told.
    pub(crate) fn new_source_by_chance(&mut self) {
        let mut wishes: Vec<(SelectorIndex, Start)> = Vec::new();
        let is_heard = |one: SelectorIndex, other: SelectorIndex| {
            (0..TOPICS as TopicIndex)
                .any(|topic| [one, other].iter().all(|it| audience_of(topic).contains(it)))
        };
        let start = match self.random.below(4) {
            0 => Start::Earliest,
            1 => Start::Last(self.random.magnitude(1, 100)),
            _ => Start::Latest,
        };
        for _ in 0..self.random.between(1, 4) {
            let selector = self.random.below(SELECTORS as u64) as SelectorIndex;
            if !wishes.iter().any(|(other, _)| is_heard(selector, *other)) {
                wishes.push((selector, start.clone()));
            }
        }
        let source = self.new_source(wishes);
        self.plan_source(source);
    }

    /// One who wants all keys, and comes back with what it knows of them.
    pub(crate) fn new_source_of_keys(&mut self) {
        let source = self.new_source(vec![(KEYED, Start::Earliest)]);
        self.plan_source(source);
    }

    fn plan_source(&mut self, source: usize) {
        if self.setup.fault_ms > 0 {
            let wait = self.random.wait(self.setup.fault_ms);
            self.after(wait, Event::SourceFault(source));
        }
    }

    fn comes_in(&mut self, source: usize, ms: u64) {
        self.sources[source].attempt += 1;
        let attempt = self.sources[source].attempt;
        self.after(ms, Event::Come { source, attempt });
    }

    /// Comes, or comes back.
    pub(crate) fn come(&mut self, source: usize, attempt: u32) {
        if self.sources[source].attempt != attempt {
            return;
        }
        let refused = !self.calm && self.random.one_in(8);
        let wishes = self.wishes_of(source);
        let bearer = self.source_bears(source);
        let Some(hub) = self.hub.as_mut().filter(|_| !refused) else {
            let wait = self.random.between(500, 2_000);
            return self.comes_in(source, wait);
        };
        // As the request would be judged before a shard is told of it.
        let may_not = wishes.iter().find_map(|(selector, _)| {
            let name = NAMES[usize::from(*selector)];
            readable(name, &bearer, Right::Subscribe, &hub.topics).err().map(|code| (*selector, code))
        });
        if let Some((selector, code)) = may_not {
            if code != Code::Forbidden || !self.oracle.closing.is_any() {
                self.oracle.object(format_args!("source {source} may not hear {selector}: {code}"));
            }
            let wait = self.random.between(500, 2_000);
            return self.comes_in(source, wait);
        }
        let narrowest = if self.calm { CALM_SOCKET_BYTES } else { 24 };
        let capacity = self.random.magnitude(narrowest, self.setup.socket_bytes.max(narrowest)) as usize;
        let shard = self.random.below(self.setup.shards as u64) as usize;
        self.source_begins(source, bearer, wishes, shard, capacity);
    }

    /// It has a token that lasts, where there are any: the one that it has, or another.
    fn source_bears(&mut self, source: usize) -> Arc<Caller> {
        if !self.has_tokens() {
            return Arc::default();
        }
        let lasts = self.sources[source].token.filter(|token| self.tokens[*token].ends_at() > self.now);
        let token = lasts.unwrap_or_else(|| self.issue(Bearer::Source(source), true));
        self.sources[source].token = Some(token);
        self.bear(Some(token), account_of_source(source))
    }

    /// What it asks for: what it wants, from behind the places of its last id.
    fn wishes_of(&self, source: usize) -> Vec<(SelectorIndex, Start)> {
        let Source { wishes, id, .. } = &self.sources[source];
        let Some(mut rest) = id.as_deref() else { return wishes.clone() };
        let resume = |(selector, _): &(SelectorIndex, Start)| {
            let (own, others) = rest.split_at(self.oracle.logs_of(*selector).len().min(rest.len()));
            rest = others;
            (*selector, Start::After(own.to_vec()))
        };
        wishes.iter().map(resume).collect()
    }

    fn source_begins(
        &mut self,
        source: usize,
        caller: Arc<Caller>,
        wishes: Vec<(SelectorIndex, Start)>,
        shard: usize,
        capacity: usize,
    ) {
        let id = self.links.len() as LinkId;
        let Some(hub) = &mut self.hub else { return };
        let parse = |(selector, start): &(SelectorIndex, Start)| {
            Some((Selector::parse(NAMES[usize::from(*selector)]).ok()?, start.clone()))
        };
        let mut listening = Wishes { caller, wishes: wishes.iter().filter_map(parse).collect() };
        if let Some(places) = &self.sources[source].id
            && let Err(other) = listening.resume(places, &hub.topics)
        {
            return self.oracle.object(format_args!("source {source} has another's id: {other}"));
        }
        let place = hub.accept_listener(self.now, shard, id, account_of_source(source), listening);
        self.links.push(Link::new(Owner::Source(source), shard, place, capacity));
        self.note(|| format!("source {source} comes: link {id}, shard {shard}, {wishes:?}"));
        let seats = wishes.into_iter().map(|(selector, start)| {
            let oracle = &mut self.oracle;
            let mut listening = Listening::new(NOBODY, selector, start, true, WhenSlow::CatchUp);
            listening.logs = oracle.logs_of(selector);
            listening.heard_ms = self.now;
            let counted = |log: usize| (log, oracle.logs[log].by_selector[usize::from(selector)].len());
            listening.began = oracle.life(0).into_iter().map(counted).collect();
            oracle.listeners.push(listening);
            let listener = oracle.listeners.len() - 1;
            Seat { listener, begins: Vec::new(), outcome: Outcome::default(), gap: None }
        });
        let seats = seats.collect();
        let this = &mut self.sources[source];
        (this.seats, this.link, this.body) = (seats, Some(id), Body::default());
        self.turn_at(shard, 0);
    }

    /// Its link is gone: it comes back when it was told to.
    pub(crate) fn source_is_cut_off(&mut self, source: usize, id: LinkId) {
        let this = &mut self.sources[source];
        if this.link != Some(id) {
            return;
        }
        this.link = None;
        for seat in this.seats.drain(..) {
            self.oracle.listeners[seat.listener].ended = true;
        }
        let wait = this.retry_ms;
        self.note(|| format!("source {source} is cut off"));
        self.comes_in(source, wait);
    }

    /// Something befalls one.
    pub(crate) fn befall_source(&mut self, source: usize) {
        let wait = self.random.wait(self.setup.fault_ms);
        self.after(wait, Event::SourceFault(source));
        let Some(link) = self.sources[source].link.filter(|_| !self.calm) else { return };
        self.tally.faults += 1;
        match self.random.below(8) {
            0..=2 => self.cut(link),
            3 => {
                self.fall_silent(link);
                // Nobody waits for what no heartbeat follows.
                let wait = self.random.magnitude(1_000, 60_000);
                self.after(wait, Event::Lost(link));
            }
            4..=5 => {
                let ms = self.random.magnitude(20, 120_000);
                self.stall(link, ms);
            }
            6 => self.leave(source),
            _ => self.links[link as usize].capacity = self.random.between(1, 60) as usize,
        }
    }

    /// It lets go of its link, and comes again as it would by itself.
    fn leave(&mut self, source: usize) {
        let Some(link) = self.sources[source].link else { return };
        self.links[link as usize].client = false;
        let wait = self.random.magnitude(1, 5_000);
        self.after(wait, Event::Gone(link));
        self.source_is_cut_off(source, link);
    }

    /// Those of whose wishes some have ended come again in calm.
    pub(crate) fn sources_become_calm(&mut self) {
        for source in 0..self.sources.len() {
            let Source { seats, token, .. } = &self.sources[source];
            let has_ended = seats.iter().any(|seat| self.oracle.listeners[seat.listener].ended);
            // None of them ends before the calm does.
            let ends_soon = token.is_some_and(|token| self.tokens[token].ends_at() < self.now + 2 * CALM_MS);
            if ends_soon {
                self.sources[source].token = None;
            }
            if has_ended || ends_soon {
                self.leave(source);
            }
        }
    }

    /// In calm everybody is there.
    pub(crate) fn check_sources(&mut self) {
        let away = self.sources.iter().position(|source| source.link.is_none());
        if let Some(source) = away {
            self.oracle.object(format_args!("source {source} is not there in calm"));
        }
    }
}

/// Each comes from an address of its own.
pub(crate) fn account_of_source(source: usize) -> AccountKey {
    AccountKey(2 << 64 | source as u128)
}

/// Whose listeners these are that are no client's.
const NOBODY: usize = usize::MAX;
