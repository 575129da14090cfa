//! The client: what the application may ask, and where each input goes.

use alloc::vec::Vec;

use tidewire_protocol::client_frame;
use tidewire_protocol::code::Code;
use tidewire_protocol::name;
use tidewire_protocol::number::Request;
#[cfg(feature = "parties")]
use tidewire_protocol::number::{Incarnation, ProducerId};
use tidewire_protocol::position::Start;

use crate::connection::{Change, Connection};
use crate::fault::{ClientCode, Fault, code_of, is_blame};
use crate::input::{Input, Millis, NEVER};
#[cfg(feature = "parties")]
use crate::options::PartyId;
use crate::options::{Options, SubscribeOptions};
use crate::output::{ListenerId, Output, Packet};
use crate::outputs::Outputs;
use crate::parties::Parties;
use crate::random::Random;
use crate::request::{Asker, Requests};
use crate::sends::Sends;
use crate::subscriptions::Subscriptions;

mod publishing;

mod driving;

mod receiving;

#[cfg(feature = "sends")]
mod sending;

/// One client of one hub. The crate's documentation says how it is driven.
#[derive(Debug)]
pub struct Client {
    options: Options,
    connection: Connection,
    subscriptions: Subscriptions,
    parties: Parties,
    sends: Sends,
    /// Numbers of questions, whoever asks.
    requests: Requests,
    /// Frames to send before all messages.
    wire: Vec<u8>,
    /// The time when the application called last, or [`Self::drive`] was.
    now: Millis,
    outputs: Outputs,
}

