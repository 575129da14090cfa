//! A client that says exactly what a test asks, in either encoding, answers heartbeats, and forgives nothing else.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tidewire_protocol::block::blocks_of_page;
use tidewire_protocol::client_frame::{
    Batch, ClientFrame, Heartbeat, Hello, History, Open, Publish, Subscribe,
};
use tidewire_protocol::code::{Code, Content, WhenSlow};
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::number::{Handle, Incarnation, ProducerId, Request, Seq};
use tidewire_protocol::position::{Position, Start};

use crate::support::socket::{RawSocket, Received, client_frame, handshake, handshake_for};

/// What both ends speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Json,
    Binary,
}

/// The client.
pub(crate) struct Peer {
    socket: RawSocket,
    dialect: Dialect,
    heard: VecDeque<Heard>,
    /// What `welcome` said.
    pub(crate) message_bytes_max: usize,
    pub(crate) frame_bytes_max: usize,
}

/// What a hub says, as far as tests ask.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// With `message_bytes_max` and `frame_bytes_max`.
    Welcome(usize, usize),
    Acked(u64),
    Refused(Code),
    /// Texts of live messages.
    Messages(Vec<String>),
    /// Texts of a page's messages, and where to read on if there are more.
    Page(Vec<String>, Option<Vec<Position>>),
    Heartbeat,
    /// An answer that needs no look: opened, subscribed.
    Done,
    /// Anything that should not come.
    Other(String),
}

impl Peer {
    /// Connects and signs in.
    pub(crate) fn connect(to: SocketAddr, dialect: Dialect, producer: u8) -> Self {
        let mut socket = RawSocket::connect(to);
        let request = match dialect {
            Dialect::Json => handshake(""),
            Dialect::Binary => handshake_for("tidewire.v1", ""),
        };
        let head = socket.ask(&request);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let mut peer =
            Self { socket, dialect, heard: VecDeque::new(), message_bytes_max: 0, frame_bytes_max: 0 };
        let id = [producer; 16];
        peer.say(
            json!({"type": "hello", "producer": hex(&id), "incarnation": 1, "agent": "test"}),
            ClientFrame::Hello(Hello {
                producer: ProducerId(id),
                incarnation: Incarnation(1),
                agent: "test".into(),
                ..Hello::default()
            }),
        );
        match peer.hear() {
            Heard::Welcome(message, frame) => {
                (peer.message_bytes_max, peer.frame_bytes_max) = (message, frame)
            }
            other => panic!("{other:?} instead of a welcome"),
        }
        peer
    }

    pub(crate) fn subscribe(&mut self, name: &str) {
        self.say(
            json!({"type": "subscribe", "request": 1, "name": name, "when_slow": "disconnect"}),
            ClientFrame::Subscribe(Subscribe {
                request: Request(1),
                name: name.into(),
                when_slow: WhenSlow::Disconnect,
                ..Subscribe::default()
            }),
        );
        assert_eq!(self.hear(), Heard::Done);
    }

    pub(crate) fn open(&mut self, handle: u64, topic: &str) {
        self.say(
            json!({"type": "open", "handle": handle, "topic": topic, "lowest": 1}),
            ClientFrame::Open(Open {
                handle: Handle(handle),
                topic: topic.into(),
                lowest: Seq(1),
                ..Open::default()
            }),
        );
        assert_eq!(self.hear(), Heard::Done);
    }

    /// Publishes texts from a seq on, all in one WebSocket message.
    pub(crate) fn publish(&mut self, handle: u64, first: u64, texts: &[String]) {
        self.say_all(handle, first, texts, false);
    }

    /// The same, all or none of them, in JSON in a message as large as any may be.
    pub(crate) fn publish_whole(&mut self, handle: u64, first: u64, texts: &[String]) {
        self.say_all(handle, first, texts, true);
    }

    fn say_all(&mut self, handle: u64, first: u64, texts: &[String], whole: bool) {
        let numbered = (first..).zip(texts);
        let count = texts.len() as u64;
        match self.dialect {
            Dialect::Json => {
                let frame =
                    |(seq, text)| json!({"type": "publish", "handle": handle, "seq": seq, "text": text});
                let batch = whole.then(|| json!({"type": "batch", "count": count}));
                let frames: Value = batch.into_iter().chain(numbered.map(frame)).collect();
                let mut text = frames.to_string().into_bytes();
                if whole {
                    text.resize(self.frame_bytes_max, b' ');
                }
                self.socket.send(&client_frame(0x81, &text));
            }
            Dialect::Binary => {
                let mut bytes = Vec::new();
                if whole {
                    Batch { count }.put(&mut bytes);
                }
                for (seq, text) in numbered {
                    let publish = Publish {
                        handle: Handle(handle),
                        seq: Seq(seq),
                        content: Content::Text,
                        payload: text.as_bytes().into(),
                        ..Publish::default()
                    };
                    publish.put(&mut bytes);
                }
                self.socket.send(&client_frame(0x82, &bytes));
            }
        }
    }

