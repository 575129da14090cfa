//! The token to sign in with: when the application is asked for one, and when a later one goes out on a link that is up.

use alloc::string::String;

use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::Welcome;

use crate::connection::{Change, Connection, State};
use crate::fault::ClientCode;
use crate::input::{Millis, NEVER};
use crate::limits::{TOKEN_AGAIN_MS, TOKEN_MS_MAX};
use crate::options::Options;
use crate::output::{Output, TokenReason};
use crate::outputs::Outputs;
use crate::random::Random;

/// The token, and what the hub has said of it.
#[derive(Debug)]
pub(super) struct Token {
    /// What the application gave last.
    pub text: Option<String>,
    /// Whether it was asked for again since the hub last took one.
    pub is_renewed: bool,
    /// Whether the hub takes a later one on the same link.
    goes_on: bool,
    /// When it ends.
    ends_at: Millis,
    /// When the application is asked for the next one.
    ask_at: Millis,
}

impl Token {
    pub(super) const fn new() -> Self {
        Self { text: None, is_renewed: false, goes_on: false, ends_at: NEVER, ask_at: NEVER }
    }

    pub(super) const fn ask_at(&self) -> Millis {
        self.ask_at
    }

    /// The hub has taken it.
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
    }

    /// It ends after so long, 0 for never. The next one is asked for well before that, by each client at another time.
    fn lasts(&mut self, now: Millis, expires_ms: Millis, options: &Options, random: &mut Random) {
        (self.ends_at, self.ask_at) = (NEVER, NEVER);
        if expires_ms > 0 {
            self.ends_at = now + expires_ms;
            if options.asks_tokens && self.goes_on {
                self.ask_at = now + expires_ms / 4 * 3 + random.up_to(expires_ms / 8);
            }
        }
    }
}

impl Connection {
    /// The application is asked for a token, unless there is one that may still be taken; whether it was.
    pub(super) fn ask_token(&mut self, now: Millis, options: &Options, out: &mut Outputs) -> bool {
        if !options.asks_tokens || self.token.text.is_some() && now < self.token.ends_at {
            return false;
        }
        let reason = if self.token.is_renewed { TokenReason::Refused } else { TokenReason::SignIn };
        out.push(Output::NeedToken { reason });
        self.state = State::Fetching { until: now + TOKEN_MS_MAX };
        true
    }

    /// The application is asked for the next token, on a link that is up.
    pub(super) fn ask_next_token(&mut self, out: &mut Outputs) {
        self.token.ask_at = NEVER;
        out.push(Output::NeedToken { reason: TokenReason::Expires });
    }

    /// The application gives a token; whether it is to go out on this link.
    pub(crate) fn set_token(&mut self, now: Millis, token: &str, out: &mut Outputs) -> bool {
        (self.token.text, self.token.ends_at) = (Some(token.into()), NEVER);
        if matches!(self.state, State::Fetching { .. }) {
            self.open(now, out);
        }
        self.is_online() && self.token.goes_on
    }

    /// The application has none now, or never will.
    pub(crate) fn token_failed(
        &mut self,
        now: Millis,
        is_final: bool,
        options: &Options,
        out: &mut Outputs,
    ) -> Change {
        if self.is_online() && options.asks_tokens && !is_final {
            self.token.ask_at = now + TOKEN_AGAIN_MS;
        }
        if !matches!(self.state, State::Fetching { .. }) {
            return Change::None;
        }
        if is_final {
            return self.end(ClientCode::TokenRefused.into(), out);
        }
        self.lose(now, ClientCode::NoToken.into(), 0, out)
    }

    /// The hub goes on with the token that was sent last.
    pub(crate) fn signed_in(&mut self, now: Millis, expires_ms: Millis, options: &Options) {
        self.token.lasts(now, expires_ms, options, &mut self.random);
    }

    /// What to sign in with.
    pub(crate) fn token(&self) -> &str {
        self.token.text.as_deref().unwrap_or_default()
    }
}
