//! What the client asks of the shell, and what it tells the application.

use alloc::vec::Vec;

#[cfg(doc)]
use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::code::{Code, Content, Durability, Outcome};
use tidewire_protocol::number::{Epoch, Offset, Request, Seq, Tag};
#[cfg(doc)]
use tidewire_protocol::position::Start;
use tidewire_protocol::position::{Gap, Position};

use crate::fault::Fault;
use crate::options::PartyId;

/// One thing for the shell to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a WebSocket to the hub; answer with `LinkOpened` or `LinkClosed`.
    OpenLink,
    /// Close the link, whether open or still opening, and report nothing more of it.
    CloseLink {
        /// The WebSocket close code to give.
        code: u16,
    },
    /// Ask the application for a token; answer with `set_token` or `token_failed`.
    NeedToken {
        /// Why.
        reason: TokenReason,
        /// Milliseconds until it comes too late.
        within_ms: u64,
    },
    /// Send one binary WebSocket message.
    Send(Packet),
    /// Tell the application.
    Event(Event),
}

/// Why a token is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TokenReason {
    /// There is none yet.
    SignIn,
    /// The hub refused the last one.
    Refused,
    /// The last one ends soon. Until then the connection goes on.
    Expires,
}

/// A WebSocket message with places where the shell inserts payloads, which it keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packet {
    /// Everything but the payloads.
    pub bytes: Vec<u8>,
    /// The payloads, front to back.
    pub payloads: Vec<Splice>,
}

/// A payload's place in a [`Packet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Splice {
    /// How many of the packet's own bytes come before it.
    pub at: u32,
    /// Who publishes it.
    pub party: PartyId,
    /// Whose payload.
    pub id: PublishId,
    /// The seq that it goes out under, from now on for good.
    pub seq: Seq,
}

/// Number of a publish: never used twice by a party, each higher than those before. The shell's own, or counted from 1.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublishId(pub u64);

/// Number of a listener or a question, never used twice by one client, increasing from 1 with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u32);

/// Number of somebody who sends updates to some topic: the shell's own. Of updates of number 0, which are nobody's, no
/// `Settled` tells; that the hub refuses their topic is told all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SenderId(pub u32);

/// What becomes of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fate {
    /// It was dropped.
    Dropped = 0,
    /// It went.
    Gone = 1,
    /// It waits.
    Waits = 2,
}

/// A stretch of the bytes given with the last `Received`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Bytes.
    pub len: u32,
}

/// How the client stands to its hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// A link is being opened, or signed in on.
    Connecting,
    /// Signed in.
    Online,
    /// No link.
    Offline {
        /// Why; none before the first try.
        fault: Option<Fault>,
        /// Milliseconds until the next try; none while suspended.
        retry_in_ms: Option<u64>,
    },
    /// For good. With a fault it is fatal: what waited in the outbox has failed, and all listeners have ended.
    Closed {
        /// Why; none if the application closed it.
        fault: Option<Fault>,
    },
}

/// Something the application hears of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The standing to the hub changed.
    Status(Status),
    /// A listener has its place; told once per listener, before its first message.
    Ready {
        /// Which.
        listener: ListenerId,
        /// What it got.
        outcome: Outcome,
        /// Its messages come after these places, one per log.
        positions: Vec<Position>,
        /// What is missing, if something is.
        gap: Option<Gap>,
    },
    /// A listener or a question ends, for this reason.
    Refused {
        /// Which.
        listener: ListenerId,
        /// Why.
        fault: Fault,
    },
    /// A message for a listener.
    Message(Message),
    /// Messages are gone for a listener; its next one comes after them.
    Gap {
        /// Which.
        listener: ListenerId,
        /// What is gone.
        gap: Gap,
    },
    /// A listener has been given all that there was for it when [`crate::client::Client::catch_up`] was called, or when it
    /// began anew after that.
    CaughtUp {
        /// Which.
        listener: ListenerId,
    },
    /// An answer from history is whole: its messages came before this, under the number that the question got.
    Page {
        /// Which.
        listener: ListenerId,
        /// It reaches up to these places, one per log; the next one starts after them.
        positions: Vec<Position>,
        /// Below these places lies what comes before it: what [`Start::Before`] takes.
        previous: Vec<Position>,
        /// What is missing before the first message, if something is.
        gap: Option<Gap>,
        /// Whether there was more to read: before it if it was asked for below a place, else behind it.
        more: bool,
    },
    /// A publish is done. Its payload is not needed any more.
    Published(Published),
    /// A publish has failed. Its payload is not needed any more.
    Failed {
        /// Whose.
        party: PartyId,
        /// Which.
        id: PublishId,
        /// Why.
        fault: Fault,
        /// Whether publishing the same again can help.
        retryable: bool,
        /// Where a condition failed, the place of its key's latest message; none if the key has no value.
        current: Option<Position>,
    },
    /// The hub will not have a party, or not any longer. What it had published and has no outcome has failed.
    Detached {
        /// Which.
        party: PartyId,
        /// Why.
        fault: Fault,
    },
    /// What the hub says of a code, in words for people. What comes of it is told after this.
    Said {
        /// The code.
        code: Code,
        /// The words, UTF-8 if the hub is right.
        text: Span,
    },
    /// An update that waited has gone, or was dropped.
    Settled {
        /// Whose.
        sender: SenderId,
        /// Whether it was dropped.
        dropped: bool,
    },
    /// The hub refuses a topic for updates. They are dropped from now on, for a while.
    Unsendable {
        /// Who sent there first on this link, or again after a refusal.
        sender: SenderId,
        /// Why.
        fault: Fault,
    },
    /// The hub has answered a [`crate::client::Client::ping`].
    Echoed {
        /// Its number.
        request: Request,
    },
    /// The hub ends the connection.
    Goodbye {
        /// Why.
        code: Code,
        /// Milliseconds it asks the client to stay away; 0 for the client's own choice.
        reconnect_after_ms: u64,
    },
}

/// A publish that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Whose.
    pub party: PartyId,
    /// Which.
    pub id: PublishId,
    /// Identity of the log that has it.
    pub epoch: Epoch,
    /// Where in the log.
    pub offset: Offset,
    /// An earlier try had stored it.
    pub duplicate: bool,
    /// It may be stored twice: once in what the hub no longer knows.
    pub maybe_duplicate: bool,
    /// What holds.
    pub durability: Durability,
}

/// A message for one listener. Its texts and payload are spans of the bytes last received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// For whom.
    pub listener: ListenerId,
    /// Position in the log.
    pub offset: Offset,
    /// Identity of the log.
    pub epoch: Epoch,
    /// The log's clock when it was appended, milliseconds since 1970.
    pub published_at_ms: u64,
    /// What the payload is.
    pub content: Content,
    /// The publisher may have stored it before, in a log that no longer knows.
    pub maybe_duplicate: bool,
    /// Mark of the participant that published it; 0 for none.
    pub tag: Tag,
    /// Who published it, where the topic's rule has the hub say so; else empty.
    pub sender: Span,
    /// Its topic, for a pattern; else empty.
    pub topic: Span,
    /// What it has besides, as [`Attributes::take`] reads it; mostly empty.
    pub ext: Span,
    /// The bytes.
    pub payload: Span,
}

impl Span {
    /// The stretch itself.
    #[must_use]
    pub fn of(self, received: &[u8]) -> &[u8] {
        let start = self.start as usize;
        received.get(start..start + self.len as usize).unwrap_or_default()
    }
}