    /// Asks for a page of history and waits for it.
    pub(crate) fn page(&mut self, name: &str, from: Start) -> (Vec<String>, Option<Vec<Position>>) {
        self.say(
            json!({"type": "history", "request": 2, "name": name, "from": from}),
            ClientFrame::History(History {
                request: Request(2),
                name: name.into(),
                from,
                ..History::default()
            }),
        );
        match self.hear() {
            Heard::Page(texts, next) => (texts, next),
            other => panic!("{other:?} instead of a page"),
        }
    }

    /// The next thing that is no heartbeat.
    pub(crate) fn hear(&mut self) -> Heard {
        loop {
            match self.hear_any() {
                Heard::Heartbeat => {}
                heard => return heard,
            }
        }
    }

    /// The next thing. A heartbeat is answered.
    pub(crate) fn hear_any(&mut self) -> Heard {
        while self.heard.is_empty() {
            match self.socket.receive() {
                Received::Text(Value::Array(frames)) => self.heard.extend(frames.iter().map(of_json)),
                Received::Text(frame) => self.heard.push_back(of_json(&frame)),
                Received::Binary(bytes) => {
                    let mut rest = &bytes[..];
                    while !rest.is_empty() {
                        self.heard.extend(HubFrame::take(&mut rest).unwrap().map(|frame| of_binary(&frame)));
                    }
                }
                other => return Heard::Other(format!("{other:?}")),
            }
        }
        let heard = self.heard.pop_front().unwrap();
        if heard == Heard::Heartbeat {
            self.say(json!({"type": "heartbeat"}), ClientFrame::Heartbeat(Heartbeat::default()));
        }
        heard
    }

    fn say(&mut self, json: Value, binary: ClientFrame<'_>) {
        match self.dialect {
            Dialect::Json => self.socket.say(json),
            Dialect::Binary => {
                let mut bytes = Vec::new();
                binary.put(&mut bytes);
                self.socket.send(&client_frame(0x82, &bytes));
            }
        }
    }
}

fn of_json(frame: &Value) -> Heard {
    let texts = |messages: &Value| -> Vec<String> {
        messages
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["text"].as_str().unwrap().to_owned())
            .collect()
    };
    match frame["type"].as_str().unwrap() {
        "welcome" => {
            let size = |name: &str| frame[name].as_u64().unwrap() as usize;
            Heard::Welcome(size("message_bytes_max"), size("frame_bytes_max"))
        }
        "acked" => Heard::Acked(frame["count"].as_u64().unwrap_or(1)),
        "refused" => Heard::Refused(Code::from_name(frame["code"].as_str().unwrap())),
        "block" => Heard::Messages(texts(&frame["messages"])),
        "page" => {
            let blocks = frame["blocks"].as_array().unwrap();
            let more = frame["more"].as_bool() == Some(true);
            let next = more.then(|| serde_json::from_value(frame["upto"].clone()).unwrap());
            Heard::Page(blocks.iter().flat_map(|block| texts(&block["messages"])).collect(), next)
        }
        "heartbeat" => Heard::Heartbeat,
        "opened" | "subscribed" => Heard::Done,
        _ => Heard::Other(frame.to_string()),
    }
}

fn of_binary(frame: &HubFrame<'_>) -> Heard {
    let text = |payload: &[u8]| String::from_utf8(payload.to_vec()).unwrap();
    match frame {
        HubFrame::Welcome(welcome) => {
            Heard::Welcome(welcome.message_bytes_max as usize, welcome.frame_bytes_max as usize)
        }
        HubFrame::Acked(acked) => Heard::Acked(acked.count.max(1)),
        HubFrame::Refused(refused) => Heard::Refused(refused.code),
        HubFrame::Block(block) => {
            Heard::Messages(block.messages().map(|message| text(message.unwrap().payload)).collect())
        }
        HubFrame::Page(page) => {
            let blocks = blocks_of_page(&page.blocks).map(Result::unwrap);
            let texts =
                blocks.flat_map(|block| block.messages()).map(|message| text(message.unwrap().payload));
            Heard::Page(texts.collect(), page.more.then(|| page.upto.clone()))
        }
        HubFrame::Heartbeat(_) => Heard::Heartbeat,
        HubFrame::Opened(_) | HubFrame::Subscribed(_) => Heard::Done,
        other => Heard::Other(format!("{other:?}")),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
