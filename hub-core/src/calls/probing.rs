//! Whether messages still pass: one of the hub's own is published as others are, and has to come out to whoever listens.

use std::sync::Arc;

use tidewire_protocol::code::{Code, Content};
use tidewire_protocol::name::{Pattern, TopicName};

use crate::access::caller::Caller;
use crate::calls::{By, CallId, Calls};
use crate::clock::Millis;
use crate::ledger::Account;
use crate::names::directory::{Retention, TopicRule};
use crate::pace::Pace;

/// A probe under way: both are answered, or something does not pass.
#[derive(Debug)]
pub struct Probe {
    /// Answered with news.
    pub listening: CallId,
    /// Answered with where it is.
    pub publishing: CallId,
}

impl<R> Calls<R> {
    /// Listens to the hub's own topic, and publishes to it.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if there is no room for a topic, which says nothing of those that there are.
    pub fn probe(&self, now: Millis, account: &Arc<Account>, replies: (R, R)) -> Result<Probe, Code> {
        let topic = TopicName::parse(TOPIC).map_err(|_| Code::Internal)?;
        let (topic, selector) = self.topics().access().now().own(&topic).ok_or(Code::Internal)?;
        let (caller, pace) = (Caller::default(), Pace::default());
        let by = By { caller: &caller, account, pace: &pace };
        let listening = self.listen(now, by, &selector, replies.0)?;
        let publishing = self.publish_own(now, by, &topic, (Content::Text, b"probe"), replies.1);
        let publishing = publishing.inspect_err(|_| self.forget(now, listening))?;
        Ok(Probe { listening, publishing })
    }
}

/// What the probes' topic keeps: nothing. To stand before all other rules.
#[must_use]
pub fn rule() -> Option<TopicRule> {
    let retention = Retention { none: true, ..Retention::ALL };
    Some(TopicRule { pattern: Pattern::parse(TOPIC).ok()?, retention, log: 0 })
}

/// Where probes go.
const TOPIC: &str = "$hub.probe";
