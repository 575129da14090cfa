//! What every payload begins with: topic, publisher, number and the time at which it should have been sent.
//!
//! Each half-byte is a letter from `a` to `p`, so that the same bytes pass as binary, as text and inside a JSON
//! string, and are read without a branch: the generator looks at millions of them a second.

/// The head of one payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Which topic.
    pub topic: u32,
    /// Which publisher.
    pub publisher: u32,
    /// Its number among this publisher's messages to this topic, from 0.
    pub seq: u32,
    /// When it should have been sent, in nanoseconds of the generator's clock.
    pub due_ns: u64,
}

/// Bytes of a stamp; no payload is shorter.
pub const STAMP_BYTES: usize = 40;

impl Stamp {
    /// Writes the stamp over the front of `payload`.
    pub fn write(&self, payload: &mut [u8]) {
        payload[..8].copy_from_slice(&letters(self.topic));
        payload[8..16].copy_from_slice(&letters(self.publisher));
        payload[16..24].copy_from_slice(&letters(self.seq));
        payload[24..32].copy_from_slice(&letters((self.due_ns >> 32) as u32));
        payload[32..40].copy_from_slice(&letters(self.due_ns as u32));
    }
}

/// The publisher and the number of a payload; `None` if it is too short.
#[inline]
#[must_use]
pub fn publisher_and_seq(payload: &[u8]) -> Option<(u32, u32)> {
    let (groups, _) = payload.get(8..24)?.as_chunks::<8>();
    Some((number(groups[0]), number(groups[1])))
}

/// When a payload should have been sent; `None` if it is too short.
#[inline]
#[must_use]
pub fn due_ns(payload: &[u8]) -> Option<u64> {
    let (groups, _) = payload.get(24..40)?.as_chunks::<8>();
    Some(u64::from(number(groups[0])) << 32 | u64::from(number(groups[1])))
}

/// The name of a topic: its number in letters, as payloads carry it.
#[must_use]
pub fn topic_name(topic: u32) -> String {
    String::from_utf8_lossy(&letters(topic)).into_owned()
}

fn letters(value: u32) -> [u8; 8] {
    std::array::from_fn(|index| b'a' + (value >> (28 - 4 * index) & 15) as u8)
}

/// Undoes [`letters`], all eight at once: neighbours are joined to bytes, those to pairs, those to the number.
#[inline]
fn number(letters: [u8; 8]) -> u32 {
    let mut bits = u64::from_be_bytes(letters).wrapping_sub(0x6161_6161_6161_6161);
    bits = (bits | bits >> 4) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits >> 8) & 0x0000_ffff_0000_ffff;
    (bits | bits >> 16) as u32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_stamp_reads_as_it_was_written() {
        let stamp =
            Stamp { topic: 7, publisher: 0x1234_5678, seq: 0xfedc_ba98, due_ns: 0x0102_0304_dead_beef };
        let mut payload = [b'.'; 64];
        stamp.write(&mut payload);
        assert_eq!(publisher_and_seq(&payload).unwrap(), (stamp.publisher, stamp.seq));
        assert_eq!(due_ns(&payload).unwrap(), stamp.due_ns);
        assert_eq!(&payload[..8], topic_name(7).as_bytes());
        assert!(payload.is_ascii());
        assert_eq!(due_ns(&payload[..39]), None);
    }
}
