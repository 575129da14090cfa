//! The client: what the application may ask, and where each input goes.

use alloc::vec::Vec;

use tidewire_protocol::binary;
use tidewire_protocol::block::Block;
use tidewire_protocol::client_frame;
use tidewire_protocol::code::{Code, Content};
use tidewire_protocol::field::{Field, Fields};
use tidewire_protocol::hub_frame::{
    Acked, Detached, Failed, Goodbye, Heartbeat, Missing, Opened, Page, Progress, Refused, Subscribed,
    Unsubscribed, Welcome,
};
use tidewire_protocol::name;
use tidewire_protocol::position::Start;

use crate::connection::{Change, Connection};
use crate::fault::{Broken, ClientCode, Fault, code_of, is_blame};
use crate::history::{ASKS, History, Question};
use crate::input::{Input, Millis, NEVER};
use crate::options::{Options, SubscribeOptions};
use crate::outbox::Outbox;
use crate::output::{ListenerId, Output, Packet, PublishId};
use crate::outputs::Outputs;
use crate::sends::Sends;
#[cfg(feature = "sends")]
use crate::sends::Update;
use crate::subscriptions::Subscriptions;

mod driving;

/// One client of one hub. The crate's documentation says how it is driven.
#[derive(Debug)]
pub struct Client {
    options: Options,
    connection: Connection,
    subscriptions: Subscriptions,
    history: History,
    outbox: Outbox,
    sends: Sends,
    /// Frames to send before all messages.
    wire: Vec<u8>,
    /// The time when [`Self::drive`] was called last.
    now: Millis,
    outputs: Outputs,
}

impl Client {
    /// A client that has done nothing yet; it connects with [`Self::connect`] or the first use.
    #[must_use]
    pub const fn new(options: Options) -> Self {
        Self {
            connection: Connection::new(options.seed),
            subscriptions: Subscriptions::new(options.linger_ms),
            history: History::new(),
            outbox: Outbox::new(options.outbox, options.incarnation.0 > 1),
            sends: Sends::new(),
            wire: Vec::new(),
            now: 0,
            outputs: Outputs::new(),
            options,
        }
    }

    /// Starts connecting, if that has not been done.
    pub fn connect(&mut self, now: Millis) {
        self.connection.start(now, &self.options, &mut self.outputs);
    }

    /// Ends everything: what waits in the outbox fails with `closed`, and so end the listeners.
    pub fn close(&mut self, now: Millis) {
        let change = self.connection.close(&mut self.outputs);
        self.follow(now, change);
    }

    /// The token to sign in with from now on.
    pub fn set_token(&mut self, now: Millis, token: &str) {
        self.connection.set_token(now, token, &mut self.outputs);
    }

    /// There is no token: try again later, or, if `is_final`, never.
    pub fn token_failed(&mut self, now: Millis, is_final: bool) {
        let change = self.connection.token_failed(now, is_final, &mut self.outputs);
        self.follow(now, change);
    }

    /// Takes a message of `payload_len` bytes into the outbox. The shell keeps the payload under the id until
    /// `Published` or `Failed` says what became of it.
    ///
    /// # Errors
    /// `closed`, `bad_name` or `outbox_full`; nothing was taken then.
    pub fn publish(
        &mut self,
        now: Millis,
        topic: &str,
        content: Content,
        payload_len: u32,
    ) -> Result<PublishId, Fault> {
        self.check(topic, false)?;
        let id = self.outbox.publish(topic, content, payload_len, &mut self.outputs)?;
        self.connect(now);
        Ok(id)
    }

    /// Sends an update that may be lost, such as where a pointer is: no outbox keeps it, and no outcome is told.
    ///
    /// One that cannot go at once waits for at most `expires_ms`; after that it is dropped. Updates of one topic keep
    /// their order.
    ///
    /// # Errors
    /// `closed`, `bad_name`, `too_large`, `not_supported` by the hub, or the hub's refusal of the topic. It is dropped.
    #[cfg(feature = "sends")]
    pub fn send(
        &mut self,
        now: Millis,
        topic: &str,
        content: Content,
        payload: &[u8],
        expires_ms: Millis,
    ) -> Result<(), Fault> {
        self.check(topic, false)?;
        self.connect(now);
        let until = (expires_ms > 0).then(|| now.saturating_add(expires_ms));
        let update = Update { topic, content, payload, until };
        let online = self.connection.is_online();
        self.sends.send(now, update, self.outbox.allowance(), online)
    }

