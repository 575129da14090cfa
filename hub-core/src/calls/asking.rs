//! Reads by call: pages, where a topic stands, and whether there is news.

use std::sync::Arc;

use tidewire_protocol::code::Code;
use tidewire_protocol::name::Selector;
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::Start;

use crate::access::Granted;
use crate::access::caller::Right;
use crate::calls::{By, CallId, Calls, Of};
use crate::clock::Millis;
use crate::credentials::Unwelcome;
use crate::reading::most::Most;
use crate::reading::question::{Ask, PageRead};
use crate::reading::reads::Asker;
use crate::session::asking::{readable, still_readable};
use crate::tail::Tail;

/// A page that was asked for.
#[derive(Debug)]
pub enum Asked {
    /// It is here.
    Page(PageRead),
    /// It comes as the answer.
    Later(CallId),
}

impl<R> Calls<R> {
    /// Whether a topic, or all that a pattern matches, may be read.
    ///
    /// # Errors
    /// [`Code::BadName`], [`Code::Forbidden`], or [`Code::BadToken`] if the caller's token stands no longer.
    pub fn readable(
        &self,
        now: Millis,
        by: By<'_>,
        right: Right,
        name: &str,
    ) -> Result<Granted<Selector>, Unwelcome> {
        by.check(now, &self.topics).map_err(Unwelcome::Token)?;
        let granted = readable(name, by.caller, right, &self.topics);
        granted
            .inspect_err(|code| self.topics.metrics().refused.add(code.number(), 1))
            .map_err(Unwelcome::Code)
    }

    /// Whether what was granted still is: to be asked before a page is told.
    ///
    /// # Errors
    /// As for [`Self::readable`].
    pub fn still_readable(&self, now: Millis, by: By<'_>, what: &Granted<Selector>) -> Result<(), Unwelcome> {
        by.check(now, &self.topics).map_err(Unwelcome::Token)?;
        let is = still_readable(what, by.caller, &self.topics);
        is.then_some(()).ok_or(Unwelcome::Code(Code::Forbidden))
    }

    /// Reads a page of so much at most.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if very many reads of the account wait.
    pub fn page(
        &self,
        now: Millis,
        by: By<'_>,
        what: &Granted<Selector>,
        start: &Start,
        most: Most,
        reply: R,
    ) -> Result<Asked, Code> {
        let most = Most { bytes: most.bytes.min(self.topics.limits().page_bytes_max), ..most };
        let start = most.start(start);
        if let Some(page) = self.topics.page(now, what, &start, Offset(0), most) {
            return Ok(Asked::Page(page));
        }
        let ask = Ask::Page { selector: Selector::clone(what), start, most };
        let asker = Asker::default();
        let id = self.open(reply, Of::Page(Arc::clone(&asker)));
        let asked = self.topics.read(self.address(id, 0), &asker, by.account, ask);
        asked.map(|()| Asked::Later(id)).inspect_err(|_| self.forget(now, id))
    }

    /// Listens for news of a topic, once. To be asked before the page that finds nothing yet.
    ///
    /// # Errors
    /// [`Code::NotSupported`] for a pattern, [`Code::Overloaded`] if there is no room for one more.
    pub fn listen(
        &self,
        now: Millis,
        by: By<'_>,
        topic: &Granted<Selector>,
        reply: R,
    ) -> Result<CallId, Code> {
        if !matches!(**topic, Selector::Topic(_)) {
            return Err(Code::NotSupported);
        }
        let joined = self.topics.join(now, self.shard, topic, &Start::Latest, by.account)?;
        let tail = Arc::clone(&joined.tails[0]);
        let id = self.open(reply, Of::News(Arc::clone(&tail)));
        // Only now: a mark that was raised before would have told nobody.
        tail.marks.of(self.shard).take();
        Ok(id)
    }

    pub(super) fn stop_listening(&self, now: Millis, tail: Arc<Tail>) {
        tail.marks.of(self.shard).leave();
        self.topics.left(now, tail);
    }
}
