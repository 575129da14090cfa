//! Reads an event stream as browsers do (WHATWG HTML, section 9.2.6), out of the chunks of an HTTP answer, wherever it was cut.

use serde_json::Value;

/// What a browser makes of bytes.
#[derive(Debug, Default)]
pub struct Stream {
    pub events: Vec<Event>,
    /// What it would come back with.
    pub id: Option<String>,
    /// Events since it was told that.
    pub since_id: usize,
    pub retry: Vec<u64>,
    pub comments: usize,
    /// The answer is whole.
    pub ended: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub name: String,
    pub data: Value,
}

impl Event {
    /// The number in a field of its data.
    pub fn number(&self, field: &str) -> u64 {
        self.data[field].as_u64().unwrap()
    }

    pub fn text(&self, field: &str) -> &str {
        self.data[field].as_str().unwrap()
    }
}

impl Stream {
    pub fn read(bytes: &[u8]) -> Self {
        let mut stream = Self::default();
        let text = stream.take_chunks(bytes);
        let (mut name, mut data, mut id) = (String::new(), None::<String>, None);
        for line in whole_lines(&text) {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() => {
                    if id.is_some() && id != stream.id {
                        (stream.id, stream.since_id) = (id.clone(), 0);
                    } else {
                        stream.since_id += usize::from(data.is_some());
                    }
                    let name = std::mem::take(&mut name);
                    let data = data.take().map(|data| serde_json::from_str(&data).unwrap());
                    stream.events.extend(data.map(|data| Event { name, data }));
                }
                "" => stream.comments += 1,
                "event" => name = value.to_owned(),
                "data" => {
                    let data = data.get_or_insert_default();
                    if !data.is_empty() {
                        data.push('\n');
                    }
                    data.push_str(value);
                }
                "id" => id = Some(value.to_owned()).filter(|id| !id.contains('\0')),
                "retry" => stream.retry.push(value.parse().unwrap()),
                other => panic!("a browser would ignore {other:?}"),
            }
        }
        stream
    }

    /// The events of this name; messages have none.
    pub fn named(&self, name: &str) -> Vec<&Event> {
        self.events.iter().filter(|event| event.name == name).collect()
    }

    fn take_chunks(&mut self, mut rest: &[u8]) -> String {
        let mut text = Vec::new();
        while let Some(digits) = rest.windows(2).position(|two| two == b"\r\n") {
            assert!(!self.ended, "something follows the end");
            let len = usize::from_str_radix(std::str::from_utf8(&rest[..digits]).unwrap(), 16).unwrap();
            let body = &rest[digits + 2..];
            text.extend_from_slice(&body[..len.min(body.len())]);
            let Some(end) = body.get(len..len + 2) else { break };
            assert_eq!(end, b"\r\n", "a chunk has another length than it says");
            self.ended = len == 0;
            rest = &body[len + 2..];
        }
        // A cut may have halved a character.
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// Lines that have ended, whichever way.
fn whole_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(['\r', '\n']) {
        lines.push(&rest[..end]);
        rest = rest[end..].strip_prefix("\r\n").unwrap_or(&rest[end + 1..]);
    }
    lines
}
