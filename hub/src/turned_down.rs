//! Who is turned down after the handshake: sums of what the core counts by code, told to the operator with what can be the
//! cause, be it a limit or something else.

use std::sync::{Arc, Mutex, PoisonError};

use tidewire_hub_core::credentials::BadToken;
use tidewire_hub_core::metrics::Metrics;
use tidewire_protocol::code::Code;
use tracing::warn;

use crate::reactor::Reactor;

/// What was told of it.
#[derive(Debug)]
pub struct TurnedDown {
    reactor: Arc<Reactor>,
    told: Mutex<Counts>,
}

/// What is counted.
#[derive(Debug, Default)]
struct Counts {
    /// By the place of the code.
    refused: Vec<u64>,
    disconnected: Vec<u64>,
    dropped: Vec<u64>,
    /// By the place of the check.
    bad_tokens: Vec<u64>,
}

impl TurnedDown {
    /// Nobody yet.
    pub fn new(reactor: Arc<Reactor>) -> Self {
        Self { reactor, told: Mutex::default() }
    }

    /// Tells what has come since it was told last, a line for each code.
    pub fn tell(&self) {
        let topics = self.reactor.topics();
        let now = Counts::of(topics.metrics());
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        now.since(&told, topics.credentials().are_taken())
            .iter()
            .for_each(|line| warn!(target: "server", "{line}"));
        *told = now;
    }
}

impl Counts {
    fn of(metrics: &Metrics) -> Self {
        let by_code =
            |counts: &dyn Fn(u64) -> u64| Code::ALL.iter().map(|code| counts(code.number())).collect();
        Self {
            refused: by_code(&|number| metrics.refused.of(number)),
            disconnected: by_code(&|number| metrics.disconnected.of(number)),
            dropped: by_code(&|number| metrics.updates_dropped.of(number)),
            bad_tokens: BadToken::ALL.iter().map(|bad| metrics.bad_tokens.of(bad.number())).collect(),
        }
    }

    /// The lines for what was not counted before; whether `tokens` are taken.
    fn since(&self, before: &Self, tokens: bool) -> Vec<String> {
        let mut lines = Vec::new();
        for (bad, more) in risen(&BadToken::ALL, &self.bad_tokens, &before.bad_tokens) {
            let (check, says) = (bad.check(), bad.bare_sentence());
            lines.push(format!(
                "since the last line {} failed the check `{check}` ({says}); metrics: \
                 tidewire_bad_tokens_total{{check=\"{check}\"}}",
                counted(more, "token")
            ));
        }
        let risen = |now: &[u64], before: &[u64]| risen(Code::ALL, now, before);
        for (code, more) in risen(&self.refused, &before.refused) {
            let causes = named(refusing(code, tokens), code);
            lines.push(format!(
                "since the last line {} said {code}{causes}; metrics: tidewire_refused_total{{code=\"{code}\"}}",
                counted(more, "answer")
            ));
        }
        for (code, more) in risen(&self.disconnected, &before.disconnected) {
            let limits = ending(code);
            // Clients that fall silent or break the protocol come and go; metrics have them.
            if !limits.is_empty() {
                let causes = named(limits, code);
                lines.push(format!(
                    "since the last line {} ended with {code}{causes}; metrics: tidewire_disconnected_total{{code=\"{code}\"}}",
                    counted(more, "connection")
                ));
            }
        }
        for (code, more) in risen(&self.dropped, &before.dropped) {
            let causes = named(dropping(code, tokens), code);
            lines.push(format!(
                "since the last line {} without an ack came to nothing by {code}{causes}; metrics: \
                 tidewire_updates_dropped_total{{reason=\"{code}\"}}",
                counted(more, "update")
            ));
        }
        lines
    }
}

/// What has risen, each with by how much.
fn risen<T: Copy>(all: &[T], now: &[u64], before: &[u64]) -> Vec<(T, u64)> {
    let before = before.iter().copied().chain(std::iter::repeat(0));
    let more = now.iter().zip(before).map(|(now, before)| now.saturating_sub(before));
    all.iter().copied().zip(more).filter(|(_, more)| *more > 0).collect()
}

/// What can have the hub answer with a code, where `tokens` are taken or not.
const fn refusing(code: Code, tokens: bool) -> &'static [&'static str] {
    match code {
        Code::Forbidden if tokens => &["[[access]]", "[[auth.keys]]"],
        Code::Forbidden => &["[[access]]"],
        Code::BadToken => &["[[auth.keys]]"],
        Code::BadName => &["topic_depth_max"],
        Code::TooLarge => &["message_bytes_max"],
        Code::LimitReached => {
            &["handles_max", "subscriptions_max", "patterns_max", "pattern_shapes_max", "participants_max"]
        }
        Code::RateLimited => {
            &["publishes_per_second_max", "publishes_per_second_per_address_max", "in_flight_max"]
        }
        Code::Overloaded => &[
            "topics_max",
            "handles_bytes_max",
            "windows_bytes_max",
            "pending_bytes_max",
            "reading_bytes_max",
            "outbox_bytes_max",
            "node_bytes_max",
        ],
        _ => &[],
    }
}