impl Client {
    /// A client that has done nothing yet; it connects with [`Self::connect`] or the first use.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let mut client = Self::unset();
        client.set(options);
        client
    }

    /// What [`Self::set`] makes a client of. A constant: built field by field it would be a long function of the wasm
    /// client.
    #[must_use]
    pub const fn unset() -> Self {
        Self {
            connection: Connection::new(),
            subscriptions: Subscriptions::new(),
            parties: Parties::new(),
            sends: Sends::new(),
            requests: Requests::new(),
            wire: Vec::new(),
            now: 0,
            outputs: Outputs::new(),
            options: Options::new(),
        }
    }

    /// Gives its options to a client that has none yet.
    pub fn set(&mut self, options: Options) {
        self.connection.random = Random::new(options.seed);
        self.subscriptions.linger_ms = options.linger_ms;
        self.parties.begin(&options);
        self.options = options;
    }

    /// Starts connecting, or tries again at once. A link that is there is tried by [`Self::probe`].
    pub fn connect(&mut self, now: Millis) {
        let change = self.connection.retry_now(now, &self.options, &mut self.outputs);
        self.follow(now, change);
    }

    /// Asks the hub for a heartbeat, if there is a link: without a word for four seconds, it counts as dead.
    pub fn probe(&mut self, now: Millis) {
        let request = self.requests.following();
        if self.connection.probe(now, self.parties.flying().bytes, request) {
            self.ask_heartbeat(request);
        }
    }

    /// As [`Self::probe`], and `Echoed` tells when the hub has answered to just this number. None if there is no link.
    pub fn ping(&mut self, now: Millis) -> Option<Request> {
        self.connection.probe(now, self.parties.flying().bytes, Request(0));
        if !self.connection.is_online() {
            return None;
        }
        let request = self.requests.ask(Asker::Ping);
        self.ask_heartbeat(request);
        Some(request)
    }

    /// Whether there is a link that may be dead: the hub is asked for a sign of life, and not by [`Self::ping`] alone.
    #[must_use]
    pub const fn is_doubted(&self) -> bool {
        self.connection.is_doubted()
    }

    fn ask_heartbeat(&mut self, request: Request) {
        client_frame::Heartbeat { request }.put(&mut self.wire);
    }

    fn start(&mut self, now: Millis) {
        self.connection.start(now, &self.options, &mut self.outputs);
    }

    /// Ends everything: what waits in the outbox fails with `closed`, and so end the listeners.
    pub fn close(&mut self, now: Millis) {
        let change = self.connection.close(&mut self.outputs);
        self.follow(now, change);
    }

    /// The token to sign in with from now on, also on a link that is up, if the hub takes it there. The one that was given
    /// before changes nothing.
    pub fn set_token(&mut self, now: Millis, token: &str) {
        self.connection.set_token(now, token, &self.options, &mut self.outputs);
        self.follow(now, Change::None);
    }

    /// There is no token: ask again later; or, if `is_final`, there will be none, and everything ends.
    pub fn token_failed(&mut self, now: Millis, is_final: bool) {
        let change = self.connection.token_failed(now, is_final, &self.options, &mut self.outputs);
        self.follow(now, change);
    }

    /// One more who publishes through this client, until [`Self::detach`] or `Detached`: 128 random bits that are a
    /// secret, and an incarnation as in [`Options`]. It has an outbox of its own, as large as the client's.
    #[cfg(feature = "parties")]
    pub fn attach(&mut self, now: Millis, producer: ProducerId, incarnation: Incarnation) -> PartyId {
        let party = self.parties.attach(producer, incarnation, self.options.outbox);
        self.drive(now);
        party
    }

    /// A party goes. What waits in its outbox fails with `closed`.
    #[cfg(feature = "parties")]
    pub fn detach(&mut self, now: Millis, party: PartyId) {
        self.parties.detach(party, ClientCode::Closed.into(), &mut self.outputs);
        self.subscriptions.forget_party(party);
        self.drive(now);
    }

    /// Listens to a topic or pattern.
    ///
    /// # Errors
    /// `closed`, `bad_name`, or `not_supported` of a start that is for pages alone.
    pub fn subscribe(
        &mut self,
        now: Millis,
        name: &str,
        options: SubscribeOptions,
    ) -> Result<ListenerId, Fault> {
        self.check(name, true)?;
        if matches!(options.from, Start::Before { .. }) {
            return Err(Code::NotSupported.into());
        }
        let id = self.subscriptions.subscribe(name, options);
        self.start(now);
        self.drive(now);
        Ok(id)
    }

    /// Asks for a topic's or pattern's history, up to so many messages or 8 MiB of them. They come as messages of
    /// the number that this gives, of as many pages as the hub makes of them, with `Page` behind them, or `Refused`;
    /// [`Self::unsubscribe`] drops the question. It goes on with each link until it has its answer.
    ///
    /// Below a place ([`Start::Before`]) these are the newest, and pages come one before the other: each oldest first, and
    /// all of it by offset.
    ///
    /// # Errors
    /// `closed` or `bad_name`.
    pub fn history(
        &mut self,
        now: Millis,
        name: &str,
        from: Start,
        messages_max: u32,
    ) -> Result<ListenerId, Fault> {
        self.check(name, true)?;
        let id = self.subscriptions.ask_page(name, from, messages_max);
        self.start(now);
        self.drive(now);
        Ok(id)
    }

    /// Has `CaughtUp` told once a listener has been given all that the hub has for it now, or, where it begins anew before
    /// that (`epoch_changed`, `beyond_end`, `compacted`), all that the hub has then. Asked for again before it is told, it is
    /// told once.
    pub fn catch_up(&mut self, now: Millis, listener: ListenerId) {
        self.subscriptions.ask_end(listener);
        self.drive(now);
    }

    /// Ends a listener. No event of it comes after this returns.
    pub fn unsubscribe(&mut self, now: Millis, listener: ListenerId) {
        self.subscriptions.unsubscribe(now, listener);
        self.outputs.forget(listener);
        self.drive(now);
    }

    /// The application is done with so many messages and payload bytes of a listener. Whether that lets the listener
    /// read on; if not, there is nothing to poll for.
    pub fn settled(&mut self, now: Millis, listener: ListenerId, messages: u32, bytes: u32) -> bool {
        let goes_on = self.subscriptions.settled(listener, messages, bytes);
        self.drive(now);
        goes_on
    }

    /// Messages and payload bytes that wait for their outcome, of all parties.
    #[must_use]
    pub fn outbox_state(&self) -> (u32, u64) {
        let loads = self.parties.outboxes().map(|outbox| outbox.load());
        loads.fold((0, 0), |(count, bytes), load| (count + load.count, bytes + load.bytes))
    }

    /// Whether every publish has its outcome.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        !self.parties.waits()
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Millis, input: Input<'_>) {
        let out = &mut self.outputs;
        let change = match input {
            Input::LinkOpened => self.connection.link_opened(),
            Input::LinkClosed { code } => {
                let code = code_of(code);
                let is_guilty = is_blame(code) && self.parties.blamed(code, out);
                self.connection.link_closed(now, code, is_guilty, &self.options, out)
            }
            Input::Timeout => self.connection.timeout(now, &self.options, out),
            Input::Suspend => self.connection.suspend(out),
            Input::Online => self.connection.online(now, &self.options, out),
            Input::Received(bytes) => self.received(now, bytes),
        };
        self.follow(now, change);
    }

    /// When [`Input::Timeout`] is due, if nothing else happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let deadline = self.connection.deadline().min(self.subscriptions.wake_at());
        let deadline = deadline.min(self.parties.wake_at()).min(self.sends.wake_at());
        (deadline != NEVER).then_some(deadline)
    }

    /// The next thing to do; nothing means that all is done until the next call.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop() {
            return Some(output);
        }
        if !self.connection.is_up() {
            return None;
        }
        // An answer to a heartbeat is not answered.
        let is_echo = self.wire.first() == Some(&client_frame::Heartbeat::KIND);
        self.ask();
        let mut packet = Packet { bytes: core::mem::take(&mut self.wire), payloads: Vec::new() };
        if !driving::is_hello(&packet.bytes) {
            self.sends.fill(&mut packet.bytes, self.parties.allowance());
            self.parties.fill(self.now, &mut packet, self.connection.is_online(), &mut self.outputs);
        }
        if packet.bytes.is_empty() {
            return self.outputs.pop();
        }
        if !is_echo {
            self.connection.sent(self.now);
        }
        Some(Output::Send(packet))
    }

    fn check(&self, text: &str, wildcards: bool) -> Result<(), Fault> {
        if self.connection.is_closed() {
            return Err(ClientCode::Closed.into());
        }
        name::check(text, wildcards).map_err(|_| Code::BadName.into())
    }

    /// Does what a change of the connection means for everything else.
    fn follow(&mut self, now: Millis, change: Change) {
        match change {
            Change::None | Change::Online => {}
            Change::Doubt => self.probe(now),
            Change::Up => {
                self.connection.put_hello(&self.options, &mut self.wire);
                self.requests.cut();
                self.subscriptions.reset();
            }
            Change::Down => self.reset(),
            Change::Over(fault) => {
                self.reset();
                self.parties.fail_all(fault, &mut self.outputs);
                self.subscriptions.end(fault, &mut self.outputs);
                self.sends.end();
            }
        }
        if self.connection.is_to_sign_in(now) {
            let request = self.requests.following();
            self.connection.put_sign_in(request, &mut self.wire);
        }
        self.parties.tick(now, &mut self.outputs);
        self.drive(now);
    }

    fn reset(&mut self) {
        self.wire.clear();
        self.requests.cut();
        self.parties.reset();
        self.subscriptions.reset();
        self.sends.reset();
    }
}
