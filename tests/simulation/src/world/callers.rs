//! Those who call: publishes, pages and waits by HTTP, whose requests and answers take their time or are lost. Each call is
//! made anew as its own try, and what one is answered is held against what is true.

use std::sync::Arc;

use tidewire_hub_core::access::caller::{Caller as Bearer, Pass};
use tidewire_hub_core::calls::{Answer, By};
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::credentials::Unwelcome;
use tidewire_hub_core::ledger::AccountKey;
use tidewire_hub_core::pace::Pace;

use crate::world::World;
use crate::world::callers::publishing::Publishing;
use crate::world::callers::reading::Reading;
use crate::world::event::Event;
use crate::world::hub::Hub;
use crate::world::tokens::{Bearer as TokenOf, TokenIndex};

mod publishing;

mod reading;

/// One who calls.
#[derive(Debug, Default)]
pub struct Caller {
    token: Option<TokenIndex>,
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
    /// The token that it is made with, and what the hub found that to say.
    token: Option<TokenIndex>,
    bearer: Arc<Bearer>,
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
            0..=2 => {
                let count = if self.oracle.keyed { self.keys.between(1, 3) } else { 1 };
                (0..count).for_each(|_| self.call_to_publish(caller));
            }
            _ => self.call_to_read(caller),
        }
    }

    /// A call begins: its request is on its way.
    fn begin_call(&mut self, caller: usize, of: Of) -> usize {
        let (token, bearer) = (self.caller_bears(caller), Arc::default());
        self.calls.push(Call { caller, life: self.oracle.lives.len(), is_over: false, token, bearer, of });
        let call = self.calls.len() - 1;
        self.send_call(call);
        call
    }

    /// Where there are tokens a caller has one. It may have ended: then the hub says so.
    fn caller_bears(&mut self, caller: usize) -> Option<TokenIndex> {
        if !self.has_tokens() {
            return None;
        }
        let is_careless = !self.calm && self.random.one_in(3);
        let lasts = |token: &TokenIndex| is_careless || self.tokens[*token].ends_at() > self.now;
        if self.callers[caller].token.filter(lasts).is_none() {
            let is_wide = !self.random.one_in(8);
            self.callers[caller].token = Some(self.issue(TokenOf::Caller(caller), is_wide));
        }
        self.callers[caller].token
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
        let is_of_another = self.calls[call].life != self.oracle.lives.len();
        if self.hub.is_none() || is_of_another && !self.outlives_hub(call) {
            return self.lose_call(call);
        }
        self.calls[call].life = self.oracle.lives.len();
        match self.calls[call].token {
            Some(token) => self.check_of_call(call, token),
            None => self.go_on_with_call(call),
        }
    }

    /// A request has its token checked before all else.
    fn check_of_call(&mut self, call: usize, token: TokenIndex) {
        let (now, text) = (Millis(self.now), token.to_string());
        let asked = self.ask(call, |hub, by| hub.calls.check(now, by.account, &text, call as CallIndex));
        if let Some(Err(code)) = asked {
            self.oracle.object(format_args!("call {call} has no token checked: {code}"));
        }
    }

    /// The token was checked.
    fn checked_for_call(&mut self, call: usize, verdict: Result<Pass, Unwelcome>) {
        if self.calls[call].is_over {
            return;
        }
        let account = account_of_caller(self.calls[call].caller);
        let account = self.hub.as_ref().map(|hub| hub.topics.ledger().account(account));
        let bearer = match (verdict, account) {
            (Ok(pass), Some(account)) => Bearer::new(pass, &account).map_err(Unwelcome::Code),
            (Ok(_), None) => return,
            (Err(unwelcome), _) => Err(unwelcome),
        };
        match bearer {
            Ok(bearer) => {
                self.calls[call].bearer = Arc::new(bearer);
                self.go_on_with_call(call);
            }
            Err(unwelcome) => {
                if !matches!(unwelcome, Unwelcome::Token(_)) || !self.token_of_call_has_ended(call) {
                    self.oracle.object(format_args!("call {call} is not let in: {unwelcome:?}"));
                }
                match self.calls[call].of {
                    Of::Publish(_) => self.end_publishing(call, false),
                    Of::Read(_) => self.end_call(call),
                }
            }
        }
    }

    fn token_of_call_has_ended(&self, call: usize) -> bool {
        self.calls[call].token.is_some_and(|token| self.tokens[token].ends_at() <= self.now)
    }

    fn go_on_with_call(&mut self, call: usize) {
        match self.calls[call].of {
            Of::Publish(_) => self.try_to_publish(call),
            Of::Read(_) => self.try_to_read(call),
        }
        self.plan_engine();
    }

    /// The hub that a call was made to is gone, and all that it knew of it.
    fn lose_call(&mut self, call: usize) {
        if self.outlives_hub(call) {
            self.calls[call].bearer = Arc::default();
            let wait = self.random.magnitude(500, 5_000);
            return self.after(wait, Event::Called(call as CallIndex));
        }
        self.end_call(call);
        if let Of::Publish(publishing) = &self.calls[call].of {
            for uid in publishing.uids.clone() {
                self.oracle.call_failed(uid, false);
            }
        }
    }

    /// Whether another hub knows of it: it has a key, and all its topics are in the durable log.
    fn outlives_hub(&mut self, call: usize) -> bool {
        let Some(log) = self.setup.durable else { return false };
        let Of::Publish(publishing) = &mut self.calls[call].of else { return false };
        let topics = publishing.uids.clone().map(|uid| self.oracle.publishes[uid as usize].topic);
        let is_lasting = topics.into_iter().all(|topic| self.oracle.log_of[usize::from(topic)] == log);
        publishing.loses_hub() && is_lasting
    }

    /// It has come to its end, and holds nothing of the hub any more.
    fn end_call(&mut self, call: usize) {
        let call = &mut self.calls[call];
        (call.is_over, call.bearer) = (true, Arc::default());
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
                // As good as none: whoever has a key asks again once the hub was started anew.
                (Answer::InDoubt, Of::Publish(_)) => self.lose_call(call),
                (Answer::Page(page), Of::Read(_)) => self.page_by_call(call, page),
                (Answer::Unread, Of::Read(_)) => self.lose_call(call),
                (Answer::News, Of::Read(_)) => self.news_by_call(call),
                (Answer::Checked(verdict), _) => self.checked_for_call(call, verdict),
                (answer, _) => self.oracle.object(format_args!("call {call} is answered {answer:?}")),
            }
            // The next one may read what this one has published.
            self.hear();
        }
    }

    /// Asks the hub something in a call's name.
    fn ask<T>(&self, call: usize, ask: impl FnOnce(&Hub, By<'_>) -> T) -> Option<T> {
        let hub = self.hub.as_ref()?;
        let caller = &self.callers[self.calls[call].caller];
        let account = hub.topics.ledger().account(account_of_caller(self.calls[call].caller));
        Some(ask(hub, By { caller: &self.calls[call].bearer, account: &account, pace: &caller.pace }))
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
