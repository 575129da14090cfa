//! A client of an event stream that believes nothing: it takes the chunks apart, and events as browsers do.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::Value;

use crate::support::socket::RawSocket;

/// The client.
pub(crate) struct Listener {
    socket: RawSocket,
    /// The head of the answer.
    pub(crate) head: String,
    text: String,
    /// What came, each with the id that it brought.
    came: VecDeque<(Option<String>, Option<Event>)>,
    /// What it would come back with who has seen what was asked for so far.
    pub(crate) id: String,
    pub(crate) retry: u64,
}

/// An event; a message has no name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: Value,
}

impl Listener {
    /// Asks for events with these parameters, behind an id if it has one.
    pub(crate) fn start(to: SocketAddr, query: &str, id: &str) -> Self {
        let listener = Self::on(RawSocket::connect(to), &request(query, id));
        assert!(listener.head.starts_with("HTTP/1.1 200 "), "{}", listener.head);
        listener
    }

    /// Says this, and takes the answer for one with events.
    pub(crate) fn on(mut socket: RawSocket, request: &str) -> Self {
        let head = socket.ask(request);
        let (text, id) = (String::new(), String::new());
        Self { socket, head, text, came: VecDeque::new(), id, retry: 0 }
    }

    /// The next event; `None` at the end, which must be said.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((id, event)) = self.came.pop_front() {
                self.id = id.unwrap_or(std::mem::take(&mut self.id));
                if event.is_some() {
                    return event;
                }
                continue;
            }
            let line = self.socket.line();
            let length = usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("{line:?} is no length"));
            let chunk = self.socket.body(length);
            assert_eq!(self.socket.line(), "", "a chunk has another length than it says");
            if length == 0 {
                assert!(self.text.is_empty() && self.socket.rest().is_empty(), "something is left");
                return None;
            }
            self.text.push_str(&chunk);
            self.take_events();
        }
    }

    /// The next event of a name; others are passed over, but no end is.
    #[track_caller]
    pub(crate) fn next_of(&mut self, name: &str) -> Value {
        loop {
            let event = self.next().unwrap_or_else(|| panic!("the stream ended before {name:?}"));
            if event.name == name {
                return event.data;
            }
            assert!(!["closed", "gap", "unsubscribed"].contains(&&*event.name), "{event:?}");
        }
    }

    pub(crate) fn hang_up(self) {
        self.socket.hang_up();
    }

    fn take_events(&mut self) {
        while let Some(end) = self.text.find("\n\n") {
            let rest = self.text.split_off(end + 2);
            let event = std::mem::replace(&mut self.text, rest);
            let (mut name, mut data, mut id) = (String::new(), None, None);
            for line in event.lines() {
                match line.split_once(": ") {
                    Some(("event", value)) => name = value.to_owned(),
                    Some(("data", value)) => data = Some(serde_json::from_str(value).unwrap()),
                    Some(("id", value)) => id = Some(value.to_owned()),
                    Some(("retry", value)) => self.retry = value.parse().unwrap(),
                    _ => assert!(line.is_empty() || line == ":", "{line:?}"),
                }
            }
            self.came.push_back((id, data.map(|data| Event { name, data })));
        }
    }
}

/// A request for events, as `EventSource` makes it.
pub(crate) fn request(query: &str, id: &str) -> String {
    let id = if id.is_empty() { String::new() } else { format!("last-event-id: {id}\r\n") };
    format!("GET /v1/events?{query} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n{id}\r\n")
}
