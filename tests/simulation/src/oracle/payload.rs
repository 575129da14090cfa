//! What a payload says: which publish it is of.

use crate::oracle::Uid;

/// Appends the payload of a publish.
pub fn put_payload(uid: Uid, len: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&uid.to_le_bytes());
    out.resize(out.len() + len - 4, filler(uid));
}

/// Which publish it says that it is of.
#[must_use]
pub fn uid_of(payload: &[u8]) -> Option<Uid> {
    Some(Uid::from_le_bytes(*payload.first_chunk()?))
}

/// Whether its bytes are those of this publish.
#[must_use]
pub fn is_whole(payload: &[u8], uid: Uid) -> bool {
    payload.iter().skip(4).all(|byte| *byte == filler(uid))
}

fn filler(uid: Uid) -> u8 {
    (uid as u8).wrapping_mul(31) ^ 0x5a
}
