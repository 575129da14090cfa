//! Those who call: publishes, pages and waits by HTTP, whose requests and answers take their time or are lost. Each call is
//! made anew as its own try, and what one is answered is held against what is true.

use std::sync::Arc;

use tidewire_hub_core::access::caller::Caller as Bearer;
use tidewire_hub_core::calls::{Answer, By};
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::ledger::AccountKey;
use tidewire_hub_core::pace::Pace;

use crate::world::World;
use crate::world::callers::publishing::Publishing;
use crate::world::callers::reading::Reading;
use crate::world::event::Event;
use crate::world::hub::Hub;

mod publishing;

mod reading;

/// One who calls.
#[derive(Debug, Default)]
pub struct Caller {
    bearer: Arc<Bearer>,
    pace: Pace,
}

/// A call, with all its tries.
#[derive(Debug)]
pub struct Call {
    caller: usize,
    /// In which life of the hub it was made first: no other knows of it.
    life: usize,
    /// Whether its caller knows what became of it, or never will.
    is_over: bool,
    of: Of,
}

#[derive(Debug)]
enum Of {
    Publish(Publishing),
    Read(Reading),
}

/// Whom an answer is for: a call, by its place among all.
pub type CallIndex = u32;

impl World {
    /// One more who calls.
    pub fn new_caller(&mut self) -> usize {
        self.callers.push(Caller::default());
        let caller = self.callers.len() - 1;
        if self.setup.act_ms > 0 {
            let wait = self.random.below(2_000);
            self.after(wait, Event::CallerActs(caller));
        }
        caller
    }

    pub(crate) fn caller_acts(&mut self, caller: usize) {
        let wait = self.random.wait(self.setup.act_ms);
        self.after(wait, Event::CallerActs(caller));
        if self.calm {
            return;
        }
        match self.random.below(5) {
            0..=2 => self.call_to_publish(caller),
            _ => self.call_to_read(caller),
        }
    }

    /// A call begins: its request is on its way.
    fn begin_call(&mut self, caller: usize, of: Of) -> usize {
        self.calls.push(Call { caller, life: self.oracle.logs.len(), is_over: false, of });
        let call = self.calls.len() - 1;
        self.send_call(call);
        call
    }

    fn send_call(&mut self, call: usize) {
        let wait = self.random.below(self.setup.latency_ms + 1);
        self.after(wait, Event::Called(call as CallIndex));
    }

    /// A request arrives.
    pub(crate) fn called(&mut self, call: CallIndex) {
        let call = call as usize;
        if self.calls[call].is_over {
            return;
        }
        if self.hub.is_none() || self.calls[call].life != self.oracle.logs.len() {
            return self.lose_call(call);
        }
        match self.calls[call].of {
            Of::Publish(_) => self.try_to_publish(call),
            Of::Read(_) => self.try_to_read(call),
        }
        self.plan_engine();
    }

    /// The hub that a call was made to is gone, and all that it knew of it.
    fn lose_call(&mut self, call: usize) {
        self.calls[call].is_over = true;
        if let Of::Publish(publishing) = &self.calls[call].of {
            for uid in publishing.uids.clone() {
                self.oracle.call_failed(uid, false);
            }
        }
    }

    /// The hub has gone.
    pub(crate) fn lose_calls(&mut self) {
        for call in 0..self.calls.len() {
            if !self.calls[call].is_over {
                self.lose_call(call);
            }
        }
    }

    /// What came for those who call is taken, a moment later than it came.
    pub(crate) fn plan_answers(&mut self) {
        if self.hub.as_ref().is_some_and(Hub::has_answers) && !self.answers_due {
            self.answers_due = true;
            let wait = self.random.below(3);
            self.after(wait, Event::Answers);
        }
    }

    pub(crate) fn take_answers(&mut self) {
        self.answers_due = false;
        let Some(hub) = &self.hub else { return };
        for (call, answer) in hub.calls.take(Millis(self.now)) {
            let call = call as usize;
            match (answer, &self.calls[call].of) {
                (Answer::Published(landed), Of::Publish(_)) => self.published_by_call(call, &landed),
                (Answer::Page(page), Of::Read(_)) => self.page_by_call(call, page),
                (Answer::News, Of::Read(_)) => self.news_by_call(call),
                (answer, _) => self.oracle.object(format_args!("call {call} is answered {answer:?}")),
            }
        }
    }

    /// Asks the hub something in a call's name.
    fn ask<T>(&self, call: usize, ask: impl FnOnce(&Hub, By<'_>) -> T) -> Option<T> {
        let hub = self.hub.as_ref()?;
        let caller = &self.callers[self.calls[call].caller];
        let account = hub.topics.ledger().account(account_of_caller(self.calls[call].caller));
        Some(ask(hub, By { caller: &caller.bearer, account: &account, pace: &caller.pace }))
    }

    /// In calm every call has its answer.
    pub(crate) fn check_calls(&mut self) {
        if let Some((index, call)) = self.calls.iter().enumerate().find(|(_, call)| !call.is_over) {
            let what = format!("call {index} is not answered in calm: {call:?}");
            self.oracle.object(what);
        }
        let under_way = self.hub.as_ref().map_or(0, |hub| hub.calls.count());
        if under_way > 0 {
            self.oracle.object(format_args!("{under_way} calls are under way in calm"));
        }
    }
}

/// Each comes from an address of its own.
pub(crate) fn account_of_caller(caller: usize) -> AccountKey {
    AccountKey(3 << 64 | caller as u128)
}
