//! The token to sign in with: when the application is asked for one, and when a later one goes out on a link that is up.

use alloc::string::String;
use alloc::vec::Vec;

use tidewire_protocol::client_frame::SignIn;
use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::{Failed, SignedIn, Welcome};
use tidewire_protocol::number::Request;

use crate::connection::{Change, Connection, State};
use crate::fault::ClientCode;
use crate::input::{Millis, NEVER};
use crate::limits::{TOKEN_AGAIN_MS, TOKEN_MS_MAX, TOKEN_PAUSE_MS};
use crate::options::Options;
use crate::output::{Output, TokenReason};
use crate::outputs::Outputs;
use crate::random::Random;

/// The token, and what the hub has said of it.
#[derive(Debug)]
pub(super) struct Token {
    /// What the application gave last.
    text: String,
    /// What the hub makes of that.
    standing: Standing,
    /// Whether it was asked for since the hub refused one, and no link has begun with one since.
    is_renewed: bool,
    /// Whether the hub takes a later one on the same link.
    goes_on: bool,
    /// When the one in force ends.
    ends_at: Millis,
    /// When it goes out on a link that is up, if the hub has yet to judge it; else when the next one is asked for.
    due_at: Millis,
    /// The question that brought it last.
    request: Request,
}

/// How a text stands with the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// There is none.
    None,
    /// The hub has yet to judge it.
    Open,
    /// The link is signed in with it, or signs in.
    InForce,
    /// The hub does not take it.
    Refused,
}

impl Token {
    pub(super) const fn new() -> Self {
        Self {
            text: String::new(),
            standing: Standing::None,
            is_renewed: false,
            goes_on: false,
            ends_at: NEVER,
            due_at: NEVER,
            request: Request(0),
        }
    }

    pub(super) const fn due_at(&self) -> Millis {
        self.due_at
    }

    /// A link begins with it.
    pub(super) fn begins(&mut self) -> &str {
        (self.standing, self.goes_on) = (Standing::InForce, false);
        self.ends_at = NEVER;
        &self.text
    }

    /// The hub has taken what the link began with.
    pub(super) fn taken(
        &mut self,
        now: Millis,
        welcome: &Welcome<'_>,
        options: &Options,
        random: &mut Random,
    ) {
        self.is_renewed = false;
        self.goes_on = welcome.features & feature::SIGN_IN > 0;
        self.lasts(now, welcome.expires_ms, options, random);
        self.bring();
    }

    /// What is newer than the one in force goes out at once.
    fn bring(&mut self) {
        if self.standing == Standing::Open {
            self.due_at = if self.goes_on { 0 } else { NEVER };
        }
    }

    /// It ends after so long, 0 for never. The next one is asked for well before that, by each client at another time.
    fn lasts(&mut self, now: Millis, expires_ms: Millis, options: &Options, random: &mut Random) {
        self.ends_at = if expires_ms > 0 { now + expires_ms } else { NEVER };
        let ask_in_ms = if expires_ms < TOKEN_PAUSE_MS {
            TOKEN_AGAIN_MS // As good as none.
        } else {
            expires_ms / 4 * 3 + random.up_to(expires_ms / 8)
        };
        self.ask_at(now + ask_in_ms, options);
    }

    /// The application is asked then, if what it gives can go out on this link and is needed there.
    fn ask_at(&mut self, at: Millis, options: &Options) {
        let is_needed = options.asks_tokens && self.goes_on && self.ends_at < NEVER;
        self.due_at = if is_needed { at } else { NEVER };
    }

    /// The link has ended for want of a sound token: whether another one can have one.
    pub(super) fn is_hopeful(&mut self, options: &Options) -> bool {
        if self.standing == Standing::Open {
            return true;
        }
        self.standing = Standing::Refused;
        options.asks_tokens && !self.is_renewed
    }

