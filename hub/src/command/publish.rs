//! `tidewire pub`: publishes one message, or each line that it reads.

use std::io::{BufRead as _, BufReader};
use std::pin::pin;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tidewire_client::{Client, Payload, PublishError, Publishing};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::command::failure::{EXIT_CODES, Failure};
use crate::command::hub_address::HubAddress;

/// The options of `pub`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Publish {
    /// The topic to publish to
    topic: String,
    /// The message; `-` publishes each line of the standard input as a message of its own
    #[arg(default_value = "-", allow_hyphen_values = true)]
    data: String,
    /// What the messages are
    #[arg(long, value_enum, default_value_t = Kind::Auto)]
    content: Kind,
    #[command(flatten)]
    hub: HubAddress,
}

/// What a message may be said to be.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// A JSON object or array is JSON, any other UTF-8 is text, and the rest is binary
    Auto,
    /// A JSON value, numbers and quoted strings among them; anything else is refused
    Json,
    /// UTF-8; anything else is refused
    Text,
    /// Any bytes
    Binary,
    /// CBOR, which is not checked
    Cbor,
}

impl Publish {
    /// Succeeds when the hub has acknowledged every message.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.hub.client()?;
        let published =
            async { if self.data == "-" { self.lines(&client).await } else { self.one(&client).await } };
        let mut published = pin!(published);
        tokio::select! {
            biased;
            // What was acknowledged before is published all the same.
            failure = self.hub.lost(&client) => match timeout(LAST_OUTCOMES, published).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(failure.into()),
            },
            result = &mut published => result?,
        }
        client.close().await;
        Ok(ExitCode::SUCCESS)
    }

    async fn one(&self, client: &Client) -> anyhow::Result<()> {
        let payload = self.content.payload(self.data.clone().into_bytes())?;
        let published = client.publish_payload(&self.topic, payload).await;
        published.map_err(|error| Failure::unpublished(&self.topic, &error))?;
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
            let payload = self.content.payload(line).with_context(|| format!("line {number}"))?;
            let publishing = client.publish_when_room(&self.topic, payload).await;
            let publishing = publishing.map_err(|error| unpublished(number, &error))?;
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
    /// The bytes as this kind of message.
    fn payload(self, bytes: Vec<u8>) -> Result<Payload, Failure> {
        match self {
            Self::Auto => Ok(recognised(bytes)),
            Self::Json => Payload::json_text(bytes).map_err(|error| {
                Failure::Input(format!("this is {error}; `--content text` publishes any text"))
            }),
            Self::Text => String::from_utf8(bytes).map(Payload::text).map_err(|_| {
                Failure::Input("this is not UTF-8; `--content binary` publishes any bytes".into())
            }),
            Self::Binary => Ok(Payload::binary(bytes)),
            Self::Cbor => Ok(Payload::cbor(bytes)),
        }
    }
}

/// A number or `true` may be meant as a text, as most lines of most files are; an object or array hardly is.
fn recognised(bytes: Vec<u8>) -> Payload {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if matches!(first, Some(b'{' | b'['))
        && let Ok(payload) = Payload::json_text(bytes.clone())
    {
        return payload;
    }
    String::from_utf8(bytes).map_or_else(|error| Payload::binary(error.into_bytes()), Payload::text)
}

/// Waits for each outcome; fails with the first line that was not published.
async fn settle(mut sent: mpsc::UnboundedReceiver<Publishing>) -> anyhow::Result<()> {
    let mut number = 0_u64;
    while let Some(publishing) = sent.recv().await {
        number += 1;
        publishing.await.map_err(|error| unpublished(number, &error))?;
    }
    Ok(())
}

fn unpublished(line: u64, error: &PublishError) -> Failure {
    Failure::unpublished(&format!("line {line} was not published"), error)
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
/// For outcomes that are there, and only have to be looked at.
const LAST_OUTCOMES: Duration = Duration::from_millis(100);
