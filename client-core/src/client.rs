//! The client: what the application may ask, and where each input goes.

use std::collections::VecDeque;

use tidewire_protocol::code::{Code, Content};
use tidewire_protocol::name;

use crate::fault::{ClientCode, Fault};
use crate::input::{Input, Millis};
use crate::options::{Options, SubscribeOptions};
use crate::output::{ListenerId, Output, PublishId};

/// One client of one hub. The crate's documentation says how it is driven.
#[derive(Debug)]
pub struct Client {
    outputs: VecDeque<Output>,
    options: Options,
}

impl Client {
    /// A client that has done nothing yet; it connects with [`Self::connect`] or the first use.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { outputs: VecDeque::new(), options }
    }

    /// Starts connecting, if that has not been done.
    pub fn connect(&mut self, _now: Millis) {
        let _ = &self.options;
    }

    /// Ends everything: what waits in the outbox fails with `closed`, listeners hear no more.
    pub fn close(&mut self, _now: Millis) {}

    /// The token to sign in with; empty for anonymous.
    pub fn set_token(&mut self, _now: Millis, _token: &str) {}

    /// There is no token: try again later, or, if `is_final`, never.
    pub fn token_failed(&mut self, _now: Millis, _is_final: bool) {}

    /// Takes a message of `payload_len` bytes into the outbox. The shell keeps the payload under the id.
    ///
    /// # Errors
    /// `closed`, `bad_name` or `outbox_full`; nothing was taken then.
    pub fn publish(
        &mut self,
        _now: Millis,
        topic: &str,
        _content: Content,
        _payload_len: u32,
    ) -> Result<PublishId, Fault> {
        name::check(topic, false).map_err(|_| Code::BadName)?;
        Err(ClientCode::Closed.into())
    }

    /// Withdraws a message: at once if it was never sent, else by a void in its place. The outcome tells.
    pub fn cancel(&mut self, _now: Millis, _id: PublishId) {}

    /// Listens to a topic or pattern.
    ///
    /// # Errors
    /// `closed` or `bad_name`.
    pub fn subscribe(
        &mut self,
        _now: Millis,
        name: &str,
        _options: SubscribeOptions,
    ) -> Result<ListenerId, Fault> {
        name::check(name, true).map_err(|_| Code::BadName)?;
        Err(ClientCode::Closed.into())
    }

    /// Ends a listener. No event of it comes after this returns.
    pub fn unsubscribe(&mut self, _now: Millis, _listener: ListenerId) {}

    /// The application is done with so many messages and payload bytes of a listener.
    pub fn settled(&mut self, _now: Millis, _listener: ListenerId, _messages: u32, _bytes: u32) {}

    /// Messages and payload bytes that wait for their outcome.
    #[must_use]
    pub fn outbox_state(&self) -> (u32, u64) {
        (0, 0)
    }

    /// Whether every publish has its outcome.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.outbox_state().0 == 0
    }

    /// Takes in what happened.
    pub fn handle(&mut self, _now: Millis, _input: Input<'_>) {}

    /// When [`Input::Timeout`] is due, if nothing else happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        None
    }

    /// The next thing to do; nothing means that all is done until the next call.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}
