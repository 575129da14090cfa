//! A publish on its way.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::event::{Outcome, PublishError};

/// The outcome of a publish, online now or whenever the hub is back. Dropping it does not stop the message.
#[derive(Debug)]
pub struct Publishing(Result<oneshot::Receiver<Outcome>, PublishError>);

impl Publishing {
    /// One that the client's task will answer.
    pub(crate) const fn pending(outcome: oneshot::Receiver<Outcome>) -> Self {
        Self(Ok(outcome))
    }

    /// One that came to nothing.
    pub(crate) const fn failed(error: PublishError) -> Self {
        Self(Err(error))
    }
}

impl Future for Publishing {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        match &mut self.0 {
            // A task that ends without an answer has been closed.
            Ok(outcome) => {
                Pin::new(outcome).poll(context).map(|told| told.unwrap_or(Err(PublishError::Closed)))
            }
            Err(error) => Poll::Ready(Err(*error)),
        }
    }
}
