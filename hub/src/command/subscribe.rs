//! `tidewire sub`: prints what it hears, one message a line, in order.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use anyhow::anyhow;
use bytes::Bytes;
use clap::Args;
use tidewire_client::{Event, Start, SubscribeOptions, Subscription};

use crate::command::asked::Asked;
use crate::command::failure::{EXIT_CODES, Failure};
use crate::command::history::History;
use crate::command::hub_address::HubAddress;
use crate::command::number;
use crate::command::place::Place;
use crate::command::printing::{Form, finish, pipe_closed, print_message, tell_gap};

/// The options of `sub`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Subscribe {
    /// A topic, or a pattern: `*` stands for one token between dots, a last `>` for one or more
    pattern: String,
    /// Where to start: latest, earliest, last:N, since:10m (s, m, h or d), a time such as 2026-01-02T03:04:05Z, or
    /// EPOCH:OFFSET for what comes after it, both as --json prints them [default: latest, with --until-now earliest]
    #[arg(long, value_name = "PLACE", allow_negative_numbers = true)]
    from: Option<Place>,
    /// End after so many messages
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number::count)]
    count: Option<u64>,
    /// End when everything is printed that is kept now, as `history` does
    #[arg(long)]
    until_now: bool,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    hub: HubAddress,
}

impl Subscribe {
    /// Ends after `--count` messages, when nobody reads its output any more, or when it is interrupted.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        if self.until_now {
            let Self { pattern: topic, from, count: limit, form, hub, .. } = self;
            let from = from.unwrap_or(Start::Earliest.into());
            return History { topic, from, before: None, limit, form, hub }.run().await;
        }
        let client = self.hub.client()?;
        let asked = Asked::default();
        let place = self.from.clone().unwrap_or(Start::Latest.into());
        let options = SubscribeOptions { from: place.start.clone(), ..SubscribeOptions::default() };
        let mut subscription = client.subscribe_payloads(&self.pattern, options);
        let mut out = BufWriter::with_capacity(OUTPUT_BYTES, io::stdout());
        let interrupted = tokio::signal::ctrl_c();
        let ended = tokio::select! {
            biased;
            _ = interrupted => {
                out.flush().or_else(pipe_closed)?;
                return Ok(ExitCode::from(INTERRUPTED));
            }
            failure = self.hub.given_up(&client, &asked) => Err(failure.into()),
            result = self.print(&place, &asked, &mut subscription, &mut out) => result,
        };
        finish(ended, &mut out)?;
        client.close().await;
        Ok(ExitCode::SUCCESS)
    }

    async fn print(
        &self,
        place: &Place,
        asked: &Asked,
        subscription: &mut Subscription<Bytes>,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let mut left = self.count.unwrap_or(u64::MAX);
        asked.begin();
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
                Some(Event::Message(message)) if !place.holds(message.published_at_ms) => {}
                Some(Event::Message(message)) => {
                    print_message(&message, &self.form, out)?;
                    left -= 1;
                }
                Some(Event::Ready { gap, .. }) => {
                    asked.end();
                    gap.iter().for_each(tell_gap);
                }
                Some(Event::Gap(gap)) => tell_gap(&gap),
                Some(Event::CaughtUp) => {}
                Some(Event::Ended(fault)) => {
                    return Err(Failure::unread(&self.pattern, fault).into());
                }
                // Bytes are whatever comes.
                Some(Event::BadMessage(_) | Event::Removed(_)) => {}
                None => return Err(anyhow!("the subscription has ended")),
            }
        }
        Ok(())
    }
}

const OUTPUT_BYTES: usize = 64 << 10;
/// What shells say of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;
