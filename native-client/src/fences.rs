//! Questions behind updates that may be lost: whose answer comes, the hub has read all that was sent before.

use std::sync::Arc;

use tokio::sync::oneshot;

use tidewire_protocol::client_frame::Heartbeat;
use tidewire_protocol::number::Request;

use crate::outcome::PublishError;
use crate::sending::Target;

/// What a flush ends with.
pub(crate) type Flushed = Result<(), PublishError>;

/// Those who wait, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Fences {
    waiting: Vec<Fence>,
    /// How many questions were asked.
    asked: u64,
}

#[derive(Debug)]
struct Fence {
    target: Arc<Target>,
    done: oneshot::Sender<Flushed>,
    /// The question on this link; none before it is asked.
    request: Option<Request>,
}

impl Fences {
    /// Somebody waits until all is read that was sent before.
    pub(crate) fn add(&mut self, target: Arc<Target>, done: oneshot::Sender<Flushed>) {
        self.waiting.push(Fence { target, done, request: None });
    }

    /// The question to send on a link that is up, behind all else, if somebody waits for one: one for all of them.
    pub(crate) fn ask(&mut self) -> Option<Vec<u8>> {
        let mut unasked = self.waiting.iter_mut().filter(|fence| fence.request.is_none()).peekable();
        unasked.peek()?;
        self.asked += 1;
        let request = Request(FIRST + self.asked);
        unasked.for_each(|fence| fence.request = Some(request));
        let mut frame = Vec::new();
        Heartbeat { request }.put(&mut frame);
        Some(frame)
    }

    /// The hub has read all up to a question; `refusal` says what it refuses of a topic.
    pub(crate) fn passed(&mut self, upto: Request, refusal: impl Fn(&Target) -> Option<PublishError>) {
        for fence in self.waiting.extract_if(.., |fence| fence.request.is_some_and(|asked| asked <= upto)) {
            // Nobody has to wait for it.
            let _ = fence.done.send(refusal(&fence.target).map_or(Ok(()), Err));
        }
    }

    /// The link is gone, with what was on its way: nothing of it will be read any more.
    pub(crate) fn reset(&mut self) {
        self.waiting.iter_mut().for_each(|fence| fence.request = None);
    }
}

/// The state machine's own questions are numbered from 1.
const FIRST: u64 = 1 << 40;
