//! The binary encoding: a WebSocket message is one or more frames, each a kind, a length, and a body.
//!
//! `kind` is one byte, `length` a varint, `body` that many bytes of fields (see [`crate::field`]) or, for a
//! block, of messages (see [`crate::block`]). Frames of unknown kind are skipped.

use std::fmt;

use crate::varint;

/// The bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadFrame;

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes are no frame of this protocol")
    }
}

impl std::error::Error for BadFrame {}

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

/// Appends a frame whose body `fields` writes, followed by `rest_len` bytes that the caller appends later.
pub(crate) fn put(kind: u8, rest_len: usize, out: &mut Vec<u8>, fields: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.push(kind);
    // One byte holds the length of most frames; a longer one moves the fields, which are short.
    out.push(0);
    fields(out);
    let body_len = out.len() - start - 2 + rest_len;
    if body_len < 0x80 {
        out[start + 1] = body_len as u8;
        return;
    }
    let mut length = Vec::with_capacity(varint::VARINT_BYTES_MAX);
    varint::put(body_len as u64, &mut length);
    out.splice(start + 1..start + 2, length);
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
                #[cfg_attr(feature = "json", serde(skip_serializing_if = "crate::json::is_default"))]
                pub $field: $type,
            )*
        }

        impl $(<$life>)? $name $(<$life>)? {
            /// The frame's kind in the binary encoding.
            pub const KIND: u8 = $kind;

            /// Appends the frame in the binary encoding.
            pub fn put(&self, out: &mut Vec<u8>) {
                $crate::binary::put(Self::KIND, 0, out, |out| {
                    let _ = &out;
                    $($crate::field::Field::put(&self.$field, $number, out);)*
                });
            }
        }

        frame!(@take $name $(<$life>)? { $($number $field,)* });
    };
    (@take $name:ident<$life:lifetime> { $($number:literal $field:ident,)* }) => {
        impl<$life> $name<$life> {
            /// Reads the body of a frame of this kind.
            ///
            /// # Errors
            /// [`crate::binary::BadFrame`] if a field is cut short or of the wrong kind.
            pub fn take(body: &$life [u8]) -> Result<Self, $crate::binary::BadFrame> {
                frame!(@read body { $($number $field,)* })
            }
        }
    };
    (@take $name:ident { $($number:literal $field:ident,)* }) => {
        impl $name {
            /// Reads the body of a frame of this kind.
            ///
            /// # Errors
            /// [`crate::binary::BadFrame`] if a field is cut short or of the wrong kind.
            pub fn take(body: &[u8]) -> Result<Self, $crate::binary::BadFrame> {
                frame!(@read body { $($number $field,)* })
            }
        }
    };
    (@read $body:ident { $($number:literal $field:ident,)* }) => {{
        #[allow(unused_mut)]
        let mut frame = Self::default();
        let mut body = $body;
        while !body.is_empty() {
            let (number, value) = $crate::field::take(&mut body).ok_or($crate::binary::BadFrame)?;
            let _ = value;
            match number {
                $($number => {
                    frame.$field = $crate::field::Field::take(value).ok_or($crate::binary::BadFrame)?;
                })*
                _ => {}
            }
        }
        Ok(frame)
    }};
}

pub(crate) use frame;
