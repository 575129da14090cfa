//! Tokens that wait to be checked, by whoever lends a thread, in turns by account: a flood of bad ones waits for itself.
//! What became of them goes to the shards of those who brought them. Knows nothing of what a token is made of.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use tidewire_protocol::code::Code;

use crate::access::caller::Pass;
use crate::credentials::standing::Standing;
use crate::errands::Errands;
use crate::ledger::{Account, Charge, Kind, Ledger};
use crate::letter::{Address, Inbox};
use crate::sync::{Mutex, lock};

pub mod standing;

pub mod revocations;

pub mod bad_token;

pub mod claim_path;

pub use bad_token::BadToken;

/// What waits to be checked, and what was.
#[derive(Debug)]
pub struct Credentials {
    errands: Errands<Waiting, Checked>,
    inboxes: Vec<Arc<Inbox>>,
    standing: Standing,
    aside: Mutex<Vec<Waiting>>,
}

/// A token, which is a secret: it is never printed.
pub struct Token(Box<str>);

/// A token that was checked.
#[derive(Debug)]
pub struct Checked {
    /// For whom.
    pub address: Address,
    /// What it says, or what is wrong with it.
    pub verdict: Result<Pass, Unwelcome>,
}

/// What a look at a token comes to.
#[derive(Debug)]
pub enum Verdict {
    /// It was checked.
    Checked(Result<Pass, BadToken>),
    /// Its key may be about to come: it waits aside for [`Credentials::go_on`].
    Wait,
    /// Nobody knows now.
    NotNow,
}

/// Why a token lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwelcome {
    /// It is not sound.
    Token(BadToken),
    /// A reason of the protocol's own.
    Code(Code),
}

#[derive(Debug)]
struct Waiting {
    address: Address,
    /// None if it is too long to be kept.
    token: Option<Token>,
    charge: Charge,
    /// Whether it has been aside.
    has_waited: bool,
}

impl Token {
    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Unwelcome {
    /// What a program is told.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Token(_) => Code::BadToken,
            Self::Code(code) => code,
        }
    }

    /// What people are.
    #[must_use]
    pub fn sentence(self) -> Cow<'static, str> {
        match self {
            Self::Token(bad) => bad.sentence(),
            Self::Code(code) => code.sentence().into(),
        }
    }
}

impl Credentials {
    /// None yet, for the shards with these inboxes; no token is taken.
    #[must_use]
    pub fn new(inboxes: Vec<Arc<Inbox>>, ledger: &Arc<Ledger>) -> Self {
        Self {
            errands: Errands::new(inboxes.len()),
            inboxes,
            standing: Standing::new(ledger),
            aside: Mutex::default(),
        }
    }

    /// From now on tokens are taken, and `waker` is called whenever there is one to check. To be set once, before anybody
    /// signs in.
    pub fn on_work(&self, waker: Box<dyn Fn() + Send + Sync>) {
        self.errands.on_work(waker);
    }

    /// Whether tokens are taken at all. If not, everybody is anonymous.
    #[must_use]
    pub fn are_taken(&self) -> bool {
        self.errands.are_done()
    }

