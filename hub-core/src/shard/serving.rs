//! Serving one connection from its own list: what is half written, then answers, then where that brought it if it wants to be
//! told so, then what lags.

use tidewire_protocol::code::Code;

use crate::chunk;
use crate::clock::Millis;
use crate::mutant::{self, Mutant};
use crate::shard::audiences::Audiences;
use crate::shard::connection::{Connection, Half, HalfSource};
use crate::shard::wire::{ConnectionId, Sent, Wire};
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
pub(super) enum Step {
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
        } else if !connection.outbox.is_empty() {
            let bytes = std::mem::take(&mut connection.outbox);
            connection.half = Some(Half { source: HalfSource::Own(bytes), at: 0 });
            // At once: a walk that comes in between could fill the socket and put its own half in this place.
            audiences.write_half(id, connection, topics, wire)
        } else if connection.closing.is_none() && audiences.tell_places(connection) {
            Step::Go(0)
        } else if connection.closing.is_some() {
            Step::End(Served::Finished)
        } else if connection.places.is_some() && connection.following.are_starting() {
            // Nothing goes before the first id: who is cut off there starts anew.
            Step::End(Served::Idle)
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
    /// Tells a connection its places in one, for all that is written to it so far, unless it knows them.
    fn tell_places(&mut self, connection: &mut Connection) -> bool {
        let Some(mut places) = connection.places.take_if(|_| !connection.following.are_starting()) else {
            return false;
        };
        places.renew(|tail| {
            let subscription = connection.subscription(tail)?;
            let cursor = self.entry(subscription).cursor;
            if mutant::active(Mutant::IdAheadOfReader) {
                return Some(self.of(subscription).tail.take_after(cursor, &mut Vec::new()));
            }
            Some(cursor)
        });
        let mut id = Vec::new();
        let tells = places.tell(&mut id);
        chunk::put(&id, &mut connection.outbox);
        connection.places = Some(places);
        tells
    }

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
        if let Some(Half { source: HalfSource::Block(pin, tail), .. }) = half {
            topics.metrics().blocks_sent.add(1);
            if let Some(subscription) = connection.subscription(tail) {
                self.entry(subscription).cursor = pin.block().last;
            }
        }
        Step::Go(taken)
    }
}
