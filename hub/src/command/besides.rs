//! What a message has besides its payload, and on which terms it is published, as it is said on the command line.

use std::str::FromStr;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use tidewire_client::{Durability, Outgoing, Payload};
use tidewire_hub::place::{SPAN_MS_MAX, span_ms};
use tidewire_protocol::client_frame::Terms;

use crate::command::failure::Failure;
use crate::command::place::Spot;

/// The options of `pub` for this; they hold for each line.
#[derive(Debug, Args)]
pub(crate) struct Besides {
    /// What the message is about: a later one of the same key replaces it where the topic keeps the latest of each
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    key: Option<String>,
    /// A header of the message, with a name of lower-case letters, digits, `-`, `_` and `.`; may come several times
    #[arg(long, value_name = "NAME=VALUE")]
    header: Vec<Header>,
    /// For how long it is worth anything, from now on: 10s (ms, s, m, h or d). Nobody is given it after that
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true, value_parser = ttl)]
    ttl: Option<Duration>,
    /// When it counts as published, if that is less than the topic's rule says
    #[arg(long, value_enum, conflicts_with = "no_ack")]
    durability: Option<Kept>,
    /// Publish only if this is the place of its key's latest message, as --json prints it
    #[arg(long, value_name = "EPOCH:OFFSET", requires = "key", conflicts_with_all = ["no_ack", "if_absent"])]
    if_version: Option<Spot>,
    /// Publish only if its key has no value
    #[arg(long, requires = "key", conflicts_with = "no_ack")]
    if_absent: bool,
    /// Take the key's value away; there is no DATA then
    #[arg(long, requires = "key", conflicts_with_all = ["data", "batch"])]
    remove: bool,
}

/// A name and a value.
#[derive(Debug, Clone)]
struct Header(String, String);

/// When a message counts as published.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kept {
    /// The hub has it in memory
    Memory,
    /// It is on the hub's disk
    Synced,
}

impl Besides {
    /// Whether there is no payload.
    pub(crate) const fn is_removal(&self) -> bool {
        self.remove
    }

    /// The message that removes the key.
    pub(crate) fn removal(&self) -> Outgoing {
        self.with(Outgoing::removal(""))
    }

    /// The message with this payload.
    pub(crate) fn message(&self, payload: Payload) -> Outgoing {
        self.with(Outgoing::new(payload))
    }

    /// On which terms it is published.
    pub(crate) fn terms(&self) -> Terms {
        let durability = self.durability.map(|kept| match kept {
            Kept::Memory => Durability::Memory,
            Kept::Synced => Durability::Synced,
        });
        Terms {
            if_version: self.if_version.map(|Spot(version)| version),
            if_absent: self.if_absent,
            durability,
        }
    }

    /// Whether a message may be like this.
    ///
    /// # Errors
    /// What is wrong with the options.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.message(Payload::text("")).check().map_err(|error| Failure::Input(error.to_string()))
    }

    fn with(&self, mut message: Outgoing) -> Outgoing {
        if let Some(key) = &self.key {
            message = message.key(key);
        }
        for Header(name, value) in &self.header {
            message = message.header(name, value);
        }
        if let Some(ttl) = self.ttl {
            message = message.ttl(ttl);
        }
        let Terms { if_version, if_absent, durability } = self.terms();
        if let Some(durability) = durability {
            message = message.durability(durability);
        }
        if let Some(version) = if_version {
            message = message.if_version(version);
        }
        if if_absent { message.if_absent() } else { message }
    }
}

impl FromStr for Header {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or("allowed: NAME=VALUE")?;
        Ok(Self(name.into(), value.into()))
    }
}

fn ttl(text: &str) -> Result<Duration, String> {
    let ms = match text.strip_suffix("ms") {
        Some(count) => count.parse().ok().filter(|ms| *ms <= SPAN_MS_MAX),
        None => span_ms(text).ok(),
    };
    let ms =
        ms.filter(|ms| *ms > 0).ok_or("allowed: a span such as 10s (ms, s, m, h or d), 1ms to 365000d")?;
    Ok(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_has_a_unit_and_is_more_than_none() {
        let ms = |text| ttl(text).ok().map(|ttl| ttl.as_millis());
        assert_eq!([ms("250ms"), ms("10s"), ms("2h")], [Some(250), Some(10_000), Some(7_200_000)]);
        assert_eq!([ms("365000d"), ms("31536000000000ms")], [Some(31_536_000_000_000); 2]);
        assert_eq!([ms("365001d"), ms("31536000000001ms")], [None; 2]);
        assert_eq!([ms("0s"), ms("0ms"), ms("10"), ms("-1s"), ms("s"), ms("ms")], [None; 6]);
    }
}
