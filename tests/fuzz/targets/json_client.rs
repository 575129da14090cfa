//! What a client may send in JSON: it can be said in binary too, and means the same there.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewire_protocol::client_frame::ClientFrame;
use tidewire_protocol::json;

fuzz_target!(|message: &str| {
    let Ok(frames) = json::frames(message) else { return };
    assert!(frames.len() <= message.len() / 12 + 1);
    for frame in frames {
        let Ok(Some(frame)) = json::take_client(frame) else { continue };
        let mut written = Vec::new();
        frame.put(&mut written);
        assert_eq!(ClientFrame::take(&mut &*written), Ok(Some(frame)));
    }
});
