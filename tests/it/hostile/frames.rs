//! Binary frames as bytes, field by field: what a client of ours would never send can be written as well.

use tidewire_protocol::varint;

/// A frame that grows field by field.
pub(crate) struct Frame {
    kind: u8,
    body: Vec<u8>,
}

impl Frame {
    pub(crate) fn of(kind: u8) -> Self {
        Self { kind, body: Vec::new() }
    }

    pub(crate) fn number(mut self, field: u64, value: u64) -> Self {
        if value != 0 {
            varint::put(field * 2, &mut self.body);
            varint::put(value, &mut self.body);
        }
        self
    }

    pub(crate) fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        if !value.is_empty() {
            varint::put(field * 2 + 1, &mut self.body);
            varint::put_bytes(value, &mut self.body);
        }
        self
    }

    pub(crate) fn done(self) -> Vec<u8> {
        let mut frame = vec![self.kind];
        varint::put_bytes(&self.body, &mut frame);
        frame
    }
}

pub(crate) fn hello(producer: &[u8; 16], incarnation: u64) -> Vec<u8> {
    Frame::of(1).bytes(1, producer).number(2, incarnation).done()
}

pub(crate) fn attach(participant: u64, producer: &[u8; 16], incarnation: u64) -> Vec<u8> {
    Frame::of(2).number(1, participant).bytes(2, producer).number(3, incarnation).done()
}

pub(crate) fn detach(participant: u64) -> Vec<u8> {
    Frame::of(3).number(1, participant).done()
}

pub(crate) fn open(handle: u64, participant: u64, topic: &str, lowest: u64) -> Vec<u8> {
    let frame = Frame::of(4).number(1, handle).number(2, participant);
    frame.bytes(3, topic.as_bytes()).number(4, lowest).done()
}

/// A publish of bytes that calls all seqs before it answered.
pub(crate) fn publish(handle: u64, seq: u64, payload: &[u8]) -> Vec<u8> {
    let frame = Frame::of(5).number(1, handle).number(2, seq).number(3, seq);
    frame.number(4, BINARY).bytes(7, payload).done()
}

/// The next `count` publishes are taken all or none.
pub(crate) fn batch(count: u64) -> Vec<u8> {
    Frame::of(11).number(1, count).done()
}

pub(crate) fn shut(handle: u64) -> Vec<u8> {
    Frame::of(6).number(1, handle).done()
}

pub(crate) fn subscribe(request: u64, name: &str, start: &[u8], when_slow: u64) -> Vec<u8> {
    let frame = Frame::of(7).number(1, request).bytes(2, name.as_bytes());
    frame.bytes(3, start).number(4, when_slow).done()
}

pub(crate) fn unsubscribe(request: u64, tail: u64) -> Vec<u8> {
    Frame::of(8).number(1, request).number(2, tail).done()
}

pub(crate) fn history(request: u64, name: &str, start: &[u8]) -> Vec<u8> {
    Frame::of(9).number(1, request).bytes(2, name.as_bytes()).bytes(3, start).done()
}

pub(crate) fn heartbeat(request: u64) -> Vec<u8> {
    Frame::of(10).number(1, request).done()
}

/// A start of a kind with a number: 2 the last so many, 3 since so long.
pub(crate) fn start(kind: u8, number: u64) -> Vec<u8> {
    let mut start = vec![kind];
    varint::put(number, &mut start);
    start
}

/// A start after a place.
pub(crate) fn after(epoch: &[u8], offset: u64) -> Vec<u8> {
    let mut start = [&[4], epoch].concat();
    varint::put(offset, &mut start);
    start
}

/// A frame of the hub: its kind, its numbers and its bytes, by field. A block's body is not looked into.
pub(crate) struct Heard {
    pub(crate) kind: u8,
    numbers: Vec<(u64, u64)>,
    texts: Vec<(u64, Vec<u8>)>,
}

impl Heard {
    pub(crate) fn number(&self, field: u64) -> u64 {
        self.numbers.iter().find(|(number, _)| *number == field).map_or(0, |(_, value)| *value)
    }

    pub(crate) fn bytes(&self, field: u64) -> &[u8] {
        self.texts.iter().find(|(number, _)| *number == field).map_or(&[], |(_, value)| value)
    }
}

/// The frames of a message, as far as they can be read.
pub(crate) fn heard(mut message: &[u8]) -> Vec<Heard> {
    let mut frames = Vec::new();
    while let Some((kind, mut rest)) = message.split_first() {
        let Some(body) = varint::take_bytes(&mut rest) else { break };
        message = rest;
        frames.push(one(*kind, body));
    }
    frames
}

fn one(kind: u8, mut body: &[u8]) -> Heard {
    let mut heard = Heard { kind, numbers: Vec::new(), texts: Vec::new() };
    while kind != BLOCK {
        let Some(key) = varint::take(&mut body) else { break };
        if key & 1 == 0 {
            let Some(value) = varint::take(&mut body) else { break };
            heard.numbers.push((key >> 1, value));
        } else {
            let Some(value) = varint::take_bytes(&mut body) else { break };
            heard.texts.push((key >> 1, value.to_vec()));
        }
    }
    heard
}

pub(crate) const LATEST: &[u8] = &[0];
pub(crate) const EARLIEST: &[u8] = &[1];
/// Bytes that are nothing in particular.
pub(crate) const BINARY: u64 = 3;
pub(crate) const OPENED: u8 = 67;
pub(crate) const ACKED: u8 = 68;
pub(crate) const REFUSED: u8 = 69;
pub(crate) const SUBSCRIBED: u8 = 70;
pub(crate) const FAILED: u8 = 76;
pub(crate) const GOODBYE: u8 = 77;
const BLOCK: u8 = 96;
