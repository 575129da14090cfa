//! What the commands that talk to a hub share: which hub it is, and how long they wait for it.

use std::fs::File;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use clap::Args;
use tidewire_client::{Client, NoConnection, Options, Status};
use tidewire_hub::report::report;
use tokio::time::{Instant, timeout_at};

use crate::command::asked::Asked;
use crate::command::contexts::Contexts;
use crate::command::failure::Failure;
use crate::command::number::{SECONDS_MAX, seconds};
use crate::command::silence::{SILENCE_MAX, Silence, UNANSWERED};

/// The options that they all have.
#[derive(Debug, Args)]
pub(crate) struct HubAddress {
    /// The hub's address [default: that of the context, or http://127.0.0.1:7700]
    #[arg(long, env = "TIDEWIRE_URL", hide_env_values = true)]
    url: Option<String>,
    /// A name that `tidewire context add` gave a hub, with its address and how to sign in [default: the one that is used]
    #[arg(long, value_name = "NAME", env = "TIDEWIRE_CONTEXT", hide_env_values = true)]
    context: Option<String>,
    /// The token to sign in with [default: that of the context, or TIDEWIRE_TOKEN]. Others on this machine may see arguments: the
    /// default is safer
    #[arg(long)]
    token: Option<String>,
    /// A file with the certificates, in PEM, of the authorities to trust where TLS is spoken [default: the system's]
    #[arg(long, value_name = "FILE", env = "TIDEWIRE_CA", hide_env_values = true)]
    ca: Option<PathBuf>,
    /// Give up after so many seconds without a connection, or on one where the hub refuses everything for now, or says
    /// nothing while an answer is waited for; where it said when to come back, after that time; 0 never
    #[arg(long, value_name = "SECONDS", default_value_t = 10, allow_negative_numbers = true, value_parser = seconds)]
    wait: u64,
    /// Which hub that is.
    #[arg(skip)]
    known: OnceLock<String>,
}

/// What is meant by what was given.
struct Meant {
    url: String,
    token: Option<String>,
    ca: Option<PathBuf>,
}

impl HubAddress {
    /// A client of the hub; it connects in the background.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let Meant { url, token, ca } = self.meant()?;
        check_url(&url, "--url or TIDEWIRE_URL")?;
        if let Some(ca) = &ca {
            let unreadable =
                |error| Failure::Input(format!("--ca or TIDEWIRE_CA: {}: {error}", ca.display()));
            File::open(ca).map_err(unreadable)?;
        }
        let options = Options { token, ca, agent: AGENT.into(), ..Options::default() };
        let url = self.known.get_or_init(|| url);
        Client::connect(url, options).map_err(|error| Failure::Input(error.to_string()))
    }

    /// The hub that is named, or the one of the context. Who names an address does not send the token of a context there.
    fn meant(&self) -> Result<Meant, Failure> {
        let (given, ambient) = (self.token.clone(), std::env::var(TOKEN).ok());
        if [&given, &ambient].into_iter().flatten().any(|token| token.trim().is_empty()) {
            return Err(Failure::Input(format!("--token or TIDEWIRE_TOKEN {NO_TOKEN}, or neither of them")));
        }
        let trimmed = |token: String| token.trim().to_owned();
        let (given, ambient, ca) = (given.map(trimmed), ambient.map(trimmed), self.ca.clone());
        let named = self.context.as_deref().filter(|name| !name.is_empty());
        if let Some(url) = &self.url {
            if named.is_some() {
                return Err(Failure::Input(TWICE.into()));
            }
            return Ok(Meant { url: url.clone(), token: given.or(ambient), ca });
        }
        let contexts = Contexts::load()?;
        let Some(context) = contexts.choose(named)? else {
            return Ok(Meant { url: URL.into(), token: given.or(ambient), ca });
        };
        // What stands in the environment may be meant for another hub; the file is meant for this one.
        let token = given.map_or_else(|| context.token(), |token| Ok(Some(token)))?.or(ambient);
        Ok(Meant { url: context.url.clone(), token, ca: ca.or_else(|| context.ca.clone()) })
    }

    fn url(&self) -> &str {
        self.known.get().map_or(URL, String::as_str)
    }

    /// Returns when nothing is to be waited for any more: with the reason.
    pub(crate) async fn given_up(&self, client: &Client, asked: &Asked) -> Failure {
        let silence = Silence { url: self.url(), patience: self.patience(), client, asked };
        tokio::select! {
            biased;
            failure = self.lost(client) => failure,
            failure = self.held_up(client) => failure,
            failure = silence.lasted() => failure,
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(if self.wait == 0 { SECONDS_MAX } else { self.wait })
    }

    /// Returns when the hub has taken nothing for too long, and refused it for now. Says so before, once for each code.
    async fn held_up(&self, client: &Client) -> Failure {
        let mut not_now = client.not_now();
        let mut told = Vec::new();
        loop {
            let refusal = not_now.borrow_and_update().clone();
            let until = refusal.map_or_else(
                || Ok(far()),
                |refusal| {
                    let (code, since) = (refusal.code, Instant::from_std(refusal.since));
                    let end = since + refusal.retry_after + self.patience();
                    if Instant::now() >= end {
                        let words = format!("{refusal} ({code}); gave up after {} s", self.wait);
                        return Err(Failure::Refused(format!("{}: {words}", self.url())));
                    }
                    if told.contains(&code) {
                        return Ok(end);
                    }
                    if Instant::now() < since + SILENCE_MAX {
                        return Ok(since + SILENCE_MAX);
                    }
                    told.push(code);
                    report(format_args!("{}: {refusal} ({code}); trying again", self.url()));
                    Ok(end)
                },
            );
            match until {
                // Whatever it was, a change or the time: it is looked at anew.
                Ok(until) => drop(timeout_at(until, not_now.changed()).await),
                Err(failure) => return failure,
            }
        }
    }

    /// Returns when the client has been without a connection for too long, or for good: with the reason.
    async fn lost(&self, client: &Client) -> Failure {
        let patience = self.patience();
        let mut status = client.status();
        let mut was_online = false;
        let mut last = None;
        let mut deadline = Some(Instant::now() + patience);
        loop {
            let now = status.borrow_and_update().clone();
            match now {
                Status::Online => {
                    was_online = true;
                    deadline = None;
                }
                Status::Connecting => {
                    deadline.get_or_insert_with(|| Instant::now() + patience);
                }
                Status::Offline { why, .. } => {
                    // One that never was there will not come by waiting; one that was may be about to start again.
                    if !was_online && !why.retryable() {
                        return self.refused(&why);
                    }
                    if let NoConnection::Goodbye { back_in: Some(back_in), .. } = &why {
                        report(format_args!(
                            "{why}; coming back in {} s",
                            back_in.as_millis().div_ceil(1_000)
                        ));
                    }
                    let asked = asked_to_stay_away(&why).filter(|_| was_online);
                    let from_now = Instant::now() + asked.unwrap_or_default() + patience;
                    deadline = Some(deadline.filter(|_| asked.is_none()).unwrap_or(from_now));
                    last = Some(why);
                }
                Status::Closed { why: Some(why) } => return self.refused(&why),
                Status::Closed { why: None } => return self.gave_up(last.as_ref(), client),
            }
            let until = deadline.unwrap_or_else(far);
            match timeout_at(until, status.changed()).await {
                Ok(Ok(())) => {}
                // Nobody tells any more, or it was time.
                Ok(Err(_)) | Err(_) => return self.gave_up(last.as_ref(), client),
            }
        }
    }

    fn refused(&self, why: &NoConnection) -> Failure {
        Failure::unconnected(format!("{}: {}", self.url(), worded(why)), Some(why))
    }

    fn gave_up(&self, why: Option<&NoConnection>, client: &Client) -> Failure {
        if client.is_unanswered() {
            let told =
                format!("no hub answers at {}: {UNANSWERED}; gave up after {} s", self.url(), self.wait);
            return Failure::NoHub(told);
        }
        let told = match why {
            Some(NoConnection::Refused { .. } | NoConnection::Goodbye { .. }) | None => self.url().to_owned(),
            Some(_) => format!("no hub answers at {}", self.url()),
        };
        let reason = why.map_or_else(|| "no connection".into(), worded);
        Failure::unconnected(format!("{told}: {reason}; gave up after {} s", self.wait), why)
    }
}

