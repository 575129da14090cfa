//! History that the application asks for, of as many pages of the hub's as it takes, and where listeners' messages end: a
//! reader each, in tails that the hub never hears of.

use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::Welcome;
use tidewire_protocol::position::Start;

use crate::cursor::Cursor;
use crate::limits::ANSWER_BYTES_MAX;
use crate::listener::Stage;
use crate::output::{Event, ListenerId};
use crate::outputs::Outputs;
use crate::subscriptions::Subscriptions;
use crate::tail::{Standing, Tail};

/// A question where the messages for a listener end.
#[derive(Debug)]
pub(super) struct End {
    listener: ListenerId,
    reader: ListenerId,
    /// The place of the last message that there was for it, in each log, once that is known.
    at: Option<Cursor>,
}

impl Subscriptions {
    /// Asks for what there is, as far as it is at most so many messages, one at least, and so many bytes.
    pub(crate) fn ask_page(&mut self, name: &str, from: Start, mut messages_max: u32) -> ListenerId {
        let id = self.following();
        if let Start::Before { last, .. } = from {
            messages_max = last.min(messages_max.into()) as u32;
        }
        self.tails.push(Tail::of_page(id, name, from, (messages_max, ANSWER_BYTES_MAX), id));
        self.wake(0);
        id
    }

    /// The hub says what it knows. One that reads no page back would take the question for a mistake that ends the link.
    pub(crate) fn welcomed(&mut self, welcome: &Welcome<'_>) {
        self.reads_back = Some(welcome.features & feature::BEFORE > 0);
        self.wake(0);
    }

    /// Asks where the messages for a listener end: at the last one of each log, and not where that stands, which may be a
    /// place that no message and no word of it ever brings a cursor to. A question before that waits takes this one's place.
    pub(crate) fn ask_end(&mut self, listener: ListenerId) {
        let reader = self.following();
        if let Some(index) = self.ends.iter().position(|end| end.listener == listener) {
            let former = self.ends.remove(index).reader;
            self.tails.retain(|tail| tail.id != former);
        }
        self.read_end(listener, reader);
    }

    fn read_end(&mut self, listener: ListenerId, reader: ListenerId) {
        if let Some((tail, index)) = self.find(listener) {
            tail.listeners[index].is_anew = false;
            let tail = Tail::of_page(reader, &tail.name, Start::Last(0), (1, 1), listener);
            self.tails.push(tail);
            self.ends.push(End { listener, reader, at: None });
            self.wake(0);
        }
    }

    /// A reader knows where the messages end.
    pub(super) fn found_end(&mut self, reader: ListenerId, at: Cursor) {
        if let Some(end) = self.ends.iter_mut().find(|end| end.reader == reader) {
            end.at = Some(at);
        }
    }

    /// A reader has got a page. A question goes on until it has all that it asked for, but does not wait for a hub that has
    /// more and gives nothing of it now.
    pub(super) fn paged(&mut self, id: ListenerId, reader_for: ListenerId, out: &mut Outputs) {
        if id != reader_for {
            // There should be no messages on such a page, and if there are they are nobody's.
            out.forget(id);
        }
        let Some(index) = self.tails.iter().position(|tail| tail.id == id) else { return };
        let stage = self.tails[index].listeners[0].stage;
        if id == reader_for && stage == (Stage::Reading { ask_at: 0 }) {
            return;
        }
        let reader = self.tails.remove(index).listeners.remove(0);
        if id == reader_for {
            let more = stage != Stage::Live;
            let (previous, gap) = (reader.previous, reader.lacks);
            let positions = reader.cursor.into_positions();
            out.tell(Event::Page { listener: id, positions, previous, gap, more });
        } else {
            self.found_end(id, reader.cursor);
        }
    }

    /// Tells those that they are there who are. Of one that has lost its place it is asked again where that is.
    pub(crate) fn look_for_ends(&mut self, out: &mut Outputs) {
        for end in core::mem::take(&mut self.ends) {
            let Some((tail, index)) = self.find(end.listener) else { continue };
            // Until it is asked for anew, it does not know of a log that the end may be in.
            let is_live = matches!(tail.standing, Standing::Live { .. });
            let listener = &mut tail.listeners[index];
            match &end.at {
                // The answer will be this hub's.
                None => listener.is_anew = false,
                Some(_) if listener.is_anew => {
                    self.read_end(end.listener, end.reader);
                    continue;
                }
                Some(at) if is_live && listener.has_passed(at) => {
                    out.tell(Event::CaughtUp { listener: end.listener });
                    continue;
                }
                Some(_) => {}
            }
            self.ends.push(end);
        }
    }
}
