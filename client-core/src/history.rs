//! Pages of history that the application asks for, each a question with one answer, beside all subscriptions.

use alloc::string::String;
use alloc::vec::Vec;

use tidewire_protocol::block;
use tidewire_protocol::client_frame;
use tidewire_protocol::hub_frame::{Failed, Page};
use tidewire_protocol::position::Start;

use crate::cursor::Cursor;
use crate::fault::{Broken, Fault};
use crate::input::{Millis, NEVER};
use crate::limits::{ASK_BYTES_MAX, PAGE_BYTES_MAX, PAGES_AT_ONCE_MAX, RETRY_MS_MAX, RETRY_MS_MIN};
use crate::output::{Event, ListenerId, Message};
use crate::outputs::Outputs;
use crate::request::{Asker, Requests};
use crate::tail::given;

/// Whether pages can be asked for; where they cannot, nothing of this is linked.
pub(crate) const ASKS: bool = cfg!(feature = "history");

/// A page that is wanted.
#[derive(Debug)]
pub(crate) struct Question {
    id: ListenerId,
    name: String,
    from: Start,
    messages_max: u32,
    stage: Stage,
    retry_ms: Millis,
}

/// How a question stands to the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// To be asked, not before this time.
    Wanted { ask_at: Millis },
    /// Asked.
    Asked,
}

/// The questions without an answer.
#[derive(Debug)]
pub(crate) struct History(Vec<Question>);

impl Question {
    /// A page of `name` with at most so many messages, one at least.
    pub(crate) fn new(id: ListenerId, name: &str, from: Start, messages_max: u32) -> Self {
        let messages_max = messages_max.max(1);
        let stage = Stage::Wanted { ask_at: 0 };
        Self { id, name: name.into(), from, messages_max, stage, retry_ms: RETRY_MS_MIN }
    }

    /// Tells the page: its messages, then where they end.
    fn answer(&self, page: &Page<'_>, bytes: &[u8], out: &mut Outputs) -> Result<(), Broken> {
        let mut cursor = Cursor::at(page.after.clone());
        let mut left = self.messages_max;
        for block in block::blocks_of_page(&page.blocks) {
            let block = block.map_err(|_| Broken)?;
            let place = cursor.log(block.log).ok_or(Broken)?;
            if block.prev > place.offset {
                return Err(Broken);
            }
            for message in block.records() {
                let message = message.map_err(|_| Broken)?;
                if message.offset <= place.offset {
                    continue;
                }
                if left == 0 {
                    self.close(cursor, page, true, out);
                    return Ok(());
                }
                left -= 1;
                cursor.raise(place.epoch, message.offset);
                let message = given(&message, place.epoch, bytes);
                out.tell(Event::Message(Message { listener: self.id, ..message }));
            }
        }
        cursor.raise_to(&page.upto);
        self.close(cursor, page, page.more, out);
        Ok(())
    }

    fn close(&self, cursor: Cursor, page: &Page<'_>, more: bool, out: &mut Outputs) {
        let positions = cursor.into_positions();
        out.tell(Event::Page { listener: self.id, positions, gap: page.gap, more });
    }
}

impl History {
    /// None yet.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Takes a question.
    pub(crate) fn ask(&mut self, question: Question) {
        self.0.push(question);
    }

    /// Drops a question.
    pub(crate) fn forget(&mut self, id: ListenerId) {
        self.0.retain(|question| question.id != id);
    }

    /// Asks the hub what was not asked yet, and gives the time when that is due again; what the packet has no room for
    /// is left to the next call. Without a `wire`, there is no link, and everything has to be asked again on the next.
    pub(crate) fn drive(
        &mut self,
        now: Millis,
        bytes_max: usize,
        requests: &mut Requests,
        wire: Option<&mut Vec<u8>>,
    ) -> Millis {
        let Some(wire) = wire else {
            for question in &mut self.0 {
                question.stage = Stage::Wanted { ask_at: 0 };
                question.retry_ms = RETRY_MS_MIN;
            }
            return NEVER;
        };
        let mut wake_at = NEVER;
        for question in &mut self.0 {
            let Stage::Wanted { ask_at } = question.stage else { continue };
            if now < ask_at {
                wake_at = wake_at.min(ask_at);
                continue;
            }
            if !wire.is_empty() && wire.len() + ASK_BYTES_MAX > bytes_max {
                return 0;
            }
            if requests.pages(false) >= PAGES_AT_ONCE_MAX {
                return wake_at;
            }
            let request = requests.ask(Asker::Question(question.id));
            let (name, from) = (question.name.as_str().into(), question.from.clone());
            let bytes_max = u64::from(PAGE_BYTES_MAX);
            client_frame::History { request, name, from, bytes_max }.put(wire);
            question.stage = Stage::Asked;
        }
        wake_at
    }

    /// It is all over.
    pub(crate) fn end(&mut self, fault: Fault, out: &mut Outputs) {
        for question in self.0.drain(..) {
            out.tell(Event::Refused { listener: question.id, fault });
        }
    }

    /// The hub refuses a question.
    pub(crate) fn failed(&mut self, now: Millis, id: ListenerId, frame: &Failed<'_>, out: &mut Outputs) {
        let Some(index) = self.place(id) else { return };
        let question = &mut self.0[index];
        if frame.retryable {
            let ask_at = now + question.retry_ms.max(frame.retry_after_ms);
            question.retry_ms = (question.retry_ms * 2).min(RETRY_MS_MAX);
            question.stage = Stage::Wanted { ask_at };
        } else {
            out.tell(Event::Refused { listener: question.id, fault: frame.code.into() });
            self.0.remove(index);
        }
    }

    /// The hub answers a question.
    ///
    /// # Errors
    /// [`Broken`] if there is a hole in the page, or it cannot be read. The question stays then.
    pub(crate) fn page(
        &mut self,
        id: ListenerId,
        page: &Page<'_>,
        bytes: &[u8],
        out: &mut Outputs,
    ) -> Result<(), Broken> {
        let Some(index) = self.place(id) else { return Ok(()) };
        if self.0[index].answer(page, bytes, out).is_err() {
            // It is asked again on the next link; half a page is none.
            out.forget(id);
            return Err(Broken);
        }
        self.0.remove(index);
        Ok(())
    }

    fn place(&self, id: ListenerId) -> Option<usize> {
        self.0.iter().position(|question| question.id == id)
    }
}
