//! One client, the bytes that JavaScript hands in, and the table that it reads.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use tidewire_client_core::client::Client;
use tidewire_client_core::fault::Fault;
use tidewire_client_core::input::{Input, Millis};
use tidewire_client_core::options::{PartyId, SubscribeOptions};
use tidewire_client_core::outgoing::{Outgoing, Update};
use tidewire_client_core::output::{PublishId, SenderId};
use tidewire_protocol::attributes::{Attributes, Headers};
use tidewire_protocol::client_frame::Terms;
use tidewire_protocol::code::{Content, Durability};
use tidewire_protocol::number::{Epoch, Offset, Seq};
use tidewire_protocol::position::{Position, Start};

use crate::table::Table;

/// What one wasm instance holds.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) client: Client,
    pub(crate) input: Vec<u8>,
    pub(crate) table: Table,
    /// What the message that comes next has besides its payload.
    besides: Option<(Attributes<'static>, Terms)>,
}

impl Engine {
    pub(crate) const fn new() -> Self {
        Self { client: Client::unset(), input: Vec::new(), table: Table::new(), besides: None }
    }

    /// Makes room for `len` bytes of input and tells where it is.
    pub(crate) fn input(&mut self, len: usize) -> *const u8 {
        if self.input.len() < len || self.input.len() > INPUT_KEPT_MAX {
            self.input = Vec::new();
            self.input.resize(len, 0);
        }
        self.input.as_ptr()
    }

    /// Tells the client of the first `len` bytes of input, then fills the table.
    pub(crate) fn received(&mut self, now: Millis, len: usize) -> usize {
        let message = self.input.get(..len).unwrap_or_default();
        self.client.handle(now, Input::Received(message));
        self.drain()
    }

    /// Fills the table with all that the client wants done.
    pub(crate) fn drain(&mut self) -> usize {
        self.table.clear();
        while let Some(output) = self.client.poll_output() {
            self.table.put(output, &self.input);
        }
        self.table.put_deadline(self.client.deadline(), self.client.is_doubted());
        self.table.len()
    }

    /// The input is a topic. `seq` is that under which an engine before this one sent it; 0 if none did.
    pub(crate) fn publish(
        &mut self,
        now: Millis,
        id: PublishId,
        topic_len: usize,
        content: Content,
        payload_len: u32,
        seq: Seq,
    ) -> Result<f64, Fault> {
        let topic = text(&self.input, topic_len);
        if seq.0 > 0 {
            self.client.window(OWN, topic, seq, 1);
        }
        let (attributes, terms) = self.besides.take().unwrap_or_default();
        let message = Outgoing { topic, content, payload_len, attributes, terms };
        self.client.take(now, OWN, id, &message)?;
        Ok(0.0)
    }

    /// The input is as for [`Self::start`].
    pub(crate) fn subscribe(
        &mut self,
        now: Millis,
        name_len: usize,
        from: (u8, u64),
        mut options: SubscribeOptions,
    ) -> Result<f64, Fault> {
        options.from = self.start(name_len, from);
        let name = text(&self.input, name_len);
        self.client.subscribe(now, name, options).map(|listener| f64::from(listener.0))
    }

    /// The input is a topic, then the payload.
    pub(crate) fn send(
        &mut self,
        now: Millis,
        topic_len: usize,
        payload_len: usize,
        expires_ms: Millis,
        content: Content,
        sender: SenderId,
    ) -> Result<f64, Fault> {
        let topic = text(&self.input, topic_len);
        let payload = self.input.get(topic_len..topic_len + payload_len).unwrap_or_default();
        let (attributes, _) = self.besides.take().unwrap_or_default();
        let update = Update { topic, content, payload, expires_ms, attributes, sender };
        self.client.send(now, &update).map(|fate| f64::from(fate as u8))
    }

    /// The input is as [`crate::numbers::Call::Besides`] has it.
    pub(crate) fn besides(&mut self, texts_len: usize, choices: u8, ttl_ms: u64) {
        let mut texts = self.input.get(..texts_len).unwrap_or_default().split(|byte| *byte == 0);
        let mut next = || texts.next().map(|bytes| text(bytes, bytes.len()));
        let key = Cow::Owned(next().unwrap_or_default().into());
        let pairs = core::iter::from_fn(|| Some((next()?, next()?)));
        let attributes = Attributes { key, headers: Headers::of(pairs), ttl_ms, remove: choices & 1 > 0 };
        let durability = choices >> 3;
        let terms = Terms {
            if_version: self.positions(texts_len, usize::from(choices >> 2 & 1)).pop(),
            if_absent: choices & 2 > 0,
            durability: (durability > 0).then(|| Durability::from_number(durability.into())),
        };
        self.besides = Some((attributes, terms));
    }

    /// The input is as for [`Self::start`].
    pub(crate) fn history(
        &mut self,
        now: Millis,
        name_len: usize,
        from: (u8, u64),
        messages_max: u32,
    ) -> Result<f64, Fault> {
        let from = self.start(name_len, from);
        let name = text(&self.input, name_len);
        self.client.history(now, name, from, messages_max).map(|question| f64::from(question.0))
    }

    /// A start: 0 latest, 1 earliest, 2 the last `amount`, 3 the last `amount` milliseconds, 4 after and 5 below `amount`
    /// positions. These stand in the input behind a name, an epoch and an offset of eight bytes each.
    fn start(&self, name_len: usize, (kind, amount): (u8, u64)) -> Start {
        match kind {
            1 => Start::Earliest,
            2 => Start::Last(amount),
            3 => Start::SinceMs(amount),
            4 => Start::After(self.positions(name_len, amount as usize)),
            5 => Start::before(self.positions(name_len, amount as usize)),
            _ => Start::Latest,
        }
    }

    fn positions(&self, start: usize, count: usize) -> Vec<Position> {
        let mut positions = Vec::new();
        let mut rest = self.input.get(start..).unwrap_or_default();
        while let Some((pair, behind)) = rest.split_first_chunk()
            && positions.len() < count
        {
            positions.push(position(pair));
            rest = behind;
        }
        positions
    }
}

fn position(bytes: &[u8; 16]) -> Position {
    let both = u128::from_le_bytes(*bytes);
    Position { epoch: Epoch(both as u64), offset: Offset((both >> 64) as u64) }
}

/// The first `len` bytes of input, which JavaScript encoded as UTF-8.
pub(crate) fn text(input: &[u8], len: usize) -> &str {
    let bytes = input.get(..len).unwrap_or_default();
    // A fraction of the code of `from_utf8`, which is made for long texts.
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

/// The only party there is.
pub(crate) const OWN: PartyId = PartyId(0);
/// Room that is kept between messages: large messages are rare, and their room goes back.
const INPUT_KEPT_MAX: usize = 256 << 10;