/// Refuses what would go nowhere. A password may hold any letter, and is shown to nobody.
pub(crate) fn check_url(url: &str, named: &str) -> Result<(), Failure> {
    let wrong = if url.is_empty() {
        "it is empty"
    } else if url.contains('@') {
        "a name or password before an `@` goes nowhere: a hub takes tokens, by --token or TIDEWIRE_TOKEN"
    } else if url.contains('#') {
        "a fragment (`#...`) goes nowhere"
    } else if url.contains('?') {
        "a query (`?...`) is none of a hub's address"
    } else {
        return Ok(());
    };
    Err(Failure::Input(format!(
        "{named}: {wrong}; allowed: http://HOST:PORT or https://HOST:PORT, perhaps with a path"
    )))
}

/// Returns once there is a connection. Who waits for too long is told of by [`HubAddress::given_up`].
pub(crate) async fn connected(client: &Client) {
    // A client that ends is told of there, too.
    let _ = client.status().wait_for(|status| *status == Status::Online).await;
}

/// Why there is no connection, by the options of the command line where the client names its own.
fn worded(why: &NoConnection) -> String {
    why.to_string().replace("(`ca`)", "(--ca or TIDEWIRE_CA)")
}

/// A time that does not come.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(SECONDS_MAX)
}

/// How long the hub itself wants us to wait.
const fn asked_to_stay_away(why: &NoConnection) -> Option<Duration> {
    match why {
        NoConnection::Goodbye { back_in, .. } => *back_in,
        NoConnection::Refused { retry_after, .. } => *retry_after,
        NoConnection::NameNotResolved { .. }
        | NoConnection::ConnectionRefused { .. }
        | NoConnection::Unreachable { .. }
        | NoConnection::Untrusted { .. }
        | NoConnection::NoHub { .. }
        | NoConnection::Lost(_) => None,
    }
}

/// The variable with the token; the commands that look at one read it, too.
pub(crate) const TOKEN: &str = "TIDEWIRE_TOKEN";
/// What is said of one that is empty: a slip, and no wish to be anonymous.
pub(crate) const NO_TOKEN: &str = "is empty; allowed: a token";
const URL: &str = "http://127.0.0.1:7700";
const TWICE: &str =
    "--context (TIDEWIRE_CONTEXT) names a hub, and --url (TIDEWIRE_URL) does, too: leave out one of them";
const AGENT: &str = concat!("tidewire/", env!("CARGO_PKG_VERSION"));
