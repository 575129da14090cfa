//! Who makes a request: by its token, which is checked once and known from then on, or nobody in particular.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Version};
use sha2::{Digest as _, Sha256};
use tidewire_hub_core::access::caller::Caller;
use tidewire_hub_core::calls::By;
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::credentials::Unwelcome;
use tidewire_hub_core::ledger::Account;
use tidewire_protocol::code::Code;

use crate::gate::Gate;
use crate::gate::line::{Busy, Deadline, Line};
use crate::gate::proxies::Peer;
use crate::http::origin::{may_come, turned_away};
use crate::http::problem::{Problem, later};
use crate::seats::{Seat, account_of};

/// Whoever makes a request.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// What may be done.
    pub(super) caller: Arc<Caller>,
    /// Who answers for the memory that it takes.
    pub(super) account: Arc<Account>,
    /// That of the request, where its connection has many: each counts as if it had one of its own.
    _seat: Option<Arc<Seat>>,
    line: Arc<Line>,
    /// That of the request, where it is not its connection's.
    deadline: Option<Arc<Deadline>>,
    peer: Peer,
    client: IpAddr,
}

/// Tokens that were found sound, by what stands for them: the secret itself is not kept.
#[derive(Debug, Default)]
pub(super) struct Callers(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_print: HashMap<Print, Arc<Caller>>,
    /// In the order in which they came.
    order: VecDeque<Print>,
}

type Print = [u8; 32];

impl Visitor {
    /// It waits for something, so long at most, and is not to be let go for that: nor is its connection as long as what this gives
    /// is kept.
    pub(super) fn waits(&self, patience: Duration) -> Option<Busy> {
        match &self.deadline {
            Some(deadline) => {
                deadline.give(patience);
                Some(self.line.keep_busy())
            }
            None => {
                self.line.give(patience);
                None
            }
        }
    }

    /// It leaves HTTP: gives its seat, if it has one.
    pub(super) fn leave(&self) -> Option<Seat> {
        self.line.leave(account_of(self.client))
    }

    /// So long, or as long as its token lasts.
    pub(super) fn at_most(&self, now: Millis, patience: Duration) -> Duration {
        patience.min(Duration::from_millis(self.caller.ends_at().since(now)))
    }

    /// Its connection has a seat from now on, as one that stays.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn come_inside(&self, gate: &Gate) -> Result<(), Problem> {
        if !self.line.is_inside() {
            let seat = gate.admit_from(self.peer, self.client);
            self.line.come_inside(seat?);
        }
        Ok(())
    }

    /// It, as calls want to know.
    pub(super) fn by(&self) -> By<'_> {
        By { caller: &self.caller, account: &self.account, pace: &self.line.pace }
    }
}

impl Callers {
    /// Lets somebody in.
    ///
    /// # Errors
    /// The hub stops, or the token is not sound.
    pub(super) async fn admit(&self, gate: &Gate, request: &Parts) -> Result<Visitor, Problem> {
        if gate.is_shut() {
            return Err(later(Code::Draining, "the hub is stopping; come back in a moment"));
        }
        if !may_come(gate, &request.headers, &request.uri) {
            return Err(turned_away(gate, &request.headers, request.extensions.get()));
        }
        let peer = request.extensions.get::<ConnectInfo<Peer>>();
        let peer = peer.ok_or(Code::Internal)?.0;
        let client = gate.door().proxies.client_of(peer, &request.headers);
        let desk = gate.reactor().desk();
        let line = request.extensions.get::<Arc<Line>>().ok_or(Code::Internal)?;
        let account = line.account(desk.topics().ledger(), account_of(client));
        let is_one_of_many = request.version == Version::HTTP_2;
        let seat = is_one_of_many.then(|| gate.admit_from(peer, client)).transpose()?;
        let caller = match token_of(&request.headers)? {
            Some(token) if desk.topics().credentials().are_taken() => {
                self.caller(gate, &account, token).await?
            }
            _ => Arc::default(),
        };
        let deadline = request.extensions.get().cloned();
        let (line, _seat) = (Arc::clone(line), seat.map(Arc::new));
        Ok(Visitor { caller, account, _seat, line, deadline, peer, client })
    }

    async fn caller(
        &self,
        gate: &Gate,
        account: &Arc<Account>,
        token: &str,
    ) -> Result<Arc<Caller>, Unwelcome> {
        let print = Sha256::digest(token).into();
        let desk = gate.reactor().desk();
        let standing = desk.topics().credentials().standing();
        let is_good =
            |known: &Arc<Caller>| desk.now() < known.ends_at() && standing.check_caller(known).is_ok();
        if let Some(known) = self.known(&print).filter(is_good) {
            return Ok(known);
        }
        let pass = desk.check(account, token).await?;
        let caller = Arc::new(Caller::new(pass, account).map_err(Unwelcome::Code)?);
        Ok(self.keep(print, caller, is_good))
    }

    fn known(&self, print: &Print) -> Option<Arc<Caller>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_print.get(print).cloned()
    }

    /// Keeps a caller, and gives it; but of requests that came together the first one's, whose pace all keep.
    fn keep(&self, print: Print, caller: Arc<Caller>, is_good: impl Fn(&Arc<Caller>) -> bool) -> Arc<Caller> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = known.by_print.get(&print).filter(|first| is_good(first)) {
            return Arc::clone(first);
        }
        if known.by_print.insert(print, Arc::clone(&caller)).is_none() {
            known.order.push_back(print);
        }
        if known.order.len() > KNOWN_MAX
            && let Some(oldest) = known.order.pop_front()
        {
            known.by_print.remove(&oldest);
        }
        caller
    }
}

/// The bearer token of a request, if it has one.
///
/// # Errors
/// A problem if what it has is none.
pub(super) fn token_of(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(header) = all.next() else { return Ok(None) };
    // Of two, whoever stands before the hub may have looked at the other.
    let token = Some(header).filter(|_| all.next().is_none());
    let token = token.and_then(|header| header.to_str().ok()?.split_once(' '));
    match token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => {
            Ok(Some(token.trim()))
        }
        _ => Err(Problem::from(Code::BadToken).saying("`Authorization` is `Bearer` and a token, once")),
    }
}

/// Tokens that are known at once. The oldest goes first, and is checked anew when it comes again.
const KNOWN_MAX: usize = 4_096;
