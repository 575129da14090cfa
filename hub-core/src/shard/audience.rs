//! The cursors of one shard on one tail, dense: all that a walk touches of a subscriber.

use std::sync::Arc;

use tidewire_protocol::number::Offset;

use crate::session::replies::Encoding;
use crate::shard::wire::ConnectionId;
use crate::tail::Tail;

/// The cursors on a tail.
#[derive(Debug)]
pub struct Audience {
    /// The tail.
    pub tail: Arc<Tail>,
    /// The cursors, in no order.
    pub entries: Vec<Entry>,
    /// No live cursor stands before this.
    pub low: Offset,
    /// Whether a walk is due.
    pub queued: bool,
}

/// A cursor. This is all that a walk touches of a subscriber.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Everything up to here is written.
    pub cursor: Offset,
    /// Whose it is.
    pub connection: ConnectionId,
    /// How its connection is spoken to.
    pub encoding: Encoding,
    /// Its connection serves it from its own list: it lags, or something else must be written first.
    pub parked: bool,
}
