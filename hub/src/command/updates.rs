//! `tidewire pub --no-ack`: sends updates that may be lost, and tells how many were dropped here.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tidewire_client::{Client, Outgoing, Payload, PublishError, Topic};
use tidewire_hub::report::report;
use tokio::time::timeout;

use crate::command::asked::Asked;
use crate::command::besides::Besides;
use crate::command::failure::Failure;
use crate::command::hub_address::connected;
use crate::command::lines::{Lines, counted};

/// Updates to one topic.
#[derive(Debug)]
pub(crate) struct Updates<'a> {
    client: &'a Client,
    asked: &'a Asked,
    name: &'a str,
    topic: Topic,
    /// How many were given to the client.
    given: AtomicU64,
}

impl<'a> Updates<'a> {
    pub(crate) fn to(client: &'a Client, asked: &'a Asked, name: &'a str) -> Self {
        Self { client, asked, name, topic: client.topic(name), given: AtomicU64::new(0) }
    }

    /// Sends one, and waits until the hub has read it.
    pub(crate) async fn one(&self, message: Outgoing) -> Result<(), Failure> {
        self.ready().await?;
        let size = message.payload().bytes().len();
        self.check(|| self.name.to_owned(), size)?;
        self.give(message)?;
        self.read().await
    }

    /// Sends each line, and waits until the hub has read what went out.
    pub(crate) async fn lines(&self, mut lines: Lines, besides: &Besides) -> Result<(), Failure> {
        self.ready().await?;
        let mut unread = 0;
        while let Some(line) = lines.next().await {
            let what = || format!("line {} was not sent", lines.number());
            let checked = |payload: Payload| self.check(what, payload.bytes().len()).map(|()| payload);
            let payload = match line.and_then(checked) {
                Ok(payload) => payload,
                Err(failure) => {
                    // Those before it may be on their way, and are wanted there.
                    self.read().await?;
                    return Err(failure.and(&format!("sent before it: {}", counted(lines.number() - 1))));
                }
            };
            unread += payload.bytes().len() + COST;
            self.give(besides.message(payload))?;
            if unread >= PACE_BYTES {
                unread = 0;
                // Lines that come faster than the hub reads wait for it; behind a link that stalls they are dropped.
                if let Ok(read) = timeout(PACE_TIME, self.topic.flush()).await {
                    read.map_err(|error| self.refused(&error))?;
                }
            }
        }
        self.read().await
    }

    /// Ends, and tells what was dropped.
    pub(crate) fn end(&self, sent: Result<(), Failure>) -> Result<(), Failure> {
        let (dropped, given) = (self.client.sends_dropped(), self.given.load(Relaxed));
        let told = format!("{dropped} of {given} updates were dropped on this side");
        match sent {
            Ok(()) if dropped > 0 => report(format_args!("{told}: they could not go at once")),
            Ok(()) => {}
            Err(failure) if dropped > 0 => return Err(failure.and(&told)),
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// Without a connection all would be dropped.
    async fn ready(&self) -> Result<(), Failure> {
        connected(self.client).await;
        Failure::check_topic(self.name)
    }

    /// Refuses a message of a size that the hub does not take.
    fn check(&self, what: impl Fn() -> String, size: usize) -> Result<(), Failure> {
        Failure::too_large(&what(), (self.name, size), self.client).map_or(Ok(()), Err)
    }

    fn give(&self, message: Outgoing) -> Result<(), Failure> {
        self.given.fetch_add(1, Relaxed);
        self.topic.send_message(Duration::ZERO, message).map_err(|error| self.refused(&error))
    }

    async fn read(&self) -> Result<(), Failure> {
        self.asked.wait(self.topic.flush()).await.map_err(|error| self.refused(&error))
    }

    fn refused(&self, error: &PublishError) -> Failure {
        Failure::unpublished(self.name, error, (self.name, 0), self.client)
    }
}

/// What an update costs on its way besides its payload, generously.
const COST: usize = 64;
/// Sent before the hub is asked how far it has read: a quarter of what the client leaves unread on a link.
const PACE_BYTES: usize = 64 << 10;
/// How long it may take to answer before the link counts as one that stalls.
const PACE_TIME: Duration = Duration::from_secs(1);