    /// Which of those that were found sound still stand. Whoever keeps what one says asks that again when it changes.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// How many wait to be checked.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.errands.line().count() + lock(&self.aside).len()
    }

    /// Has a token checked; what becomes of it comes to the address's shard. Whoever asks waits for that before the next.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if very many wait. Whoever has most of these loses the last to who has less.
    pub fn check(&self, address: Address, account: &Arc<Account>, token: &str) -> Result<(), Code> {
        let token = (token.len() <= TOKEN_BYTES_MAX).then(|| Token(token.into()));
        let bytes = size_of::<Waiting>() + token.as_ref().map_or(0, |token| token.0.len());
        if !account.may_be_known(bytes) {
            return Err(Code::Overloaded);
        }
        let mut line = self.errands.line();
        let (theirs, is_full) = (line.count_of(account.key()), line.count() >= WAITING_MAX);
        if theirs >= WAITING_PER_ACCOUNT_MAX {
            return Err(Code::Overloaded);
        }
        // The first of an account is taken in any case: nobody is shut out by what others bring.
        let displaced = if is_full { line.take_last_beyond(theirs + 1) } else { None };
        if is_full && displaced.is_none() && theirs > 0 {
            return Err(Code::Overloaded);
        }
        let mut charge = Charge::new(account, Kind::Reading);
        charge.set(bytes);
        line.push(account.key(), Waiting { address, token, charge, has_waited: false });
        drop(line);
        if let Some(Waiting { address, .. }) = displaced {
            self.settle(address, Err(Unwelcome::Code(Code::Overloaded)));
        }
        self.errands.wake();
        Ok(())
    }

    /// Has one token checked by `check`; `false` if none waits.
    pub fn turn(&self, check: impl FnOnce(&Token) -> Result<Pass, BadToken>) -> bool {
        self.turn_or_wait(|token, _| Verdict::Checked(check(token)))
    }

    /// The same, where `check`, which is told whether the token has waited aside before, may let it do so.
    pub fn turn_or_wait(&self, check: impl FnOnce(&Token, bool) -> Verdict) -> bool {
        let next = self.errands.line().next(|_| false);
        let Some(waiting) = next else { return false };
        let address = waiting.address;
        let verdict = match &waiting.token {
            Some(token) => check(token, waiting.has_waited),
            None => Verdict::Checked(Err(BadToken::TooLong)),
        };
        match verdict {
            Verdict::Checked(verdict) => self.settle(address, verdict.map_err(Unwelcome::Token)),
            Verdict::Wait if self.put_aside(waiting) => {}
            Verdict::Wait | Verdict::NotNow => {
                self.settle(address, Err(Unwelcome::Code(Code::Overloaded)));
            }
        }
        true
    }

    /// Lets a token wait, out of the way of others; whether there is room.
    fn put_aside(&self, waiting: Waiting) -> bool {
        let mut aside = lock(&self.aside);
        let account = waiting.charge.account().key();
        let theirs = aside.iter().filter(|other| other.charge.account().key() == account).count();
        if aside.len() >= ASIDE_MAX || theirs >= ASIDE_PER_ACCOUNT_MAX {
            return false;
        }
        aside.push(Waiting { has_waited: true, ..waiting });
        true
    }

    /// Those that wait aside have their turns again.
    pub fn go_on(&self) {
        let aside = std::mem::take(&mut *lock(&self.aside));
        if aside.is_empty() {
            return;
        }
        let mut line = self.errands.line();
        for waiting in aside {
            let account = waiting.charge.account().key();
            line.push(account, waiting);
        }
        drop(line);
        self.errands.wake();
    }

    fn settle(&self, address: Address, verdict: Result<Pass, Unwelcome>) {
        self.errands.leave(address.shard as usize, Checked { address, verdict }, &self.inboxes);
    }

    /// Takes some of what was checked for a shard.
    #[must_use]
    pub fn take(&self, shard: usize, count: usize) -> Vec<Checked> {
        if !self.are_taken() {
            return Vec::new();
        }
        let mut taken = self.errands.take(shard, count);
        // Whatever has changed since they were checked: who is let in now is asked of again only by what changes later.
        for Checked { verdict, .. } in &mut taken {
            let stands = verdict.as_ref().map_or(Ok(()), |pass| self.standing.check(pass));
            if let Err(bad) = stands {
                *verdict = Err(Unwelcome::Token(bad));
            }
        }
        taken
    }
}

/// Bytes of a token.
pub const TOKEN_BYTES_MAX: usize = 8_192;
/// Tokens that wait, of all: about a second's work where they are signed by ES384, which takes longest (0.25 ms each), and
/// less by any other.
const WAITING_MAX: usize = 4_096;
/// The same of one account.
const WAITING_PER_ACCOUNT_MAX: usize = 1_024;
/// Tokens that wait aside for their keys, and those of one account.
const ASIDE_MAX: usize = 1_024;
const ASIDE_PER_ACCOUNT_MAX: usize = 128;
