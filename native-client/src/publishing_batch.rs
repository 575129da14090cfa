//! A batch on its way: all of its messages are stored, or none.

use std::pin::Pin;
use std::task::{Context, Poll};

use tidewire_client_core::outcome::Published;
use tidewire_protocol::code::Code;

use crate::outcome::{Outcome, PublishError};
use crate::publishing::Publishing;

/// The outcomes of a batch, in the order of its messages, or why none of them was published.
///
/// Dropping it only stops the waiting: the batch still goes out. [`Self::cancel`] withdraws it.
#[derive(Debug)]
pub struct PublishingBatch(Vec<State>);

#[derive(Debug)]
enum State {
    Waiting(Publishing),
    Done(Outcome),
}

impl PublishingBatch {
    /// One of these messages.
    pub(crate) fn pending(messages: impl IntoIterator<Item = Publishing>) -> Self {
        Self(messages.into_iter().map(State::Waiting).collect())
    }

    /// One that came to nothing.
    pub(crate) fn failed(error: PublishError) -> Self {
        Self(vec![State::Done(Err(error))])
    }

    /// Withdraws the batch, as [`Publishing::cancel`] withdraws a message.
    pub fn cancel(&mut self) {
        // One takes all others along.
        if let Some(State::Waiting(first)) = self.0.first_mut() {
            first.cancel();
        }
    }
}

impl Future for PublishingBatch {
    type Output = Result<Vec<Published>, PublishError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut is_over = true;
        for state in &mut self.0 {
            if let State::Waiting(publishing) = state {
                match Pin::new(publishing).poll(context) {
                    Poll::Ready(outcome) => *state = State::Done(outcome),
                    Poll::Pending => is_over = false,
                }
            }
        }
        if !is_over {
            return Poll::Pending;
        }
        let outcomes = std::mem::take(&mut self.0).into_iter().filter_map(|state| match state {
            State::Done(outcome) => Some(outcome),
            State::Waiting(_) => None,
        });
        let (mut published, mut failed) = (Vec::new(), None);
        for outcome in outcomes {
            match outcome {
                Ok(one) => published.push(one),
                // Those that failed for another say nothing of why.
                Err(error) if failed.as_ref().is_none_or(|known| *known == FOR_ANOTHER) => {
                    failed = Some(error)
                }
                Err(_) => {}
            }
        }
        Poll::Ready(failed.map_or(Ok(published), Err))
    }
}

const FOR_ANOTHER: PublishError = PublishError::Refused(Code::BatchRefused);
