//! Calls as tasks make them: each waits for its own answer, with a deadline. Whoever makes one takes along what others wait
//! for, so that a thread of its own is only woken where an answer comes by itself.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tidewire_hub_core::access::Granted;
use tidewire_hub_core::access::caller::{Pass, Right};
use tidewire_hub_core::calls::asking::Asked;
use tidewire_hub_core::calls::publishing::{NewMessage, Turned};
use tidewire_hub_core::calls::{Answer, By, CallId, Calls, Placed};
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::credentials::Unwelcome;
use tidewire_hub_core::ledger::Account;
use tidewire_hub_core::letter::Inbox;
use tidewire_hub_core::reading::most::Most;
use tidewire_hub_core::reading::question::{PageRead, UNREAD};
use tidewire_hub_core::session::telling::Refusal;
use tidewire_hub_core::topics::Topics;
use tidewire_protocol::code::Code;
use tidewire_protocol::name::Selector;
use tidewire_protocol::number::ProducerId;
use tidewire_protocol::position::Start;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tracing::error;

use crate::reactor::clock::Clock;

/// Where calls are made.
#[derive(Debug)]
pub struct Desk {
    calls: Calls<oneshot::Sender<Answer>>,
    clock: Clock,
    secret: [u8; 32],
}

/// Why a page is not read.
#[derive(Debug, thiserror::Error)]
pub enum NoPage {
    /// Whoever asks is turned away, for now or at all.
    #[error("{}", .0.sentence())]
    Unwelcome(Unwelcome),
    /// The disk could not be read for it.
    #[error("{UNREAD}")]
    Unread,
}

impl From<Unwelcome> for NoPage {
    fn from(unwelcome: Unwelcome) -> Self {
        Self::Unwelcome(unwelcome)
    }
}

/// A call under way; forgotten with this.
struct UnderWay<'a> {
    desk: &'a Desk,
    id: CallId,
    answer: oneshot::Receiver<Answer>,
}

/// Why it is not told where messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpublished {
    /// Nothing of it is taken.
    Turned(Turned),
    /// It was taken, and the log has not said what became of it: it is stored, or will be, or never.
    OutcomeUnknown,
}

impl Desk {
    /// A desk whose inbox stands at `index` among those of the topics.
    pub(super) fn new(
        index: usize,
        topics: Arc<Topics>,
        inbox: Arc<Inbox>,
        clock: Clock,
        secret: [u8; 32],
    ) -> Self {
        Self { calls: Calls::new(index, topics, inbox), clock, secret }
    }

    /// What nobody knows outside, as long as the producers last that are made of it.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// The topics of the hub.
    pub fn topics(&self) -> &Arc<Topics> {
        self.calls.topics()
    }

