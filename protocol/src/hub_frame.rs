//! What the hub may say.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::binary::{self, BadFrame, frame};
use crate::block::Block;
use crate::code::{Code, Durability, Outcome};
use crate::number::{Epoch, Handle, Offset, Participant, Request, Seq, Tag, TailNumber};
use crate::position::{Gap, Position};

/// A frame from hub to client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubFrame<'a> {
    /// Signed in.
    Welcome(Welcome<'a>),
    /// A participant is attached.
    Attached(Attached),
    /// A participant is gone.
    Detached(Detached<'a>),
    /// A handle can be used.
    Opened(Opened),
    /// Publishes are done.
    Acked(Acked),
    /// A publish, or an `open`, was refused.
    Refused(Refused<'a>),
    /// A subscription begins.
    Subscribed(Subscribed),
    /// A subscription has ended.
    Unsubscribed(Unsubscribed<'a>),
    /// Messages of a subscription are gone.
    Missing(Missing),
    /// A cursor moves on past messages that were not for this subscriber.
    Progress(Progress),
    /// One page of history.
    Page(Page<'a>),
    /// "I live."
    Heartbeat(Heartbeat),
    /// A question was refused.
    Failed(Failed<'a>),
    /// The connection is about to end.
    Goodbye(Goodbye<'a>),
    /// Signed in again.
    SignedIn(SignedIn<'a>),
    /// Messages.
    Block(Block<'a>),
}

frame! {
    /// Signed in: what the client must know of the hub.
    Welcome<'a> = 64 {
        /// Participant 0's public tag.
        1 tag: Tag,
        /// Milliseconds between heartbeats; a client that hears nothing for twice as long should reconnect.
        2 heartbeat_ms: u64,
        /// Bytes a message may have.
        3 message_bytes_max: u64,
        /// Publishes that may be unacknowledged per handle.
        4 in_flight_max: u64,
        /// Who signed in, by the hub's word; empty for anonymous.
        5 subject: Cow<'a, str>,
        /// Name and version of the hub.
        6 agent: Cow<'a, str>,
        /// Bit set of what this hub can do beyond the base; see "Features" in the protocol's text.
        7 features: u64,
        /// Bytes a WebSocket message to the hub may have; 0 if it does not say.
        8 frame_bytes_max: u64,
        /// Milliseconds from now until the token ends; 0 if it does not.
        9 expires_ms: u64,
    }
}

frame! {
    /// A participant is attached.
    Attached = 65 {
        /// Which.
        1 participant: Participant,
        /// Its public tag.
        2 tag: Tag,
    }
}

frame! {
    /// A participant is gone: asked for, refused, or fenced by a newer incarnation.
    Detached<'a> = 66 {
        /// Which.
        1 participant: Participant,
        /// Why; absent if it was asked for.
        2 code: Code,
        /// For people.
        3 message: Cow<'a, str>,
    }
}

frame! {
    /// A handle can be used.
    Opened = 67 {
        /// Which.
        1 handle: Handle,
        /// The hub knew nothing of this (producer, topic): what was sent before may be stored twice if sent again.
        2 window_new: bool,
        /// The seq that the hub takes next. All below are answered.
        3 next: Seq,
    }
}

frame! {
    /// `count` publishes from `seq` on are done, at consecutive offsets from `offset` on.
    Acked = 68 {
        /// On which handle.
        1 handle: Handle,
        /// The first.
        2 seq: Seq,
        /// How many.
        3 count: u64,
        /// Identity of the log.
        4 epoch: Epoch,
        /// The first one's offset; 0 for voids.
        5 offset: Offset,
        /// What holds.
        6 durability: Durability,
        /// These had been stored by an earlier try.
        7 duplicate: bool,
    }
}

frame! {
    /// `count` publishes from `seq` on, or with seq 0 the handle itself, were refused.
    Refused<'a> = 69 {
        /// On which handle.
        1 handle: Handle,
        /// The first; 0 if `open` was refused.
        2 seq: Seq,
        /// How many.
        3 count: u64,
        /// Why.
        4 code: Code,
        /// Whether the seqs are used up. If not, send them again, in order.
        5 consumed: bool,
        /// Milliseconds to wait before trying again.
        6 retry_after_ms: u64,
        /// For people.
        7 message: Cow<'a, str>,
        /// Where a condition failed, the place of the key's latest message; absent if it has no value.
        8 current: Option<Position>,
    }
}

frame! {
    /// A subscription begins. Blocks of `tail` follow.
    Subscribed = 70 {
        /// Number of the question.
        1 request: Request,
        /// The number that blocks of this subscription carry.
        2 tail: TailNumber,
        /// What the subscriber got.
        3 outcome: Outcome,
        /// Delivery starts after these places; messages at or below them are to be dropped.
        4 positions: Vec<Position>,
        /// What is missing, if something is.
        5 gap: Option<Gap>,
        /// Of a topic that keeps the latest of each key: what to say in a `history` that reads on behind these places.
        6 removals: Offset,
    }
}

frame! {
    /// A subscription has ended: asked for, or by the hub.
    Unsubscribed<'a> = 71 {
        /// Number of the question; 0 if none was asked.
        1 request: Request,
        /// Which.
        2 tail: TailNumber,
        /// Why; absent if it was asked for.
        3 code: Code,
        /// For people.
        4 message: Cow<'a, str>,
        /// Whether subscribing again can help.
        5 retryable: bool,
    }
}

frame! {
    /// Messages of a running subscription are gone; delivery goes on after the gap.
    Missing = 72 {
        /// Of which subscription.
        1 tail: TailNumber,
        /// What is missing.
        2 gap: Option<Gap>,
        /// The new cursor, in the gap's epoch: delivery goes on after it.
        3 after: Offset,
    }
}

frame! {
    /// Nothing up to `upto` is owed to this subscriber; its cursor moves there.
    Progress = 73 {
        /// Of which subscription.
        1 tail: TailNumber,
        /// Identity of the log.
        2 epoch: Epoch,
        /// The new cursor.
        3 upto: Offset,
    }
}

frame! {
    /// One page of history: everything kept between `after` and `upto`, in order.
    Page<'a> = 74 {
        /// Number of the question.
        1 request: Request,
        /// Whether asking again from `upto` would have given more when this page was read.
        2 more: bool,
        /// The page starts after these places; messages at or below them are to be dropped.
        3 after: Vec<Position>,
        /// The page is complete up to these places.
        4 upto: Vec<Position>,
        /// What is missing before the first message, if something is.
        5 gap: Option<Gap>,
        /// Bodies of block frames, each behind its length (varint); their tail number means nothing here. In JSON an array of `block` objects.
        6 blocks: Cow<'a, [u8]>,
        /// Of a topic that keeps the latest of each key, where the question has `removals`: what to say there next.
        7 removals: Offset,
    }
}

frame! {
    /// "I live."
    Heartbeat = 75 {
        /// The client's number, if it asked.
        1 request: Request,
    }
}

frame! {
    /// A question was refused.
    Failed<'a> = 76 {
        /// Number of the question.
        1 request: Request,
        /// Why.
        2 code: Code,
        /// Milliseconds to wait before trying again.
        3 retry_after_ms: u64,
        /// For people.
        4 message: Cow<'a, str>,
        /// Whether asking again can help.
        5 retryable: bool,
    }
}

frame! {
    /// The connection is about to end; the WebSocket close code says the same.
    Goodbye<'a> = 77 {
        /// Why.
        1 code: Code,
        /// Milliseconds to wait before reconnecting; the hub spreads its clients with it. 0 means the client's own choice.
        2 reconnect_after_ms: u64,
        /// For people.
        3 message: Cow<'a, str>,
    }
}

frame! {
    /// Signed in again; the connection goes on as the same subject.
    SignedIn<'a> = 81 {
        /// Number of the question.
        1 request: Request,
        /// Who signed in, by the hub's word.
        2 subject: Cow<'a, str>,
        /// Milliseconds from now until the token ends; 0 if it does not.
        3 expires_ms: u64,
    }
}

