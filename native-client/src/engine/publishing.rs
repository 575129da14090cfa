//! What is published, and what comes of it.

use tokio::sync::oneshot;

use tidewire_client_core::fault::{ClientCode, Fault};
use tidewire_client_core::input::Millis;
use tidewire_client_core::outgoing::Update;
use tidewire_client_core::output::PublishId;

use crate::command::BatchMessage;
use crate::engine::{Engine, Waiting};
use crate::outcome::Outcome;
use crate::outgoing::Outgoing;
use crate::sending::Target;

impl Engine {
    pub(super) fn publish(
        &mut self,
        key: u64,
        topic: &str,
        message: Outgoing,
        outcome: oneshot::Sender<Outcome>,
    ) {
        if message.is_over() {
            return self.refuse(EXPIRED, &message, outcome);
        }
        match self.core.publish(self.now(), &message.to(topic)) {
            Ok(id) => self.wait_for(key, id, message, outcome),
            Err(fault) => self.refuse(fault, &message, outcome),
        }
    }

    pub(super) fn send(&mut self, target: &Target, message: &Outgoing, expires_ms: Millis) {
        self.sending.taken(message.outbox_bytes());
        if message.is_over() {
            return self.sending.lost();
        }
        let payload = message.payload();
        let sent = self.core.send(
            self.now(),
            &Update {
                topic: &target.name,
                content: payload.content(),
                payload: payload.bytes(),
                expires_ms,
                attributes: message.attributes(),
                ..Update::default()
            },
        );
        target.told(sent.map(|_| ()));
    }

    /// Each has an outcome of its own; the core sees to it that they end alike.
    pub(super) fn publish_batch(&mut self, messages: Vec<BatchMessage>) {
        let wanted: Vec<_> = messages.iter().map(|one| one.message.to(&one.topic)).collect();
        let taken = if messages.iter().any(|one| one.message.is_over()) {
            Err(EXPIRED)
        } else {
            self.core.publish_batch(self.now(), &wanted)
        };
        for (index, BatchMessage { key, message, outcome, .. }) in (0..).zip(messages) {
            match taken {
                Ok(first) => self.wait_for(key, PublishId(first.0 + index), message, outcome),
                Err(fault) => self.refuse(fault, &message, outcome),
            }
        }
    }

    fn wait_for(&mut self, key: u64, id: PublishId, message: Outgoing, outcome: oneshot::Sender<Outcome>) {
        let room = message.outbox_bytes();
        let payload = message.into_payload().into_bytes();
        self.last_id = id;
        self.publishes.insert(key, id);
        self.waiting.insert(id, Waiting { key, payload, room, outcome });
    }

    fn refuse(&self, fault: Fault, message: &Outgoing, outcome: oneshot::Sender<Outcome>) {
        self.give_back(message.outbox_bytes());
        let _ = outcome.send(Err(fault.into()));
    }

    pub(super) fn settle(&mut self, id: PublishId, outcome: Outcome) {
        if let Some(waiting) = self.waiting.remove(&id) {
            self.publishes.remove(&waiting.key);
            self.give_back(waiting.room);
            // Nobody has to wait for an outcome.
            let _ = waiting.outcome.send(outcome);
            for flush in self.flushes.iter_mut().filter(|flush| id <= flush.upto) {
                flush.left -= 1;
            }
            self.flushed();
        }
    }

    pub(super) fn flushed(&mut self) {
        for flush in self.flushes.extract_if(.., |flush| flush.left == 0) {
            let _ = flush.done.send(());
        }
    }

    fn give_back(&self, bytes: usize) {
        self.room.messages.add_permits(1);
        self.room.bytes.add_permits(bytes);
    }
}

/// What is told of a message whose time to live was over before the state machine had it.
const EXPIRED: Fault = Fault::Client(ClientCode::Expired);
