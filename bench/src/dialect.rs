//! The protocols of the servers, as a client that subscribes and one that publishes must speak them.
//!
//! A dialect knows bytes only. It says which WebSocket to ask for, what to say first, what a frame from the server
//! means, and how a publish is written.

use anyhow::Result;

use crate::ledger::Ledger;
use crate::websocket::{self, Frame};

mod centrifuge;
mod events;
pub mod intruder;
mod jetstream;
mod nats;
mod plain;
mod plain_answered;
mod quoted;
mod socket_io;
mod tidewire;
mod tidewire_json;
mod tidewire_send;

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Tidewire's compact encoding. A subscriber says `hello` and `subscribe` in one flight.
    Tidewire,
    /// The same, but a subscriber waits for `welcome` before it subscribes.
    TidewireStepwise,
    /// The same, and publishers use `send`, which nobody answers.
    TidewireSend,
    /// Tidewire's JSON encoding.
    TidewireJson,
    /// Tidewire's compact encoding for publishers, and Server-Sent Events for subscribers.
    TidewireEvents,
    /// The same of `usual`: payloads as they are, and as events.
    PlainEvents,
    /// A topic in the address, and payloads as they are: `floor`, `usual` and Bun.
    Plain,
    /// The same, and the server says how many publishes it has stored: `floor-append`.
    PlainAnswered,
    /// NATS's own lines inside WebSocket frames.
    Nats,
    /// The same, with one stream for all topics: publishes are answered, and subscribers read it by a consumer.
    JetStream,
    /// Centrifuge's JSON commands.
    Centrifuge,
    /// Engine.IO 4 packets.
    SocketIo,
}

/// The WebSocket to ask for, or the stream of events.
#[derive(Debug)]
pub struct Request {
    /// Path and query.
    pub path: String,
    /// Subprotocol, if the server wants one.
    pub subprotocol: Option<&'static str>,
    /// Whether it is events, and no WebSocket.
    pub events: bool,
}

/// One subscriber's side of its conversation.
#[derive(Debug, Clone, Copy)]
pub struct Subscriber {
    /// Its number in the ledger.
    pub index: u32,
    /// What it subscribes to.
    pub wants: Wants,
    /// Whether messages may come: the handshake is over and the server has confirmed the subscription.
    pub ready: bool,
    /// Last offset it has, where the protocol has offsets; what a resume starts after.
    pub cursor: u64,
    /// Identity of the log that the cursor belongs to; 0 before the first subscription.
    pub epoch: u64,
    /// How long the token is good that it has signed in with; none without one.
    pub term: Option<Term>,
    /// Whether the server has taken a later one on the same connection.
    pub renewed: bool,
}

/// How long a token is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// When the server said so, by the generator's clock.
    pub since_ns: u64,
    /// For how many milliseconds from then on.
    pub ms: u64,
}

/// What to subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// One topic.
    Topic(u32),
    /// All topics of the bench.
    EveryTopic,
    /// All topics of the bench, from the oldest message kept on.
    EverythingKept,
    /// One topic, from the oldest message kept on.
    AllOfTopic(u32),
}

/// Number of a topic that no pattern of the bench matches.
pub const ELSEWHERE: u32 = u32::MAX;

/// One publisher's side of its conversation.
#[derive(Debug)]
pub struct Publisher {
    /// Its number.
    pub index: u32,
    /// The topics it publishes to.
    pub topics: Vec<u32>,
    /// Topics that the server still has to confirm before publishing may begin; none where it confirms nothing.
    pub unopened: usize,
    /// Whether publishing may begin.
    pub ready: bool,
    /// How many of each topic's messages, by place in `topics`, the server has acknowledged.
    pub acked: Vec<u32>,
    /// The sum of them.
    pub answered: u64,
    /// Topics of which the server said, when they were opened, that it knows nothing of this publisher's messages.
    pub unknown: usize,
    /// Its messages have one of so many keys; 0 for none.
    pub keys: u32,
}

/// One message to publish.
#[derive(Debug, Clone, Copy)]
pub struct Publish<'a> {
    /// Place of its topic among the publisher's.
    pub place: usize,
    /// Its number, from 0.
    pub seq: u32,
    /// The bytes.
    pub payload: &'a [u8],
}

