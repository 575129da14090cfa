//! Connections that only listen: what they want to hear is known when they come, and nothing that they say means anything.
//!
//! Whoever listens to one log is told its place with each message, and walks serve it like any other. Who listens to several
//! is told all places in one, and is served from its own list.

use std::sync::Arc;

use tidewire_protocol::code::{Code, WhenSlow};
use tidewire_protocol::events::{self, Ids};
use tidewire_protocol::name::Selector;
use tidewire_protocol::number::Request;
use tidewire_protocol::position::{Position, Start};

use crate::access::caller::{Caller, Right};
use crate::chunk;
use crate::clock::Millis;
use crate::dialect::Dialect;
use crate::ledger::AccountKey;
use crate::names::producers::Arrival;
use crate::session::replies::Replies;
use crate::shard::Shard;
use crate::shard::ending::Ending;
use crate::shard::joining::Wish;
use crate::shard::wire::ConnectionId;
use crate::topics::Topics;

/// What somebody wants to hear who only listens.
#[derive(Debug)]
pub struct Listening {
    /// Who it is.
    pub caller: Arc<Caller>,
    /// Topics and patterns, each once, and where they start; one at least.
    pub wishes: Vec<(Selector, Start)>,
}

/// So many places are not those of what is listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has {has} places, and what is asked for has {wants}")]
pub struct OtherPlaces {
    /// How many there are.
    pub has: usize,
    /// How many there would have to be.
    pub wants: usize,
}

impl Listening {
    /// Starts behind these places, which are those of an id that a connection with the same wishes was told.
    ///
    /// # Errors
    /// [`OtherPlaces`] if they cannot be.
    pub fn resume(&mut self, places: &[Position], topics: &Topics) -> Result<(), OtherPlaces> {
        let is_pattern = |wish: &&(Selector, Start)| matches!(wish.0, Selector::Pattern(_));
        let patterns = self.wishes.iter().filter(is_pattern).count();
        let of_topics = self.wishes.len() - patterns;
        let other = OtherPlaces { has: places.len(), wants: of_topics + patterns * topics.logs() };
        // The hub that told them may have had other logs: what it kept on disk, or did not.
        let of_patterns = places.len().checked_sub(of_topics).ok_or(other)?;
        let logs = of_patterns.checked_div(patterns).unwrap_or_default();
        if logs * patterns != of_patterns || patterns > 0 && logs == 0 {
            return Err(other);
        }
        let count = |selector: &Selector| match selector {
            Selector::Topic(_) => 1,
            Selector::Pattern(_) => logs,
        };
        let mut rest = places;
        for (selector, start) in &mut self.wishes {
            let (own, others) = rest.split_at(count(selector));
            *start = Start::After(own.to_vec());
            rest = others;
        }
        Ok(())
    }

    /// Whether there is one log to tell places of.
    fn ids(&self, topics: &Topics) -> Ids {
        match &self.wishes[..] {
            [(Selector::Topic(_), _)] => Ids::OfEach,
            [(Selector::Pattern(_), _)] if topics.logs() == 1 => Ids::OfEach,
            _ => Ids::Apart,
        }
    }
}

impl Shard {
    /// Takes over a connection that only listens: the head of its answer is written, and its body goes on in chunks. What it
    /// makes the hub hold is charged to `account`.
    pub fn accept_listener(
        &mut self,
        now: Millis,
        account: AccountKey,
        arrival: Arrival,
        listening: Listening,
    ) -> ConnectionId {
        let ids = listening.ids(&self.topics);
        let id = self.admit_new(now, Dialect::Events(ids), account, arrival);
        let Listening { caller, wishes } = listening;
        if let Some(connection) = self.connections.get_mut(id.0 as usize) {
            let mut retry = Vec::new();
            events::put_retry(retry_ms(id), &mut retry);
            chunk::put(&retry, &mut connection.outbox);
            connection.places = (ids == Ids::Apart).then(Box::default);
        }
        let admitted = self.listen_as(id, &caller);
        self.begin_heartbeats(now, id);
        self.refuse_late(now, id);
        let listens = admitted.and_then(|()| self.listen_to(now, id, wishes).map_err(Ending::Code));
        if let Err(ending) = listens {
            self.close(now, id, ending);
        }
        self.settle(id);
        self.make_ready(id);
        id
    }

    /// Who it is has its own place in each connection.
    fn listen_as(&mut self, id: ConnectionId, caller: &Caller) -> Result<(), Ending> {
        // Whatever has changed since its token was checked: it is asked of again only by what changes later.
        if let Err(bad) = self.topics.credentials().standing().check_caller(caller) {
            self.topics.metrics().bad_tokens.add(bad.number(), 1);
            return Err(Ending::Token(bad));
        }
        let connection = self.connections.get_mut(id.0 as usize).ok_or(Ending::Code(Code::Internal))?;
        connection.session.listen(caller.again(&connection.account).map_err(Ending::Code)?);
        Ok(())
    }

    /// Subscribes to all. Rights are asked for here: rules may have changed since the connection was let in.
    fn listen_to(
        &mut self,
        now: Millis,
        id: ConnectionId,
        wishes: Vec<(Selector, Start)>,
    ) -> Result<(), Code> {
        let topics = Arc::clone(&self.topics);
        let Some(dialect) = self.connections.get(id.0 as usize).map(|it| it.dialect) else { return Ok(()) };
        let access = topics.access().now();
        let mut replies = Replies::new(dialect);
        for (request, (selector, start)) in (1..).zip(wishes) {
            let Some(connection) = self.connections.get(id.0 as usize) else { break };
            if connection.closing.is_some() {
                break;
            }
            let selector = access.read(connection.session.caller(), Right::Subscribe, selector)?;
            let wish = Wish { request: Request(request), selector, start, when_slow: WhenSlow::CatchUp };
            self.subscribe(now, id, wish, &mut replies)?;
        }
        if let Some(connection) = self.connections.get_mut(id.0 as usize) {
            replies.seal(&mut connection.outbox, topics.metrics());
        }
        Ok(())
    }
}

/// After how long a client is to come back that was cut off. Those of a hub that is gone all are: not together.
fn retry_ms(id: ConnectionId) -> u64 {
    RETRY_MS_MIN + u64::from(id.0) * RETRY_STEP_MS % RETRY_SPREAD_MS
}

const RETRY_MS_MIN: u64 = 1_000;
const RETRY_SPREAD_MS: u64 = 2_000;
/// Prime to the spread, so that one after the other goes over all of it.
const RETRY_STEP_MS: u64 = 617;
