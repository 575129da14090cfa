//! What is published, and what comes of it.

use bytes::Bytes;
use tokio::sync::oneshot;

use tidewire_client_core::fault::Fault;
use tidewire_client_core::output::PublishId;

use crate::command::BatchMessage;
use crate::engine::{Engine, Waiting};
use crate::outcome::Outcome;
use crate::payload::Payload;

impl Engine {
    pub(super) fn publish(
        &mut self,
        key: u64,
        topic: &str,
        payload: Payload,
        outcome: oneshot::Sender<Outcome>,
    ) {
        let content = payload.content();
        let payload = payload.into_bytes();
        match self.core.publish(self.now(), topic, content, payload.len() as u32) {
            Ok(id) => self.wait_for(key, id, payload, outcome),
            Err(fault) => self.refuse(fault, payload.len(), outcome),
        }
    }

    /// Each has an outcome of its own; the core sees to it that they end alike.
    pub(super) fn publish_batch(&mut self, messages: Vec<BatchMessage>) {
        let wanted: Vec<_> = messages
            .iter()
            .map(|message| {
                let BatchMessage { topic, payload, .. } = message;
                (topic.as_str(), payload.content(), payload.bytes().len() as u32)
            })
            .collect();
        let taken = self.core.publish_batch(self.now(), &wanted);
        for (index, BatchMessage { key, payload, outcome, .. }) in (0..).zip(messages) {
            let payload = payload.into_bytes();
            match taken {
                Ok(first) => self.wait_for(key, PublishId(first.0 + index), payload, outcome),
                Err(fault) => self.refuse(fault, payload.len(), outcome),
            }
        }
    }

    fn wait_for(&mut self, key: u64, id: PublishId, payload: Bytes, outcome: oneshot::Sender<Outcome>) {
        self.last_id = id;
        self.publishes.insert(key, id);
        self.waiting.insert(id, Waiting { key, payload, outcome });
    }

    fn refuse(&self, fault: Fault, payload_len: usize, outcome: oneshot::Sender<Outcome>) {
        self.give_back(payload_len);
        let _ = outcome.send(Err(fault.into()));
    }

    pub(super) fn settle(&mut self, id: PublishId, outcome: Outcome) {
        if let Some(waiting) = self.waiting.remove(&id) {
            self.publishes.remove(&waiting.key);
            self.give_back(waiting.payload.len());
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

    fn give_back(&self, payload_len: usize) {
        self.room.messages.add_permits(1);
        self.room.bytes.add_permits(payload_len);
    }
}
