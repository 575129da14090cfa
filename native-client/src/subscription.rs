//! A subscription's near end: events in order, and word to the client's task when they have been taken.

use tokio::sync::mpsc;

use tidewire_client_core::options::SubscribeOptions;

use crate::command::Command;
use crate::event::SubEvent;

/// A subscription; dropping it ends it.
///
/// A message counts as settled when the next one is asked for. One that is not read fast enough leaves the
/// live flow and reads on from the hub's log, or hears of a [`SubEvent::Gap`]; it never fills memory.
#[derive(Debug)]
pub struct Subscription {
    key: u64,
    events: mpsc::UnboundedReceiver<SubEvent>,
    commands: mpsc::UnboundedSender<Command>,
    /// Given to the program and not told to the task.
    messages: u32,
    bytes: u32,
    /// Tell the task when so much has gathered: a word each would cost more than the message.
    messages_told: u32,
    bytes_told: u32,
}

impl Subscription {
    pub(crate) const fn new(
        key: u64,
        options: &SubscribeOptions,
        events: mpsc::UnboundedReceiver<SubEvent>,
        commands: mpsc::UnboundedSender<Command>,
    ) -> Self {
        let (messages_told, bytes_told) = (options.messages_max / 4, options.bytes_max / 4);
        Self { key, events, commands, messages: 0, bytes: 0, messages_told, bytes_told }
    }

    /// The next event; none after [`SubEvent::Ended`]. Safe to drop and call again.
    pub async fn next(&mut self) -> Option<SubEvent> {
        let event = match self.events.try_recv() {
            Ok(event) => {
                if self.messages > self.messages_told || self.bytes > self.bytes_told {
                    self.settle();
                }
                event
            }
            Err(_) => {
                self.settle();
                self.events.recv().await?
            }
        };
        if let SubEvent::Message(message) = &event {
            self.messages += 1;
            self.bytes = self.bytes.saturating_add(message.payload.len() as u32);
        }
        Some(event)
    }

    fn settle(&mut self) {
        if self.messages > 0 {
            let Self { key, messages, bytes, .. } = *self;
            // Without a task there is nothing to settle.
            let _ = self.commands.send(Command::Settled { key, messages, bytes });
            self.messages = 0;
            self.bytes = 0;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Unsubscribe { key: self.key });
    }
}