    /// The steady time.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Publishes messages, all or none, and tells where each is.
    ///
    /// # Errors
    /// Why nothing of it is taken, or that nobody knows.
    pub async fn publish(
        &self,
        by: By<'_>,
        messages: &[NewMessage<'_>],
        producer: Option<ProducerId>,
    ) -> Result<Vec<Result<Placed, Refusal>>, Unpublished> {
        let (reply, answer) = oneshot::channel();
        let asked = at_work(|| self.calls.publish(self.now(), by, messages, producer, reply));
        // Whatever came of it: mail that woke nobody may be there.
        self.deliver();
        let id = asked.map_err(Unpublished::Turned)?;
        match self.await_answer(id, answer, CALL_TIME).await {
            Some(Answer::Published(landed)) => Ok(landed),
            _ => Err(Unpublished::OutcomeUnknown),
        }
    }

    /// Has a token checked.
    ///
    /// # Errors
    /// Why it lets nobody in.
    pub async fn check(&self, account: &Arc<Account>, token: &str) -> Result<Pass, Unwelcome> {
        let (reply, answer) = oneshot::channel();
        let asked = self.calls.check(self.now(), account, token, reply);
        let id = asked.map_err(Unwelcome::Code)?;
        match self.await_answer(id, answer, CALL_TIME).await {
            Some(Answer::Checked(verdict)) => verdict,
            _ => Err(Unwelcome::Code(Code::Overloaded)),
        }
    }

    /// Reads a page.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if it takes too long, or very many wait; and where the disk could not be read.
    pub async fn page(
        &self,
        by: By<'_>,
        what: &Granted<Selector>,
        start: &Start,
        most: Most,
    ) -> Result<PageRead, NoPage> {
        let (reply, answer) = oneshot::channel();
        let asked = self.calls.page(self.now(), by, what, start, most, reply);
        let page = match asked.map_err(Unwelcome::Code)? {
            Asked::Page(page) => page,
            Asked::Later(id) => match self.await_answer(id, answer, CALL_TIME).await {
                Some(Answer::Page(page)) => page,
                Some(Answer::Unread) => return Err(NoPage::Unread),
                _ => return Err(Unwelcome::Code(Code::Overloaded).into()),
            },
        };
        // Others may hold by now.
        self.calls.still_readable(self.now(), by, what)?;
        Ok(page)
    }

    /// Waits, so long at most, until there is something to read from a start; gives where to read then.
    ///
    /// # Errors
    /// As for [`Self::page`] and [`Calls::listen`].
    pub async fn await_news(
        &self,
        by: By<'_>,
        topic: &Granted<Selector>,
        start: Start,
        patience: Duration,
    ) -> Result<Start, NoPage> {
        let (mut start, until) = (start, Instant::now() + patience);
        loop {
            let (reply, answer) = oneshot::channel();
            let id = self.calls.listen(self.now(), by, topic, reply).map_err(Unwelcome::Code)?;
            let listening = UnderWay { desk: self, id, answer };
            let page = self.page(by, topic, &start, ONE).await?;
            if !page.blocks.is_empty() || page.gap.is_some() {
                return Ok(start);
            }
            // From where this one ends: `latest` would be another place by now.
            start = Start::After(page.upto);
            let left = until.saturating_duration_since(Instant::now());
            if listening.wait(left).await.is_none() {
                return Ok(start);
            }
        }
    }

    /// Whether a message comes out that is published as others are, so long at most.
    ///
    /// # Errors
    /// [`Code::NotStored`] if it does not.
    pub async fn probe(&self, patience: Duration) -> Result<(), Code> {
        let account = self.topics().ledger().nobody();
        let ((heard, news), (stored, outcome)) = (oneshot::channel(), oneshot::channel());
        let probe = at_work(|| self.calls.probe(self.now(), &account, (heard, stored)));
        self.deliver();
        let probe = match probe {
            // Others go on with the topics that there are.
            Err(Code::Overloaded) => return Ok(()),
            probe => probe?,
        };
        let listening = UnderWay { desk: self, id: probe.listening, answer: news };
        let publishing = UnderWay { desk: self, id: probe.publishing, answer: outcome };
        let both = async { tokio::join!(publishing.wait(patience), listening.wait(patience)) };
        match both.await {
            (Some(Answer::Published(landed)), Some(Answer::News)) if landed.iter().all(Result::is_ok) => {
                Ok(())
            }
            (Some(Answer::Published(landed)), _) if landed.iter().any(is_full) => Ok(()),
            _ => Err(Code::NotStored),
        }
    }

    /// Whether a topic, or all that a pattern matches, may be read.
    ///
    /// # Errors
    /// [`Code::BadName`] or [`Code::Forbidden`].
    pub fn readable(&self, by: By<'_>, right: Right, name: &str) -> Result<Granted<Selector>, Unwelcome> {
        self.calls.readable(self.now(), by, right, name)
    }

    /// Gives answers that have come to those who wait for them.
    pub(super) fn deliver(&self) {
        while self.calls.has_mail() {
            for (reply, answer) in at_work(|| self.calls.take(self.now())) {
                // Whoever has gone does not want it.
                let _ = reply.send(answer);
            }
        }
    }

    async fn await_answer(
        &self,
        id: CallId,
        answer: oneshot::Receiver<Answer>,
        patience: Duration,
    ) -> Option<Answer> {
        UnderWay { desk: self, id, answer }.wait(patience).await
    }
}

impl UnderWay<'_> {
    async fn wait(mut self, patience: Duration) -> Option<Answer> {
        if let Ok(answer) = self.answer.try_recv() {
            return Some(answer);
        }
        tokio::time::timeout(patience, &mut self.answer).await.ok()?.ok()
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.desk.calls.forget(self.desk.now(), self.id);
    }
}

