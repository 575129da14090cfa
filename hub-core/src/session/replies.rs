//! What a connection is about to be told, in its dialect.

use tidewire_protocol::code::{Code, GapReason};
use tidewire_protocol::hub_frame::{HubFrame, Page, Refused};

use crate::dialect::Dialect;
use crate::metrics::Metrics;
use crate::session::paging::{Full, cut_for_json, cut_oldest_for_json};

/// Frames that are said together.
#[derive(Debug)]
pub struct Replies {
    dialect: Dialect,
    bytes: Vec<u8>,
    frames: usize,
    /// Bytes of the longest page.
    page_bytes: usize,
    /// What operators want to know of; nearly always nothing.
    bad_news: Vec<BadNews>,
}

/// What a frame says that operators want to know of.
#[derive(Debug, Clone, Copy)]
enum BadNews {
    Refused(Code, u64),
    Gap(GapReason),
}

impl Replies {
    /// None yet.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, bytes: Vec::new(), frames: 0, page_bytes: 0, bad_news: Vec::new() }
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Adds a frame.
    pub fn put(&mut self, frame: &HubFrame<'_>) {
        self.put_answers(frame, 1);
    }

    /// Adds a frame about a topic or pattern, which some dialects name.
    pub fn put_about(&mut self, topic: &str, frame: &HubFrame<'_>) {
        self.put_counted(topic, frame, 1);
    }

    /// Adds a frame that tells so many answers of which operators are to hear. How many seqs these were for is the client's own word, and counts for
    /// nothing.
    pub fn put_answers(&mut self, frame: &HubFrame<'_>, count: u64) {
        self.put_counted("", frame, count);
    }

    fn put_counted(&mut self, topic: &str, frame: &HubFrame<'_>, count: u64) {
        if !self.dialect.put(frame, topic, &mut self.bytes) {
            return;
        }
        self.frames += 1;
        self.bad_news.extend(BadNews::of(frame, count));
    }

    /// Adds a refusal that only follows from one that was told before: operators hear of that one.
    pub fn put_follower(&mut self, refusal: &Refused<'_>) {
        self.frames +=
            usize::from(self.dialect.put(&HubFrame::Refused(refusal.clone()), "", &mut self.bytes));
    }

    /// Adds a page of at most so many bytes in this dialect, or of one message.
    pub fn put_page(&mut self, page: Page<'_>, bytes_max: usize, full: Full) {
        let page = match (self.dialect, full) {
            (Dialect::Binary | Dialect::Events(_), _) => page,
            (Dialect::Json, Full::LacksNewest) => cut_for_json(page, bytes_max),
            (Dialect::Json, Full::LacksOldest) => cut_oldest_for_json(page, bytes_max),
        };
        let before = self.bytes.len();
        self.put(&HubFrame::Page(page));
        self.page_bytes = self.page_bytes.max(self.bytes.len() - before);
    }

    /// Bytes of the longest page among the answers.
    #[must_use]
    pub fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// Appends what is to be said to `outbox`, if there is anything to say, and counts what it tells.
    pub fn seal(mut self, outbox: &mut Vec<u8>, metrics: &Metrics) {
        if self.is_empty() {
            return;
        }
        for news in &self.bad_news {
            match news {
                BadNews::Refused(code, count) => metrics.refused.add(code.number(), *count),
                BadNews::Gap(reason) => metrics.gaps.add(reason.number(), 1),
            }
        }
        self.dialect.seal(&mut self.bytes, self.frames, outbox);
    }
}

impl BadNews {
    fn of(frame: &HubFrame<'_>, count: u64) -> Option<Self> {
        let refusal = |code| (code != Code::Unknown).then_some(Self::Refused(code, count));
        match frame {
            HubFrame::Refused(refused) => refusal(refused.code),
            HubFrame::Failed(failed) => refusal(failed.code),
            HubFrame::Detached(detached) => refusal(detached.code),
            HubFrame::Subscribed(subscribed) => subscribed.gap.map(|gap| Self::Gap(gap.reason)),
            HubFrame::Missing(missing) => missing.gap.map(|gap| Self::Gap(gap.reason)),
            HubFrame::Page(page) => page.gap.map(|gap| Self::Gap(gap.reason)),
            HubFrame::Welcome(_)
            | HubFrame::Attached(_)
            | HubFrame::Opened(_)
            | HubFrame::Acked(_)
            | HubFrame::SignedIn(_)
            | HubFrame::Block(_)
            | HubFrame::Unsubscribed(_)
            | HubFrame::Progress(_)
            | HubFrame::Heartbeat(_)
            | HubFrame::Goodbye(_) => None,
        }
    }
}
