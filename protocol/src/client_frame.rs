//! What a client may say.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::attributes::Attributes;
use crate::binary::{self, BadFrame, frame};
use crate::code::{Content, Durability, WhenSlow};
use crate::number::{Handle, Incarnation, Offset, Participant, ProducerId, Request, Seq, Tag, TailNumber};
use crate::position::{Position, Start};

mod publishing;

/// A frame from client to hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame<'a> {
    /// Signs in; the first frame of a connection.
    Hello(Hello<'a>),
    /// Brings one more participant.
    Attach(Attach),
    /// Takes a participant away.
    Detach(Detach),
    /// Gives a (participant, topic) a handle to publish with.
    Open(Open<'a>),
    /// Publishes a message.
    Publish(Publish<'a>),
    /// Gives a handle back.
    Shut(Shut),
    /// Asks for a topic or pattern from some place on.
    Subscribe(Subscribe<'a>),
    /// Ends a subscription.
    Unsubscribe(Unsubscribe),
    /// Asks for one page of history.
    History(History<'a>),
    /// Says "I live"; the answer to the hub's heartbeat, or a question of its own.
    Heartbeat(Heartbeat),
    /// Publishes an update that may be lost.
    Send(Send<'a>),
    /// Signs in again, before a token ends.
    SignIn(SignIn<'a>),
    /// Makes one of the publishes that follow: all or none.
    Batch(Batch),
}

frame! {
    /// Signs in and attaches participant 0. Must come first, within the hub's sign-in time.
    Hello<'a> = 1 {
        /// Participant 0's secret publisher identity.
        1 producer: ProducerId,
        /// Participant 0's incarnation.
        2 incarnation: Incarnation,
        /// Proof of who signs in; empty for anonymous.
        3 token: Cow<'a, str>,
        /// Name and version of the client, for the hub's operator.
        4 agent: Cow<'a, str>,
    }
}

frame! {
    /// Attaches one more participant to the connection.
    Attach = 2 {
        /// The client's number for it; not 0, not in use.
        1 participant: Participant,
        /// Its secret publisher identity.
        2 producer: ProducerId,
        /// Its incarnation.
        3 incarnation: Incarnation,
    }
}

frame! {
    /// Detaches a participant; its handles are gone with it.
    Detach = 3 {
        /// Which.
        1 participant: Participant,
    }
}

frame! {
    /// Opens (producer, topic) for publishing under a handle, with the lowest unacknowledged seq.
    Open<'a> = 4 {
        /// The client's number for it, not in use on this connection.
        1 handle: Handle,
        /// Who publishes.
        2 participant: Participant,
        /// Where to.
        #[cfg_attr(feature = "json", serde(deserialize_with = "crate::name::as_text::deserialize"))]
        3 topic: Cow<'a, str>,
        /// Lowest seq that is not acknowledged, or the next one if all are.
        4 lowest: Seq,
        /// The handle is for `send` alone: no window, no seq, and no answer unless it is refused.
        5 unacknowledged: bool,
        /// The participant has had the topic open before, in this incarnation.
        6 again: bool,
    }
}

/// Publishes one message. On the wire: kind 5, these fields in order, `payload` last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Publish<'a> {
    /// (1) The opened handle.
    pub handle: Handle,
    /// (2) Its seq: one more than the last.
    pub seq: Seq,
    /// (3) Lowest seq that is not acknowledged; 0 if it has not changed since it was last told.
    pub lowest: Seq,
    /// (4) What the payload is.
    pub content: Content,
    /// (5) The message was sent before, to a hub that may or may not have stored it and no longer knows.
    pub maybe_duplicate: bool,
    /// (6) Consumes the seq and publishes nothing: how a message that may have been sent is withdrawn.
    pub void: bool,
    /// (7) The message.
    pub payload: Cow<'a, [u8]>,
    /// (16) Tag that the message bears, of a participant on this connection; 0 for that of the handle's.
    pub tag: Tag,
    /// (17) Of a void: so many seqs from `seq` on are used up; 0 means one.
    pub count: u64,
    /// What the message has besides its payload.
    pub attributes: Attributes<'a>,
    /// When it is published, and when it is acknowledged.
    pub terms: Terms,
}

/// On which terms a message is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// (12) Only if this is the place of its key's latest message.
    pub if_version: Option<Position>,
    /// (13) Only if its key has no value.
    pub if_absent: bool,
    /// (14) Acknowledge it once this holds, if that is less than the topic's rule says; `None` for what that says.
    pub durability: Option<Durability>,
}

/// [`Terms`] on which no message may be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadTerms {
    /// A condition, and no key that it is about.
    WithoutKey,
    /// Two conditions of which never both hold.
    Both,
}

/// Publishes one message that may be lost. On the wire: kind 22, these fields in order, `payload` last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Send<'a> {
    /// (1) A handle opened for this.
    pub handle: Handle,
    /// (2) What the payload is.
    pub content: Content,
    /// (3) Milliseconds that it is worth anything from now on; 0 for no bound.
    pub expires_ms: u64,
    /// (4) The message.
    pub payload: Cow<'a, [u8]>,
    /// What it has besides its payload.
    pub attributes: Attributes<'a>,
}

