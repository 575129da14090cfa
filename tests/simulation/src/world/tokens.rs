//! Tokens: who is given which, how the hub checks them, and what takes them back before they end. What ended has ended
//! everywhere a moment later.

use std::sync::Arc;

use tidewire_client_core::output::TokenReason;
use tidewire_hub_core::access::caller::{Allowance, Caller, Claims, Origin, Pass, Right, Rights};
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::credentials::BadToken;
use tidewire_hub_core::credentials::revocations::Revocation;
use tidewire_hub_core::ledger::AccountKey;
use tidewire_hub_core::limits::of_bearer::Bounds;
use tidewire_hub_core::shard::looking::Wanted;
use tidewire_protocol::name::Pattern;

use crate::names::{NAMES, SelectorIndex};
use crate::setup::LEFT_OUT;
use crate::world::World;
use crate::world::callers::account_of_caller;
use crate::world::event::Event;
use crate::world::hostile::account_of_client;
use crate::world::sources::account_of_source;

/// A token, by its place among all: that is its text, too, and its `jti`.
pub type TokenIndex = usize;

/// Who bears a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    /// A client, by its place.
    Client(usize),
    /// One who listens to an event stream.
    Source(usize),
    /// One who calls.
    Caller(usize),
}

/// A token that was issued.
#[derive(Debug, Clone)]
pub struct Token {
    /// To whom.
    pub bearer: Bearer,
    subject: Arc<str>,
    issued_at: u64,
    /// When it ends by itself.
    pub expires_at: u64,
    /// When it was taken back, if this hub knows of that.
    pub revoked_at: Option<u64>,
    /// Whether it ever was: what a hub said of that may come when another one lives.
    was_revoked: bool,
    /// Whether it allows to read what the rules leave to tokens.
    pub is_wide: bool,
    /// Whether no hub takes it.
    is_bad: bool,
}

impl Token {
    /// When it ends, or did.
    #[must_use]
    pub fn ends_at(&self) -> u64 {
        let ends_at = self.revoked_at.map_or(self.expires_at, |at| at.min(self.expires_at));
        if self.is_bad { 0 } else { ends_at }
    }

    fn pass(&self, index: TokenIndex) -> Pass {
        let to = Rights::NONE.with(Right::Publish);
        let to = if self.is_wide { to.with(Right::Subscribe) } else { to };
        let allow = Pattern::parse(">").map(|pattern| Allowance { pattern, to });
        let ends_at = Millis(self.expires_at);
        let id = Some(index.to_string().into());
        let issued_at = Some(self.issued_at / 1_000);
        Pass {
            subject: Arc::clone(&self.subject),
            allow: allow.into_iter().collect(),
            expires_at: ends_at,
            ends_at,
            origin: Origin { id, issued_at, ..Origin::default() },
            claims: Claims::default(),
            limits: Bounds::default(),
            info: None,
        }
    }
}

impl World {
    /// Whether anybody has a token.
    pub(crate) fn has_tokens(&self) -> bool {
        self.setup.tokens_ms > 0
    }

    /// Issues a token.
    pub fn issue(&mut self, bearer: Bearer, is_wide: bool) -> TokenIndex {
        let least = if self.calm { CALM_TOKEN_MS } else { TOKEN_MS_MIN };
        let lasts = least + self.random.wait(self.setup.tokens_ms);
        let subject = match bearer {
            // Other incarnations, and whoever takes a party in, speak for the same.
            Bearer::Client(client) => format!("client-{}", self.actors[client].producer % SUBJECTS),
            Bearer::Source(source) => format!("source-{}", source as u64 % SUBJECTS),
            Bearer::Caller(caller) => format!("caller-{caller}"),
        };
        self.tokens.push(Token {
            bearer,
            subject: subject.into(),
            issued_at: self.now,
            expires_at: self.now + lasts,
            revoked_at: None,
            was_revoked: false,
            is_wide,
            is_bad: false,
        });
        let token = self.tokens.len() - 1;
        self.note(|| format!("token {token} for {bearer:?}, {lasts} ms, wide {is_wide}"));
        self.after(lasts + EXPIRY_MS, Event::TokenEnded(token));
        token
    }

