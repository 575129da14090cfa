//! Frames that wait to be sent, and how they are cut into WebSocket messages.

use alloc::vec::Vec;

use tidewire_protocol::binary;

/// Takes from the front of `frames` as many as fit into a message of `bytes_max`; one that is larger goes alone.
pub(crate) fn cut(frames: &mut Vec<u8>, bytes_max: usize) -> Vec<u8> {
    let mut end = frames.len();
    if end > bytes_max {
        let mut rest = &frames[..];
        end = 0;
        while binary::take(&mut rest).is_ok() {
            let upto = frames.len() - rest.len();
            if end > 0 && upto > bytes_max {
                break;
            }
            end = upto;
        }
    }
    let behind = frames.split_off(end);
    core::mem::replace(frames, behind)
}
