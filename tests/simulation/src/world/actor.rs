//! One client, the application on top of it, and what both know of each other.

use tidewire_client_core::client::Client;
use tidewire_client_core::options::{Options, OutboxOptions, PartyId, WhenFull};
use tidewire_client_core::output::{ListenerId, Packet};
use tidewire_protocol::number::{Incarnation, ProducerId};

use crate::names::{SELECTORS, SelectorIndex, TOPICS};
use crate::oracle::payload::put_payload;
use crate::oracle::{Publish, Uid};
use crate::world::link::LinkId;
use crate::world::tokens::TokenIndex;

/// A client and its application.
#[derive(Debug)]
pub struct Actor {
    /// The client.
    pub client: Client,
    /// Its identity as publisher.
    pub producer: u64,
    /// Its incarnation.
    pub incarnation: u64,
    /// A second party on its connection.
    pub side: Option<Side>,
    /// How many second parties it had.
    pub sides: u32,
    /// Those that went on elsewhere: what its client says of them is nobody's business.
    pub left: Vec<PartyId>,
    /// Its link, while it has one.
    pub link: Option<LinkId>,
    /// One that it let go of while what it said there was on its way.
    pub slow_link: Option<LinkId>,
    /// Number of its last try to connect; answers to earlier ones are void.
    pub attempt: u32,
    /// When its timer goes off.
    pub timer_at: u64,
    /// The oracle's listeners, by the client's numbers from 1.
    pub listeners: Vec<usize>,
    /// Those that have not ended.
    pub listening: Vec<Seat>,
    /// What it published, by its own numbers from 1.
    pub published: Vec<Uid>,
    /// The seqs that those went out under; 0 for what was never sent.
    pub seqs: Vec<u64>,
    /// How much it published to each topic.
    pub counters: [u32; TOPICS],
    /// As which party it published that.
    pub parties: Vec<PartyId>,
    /// Names for which some listener asked to skip when slow.
    pub skips: [bool; SELECTORS],
    /// Whether it is signed in.
    pub online: bool,
    /// Whether the application has closed it.
    pub closed: bool,
    /// Whether its client has taken over from one before it, for itself or for a party.
    pub rebuilt: bool,
    /// Whether a newer incarnation has taken over.
    pub taken_over: bool,
    /// Tokens that its application gave, the last one last.
    pub tokens: Vec<TokenIndex>,
    /// Since when the one that the hub has checked last allows it less.
    pub narrow_since: Option<u64>,
    /// Whether one ever did.
    pub was_narrow: bool,
    asks_tokens: bool,
    /// Messages that its outbox takes.
    pub outbox_count_max: u32,
}

/// Another party on a client's connection.
#[derive(Debug, Clone, Copy)]
pub struct Side {
    /// The client's number for it.
    pub party: PartyId,
    /// The actor that it came to first.
    pub actor: usize,
    /// Its number among that actor's.
    pub number: u32,
    /// Its identity as publisher.
    pub producer: u64,
    /// Its incarnation.
    pub incarnation: u64,
    /// How much it published to each topic.
    pub counters: [u32; TOPICS],
}

/// A listener as the application sees it.
#[derive(Debug, Clone, Copy)]
pub struct Seat {
    /// The client's number.
    pub id: ListenerId,
    /// What it listens to.
    pub selector: SelectorIndex,
}

impl Actor {
    /// A client that has done nothing yet.
    #[must_use]
    pub fn new(producer: u64, incarnation: u64, seed: u64, outbox_count_max: u32, asks_tokens: bool) -> Self {
        Self {
            client: client(producer, incarnation, seed, outbox_count_max, asks_tokens),
            producer,
            incarnation,
            side: None,
            sides: 0,
            left: Vec::new(),
            link: None,
            slow_link: None,
            attempt: 0,
            timer_at: u64::MAX,
            listeners: Vec::new(),
            listening: Vec::new(),
            published: Vec::new(),
            seqs: Vec::new(),
            counters: [0; TOPICS],
            parties: Vec::new(),
            skips: [false; SELECTORS],
            online: false,
            closed: false,
            taken_over: false,
            rebuilt: false,
            tokens: Vec::new(),
            narrow_since: None,
            was_narrow: false,
            asks_tokens,
            outbox_count_max,
        }
    }

    /// Its client is gone with all that it knew, and another one takes its place, which knows nothing yet.
    pub fn rebuild(&mut self, seed: u64) {
        self.incarnation += 1;
        let Self { producer, incarnation, outbox_count_max, asks_tokens, .. } = *self;
        self.client = client(producer, incarnation, seed, outbox_count_max, asks_tokens);
        self.timer_at = u64::MAX;
        self.listeners.clear();
        self.listening.clear();
        self.left.clear();
        self.rebuilt = true;
    }

    /// A packet with its payloads in their places.
    #[must_use]
    pub fn compose(&self, packet: &Packet, publishes: &[Publish]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(packet.bytes.len() + 64 * packet.payloads.len());
        let mut from = 0;
        for splice in &packet.payloads {
            let uid = self.published[splice.id.0 as usize - 1];
            bytes.extend_from_slice(&packet.bytes[from..splice.at as usize]);
            from = splice.at as usize;
            put_payload(uid, publishes[uid as usize].len as usize, &mut bytes);
        }
        bytes.extend_from_slice(&packet.bytes[from..]);
        bytes
    }
}

/// The secret of a producer.
#[must_use]
pub fn secret(producer: u64) -> ProducerId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&producer.to_be_bytes());
    ProducerId(id)
}

fn client(producer: u64, incarnation: u64, seed: u64, outbox_count_max: u32, asks_tokens: bool) -> Client {
    let outbox =
        OutboxOptions { count_max: outbox_count_max, bytes_max: 1 << 20, when_full: WhenFull::DropOldest };
    Client::new(Options {
        producer: secret(producer),
        incarnation: Incarnation(incarnation),
        agent: "simulation".into(),
        outbox,
        seed,
        asks_tokens,
        ..Options::default()
    })
}