    /// A client's application is asked for a token, and takes its time.
    pub(crate) fn token_wanted(&mut self, actor: usize, reason: TokenReason, within_ms: u64) {
        if !self.has_tokens() {
            return self.actors[actor].client.set_token(self.now, "");
        }
        let longest = if self.calm { 10 } else { (within_ms / 2).max(1) };
        let wait = self.random.magnitude(1, longest.min(TOKEN_LATE_MS));
        let is_refused = reason == TokenReason::Refused;
        self.after(wait, Event::Token { actor, is_refused });
    }

    /// It gives one, or says that it has none.
    pub(crate) fn give_token(&mut self, actor: usize, is_refused: bool) {
        if self.actors[actor].closed {
            return;
        }
        if !self.calm && self.random.one_in(20) {
            self.actors[actor].client.token_failed(self.now, false);
            return self.drain(actor, &[]);
        }
        let is_wide = self.calm || !self.random.one_in(8);
        let token = self.issue(Bearer::Client(actor), is_wide);
        self.tokens[token].is_bad = !self.calm && !is_refused && self.random.one_in(20);
        let this = &mut self.actors[actor];
        this.tokens.push(token);
        this.client.set_token(self.now, &token.to_string());
        self.drain(actor, &[]);
    }

    /// Tokens wait to be checked.
    pub(crate) fn plan_checks(&mut self) {
        let waits = self.hub.as_ref().is_some_and(|hub| hub.checks_wait());
        if waits && !self.check_due {
            self.check_due = true;
            let late = if self.random.one_in(20) && !self.calm { 1_000 } else { 20 };
            let wait = self.random.below(late);
            self.after(wait, Event::Check);
        }
    }

    /// One is checked.
    pub(crate) fn check_token(&mut self) {
        self.check_due = false;
        let Some(hub) = &self.hub else { return };
        let (now, mut seen) = (self.now, None);
        let more = hub.topics.credentials().turn(|text| {
            let index = text.reveal().parse::<TokenIndex>().map_err(|_| BadToken::Malformed)?;
            let token = self.tokens.get(index).ok_or(BadToken::Malformed)?;
            if token.is_bad {
                return Err(BadToken::Signature);
            }
            seen = Some(index);
            if now < token.expires_at { Ok(token.pass(index)) } else { Err(BadToken::Expired) }
        });
        hub.checked(more);
        if let Some(Token { bearer: Bearer::Client(actor), is_wide, .. }) =
            seen.map(|index| &self.tokens[index])
        {
            let this = &mut self.actors[*actor];
            this.was_narrow |= !is_wide;
            this.narrow_since = if *is_wide { None } else { this.narrow_since.or(Some(now)) };
        }
    }

    /// Some are taken back by chance.
    pub(crate) fn revoke_some(&mut self) {
        if self.calm {
            return;
        }
        let wait = self.random.wait(self.setup.tokens_ms / 2);
        self.after(wait, Event::Revoke);
        if self.hub.is_none() || self.tokens.is_empty() {
            return;
        }
        let recent = self.tokens.len().min(40) as u64;
        let token = self.tokens.len() - 1 - self.random.below(recent) as usize;
        let (id, subject) = (token.to_string(), Arc::clone(&self.tokens[token].subject));
        let issued_before = self.now / 1_000;
        let until = Millis(self.now + 3_600_000);
        let revocation = match self.random.below(8) {
            0..=4 => Revocation::Token { id: id.into(), until },
            5 | 6 => Revocation::Subject { subject: (*subject).into(), issued_before, until },
            _ => Revocation::All { issued_before },
        };
        self.revoke(revocation);
    }

