//! A hub that says nothing: after a second people are told what is waited for, and there is an end to waiting for an answer.

use std::time::Duration;

use tidewire_client::{Client, NoConnection, Status};
use tidewire_hub::report::report;
use tokio::time::{Instant, sleep};

use crate::command::asked::Asked;
use crate::command::failure::Failure;

/// Looks whether anything comes.
#[derive(Debug)]
pub(crate) struct Silence<'a> {
    pub url: &'a str,
    /// How long nothing may come of what was asked for.
    pub patience: Duration,
    pub client: &'a Client,
    pub asked: &'a Asked,
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Seen {
    /// The link was given up because nothing came: a new one is no sign of life before it is answered.
    was_silent: bool,
    apart_since: Option<Instant>,
    told_apart: bool,
    told_silent: bool,
    /// Looks in a row that found it too late.
    late: u32,
}

impl Silence<'_> {
    /// Returns when nothing has come for too long of what was asked for. Without a connection others keep the time.
    pub(crate) async fn lasted(&self) -> Failure {
        let mut seen = Seen::default();
        loop {
            let status = self.client.status().borrow().clone();
            self.look_at_link(&status, &mut seen);
            let online = matches!(status, Status::Online);
            let silent_for = self.silent_for().filter(|_| online || seen.was_silent).unwrap_or_default();
            if silent_for >= SILENCE_MAX && silent_for < self.patience && online && !seen.told_silent {
                seen.told_silent = true;
                report(format_args!("{}: waiting for the hub to answer", self.url));
            }
            // Whoever was stopped itself has to hear first what came meanwhile.
            seen.late = if silent_for >= self.patience { seen.late + 1 } else { 0 };
            if seen.late > 1 {
                let seconds = self.patience.as_secs();
                let told = format!("{}: the hub does not answer; gave up after {seconds} s", self.url);
                return Failure::NoHub(told);
            }
            sleep(LOOK).await;
        }
    }

    /// How long nothing has come of what was asked for. A hub that refuses for now has answered.
    fn silent_for(&self) -> Option<Duration> {
        if self.client.not_now().borrow().is_some() {
            return None;
        }
        let asked = self.asked.since()?;
        let heard = self.client.heard_at().map_or(asked, Instant::from_std);
        Some(asked.max(heard).elapsed())
    }

    /// Tells once why there is no connection, where that is not told at once.
    fn look_at_link(&self, status: &Status, seen: &mut Seen) {
        let why = match status {
            Status::Online => {
                *seen = Seen { told_silent: seen.told_silent, late: seen.late, ..Seen::default() };
                return;
            }
            Status::Connecting if self.client.is_unanswered() => UNANSWERED.to_owned(),
            Status::Connecting | Status::Closed { .. } => return,
            // The hub has said when to come back.
            Status::Offline { why: NoConnection::Goodbye { .. }, .. } => return,
            Status::Offline { why, .. } => {
                seen.was_silent = why.code() == "hub_silent";
                why.to_string()
            }
        };
        let apart = seen.apart_since.get_or_insert_with(Instant::now).elapsed();
        if apart >= SILENCE_MAX && self.patience > SILENCE_MAX && !seen.told_apart {
            seen.told_apart = true;
            report(format_args!("{}: {why}; trying again", self.url));
        }
    }
}

/// What is said of whoever listens and is no hub, or one that is stuck.
pub(crate) const UNANSWERED: &str = "it accepts connections and does not answer";
/// How long nothing may go on before people are told why.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(100);
