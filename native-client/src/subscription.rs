//! A subscription's near end: events in order, and word to the client's task when they have been taken.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use tokio::sync::mpsc;

use tidewire_client_core::options::SubscribeOptions;

use crate::command::Command;
use crate::event::{Decode, Event};

/// A subscription: a stream of [`Event`]s that ends after [`Event::Ended`]. Dropping it unsubscribes.
///
/// A message counts as settled when the next one is asked for. One that is not read fast enough leaves the
/// live flow and reads on from the hub's log, or hears of a [`Event::Gap`]; it never fills memory.
#[must_use = "a subscription ends when it is dropped"]
pub struct Subscription<T> {
    key: u64,
    events: mpsc::UnboundedReceiver<Event<()>>,
    commands: mpsc::UnboundedSender<Command>,
    decode: Decode<T>,
    /// Given to the program and not told to the task.
    messages: u32,
    bytes: u32,
    /// Tell the task when so much has gathered: a word each would cost more than the message.
    messages_told: u32,
    bytes_told: u32,
}

impl<T> Subscription<T> {
    pub(crate) const fn new(
        key: u64,
        options: &SubscribeOptions,
        events: mpsc::UnboundedReceiver<Event<()>>,
        commands: mpsc::UnboundedSender<Command>,
        decode: Decode<T>,
    ) -> Self {
        let (messages_told, bytes_told) = (options.messages_max / 4, options.bytes_max / 4);
        Self { key, events, commands, decode, messages: 0, bytes: 0, messages_told, bytes_told }
    }

    /// The next event; none after [`Event::Ended`]. Safe to drop and call again.
    pub async fn next(&mut self) -> Option<Event<T>> {
        std::future::poll_fn(|context| self.poll_event(context)).await
    }

    /// Has [`Event::CaughtUp`] told once it has been given all that the hub has for it now, or, where it begins anew before
    /// that, all that the hub has then. Asked for again before it is told, it is told once.
    pub fn catch_up(&self) {
        // Without a task there is nothing to wait for.
        let _ = self.commands.send(Command::CatchUp { key: self.key });
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Event<T>>> {
        let event = match self.events.try_recv() {
            Ok(event) => {
                if self.messages > self.messages_told || self.bytes > self.bytes_told {
                    self.settle();
                }
                event
            }
            Err(_) => {
                self.settle();
                let Some(event) = ready!(self.events.poll_recv(context)) else { return Poll::Ready(None) };
                event
            }
        };
        if let Event::Message(message) = &event {
            self.messages += 1;
            self.bytes = self.bytes.saturating_add(message.payload.len() as u32);
        }
        Poll::Ready(Some(event.decoded(self.decode)))
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

impl<T> Stream for Subscription<T> {
    type Item = Event<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event<T>>> {
        self.poll_event(context)
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("key", &self.key).finish_non_exhaustive()
    }
}

impl<T> Drop for Subscription<T> {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Unsubscribe { key: self.key });
    }
}
