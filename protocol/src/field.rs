//! The fields of a binary control frame.
//!
//! A field is a key (varint: field number times two, plus one if bytes follow) and a value: a varint, or a
//! length and that many bytes. A field that is absent has its default; one whose number is unknown is
//! skipped; one that comes twice counts the last time.

use std::borrow::Cow;

use crate::code::{Code, Content, Durability, GapReason, Outcome, WhenSlow};
use crate::number::{
    Epoch, Handle, Incarnation, NUMBER_MAX, Offset, Participant, ProducerId, Request, Seq, Tag, TailNumber,
};
use crate::position::{Gap, Position, Start};
use crate::varint;

/// A field's value as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// A varint.
    Number(u64),
    /// A length and bytes.
    Bytes(&'a [u8]),
}

/// A type that a field can have.
pub trait Field<'a>: Sized {
    /// Appends key and value; nothing if the value is the default.
    fn put(&self, number: u64, out: &mut Vec<u8>);

    /// Reads the value; `None` if it is of the wrong kind or out of range.
    fn take(value: Value<'a>) -> Option<Self>;
}

/// Takes one field from the front of a frame's body; `None` if it is cut short.
pub fn take<'a>(body: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let key = varint::take(body)?;
    let value = if key & 1 == 1 {
        Value::Bytes(varint::take_bytes(body)?)
    } else {
        Value::Number(varint::take(body)?)
    };
    Some((key >> 1, value))
}

/// Appends a field that holds a number, zero included.
pub fn put_number(number: u64, value: u64, out: &mut Vec<u8>) {
    varint::put(number << 1, out);
    varint::put(value, out);
}

/// Appends a field that holds bytes, none included.
pub fn put_bytes(number: u64, value: &[u8], out: &mut Vec<u8>) {
    varint::put(number << 1 | 1, out);
    varint::put_bytes(value, out);
}

impl<'a> Field<'a> for u64 {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        if *self != 0 {
            put_number(number, *self, out);
        }
    }

    fn take(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Number(n) if n <= NUMBER_MAX => Some(n),
            Value::Number(_) | Value::Bytes(_) => None,
        }
    }
}

impl<'a> Field<'a> for bool {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        u64::from(*self).put(number, out);
    }

    fn take(value: Value<'a>) -> Option<Self> {
        u64::take(value).map(|n| n != 0)
    }
}

macro_rules! number_fields {
    ($($name:ident),*) => {$(
        impl<'a> Field<'a> for $name {
            fn put(&self, number: u64, out: &mut Vec<u8>) {
                self.0.put(number, out);
            }

            fn take(value: Value<'a>) -> Option<Self> {
                u64::take(value).map($name)
            }
        }
    )*};
}

number_fields!(Offset, Seq, Incarnation, Tag, TailNumber, Participant, Handle, Request);

macro_rules! code_fields {
    ($($name:ident),*) => {$(
        impl<'a> Field<'a> for $name {
            fn put(&self, number: u64, out: &mut Vec<u8>) {
                if *self != $name::default() {
                    put_number(number, self.number(), out);
                }
            }

            fn take(value: Value<'a>) -> Option<Self> {
                u64::take(value).map($name::from_number)
            }
        }
    )*};
}

code_fields!(Code, Content, Durability, GapReason, Outcome, WhenSlow);

impl<'a> Field<'a> for &'a [u8] {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        if !self.is_empty() {
            put_bytes(number, self, out);
        }
    }

    fn take(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Number(_) => None,
        }
    }
}

impl<'a> Field<'a> for Cow<'a, str> {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        self.as_bytes().put(number, out);
    }

    fn take(value: Value<'a>) -> Option<Self> {
        std::str::from_utf8(<&[u8]>::take(value)?).ok().map(Cow::Borrowed)
    }
}

impl<'a> Field<'a> for Cow<'a, [u8]> {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        (&**self).put(number, out);
    }

    fn take(value: Value<'a>) -> Option<Self> {
        <&[u8]>::take(value).map(Cow::Borrowed)
    }
}