impl Welcome<'_> {
    /// Number of the field `subject`.
    pub const SUBJECT: u64 = 5;
}

impl HubFrame<'_> {
    /// Appends the frame in the binary encoding.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Welcome(frame) => frame.put(out),
            Self::Attached(frame) => frame.put(out),
            Self::Detached(frame) => frame.put(out),
            Self::Opened(frame) => frame.put(out),
            Self::Acked(frame) => frame.put(out),
            Self::Refused(frame) => frame.put(out),
            Self::Subscribed(frame) => frame.put(out),
            Self::Unsubscribed(frame) => frame.put(out),
            Self::Missing(frame) => frame.put(out),
            Self::Progress(frame) => frame.put(out),
            Self::Page(frame) => frame.put(out),
            Self::Heartbeat(frame) => frame.put(out),
            Self::Failed(frame) => frame.put(out),
            Self::Goodbye(frame) => frame.put(out),
            Self::SignedIn(frame) => frame.put(out),
            Self::Block(block) => block.put(out),
        }
    }
}

impl<'a> HubFrame<'a> {
    /// Takes one frame from the front of a message; `Ok(None)` for a kind that this version does not know.
    ///
    /// # Errors
    /// [`BadFrame`] if it is cut short or a field is of the wrong kind.
    pub fn take(message: &mut &'a [u8]) -> Result<Option<Self>, BadFrame> {
        let (kind, body) = binary::take(message)?;
        Ok(Some(match kind {
            Welcome::KIND => Self::Welcome(Welcome::take(body)?),
            Attached::KIND => Self::Attached(Attached::take(body)?),
            Detached::KIND => Self::Detached(Detached::take(body)?),
            Opened::KIND => Self::Opened(Opened::take(body)?),
            Acked::KIND => Self::Acked(Acked::take(body)?),
            Refused::KIND => Self::Refused(Refused::take(body)?),
            Subscribed::KIND => Self::Subscribed(Subscribed::take(body)?),
            Unsubscribed::KIND => Self::Unsubscribed(Unsubscribed::take(body)?),
            Missing::KIND => Self::Missing(Missing::take(body)?),
            Progress::KIND => Self::Progress(Progress::take(body)?),
            Page::KIND => Self::Page(Page::take(body)?),
            Heartbeat::KIND => Self::Heartbeat(Heartbeat::take(body)?),
            Failed::KIND => Self::Failed(Failed::take(body)?),
            Goodbye::KIND => Self::Goodbye(Goodbye::take(body)?),
            SignedIn::KIND => Self::SignedIn(SignedIn::take(body)?),
            Block::KIND => Self::Block(Block::take(body)?),
            _ => return Ok(None),
        }))
    }
}
