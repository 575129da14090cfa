//! The cursors of one shard on one tail, dense: all that a walk touches of a subscriber.

use std::sync::Arc;

use tidewire_protocol::number::Offset;

use crate::dialect::Dialect;
use crate::shard::walk::Walk;
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
    /// Whether it waits for a slice of a walk.
    pub queued: bool,
    /// Whether it needs another walk after the one under way.
    pub again: bool,
    /// The walk under way.
    pub walk: Option<Box<Walk>>,
}

/// A cursor. This is all that a walk touches of a subscriber.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Everything up to here is written.
    pub cursor: Offset,
    /// Whose it is.
    pub connection: ConnectionId,
    /// How its connection is spoken to.
    pub dialect: Dialect,
    /// Its connection serves it from its own list: it lags, or something else must be written first.
    pub parked: bool,
}

impl Audience {
    /// Nobody yet.
    #[must_use]
    pub fn new(tail: &Arc<Tail>) -> Self {
        Self {
            tail: Arc::clone(tail),
            entries: Vec::new(),
            low: Offset(0),
            queued: false,
            again: false,
            walk: None,
        }
    }
}
