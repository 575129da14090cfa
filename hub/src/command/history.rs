//! `tidewire history`: prints what is kept of a topic, and ends.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use tidewire_client::{Client, HistoryError, Page, Position, Start};

use crate::command::asked::Asked;
use crate::command::failure::{EXIT_CODES, Failure};
use crate::command::hub_address::HubAddress;
use crate::command::number::count;
use crate::command::place::{Place, Spot};
use crate::command::printing::{Form, finish, print_message, tell_gap};

/// The options of `history`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct History {
    /// A topic, or a pattern: `*` stands for one token between dots, a last `>` for one or more
    pub(crate) topic: String,
    /// Where to start: earliest, last:N, since:10m (s, m, h or d), a time such as 2026-01-02T03:04:05Z, or
    /// EPOCH:OFFSET for what comes after it, both as --json prints them
    #[arg(long, value_name = "PLACE", allow_negative_numbers = true, default_value = "earliest")]
    pub(crate) from: Place,
    /// Print what comes before this instead, the newest of it; needs --limit. EPOCH:OFFSET as --json prints them
    #[arg(
        long,
        value_name = "PLACE",
        allow_negative_numbers = true,
        conflicts_with = "from",
        requires = "limit"
    )]
    pub(crate) before: Option<Spot>,
    /// Print at most so many messages: the first from --from on, or the last before --before, oldest first
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count)]
    pub(crate) limit: Option<u64>,
    #[command(flatten)]
    pub(crate) form: Form,
    #[command(flatten)]
    pub(crate) hub: HubAddress,
}

impl History {
    /// Ends when everything is printed that was there at the start, or nobody reads the output any more.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.hub.client()?;
        let asked = Asked::default();
        let mut out = BufWriter::with_capacity(OUTPUT_BYTES, io::stdout());
        let ended = tokio::select! {
            biased;
            failure = self.hub.given_up(&client, &asked) => Err(failure.into()),
            result = async {
                match &self.before {
                    Some(spot) => self.print_before(&client, &asked, spot.0, &mut out).await,
                    None => self.print(&client, &asked, &mut out).await,
                }
            } => result,
        };
        finish(ended, &mut out)?;
        client.close().await;
        Ok(ExitCode::SUCCESS)
    }

    async fn print(&self, client: &Client, asked: &Asked, out: &mut impl Write) -> anyhow::Result<()> {
        // Where it ends now: what is published meanwhile could go on for ever.
        let end = asked.wait(self.page(client, Start::Latest, 1)).await?.positions;
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut from = self.from.start.clone();
        loop {
            let max = u32::try_from(left).unwrap_or(PAGE_MAX).min(PAGE_MAX);
            let page = asked.wait(self.page(client, from, max)).await?;
            page.gap.iter().for_each(tell_gap);
            from = page.next();
            let more = page.more && comes_before(&page.positions, &end);
            let is_empty = page.messages.is_empty();
            for message in page.messages.into_iter().flatten() {
                let place = Position { epoch: message.epoch, offset: message.offset };
                if !lies_behind(place, &end) && self.from.holds(message.published_at_ms) {
                    print_message(&message, &self.form, out)?;
                    left -= 1;
                }
            }
            if !more || left == 0 {
                return Ok(());
            }
            out.flush()?;
            if is_empty {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Pages come the newest first, and are printed when all are there.
    async fn print_before(
        &self,
        client: &Client,
        asked: &Asked,
        place: Position,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let mut left = self.limit.unwrap_or(u64::MAX);
        let (mut from, mut pages) = (Start::before(vec![place]), Vec::new());
        while left > 0 {
            let max = u32::try_from(left).unwrap_or(PAGE_MAX).min(PAGE_MAX);
            let page = asked.wait(self.page(client, from, max)).await?;
            from = page.previous();
            left = left.saturating_sub(page.messages.len() as u64);
            if !page.more {
                left = 0;
            } else if page.messages.is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
            pages.push(page);
        }
        for page in pages.into_iter().rev() {
            page.gap.iter().for_each(tell_gap);
            for message in page.messages.into_iter().flatten() {
                print_message(&message, &self.form, out)?;
            }
        }
        Ok(())
    }

    async fn page(&self, client: &Client, from: Start, max: u32) -> Result<Page<Bytes>, Failure> {
        let page = client.history_payloads(&self.topic, from, max).await;
        page.map_err(|HistoryError(fault)| Failure::unread(&self.topic, fault))
    }
}

/// Whether a message was published after its log had this end.
fn lies_behind(message: Position, end: &[Position]) -> bool {
    end.iter().any(|place| place.epoch == message.epoch && place.offset < message.offset)
}

/// Whether a page that goes up to these places leaves something before the end, in any log.
fn comes_before(upto: &[Position], end: &[Position]) -> bool {
    upto.iter().any(|upto| end.iter().any(|place| place.epoch == upto.epoch && place.offset > upto.offset))
}

const OUTPUT_BYTES: usize = 64 << 10;
/// Messages asked for at once; the client bounds their bytes.
const PAGE_MAX: u32 = 4_096;
/// A page that brought nothing and is not the last: the hub is at work on it.
const PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use tidewire_protocol::number::{Epoch, Offset};

    #[test]
    fn what_was_there_is_read_to_its_end_in_each_log() {
        let places = |all: &[(u64, u64)]| -> Vec<Position> {
            let place =
                |(epoch, offset): &(u64, u64)| Position { epoch: Epoch(*epoch), offset: Offset(*offset) };
            all.iter().map(place).collect()
        };
        let end = places(&[(7, 5), (8, 9)]);
        let behind = |epoch, offset| lies_behind(places(&[(epoch, offset)])[0], &end);
        assert!(!behind(7, 5) && behind(7, 6) && !behind(8, 9) && behind(8, 10));
        assert!(
            comes_before(&places(&[(7, 6), (8, 3)]), &end) && comes_before(&places(&[(7, 4), (8, 9)]), &end)
        );
        assert!(!comes_before(&places(&[(7, 5), (8, 12)]), &end));
        // A log that was not there when it was asked for is new from its beginning on.
        assert!(!comes_before(&places(&[(7, 5), (6, 1)]), &end));
    }
}
