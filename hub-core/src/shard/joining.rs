//! Subscriptions come and go. One whose start takes a look at many topics is answered when that was read.

use std::sync::Arc;

use tidewire_protocol::code::{Code, Outcome, WhenSlow};
use tidewire_protocol::hub_frame::{HubFrame, Missing, Subscribed, Unsubscribed};
use tidewire_protocol::name::Selector;
use tidewire_protocol::number::{Offset, Request, TailNumber};
use tidewire_protocol::position::Start;

use crate::access::Granted;
use crate::clock::Millis;
use crate::letter::{Address, Serial};
use crate::reading::question::{Answer, Ask, Begun, Whose};
use crate::reading::reads::Asker;
use crate::session::replies::Replies;
use crate::session::telling::failed;
use crate::shard::Shard;
use crate::shard::connection::{Connection, Subscription};
use crate::shard::following::{Ahead, FOLLOWEE_BYTES, Followee};
use crate::shard::walk::Entry;
use crate::shard::wire::ConnectionId;
use crate::spare::Spare as _;
use crate::tail::TailKey;
use crate::topics::joining::Joined;

/// What a client wants to listen to.
#[derive(Debug)]
pub(super) struct Wish {
    /// Number of the question.
    pub request: Request,
    /// On what.
    pub selector: Granted<Selector>,
    /// From where.
    pub start: Start,
    /// What to do when it falls behind.
    pub when_slow: WhenSlow,
}

impl Shard {
    /// Adds cursors, which lag until their connection is served. The answer comes at once, or when it is known where
    /// they start.
    pub(super) fn subscribe(
        &mut self,
        now: Millis,
        id: ConnectionId,
        wish: Wish,
        replies: &mut Replies,
    ) -> Result<(), Code> {
        let connection = self.connections.get_mut(id.0 as usize).ok_or(Code::Internal)?;
        let account = Arc::clone(&connection.account);
        if !connection.has_room_for(&wish.selector, self.topics.logs()) {
            return Err(Code::Overloaded);
        }
        let joined = self.topics.join(now, self.index, &wish.selector, &wish.start, &account)?;
        let number = joined.tails[0].number;
        let refusal = if connection.is_subscribed(number) {
            Some(Code::LimitReached)
        } else if wish.when_slow == WhenSlow::Latest && !joined.tails[0].keeps_latest() {
            Some(Code::NotSupported)
        } else {
            None
        };
        if let Some(code) = refusal {
            joined.tails.iter().for_each(|tail| tail.marks.of(self.index).leave());
            return Err(code);
        }
        connection.patterns += usize::from(joined.followed.is_some());
        for (tail, stand) in joined.tails.iter().zip(&joined.stands) {
            let cursor = stand.map_or(Offset(0), |stand| stand.cursor);
            let entry = Entry { cursor, connection: id, dialect: connection.dialect, parked: true };
            let (audience, place) = self.audiences.join(tail, entry, &account);
            connection.subscribe(Subscription {
                tail: tail.key(),
                audience,
                entry: place,
                when_slow: wish.when_slow,
                pattern: joined.followed.is_some(),
                told_gone: Offset(0),
                asked: wish.selector.grant().edition,
                caught_up: false,
            });
        }
        connection.place(&joined.tails);
        self.topics.metrics().subscriptions.add(1);
        let known = joined.stands.iter().copied().collect::<Option<Vec<_>>>();
        let serial = connection.serials.give();
        let ahead = || if known.is_none() { Ahead::Start(serial, wish.request) } else { Ahead::Tail };
        if let Some(followed) = &joined.followed {
            let asker = Asker::default();
            for tail in &joined.tails {
                let whose = Whose::Pattern(Arc::clone(followed));
                let (tail, asker) = (tail.key(), Arc::clone(&asker));
                let (bare_from, merge, ahead) = (Offset(0), None, ahead());
                connection.following.insert(Followee { tail, whose, bare_from, merge, ahead, asker });
            }
        }
        connection.charge_subscriptions();
        match known {
            Some(stands) => {
                let begun =
                    stands.into_iter().map(|stand| Begun { stand, bare_from: Offset(0), merge: None });
                self.begin(id, number, wish.request, begun.collect(), replies);
                Ok(())
            }
            None => self.ask_start(now, id, serial, joined, wish.start),
        }
    }