impl Dialect {
    /// The WebSocket a subscriber asks for.
    #[must_use]
    pub fn subscriber_request(self, wants: Wants) -> Request {
        match self {
            Self::Plain | Self::PlainAnswered => plain::subscriber_request(wants),
            Self::TidewireEvents => events::hub_request(wants),
            Self::PlainEvents => events::usual_request(wants),
            other => other.request(),
        }
    }

    /// The WebSocket a publisher asks for.
    #[must_use]
    pub fn publisher_request(self) -> Request {
        match self {
            Self::Plain | Self::PlainAnswered | Self::PlainEvents => plain::publisher_request(),
            other => other.request(),
        }
    }

    fn request(self) -> Request {
        let (path, subprotocol) = match self {
            Self::Tidewire | Self::TidewireStepwise | Self::TidewireSend | Self::TidewireEvents => {
                ("/v1/ws", Some(tidewire_protocol::SUBPROTOCOL_BINARY))
            }
            Self::TidewireJson => ("/v1/ws", Some(tidewire_protocol::SUBPROTOCOL_JSON)),
            Self::Plain | Self::PlainAnswered | Self::PlainEvents | Self::Nats | Self::JetStream => {
                ("/", None)
            }
            Self::Centrifuge => ("/connection/websocket", None),
            Self::SocketIo => ("/socket.io/?EIO=4&transport=websocket", None),
        };
        Request { path: path.to_owned(), subprotocol, events: false }
    }

    /// What a subscriber says once its WebSocket is open; only the hub's WebSockets in the compact encoding are told
    /// its token, which is empty if there is none.
    pub fn greet_as_subscriber(self, subscriber: &mut Subscriber, token: &str, out: &mut Vec<u8>) {
        match self {
            Self::Tidewire | Self::TidewireSend => tidewire::greet_and_subscribe(subscriber, token, out),
            Self::TidewireStepwise => tidewire::greet(None, token, out),
            Self::TidewireJson => tidewire_json::greet(out),
            // All was said in the request.
            Self::TidewireEvents => {}
            Self::Plain | Self::PlainAnswered | Self::PlainEvents => subscriber.ready = true,
            // These wait for the server to speak first.
            Self::Nats | Self::JetStream | Self::SocketIo => {}
            Self::Centrifuge => centrifuge::greet(Some(subscriber.wants), out),
        }
    }

    /// What a publisher says once its WebSocket is open.
    pub fn greet_as_publisher(self, publisher: &mut Publisher, out: &mut Vec<u8>) {
        match self {
            Self::Tidewire
            | Self::TidewireStepwise
            | Self::TidewireSend
            | Self::TidewireJson
            | Self::TidewireEvents => tidewire::greet(Some(publisher.index), "", out),
            Self::Plain | Self::PlainAnswered | Self::PlainEvents => publisher.ready = true,
            Self::Nats | Self::JetStream | Self::SocketIo => {}
            Self::Centrifuge => centrifuge::greet(None, out),
        }
    }

    /// What a subscriber says to bring its next token. Only to a hub that it has signed in to.
    pub fn put_sign_in(self, token: &str, out: &mut Vec<u8>) {
        if self.resumes() {
            tidewire::put_sign_in(token, out);
        }
    }

    /// Understands one frame that a subscriber received.
    ///
    /// # Errors
    /// If the server refuses something or says what the protocol does not allow.
    #[inline]
    pub fn hear_as_subscriber(
        self,
        subscriber: &mut Subscriber,
        frame: Frame<'_>,
        ledger: &mut Ledger,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        match self {
            Self::Tidewire | Self::TidewireStepwise | Self::TidewireSend => {
                let stepwise = self == Self::TidewireStepwise;
                tidewire::hear_as_subscriber(subscriber, stepwise, frame.payload, ledger, out)
            }
            Self::TidewireJson => tidewire_json::hear(subscriber, frame.payload, ledger, out),
            Self::TidewireEvents => events::hear_hub(subscriber, frame.payload, ledger),
            Self::PlainEvents => {
                events::hear_usual(subscriber, frame.payload, ledger);
                Ok(())
            }
            Self::Plain | Self::PlainAnswered => {
                ledger.deliver(subscriber.index as usize, frame.payload);
                Ok(())
            }
            Self::Nats => nats::hear_as_subscriber(subscriber, frame.payload, ledger, out),
            Self::JetStream => jetstream::hear_as_subscriber(subscriber, frame.payload, ledger, out),
            Self::Centrifuge => centrifuge::hear_as_subscriber(subscriber, frame.payload, ledger, out),
            Self::SocketIo => socket_io::hear_as_subscriber(subscriber, frame.payload, ledger, out),
        }
    }

