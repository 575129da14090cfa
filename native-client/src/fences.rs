//! Questions behind updates that may be lost: whose answer comes, the hub has read all that was sent before.

use std::sync::Arc;

use tokio::sync::oneshot;

use tidewire_protocol::number::Request;

use crate::outcome::PublishError;
use crate::sending::Target;

/// What a flush ends with.
pub(crate) type Flushed = Result<(), PublishError>;

/// Those who wait, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Fences {
    waiting: Vec<Fence>,
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

    /// Whether somebody waits whose question was not asked on this link.
    pub(crate) fn is_unasked(&self) -> bool {
        self.waiting.iter().any(|fence| fence.request.is_none())
    }

    /// This question was asked behind all that was sent: one for all of them.
    pub(crate) fn asked(&mut self, request: Request) {
        self.waiting.iter_mut().for_each(|fence| fence.request = fence.request.or(Some(request)));
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
