//! The table of outputs: fixed-width rows in linear memory, one or more for each output of the core.
//!
//! A row is [`WIDTH`] words of 64 bits. The lower half of the first is the row's kind and its upper half what
//! the kind says; the layout of the rest is told at each [`Kind`], by column. A pair of 32-bit numbers in one word
//! is told as `lower + upper`. `js/src/engine/rows.ts` reads the same layout.

use alloc::vec::Vec;

use tidewire_client_core::fault::Fault;
use tidewire_client_core::output::{
    Event, ListenerId, Message, Output, Packet, Published, SenderId, Span, Status,
};
use tidewire_protocol::attributes::Unread;
use tidewire_protocol::position::{Gap, Position};
use tidewire_protocol::varint;

use crate::numbers::{Kind, NONE, Standing};

/// Words in a row: what a message needs.
const WIDTH: usize = 8;

/// Rows, and the bytes of the packets that they tell of.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<[u64; WIDTH]>,
    /// Kept until the next drain: rows point into them.
    packets: Vec<Packet>,
}

impl Table {
    pub(crate) const fn new() -> Self {
        Self { rows: Vec::new(), packets: Vec::new() }
    }

    /// Forgets everything; rows read before are void.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.packets.clear();
    }

    /// Where the rows begin.
    pub(crate) const fn address(&self) -> *const [u64; WIDTH] {
        self.rows.as_ptr()
    }

    /// How many rows there are.
    pub(crate) const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Appends the row that ends a drain.
    pub(crate) fn put_deadline(&mut self, deadline: Option<u64>, is_doubted: bool) {
        self.row(Kind::Deadline, is_doubted.into())[1] = deadline.unwrap_or(NONE);
    }

    /// Appends what the core wants done; spans count in `received`.
    pub(crate) fn put(&mut self, output: Output, received: &[u8]) {
        match output {
            Output::OpenLink => _ = self.row(Kind::OpenLink, 0),
            Output::CloseLink { code } => _ = self.row(Kind::CloseLink, code.into()),
            Output::NeedToken { reason, within_ms } => {
                self.row(Kind::NeedToken, reason as u32)[1] = within_ms;
            }
            Output::Send(packet) => self.put_packet(packet),
            Output::Event(event) => self.put_event(&event, received),
        }
    }

    fn put_packet(&mut self, packet: Packet) {
        let address = packet.bytes.as_ptr() as usize as u32;
        self.row(Kind::Send, address)[1] = packet.bytes.len() as u64;
        for splice in &packet.payloads {
            let row = self.row(Kind::Splice, splice.at);
            row[1] = splice.id.0;
            row[2] = splice.seq.0;
        }
        self.packets.push(packet);
    }

    fn put_event(&mut self, event: &Event, received: &[u8]) {
        match event {
            Event::Status(status) => self.put_status(*status),
            Event::Ready { listener, outcome, positions, gap } => {
                self.put_places(Kind::Ready, *listener, outcome.number(), gap, positions);
            }
            Event::Page { listener, positions, previous, gap, more } => {
                let what = u64::from(*more) + 2 * positions.len() as u64;
                self.put_places(Kind::Page, *listener, what, gap, positions);
                self.put_positions(*listener, previous);
            }
            Event::CaughtUp { listener } => _ = self.row(Kind::CaughtUp, listener.0),
            Event::Refused { listener, fault } => self.put_refused(Kind::Refused, listener.0, *fault),
            Event::Message(message) => {
                self.put_message(message);
                if message.ext.len > 0 {
                    self.put_besides(message.ext, received);
                }
            }
            Event::Gap { listener, gap } => put_gap(self.row(Kind::Gap, listener.0), gap),
            Event::Published(published) => self.put_published(published),
            Event::Failed { id, fault, retryable, party: _, current } => {
                let current = current.unwrap_or_default();
                let row = self.row(Kind::Failed, 0);
                row[2] = current.offset.0;
                row[4] = current.epoch.0;
                row[1] = pair(fault.number().into(), (*retryable).into());
                row[3] = id.0;
            }
            Event::Said { code, text } => {
                let row = self.row(Kind::Said, 0);
                row[1] = Fault::from(*code).number().into();
                row[2] = span(*text);
            }
            Event::Echoed { request } => _ = self.row(Kind::Echoed, request.0 as u32),
            // The status that follows a goodbye says why the link is gone and when it will be back; JavaScript has one
            // party, whose outcomes say what becomes of it.
            Event::Goodbye { .. } | Event::Detached { .. } => {}
            Event::Settled { sender, dropped } => {
                self.row(Kind::Settled, sender.0)[1] = (*dropped).into();
            }
            Event::Unsendable { sender: SenderId(number), fault } => {
                self.put_refused(Kind::Unsendable, *number, *fault);
            }
        }
    }

    fn put_refused(&mut self, kind: Kind, whom: u32, fault: Fault) {
        self.row(kind, whom)[1] = pair(fault.number().into(), fault.retryable().into());
    }

    fn put_places(
        &mut self,
        kind: Kind,
        listener: ListenerId,
        what: u64,
        gap: &Option<Gap>,
        positions: &[Position],
    ) {
        let row = self.row(kind, listener.0);
        row[1] = what;
        row[2] = NONE;
        if let Some(gap) = gap {
            put_gap(row, gap);
        }
        self.put_positions(listener, positions);
    }

    fn put_positions(&mut self, listener: ListenerId, positions: &[Position]) {
        for position in positions {
            let row = self.row(Kind::Position, listener.0);
            row[1] = position.offset.0;
            row[2] = position.epoch.0;
        }
    }

    fn put_status(&mut self, status: Status) {
        let (standing, fault, retry_in_ms) = match status {
            Status::Connecting => (Standing::Connecting, None, None),
            Status::Online => (Standing::Online, None, None),
            Status::Offline { fault, retry_in_ms } => (Standing::Offline, fault, retry_in_ms),
            Status::Closed { fault } => (Standing::Closed, fault, None),
        };
        let row = self.row(Kind::Status, standing as u32);
        row[1] = fault.map_or(0, |fault: Fault| fault.number().into());
        row[2] = retry_in_ms.unwrap_or(NONE);
    }

    fn put_message(&mut self, message: &Message) {
        let row = self.row(Kind::Message, message.listener.0);
        row[1] = message.offset.0;
        row[2] = message.epoch.0;
        row[3] = message.published_at_ms;
        row[4] = pair(message.content.number() as u32, message.maybe_duplicate.into());
        row[5] = span(message.sender);
        row[6] = span(message.topic);
        row[7] = span(message.payload);
    }

    fn put_besides(&mut self, ext: Span, received: &[u8]) {
        let Unread { key, mut headers, ttl_ms, remove } = Unread::take(ext.of(received));
        let row = self.row(Kind::Besides, remove.into());
        row[1] = part(key, received);
        row[2] = ttl_ms;
        while let Some(name) = varint::take_bytes(&mut headers)
            && let Some(value) = varint::take_bytes(&mut headers)
        {
            let row = self.row(Kind::Header, 0);
            row[1] = part(name, received);
            row[2] = part(value, received);
        }
    }

    fn put_published(&mut self, published: &Published) {
        let row = self.row(Kind::Published, 0);
        row[1] = published.offset.0;
        row[2] = published.epoch.0;
        row[3] = published.id.0;
        let doubts = u32::from(published.duplicate) | u32::from(published.maybe_duplicate) << 1;
        row[4] = pair(published.durability.number() as u32, doubts);
    }

    /// A new row, all zero but for its first word.
    fn row(&mut self, kind: Kind, upper: u32) -> &mut [u64; WIDTH] {
        let row = self.rows.push_mut([0; WIDTH]);
        row[0] = pair(kind as u32, upper);
        row
    }
}

fn put_gap(row: &mut [u64; WIDTH], gap: &Gap) {
    row[2] = gap.reason.number();
    row[3] = gap.from.0;
    row[4] = gap.to.0;
    row[5] = gap.epoch.0;
}

fn span(span: Span) -> u64 {
    pair(span.start, span.len)
}

/// Where `part` lies in `whole`, of which it is a slice.
fn part(part: &[u8], whole: &[u8]) -> u64 {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    pair(start as u32, part.len() as u32)
}

fn pair(lower: u32, upper: u32) -> u64 {
    u64::from(lower) | u64::from(upper) << 32
}
