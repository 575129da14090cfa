//! The link to the hub: when it is opened, signed in on, given up, and opened again.
//!
//! Knows nothing of what travels on it but sign-in and goodbye.

use alloc::string::String;
use alloc::vec::Vec;

use tidewire_protocol::client_frame::Hello;
use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::{Goodbye, Welcome};
use tidewire_protocol::number::Request;

use crate::connection::token::Token;
use crate::fault::{ClientCode, Fault, is_ours};
use crate::input::{Millis, NEVER};
use crate::limits::{
    BACKOFF_MS_FIRST, BACKOFF_MS_MAX, BLAMES_MAX, CLOSE_NORMAL, CONNECT_MS_MAX, HEARTBEAT_MS_DEFAULT,
    LEAVE_MS_MAX,
};
use crate::options::Options;
use crate::output::{Event, Output, Status};
use crate::outputs::Outputs;
use crate::random::Random;

mod life;

mod token;

/// Where the connection stands.
///
/// ```text
///          start            token              link opened
///   Idle ───────► Fetching ───────► Opening ───────────────► SigningIn
///                    ▲ │  (no token needed: at once)             │ welcome
///   time, or retried │ │ no token   │ closed, too long           ▼
///                    │ ▼            ▼                          Online
///                  Waiting ◄─────────────── closed, silent ──────┤
///                    ▲                                           │ goodbye
///                    └────────────── closed, too long ──── Leaving
///
///   any ── Suspend ──► Suspended ── Online, or retried ──► Fetching or Opening
///   any ── close, or a refusal that no retry can help ──► Closed
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody has asked for anything.
    Idle,
    /// The application is asked for a token.
    Fetching { until: Millis },
    /// The shell opens a link.
    Opening { until: Millis },
    /// `hello` is sent.
    SigningIn { until: Millis },
    /// Signed in.
    Online {
        since: Millis,
        /// The link counts as dead then, unless something is heard before.
        silent_at: Millis,
        silence_ms: Millis,
        /// The hub is asked for a heartbeat then; never while it is asked.
        probe_at: Millis,
        is_probed: bool,
        /// The link may be dead until this question is answered; zero for none.
        doubt: Request,
    },
    /// The hub has said goodbye; what it still says is heard, and nothing is sent.
    Leaving { until: Millis, code: Code, reconnect_after_ms: Millis },
    /// Not connected until then; `asked` if that is the hub's wish.
    Waiting { until: Millis, asked: bool },
    /// Not connected until the shell says `Online`.
    Suspended,
    /// For good.
    Closed,
}

/// What a step means for all that travels on the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Change {
    /// Nothing.
    None,
    /// A link is up: say hello, and ask for everything again.
    Up,
    /// The hub has welcomed us: messages can go.
    Online,
    /// The link may be dead: ask for a heartbeat.
    Doubt,
    /// The link is gone.
    Down,
    /// It is all over, with this reason.
    Over(Fault),
}

/// The connection, through all its links.
#[derive(Debug)]
pub(crate) struct Connection {
    state: State,
    token: Token,
    /// Failed tries in a row.
    failures: u32,
    /// Links in a row that ended for what was sent on them, when that was no message.
    blames: u32,
    /// What the jitter comes from.
    pub random: Random,
}