    /// Has it looked up where a pattern's subscription starts.
    fn ask_start(
        &mut self,
        now: Millis,
        id: ConnectionId,
        serial: Serial,
        joined: Joined,
        start: Start,
    ) -> Result<(), Code> {
        let address = self.address(id, serial).ok_or(Code::Internal)?;
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return Err(Code::Internal) };
        let Joined { stands, followed: Some(followed), tails } = joined else { return Err(Code::Internal) };
        let Some(followee) = connection.following.get(tails[0].key()) else { return Err(Code::Internal) };
        let (asker, ask) = (Arc::clone(&followee.asker), Ask::Start { followed, start, stands });
        let asked = self.topics.read(address, &asker, &connection.account, ask);
        if asked.is_err() {
            self.end_subscription(now, id, tails[0].number);
        }
        asked
    }

    /// It is known where a subscription starts: says so, and has its cursors served.
    fn begin(
        &mut self,
        id: ConnectionId,
        number: TailNumber,
        request: Request,
        begun: Vec<Begun>,
        replies: &mut Replies,
    ) {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        let stands: Vec<_> = begun.iter().map(|begun| begun.stand).collect();
        let mut positions = Vec::new();
        for (log, Begun { stand, bare_from, merge }) in (0..).zip(begun) {
            let tail = TailKey { number, log };
            let Some(subscription) = connection.subscription_mut(tail) else { return };
            subscription.told_gone = stand.told;
            self.audiences.entry(subscription).cursor = stand.cursor;
            positions.push(self.audiences.of(subscription).tail.position(stand.cursor));
            if let Some(followee) = connection.following.get(tail) {
                (followee.bare_from, followee.merge, followee.ahead) = (bare_from, merge, Ahead::Tail);
            }
            connection.lagging.push_back(tail);
        }
        let mut gaps = stands.iter().filter_map(|stand| Some((stand.gap?, stand.cursor)));
        let gap = gaps.next();
        let outcome = match gap {
            Some(_) => Outcome::Gap,
            None if stands.iter().any(|stand| stand.outcome == Outcome::Resumed) => Outcome::Resumed,
            None => Outcome::Live,
        };
        let gap = gap.map(|(gap, _)| gap);
        let Some(subscription) = connection.subscription(TailKey { number, log: 0 }) else { return };
        let tail = &self.audiences.of(subscription).tail;
        let removals = if tail.keeps_latest() { subscription.told_gone } else { Offset(0) };
        let topic = tail.source.as_str();
        let subscribed = Subscribed { request, tail: number, outcome, positions, gap, removals };
        replies.put_about(topic, &HubFrame::Subscribed(subscribed));
        // The answer has room for one gap; of another log it is told by itself.
        for (gap, after) in gaps {
            let missing = Missing { tail: number, gap: Some(gap), after };
            replies.put_about(topic, &HubFrame::Missing(missing));
        }
    }

    pub(super) fn unsubscribe(
        &mut self,
        now: Millis,
        id: ConnectionId,
        request: Request,
        tail: TailNumber,
        replies: &mut Replies,
    ) {
        let subscribed = self.connections.get(id.0 as usize).is_some_and(|it| it.is_subscribed(tail));
        replies.put(&if subscribed {
            self.end_subscription(now, id, tail);
            HubFrame::Unsubscribed(Unsubscribed { request, tail, ..Unsubscribed::default() })
        } else {
            failed(request, Code::UnknownNumber)
        });
    }

    pub(super) fn end_subscription(&mut self, now: Millis, id: ConnectionId, number: TailNumber) {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        let subscriptions = connection.unsubscribe(number);
        connection.charge_subscriptions();
        self.topics.metrics().subscriptions.sub(u64::from(!subscriptions.is_empty()));
        self.leave(now, &subscriptions);
    }

    /// Takes cursors away, and names that nobody needs any more.
    pub(super) fn leave(&mut self, now: Millis, subscriptions: &[Subscription]) {
        for subscription in subscriptions {
            if let Some(tail) = self.audiences.leave(subscription, &mut self.connections) {
                self.topics.left(now, tail);
            }
        }
    }

    /// Hands over what was read for a connection.
    pub(super) fn hand_over_read(&mut self, now: Millis, address: Address, answer: Answer) {
        let id = ConnectionId(address.slot);
        let topics = Arc::clone(&self.topics);
        let Some(connection) = self.addressed(address) else { return };
        let mut replies = Replies::new(connection.dialect);
        match answer {
            Answer::Page(page) => connection.session.tell_page(address.serial, page, &topics, &mut replies),
            Answer::Unread => connection.session.tell_unread(address.serial, &mut replies),
            Answer::Started(begun) => {
                let waiting = connection.following.waiting(address.serial);
                let Some(Followee { tail, ahead: Ahead::Start(_, request), .. }) = waiting else { return };
                let (number, request) = (tail.number, *request);
                self.begin(id, number, request, begun, &mut replies);
            }
            Answer::More { part, merge } => {
                let Some(followee) = connection.following.waiting(address.serial) else { return };
                (followee.merge, followee.ahead) = (merge, Ahead::Part(part));
                let tail = followee.tail;
                connection.lagging.push_back(tail);
            }
        }
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        if !replies.is_empty() {
            connection.page_bytes = connection.page_bytes.max(replies.page_bytes());
            replies.seal(&mut connection.outbox, self.topics.metrics());
            self.was_told(now, id);
        }
        self.settle(id);
        self.make_ready(id);
    }

    /// How what comes late finds a connection, and who on it is meant.
    pub(super) fn address(&self, id: ConnectionId, serial: Serial) -> Option<Address> {
        let Connection { generation, .. } = *self.connections.get(id.0 as usize)?;
        Some(Address { shard: self.index as u32, slot: id.0, generation, serial })
    }
}

