//! The fields of a binary control frame.
//!
//! A field is a key (varint: field number times two, plus one if bytes follow) and a value: a varint, or a
//! length and that many bytes. A field that is absent has its default; one whose number is unknown is
//! skipped; one that comes twice counts the last time.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::code::{Code, Content, Durability, GapReason, Outcome, WhenSlow};
use crate::number::{
    Epoch, Handle, Incarnation, NUMBER_MAX, Offset, Participant, ProducerId, Request, Seq, Tag, TailNumber,
};
use crate::varint;

mod places;

/// A type that a field can have.
pub trait Field<'a>: Sized {
    /// Whether it is words, which a client that shows codes in its own words leaves unread.
    const IS_TEXT: bool = false;

    /// Appends key and value; nothing if the value is the default.
    fn put(&self, number: u64, out: &mut Vec<u8>);

    /// The value of the field with this number; the default if it is absent, or bad, which `fields` notes.
    fn take(fields: &mut Fields<'a>, number: u64) -> Self;
}

/// The fields of one frame's body, by their number.
///
/// One loop reads the fields of every kind of frame, and one question at the end answers for all of them:
/// a client that is downloaded by browsers has no room for a loop per kind.
#[derive(Debug)]
pub struct Fields<'a> {
    /// The place is the number. No frame has a field 0.
    values: [Value<'a>; FIELDS_MAX],
    /// One was cut short, or is not of the kind that was asked for.
    bad: bool,
}

/// A field's value as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Absent,
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The number that it is, if it is one and in range.
    pub(crate) fn number(self) -> Option<u64> {
        match self {
            Self::Number(n) if n <= NUMBER_MAX => Some(n),
            Self::Absent | Self::Number(_) | Self::Bytes(_) => None,
        }
    }

    /// The bytes that it is, if it is bytes.
    pub(crate) fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Absent | Self::Number(_) => None,
        }
    }
}

/// One more than the highest number of a field, in frames that are read by [`Fields`].
const FIELDS_MAX: usize = 10;

impl<'a> Fields<'a> {
    /// Reads them all. Those whose number is unknown are passed over.
    #[must_use]
    pub fn read(mut body: &'a [u8]) -> Self {
        let mut fields = Self { values: [Value::Absent; FIELDS_MAX], bad: false };
        while !body.is_empty() {
            let Some((number, value)) = take(&mut body) else {
                fields.bad = true;
                break;
            };
            if let Some(slot) = fields.values.get_mut(number) {
                *slot = value;
            }
        }
        fields
    }

    /// Whether no field was cut short, and all that was asked for was of the right kind and in range.
    #[must_use]
    pub const fn are_sound(&self) -> bool {
        !self.bad
    }

    /// A field that holds a number.
    fn number(&mut self, number: u64) -> u64 {
        match self.value(number) {
            Value::Absent => 0,
            Value::Number(n) if n <= NUMBER_MAX => n,
            Value::Number(_) | Value::Bytes(_) => self.refuse(),
        }
    }

    /// A field that holds bytes.
    fn bytes(&mut self, number: u64) -> &'a [u8] {
        match self.value(number) {
            Value::Absent => &[],
            Value::Bytes(bytes) => bytes,
            Value::Number(_) => self.refuse(),
        }
    }

    /// A field whose bytes mean something that `read` knows.
    fn read_bytes<T: Default>(&mut self, number: u64, read: impl FnOnce(&'a [u8]) -> Option<T>) -> T {
        match self.value(number) {
            Value::Absent => T::default(),
            Value::Bytes(bytes) => read(bytes).unwrap_or_else(|| self.refuse()),
            Value::Number(_) => self.refuse(),
        }
    }

    fn has(&self, number: u64) -> bool {
        !matches!(self.value(number), Value::Absent)
    }

    fn value(&self, number: u64) -> Value<'a> {
        self.values.get(number as usize).copied().unwrap_or(Value::Absent)
    }

    fn refuse<T: Default>(&mut self) -> T {
        self.bad = true;
        T::default()
    }
}