    /// Understands one frame that a publisher received.
    ///
    /// # Errors
    /// If the server refuses something or says what the protocol does not allow.
    pub fn hear_as_publisher(
        self,
        publisher: &mut Publisher,
        frame: Frame<'_>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        match self {
            Self::Tidewire | Self::TidewireStepwise | Self::TidewireJson | Self::TidewireEvents => {
                tidewire::hear_as_publisher(publisher, frame.payload, out)
            }
            Self::TidewireSend => tidewire_send::hear_as_publisher(publisher, frame.payload, out),
            Self::Plain | Self::PlainEvents => Ok(()),
            Self::PlainAnswered => plain_answered::hear_as_publisher(publisher, frame.payload),
            Self::Nats => nats::hear_as_publisher(publisher, frame.payload, out),
            Self::JetStream => jetstream::hear_as_publisher(publisher, frame.payload, out),
            Self::Centrifuge => centrifuge::hear_as_publisher(publisher, frame.payload, out),
            Self::SocketIo => socket_io::hear_as_publisher(publisher, frame.payload, out),
        }
    }

    /// Appends one publish.
    pub fn put_publish(self, publisher: &Publisher, publish: Publish<'_>, out: &mut Vec<u8>) {
        let topic = publisher.topics[publish.place];
        match self {
            Self::Tidewire | Self::TidewireStepwise | Self::TidewireJson | Self::TidewireEvents => {
                tidewire::put_publish(publisher, publish, out);
            }
            Self::TidewireSend => tidewire_send::put(publish, out),
            Self::Plain | Self::PlainAnswered | Self::PlainEvents => plain::put_publish(publish.payload, out),
            Self::Nats => nats::put_publish(topic, publish.payload, out),
            Self::JetStream => jetstream::put_publish(publisher, publish, out),
            Self::Centrifuge => centrifuge::put_publish(topic, publish.payload, out),
            Self::SocketIo => socket_io::put_publish(publish.payload, out),
        }
    }

    /// Appends a publish of nothing, which uses up a number. Only where there are windows.
    pub fn put_void(self, place: usize, seq: u32, out: &mut Vec<u8>) {
        if self.has_windows() {
            tidewire::put_void(place, seq, out);
        }
    }

    /// Whether publishes are acknowledged one by one.
    #[must_use]
    pub const fn acknowledges(self) -> bool {
        self.has_windows() || matches!(self, Self::PlainAnswered | Self::JetStream)
    }

    /// Whether the server keeps what each publisher has published of late, to know its repeats.
    #[must_use]
    pub const fn has_windows(self) -> bool {
        matches!(self, Self::Tidewire | Self::TidewireStepwise | Self::TidewireJson | Self::TidewireEvents)
    }

    /// Bytes of the longest frame that a subscriber may get, as far as that is known to be long.
    #[must_use]
    pub const fn frame_bytes_max(self) -> usize {
        match self {
            // All that waits for a client that is no browser goes into one frame.
            Self::JetStream => websocket::FRAME_BYTES_MAX,
            Self::Tidewire
            | Self::TidewireStepwise
            | Self::TidewireSend
            | Self::TidewireJson
            | Self::TidewireEvents
            | Self::Plain
            | Self::PlainAnswered
            | Self::PlainEvents
            | Self::Nats
            | Self::Centrifuge
            | Self::SocketIo => 0,
        }
    }

    /// Whether a subscriber that comes back gets what it missed.
    #[must_use]
    pub const fn resumes(self) -> bool {
        matches!(self, Self::Tidewire | Self::TidewireStepwise | Self::TidewireSend)
    }
}

impl Publisher {
    /// The key of a message, if it has one.
    pub(crate) fn key(&self, publish: Publish<'_>) -> Option<u32> {
        (self.keys > 0).then(|| publish.seq % self.keys)
    }

    /// A publisher that has said nothing yet.
    #[must_use]
    pub fn new(index: u32, topics: Vec<u32>) -> Self {
        let acked = vec![0; topics.len()];
        Self { index, topics, unopened: 0, ready: false, acked, answered: 0, unknown: 0, keys: 0 }
    }
}

impl Subscriber {
    /// A subscriber that has said nothing yet.
    #[must_use]
    pub const fn new(index: u32, wants: Wants) -> Self {
        Self { index, wants, ready: false, cursor: 0, epoch: 0, term: None, renewed: false }
    }
}
