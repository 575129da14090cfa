//! Who hears what: the subscriptions, and the pages of history that gather until they are whole.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use tidewire_client_core::fault::Fault;
use tidewire_client_core::output::{self, ListenerId};
use tidewire_protocol::position::{Gap, Position};

use crate::event::{Event, Message};
use crate::history::Page;

/// Subscriptions and pages by the core's numbers. That one of them is gone is no error: it says so by a notice of its
/// own, or has stopped waiting.
#[derive(Debug, Default)]
pub(crate) struct Readers(HashMap<ListenerId, Reader>);

#[derive(Debug)]
struct Reader {
    name: Arc<str>,
    to: To,
}

#[derive(Debug)]
enum To {
    Subscription(mpsc::UnboundedSender<Event<()>>),
    Page { messages: Vec<Message<()>>, answer: oneshot::Sender<Result<Page<()>, Fault>> },
}

impl Readers {
    pub(crate) fn add_subscription(
        &mut self,
        id: ListenerId,
        name: Arc<str>,
        events: mpsc::UnboundedSender<Event<()>>,
    ) {
        self.0.insert(id, Reader { name, to: To::Subscription(events) });
    }

    pub(crate) fn add_page(
        &mut self,
        id: ListenerId,
        name: Arc<str>,
        answer: oneshot::Sender<Result<Page<()>, Fault>>,
    ) {
        self.0.insert(id, Reader { name, to: To::Page { messages: Vec::new(), answer } });
    }

    pub(crate) fn remove(&mut self, id: ListenerId) {
        self.0.remove(&id);
    }

    /// Takes out the pages that nobody waits for any more.
    pub(crate) fn take_left_pages(&mut self) -> Vec<ListenerId> {
        let is_left = |reader: &Reader| matches!(&reader.to, To::Page { answer, .. } if answer.is_closed());
        self.0.extract_if(|_, reader| is_left(reader)).map(|(id, _)| id).collect()
    }

    /// Tells a subscription something.
    pub(crate) fn tell(&self, id: ListenerId, event: Event<()>) {
        if let Some(Reader { to: To::Subscription(events), .. }) = self.0.get(&id) {
            let _ = events.send(event);
        }
    }

    /// Gives a message to whom it is for. Its parts lie in `received`.
    pub(crate) fn give(&mut self, message: &output::Message, received: &Bytes) {
        let Some(reader) = self.0.get_mut(&message.listener) else { return };
        let message = Message::new(message, &reader.name, received);
        match &mut reader.to {
            To::Page { messages, .. } => messages.push(message),
            To::Subscription(events) => {
                let _ = events.send(Event::Message(message));
            }
        }
    }

    /// A page is whole.
    pub(crate) fn finish_page(
        &mut self,
        id: ListenerId,
        (positions, previous_positions): (Vec<Position>, Vec<Position>),
        gap: Option<Gap>,
        more: bool,
    ) {
        if let Some(Reader { to: To::Page { mut messages, answer }, .. }) = self.0.remove(&id) {
            // One that was read back came in parts, the newest first.
            messages.sort_by_key(|message| message.offset);
            let messages = messages.into_iter().map(Ok).collect();
            let _ = answer.send(Ok(Page { messages, gap, positions, previous_positions, more }));
        }
    }

    /// A subscription or a page comes to nothing more.
    pub(crate) fn end(&mut self, id: ListenerId, fault: Fault) {
        match self.0.remove(&id).map(|reader| reader.to) {
            Some(To::Subscription(events)) => {
                let _ = events.send(Event::Ended(fault));
            }
            Some(To::Page { answer, .. }) => {
                let _ = answer.send(Err(fault));
            }
            None => {}
        }
    }
}
