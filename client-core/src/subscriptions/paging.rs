//! Pages of history that the application asks for, and where listeners' messages end: readers of one page each, in tails
//! that the hub never hears of.

use tidewire_protocol::hub_frame::Page;
use tidewire_protocol::position::{Position, Start};

use crate::fault::Broken;
use crate::listener::Stage;
use crate::output::{Event, ListenerId};
use crate::outputs::Outputs;
use crate::subscriptions::Subscriptions;
use crate::tail::Tail;

/// A listener, and the place of the last message that there was for it, if there was one.
pub(super) type End = (ListenerId, Option<Position>);

impl Subscriptions {
    /// Asks for a page with at most so many messages, one at least.
    pub(crate) fn ask_page(&mut self, name: &str, from: Start, messages_max: u32) -> ListenerId {
        let id = self.following();
        self.tails.push(Tail::of_page(id, name, from, (messages_max, u32::MAX), id));
        self.wake(0);
        id
    }

    /// Asks where the messages for a listener end. The last one says so, since what the hub calls the position of the end
    /// may be one that no message and no word of it ever brings a cursor to.
    pub(crate) fn ask_end(&mut self, listener: ListenerId) {
        let id = self.following();
        if let Some((tail, _)) = self.find(listener) {
            let reader = Tail::of_page(id, &tail.name, Start::Last(1), (1, 1), listener);
            self.tails.push(reader);
            self.wake(0);
        }
    }

    /// A reader has got its page, or half of one.
    pub(super) fn paged(
        &mut self,
        (id, reader_for): (ListenerId, ListenerId),
        page: &Page<'_>,
        done: Result<(), Broken>,
        out: &mut Outputs,
    ) -> Result<(), Broken> {
        let last = out.last_message(id);
        if id != reader_for || done.is_err() {
            // Half a page is none.
            out.forget(id);
        }
        let Some(index) = self.tails.iter().position(|tail| tail.id == id) else { return done };
        if done.is_err() {
            // It is asked for again on the next link.
            self.tails[index].listeners[0].rewind();
            return done;
        }
        let reader = self.tails.remove(index).listeners.remove(0);
        if id == reader_for {
            let more = reader.stage != Stage::Live;
            let positions = reader.cursor.into_positions();
            out.tell(Event::Page { listener: id, positions, gap: page.gap, more });
        } else {
            self.ends.push((reader_for, last));
        }
        Ok(())
    }

    /// Tells those that they are there who are.
    pub(crate) fn look_for_ends(&mut self, out: &mut Outputs) {
        for (id, end) in core::mem::take(&mut self.ends) {
            let Some((tail, index)) = self.find(id) else { continue };
            if tail.listeners[index].has_passed(end) {
                out.tell(Event::CaughtUp { listener: id });
            } else {
                self.ends.push((id, end));
            }
        }
    }
}
