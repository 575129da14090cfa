//! Payloads as they are, and for each commit of the server a frame that says how many of them are stored now.

use anyhow::{Context as _, Result};

use crate::dialect::Publisher;

/// Four bytes, the highest first: how many more of this publisher's messages are stored, to whichever of its topics.
pub(super) fn hear_as_publisher(publisher: &mut Publisher, payload: &[u8]) -> Result<()> {
    let count = u32::from_be_bytes(payload.try_into().context("an answer is not four bytes")?);
    publisher.answered += u64::from(count);
    if let [acked] = publisher.acked.as_mut_slice() {
        *acked += count;
    }
    Ok(())
}
