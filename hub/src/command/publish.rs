//! `tidewire pub`: publishes one message, or each line that it reads.

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use clap::Args;
use tidewire_client::{Client, Code, Outgoing, PublishError, Publishing};
use tidewire_protocol::client_frame::{Batch, Terms};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::command::asked::Asked;
use crate::command::besides::Besides;
use crate::command::content::Kind;
use crate::command::failure::{EXIT_CODES, Failure};
use crate::command::hub_address::{HubAddress, connected};
use crate::command::lines::{Lines, counted};
use crate::command::updates::Updates;

/// The options of `pub`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Publish {
    /// The topic to publish to
    topic: String,
    /// The message; `-` publishes each line of the standard input as a message of its own
    #[arg(default_value = "-", allow_hyphen_values = true)]
    data: String,
    #[command(flatten)]
    besides: Besides,
    /// What the messages are
    #[arg(long, value_enum, default_value_t = Kind::Auto)]
    content: Kind,
    /// Send updates that are worth something only now: none is acknowledged, kept back or sent again. What cannot go at
    /// once is dropped, and told at the end with its number; what is on its way when a connection breaks is lost. What the
    /// hub's rates and limits do not take it drops without a word, and counts in its metric tidewire_updates_dropped_total
    #[arg(long)]
    no_ack: bool,
    /// Publish all lines together, at most 1,000: the hub stores all of them, side by side, or none
    #[arg(long, conflicts_with = "no_ack")]
    batch: bool,
    #[command(flatten)]
    hub: HubAddress,
}

