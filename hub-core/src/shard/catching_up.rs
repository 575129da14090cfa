//! Bringing a cursor that lags nearer to its tail's end: from the tail, or from what was read for it.

use std::sync::Arc;

use tidewire_protocol::code::{Code, GapReason, WhenSlow};
use tidewire_protocol::hub_frame::{HubFrame, Missing, Progress};
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::Gap;

use crate::block::Block;
use crate::clock::Millis;
use crate::letter::Address;
use crate::mutant::{self, Mutant};
use crate::reading::question::{Ask, More, Whose};
use crate::reading::reads::Asker;
use crate::session::replies::Replies;
use crate::shard::audiences::Audiences;
use crate::shard::connection::{Connection, Subscription};
use crate::shard::following::{Ahead, Followee};
use crate::shard::serving::{Served, Step};
use crate::shard::walk::{StopReason, Written, write_blocks};
use crate::shard::wire::{ConnectionId, Wire};
use crate::tail::{Found, Tail, TailKey};
use crate::topics::Topics;

impl Connection {
    /// Something of a topic is read from the disk.
    fn follow_topic(&mut self, tail: Arc<Tail>) {
        let key = tail.key();
        if self.following.get(key).is_none() {
            let (whose, asker) = (Whose::Topic(tail), Asker::default());
            let (bare_from, merge, ahead) = (Offset(0), None, Ahead::Tail);
            self.following.insert(Followee { tail: key, whose, bare_from, merge, ahead, asker });
            self.charge_subscriptions();
        }
    }

    /// Of a topic whose cursor has reached the tail's end nothing more is read.
    fn forget_read(&mut self, subscription: &Subscription) {
        if !subscription.pattern && self.following.get(subscription.tail).is_some() {
            self.following.remove(subscription.tail.number);
            self.charge_subscriptions();
        }
    }
}

impl Audiences {
    /// Brings one lagging cursor nearer to its tail's end; at the end it becomes live.
    pub(super) fn catch_up(
        &mut self,
        now: Millis,
        id: ConnectionId,
        connection: &mut Connection,
        tail: TailKey,
        topics: &Topics,
        wire: &mut impl Wire,
    ) -> Step {
        let Some(subscription) = connection.subscription(tail).copied() else { return Step::Go(0) };
        let waits = connection.following.get(tail).map(|followee| &followee.ahead);
        match waits {
            Some(Ahead::Start(..) | Ahead::Asked(_)) => return Step::Go(0),
            Some(Ahead::Part(_)) => return self.serve_part(id, connection, &subscription, topics, wire),
            Some(Ahead::Tail) | None => {}
        }
        let cursor = self.entry(&subscription).cursor;
        let limits = topics.limits();
        if subscription.when_slow == WhenSlow::Latest {
            self.of(&subscription).tail.conflate(now, cursor, limits.write_bytes);
        }
        let found = self.of(&subscription).tail.read_after(now, cursor, limits.write_bytes);
        if let Some(step) = self.pass_over(connection, &subscription, &found, topics, id) {
            return step;
        }
        if found.blocks.is_empty() {
            self.make_live(&subscription);
            connection.forget_read(&subscription);
            if let Some(subscription) = connection.subscription_mut(tail) {
                subscription.caught_up = true;
            }
            return Step::Go(0);
        }
        if self.put_rest(connection, &subscription, &found.blocks) {
            connection.lagging.push_front(tail);
            return Step::Go(0);
        }
        let written = self.write(id, connection, &subscription, &found.blocks, topics, wire);
        if mutant::active(Mutant::ReplayToLiveRace) && written.stopped.is_none() {
            self.entry(&subscription).cursor = found.last;
            self.make_live(&subscription);
            return Step::Go(0);
        }
        connection.lagging.push_back(tail);
        self.wrote(connection, tail, written)
    }

