//! What rules that changed, or a connection's later token, allow no longer: subscriptions end, some at a time, in the middle
//! of whatever they do.

use std::collections::BTreeMap;

use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::{HubFrame, Unsubscribed};
use tidewire_protocol::name::Selector;
use tidewire_protocol::number::TailNumber;

use crate::access::caller::Right;
use crate::access::{Access, Edition};
use crate::clock::Millis;
use crate::mutant::{self, Mutant};
use crate::session::replies::Replies;
use crate::session::telling::failed;
use crate::shard::Shard;
use crate::shard::ending::Ending;
use crate::shard::wire::ConnectionId;
use crate::tail::{Source, TailKey};

/// How far a shard has asked anew what its subscriptions were granted.
#[derive(Debug, Default)]
pub(super) struct Revoking {
    /// By these rules.
    edition: Edition,
    /// The next connection's slot, and the next number among its subscriptions; `None` if all were looked at.
    at: Option<(usize, TailNumber)>,
    /// Connections whose token allows something else by now: they take turns, one look each.
    revisited: BTreeMap<usize, Round>,
    /// Whose turn was last of these, and whether it was theirs rather than that of the rules' own walk.
    last: (usize, bool),
}

/// Once round the subscriptions of a connection, from wherever it began.
#[derive(Debug, Clone, Copy, Default)]
struct Round {
    began: TailNumber,
    next: TailNumber,
    /// Whether it has come to the end, and goes on from the first.
    came_round: bool,
}

/// Whose subscription is looked at next.
enum Next {
    Rules(usize, TailNumber),
    Revisit(usize, Round),
}

impl Round {
    /// Others are to be asked by now: it goes on where it is, so that whoever comes again and again skips nothing, and comes
    /// round to here.
    const fn begin_anew(self) -> Self {
        Self { began: self.next, next: self.next, came_round: false }
    }

    /// Where it goes on after a look that found what it is to go on from; `None` if it is over.
    fn after(self, found: Option<TailNumber>) -> Option<Self> {
        match found {
            Some(next) => Some(Self { next, ..self }).filter(|_| !self.came_round || next < self.began),
            None if self.came_round || self.began == TailNumber(0) => None,
            None => Some(Self { next: TailNumber(0), came_round: true, ..self }),
        }
    }
}

impl Revoking {
    /// All of a shard that begins under these rules.
    #[must_use]
    pub(super) fn new(edition: Edition) -> Self {
        Self { edition, ..Self::default() }
    }

    /// Whether there is something to ask, while these rules hold.
    #[must_use]
    pub(super) fn has_work(&self, edition: Edition) -> bool {
        self.at.is_some() || self.edition != edition || !self.revisited.is_empty()
    }

    /// What a connection is subscribed to is asked for anew. Whoever has its place by then loses nothing by being asked.
    pub(super) fn revisit(&mut self, id: ConnectionId) {
        let round = self.revisited.entry(id.0 as usize).or_default();
        *round = round.begin_anew();
    }

    /// Whose turn it is: the rules' own walk and those who renewed their tokens take turns, and so do these among themselves.
    fn next(&mut self) -> Option<Next> {
        let (last, was_revisit) = self.last;
        if let Some((slot, from)) = self.at
            && (was_revisit || self.revisited.is_empty())
        {
            self.last = (last, false);
            return Some(Next::Rules(slot, from));
        }
        let behind = self.revisited.range(last + 1..).next();
        let (slot, round) = behind.or_else(|| self.revisited.first_key_value())?;
        self.last = (*slot, true);
        Some(Next::Revisit(*slot, *round))
    }
}

impl Shard {
    /// Looks at some subscriptions, and ends those that the rules that hold now do not allow.
    pub(super) fn revoke(&mut self, now: Millis) {
        let access = self.topics.access().now();
        if self.revoking.edition != access.edition() {
            (self.revoking.edition, self.revoking.at) = (access.edition(), Some((0, TailNumber(0))));
        }
        // Each look may ask every rule.
        let looks = (RULES_A_TURN / access.rules.len().max(1)).clamp(1, LOOKS_A_TURN);
        for _ in 0..looks {
            match self.revoking.next() {
                None => return,
                Some(Next::Rules(slot, _)) if slot >= self.connections.capacity() => self.revoking.at = None,
                Some(Next::Rules(slot, from)) => {
                    let next = self.revoke_next(now, slot, from, &access, false);
                    let next = next.map_or((slot + 1, TailNumber(0)), |number| (slot, number));
                    self.revoking.at = Some(next);
                }
                Some(Next::Revisit(slot, round)) => {
                    let found = self.revoke_next(now, slot, round.next, &access, true);
                    match round.after(found) {
                        Some(round) => self.revoking.revisited.insert(slot, round),
                        None => self.revoking.revisited.remove(&slot),
                    };
                }
            }
        }
    }

    /// Looks at the next subscription of a connection from a number on, `anew` whatever was said of it before; gives the number
    /// to go on from, if there may be more.
    fn revoke_next(
        &mut self,
        now: Millis,
        slot: usize,
        from: TailNumber,
        access: &Access,
        anew: bool,
    ) -> Option<TailNumber> {
        let connection = self.connections.get_mut(slot).filter(|it| it.closing.is_none())?;
        let next = connection.subscriptions.partition_point(|known| known.tail.number < from);
        let subscription = connection.subscriptions.get_mut(next)?;
        let number = subscription.tail.number;
        if anew || subscription.asked != access.edition() {
            subscription.asked = access.edition();
            let selector = match &self.audiences.of(subscription).tail.source {
                Source::Topic(name) => Selector::Topic(name.clone()),
                Source::Pattern(pattern) => Selector::Pattern(pattern.clone()),
            };
            let caller = connection.session.caller();
            if !access.may(caller, Right::Subscribe, &selector)
                && !mutant::active(Mutant::GrantOutlivesItsRule)
            {
                self.end_revoked(now, ConnectionId(slot as u32), number, selector.as_str());
            } else if anew && mutant::active(Mutant::RenewalLosesSubscription) {
                self.end_subscription(now, ConnectionId(slot as u32), number);
            }
        }
        Some(TailNumber(number.0 + 1))
    }

    /// Ends a subscription, and says so: whoever still waits for its start is answered instead. Who only listens cannot ask for
    /// another, and goes with the last.
    fn end_revoked(&mut self, now: Millis, id: ConnectionId, number: TailNumber, topic: &str) {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        let asked = connection.following.asked_by(TailKey { number, log: 0 });
        let mut replies = Replies::new(connection.dialect);
        let end = asked.map_or_else(|| unsubscribed(number), |request| failed(request, Code::Forbidden));
        replies.put_about(topic, &end);
        self.end_subscription(now, id, number);
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        replies.seal(&mut connection.outbox, self.topics.metrics());
        let is_over = connection.dialect.only_listens() && connection.subscriptions.is_empty();
        self.was_told(now, id);
        if is_over {
            self.close(now, id, Ending::Code(Code::Forbidden));
        }
    }
}

fn unsubscribed(tail: TailNumber) -> HubFrame<'static> {
    let code = Code::Forbidden;
    let message = code.sentence().into();
    HubFrame::Unsubscribed(Unsubscribed { tail, code, message, ..Unsubscribed::default() })
}

/// Subscriptions looked at, and rules asked, in one turn: about as long as a slice of a walk.
const LOOKS_A_TURN: usize = 256;
const RULES_A_TURN: usize = 4_096;