    /// The application is asked; whether that is since the hub refused what it gave.
    fn ask(&mut self, otherwise: TokenReason, within_ms: Millis, out: &mut Outputs) -> bool {
        let is_refused = self.standing == Standing::Refused;
        let reason = if is_refused { TokenReason::Refused } else { otherwise };
        self.due_at = NEVER;
        out.push(Output::NeedToken { reason, within_ms });
        is_refused
    }
}

impl Connection {
    /// The application is asked for a token, unless there is one that may still be taken; whether it was.
    pub(super) fn ask_token(&mut self, now: Millis, options: &Options, out: &mut Outputs) -> bool {
        let token = &mut self.token;
        let may_serve = match token.standing {
            Standing::Open => true,
            Standing::InForce => now < token.ends_at,
            Standing::None | Standing::Refused => false,
        };
        if !options.asks_tokens || may_serve {
            return false;
        }
        token.is_renewed = token.ask(TokenReason::SignIn, TOKEN_MS_MAX, out);
        self.state = State::Fetching { until: now + TOKEN_MS_MAX };
        true
    }

    /// The application is asked for the next token on a link that is up, if that is due.
    pub(super) fn ask_next_token(&mut self, now: Millis, out: &mut Outputs) {
        let token = &mut self.token;
        if now >= token.due_at && token.standing != Standing::Open {
            let within_ms = token.ends_at.saturating_sub(now).min(TOKEN_MS_MAX);
            token.ask(TokenReason::Expires, within_ms, out);
        }
    }

    /// The application gives a token. On a link that is up, the one that it gave last counts as none.
    pub(crate) fn set_token(&mut self, now: Millis, text: &str, options: &Options, out: &mut Outputs) {
        let token = &mut self.token;
        if token.text == text {
            token.ask_at(now + TOKEN_AGAIN_MS, options);
        } else {
            (token.text, token.standing) = (text.into(), Standing::Open);
            token.bring();
        }
        if matches!(self.state, State::Fetching { .. }) {
            self.open(now, out);
        }
    }

    /// The application has none now, or never will.
    pub(crate) fn token_failed(
        &mut self,
        now: Millis,
        is_final: bool,
        options: &Options,
        out: &mut Outputs,
    ) -> Change {
        if is_final && !self.is_closed() {
            return self.end(ClientCode::TokenRefused.into(), out);
        }
        if matches!(self.state, State::Fetching { .. }) {
            return self.lose(now, ClientCode::NoToken.into(), 0, out);
        }
        self.token.ask_at(now + TOKEN_AGAIN_MS, options);
        Change::None
    }

    /// Whether the token is to go out on this link now.
    pub(crate) fn is_to_sign_in(&self, now: Millis) -> bool {
        self.is_online() && self.token.standing == Standing::Open && now >= self.token.due_at
    }

    /// Appends the frame that brings it.
    pub(crate) fn put_sign_in(&mut self, request: Request, wire: &mut Vec<u8>) {
        (self.token.request, self.token.due_at) = (request, NEVER);
        SignIn { request, token: self.token.text.as_str().into() }.put(wire);
    }

    /// The hub goes on with a token; with which, the last answer says.
    pub(crate) fn signed_in(&mut self, now: Millis, signed_in: &SignedIn<'_>, options: &Options) {
        if signed_in.request == self.token.request {
            self.token.standing = Standing::InForce;
            self.token.lasts(now, signed_in.expires_ms, options, &mut self.random);
        }
    }

    /// The hub does not go on with it, or not yet.
    pub(crate) fn not_signed_in(&mut self, now: Millis, failed: &Failed<'_>, options: &Options) {
        let token = &mut self.token;
        if failed.request != token.request {
            return;
        }
        if failed.code.retryable() {
            token.due_at = now + failed.retry_after_ms.max(TOKEN_PAUSE_MS);
        } else {
            token.standing = Standing::Refused;
            token.ask_at(now + TOKEN_AGAIN_MS, options);
        }
    }
}
