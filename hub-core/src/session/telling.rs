//! How outcomes and refusals are said.

use tidewire_protocol::code::{Code, Durability};
use tidewire_protocol::hub_frame::{Acked, Failed, HubFrame, Refused};
use tidewire_protocol::number::{Epoch, Offset, Request};
use tidewire_protocol::position::Position;

use crate::frames::BODY_BYTES_MAX;
use crate::letter::{Fate, KEPT_OUT, Outcome};
use crate::pace::Exhausted;
use crate::topics::Topics;

/// Why a publish is not taken, and does not use up its seq.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub code: Code,
    /// When it may be tried again.
    pub retry_after_ms: u64,
    /// Whether it only follows from another, of which operators hear instead.
    pub follows: bool,
    /// Where a condition failed, the place of its key's latest message, if it has a value.
    pub current: Option<Position>,
}

impl Refusal {
    /// What the others of a batch are refused for, of which one was for this. What is final for one handle is not for another.
    #[must_use]
    pub fn of_others(self) -> Self {
        let others = if self.code.retryable() { self } else { KEPT_OUT.into() };
        Self { follows: true, ..others }
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self { code, retry_after_ms: retry_after_ms(code), follows: false, current: None }
    }
}

impl From<Exhausted> for Refusal {
    fn from(exhausted: Exhausted) -> Self {
        Self { retry_after_ms: exhausted.retry_after_ms, ..Self::from(Code::RateLimited) }
    }
}

/// The refusal of a question.
#[must_use]
pub fn failed(request: Request, refusal: impl Into<Refusal>) -> HubFrame<'static> {
    HubFrame::Failed(failed_for(request, refusal))
}

/// The same, to say more in it.
#[must_use]
pub fn failed_for(request: Request, refusal: impl Into<Refusal>) -> Failed<'static> {
    let Refusal { code, retry_after_ms, .. } = refusal.into();
    let (message, retryable) = (code.sentence().into(), code.retryable());
    Failed { request, code, retry_after_ms, message, retryable }
}

/// Whether `next` can be told in the same frame as the outcome before it.
pub fn continues(one: &Outcome, next: &Outcome) -> bool {
    let consecutive =
        one.origin == next.origin && one.durability == next.durability && next.seq.0 == one.seq.0 + one.count;
    consecutive
        && match (one.fate, next.fate) {
            (Fate::Done { offset: a, duplicate: x }, Fate::Done { offset: b, duplicate: y }) => {
                x == y && (a.0 > 0 && b.0 == a.0 + one.count || a.0 == 0 && b.0 == 0)
            }
            (Fate::Refused { code: a, consumed: x }, Fate::Refused { code: b, consumed: y }) => {
                a == b && x == y
            }
            (Fate::KeptOut(a), Fate::KeptOut(b)) => a == b,
            (Fate::InDoubt, Fate::InDoubt) => true,
            (
                Fate::Done { .. }
                | Fate::Refused { .. }
                | Fate::KeptOut(_)
                | Fate::InDoubt
                | Fate::ConditionFailed(_),
                _,
            ) => false,
        }
}

/// The frame that tells the outcomes of `count` seqs, of which this has the first; `None` if nobody knows them.
pub fn outcome_frame(outcome: &Outcome, count: u64, topics: &Topics) -> Option<HubFrame<'static>> {
    let (handle, seq) = (outcome.handle, outcome.seq);
    Some(match outcome.fate {
        Fate::InDoubt => return None,
        Fate::Done { offset, duplicate } => HubFrame::Acked(Acked {
            handle,
            seq,
            count,
            epoch: if offset == Offset(0) { Epoch(0) } else { topics.log(outcome.log).epoch },
            offset,
            durability: outcome.durability,
            duplicate,
        }),
        Fate::Refused { code, consumed } => HubFrame::Refused(Refused {
            handle,
            seq,
            count,
            code,
            consumed,
            retry_after_ms: if code == Code::OutOfOrder { 0 } else { retry_after_ms(code) },
            message: sentence(code, outcome.log, topics).into(),
            current: None,
        }),
        Fate::ConditionFailed(current) => HubFrame::Refused(Refused {
            handle,
            seq,
            count,
            code: Code::ConditionFailed,
            consumed: true,
            retry_after_ms: 0,
            message: Code::ConditionFailed.sentence().into(),
            current: place_of(outcome, current, topics),
        }),
        Fate::KeptOut(code) => HubFrame::Refused(Refused {
            handle,
            seq,
            count,
            code,
            consumed: false,
            retry_after_ms: retry_after_ms(code),
            message: code.sentence().into(),
            current: None,
        }),
    })
}

/// The place of a key's latest message in an outcome's log; `None` if it has no value.
pub fn place_of(outcome: &Outcome, current: Offset, topics: &Topics) -> Option<Position> {
    (current > Offset(0)).then(|| topics.log(outcome.log).position(current))
}

/// What is said of a publish that a log has refused.
fn sentence(code: Code, log: u8, topics: &Topics) -> &'static str {
    let limits = topics.limits();
    let is_of_commits = topics.log(log).durability != Durability::Memory
        && limits.frame_bytes_max.max(limits.message_bytes_max) > BODY_BYTES_MAX / 2;
    if code == Code::TooLarge && is_of_commits { TOO_LARGE_TO_STORE } else { code.sentence() }
}

/// What is said where a message may be larger than a commit of the log, alone or with its batch.
pub const TOO_LARGE_TO_STORE: &str = "the message is larger than the hub takes: than `message_bytes_max`, or alone or with its batch than a commit, in which a durable topic stores it: 64 MiB with all that stands beside messages";

/// What a refusal asks its client to wait.
pub fn retry_after_ms(code: Code) -> u64 {
    if code.retryable() { RETRY_AFTER_MS } else { 0 }
}

/// What a refused client waits before it tries again, unless it was told otherwise.
const RETRY_AFTER_MS: u64 = 500;
