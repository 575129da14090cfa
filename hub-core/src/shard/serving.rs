//! Serving one connection from its own list: what is half written, then answers, then what lags.

use std::sync::Arc;

use tidewire_protocol::code::{Code, GapReason, WhenSlow};
use tidewire_protocol::hub_frame::{HubFrame, Missing, Progress};
use tidewire_protocol::number::{Offset, TailNumber};
use tidewire_protocol::position::Gap;

use crate::clock::Millis;
use crate::mutant::{self, Mutant};
use crate::session::replies::Replies;
use crate::shard::audiences::Audiences;
use crate::shard::connection::{Connection, Half, HalfSource, Subscription};
use crate::shard::walk::{StopReason, write_blocks};
use crate::shard::wire::{ConnectionId, Sent, Wire};
use crate::tail::{Found, Source};
use crate::topics::Topics;

/// How a connection stands after it was served.
#[derive(Debug, PartialEq, Eq)]
pub enum Served {
    /// Nothing is left to write.
    Idle,
    /// There is more, and the socket takes more.
    More,
    /// The socket is full.
    Full,
    /// All is written and the connection is to be closed.
    Finished,
    /// It must be closed for this reason.
    Fault(Code),
    /// The socket failed.
    Gone,
}

/// What one step of serving came to.
enum Step {
    /// So many bytes were written, and there may be more.
    Go(usize),
    End(Served),
}

/// Serves a connection for a few sends, and for about as many bytes as one write may have.
pub fn serve(
    now: Millis,
    id: ConnectionId,
    connection: &mut Connection,
    audiences: &mut Audiences,
    topics: &Topics,
    wire: &mut impl Wire,
) -> Served {
    let (mut sends, mut bytes) = (0, 0);
    while sends < topics.limits().slice_sends && bytes < topics.limits().write_bytes {
        if !connection.writable {
            return Served::Full;
        }
        let step = if connection.half.is_some() {
            audiences.write_half(id, connection, topics, wire)
        } else if connection.closing.is_some() && !connection.subscriptions.is_empty() {
            // Nothing may follow the last words, and walks may still write for what is left.
            Step::End(Served::Idle)
        } else if !connection.outbox.is_empty() {
            let bytes = std::mem::take(&mut connection.outbox);
            connection.half = Some(Half { source: HalfSource::Own(bytes), at: 0 });
            // At once: a walk that comes in between could fill the socket and put its own half in this place.
            audiences.write_half(id, connection, topics, wire)
        } else if connection.closing.is_some() {
            Step::End(Served::Finished)
        } else if let Some(tail) = connection.lagging.pop_front() {
            audiences.catch_up(now, id, connection, tail, topics, wire)
        } else {
            Step::End(Served::Idle)
        };
        match step {
            Step::Go(written) => bytes += written,
            Step::End(served) => return served,
        }
        sends += 1;
    }
    Served::More
}

impl Audiences {
    /// Goes on with a half-written frame.
    fn write_half(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        topics: &Topics,
        wire: &mut impl Wire,
    ) -> Step {
        if mutant::active(Mutant::ForeignBytesInHalfBlock) && !connection.outbox.is_empty() {
            let bytes = std::mem::take(&mut connection.outbox);
            let _ = wire.send(id, &[&bytes]);
        }
        let rest = connection.half_rest().unwrap_or_default();
        let offered = rest.len();
        let taken = match wire.send(id, &[rest]) {
            Sent::Bytes(taken) => taken,
            Sent::Gone => return Step::End(Served::Gone),
        };
        topics.metrics().bytes_sent.add(taken as u64);
        if taken < offered {
            if let Some(half) = &mut connection.half {
                half.at += taken;
            }
            self.park_all(connection);
            return Step::End(Served::Full);
        }
        let half = connection.half.take();
        if connection.outbox.is_empty() {
            connection.page_bytes = 0;
        }
        if let Some(Half { source: HalfSource::Block(block, tail), .. }) = half {
            topics.metrics().blocks_sent.add(1);
            if let Some(subscription) = connection.subscription(tail) {
                self.entry(subscription).cursor = block.last;
            }
        }
        Step::Go(taken)
    }

