//! What a subscription on the wire is asked for, where several listeners share it who want different things.
//!
//! The hub has one subscription of a name for a connection. With `latest` it passes over what was replaced, which is for
//! nobody who wants every change; and it takes that only of topics that keep the latest of each key, which is what those
//! who want it rely on. So where both are among the listeners it is asked for `latest` first, and for what the others want
//! once it has taken that. What comes meanwhile is nobody's, and comes again.

use tidewire_protocol::code::{Code, WhenSlow};
use tidewire_protocol::number::TailNumber;

use crate::fault::Fault;
use crate::listener::Listener;
use crate::outputs::Outputs;
use crate::tail::{Standing, Tail};

impl Tail {
    /// What the hub is to do when the connection is slow, as far as it is known what the topic keeps. Of those that want
    /// every change the first decides.
    pub(crate) fn when_slow(&self) -> WhenSlow {
        let other = self.listeners.iter().find(|listener| !wants_latest(listener));
        match other {
            Some(other) if self.keeps_latest || !self.listeners.iter().any(wants_latest) => other.when_slow,
            None if self.listeners.is_empty() => self.asked,
            Some(_) | None => WhenSlow::Latest,
        }
    }

    /// The hub has it, under this number, or it has one more listener. If it was asked for otherwise than is wanted, it is
    /// to be asked for anew.
    pub(super) fn stand(&mut self, number: TailNumber) {
        let is_latest = |when_slow| when_slow == WhenSlow::Latest;
        let is_wanted = is_latest(self.asked) == is_latest(self.when_slow());
        self.standing = if is_wanted { Standing::Live { number } } else { Standing::Unwanted { number } };
    }

    /// The hub refuses it for good. Whether listeners are left who may have it all the same: only that it keeps the latest of
    /// each key was denied.
    pub(crate) fn refused(&mut self, fault: Fault, out: &mut Outputs) -> bool {
        let is_denied = self.asked == WhenSlow::Latest && fault == Fault::Protocol(Code::NotSupported);
        let ends = |listener: &Listener| !is_denied || wants_latest(listener);
        self.listeners.iter().filter(|listener| ends(listener)).for_each(|listener| listener.end(fault, out));
        self.listeners.retain(|listener| !ends(listener));
        self.standing = Standing::Wanted { ask_at: 0 };
        !self.listeners.is_empty()
    }
}

fn wants_latest(listener: &Listener) -> bool {
    listener.when_slow == WhenSlow::Latest
}
