//! What a connection is about to be told, in its encoding.

use tidewire_protocol::code::{Code, GapReason};
use tidewire_protocol::hub_frame::{HubFrame, Page};
use tidewire_protocol::json;

use crate::metrics::Metrics;
use crate::session::paging::cut_for_json;
use crate::websocket::opcode::Opcode;
use crate::websocket::writer::Header;

/// How a connection wants to be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `tidewire.v1`
    Binary,
    /// `tidewire.v1.json`
    Json,
}

/// Frames that become one WebSocket message.
#[derive(Debug)]
pub struct Replies {
    encoding: Encoding,
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
    Refusals(Code, u64),
    Gap(GapReason),
}

impl Replies {
    /// None yet.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        Self { encoding, bytes: Vec::new(), frames: 0, page_bytes: 0, bad_news: Vec::new() }
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
        match self.encoding {
            Encoding::Binary => frame.put(&mut self.bytes),
            Encoding::Json => {
                let before = self.bytes.len();
                self.bytes.push(if self.frames == 0 { b'[' } else { b',' });
                if json::put_hub(frame, &mut self.bytes).is_err() {
                    self.bytes.truncate(before);
                    return;
                }
            }
        }
        self.frames += 1;
        self.bad_news.extend(BadNews::of(frame));
    }

    /// Adds a page of at most so many bytes in this encoding, or of one message.
    pub fn put_page(&mut self, page: Page<'_>, bytes_max: usize) {
        let page = match self.encoding {
            Encoding::Binary => page,
            Encoding::Json => cut_for_json(page, bytes_max),
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

    /// Appends the WebSocket message to `outbox`, if there is anything to say, and counts what it tells.
    pub fn seal(mut self, outbox: &mut Vec<u8>, metrics: &Metrics) {
        if self.is_empty() {
            return;
        }
        for news in &self.bad_news {
            match news {
                BadNews::Refusals(code, count) => metrics.refused.add(code.number(), *count),
                BadNews::Gap(reason) => metrics.gaps.add(reason.number(), 1),
            }
        }
        let (opcode, payload) = match self.encoding {
            Encoding::Binary => (Opcode::Binary, &self.bytes[..]),
            Encoding::Json if self.frames == 1 => (Opcode::Text, &self.bytes[1..]),
            Encoding::Json => {
                self.bytes.push(b']');
                (Opcode::Text, &self.bytes[..])
            }
        };
        outbox.extend_from_slice(Header::new(opcode, payload.len()).as_bytes());
        outbox.extend_from_slice(payload);
    }
}

impl BadNews {
    fn of(frame: &HubFrame<'_>) -> Option<Self> {
        let refusal = |code| (code != Code::Unknown).then_some(Self::Refusals(code, 1));
        match frame {
            HubFrame::Refused(refused) => Some(Self::Refusals(refused.code, refused.count.max(1))),
            HubFrame::Failed(failed) => refusal(failed.code),
            HubFrame::Detached(detached) => refusal(detached.code),
            HubFrame::Subscribed(subscribed) => subscribed.gap.map(|gap| Self::Gap(gap.reason)),
            HubFrame::Missing(missing) => missing.gap.map(|gap| Self::Gap(gap.reason)),
            HubFrame::Page(page) => page.gap.map(|gap| Self::Gap(gap.reason)),
            HubFrame::Welcome(_)
            | HubFrame::Attached(_)
            | HubFrame::Opened(_)
            | HubFrame::Acked(_)
            | HubFrame::Block(_)
            | HubFrame::Unsubscribed(_)
            | HubFrame::Progress(_)
            | HubFrame::Heartbeat(_)
            | HubFrame::Goodbye(_) => None,
        }
    }
}