    /// Brings one lagging cursor nearer to its tail's end; at the end it becomes live.
    fn catch_up(
        &mut self,
        now: Millis,
        id: ConnectionId,
        connection: &mut Connection,
        tail: TailNumber,
        topics: &Topics,
        wire: &mut impl Wire,
    ) -> Step {
        let Some(subscription) = connection.subscription(tail).copied() else { return Step::Go(0) };
        let cursor = self.entry(&subscription).cursor;
        let limits = topics.limits();
        let audience = self.of(&subscription);
        let mut found = audience.tail.read_after(now, cursor, limits.write_bytes);
        if cursor < found.gone {
            match self.behind_the_tail(now, connection, &subscription, &found, topics) {
                Some(merged) => found = merged,
                None => {
                    connection.lagging.push_front(tail);
                    return Step::Go(0);
                }
            }
        } else if subscription.caught_up && found.behind_bytes > limits.lag_bytes_max {
            // One that resumes from far back is not slow: it would be sent away again and again.
            match subscription.when_slow {
                WhenSlow::Disconnect => return Step::End(Served::Fault(Code::TooSlow)),
                WhenSlow::Gap => {
                    self.miss(connection, &subscription, found.last, found.last, GapReason::TooSlow, topics);
                    connection.lagging.push_front(tail);
                    return Step::Go(0);
                }
                WhenSlow::CatchUp | WhenSlow::Latest | WhenSlow::Unknown => {}
            }
        }
        if found.blocks.is_empty() {
            self.make_live(&subscription);
            if let Some(subscription) = connection.subscription_mut(tail) {
                subscription.caught_up = true;
            }
            return Step::Go(0);
        }
        let written = write_blocks(id, connection.dialect, &found.blocks, limits.write_bytes, wire);
        topics.metrics().blocks_sent.add(written.blocks as u64);
        topics.metrics().bytes_sent.add(written.bytes as u64);
        let entry = self.entry(&subscription);
        entry.cursor = written.cursor.unwrap_or(entry.cursor);
        if mutant::active(Mutant::ReplayToLiveRace) && written.stopped.is_none() {
            entry.cursor = found.last;
            self.make_live(&subscription);
            return Step::Go(0);
        }
        connection.lagging.push_back(tail);
        match written.stopped {
            None => Step::Go(written.bytes),
            Some(StopReason::Full(half)) => {
                connection.half = half.map(|(block, at)| Half { source: HalfSource::Block(block, tail), at });
                self.park_all(connection);
                Step::End(Served::Full)
            }
            Some(StopReason::Behind | StopReason::Gone) => Step::End(Served::Gone),
        }
    }

    /// The tail no longer has what comes after the cursor. A topic's is gone; a pattern's is merged from its
    /// topics. `None` if the cursor was moved and has to look again.
    fn behind_the_tail(
        &mut self,
        now: Millis,
        connection: &mut Connection,
        subscription: &Subscription,
        found: &Found,
        topics: &Topics,
    ) -> Option<Found> {
        let audience = self.of(subscription);
        let cursor = audience.entries[subscription.entry as usize].cursor;
        let Source::Pattern(pattern) = audience.tail.source.clone() else {
            self.miss(connection, subscription, found.gone, found.gone, GapReason::Retention, topics);
            return None;
        };
        let merged = topics.merge(now, &pattern, subscription.tail, cursor, topics.limits().page_bytes_max);
        if merged.gone > cursor.max(subscription.told_gone) {
            self.miss(connection, subscription, merged.gone, cursor, GapReason::Retention, topics);
            return None;
        }
        let Some(block) = merged.block else {
            self.progress(connection, subscription, merged.upto.max(cursor), topics);
            return None;
        };
        let behind_bytes = block.size();
        Some(Found { blocks: vec![Arc::new(block)], gone: cursor, last: found.last, behind_bytes })
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
        let mut replies = Replies::new(connection.dialect);
        replies.put(&HubFrame::Progress(Progress { tail: subscription.tail, epoch: topics.epoch(), upto }));
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
        if let Some(subscription) = connection.subscription_mut(subscription.tail) {
            subscription.told_gone = lost;
        }
        if mutant::active(Mutant::GapNotTold) {
            return;
        }
        let from = Offset(cursor.max(subscription.told_gone).0 + 1);
        let gap = Some(Gap { epoch: topics.epoch(), from, to: lost, reason });
        let mut replies = Replies::new(connection.dialect);
        replies.put(&HubFrame::Missing(Missing { tail: subscription.tail, gap, after }));
        replies.seal(&mut connection.outbox, topics.metrics());
    }
}
