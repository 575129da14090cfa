//! What a client may send in binary: what is read is written and read again the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewire_protocol::client_frame::ClientFrame;

fuzz_target!(|message: &[u8]| {
    let mut rest = message;
    while !rest.is_empty() {
        let Ok(frame) = ClientFrame::take(&mut rest) else { return };
        let Some(frame) = frame else { continue };
        let mut written = Vec::new();
        frame.put(&mut written);
        assert_eq!(ClientFrame::take(&mut &*written), Ok(Some(frame)));
    }
});
