//! Unsigned LEB128: seven bits a byte, least significant first, the top bit set on all but the last.
//!
//! We write the shortest form and read every form of up to ten bytes: nothing hangs on a number having
//! one spelling, and a writer may reserve room for a length before it knows it.

use alloc::vec::Vec;

/// Bytes that the largest `u64` takes.
pub const VARINT_BYTES_MAX: usize = 10;

/// Appends `value`.
pub fn put(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes that [`put`] would append.
#[must_use]
pub const fn len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Takes a number from the front of `bytes`; `None` if it is cut short or larger than a `u64`.
pub fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().enumerate().take(VARINT_BYTES_MAX) {
        if index == VARINT_BYTES_MAX - 1 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *bytes = &bytes[index + 1..];
            return Some(value);
        }
    }
    None
}

/// Takes a length and that many bytes from the front of `bytes`.
pub fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

/// Appends the length of `value`, then `value`.
pub fn put_bytes(value: &[u8], out: &mut Vec<u8>) {
    put(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Leaves room for the length of what is appended next. Answers with where that starts, for [`end`].
pub fn begin(out: &mut Vec<u8>) -> usize {
    out.push(0);
    out.len()
}

/// Fills in the length of what was appended from `start` on and of `rest_len` bytes that are to follow it.
pub fn end(start: usize, rest_len: usize, out: &mut Vec<u8>) {
    let mut len = out.len() - start + rest_len;
    let mut at = start - 1;
    while len >= 0x80 {
        out[at] = len as u8 | 0x80;
        len >>= 7;
        at += 1;
        out.insert(at, 0);
    }
    out[at] = len as u8;
}