/// Takes one field from the front of a frame's body; `None` if it is cut short.
pub(crate) fn take<'a>(body: &mut &'a [u8]) -> Option<(usize, Value<'a>)> {
    let key = varint::take(body)?;
    let value = if key & 1 == 1 {
        Value::Bytes(varint::take_bytes(body)?)
    } else {
        Value::Number(varint::take(body)?)
    };
    Some((usize::try_from(key >> 1).unwrap_or(usize::MAX), value))
}

/// Appends a field that holds a number, zero included.
pub fn put_number(number: u64, value: u64, out: &mut Vec<u8>) {
    varint::put(number << 1, out);
    varint::put(value, out);
}

/// Begins a field that holds bytes, which are appended next; `varint::end` ends it.
fn begin_bytes(number: u64, out: &mut Vec<u8>) -> usize {
    varint::put(number << 1 | 1, out);
    varint::begin(out)
}

/// Appends a field that holds bytes, none included.
pub fn put_bytes(number: u64, value: &[u8], out: &mut Vec<u8>) {
    varint::put(number << 1 | 1, out);
    varint::put_bytes(value, out);
}

/// Whether a value is what an absent field means; JSON leaves those out.
#[cfg(feature = "json")]
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl<'a> Field<'a> for u64 {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        if *self != 0 {
            put_number(number, *self, out);
        }
    }

    fn take(fields: &mut Fields<'a>, number: u64) -> Self {
        fields.number(number)
    }
}

impl<'a> Field<'a> for bool {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        u64::from(*self).put(number, out);
    }

    fn take(fields: &mut Fields<'a>, number: u64) -> Self {
        fields.number(number) != 0
    }
}

macro_rules! number_fields {
    ($($name:ident),*) => {$(
        impl<'a> Field<'a> for $name {
            fn put(&self, number: u64, out: &mut Vec<u8>) {
                self.0.put(number, out);
            }

            fn take(fields: &mut Fields<'a>, number: u64) -> Self {
                $name(fields.number(number))
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

            fn take(fields: &mut Fields<'a>, number: u64) -> Self {
                // A zero on the wire is a number that nobody knows; no field at all is the default.
                if fields.has(number) { $name::from_number(fields.number(number)) } else { $name::default() }
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

    fn take(fields: &mut Fields<'a>, number: u64) -> Self {
        fields.bytes(number)
    }
}

impl<'a> Field<'a> for Cow<'a, str> {
    const IS_TEXT: bool = true;

    fn put(&self, number: u64, out: &mut Vec<u8>) {
        self.as_bytes().put(number, out);
    }

    fn take(fields: &mut Fields<'a>, number: u64) -> Self {
        Cow::Borrowed(fields.read_bytes(number, |bytes| core::str::from_utf8(bytes).ok()))
    }
}

impl<'a> Field<'a> for Cow<'a, [u8]> {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        (&**self).put(number, out);
    }

    fn take(fields: &mut Fields<'a>, number: u64) -> Self {
        Cow::Borrowed(fields.bytes(number))
    }
}

/// Eight bytes, little end first: an epoch is random, so a varint would be longer.
impl<'a> Field<'a> for Epoch {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        if self.0 != 0 {
            put_bytes(number, &self.0.to_le_bytes(), out);
        }
    }

    fn take(fields: &mut Fields<'a>, number: u64) -> Self {
        fields.read_bytes(number, |bytes| Some(Self(u64::from_le_bytes(bytes.try_into().ok()?))))
    }
}

impl<'a> Field<'a> for ProducerId {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        if *self != Self::default() {
            put_bytes(number, &self.0, out);
        }
    }

    fn take(fields: &mut Fields<'a>, number: u64) -> Self {
        fields.read_bytes(number, |bytes| bytes.try_into().ok().map(Self))
    }
}

/// Takes a number from the front of `bytes`; `None` if it is cut short or beyond [`NUMBER_MAX`].
pub(crate) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    varint::take(bytes).filter(|n| *n <= NUMBER_MAX)
}