impl Connection {
    /// One that does nothing yet.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self { state: State::Idle, token: Token::new(), failures: 0, blames: 0, random: Random::new(0) }
    }

    /// Whether there is a link to send on, if only `hello`.
    #[must_use]
    pub(crate) const fn is_up(&self) -> bool {
        matches!(self.state, State::SigningIn { .. } | State::Online { .. })
    }

    /// Whether the hub has welcomed us.
    #[must_use]
    pub(crate) const fn is_online(&self) -> bool {
        matches!(self.state, State::Online { .. })
    }

    /// Whether it is all over.
    #[must_use]
    pub(crate) const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Whether what arrives is to be read.
    #[must_use]
    pub(crate) const fn is_heard(&self) -> bool {
        self.is_up() || matches!(self.state, State::Leaving { .. })
    }

    /// Whether there is a link to close.
    const fn has_link(&self) -> bool {
        self.is_heard() || matches!(self.state, State::Opening { .. })
    }

    /// When [`Self::timeout`] is due.
    #[must_use]
    pub(crate) const fn deadline(&self) -> Millis {
        match self.state {
            State::Idle | State::Suspended | State::Closed => NEVER,
            State::Fetching { until }
            | State::Opening { until }
            | State::SigningIn { until }
            | State::Leaving { until, .. }
            | State::Waiting { until, .. } => until,
            State::Online { silent_at, probe_at, .. } => {
                let (soon, due_at) =
                    (if probe_at < silent_at { probe_at } else { silent_at }, self.token.due_at());
                if due_at < soon { due_at } else { soon }
            }
        }
    }

    /// The first use.
    pub(crate) fn start(&mut self, now: Millis, options: &Options, out: &mut Outputs) {
        if self.state == State::Idle {
            self.begin(now, options, out);
        }
    }

    fn begin(&mut self, now: Millis, options: &Options, out: &mut Outputs) {
        out.tell(Event::Status(Status::Connecting));
        if !self.ask_token(now, options, out) {
            self.open(now, out);
        }
    }

    fn open(&mut self, now: Millis, out: &mut Outputs) {
        out.push(Output::OpenLink);
        self.state = State::Opening { until: now + CONNECT_MS_MAX };
    }

    /// The link is up.
    pub(crate) fn link_opened(&mut self) -> Change {
        let State::Opening { until } = self.state else { return Change::None };
        self.state = State::SigningIn { until };
        Change::Up
    }

    /// Appends the first frame of a link.
    pub(crate) fn put_hello(&mut self, options: &Options, wire: &mut Vec<u8>) {
        Hello {
            producer: options.producer,
            incarnation: options.incarnation,
            token: self.token.begins().into(),
            agent: options.agent.as_str().into(),
        }
        .put(wire);
    }

    /// The link is gone without our doing. `is_guilty` if it may be for a message that was sent on it.
    pub(crate) fn link_closed(
        &mut self,
        now: Millis,
        code: Code,
        is_guilty: bool,
        options: &Options,
        out: &mut Outputs,
    ) -> Change {
        if !self.has_link() {
            return Change::None;
        }
        let (code, reconnect_after_ms) = match self.state {
            State::Leaving { code, reconnect_after_ms, .. } => (code, reconnect_after_ms),
            _ => (code, 0),
        };
        // What ended it and was no message will be sent on the next one too.
        self.blames += u32::from(is_ours(code) && !is_guilty);
        self.part(now, code, reconnect_after_ms, options, out)
    }

    /// The hub takes us.
    pub(crate) fn welcomed(
        &mut self,
        now: Millis,
        welcome: &Welcome<'_>,
        subject: &[u8],
        options: &Options,
        out: &mut Outputs,
    ) -> Change {
        if !matches!(self.state, State::SigningIn { .. }) {
            return self.misbehaved(now, out);
        }
        let stranger = |expected: &String| !subject.is_empty() && subject != expected.as_bytes();
        if options.identity.as_ref().is_some_and(stranger) {
            return self.end(Code::IdentityMismatch.into(), out);
        }
        let heartbeat_ms =
            if welcome.heartbeat_ms == 0 { HEARTBEAT_MS_DEFAULT } else { welcome.heartbeat_ms };
        let silence_ms = 2 * heartbeat_ms;
        self.token.taken(now, welcome, options, &mut self.random);
        self.state = State::Online {
            since: now,
            silent_at: now + silence_ms,
            silence_ms,
            probe_at: NEVER,
            is_probed: false,
            doubt: Request(0),
        };
        out.tell(Event::Status(Status::Online));
        Change::Online
    }

    /// The hub is about to close the link.
    pub(crate) fn goodbye(&mut self, now: Millis, goodbye: &Goodbye<'_>, out: &mut Outputs) {
        let Goodbye { code, reconnect_after_ms, .. } = *goodbye;
        out.tell(Event::Goodbye { code, reconnect_after_ms });
        self.note_stable(now);
        self.state = State::Leaving { until: now + LEAVE_MS_MAX, code, reconnect_after_ms };
    }

    /// The link is gone, and this is what the hub said of it.
    fn part(
        &mut self,
        now: Millis,
        code: Code,
        after_ms: Millis,
        options: &Options,
        out: &mut Outputs,
    ) -> Change {
        self.note_stable(now);
        self.state = State::Waiting { until: now, asked: false };
        match code {
            Code::BadToken if self.token.is_hopeful(options) => self.lose(now, code.into(), after_ms, out),
            Code::BadToken | Code::IdentityMismatch | Code::NotSupported | Code::Forbidden | Code::Fenced => {
                self.end(code.into(), out)
            }
            _ if self.blames == BLAMES_MAX => self.end(code.into(), out),
            Code::Unknown => self.lose(now, ClientCode::LinkLost.into(), after_ms, out),
            // Those that call for a change somewhere are tried again too, ever more rarely: it may have come.
            _ => self.lose(now, code.into(), after_ms, out),
        }
    }

    /// The hub broke the protocol: start afresh, from what is known to be sound.
    pub(crate) fn misbehaved(&mut self, now: Millis, out: &mut Outputs) -> Change {
        self.close_link(Code::BadFrame.close_code(), out);
        self.lose(now, ClientCode::HubMisbehaved.into(), 0, out)
    }

    /// A deadline has come.
    pub(crate) fn timeout(&mut self, now: Millis, options: &Options, out: &mut Outputs) -> Change {
        if now < self.deadline() {
            return Change::None;
        }
        match self.state {
            State::Idle | State::Suspended | State::Closed => Change::None,
            State::Waiting { .. } => {
                self.begin(now, options, out);
                Change::None
            }
            State::Fetching { .. } => self.lose(now, ClientCode::NoToken.into(), 0, out),
            State::Online { silent_at, probe_at, .. } if now < silent_at => {
                self.ask_next_token(now, out);
                if now >= probe_at { Change::Doubt } else { Change::None }
            }
            State::Opening { .. } | State::SigningIn { .. } | State::Online { .. } => {
                self.close_link(Code::Silent.close_code(), out);
                self.lose(now, ClientCode::HubSilent.into(), 0, out)
            }
            State::Leaving { code, reconnect_after_ms, .. } => {
                self.close_link(CLOSE_NORMAL, out);
                self.part(now, code, reconnect_after_ms, options, out)
            }
        }
    }

    /// Quiet until [`Self::retry_now`].
    pub(crate) fn suspend(&mut self, out: &mut Outputs) -> Change {
        if matches!(self.state, State::Closed | State::Suspended) {
            return Change::None;
        }
        self.close_link(CLOSE_NORMAL, out);
        self.state = State::Suspended;
        let status = Status::Offline { fault: Some(ClientCode::Suspended.into()), retry_in_ms: None };
        out.tell(Event::Status(status));
        Change::Down
    }

    /// The application wants no more.
    pub(crate) fn close(&mut self, out: &mut Outputs) -> Change {
        if self.is_closed() {
            return Change::None;
        }
        self.close_link(CLOSE_NORMAL, out);
        self.state = State::Closed;
        out.tell(Event::Status(Status::Closed { fault: None }));
        Change::Over(ClientCode::Closed.into())
    }

    fn end(&mut self, fault: Fault, out: &mut Outputs) -> Change {
        self.close_link(CLOSE_NORMAL, out);
        self.state = State::Closed;
        out.tell(Event::Status(Status::Closed { fault: Some(fault) }));
        Change::Over(fault)
    }

    fn close_link(&self, code: u16, out: &mut Outputs) {
        if self.has_link() {
            out.push(Output::CloseLink { code });
        }
    }

    /// Waits before the next try: as long as the hub asked, else with full jitter.
    fn lose(&mut self, now: Millis, fault: Fault, after_ms: Millis, out: &mut Outputs) -> Change {
        self.note_stable(now);
        let retry_in_ms = if after_ms > 0 {
            after_ms
        } else {
            let cap = (BACKOFF_MS_FIRST << self.failures.min(16)).min(BACKOFF_MS_MAX);
            self.random.up_to(cap)
        };
        self.failures = self.failures.saturating_add(1);
        self.state = State::Waiting { until: now + retry_in_ms, asked: after_ms > 0 };
        let status = Status::Offline { fault: Some(fault), retry_in_ms: Some(retry_in_ms) };
        out.tell(Event::Status(status));
        Change::Down
    }
}
