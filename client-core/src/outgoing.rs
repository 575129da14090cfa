//! What an application gives to be published or sent, and what of it is kept here until it goes: all but the payload of a
//! publish, which the shell keeps.

use alloc::boxed::Box;
use alloc::vec::Vec;

use tidewire_protocol::attributes::{self, Attributes};
use tidewire_protocol::client_frame::Terms;
use tidewire_protocol::code::Content;

use crate::input::{Millis, NEVER};
#[cfg(feature = "sends")]
use crate::output::SenderId;

/// A message as it is given to be published.
#[derive(Debug, Clone, Default)]
pub struct Outgoing<'a> {
    /// Where to.
    pub topic: &'a str,
    /// What the payload is.
    pub content: Content,
    /// Bytes of the payload.
    pub payload_len: u32,
    /// What it has besides. Of its time to live, the hub is told what is left when it goes. Whether a message may have them is
    /// the shell's to check.
    pub attributes: Attributes<'a>,
    /// On which terms.
    pub terms: Terms,
}

impl Outgoing<'_> {
    /// Bytes that it takes of an outbox: its payload, and what it has besides.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let extra = Extra::of(0, &self.attributes, self.terms).map_or(0, |extra| extra.len());
        u64::from(self.payload_len) + u64::from(extra)
    }
}

/// An update that may be lost, as it is given to be sent.
#[cfg(feature = "sends")]
#[derive(Debug, Clone, Default)]
pub struct Update<'a> {
    /// Where to.
    pub topic: &'a str,
    /// What the payload is.
    pub content: Content,
    /// The message.
    pub payload: &'a [u8],
    /// How long it is worth waiting for; 0 for at once or never.
    pub expires_ms: Millis,
    /// What it has besides, as in [`Outgoing`].
    pub attributes: Attributes<'a>,
    /// Whose, of several who share the client. What becomes of one that waits is told by `Settled`, unless the client ends
    /// before.
    pub sender: SenderId,
}

/// What a message has besides its payload, encoded but for what time changes. Most have nothing.
#[derive(Debug)]
pub(crate) struct Extra {
    /// Fields of the frame.
    pub fields: Vec<u8>,
    /// It is worth nothing any more then; [`NEVER`] if it always is.
    pub until: Millis,
    /// The bits of a hub's features without which it would not be what it is.
    pub needs: u64,
}

impl Extra {
    /// None if there is nothing.
    pub(crate) fn of(now: Millis, attributes: &Attributes<'_>, terms: Terms) -> Option<Box<Self>> {
        let needs = attributes.needs() | terms.needs();
        if needs == 0 {
            return None;
        }
        let mut fields = Vec::new();
        attributes.put_lasting(&mut fields);
        terms.put(&mut fields);
        let until = if attributes.ttl_ms == 0 { NEVER } else { now.saturating_add(attributes.ttl_ms) };
        Some(Box::new(Self { fields, until, needs }))
    }

    /// What it takes of a frame, generously.
    pub(crate) const fn len(&self) -> u32 {
        self.fields.len() as u32 + if self.until == NEVER { 0 } else { TTL_BYTES }
    }

    /// Appends its fields; of its time to live, what is left.
    pub(crate) fn put(&self, now: Millis, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.fields);
        if self.until < NEVER {
            attributes::put_ttl(self.until.saturating_sub(now), out);
        }
    }
}

/// A field with a time to live.
const TTL_BYTES: u32 = 9;
