//! As much of event streams as the simulated listeners need: the chunks of a body that goes on, and the events in its text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use tidewire_protocol::code::{Code, GapReason, Outcome};
use tidewire_protocol::events::places;
use tidewire_protocol::number::{Epoch, Offset};
use tidewire_protocol::position::Position;

/// What has come of a body, read up to some place of its text.
#[derive(Debug, Default)]
pub struct Body {
    text: Vec<u8>,
    is_over: bool,
}

/// An event as a browser would see it, and those that it would not.
#[derive(Debug)]
pub struct Event {
    /// What it says, if it says anything.
    pub said: Option<Said>,
    /// The places of its id, if it has one.
    pub id: Option<Vec<Position>>,
    /// After how long to come back.
    pub retry_ms: Option<u64>,
}

/// What an event says.
#[derive(Debug)]
pub enum Said {
    /// A message.
    Message(Message),
    /// A topic or pattern begins.
    Subscribed(Begun),
    /// Messages are gone.
    Gap(Lost),
    /// A topic or pattern ends.
    Unsubscribed(Ended),
    /// All of it ends.
    Closed(Closed),
}

/// A message.
#[derive(Debug, Deserialize)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// Its place in the log.
    pub offset: Offset,
    /// When it was taken.
    pub published_at: u64,
    /// Whether it is marked.
    #[serde(default)]
    pub maybe_duplicate: bool,
    text: Option<String>,
    base64: Option<String>,
}

/// See [`Said::Subscribed`].
#[derive(Debug, Deserialize)]
pub struct Begun {
    /// Which.
    pub topic: String,
    /// In which log.
    pub epoch: Epoch,
    /// Behind which place.
    pub offset: Offset,
    /// What it gets.
    pub outcome: Outcome,
}

/// See [`Said::Gap`].
#[derive(Debug, Deserialize)]
pub struct Lost {
    /// Of which.
    pub topic: String,
    /// In which log.
    pub epoch: Epoch,
    /// The first.
    pub from: Offset,
    /// The last.
    pub to: Offset,
    /// Why.
    pub reason: GapReason,
    /// Where it goes on.
    pub after: Offset,
}

/// See [`Said::Unsubscribed`].
#[derive(Debug, Deserialize)]
pub struct Ended {
    /// Which.
    pub topic: String,
    /// Why.
    pub code: Code,
}

/// See [`Said::Closed`].
#[derive(Debug, Deserialize)]
pub struct Closed {
    /// Why.
    pub code: Code,
}

impl Message {
    /// Its bytes.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        match (&self.text, &self.base64) {
            (Some(text), None) => text.as_bytes().to_vec(),
            (None, Some(text)) => BASE64.decode(text).unwrap_or_default(),
            (Some(_), Some(_)) | (None, None) => Vec::new(),
        }
    }
}

impl Body {
    /// Takes the whole chunks out of what has arrived.
    ///
    /// # Errors
    /// What no hub should send.
    pub fn take(&mut self, arrived: &mut Vec<u8>) -> Result<(), &'static str> {
        while let Some(end) = arrived.windows(2).take(CHUNK_HEAD_MAX).position(|pair| pair == b"\r\n") {
            let len = std::str::from_utf8(&arrived[..end]).ok();
            let len = len.and_then(|len| usize::from_str_radix(len, 16).ok());
            let len = len.ok_or("a chunk without its length")?;
            let rest = end + 2 + len;
            let Some(tail) = arrived.get(rest..rest + 2) else { return Ok(()) };
            if tail != b"\r\n" {
                return Err("a chunk that does not end where it says");
            }
            if self.is_over {
                return Err("a chunk behind the last");
            }
            self.is_over = len == 0;
            self.text.extend_from_slice(&arrived[end + 2..rest]);
            arrived.drain(..rest + 2);
        }
        if arrived.len() > CHUNK_HEAD_MAX && !arrived[..CHUNK_HEAD_MAX].contains(&b'\n') {
            return Err("no chunk");
        }
        Ok(())
    }

    /// The next event that is whole; `None` if more has to come.
    ///
    /// # Errors
    /// What no hub should say.
    pub fn take_event(&mut self) -> Result<Option<Event>, String> {
        let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") else { return Ok(None) };
        let text: Vec<u8> = self.text.drain(..end + 2).collect();
        let text = String::from_utf8(text).map_err(|_| "an event that is no text")?;
        let (mut name, mut data, mut event) = ("", None, Event { said: None, id: None, retry_ms: None });
        for line in text.lines().filter(|line| !line.is_empty()) {
            match line.split_once(": ").unwrap_or((line.trim_end_matches(':'), "")) {
                ("event", value) => name = value,
                ("data", value) if data.is_none() => data = Some(value),
                ("id", value) => event.id = Some(places(value).ok_or("an id without places")?),
                ("retry", value) => event.retry_ms = value.parse().ok(),
                ("", _) => {}
                _ => return Err(format!("a line that means nothing: {line}")),
            }
        }
        event.said = data.map(|data| said(name, data)).transpose()?;
        Ok(Some(event))
    }
}

fn said(name: &str, data: &str) -> Result<Said, String> {
    let said = match name {
        "" => serde_json::from_str(data).map(Said::Message),
        "subscribed" => serde_json::from_str(data).map(Said::Subscribed),
        "gap" => serde_json::from_str(data).map(Said::Gap),
        "unsubscribed" => serde_json::from_str(data).map(Said::Unsubscribed),
        "closed" => serde_json::from_str(data).map(Said::Closed),
        _ => return Err(format!("an event `{name}`")),
    };
    said.map_err(|error| format!("an event that cannot be read: {error}: {data}"))
}

/// Longer is the length of no chunk.
const CHUNK_HEAD_MAX: usize = 16;
