//! The binary encoding: a WebSocket message is one or more frames, each a kind, a length, and a body.
//!
//! `kind` is one byte, `length` a varint, `body` that many bytes of fields (see [`crate::field`]) or, for a
//! block, of messages (see [`crate::block`]). Frames of unknown kind are skipped.

use alloc::vec::Vec;
use core::fmt;

use crate::varint;

/// The bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadFrame;

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes are no frame of this protocol")
    }
}

impl core::error::Error for BadFrame {}

/// Takes one frame from the front of a message: its kind and its body.
///
/// # Errors
/// [`BadFrame`] if it is cut short.
pub fn take<'a>(message: &mut &'a [u8]) -> Result<(u8, &'a [u8]), BadFrame> {
    let (&kind, rest) = message.split_first().ok_or(BadFrame)?;
    *message = rest;
    let body = varint::take_bytes(message).ok_or(BadFrame)?;
    Ok((kind, body))
}

/// Begins a frame; what is appended next is its body. Answers with where that starts, for [`end`].
pub(crate) fn begin(kind: u8, out: &mut Vec<u8>) -> usize {
    out.push(kind);
    varint::begin(out)
}

/// Ends a frame whose body started at `start`, and goes on with `rest_len` bytes that the caller appends later.
pub(crate) fn end(start: usize, rest_len: usize, out: &mut Vec<u8>) {
    varint::end(start, rest_len, out);
}

/// Declares a control frame: a struct, and its body as fields.
macro_rules! frame {
    ($(#[$doc:meta])* $name:ident $(<$life:lifetime>)? = $kind:literal {
        $($(#[$fdoc:meta])* $number:literal $field:ident: $type:ty,)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        #[cfg_attr(feature = "json", derive(serde::Serialize, serde::Deserialize), serde(default))]
        pub struct $name $(<$life>)? {
            $(
                $(#[$fdoc])*
                #[cfg_attr(feature = "json", serde(skip_serializing_if = "crate::field::is_default"))]
                pub $field: $type,
            )*
        }

        impl $(<$life>)? $name $(<$life>)? {
            /// The frame's kind in the binary encoding.
            pub const KIND: u8 = $kind;

            /// Appends the frame in the binary encoding.
            pub fn put(&self, out: &mut Vec<u8>) {
                let start = $crate::binary::begin(Self::KIND, out);
                $($crate::field::Field::put(&self.$field, $number, out);)*
                $crate::binary::end(start, 0, out);
            }
        }

        frame!(@take $name $(<$life>)? { $($number $field: $type,)* });
    };
    (@take $name:ident<$life:lifetime> { $($number:literal $field:ident: $field_type:ty,)* }) => {
        impl<$life> $name<$life> {
            frame!(@methods $life, $name<$life> { $($number $field: $field_type,)* });
        }
    };
    (@take $name:ident { $($number:literal $field:ident: $field_type:ty,)* }) => {
        impl $name {
            frame!(@methods '_, $name { $($number $field: $field_type,)* });
        }
    };
    (@methods $life:lifetime, $type:ty { $($number:literal $field:ident: $field_type:ty,)* }) => {
        /// Reads the body of a frame of this kind.
        ///
        /// # Errors
        /// [`crate::binary::BadFrame`] if a field is cut short or of the wrong kind.
        pub fn take(body: &$life [u8]) -> Result<$type, $crate::binary::BadFrame> {
            Self::of(&mut $crate::field::Fields::read(body))
        }

        /// The frame that has these fields.
        ///
        /// # Errors
        /// [`crate::binary::BadFrame`] if a field was cut short or is of the wrong kind.
        pub fn of(fields: &mut $crate::field::Fields<$life>) -> Result<$type, $crate::binary::BadFrame> {
            let frame = Self { $($field: $crate::field::Field::take(fields, $number),)* };
            if fields.are_sound() { Ok(frame) } else { Err($crate::binary::BadFrame) }
        }

        /// The frame that has these fields, with its texts left empty.
        ///
        /// # Errors
        /// [`crate::binary::BadFrame`] if a field was cut short or is of the wrong kind.
        pub fn without_texts(
            fields: &mut $crate::field::Fields<$life>,
        ) -> Result<$type, $crate::binary::BadFrame> {
            let frame = Self {
                $($field: if <$field_type as $crate::field::Field>::IS_TEXT {
                    Default::default()
                } else {
                    $crate::field::Field::take(fields, $number)
                },)*
            };
            if fields.are_sound() { Ok(frame) } else { Err($crate::binary::BadFrame) }
        }
    };
}

pub(crate) use frame;