    /// Where what was found does not begin right behind the cursor, that is told or asked for, or the reader is ended; `None`
    /// if it does.
    fn pass_over(
        &mut self,
        connection: &mut Connection,
        subscription: &Subscription,
        found: &Found,
        topics: &Topics,
        id: ConnectionId,
    ) -> Option<Step> {
        let cursor = self.entry(subscription).cursor;
        let behind = cursor < found.cached_from;
        let is_elsewhere = behind || found.is_away;
        // One that resumes from far back is not slow: it would be sent away again and again.
        let is_slow = subscription.caught_up
            && (found.behind_bytes > topics.limits().lag_bytes_max as u64
                || behind && found.cached_from != found.passed_by);
        match subscription.when_slow {
            WhenSlow::Disconnect if is_slow => return Some(Step::End(Served::Fault(Code::TooSlow))),
            WhenSlow::Gap if is_slow => {
                self.miss(connection, subscription, found.last, found.last, GapReason::TooSlow, topics);
            }
            _ if is_elsewhere => return Some(self.fall_behind(connection, subscription, found, topics, id)),
            _ if found.removals_gone > cursor.max(subscription.told_gone) => {
                let (lost, after) = (found.removals_gone, found.cached_from);
                self.miss(connection, subscription, lost, after, GapReason::Compacted, topics);
            }
            _ if cursor < found.begun_at => self.progress(connection, subscription, found.begun_at, topics),
            // What came there has expired, or was replaced: nobody is owed it any more.
            _ if found.blocks.is_empty() && found.last > cursor => {
                self.progress(connection, subscription, found.last, topics);
            }
            _ => return None,
        }
        connection.lagging.push_front(subscription.tail);
        Some(Step::Go(0))
    }

    /// The tail no longer has what comes after the cursor. A topic's is gone, or on the disk; a pattern's is with its topics.
    fn fall_behind(
        &mut self,
        connection: &mut Connection,
        subscription: &Subscription,
        found: &Found,
        topics: &Topics,
        id: ConnectionId,
    ) -> Step {
        let tail = subscription.tail;
        let gone = found.cached_from;
        if !subscription.pattern && self.entry(subscription).cursor < gone {
            let keeps_latest = self.of(subscription).tail.keeps_latest();
            let reason = if keeps_latest { GapReason::Compacted } else { GapReason::Retention };
            self.miss(connection, subscription, gone, gone, reason, topics);
            connection.lagging.push_front(tail);
            return Step::Go(0);
        }
        if mutant::active(Mutant::TailBehindNotRead) {
            self.progress(connection, subscription, found.cached_from, topics);
            connection.lagging.push_front(tail);
            return Step::Go(0);
        }
        self.ask_more(connection, subscription, topics, id);
        Step::Go(0)
    }

    /// Asks for what a pattern's topics hold after the cursor, or the disk has of a topic. The cursor waits meanwhile.
    fn ask_more(
        &mut self,
        connection: &mut Connection,
        subscription: &Subscription,
        topics: &Topics,
        id: ConnectionId,
    ) {
        let cursor = self.entry(subscription).cursor;
        let serial = connection.serials.give();
        let (generation, shard) = (connection.generation, self.shard() as u32);
        if !subscription.pattern {
            let tail = Arc::clone(&self.of(subscription).tail);
            connection.follow_topic(tail);
        }
        let Some(followee) = connection.following.get(subscription.tail) else { return };
        followee.ahead = Ahead::Asked(serial);
        let asker = Arc::clone(&followee.asker);
        let more = More {
            whose: followee.whose.clone(),
            log: subscription.tail.log,
            cursor,
            told: subscription.told_gone,
            bare_from: followee.bare_from,
            merge: followee.merge.take(),
        };
        let address = Address { shard, slot: id.0, generation, serial };
        // Never refused: a cursor asks once at a time.
        let _ = topics.read(address, &asker, &connection.account, Ask::More(more));
    }

    /// Tells what is lost, and writes what was read for a cursor; behind it, asks for more or goes on with the tail.
    fn serve_part(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        subscription: &Subscription,
        topics: &Topics,
        wire: &mut impl Wire,
    ) -> Step {
        let tail = subscription.tail;
        let cursor = self.entry(subscription).cursor;
        let Some(followee) = connection.following.get(tail) else { return Step::Go(0) };
        let Ahead::Part(mut part) = std::mem::replace(&mut followee.ahead, Ahead::Tail) else {
            return Step::Go(0);
        };
        if let Some(lost) = part.lost.take() {
            followee.ahead = Ahead::Part(part);
            if lost > cursor.max(subscription.told_gone) {
                // What a pattern's other topics have still follows.
                let after = if subscription.pattern { cursor } else { lost };
                self.miss(connection, subscription, lost, after, GapReason::Retention, topics);
            }
            connection.lagging.push_front(tail);
            return Step::Go(0);
        }
        part.pass(cursor);
        if self.put_rest(connection, subscription, &part.blocks) {
            part.pass(self.entry(subscription).cursor);
            if let Some(followee) = connection.following.get(tail) {
                followee.ahead = Ahead::Part(part);
            }
            connection.lagging.push_front(tail);
            return Step::Go(0);
        }
        if !part.blocks.is_empty() {
            let written = self.write(id, connection, subscription, &part.blocks, topics, wire);
            let half = match &written.stopped {
                Some(StopReason::Full(Some((block, _)))) => Some(block),
                Some(StopReason::Full(None) | StopReason::Behind | StopReason::Gone) | None => None,
            };
            // Now, since another cursor may fill the socket before this one's next turn.
            part.pass(self.entry(subscription).cursor);
            part.wait(half);
            if let Some(followee) = connection.following.get(tail) {
                followee.ahead = Ahead::Part(part);
            }
            connection.lagging.push_back(tail);
            return self.wrote(connection, tail, written);
        }
        if part.done {
            if part.upto > cursor {
                self.progress(connection, subscription, part.upto, topics);
            }
            connection.lagging.push_front(tail);
        } else {
            self.ask_more(connection, subscription, topics, id);
        }
        Step::Go(0)
    }

