//! What subscriptions ask the hub for, as far as a packet has room for it.

use alloc::string::String;
use alloc::vec::Vec;

use tidewire_protocol::client_frame::{History, Subscribe, Unsubscribe};
use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::Failed;
use tidewire_protocol::number::Offset;

use crate::input::{Millis, NEVER};
use crate::limits::{ASK_BYTES_MAX, PAGES_AT_ONCE_MAX};
use crate::listener::{Listener, Stage};
use crate::outputs::Outputs;
use crate::request::{Asker, Requests};
use crate::subscriptions::Subscriptions;
use crate::tail::{Standing, Tail};

impl Subscriptions {
    /// Asks for what is wanted, and lets go of what is not. `wire` is there while a link is up; what it has no room for
    /// is left to the next call.
    pub(crate) fn drive(
        &mut self,
        now: Millis,
        bytes_max: usize,
        requests: &mut Requests,
        mut wire: Option<&mut Vec<u8>>,
        out: &mut Outputs,
    ) {
        if now < self.wake_at {
            return;
        }
        self.wake_at = NEVER;
        let mut index = 0;
        while let Some(tail) = self.tails.get_mut(index) {
            if wire.as_ref().is_some_and(|wire| is_full(wire, bytes_max)) {
                self.wake_at = 0;
                return;
            }
            // One that is being asked for goes once its number is known.
            if now >= tail.linger_until && tail.standing != Standing::Asked {
                if let (Standing::Live { number } | Standing::Unwanted { number }, Some(wire)) =
                    (tail.standing, wire.as_mut())
                {
                    Unsubscribe { request: requests.following(), tail: number }.put(wire);
                }
                self.tails.remove(index);
                continue;
            }
            if now < tail.linger_until {
                self.wake_at = self.wake_at.min(tail.linger_until);
            }
            match (tail.standing, wire.as_mut()) {
                (Standing::Wanted { ask_at }, Some(_)) if now < ask_at => {
                    self.wake_at = self.wake_at.min(ask_at);
                }
                (standing @ (Standing::Wanted { .. } | Standing::Unwanted { .. }), Some(wire)) => {
                    if let Standing::Unwanted { number } = standing {
                        Unsubscribe { request: requests.following(), tail: number }.put(wire);
                    }
                    let request = requests.ask(Asker::Tail(tail.id));
                    let name = tail.name.as_str().into();
                    tail.asked = tail.when_slow();
                    Subscribe { request, name, from: tail.start(), when_slow: tail.asked }.put(wire);
                    tail.standing = Standing::Asked;
                }
                (_, None) => {}
                (Standing::Asked | Standing::Live { .. } | Standing::Paging, _) => {}
            }
            index += 1;
        }
        if let Some(wire) = wire {
            let wake_at = self.read(now, bytes_max, requests, wire, out);
            self.wake(wake_at);
        }
    }

    /// Asks for pages that listeners want, a few at once, and whoever had one last comes last. Tells when to go on, if
    /// that is not with the next answer.
    fn read(
        &mut self,
        now: Millis,
        bytes_max: usize,
        requests: &mut Requests,
        wire: &mut Vec<u8>,
        out: &mut Outputs,
    ) -> Millis {
        if now < self.pages_at {
            return self.pages_at;
        }
        loop {
            let (turn, mut wake_at) = (self.turn, NEVER);
            let mut next: Option<(_, &String, &mut Listener)> = None;
            // Pages are asked for once the live flow's place is known, for they are joined to it.
            let reads = |standing| matches!(standing, Standing::Live { .. } | Standing::Paging);
            for Tail { name, listeners, .. } in self.tails.iter_mut().filter(|tail| reads(tail.standing)) {
                for listener in listeners {
                    let Stage::Reading { ask_at } = listener.stage else { continue };
                    if listener.reads_back() && self.reads_back.is_none() {
                        continue;
                    }
                    let place = (listener.id <= turn, listener.id);
                    if now < ask_at {
                        wake_at = wake_at.min(ask_at);
                    } else if next.as_ref().is_none_or(|(first, ..)| place < *first) {
                        next = Some((place, name, listener));
                    }
                }
            }
            let Some((_, name, listener)) = next else { return wake_at };
            if requests.pages() >= PAGES_AT_ONCE_MAX {
                return wake_at;
            }
            if is_full(wire, bytes_max) {
                return 0;
            }
            if listener.reads_back() && self.reads_back == Some(false) {
                let (id, unknown) = (listener.id, Failed { code: Code::NotSupported, ..Failed::default() });
                self.page_refused(now, id, &unknown, out);
                continue;
            }
            let request = requests.ask(Asker::Reader(listener.id));
            let (name, from) = (name.as_str().into(), listener.start());
            let (bytes_max, messages_max) = (listener.page_bytes(), listener.page_messages());
            // A question has nothing to begin anew.
            let removals =
                if listener.reads_for.is_some() { Offset(0) } else { listener.removals.max(Offset(1)) };
            History { request, name, from, bytes_max, removals, messages_max }.put(wire);
            listener.stage = Stage::Asked;
            self.turn = listener.id;
        }
    }
}

fn is_full(wire: &[u8], bytes_max: usize) -> bool {
    !wire.is_empty() && wire.len() + ASK_BYTES_MAX > bytes_max
}
