//! Tickets: what stands for a token in an address, where nothing else can be said (`EventSource` sends no headers). Each is a
//! secret that soon means nothing, and allows what its token did.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::Serialize;
use tidewire_hub_core::access::caller::Caller;
use tidewire_hub_core::clock::Millis;
use tidewire_protocol::code::Code;
use utoipa::ToSchema;

use crate::http::problem::Problem;
use crate::http::shapes::Failures;
use crate::http::{Api, answer};

/// Tickets that have been given out.
#[derive(Debug, Default)]
pub(super) struct Tickets(Mutex<Given>);

#[derive(Debug, Default)]
struct Given {
    by_secret: HashMap<Secret, Ticket>,
    /// Of each subject, in the order in which they were given.
    by_subject: HashMap<Arc<str>, VecDeque<Secret>>,
    /// It is swept when there are so many.
    sweep_at: usize,
}

#[derive(Debug, Clone)]
struct Ticket {
    caller: Arc<Caller>,
    until: Millis,
}

type Secret = [u8; 24];

/// A ticket as it is told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ticket)]
struct Told {
    ticket: String,
    expires_ms: u64,
}

/// Gives a ticket for the token that it comes with.
#[utoipa::path(
    post, path = "/v1/tickets", tag = "tickets", security(("token" = [])),
    responses((status = 200, body = Told, description = "The ticket"), Failures),
)]
pub(super) async fn create(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let visitor = api.enter(&parts).await?;
    let Some(subject) = visitor.caller.subject() else {
        return Err(Problem::from(Code::BadToken).saying("a ticket stands for a token: bring one"));
    };
    let now = api.desk().now();
    let until = now.plus(TICKET_MS).min(visitor.caller.ends_at());
    let mut secret = Secret::default();
    getrandom::fill(&mut secret).map_err(|_| Code::Internal)?;
    api.tickets.give(now, secret, Arc::clone(subject), Ticket { caller: Arc::clone(&visitor.caller), until });
    Ok(answer::json(&Told { ticket: BASE64.encode(secret), expires_ms: until.since(now) }))
}

impl Tickets {
    /// Who comes with a ticket.
    ///
    /// # Errors
    /// It is none, or means nothing any more.
    pub(super) fn caller(&self, now: Millis, ticket: &str) -> Result<Arc<Caller>, Problem> {
        let secret = BASE64.decode(ticket).ok().and_then(|bytes| Secret::try_from(bytes).ok());
        let given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket =
            secret.and_then(|secret| given.by_secret.get(&secret)).filter(|ticket| now < ticket.until);
        let wrong = || {
            Problem::from(Code::BadToken).saying("the ticket is none, or its time is over: ask for another")
        };
        ticket.map(|ticket| Arc::clone(&ticket.caller)).ok_or_else(wrong)
    }

    fn give(&self, now: Millis, secret: Secret, subject: Arc<str>, ticket: Ticket) {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        given.sweep(now);
        let theirs = given.by_subject.entry(subject).or_default();
        theirs.push_back(secret);
        let displaced = if theirs.len() > PER_SUBJECT_MAX { theirs.pop_front() } else { None };
        if let Some(displaced) = displaced {
            given.by_secret.remove(&displaced);
        }
        given.by_secret.insert(secret, ticket);
    }
}

impl Given {
    /// Forgets what means nothing any more, whenever there may be as much of that as there is of the rest.
    fn sweep(&mut self, now: Millis) {
        if self.by_secret.len() < self.sweep_at {
            return;
        }
        self.by_secret.retain(|_, ticket| now < ticket.until);
        let known = &self.by_secret;
        self.by_subject.retain(|_, theirs| {
            theirs.retain(|secret| known.contains_key(secret));
            !theirs.is_empty()
        });
        self.sweep_at = (self.by_secret.len() * 2).max(SWEEP_AT_LEAST);
    }
}

/// How long a ticket can be used: long enough to open a stream with it, and to come back after a short cut.
const TICKET_MS: u64 = 60_000;
/// Tickets of one subject that can be used at once; the oldest goes for one more.
const PER_SUBJECT_MAX: usize = 16;
/// Fewer are not worth a look.
const SWEEP_AT_LEAST: usize = 256;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tidewire_hub_core::access::caller::Pass;
    use tidewire_hub_core::clock::NEVER;
    use tidewire_hub_core::ledger::{AccountKey, Ledger};

    fn give(tickets: &Tickets, now: Millis, number: u32, subject: &str) -> String {
        let account = Arc::new(Ledger::default()).account(AccountKey(1));
        let pass = Pass {
            subject: subject.into(),
            allow: Vec::new(),
            expires_at: NEVER,
            ends_at: NEVER,
            ..Pass::default()
        };
        let caller = Arc::new(Caller::new(pass, &account).unwrap());
        let mut secret = Secret::default();
        secret[..4].copy_from_slice(&number.to_be_bytes());
        let subject = Arc::clone(caller.subject().unwrap());
        tickets.give(now, secret, subject, Ticket { caller, until: now.plus(TICKET_MS) });
        BASE64.encode(secret)
    }

    #[test]
    fn a_ticket_is_good_for_a_while_and_the_oldest_of_a_subject_goes_first() {
        let (tickets, now) = (Tickets::default(), Millis(1));
        let theirs = give(&tickets, now, 0, "bob");
        let ours: Vec<_> = (1..=20).map(|number| give(&tickets, now, number, "ada")).collect();
        let good = |now, ticket: &str| tickets.caller(now, ticket).is_ok();
        assert_eq!(ours.iter().filter(|ticket| good(now, ticket)).count(), PER_SUBJECT_MAX);
        assert!(!good(now, &ours[3]) && good(now, &ours[4]) && good(now, &theirs));
        assert!(good(now.plus(TICKET_MS - 1), &theirs) && !good(now.plus(TICKET_MS), &theirs));
        for wrong in ["", "AAAA", "not base64!", &theirs[1..]] {
            assert!(!good(now, wrong), "{wrong}");
        }
    }

    #[test]
    fn those_whose_time_is_over_are_not_kept() {
        let tickets = Tickets::default();
        for number in 0..10_000 {
            give(&tickets, Millis(u64::from(number) * 1_000), number, &format!("subject {number}"));
        }
        let given = tickets.0.lock().unwrap();
        assert!(given.by_secret.len() <= SWEEP_AT_LEAST && given.by_subject.len() <= SWEEP_AT_LEAST);
    }
}