/// What can have the hub end a connection with a code, and operators should hear of.
const fn ending(code: Code) -> &'static [&'static str] {
    match code {
        Code::SignInTimeout => &["sign_in_ms"],
        Code::TooLarge => &["frame_bytes_max", "first_message_bytes_max", "fragments_max"],
        Code::TooSlow => &["outbox_bytes_max", "lag_bytes_max", "unread_bytes_max"],
        Code::Resume => &["pinned_bytes_max"],
        Code::Overloaded => &["half_received_bytes_max"],
        Code::BadToken => &["[[auth.keys]]"],
        _ => &[],
    }
}

/// What can have the hub drop an update that may be lost for the reason of a code.
const fn dropping(code: Code, tokens: bool) -> &'static [&'static str] {
    match code {
        Code::RateLimited => &["publishes_per_second_max", "publishes_per_second_per_address_max"],
        Code::Overloaded => &["topics_max", "handles_bytes_max", "pending_bytes_max", "node_bytes_max"],
        Code::LimitReached => &["handles_max"],
        code => refusing(code, tokens),
    }
}

/// So many of them.
fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// Keys as they are written in the configuration; where none is the cause, what the code means.
fn named(causes: &[&str], code: Code) -> String {
    if causes.is_empty() {
        return format!(" ({})", code.sentence());
    }
    let name = |cause: &&str| match cause.starts_with('[') {
        true => format!("`{cause}`"),
        false => format!("`limits.{cause}`"),
    };
    format!(" ({})", causes.iter().map(name).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rises_is_told_once_with_its_limits() {
        let metrics = Metrics::default();
        metrics.refused.add(Code::RateLimited.number(), 4_512);
        metrics.disconnected.add(Code::TooSlow.number(), 2);
        metrics.disconnected.add(Code::Silent.number(), 9);
        metrics.updates_dropped.add(Code::Forbidden.number(), 3);
        let first = Counts::of(&metrics);
        let lines = first.since(&Counts::default(), false);
        assert_eq!(lines.len(), 3, "{lines:?}");
        let rate = "since the last line 4512 answers said rate_limited (`limits.publishes_per_second_max`, ";
        assert!(lines[0].starts_with(rate), "{lines:?}");
        assert!(lines[0].ends_with("; metrics: tidewire_refused_total{code=\"rate_limited\"}"), "{lines:?}");
        assert!(
            lines[1].contains("2 connections ended with too_slow (`limits.outbox_bytes_max`"),
            "{lines:?}"
        );
        assert!(
            lines[2].contains("3 updates without an ack came to nothing by forbidden (`[[access]]`); "),
            "{lines:?}"
        );
        assert!(lines[2].ends_with("tidewire_updates_dropped_total{reason=\"forbidden\"}"), "{lines:?}");
        metrics.refused.add(Code::Forbidden.number(), 1);
        let lines = Counts::of(&metrics).since(&first, false);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("1 answer said forbidden (`[[access]]`)"), "{lines:?}");
        metrics.bad_tokens.add(BadToken::Audience.number(), 2);
        metrics.refused.add(Code::BadToken.number(), 1);
        let lines = Counts::of(&metrics).since(&first, true);
        assert_eq!(lines.len(), 3, "{lines:?}");
        let check = "2 tokens failed the check `aud` (the token's `aud` does not name this hub); metrics: tidewire_bad_tokens_total{check=\"aud\"}";
        assert!(lines[0].ends_with(check), "{lines:?}");
        assert!(lines[2].contains("forbidden (`[[access]]`, `[[auth.keys]]`)"), "{lines:?}");
        assert!(lines[1].contains("bad_token (`[[auth.keys]]`)"), "{lines:?}");
    }

    #[test]
    fn every_line_names_a_cause() {
        let metrics = Metrics::default();
        for code in Code::ALL {
            for counts in [&metrics.refused, &metrics.disconnected, &metrics.updates_dropped] {
                counts.add(code.number(), 1);
            }
        }
        for bad in BadToken::ALL {
            metrics.bad_tokens.add(bad.number(), 1);
        }
        let lines = Counts::of(&metrics).since(&Counts::default(), true);
        assert!(lines.len() > 2 * Code::ALL.len());
        for line in lines {
            let (_, cause) = line.split_once(" (").unwrap_or_default();
            assert!(cause.find(");").is_some_and(|len| len > 5), "{line}");
        }
    }

    #[test]
    fn every_limit_that_is_named_is_there() {
        let page = include_str!("../../docs/CONFIGURATION.md");
        let codes =
            Code::ALL.iter().flat_map(|code| [refusing(*code, true), ending(*code), dropping(*code, true)]);
        for limit in codes.flatten().filter(|name| !name.starts_with('[')) {
            assert!(page.contains(&format!("\n| `{limit}` | ")), "{limit}");
        }
    }
}
