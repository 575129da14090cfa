//! JetStream: NATS's lines, with one stream in files for all topics of the bench.
//!
//! Where messages have keys these end their subjects, of each of which the stream keeps the latest, as NATS's key-value
//! buckets do. The first publisher makes the stream; a publish names an inbox, where it is answered once it is stored. Who reads
//! does so as the clients' "ordered consumers" do: the server pushes, without acks, and asks now and then whether
//! the reader is still behind it (flow control).

use anyhow::{Context as _, Result, bail, ensure};
use memchr::memmem;

use crate::dialect::nats::{answer, say, take_line, take_payload};
use crate::dialect::{Publish, Publisher, Subscriber, Wants};
use crate::ledger::Ledger;
use crate::stamp;
use crate::websocket::{self, Opcode};

pub(super) fn hear_as_publisher(
    publisher: &mut Publisher,
    mut bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<()> {
    while !bytes.is_empty() {
        let line = take_line(&mut bytes)?;
        if line.starts_with(b"INFO ") {
            let inbox = format!("_INBOX.publisher.{}", publisher.index);
            let stream = if publisher.keys > 0 { LATEST } else { STREAM };
            let create = request("$JS.API.STREAM.CREATE.bench", &format!("{inbox}.{CREATED}"), stream);
            say(&format!("{CONNECT}SUB {inbox}.* 1\r\n{create}"), out);
        } else if let Some(head) = line.strip_prefix(b"MSG ") {
            let payload = take_payload(head, &mut bytes)?;
            ensure!(!is_error(payload), "JetStream answers {}", String::from_utf8_lossy(payload));
            hear_answer(publisher, inbox_of(head))?;
        } else {
            answer(line, out)?;
        }
    }
    Ok(())
}

/// The inbox says what was asked: to make the stream, or to store a message of the topic at a place.
fn hear_answer(publisher: &mut Publisher, inbox: &str) -> Result<()> {
    if inbox == CREATED {
        publisher.ready = true;
        return Ok(());
    }
    let place: usize = inbox.parse().context("an answer to nothing that was asked")?;
    *publisher.acked.get_mut(place).context("an ack for no topic of ours")? += 1;
    publisher.answered += 1;
    Ok(())
}

/// The last token of the subject in `subject sid [reply] length`.
fn inbox_of(head: &[u8]) -> &str {
    let subject = head.split(|byte| *byte == b' ').next().unwrap_or_default();
    let last = subject.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    std::str::from_utf8(last).unwrap_or_default()
}

fn is_error(payload: &[u8]) -> bool {
    memmem::find(payload, b"\"error\"").is_some()
}

pub(super) fn put_publish(publisher: &Publisher, publish: Publish<'_>, out: &mut Vec<u8>) {
    let (topic, inbox, len) = (publisher.topics[publish.place], publisher.index, publish.payload.len());
    let name = stamp::topic_name(topic);
    let key = publisher.key(publish).map_or_else(String::new, |key| format!(".k{key}"));
    let head = format!("PUB bench.{name}{key} _INBOX.publisher.{inbox}.{} {len}\r\n", publish.place);
    websocket::put_masked(Opcode::Binary, out, |out| {
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(publish.payload);
        out.extend_from_slice(b"\r\n");
    });
}

#[inline]
pub(super) fn hear_as_subscriber(
    subscriber: &mut Subscriber,
    mut bytes: &[u8],
    ledger: &mut Ledger,
    out: &mut Vec<u8>,
) -> Result<()> {
    while !bytes.is_empty() {
        let line = take_line(&mut bytes)?;
        if let Some(head) = line.strip_prefix(b"MSG ") {
            let payload = take_payload(head, &mut bytes)?;
            match head.starts_with(b"bench.") {
                true => ledger.deliver(subscriber.index as usize, payload),
                false => {
                    ensure!(!is_error(payload), "JetStream answers {}", String::from_utf8_lossy(payload));
                    subscriber.ready = true;
                }
            }
        } else if let Some(head) = line.strip_prefix(b"HMSG ") {
            let status = take_payload(head, &mut bytes)?;
            hear_status(head, status, out)?;
        } else if line.starts_with(b"INFO ") {
            consume(subscriber, out);
        } else {
            answer(line, out)?;
        }
    }
    Ok(())
}

/// Flow control is answered with nothing, at the subject that it names; heartbeats are not.
fn hear_status(head: &[u8], status: &[u8], out: &mut Vec<u8>) -> Result<()> {
    ensure!(status.starts_with(b"NATS/1.0 100"), "JetStream says {}", String::from_utf8_lossy(status));
    let fields: Vec<_> = head.split(|byte| *byte == b' ').collect();
    match fields.as_slice() {
        [_, _, reply, _, _] => say(&format!("PUB {} 0\r\n\r\n", std::str::from_utf8(reply)?), out),
        [_, _, _, _] => {}
        _ => bail!("a NATS line with {} fields", fields.len()),
    }
    Ok(())
}

/// Has all messages of the stream pushed, from the first, or those that are yet to come.
fn consume(subscriber: &Subscriber, out: &mut Vec<u8>) {
    let (filter, from) = match subscriber.wants {
        Wants::Topic(topic) => (stamp::topic_name(topic), "new"),
        Wants::AllOfTopic(topic) => (stamp::topic_name(topic), "all"),
        Wants::EveryTopic => ("*".to_owned(), "new"),
        Wants::EverythingKept => ("*".to_owned(), "all"),
    };
    let index = subscriber.index;
    let (pushed, made) = (format!("_INBOX.pushed.{index}"), format!("_INBOX.made.{index}"));
    let consumer = format!(
        "{{\"stream_name\":\"bench\",\"config\":{{\"deliver_subject\":\"{pushed}\",\
         \"deliver_policy\":\"{from}\",\"filter_subject\":\"bench.{filter}\",\"ack_policy\":\"none\",\
         \"max_deliver\":1,\"replay_policy\":\"instant\",\"flow_control\":true,\
         \"idle_heartbeat\":5000000000,\"mem_storage\":true,\"num_replicas\":1}}}}"
    );
    let create = request("$JS.API.CONSUMER.CREATE.bench", &made, &consumer);
    say(&format!("{CONNECT}SUB {pushed} 1\r\nSUB {made} 2\r\n{create}"), out);
}

fn request(subject: &str, reply: &str, payload: &str) -> String {
    format!("PUB {subject} {reply} {}\r\n{payload}\r\n", payload.len())
}

/// Last token of the inbox where it is told that the stream is made.
const CREATED: &str = "created";
/// The stream's configuration; one that is there and has the same is taken for made.
const STREAM: &str = r#"{"name":"bench","subjects":["bench.>"],"retention":"limits","storage":"file","discard":"old","num_replicas":1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"max_consumers":-1}"#;
/// The same, with the latest message of each subject.
const LATEST: &str = r#"{"name":"bench","subjects":["bench.>"],"retention":"limits","storage":"file","discard":"old","num_replicas":1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"max_consumers":-1,"max_msgs_per_subject":1}"#;
/// What is said of flow control comes with headers.
const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"bench\",\"version\":\"1\",\"protocol\":1,\"headers\":true,\"no_responders\":true}\r\n";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn acks_are_booked_with_the_topic_that_their_inbox_names() {
        let mut publisher = Publisher::new(3, vec![7, 8]);
        let mut hear = |bytes: &[u8]| hear_as_publisher(&mut publisher, bytes, &mut Vec::new()).is_ok();
        assert!(hear(
            b"MSG _INBOX.publisher.3.created 1 2\r\n{}\r\nMSG _INBOX.publisher.3.1 1 9\r\n{\"seq\":1}\r\n"
        ));
        assert!(!hear(b"MSG _INBOX.publisher.3.0 1 12\r\n{\"error\":{}}\r\n"));
        assert!(!hear(b"MSG _INBOX.publisher.3.2 1 2\r\n{}\r\n"));
        assert_eq!((publisher.ready, publisher.acked.as_slice(), publisher.answered), (true, &[0, 1][..], 1));
    }

    #[test]
    fn flow_control_is_answered_where_it_says_and_a_heartbeat_is_not() {
        let (mut subscriber, mut ledger) = (Subscriber::new(0, Wants::AllOfTopic(0)), Ledger::new(1, 1));
        let mut say = |bytes: &[u8]| {
            let mut out = Vec::new();
            hear_as_subscriber(&mut subscriber, bytes, &mut ledger, &mut out).unwrap();
            let mut at = 0;
            websocket::cut_masked(&mut out, &mut at).unwrap().map(|frame| frame.payload.to_vec())
        };
        let asks = b"HMSG _INBOX.pushed.0 1 $JS.FC.x 16 16\r\nNATS/1.0 100 A\r\n\r\n";
        assert_eq!(say(asks).unwrap(), b"PUB $JS.FC.x 0\r\n\r\n");
        assert_eq!(say(b"HMSG _INBOX.pushed.0 1 16 16\r\nNATS/1.0 100 B\r\n\r\n"), None);
    }
}