    /// If the first block begins before the cursor, and cannot be written as it is, has the rest of it told before all else.
    fn put_rest(
        &mut self,
        connection: &mut Connection,
        subscription: &Subscription,
        blocks: &[Arc<Block>],
    ) -> bool {
        let cursor = self.entry(subscription).cursor;
        let dialect = connection.dialect;
        let Some(first) = blocks.first().filter(|first| !dialect.can_be_told(first, cursor)) else {
            return false;
        };
        dialect.put_rest(first, &self.of(subscription).tail, cursor, &mut connection.outbox);
        self.entry(subscription).cursor = first.last;
        true
    }

    /// Writes some blocks, and moves the cursor behind those that are written whole.
    fn write(
        &mut self,
        id: ConnectionId,
        connection: &Connection,
        subscription: &Subscription,
        blocks: &[Arc<Block>],
        topics: &Topics,
        wire: &mut impl Wire,
    ) -> Written {
        let to = (id, connection.dialect);
        let tail = &self.of(subscription).tail;
        let written = write_blocks(to, tail, blocks, topics.limits().write_bytes, wire);
        topics.metrics().blocks_sent.add(written.blocks as u64);
        topics.metrics().bytes_sent.add(written.bytes as u64);
        let entry = self.entry(subscription);
        entry.cursor = written.cursor.unwrap_or(entry.cursor);
        written
    }

    /// What a write means for the connection.
    fn wrote(&mut self, connection: &mut Connection, tail: TailKey, written: Written) -> Step {
        match written.stopped {
            None => Step::Go(written.bytes),
            Some(StopReason::Full(half)) => {
                if let Some((block, at)) = half {
                    connection.stop_amid(block, at, tail);
                }
                self.park_all(connection);
                Step::End(Served::Full)
            }
            Some(StopReason::Behind | StopReason::Gone) => Step::End(Served::Gone),
        }
    }

    /// Nothing lies between the cursor and `upto`: goes on with the tail, whose next block may name a place up to
    /// there as the one before it.
    fn progress(
        &mut self,
        connection: &mut Connection,
        subscription: &Subscription,
        upto: Offset,
        topics: &Topics,
    ) {
        self.entry(subscription).cursor = upto;
        let tail = &self.of(subscription).tail;
        let progress = Progress { tail: tail.number, epoch: tail.epoch(), upto };
        let mut replies = Replies::new(connection.dialect);
        replies.put_about(tail.source.as_str(), &HubFrame::Progress(progress));
        replies.seal(&mut connection.outbox, topics.metrics());
    }

    /// Tells that messages up to `lost` are gone, and moves the cursor to `after`.
    fn miss(
        &mut self,
        connection: &mut Connection,
        subscription: &Subscription,
        lost: Offset,
        after: Offset,
        reason: GapReason,
        topics: &Topics,
    ) {
        let entry = self.entry(subscription);
        let cursor = entry.cursor;
        entry.cursor = after;
        let from = cursor.max(subscription.told_gone).next();
        if let Some(subscription) = connection.subscription_mut(subscription.tail) {
            subscription.told_gone = subscription.told_gone.max(lost);
        }
        if mutant::active(Mutant::GapNotTold) {
            return;
        }
        let tail = &self.of(subscription).tail;
        let gap = Some(Gap { epoch: tail.epoch(), from, to: lost, reason });
        let mut replies = Replies::new(connection.dialect);
        let missing = Missing { tail: tail.number, gap, after };
        replies.put_about(tail.source.as_str(), &HubFrame::Missing(missing));
        replies.seal(&mut connection.outbox, topics.metrics());
    }
}
