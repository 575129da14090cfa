//! Fields that say where in a log.

use alloc::vec::Vec;

use crate::code::GapReason;
use crate::field::{Field, Fields, begin_bytes, take_number};
use crate::number::{Epoch, NUMBER_MAX, Offset};
use crate::position::{Gap, Position, Start};
use crate::varint;

/// Each position: eight bytes of epoch, then the offset as a varint.
impl<'a> Field<'a> for Vec<Position> {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        if !self.is_empty() {
            let start = begin_bytes(number, out);
            put_positions(self, out);
            varint::end(start, 0, out);
        }
    }

    fn take(fields: &mut Fields<'a>, number: u64) -> Self {
        fields.read_bytes(number, take_positions)
    }
}

/// One byte that says which start, then its amount as a varint, its positions, or both. Programs name any amount; one beyond
/// [`NUMBER_MAX`] means everything, as that does.
impl<'a> Field<'a> for Start {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        if *self == Self::Latest {
            return;
        }
        let start = begin_bytes(number, out);
        match self {
            Self::Latest => {}
            Self::Earliest => out.push(1),
            Self::Last(count) => {
                out.push(2);
                varint::put((*count).min(NUMBER_MAX), out);
            }
            Self::SinceMs(ms) => {
                out.push(3);
                varint::put((*ms).min(NUMBER_MAX), out);
            }
            Self::After(positions) => {
                out.push(4);
                put_positions(positions, out);
            }
            Self::Before { last, positions } => {
                out.push(5);
                varint::put((*last).min(NUMBER_MAX), out);
                put_positions(positions, out);
            }
        }
        varint::end(start, 0, out);
    }

    fn take(fields: &mut Fields<'a>, number: u64) -> Self {
        fields.read_bytes(number, take_start)
    }
}

fn take_start(bytes: &[u8]) -> Option<Start> {
    let (&kind, mut rest) = bytes.split_first()?;
    let start = match kind {
        0 => Start::Latest,
        1 => Start::Earliest,
        2 => Start::Last(take_number(&mut rest)?),
        3 => Start::SinceMs(take_number(&mut rest)?),
        4 => return take_positions(rest).map(Start::After),
        5 => return Some(Start::Before { last: take_number(&mut rest)?, positions: take_positions(rest)? }),
        _ => return None,
    };
    rest.is_empty().then_some(start)
}

/// Reason, `from` and `to` as varints, then eight bytes of epoch.
impl<'a> Field<'a> for Option<Gap> {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        if let Some(gap) = self {
            let start = begin_bytes(number, out);
            varint::put(gap.reason.number(), out);
            varint::put(gap.from.0, out);
            varint::put(gap.to.0, out);
            out.extend_from_slice(&gap.epoch.0.to_le_bytes());
            varint::end(start, 0, out);
        }
    }

    fn take(fields: &mut Fields<'a>, number: u64) -> Self {
        fields.read_bytes(number, |bytes| take_gap(bytes).map(Some))
    }
}

fn take_gap(mut bytes: &[u8]) -> Option<Gap> {
    let reason = GapReason::from_number(varint::take(&mut bytes)?);
    let from = Offset(take_number(&mut bytes)?);
    let to = Offset(take_number(&mut bytes)?);
    let epoch = Epoch(u64::from_le_bytes(bytes.try_into().ok()?));
    Some(Gap { epoch, from, to, reason })
}

fn put_positions(positions: &[Position], out: &mut Vec<u8>) {
    positions.iter().for_each(|position| position.put(out));
}

fn take_positions(mut bytes: &[u8]) -> Option<Vec<Position>> {
    let mut positions = Vec::new();
    while !bytes.is_empty() {
        positions.push(Position::take(&mut bytes)?);
    }
    Some(positions)
}

/// Eight bytes of epoch, then the offset as a varint.
impl Position {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.epoch.0.to_le_bytes());
        // One that no log reaches is beyond the end however large it is.
        varint::put(self.offset.0.min(NUMBER_MAX), out);
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let (epoch, rest) = bytes.split_first_chunk::<8>()?;
        *bytes = rest;
        let offset = Offset(take_number(bytes)?);
        Some(Self { epoch: Epoch(u64::from_le_bytes(*epoch)), offset })
    }

    /// The place that these bytes are, all of them.
    pub(crate) fn of_bytes(mut bytes: &[u8]) -> Option<Self> {
        Self::take(&mut bytes).filter(|_| bytes.is_empty())
    }
}

/// A single place.
impl<'a> Field<'a> for Option<Position> {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        if let Some(position) = self {
            let start = begin_bytes(number, out);
            position.put(out);
            varint::end(start, 0, out);
        }
    }

    fn take(fields: &mut Fields<'a>, number: u64) -> Self {
        fields.read_bytes(number, |bytes| Position::of_bytes(bytes).map(Some))
    }
}