frame! {
    /// Gives a handle back.
    Shut = 6 {
        /// Which.
        1 handle: Handle,
    }
}

frame! {
    /// Asks for a topic, or all topics that match a pattern.
    Subscribe<'a> = 7 {
        /// Number of the question.
        1 request: Request,
        /// Topic name or pattern.
        #[cfg_attr(feature = "json", serde(deserialize_with = "crate::name::as_text::deserialize"))]
        2 name: Cow<'a, str>,
        /// Where to start.
        3 from: Start,
        /// What to do when this subscriber cannot keep up.
        4 when_slow: WhenSlow,
    }
}

frame! {
    /// Ends a subscription. Blocks may still arrive until `unsubscribed`.
    Unsubscribe = 8 {
        /// Number of the question.
        1 request: Request,
        /// Which.
        2 tail: TailNumber,
    }
}

frame! {
    /// Asks for one page of history, also where only the position is wanted (`from` latest).
    History<'a> = 9 {
        /// Number of the question.
        1 request: Request,
        /// Topic name or pattern.
        #[cfg_attr(feature = "json", serde(deserialize_with = "crate::name::as_text::deserialize"))]
        2 name: Cow<'a, str>,
        /// Where to start.
        3 from: Start,
        /// Bytes of messages wanted; the hub may send fewer, at least one message if there is one. 0 means as many as the hub allows.
        #[cfg_attr(feature = "json", serde(deserialize_with = "crate::number::within_range"))]
        4 bytes_max: u64,
        /// Tell of removals that were forgotten behind this offset and behind where the page starts: what `subscribed` or the last
        /// page said, 1 if neither said anything; 0 to be told of none. For a topic that keeps the latest of each key.
        5 removals: Offset,
        /// Messages wanted at most; 0 means as many as fit. A hub that does not know it may send more.
        #[cfg_attr(feature = "json", serde(deserialize_with = "crate::number::within_range"))]
        6 messages_max: u64,
    }
}

frame! {
    /// "I live."
    Heartbeat = 10 {
        /// Not 0 if an answer is wanted at once.
        1 request: Request,
    }
}

frame! {
    /// Signs in again with a new token, on a connection that is signed in.
    SignIn<'a> = 23 {
        /// Number of the question.
        1 request: Request,
        /// Proof of who signs in; the same subject as before.
        2 token: Cow<'a, str>,
    }
}

frame! {
    /// The next `count` frames, of the same WebSocket message, are publishes of which the hub takes all or none.
    Batch = 11 {
        /// How many.
        #[cfg_attr(feature = "json", serde(deserialize_with = "crate::number::within_range"))]
        1 count: u64,
    }
}

impl Batch {
    /// Publishes that one batch may have.
    pub const COUNT_MAX: u64 = 1_000;
}

impl<'a> ClientFrame<'a> {
    /// Appends the frame in the binary encoding.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello(frame) => frame.put(out),
            Self::Attach(frame) => frame.put(out),
            Self::Detach(frame) => frame.put(out),
            Self::Open(frame) => frame.put(out),
            Self::Publish(frame) => frame.put(out),
            Self::Shut(frame) => frame.put(out),
            Self::Subscribe(frame) => frame.put(out),
            Self::Unsubscribe(frame) => frame.put(out),
            Self::History(frame) => frame.put(out),
            Self::Heartbeat(frame) => frame.put(out),
            Self::Send(frame) => frame.put(out),
            Self::SignIn(frame) => frame.put(out),
            Self::Batch(frame) => frame.put(out),
        }
    }

    /// Takes one frame from the front of a message; `Ok(None)` for a kind that this version does not know.
    ///
    /// # Errors
    /// [`BadFrame`] if it is cut short or a field is of the wrong kind.
    pub fn take(message: &mut &'a [u8]) -> Result<Option<Self>, BadFrame> {
        let (kind, body) = binary::take(message)?;
        Ok(Some(match kind {
            Hello::KIND => Self::Hello(Hello::take(body)?),
            Attach::KIND => Self::Attach(Attach::take(body)?),
            Detach::KIND => Self::Detach(Detach::take(body)?),
            Open::KIND => Self::Open(Open::take(body)?),
            Publish::KIND => Self::Publish(Publish::take(body)?),
            Shut::KIND => Self::Shut(Shut::take(body)?),
            Subscribe::KIND => Self::Subscribe(Subscribe::take(body)?),
            Unsubscribe::KIND => Self::Unsubscribe(Unsubscribe::take(body)?),
            History::KIND => Self::History(History::take(body)?),
            Heartbeat::KIND => Self::Heartbeat(Heartbeat::take(body)?),
            Send::KIND => Self::Send(Send::take(body)?),
            SignIn::KIND => Self::SignIn(SignIn::take(body)?),
            Batch::KIND => Self::Batch(Batch::take(body)?),
            _ => return Ok(None),
        }))
    }
}