impl Publish {
    /// Succeeds when the hub has acknowledged every message, or with `--no-ack` when it has read what was sent.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        self.besides.check()?;
        let client = self.hub.client()?;
        let done = if self.no_ack { self.send(&client).await } else { self.publish(&client).await };
        done?;
        client.close().await;
        Ok(ExitCode::SUCCESS)
    }

    async fn send(&self, client: &Client) -> Result<(), Failure> {
        let asked = Asked::default();
        let updates = Updates::to(client, &asked, &self.topic);
        let sent = async {
            match &*self.data {
                _ if self.besides.is_removal() => updates.one(self.besides.removal()).await,
                "-" => updates.lines(Lines::read(self.content), &self.besides).await,
                data => updates.one(self.besides.message(self.content.payload(data.into())?)).await,
            }
        };
        let sent = tokio::select! {
            biased;
            failure = self.hub.given_up(client, &asked) => Err(failure),
            sent = sent => sent,
        };
        updates.end(sent)
    }

    async fn publish(&self, client: &Client) -> Result<(), Failure> {
        let (asked, acked) = (Arc::new(Asked::default()), Arc::new(AtomicU64::new(0)));
        let published = async {
            match &*self.data {
                _ if self.besides.is_removal() => self.one(client, &asked, self.besides.removal(), 0).await,
                "-" if self.batch => self.batch(client, &asked).await,
                "-" => self.lines(client, &asked, &acked).await,
                data => {
                    let payload = self.content.payload(data.into())?;
                    let size = payload.bytes().len();
                    self.one(client, &asked, self.besides.message(payload), size).await
                }
            }
        };
        let mut published = pin!(published);
        tokio::select! {
            biased;
            // What was acknowledged before is published all the same.
            failure = self.hub.given_up(client, &asked) => match timeout(LAST_OUTCOMES, published).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) if self.data == "-" && !self.batch => {
                    Err(failure.and(&format!("published: {}", counted(acked.load(Relaxed)))))
                }
                Ok(Err(_)) | Err(_) => Err(failure),
            },
            result = &mut published => result,
        }
    }

    /// What is wrong with a name or a size is told for what it is: a hub says first what it takes.
    async fn ready(&self, client: &Client) -> Result<(), Failure> {
        connected(client).await;
        Failure::check_topic(&self.topic)
    }

    async fn one(
        &self,
        client: &Client,
        asked: &Asked,
        outgoing: Outgoing,
        size: usize,
    ) -> Result<(), Failure> {
        self.ready(client).await?;
        let message = (&*self.topic, size);
        if let Some(failure) = Failure::too_large(&self.topic, message, client) {
            return Err(failure);
        }
        let published = asked.wait(client.publish_payload(&self.topic, outgoing)).await;
        published
            .map_err(|error| Failure::on_terms(self.besides.terms(), &self.topic, &error, message, client))?;
        Ok(())
    }

    /// Nothing is published before the last line is read.
    async fn batch(&self, client: &Client, asked: &Asked) -> Result<(), Failure> {
        self.ready(client).await?;
        let mut lines = Lines::read(self.content);
        let (mut messages, mut size) = (Vec::new(), 0);
        while let Some(line) = lines.next().await {
            if lines.number() > BATCH_MAX {
                let told = format!("a batch has at most {BATCH_MAX} lines; nothing was published");
                return Err(Failure::Input(told));
            }
            let payload = line.map_err(|failure| failure.and("nothing was published"))?;
            let (what, message) = (format!("line {}", lines.number()), (&*self.topic, payload.bytes().len()));
            if let Some(failure) = Failure::too_large(&what, message, client) {
                return Err(failure.and("nothing was published"));
            }
            size += payload.bytes().len();
            messages.push((self.topic.clone(), self.besides.message(payload)));
        }
        let count = messages.len();
        let published = asked.wait(client.publish_batch(messages)).await;
        let what = "none of the lines was published";
        published.map_err(|error| match error {
            PublishError::Refused(Code::TooLarge) => Failure::Refused(format!(
                "{what}: {count} lines with {size} bytes are more than the hub takes at once (`frame_bytes_max`, and \
                 `in_flight_max` messages to one topic, of its configuration); publish fewer at once"
            )),
            error => Failure::on_terms(self.besides.terms(), what, &error, (&self.topic, size), client),
        })?;
        Ok(())
    }

    /// Many lines are on their way at once; what becomes of them is looked at beside, in their order.
    async fn lines(
        &self,
        client: &Client,
        asked: &Arc<Asked>,
        acked: &Arc<AtomicU64>,
    ) -> Result<(), Failure> {
        self.ready(client).await?;
        let mut lines = Lines::read(self.content);
        let (sent, outcomes) = mpsc::unbounded_channel();
        let settling = Settling {
            topic: self.topic.clone(),
            terms: self.besides.terms(),
            client: client.clone(),
            asked: Arc::clone(asked),
            acked: Arc::clone(acked),
        };
        let outcomes = tokio::spawn(settling.all(outcomes));
        let mut bad = Ok(());
        while let Some(line) = lines.next().await {
            let payload = match line {
                Ok(payload) => payload,
                Err(failure) => {
                    bad = Err(failure);
                    break;
                }
            };
            let size = payload.bytes().len();
            let what = || unpublished(lines.number());
            if let Some(failure) = Failure::too_large(&what(), (&self.topic, size), client) {
                bad = Err(failure);
                break;
            }
            match client.publish_when_room(&self.topic, self.besides.message(payload)).await {
                Ok(publishing) => {
                    asked.begin();
                    // Nobody listens any more: a line was refused, and the outcomes say which.
                    if sent.send((size, publishing)).is_err() {
                        break;
                    }
                }
                Err(error) => {
                    bad = Err(Failure::on_terms(
                        self.besides.terms(),
                        &what(),
                        &error,
                        (&self.topic, size),
                        client,
                    ));
                    break;
                }
            }
        }
        drop(sent);
        // Lines before a bad one are published, or say themselves why not.
        outcomes.await.map_err(|error| Failure::Unreadable(error.to_string()))??;
        bad.map_err(|failure| after(failure, acked.load(Relaxed)))
    }
}

/// What is known of lines on their way.
struct Settling {
    topic: String,
    terms: Terms,
    client: Client,
    asked: Arc<Asked>,
    acked: Arc<AtomicU64>,
}

impl Settling {
    /// Waits for each outcome; fails with the first line that was not published.
    async fn all(self, mut sent: mpsc::UnboundedReceiver<(usize, Publishing)>) -> Result<(), Failure> {
        while let Some((size, publishing)) = sent.recv().await {
            let outcome = publishing.await;
            self.asked.end();
            if let Err(error) = outcome {
                let before = self.acked.load(Relaxed);
                let (what, message) = (unpublished(before + 1), (&*self.topic, size));
                let failure =
                    after(Failure::on_terms(self.terms, &what, &error, message, &self.client), before);
                return Err(if sent.is_empty() {
                    failure
                } else {
                    failure.and("lines after it may be, too")
                });
            }
            self.acked.fetch_add(1, Relaxed);
        }
        Ok(())
    }
}

fn unpublished(line: u64) -> String {
    format!("line {line} was not published")
}

/// A line's failure, with what became of those before it.
fn after(failure: Failure, before: u64) -> Failure {
    if before == 0 { failure } else { failure.and(&format!("published before it: {}", counted(before))) }
}

/// What the hub takes at once.
const BATCH_MAX: u64 = Batch::COUNT_MAX;
/// For outcomes that are there, and only have to be looked at.
const LAST_OUTCOMES: Duration = Duration::from_millis(100);
