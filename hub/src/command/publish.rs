//! `tidewire pub`: publishes one message, or each line that it reads.

use std::io::{BufRead as _, BufReader};
use std::process::ExitCode;
use std::thread;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};
use tidewire_client::{Client, Content, Publishing};
use tokio::sync::mpsc;

use crate::command::hub_address::HubAddress;

/// The options of `pub`.
#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// The topic to publish to
    topic: String,
    /// The message; `-` publishes each line of the standard input as a message of its own
    #[arg(default_value = "-", allow_hyphen_values = true)]
    data: String,
    /// What the messages are; text and JSON are checked
    #[arg(long, value_enum, default_value_t = Kind::Text)]
    content: Kind,
    #[command(flatten)]
    hub: HubAddress,
}

/// What a message may be said to be.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// UTF-8 text
    Text,
    /// A JSON value
    Json,
    /// Any bytes
    Binary,
}

impl Publish {
    /// Succeeds when the hub has acknowledged every message.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.hub.client()?;
        let published =
            async { if self.data == "-" { self.lines(&client).await } else { self.one(&client).await } };
        tokio::select! {
            result = published => result?,
            error = self.hub.lost(&client) => return Err(error),
        }
        client.close().await;
        Ok(ExitCode::SUCCESS)
    }

    async fn one(&self, client: &Client) -> anyhow::Result<()> {
        let payload = self.data.clone().into_bytes();
        self.content.check(&payload)?;
        client.publish(&self.topic, self.content.into(), payload).await?;
        Ok(())
    }

    /// Many lines are on their way at once; what becomes of them is looked at beside, in their order.
    async fn lines(&self, client: &Client) -> anyhow::Result<()> {
        let mut lines = read_lines();
        let (sent, outcomes) = mpsc::unbounded_channel();
        let outcomes = tokio::spawn(settle(outcomes));
        let mut number = 0_u64;
        while let Some(line) = lines.recv().await {
            number += 1;
            let line = line.context("cannot read the standard input")?;
            self.content.check(&line).with_context(|| format!("line {number}"))?;
            let publishing = client.publish_when_room(&self.topic, self.content.into(), line).await?;
            // Nobody listens any more: a line was refused, and the outcomes say which.
            if sent.send(publishing).is_err() {
                break;
            }
        }
        drop(sent);
        outcomes.await?
    }
}

impl Kind {
    fn check(self, payload: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Text if std::str::from_utf8(payload).is_err() => {
                bail!("this is not UTF-8; `--content binary` publishes any bytes")
            }
            Self::Json => {
                serde_json::from_slice::<serde::de::IgnoredAny>(payload).context("this is not JSON")?;
                Ok(())
            }
            Self::Text | Self::Binary => Ok(()),
        }
    }
}

impl From<Kind> for Content {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text,
            Kind::Json => Self::Json,
            Kind::Binary => Self::Binary,
        }
    }
}

/// Waits for each outcome; fails with the first line that was not published.
async fn settle(mut sent: mpsc::UnboundedReceiver<Publishing>) -> anyhow::Result<()> {
    let mut number = 0_u64;
    while let Some(publishing) = sent.recv().await {
        number += 1;
        publishing.await.map_err(|error| anyhow!("line {number} was not published: {error}"))?;
    }
    Ok(())
}

/// Reads the standard input on a thread of its own, since that blocks. The thread ends with the process.
fn read_lines() -> mpsc::Receiver<std::io::Result<Vec<u8>>> {
    let (give, lines) = mpsc::channel(LINES_AHEAD);
    thread::spawn(move || {
        let mut input = BufReader::with_capacity(INPUT_BYTES, std::io::stdin().lock());
        loop {
            let mut line = Vec::new();
            let result = input.read_until(b'\n', &mut line);
            let end = matches!(result, Ok(0) | Err(_));
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            let line = match result {
                Ok(0) => return,
                Ok(_) => Ok(line),
                Err(error) => Err(error),
            };
            if give.blocking_send(line).is_err() || end {
                return;
            }
        }
    });
    lines
}

/// Lines read and not yet in the client's outbox.
const LINES_AHEAD: usize = 4_096;
const INPUT_BYTES: usize = 64 << 10;