/// The log works and has no room, which is told to whoever publishes.
fn is_full(landed: &Result<Placed, Refusal>) -> bool {
    landed.is_err_and(|refusal| refusal.code == Code::Overloaded)
}

/// An inbox that has what comes delivered, unless the thread that leaves it is about to do that itself.
pub(super) fn inbox(wake: Arc<Notify>) -> Inbox {
    Inbox::new(Box::new(move || {
        if !AT_WORK.get() {
            wake.notify_one();
        }
    }))
}

/// Delivers what comes by itself, for ever. A hub that does that no more ends as a whole.
pub(super) fn spawn_delivery(desk: Arc<Desk>, wake: Arc<Notify>) {
    let delivery = tokio::spawn(keep_delivering(desk, wake));
    tokio::spawn(async move {
        if delivery.await.is_err_and(|error| error.is_panic()) {
            error!(target: "reactor", "what delivers answers has ended, and with it the hub");
            crate::logs::flush();
            std::process::abort();
        }
    });
}

async fn keep_delivering(desk: Arc<Desk>, wake: Arc<Notify>) {
    loop {
        wake.notified().await;
        desk.deliver();
    }
}

/// Does something that may leave mail in the inbox, and looks into it behind that.
fn at_work<T>(work: impl FnOnce() -> T) -> T {
    AT_WORK.set(true);
    let done = work();
    AT_WORK.set(false);
    done
}

thread_local! {
    /// Whether this thread looks into the inbox anyway.
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// Whether there is something at all.
const ONE: Most = Most { bytes: 1, messages: 1 };
/// An answer that is not there by then does not come.
const CALL_TIME: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tidewire_hub_core::access::Access;
    use tidewire_hub_core::access::caller::Caller;
    use tidewire_hub_core::log::engine::{Engine, Simulated};
    use tidewire_hub_core::pace::Pace;
    use tidewire_hub_core::topics::Settings;
    use tidewire_protocol::code::Content;
    use tidewire_protocol::number::Epoch;

    #[tokio::test(start_paused = true)]
    async fn of_a_publish_of_which_the_log_says_nothing_the_outcome_is_unknown() {
        let inbox = Arc::new(inbox(Arc::default()));
        let settings = Settings { access: Access::open(), ..Settings::default() };
        let engine = Engine::Simulated(Simulated::default());
        let topics = Arc::new(Topics::new(settings, Epoch(1), engine, vec![Arc::clone(&inbox)]));
        let desk = Desk::new(0, Arc::clone(&topics), inbox, Clock::start(), [0; 32]);
        let (caller, pace, account) = (Caller::default(), Pace::default(), topics.ledger().nobody());
        let by = By { caller: &caller, account: &account, pace: &pace };
        let message =
            |topic| NewMessage { topic, content: Content::Text, payload: b"some", ..NewMessage::default() };
        let landed = desk.publish(by, &[message("a")], None).await;
        assert_eq!(landed.unwrap_err(), Unpublished::OutcomeUnknown);
        let turned = desk.publish(by, &[message("a"), message("..")], None).await;
        let turned = turned.unwrap_err();
        assert!(matches!(turned, Unpublished::Turned(Turned { index: 1, .. })), "{turned:?}");
    }
}