impl Connection {
    /// Whether its account may have the hub know of one more subscription, in so many logs if it is to a pattern. Asked
    /// about topics only where places for more have to be made, since most subscriptions find theirs.
    fn has_room_for(&self, selector: &Selector, logs: usize) -> bool {
        let (places, free) =
            (self.subscriptions.capacity(), self.subscriptions.capacity() - self.subscriptions.len());
        match selector {
            Selector::Topic(_) if free > 0 => true,
            Selector::Topic(_) => {
                self.account.may_be_known(places.max(1) * SUBSCRIPTION_BYTES + LAGGING_BYTES)
            }
            Selector::Pattern(_) => {
                let more = places.max(logs) * SUBSCRIPTION_BYTES + logs * FOLLOWEE_BYTES + LAGGING_BYTES;
                self.account.may_be_known(more)
            }
        }
    }

    /// Charges what its subscriptions take, by the places that there are for them: that changes when these double, and not
    /// with each.
    pub(super) fn charge_subscriptions(&mut self) {
        if self.subscriptions.give_back() {
            self.lagging.shrink_to(self.subscriptions.capacity());
        }
        let places = self.subscriptions.capacity();
        let least = if places > 0 { LAGGING_BYTES } else { 0 };
        self.subscribed.set(places * SUBSCRIPTION_BYTES + least + self.following.places_bytes());
    }
}

/// What a subscription takes: itself, its cursor among those of the tail, whose places double, and a place among those that
/// lag.
const SUBSCRIPTION_BYTES: usize = size_of::<Subscription>() + 2 * size_of::<Entry>() + size_of::<TailKey>();
/// The first places among those that lag are more than one.
const LAGGING_BYTES: usize = 4 * size_of::<TailKey>();
