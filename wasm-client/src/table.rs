//! The table of outputs: fixed-width rows in linear memory, one or more for each output of the core.
//!
//! A row is [`WIDTH`] words of 64 bits. The first is its kind, the rest are numbers as `f64` (nothing here is
//! beyond 2^53), except epochs, which are 64 plain bits. `js/src/engine/rows.ts` reads the same layout.

use tidewire_client_core::fault::Fault;
use tidewire_client_core::output::{Event, Message, Output, Packet, Published, Status, TokenReason};
use tidewire_protocol::number::Epoch;
use tidewire_protocol::position::{Gap, Position};

/// Words in a row: what a message needs.
pub(crate) const WIDTH: usize = 12;

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    /// The last row of every drain: when a timeout is due, or infinity.
    Deadline = 0,
    /// Open a link.
    OpenLink = 1,
    /// Close code.
    CloseLink = 2,
    /// 1 if the last token was refused.
    NeedToken = 3,
    /// Address and length of a packet's bytes.
    Send = 4,
    /// A payload's place in the packet before, and its publish.
    Splice = 5,
    /// Standing, fault, milliseconds to the next try or -1.
    Status = 6,
    /// Listener, outcome, and a gap whose reason is -1 if there is none.
    Ready = 7,
    /// Listener, offset, epoch: one place that the messages after `Ready` follow.
    Position = 8,
    /// Listener, fault, retryable.
    Refused = 9,
    /// Listener, reason, from, to, epoch.
    Gap = 10,
    /// Listener, offset, epoch, time, flags, then spans of sender, topic and payload.
    Message = 11,
    /// Publish, offset, epoch, durability, duplicate, maybe duplicate.
    Published = 12,
    /// Publish, fault, retryable.
    Failed = 13,
}

/// Rows, and the bytes of the packets that they tell of.
#[derive(Debug, Default)]
pub(crate) struct Table {
    words: Vec<u64>,
    /// Kept until the next drain: rows point into them.
    packets: Vec<Vec<u8>>,
}

impl Table {
    /// Forgets everything; rows read before are void.
    pub(crate) fn clear(&mut self) {
        self.words.clear();
        self.packets.clear();
    }

    /// Where the rows begin.
    pub(crate) fn address(&self) -> *const u64 {
        self.words.as_ptr()
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.words.len() / WIDTH
    }

    /// Appends the row that ends a drain.
    pub(crate) fn put_deadline(&mut self, deadline: Option<u64>) {
        let due = deadline.map_or(f64::INFINITY, |due| due as f64);
        self.row(Kind::Deadline, &[due.to_bits()]);
    }

    /// Appends what the core wants done.
    pub(crate) fn put(&mut self, output: Output) {
        match output {
            Output::OpenLink => self.row(Kind::OpenLink, &[]),
            Output::CloseLink { code } => self.row(Kind::CloseLink, &[word(u64::from(code))]),
            Output::NeedToken { reason } => {
                self.row(Kind::NeedToken, &[flag(reason == TokenReason::Refused)]);
            }
            Output::Send(packet) => self.put_packet(packet),
            Output::Event(event) => self.put_event(&event),
        }
    }

    fn put_packet(&mut self, packet: Packet) {
        let address = packet.bytes.as_ptr() as usize as u64;
        self.row(Kind::Send, &[word(address), word(packet.bytes.len() as u64)]);
        for splice in &packet.payloads {
            self.row(Kind::Splice, &[word(u64::from(splice.at)), word(splice.id.0)]);
        }
        self.packets.push(packet.bytes);
    }

    fn put_event(&mut self, event: &Event) {
        match event {
            Event::Status(status) => self.put_status(*status),
            Event::Ready { listener, outcome, positions, gap } => {
                let [reason, from, to, epoch] = gap_words(gap.as_ref());
                let listener = word(u64::from(listener.0));
                self.row(Kind::Ready, &[listener, word(outcome.number()), reason, from, to, epoch]);
                for Position { epoch, offset } in positions {
                    self.row(Kind::Position, &[listener, word(offset.0), epoch.0]);
                }
            }
            Event::Refused { listener, fault } => {
                let (code, retryable) = fault_words(*fault);
                self.row(Kind::Refused, &[word(u64::from(listener.0)), code, retryable]);
            }
            Event::Message(message) => self.put_message(message),
            Event::Gap { listener, gap } => {
                let [reason, from, to, epoch] = gap_words(Some(gap));
                self.row(Kind::Gap, &[word(u64::from(listener.0)), reason, from, to, epoch]);
            }
            Event::Published(published) => self.put_published(published),
            Event::Failed { id, fault, retryable } => {
                self.row(Kind::Failed, &[word(id.0), fault_words(*fault).0, flag(*retryable)]);
            }
            // The status that follows says why the link is gone and when it will be back.
            Event::Goodbye { .. } => {}
        }
    }

    fn put_status(&mut self, status: Status) {
        let none = (-1f64).to_bits();
        let words = match status {
            Status::Connecting => [word(0), word(0), none],
            Status::Online => [word(1), word(0), none],
            Status::Offline { fault, retry_in_ms } => [word(2), code(fault), retry_in_ms.map_or(none, word)],
            Status::Closed { fault } => [word(3), code(fault), none],
        };
        self.row(Kind::Status, &words);
    }

    fn put_message(&mut self, message: &Message) {
        let flags = message.content.number() << 1 | u64::from(message.maybe_duplicate);
        self.row(
            Kind::Message,
            &[
                word(u64::from(message.listener.0)),
                word(message.offset.0),
                message.epoch.0,
                word(message.published_at_ms),
                word(flags),
                word(u64::from(message.sender.start)),
                word(u64::from(message.sender.len)),
                word(u64::from(message.topic.start)),
                word(u64::from(message.topic.len)),
                word(u64::from(message.payload.start)),
                word(u64::from(message.payload.len)),
            ],
        );
    }

    fn put_published(&mut self, published: &Published) {
        self.row(
            Kind::Published,
            &[
                word(published.id.0),
                word(published.offset.0),
                published.epoch.0,
                word(published.durability.number()),
                flag(published.duplicate),
                flag(published.maybe_duplicate),
            ],
        );
    }

    fn row(&mut self, kind: Kind, words: &[u64]) {
        let end = self.words.len() + WIDTH;
        self.words.push(word(kind as u64));
        self.words.extend_from_slice(words);
        self.words.resize(end, 0);
    }
}

/// A number as JavaScript reads it.
fn word(number: u64) -> u64 {
    (number as f64).to_bits()
}

fn flag(is: bool) -> u64 {
    word(u64::from(is))
}

fn code(fault: Option<Fault>) -> u64 {
    word(fault.map_or(0, |fault| u64::from(fault.number())))
}

fn fault_words(fault: Fault) -> (u64, u64) {
    (code(Some(fault)), flag(fault.retryable()))
}

fn gap_words(gap: Option<&Gap>) -> [u64; 4] {
    match gap {
        Some(Gap { epoch: Epoch(epoch), from, to, reason }) => {
            [word(reason.number()), word(from.0), word(to.0), *epoch]
        }
        None => [(-1f64).to_bits(), 0, 0, 0],
    }
}