    /// Why updates to a topic would be dropped now, as far as the hub has said.
    #[cfg(feature = "sends")]
    #[must_use]
    pub fn send_refusal(&self, now: Millis, topic: &str) -> Option<Fault> {
        self.sends.refusal(now, topic)
    }

    /// Updates that were dropped since the client began.
    #[cfg(feature = "sends")]
    #[must_use]
    pub const fn sends_dropped(&self) -> u64 {
        self.sends.dropped()
    }

    /// The message was sent before, by a client that is no more: it goes out marked as a possible duplicate.
    /// To be said right after its `publish`.
    pub fn doubt(&mut self, id: PublishId) {
        self.outbox.doubt(id);
    }

    /// Withdraws a message: at once if it was never sent, else by a void in its place. It then ends as
    /// `cancelled`, or as published if that came too late.
    pub fn cancel(&mut self, _now: Millis, id: PublishId) {
        self.outbox.cancel(id, &mut self.outputs);
    }

    /// Listens to a topic or pattern.
    ///
    /// # Errors
    /// `closed` or `bad_name`.
    pub fn subscribe(
        &mut self,
        now: Millis,
        name: &str,
        options: SubscribeOptions,
    ) -> Result<ListenerId, Fault> {
        self.check(name, true)?;
        let id = self.subscriptions.subscribe(name, options);
        self.connect(now);
        self.drive(now);
        Ok(id)
    }

    /// Asks for a page of a topic's or pattern's history, with at most so many messages. They come as messages of
    /// the number that this gives, with `Page` behind them, or `Refused` instead; [`Self::unsubscribe`] drops the
    /// question. It is asked anew on each link until it has its answer.
    ///
    /// # Errors
    /// `closed`, `bad_name`, or `not_supported` without this crate's feature `history`.
    pub fn history(
        &mut self,
        now: Millis,
        name: &str,
        from: Start,
        messages_max: u32,
    ) -> Result<ListenerId, Fault> {
        self.check(name, true)?;
        if !ASKS {
            return Err(Code::NotSupported.into());
        }
        let id = self.subscriptions.following();
        self.history.ask(Question::new(id, name, from, messages_max));
        self.connect(now);
        self.drive(now);
        Ok(id)
    }

    /// Ends a listener. No event of it comes after this returns.
    pub fn unsubscribe(&mut self, now: Millis, listener: ListenerId) {
        self.subscriptions.unsubscribe(now, listener);
        if ASKS {
            self.history.forget(listener);
        }
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

    /// Messages and payload bytes that wait for their outcome.
    #[must_use]
    pub const fn outbox_state(&self) -> (u32, u64) {
        let load = self.outbox.load();
        (load.count, load.bytes)
    }

    /// Whether every publish has its outcome.
    #[must_use]
    pub const fn is_flushed(&self) -> bool {
        self.outbox.load().count == 0
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Millis, input: Input<'_>) {
        let out = &mut self.outputs;
        let change = match input {
            Input::LinkOpened => self.connection.link_opened(),
            Input::LinkClosed { code } => {
                let code = code_of(code);
                let is_guilty = is_blame(code) && self.outbox.blamed(code, out);
                self.connection.link_closed(now, code, is_guilty, &self.options, out)
            }
            Input::Timeout => self.connection.timeout(now, &self.options, out),
            Input::Suspend => self.connection.suspend(out),
            Input::Online => {
                self.connection.retry_now(now, &self.options, out);
                Change::None
            }
            Input::Received(bytes) => self.received(now, bytes),
        };
        self.follow(now, change);
    }

    /// When [`Input::Timeout`] is due, if nothing else happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let deadline = self.connection.deadline().min(self.subscriptions.wake_at());
        let deadline = deadline.min(self.outbox.wake_at()).min(self.sends.wake_at());
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
        self.ask();
        let mut packet = Packet { bytes: core::mem::take(&mut self.wire), payloads: Vec::new() };
        if !driving::is_hello(&packet.bytes) {
            self.sends.fill(&mut packet.bytes, self.outbox.allowance());
            self.outbox.fill(&mut packet, self.connection.is_online(), &mut self.outputs);
        }
        if packet.bytes.is_empty() {
            return self.outputs.pop();
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
            Change::Up => {
                self.connection.put_hello(&self.options, &mut self.wire);
                self.subscriptions.reset();
            }
            Change::Down => self.reset(),
            Change::Over(fault) => {
                self.reset();
                self.outbox.fail_all(fault, &mut self.outputs);
                self.subscriptions.end(fault, &mut self.outputs);
                self.sends.end();
                if ASKS {
                    self.history.end(fault, &mut self.outputs);
                }
            }
        }
        self.outbox.tick(now);
        self.drive(now);
    }

