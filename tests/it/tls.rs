//! A hub that speaks TLS: what clients and operators meet, and what else comes to its port.

use rustls::version::{TLS12, TLS13};
use serde_json::json;

use crate::support::secured::Secured;
use crate::support::socket::RawSocket;

/// Publishes a text and waits until it is stored.
fn publish(socket: &mut RawSocket, handle: u64, topic: &str, text: &str) {
    socket.say(json!({"type": "open", "handle": handle, "topic": topic, "lowest": 1}));
    let seq = socket.hear_of("opened")["next"].as_u64().unwrap();
    socket.say(json!({"type": "publish", "handle": handle, "seq": seq, "lowest": seq, "text": text}));
    socket.hear_of("acked");
}

#[test]
fn messages_come_by_both_versions_of_tls_and_connections_end_in_order() {
    let secured = Secured::start();
    for (version, topic) in [(&TLS13, "three"), (&TLS12, "two")] {
        let config = secured.authority.trusting_by(&[version]);
        let connect = || RawSocket::secure(secured.address(), &config).unwrap();
        let mut subscriber = connect().upgraded().sign_in();
        assert_eq!(subscriber.tls().protocol_version(), Some(version.version));
        subscriber.say(json!({"type": "subscribe", "request": 1, "name": topic}));
        subscriber.hear_of("subscribed");
        let mut publisher = connect().upgraded().sign_in();
        // From less than a record to many.
        for (at, size) in [1, 100, 16 << 10, 200 << 10].into_iter().enumerate() {
            let text = "x".repeat(size);
            publish(&mut publisher, at as u64 + 1, topic, &text);
            assert_eq!(subscriber.hear_of("block")["messages"][0]["text"], text, "{size} bytes");
        }
        let mut silent = connect().upgraded();
        silent.say(json!([1]));
        assert!(silent.close_code().is_some());
        // Without the last word of TLS this fails.
        assert!(silent.rest().is_empty());
    }
}