    /// From now on these stand no longer.
    pub fn revoke(&mut self, revocation: Revocation) {
        self.note(|| format!("revoked: {revocation:?}"));
        let now = self.now;
        let mut ended = Vec::new();
        for (index, token) in self.tokens.iter_mut().enumerate() {
            let is_meant = match &revocation {
                Revocation::Token { id, .. } => **id == *index.to_string(),
                Revocation::Subject { subject, issued_before, .. } => {
                    **subject == *token.subject && token.issued_at / 1_000 < *issued_before
                }
                Revocation::All { issued_before } => token.issued_at / 1_000 < *issued_before,
            };
            if is_meant && token.ends_at() > now {
                (token.revoked_at, token.was_revoked) = (Some(now), true);
                ended.push(index);
            }
        }
        let revoked = self.hub.as_ref().map(|hub| hub.topics.revoke(Millis(now), revocation));
        if let Some(Err(code)) = revoked {
            self.oracle.object(format_args!("nothing is revoked: {code}"));
        }
        for token in ended {
            self.after(REVOKED_MS, Event::TokenEnded(token));
        }
    }

    /// A hub begins that knows of nothing that was taken back before.
    pub(crate) fn forget_revocations(&mut self) {
        self.tokens.iter_mut().for_each(|token| token.revoked_at = None);
    }

    /// A token ended a while ago: whoever bears none that lasts is not there any more.
    pub(crate) fn token_ended(&mut self, token: TokenIndex) {
        let bearer = self.tokens[token].bearer;
        let now = self.now;
        let lasts = |token: &TokenIndex| {
            let Token { expires_at, revoked_at, is_bad, .. } = &self.tokens[*token];
            let by_itself = expires_at + EXPIRY_MS > now;
            !is_bad && by_itself && revoked_at.is_none_or(|at| at + REVOKED_MS > now)
        };
        let (account, stays) = match bearer {
            Bearer::Client(actor) => (account_of_client(actor), self.actors[actor].tokens.iter().any(lasts)),
            Bearer::Source(source) => {
                (account_of_source(source), self.sources[source].token.iter().any(lasts))
            }
            Bearer::Caller(caller) => (account_of_caller(caller), true),
        };
        if !stays && self.is_there(account) {
            self.oracle.object(format_args!("{bearer:?} is still there, whose token {token} has ended"));
        }
    }

    /// Whether a shard has somebody of an account who has signed in.
    fn is_there(&self, account: AccountKey) -> bool {
        let wanted =
            Wanted { looks: usize::MAX, count: usize::MAX, account: Some(account), ..Wanted::default() };
        let seats = self.hub.iter().flat_map(|hub| &hub.seats);
        let mut seen = seats.flat_map(|seat| seat.shard.look(&wanted).connections);
        seen.any(|seen| seen.subject.is_some())
    }

    /// Whether a client may be told that its token is none: one of the last two that it gave does not last.
    pub(crate) fn may_be_refused(&self, actor: usize) -> bool {
        let last = self.actors[actor].tokens.iter().rev().take(2);
        last.copied().any(|token| self.may_have_ended(token))
    }

    /// Whether somebody may be told of a token that it has ended.
    pub(crate) fn may_have_ended(&self, token: TokenIndex) -> bool {
        let token = &self.tokens[token];
        token.was_revoked || token.ends_at() <= self.now
    }

    /// Who calls or listens by a token, as the hub has found it sound.
    pub(crate) fn bear(&self, token: Option<TokenIndex>, account: AccountKey) -> Arc<Caller> {
        let (Some(token), Some(hub)) = (token, &self.hub) else { return Arc::default() };
        let account = hub.topics.ledger().account(account);
        Caller::new(self.tokens[token].pass(token), &account).map(Arc::new).unwrap_or_default()
    }

    /// Whether a topic or pattern is read by whom a token allows it alone.
    pub(crate) fn is_left_out(&self, selector: SelectorIndex) -> bool {
        self.has_tokens() && LEFT_OUT.contains(&NAMES[usize::from(selector)])
    }
}

/// Clients that have a subject between them.
pub(crate) const SUBJECTS: u64 = 3;
/// How long a token lasts at least.
const TOKEN_MS_MIN: u64 = 15_000;
/// The same in calm, when nobody is to be away for want of one.
const CALM_TOKEN_MS: u64 = 120_000;
/// An application takes no longer to give one.
const TOKEN_LATE_MS: u64 = 5_000;
/// So soon after a token was taken back its bearer is gone.
const REVOKED_MS: u64 = 1_000;
/// The same of one that ended by itself: a thread may have overslept, besides.
const EXPIRY_MS: u64 = 2_000;