/// Eight bytes, little end first: an epoch is random, so a varint would be longer.
impl<'a> Field<'a> for Epoch {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        if self.0 != 0 {
            put_bytes(number, &self.0.to_le_bytes(), out);
        }
    }

    fn take(value: Value<'a>) -> Option<Self> {
        let bytes = <&[u8]>::take(value)?.try_into().ok()?;
        Some(Self(u64::from_le_bytes(bytes)))
    }
}

impl<'a> Field<'a> for ProducerId {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        if *self != Self::default() {
            put_bytes(number, &self.0, out);
        }
    }

    fn take(value: Value<'a>) -> Option<Self> {
        <&[u8]>::take(value)?.try_into().ok().map(Self)
    }
}

/// Each position: eight bytes of epoch, then the offset as a varint.
impl<'a> Field<'a> for Vec<Position> {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        if !self.is_empty() {
            let mut bytes = Vec::new();
            put_positions(self, &mut bytes);
            put_bytes(number, &bytes, out);
        }
    }

    fn take(value: Value<'a>) -> Option<Self> {
        take_positions(<&[u8]>::take(value)?)
    }
}

/// One byte that says which start, then its amount as a varint, or its positions.
impl<'a> Field<'a> for Start {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        let mut bytes = Vec::new();
        match self {
            Self::Latest => return,
            Self::Earliest => bytes.push(1),
            Self::Last(count) => {
                bytes.push(2);
                varint::put(*count, &mut bytes);
            }
            Self::SinceMs(ms) => {
                bytes.push(3);
                varint::put(*ms, &mut bytes);
            }
            Self::After(positions) => {
                bytes.push(4);
                put_positions(positions, &mut bytes);
            }
        }
        put_bytes(number, &bytes, out);
    }

    fn take(value: Value<'a>) -> Option<Self> {
        let (&kind, mut rest) = <&[u8]>::take(value)?.split_first()?;
        let start = match kind {
            0 => Self::Latest,
            1 => Self::Earliest,
            2 => Self::Last(take_number(&mut rest)?),
            3 => Self::SinceMs(take_number(&mut rest)?),
            4 => return take_positions(rest).filter(|p| !p.is_empty()).map(Self::After),
            _ => return None,
        };
        rest.is_empty().then_some(start)
    }
}

/// Reason, `from` and `to` as varints, then eight bytes of epoch.
impl<'a> Field<'a> for Option<Gap> {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        if let Some(gap) = self {
            let mut bytes = Vec::new();
            varint::put(gap.reason.number(), &mut bytes);
            varint::put(gap.from.0, &mut bytes);
            varint::put(gap.to.0, &mut bytes);
            bytes.extend_from_slice(&gap.epoch.0.to_le_bytes());
            put_bytes(number, &bytes, out);
        }
    }

    fn take(value: Value<'a>) -> Option<Self> {
        let mut bytes = <&[u8]>::take(value)?;
        let reason = GapReason::from_number(varint::take(&mut bytes)?);
        let from = Offset(take_number(&mut bytes)?);
        let to = Offset(take_number(&mut bytes)?);
        let epoch = Epoch(u64::from_le_bytes(bytes.try_into().ok()?));
        Some(Some(Gap { epoch, from, to, reason }))
    }
}

fn put_positions(positions: &[Position], out: &mut Vec<u8>) {
    for position in positions {
        out.extend_from_slice(&position.epoch.0.to_le_bytes());
        varint::put(position.offset.0, out);
    }
}

fn take_positions(mut bytes: &[u8]) -> Option<Vec<Position>> {
    let mut positions = Vec::new();
    while !bytes.is_empty() {
        let (epoch, rest) = bytes.split_first_chunk::<8>()?;
        bytes = rest;
        let offset = Offset(take_number(&mut bytes)?);
        positions.push(Position { epoch: Epoch(u64::from_le_bytes(*epoch)), offset });
    }
    Some(positions)
}

/// Takes a number from the front of `bytes`; `None` if it is cut short or beyond [`NUMBER_MAX`].
pub(crate) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    varint::take(bytes).filter(|n| *n <= NUMBER_MAX)
}
