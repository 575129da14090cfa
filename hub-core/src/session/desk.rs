//! What a session works with while it handles a frame, and what it asks of its shard.

use std::sync::Arc;

use tidewire_protocol::code::WhenSlow;
use tidewire_protocol::name::Selector;
use tidewire_protocol::number::{Request, TailNumber};
use tidewire_protocol::position::Start;

use crate::access::Granted;
use crate::ledger::Account;
use crate::letter::{Address, Serials};
use crate::names::producers::Arrival;
use crate::session::gathered::Gathered;
use crate::session::replies::Replies;
use crate::topics::Topics;

/// What a session works with while it handles a frame.
#[derive(Debug)]
pub struct Desk<'a> {
    /// The hub's topics.
    pub topics: &'a Topics,
    /// Where answers go.
    pub replies: &'a mut Replies,
    /// Where publishes go.
    pub gathered: &'a mut Gathered,
    /// The connection, as what comes late finds it. Each that waits for something fills in a serial.
    pub address: Address,
    /// When it came.
    pub arrival: Arrival,
    /// Where it gets a serial.
    pub serials: &'a mut Serials,
    /// Who answers for the memory that is taken.
    pub account: &'a Arc<Account>,
    /// Bytes of answers that the client has not read yet.
    pub unread_bytes: usize,
    /// Subscriptions now.
    pub subscriptions: usize,
    /// How many of them are patterns.
    pub patterns: usize,
}

/// What a frame asks of the shard.
#[derive(Debug, PartialEq, Eq)]
pub enum Demand {
    /// Nothing more.
    Nothing,
    /// A cursor on a topic or pattern.
    Subscribe {
        /// Number of the question.
        request: Request,
        /// On what.
        selector: Granted<Selector>,
        /// From where.
        start: Start,
        /// What to do when it falls behind.
        when_slow: WhenSlow,
    },
    /// The end of a cursor.
    Unsubscribe {
        /// Number of the question.
        request: Request,
        /// Which.
        tail: TailNumber,
    },
}
