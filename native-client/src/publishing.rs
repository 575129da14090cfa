//! A publish on its way: waiting for its outcome, and withdrawing it.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};

use crate::command::Command;
use crate::outcome::{Outcome, PublishError};

/// The outcome of a publish, online now or whenever the hub is back.
///
/// Dropping it only stops the waiting: the message still goes out. [`Self::cancel`] withdraws it.
#[derive(Debug)]
pub struct Publishing(State);

#[derive(Debug)]
enum State {
    /// The client's task will tell.
    Pending {
        key: u64,
        outcome: oneshot::Receiver<Outcome>,
        commands: mpsc::UnboundedSender<Command>,
        cancelled: bool,
    },
    /// It came to nothing.
    Failed(PublishError),
}

impl Publishing {
    /// One that the client's task will answer.
    pub(crate) const fn pending(
        key: u64,
        outcome: oneshot::Receiver<Outcome>,
        commands: mpsc::UnboundedSender<Command>,
    ) -> Self {
        Self(State::Pending { key, outcome, commands, cancelled: false })
    }

    /// One that came to nothing.
    pub(crate) const fn failed(error: PublishError) -> Self {
        Self(State::Failed(error))
    }

    /// Withdraws the message: at once if it was never sent, else as soon as the hub confirms. The outcome is then
    /// [`PublishError::Cancelled`], or as if nothing had been said where that came too late.
    pub fn cancel(&mut self) {
        if let State::Pending { key, commands, cancelled, .. } = &mut self.0
            && !*cancelled
        {
            *cancelled = true;
            // Without a task there is nothing to withdraw.
            let _ = commands.send(Command::Cancel { key: *key });
        }
    }
}

impl Future for Publishing {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        match &mut self.0 {
            // A task that ends without an answer has been closed.
            State::Pending { outcome, .. } => {
                Pin::new(outcome).poll(context).map(|told| told.unwrap_or(Err(PublishError::Closed)))
            }
            State::Failed(error) => Poll::Ready(Err(error.clone())),
        }
    }
}
