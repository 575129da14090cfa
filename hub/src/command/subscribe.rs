//! `tidewire sub`: prints what it hears, one message a line, in order.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;
use tidewire_client::{
    Content, Epoch, Gap, Message, Offset, Position, Start, SubEvent, SubscribeOptions, Subscription,
};
use tidewire_hub::report::report;

use crate::command::hub_address::{HubAddress, words};

/// The options of `sub`.
#[derive(Debug, Args)]
pub(crate) struct Subscribe {
    /// A topic, or a pattern: `*` stands for one token between dots, a last `>` for one or more
    pattern: String,
    /// Where to start: latest, earliest, last:N, or after EPOCH:OFFSET
    #[arg(long, value_name = "PLACE", default_value = "latest")]
    from: Place,
    /// End after so many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Print each message as a JSON object with its topic, offset, epoch and time
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hub: HubAddress,
}

/// A start as it is written.
#[derive(Debug, Clone)]
struct Place(Start);

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const ALLOWED: &str = "latest, earliest, last:N, or EPOCH:OFFSET as `sub --json` prints them";
        let start = match (text, text.split_once(':')) {
            ("latest", _) => Start::Latest,
            ("earliest", _) => Start::Earliest,
            (_, Some(("last", count))) => Start::Last(count.parse().map_err(|_| ALLOWED)?),
            (_, Some((epoch, offset))) => {
                let epoch = Epoch::from_str(epoch).map_err(|_| ALLOWED)?;
                let offset = Offset(offset.parse().map_err(|_| ALLOWED)?);
                Start::After(vec![Position { epoch, offset }])
            }
            (_, None) => return Err(ALLOWED),
        };
        Ok(Self(start))
    }
}

impl Subscribe {
    /// Ends after `--count` messages, when nobody reads its output any more, or when it is interrupted.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.hub.client()?;
        let options = SubscribeOptions { from: self.from.0.clone(), ..SubscribeOptions::default() };
        let mut subscription = client.subscribe(&self.pattern, options);
        let mut out = BufWriter::with_capacity(OUTPUT_BYTES, io::stdout());
        let interrupted = tokio::signal::ctrl_c();
        let ended = tokio::select! {
            biased;
            _ = interrupted => {
                out.flush()?;
                return Ok(ExitCode::from(INTERRUPTED));
            }
            error = self.hub.lost(&client) => Err(error),
            result = self.print(&mut subscription, &mut out) => result,
        };
        match ended {
            Ok(()) => out.flush().or_else(pipe_closed)?,
            Err(error) => {
                out.flush().or_else(pipe_closed)?;
                match error.downcast::<io::Error>() {
                    Ok(error) => pipe_closed(error)?,
                    Err(error) => return Err(error),
                }
            }
        }
        client.close().await;
        Ok(ExitCode::SUCCESS)
    }

    async fn print(&self, subscription: &mut Subscription, out: &mut impl Write) -> anyhow::Result<()> {
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 {
            // Written out whenever nothing more is there, so that a reader sees a message as soon as it came.
            let event = tokio::select! {
                biased;
                event = subscription.next() => event,
                () = std::future::ready(()) => {
                    out.flush()?;
                    subscription.next().await
                }
            };
            match event {
                Some(SubEvent::Message(message)) => {
                    self.print_message(&message, out)?;
                    left -= 1;
                }
                Some(SubEvent::Ready { gap, .. }) => gap.iter().for_each(tell_gap),
                Some(SubEvent::Gap(gap)) => tell_gap(&gap),
                Some(SubEvent::Ended(fault)) => bail!("{}: {}", self.pattern, words(Some(fault))),
                None => return Err(anyhow!("the subscription has ended")),
            }
        }
        Ok(())
    }

    fn print_message(&self, message: &Message, out: &mut impl Write) -> io::Result<()> {
        if self.json {
            serde_json::to_writer(&mut *out, &Line::new(message, &self.pattern))?;
        } else {
            out.write_all(&message.payload)?;
        }
        out.write_all(b"\n")
    }
}

/// A message as `--json` prints it. The payload is one of `data`, `text` and `base64`.
#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    offset: u64,
    epoch: String,
    published_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    maybe_duplicate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl<'a> Line<'a> {
    /// A payload that is not what it is said to be goes as base64.
    fn new(message: &'a Message, pattern: &'a str) -> Self {
        let (mut data, mut text) = (None, None);
        match message.content {
            Content::Json => data = on_one_line(&message.payload),
            Content::Text => text = std::str::from_utf8(&message.payload).ok(),
            Content::Binary | Content::Cbor | Content::Unknown => {}
        }
        let raw = data.is_none() && text.is_none();
        Self {
            topic: message.topic().unwrap_or(pattern),
            offset: message.offset.0,
            epoch: message.epoch.to_string(),
            published_at: message.published_at_ms,
            sender: message.sender(),
            maybe_duplicate: message.maybe_duplicate,
            data,
            text,
            base64: raw.then(|| BASE64.encode(&message.payload)),
        }
    }
}

/// A JSON text as it was written, if it is one. Line ends stand only between its tokens, where a space will do.
fn on_one_line(json: &[u8]) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(json).ok()?;
    RawValue::from_string(text.replace(['\n', '\r'], " ")).ok()
}

fn tell_gap(gap: &Gap) {
    report(format_args!("gap: some or all of {} to {} are gone ({})", gap.from, gap.to, gap.reason));
}

/// Whoever closes our output has seen enough: `sub | head` is no error.
fn pipe_closed(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

const OUTPUT_BYTES: usize = 64 << 10;
/// What shells say of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn places_to_start_are_read_as_they_are_printed() {
        assert_eq!("last:5".parse::<Place>().unwrap().0, Start::Last(5));
        let after = Position { epoch: Epoch(0x311543600d0164c3), offset: Offset(7) };
        assert_eq!("311543600d0164c3:7".parse::<Place>().unwrap().0, Start::After(vec![after]));
        for wrong in ["", "first", "last:", "last:-1", "xyz:1", "0:"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
