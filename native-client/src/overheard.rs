//! What the hub says that the state machine acts on by itself and does not tell: the largest message that it takes, and what
//! it refuses for now.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use tidewire_protocol::binary;
use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::{Acked, Failed, Opened, Page, Refused, Subscribed, Welcome};

/// The hub refuses something for now. The client asks again by itself, ever more rarely.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct NotNow {
    /// Its code.
    pub code: Code,
    /// Its words.
    pub text: String,
    /// How long it asked to wait; zero if it left that to the client.
    pub retry_after: Duration,
    /// When it refused first, of all times since it took or answered something.
    pub since: Instant,
}

/// What has been heard, for handles and the task.
#[derive(Debug, Default)]
pub(crate) struct Overheard {
    not_now: watch::Sender<Option<NotNow>>,
    /// 0 before the hub has said it.
    message_bytes_max: AtomicU64,
    heard_at: Mutex<Option<Instant>>,
    /// Whether a connection was accepted and the handshake is not answered; the link knows.
    unanswered: Arc<AtomicBool>,
}

impl Overheard {
    /// Listens to a message.
    pub(crate) fn listen(&self, mut received: &[u8]) {
        *self.heard_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        while let Ok((kind, body)) = binary::take(&mut received) {
            match kind {
                Welcome::KIND => {
                    if let Ok(welcome) = Welcome::take(body) {
                        self.message_bytes_max.store(welcome.message_bytes_max, Ordering::Relaxed);
                    }
                }
                Refused::KIND => {
                    let Ok(refused) = Refused::take(body) else { continue };
                    // What is out of order was sent behind what is refused for now, and says nothing new.
                    if refused.code != Code::OutOfOrder {
                        let is_for_now = refused.code.retryable() && !refused.consumed;
                        self.refused(is_for_now, refused.code, &refused.message, refused.retry_after_ms);
                    }
                }
                Failed::KIND => {
                    if let Ok(failed) = Failed::take(body) {
                        self.refused(failed.retryable, failed.code, &failed.message, failed.retry_after_ms);
                    }
                }
                Acked::KIND | Opened::KIND | Subscribed::KIND | Page::KIND => self.goes_on(),
                _ => {}
            }
        }
    }

    /// The hub takes what it is given, or is not there.
    pub(crate) fn goes_on(&self) {
        self.not_now.send_if_modified(|not_now| not_now.take().is_some());
    }

    fn refused(&self, is_for_now: bool, code: Code, message: &str, retry_after_ms: u64) {
        if !is_for_now {
            return self.goes_on();
        }
        self.not_now.send_modify(|not_now| {
            let since = not_now.as_ref().map_or_else(Instant::now, |before| before.since);
            let text = words(message).unwrap_or_else(|| code.sentence().into());
            let retry_after = Duration::from_millis(retry_after_ms);
            *not_now = Some(NotNow { code, text, retry_after, since });
        });
    }

    /// What the hub refuses for now, and as it changes.
    pub(crate) fn not_now(&self) -> watch::Receiver<Option<NotNow>> {
        self.not_now.subscribe()
    }

    /// When something came last, whatever it was.
    pub(crate) fn heard_at(&self) -> Option<Instant> {
        *self.heard_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether whoever listens there accepts connections and does not answer.
    pub(crate) fn unanswered(&self) -> &Arc<AtomicBool> {
        &self.unanswered
    }

    /// The largest message that the hub takes, if it has said so.
    pub(crate) fn message_bytes_max(&self) -> Option<u64> {
        Some(self.message_bytes_max.load(Ordering::Relaxed)).filter(|max| *max > 0)
    }
}

/// The hub's words for people, without what moves a terminal's cursor; none if it has none.
pub(crate) fn words(message: &str) -> Option<String> {
    let text: String = message.chars().filter(|c| !c.is_control()).collect();
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tidewire_protocol::hub_frame::HubFrame;

    use super::*;

    fn listen(overheard: &Overheard, frames: &[HubFrame<'_>]) {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.put(&mut bytes));
        overheard.listen(&bytes);
    }

    fn refused(code: Code, consumed: bool) -> HubFrame<'static> {
        HubFrame::Refused(Refused { code, consumed, message: "no\u{7} room".into(), ..Refused::default() })
    }

    #[test]
    fn what_is_refused_for_now_is_told_until_something_goes_on() {
        let overheard = Overheard::default();
        let told = || overheard.not_now().borrow().clone();
        listen(&overheard, &[refused(Code::Overloaded, false), refused(Code::OutOfOrder, false)]);
        let first = told().unwrap();
        assert_eq!((first.code, first.to_string().as_str()), (Code::Overloaded, "no room"));
        listen(&overheard, &[refused(Code::RateLimited, false)]);
        assert_eq!(told().map(|next| (next.code, next.since)), Some((Code::RateLimited, first.since)));
        for frame in [
            HubFrame::Acked(Acked::default()),
            refused(Code::TooLarge, true),
            refused(Code::Forbidden, false),
            HubFrame::Subscribed(Subscribed::default()),
        ] {
            listen(&overheard, &[refused(Code::Overloaded, false), frame.clone()]);
            assert_eq!(told(), None, "{frame:?}");
        }
        let asked_again = Failed { code: Code::Overloaded, retryable: true, ..Failed::default() };
        listen(&overheard, &[HubFrame::Failed(asked_again)]);
        assert_eq!(told().unwrap().text, Code::Overloaded.sentence());
    }

    #[test]
    fn sizes_are_heard() {
        let overheard = Overheard::default();
        assert_eq!((overheard.message_bytes_max(), overheard.heard_at()), (None, None));
        listen(&overheard, &[HubFrame::Welcome(Welcome { message_bytes_max: 9, ..Welcome::default() })]);
        assert_eq!(overheard.message_bytes_max(), Some(9));
        assert!(overheard.heard_at().is_some());
        overheard.listen(&[255, 1]);
    }
}
