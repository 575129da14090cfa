//! Subscribers name their topic in the address and get payloads as they are; a payload names its own topic.

use crate::dialect::{Request, Wants};
use crate::stamp;
use crate::websocket::{self, Opcode};

pub(super) fn subscriber_request(wants: Wants) -> Request {
    let path = match wants {
        Wants::Topic(topic) | Wants::AllOfTopic(topic) => format!("/?topic={}", stamp::topic_name(topic)),
        // These servers have no patterns; the rows with patterns leave them out.
        Wants::EveryTopic | Wants::EverythingKept => "/?topic=*".to_owned(),
    };
    Request { path, subprotocol: None, events: false }
}

pub(super) fn publisher_request() -> Request {
    Request { path: "/".to_owned(), subprotocol: None, events: false }
}

pub(super) fn put_publish(payload: &[u8], out: &mut Vec<u8>) {
    websocket::put_masked(Opcode::Binary, out, |out| out.extend_from_slice(payload));
}