    fn reset(&mut self) {
        self.wire.clear();
        self.outbox.reset();
        self.subscriptions.reset();
        self.sends.reset();
    }

    fn received(&mut self, now: Millis, bytes: &[u8]) -> Change {
        self.connection.heard(now);
        let mut rest = bytes;
        while !rest.is_empty() && self.connection.is_heard() {
            let change = self.frame(now, &mut rest, bytes).unwrap_or_else(|Broken| self.broken(now));
            match change {
                Change::None => {}
                Change::Up | Change::Online => self.follow(now, change),
                Change::Down | Change::Over(_) => return change,
            }
        }
        Change::None
    }

    fn broken(&mut self, now: Millis) -> Change {
        self.connection.misbehaved(now, &mut self.outputs)
    }

    /// Takes in one frame, from the front of `rest`.
    ///
    /// Each is read where its kind is told apart, never as a `HubFrame`: moving that costs the wasm client more
    /// than all that is done with the frames.
    fn frame(&mut self, now: Millis, rest: &mut &[u8], bytes: &[u8]) -> Result<Change, Broken> {
        let out = &mut self.outputs;
        let (kind, body) = binary::take(rest)?;
        if kind == Block::KIND {
            self.subscriptions.block(&Block::take(body)?, bytes, out)?;
            return Ok(Change::None);
        }
        let fields = &mut Fields::read(body);
        match kind {
            Welcome::KIND => {
                let subject = <&[u8]>::take(fields, Welcome::SUBJECT);
                let welcome = Welcome::without_texts(fields)?;
                self.outbox.welcomed(&welcome);
                self.sends.welcomed(&welcome);
                self.subscriptions.welcomed(welcome.tag);
                return Ok(self.connection.welcomed(now, &welcome, subject, &self.options, out));
            }
            Goodbye::KIND => self.connection.goodbye(now, &Goodbye::without_texts(fields)?, out),
            Heartbeat::KIND => {
                let heartbeat = Heartbeat::of(fields)?;
                if heartbeat.request.0 == 0 {
                    client_frame::Heartbeat::default().put(&mut self.wire);
                } else {
                    self.sends.echoed(heartbeat.request);
                }
            }
            // Only participant 0 is ours, and only a hub that will not have it takes it away.
            Detached::KIND => self.outbox.fail_all(Detached::without_texts(fields)?.code.into(), out),
            Opened::KIND => self.outbox.opened(&Opened::of(fields)?),
            Acked::KIND => self.outbox.acked(&Acked::of(fields)?, out),
            Refused::KIND => {
                let refused = Refused::without_texts(fields)?;
                self.sends.refused(now, &refused);
                self.outbox.refused(now, &refused, out)?;
            }
            Subscribed::KIND => self.subscriptions.subscribed(Subscribed::of(fields)?, out),
            Unsubscribed::KIND => {
                self.subscriptions.unsubscribed(now, &Unsubscribed::without_texts(fields)?, out)
            }
            Failed::KIND => {
                let failed = Failed::without_texts(fields)?;
                self.subscriptions.failed(now, &failed, out);
                if ASKS {
                    self.history.failed(now, &failed, out);
                }
            }
            Missing::KIND => self.subscriptions.missing(&Missing::of(fields)?, out)?,
            Progress::KIND => self.subscriptions.progress(&Progress::of(fields)?),
            Page::KIND => {
                let page = Page::of(fields)?;
                self.subscriptions.page(now, &page, bytes, out)?;
                if ASKS {
                    self.history.page(&page, bytes, out)?;
                }
            }
            // A kind that this version does not know is passed over, by rule; `attached` is asked for by nobody.
            _ => {}
        }
        Ok(Change::None)
    }
}
