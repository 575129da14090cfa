//! What messages have besides their payloads, over a real socket.

use std::time::Duration;

use tidewire_client::{
    BadAttribute, Client, Code, Content, Durability, Event, Offset, Options, Outgoing, Payload, Position,
    PublishError, SubscribeOptions,
};
use tidewire_protocol::attributes::{Attributes, Headers};
use tidewire_protocol::block::{Block, Head, put_message};
use tidewire_protocol::client_frame::Terms;
use tidewire_protocol::code::Outcome;
use tidewire_protocol::feature::{DURABILITY, HEADERS, KEYS, MAPS, SEND, TTL};
use tidewire_protocol::hub_frame::{HubFrame, Refused, Subscribed};
use tidewire_protocol::number::{Handle, Request, Seq, TailNumber};

use crate::far_end::{EPOCH, FarEnd, FarLink, Frame, in_time};

const ALL: u64 = KEYS | HEADERS | TTL | DURABILITY | MAPS | SEND;

fn at(offset: u64) -> Position {
    Position { epoch: EPOCH, offset: Offset(offset) }
}

fn text(text: &str) -> Outgoing {
    Outgoing::new(Payload::text(text))
}

async fn connected() -> (Client, FarLink) {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let link = hub.welcome_with(ALL).await;
    (client, link)
}

#[tokio::test]
async fn what_a_message_has_and_its_terms_reach_the_hub() {
    let (client, mut link) = connected().await;
    let message = text("1").key("a").header("trace", "x").header("n", "");
    let message = message.durability(Durability::Memory).if_version(at(4));
    let first = client.publish_payload("t", message);
    let second = client.publish_payload("t", Outgoing::removal("a").if_absent());
    let handle = link.opened("t", true).await;
    let attributes = Attributes {
        key: "a".into(),
        headers: Headers::of([("trace", "x"), ("n", "")]),
        ..Default::default()
    };
    let terms = Terms { if_version: Some(at(4)), durability: Some(Durability::Memory), ..Terms::default() };
    assert_eq!(link.next().await, Frame::Message { seq: 1, attributes, terms });
    let attributes = Attributes { key: "a".into(), remove: true, ..Default::default() };
    let terms = Terms { if_absent: true, ..Terms::default() };
    assert_eq!(link.next().await, Frame::Message { seq: 2, attributes, terms });
    link.ack(handle, 1, 2).await;
    in_time(first).await.unwrap();
    in_time(second).await.unwrap();
}

#[tokio::test]
async fn what_never_holds_is_told_before_the_hub_is_asked() {
    let (client, _link) = connected().await;
    for message in [text("1").if_absent(), text("1").key("a").if_version(at(4)).if_absent()] {
        assert_eq!(message.check(), Err(PublishError::Refused(Code::BadMessage)));
        let outcome = in_time(client.publish_payload("t", message)).await;
        assert_eq!(outcome, Err(PublishError::Refused(Code::BadMessage)));
    }
}

#[tokio::test]
async fn a_condition_that_failed_says_what_is_there() {
    let (client, mut link) = connected().await;
    let publishing = client.publish_payload("t", text("1").key("a").if_version(at(4)));
    let absent = client.publish_payload("t", text("1").key("b").if_version(at(4)));
    let handle = link.opened("t", true).await;
    for (seq, current) in [(1, Some(at(9))), (2, None)] {
        link.say(HubFrame::Refused(Refused {
            handle: Handle(handle),
            seq: Seq(seq),
            count: 1,
            code: Code::ConditionFailed,
            consumed: true,
            current,
            ..Refused::default()
        }))
        .await;
    }
    let error = in_time(publishing).await.unwrap_err();
    assert_eq!(error, PublishError::ConditionFailed { current: Some(at(9)) });
    assert_eq!(error.code(), "condition_failed");
    assert!(error.to_string().ends_with(&format!("is at {EPOCH}:9")), "{error}");
    assert_eq!(in_time(absent).await, Err(PublishError::ConditionFailed { current: None }));
}

#[tokio::test]
async fn what_no_message_may_have_is_refused_at_the_call() {
    let (client, _link) = connected().await;
    for (message, wrong) in [
        (text("1").key("a\nb"), BadAttribute::Key),
        (text("1").header("Upper", "1"), BadAttribute::HeaderName),
        (text("1").header("a", "1").header("a", "2"), BadAttribute::HeaderTwice),
        (Outgoing::removal(""), BadAttribute::RemoveWithoutKey),
    ] {
        let error = in_time(client.publish_payload("t", message.clone())).await.unwrap_err();
        assert_eq!((&error, error.code()), (&PublishError::BadMessage(wrong), "bad_message"));
        let batch = client.publish_batch([("t", text("0")), ("t", message.clone())]);
        assert_eq!(in_time(batch).await, Err(error.clone()));
        assert_eq!(client.topic("t").send_message(Duration::ZERO, message), Err(error));
    }
    let terms = client.topic("t").send_message(Duration::ZERO, text("1").key("a").if_absent());
    assert_eq!(terms, Err(PublishError::Refused(Code::NotSupported)));
}

#[tokio::test]
async fn a_hub_that_would_lose_a_key_gets_no_message() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let mut link = hub.welcome_with(0).await;
    let keyed = client.publish_payload("t", text("1").key("a"));
    let plain = client.publish_payload("t", text("2"));
    let handle = link.opened("t", true).await;
    assert_eq!(in_time(keyed).await, Err(PublishError::Refused(Code::NotSupported)));
    assert_eq!(link.next().await, Frame::Publish { handle, seq: 1, payload: Vec::new() }, "a void");
    assert_eq!(link.next().await, Frame::Publish { handle, seq: 2, payload: b"2".to_vec() });
    link.ack(handle, 2, 1).await;
    in_time(plain).await.unwrap();
}

#[tokio::test]
async fn a_message_whose_time_is_over_is_not_published() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let publishing = client.publish_payload("t", text("1").ttl(Duration::from_millis(20)));
    let lasting = client.publish_payload("t", text("2").ttl(Duration::from_secs(60)));
    let error = in_time(publishing).await.unwrap_err();
    assert_eq!((&error, error.code(), error.retryable()), (&PublishError::Expired, "expired", false));
    let mut link = hub.welcome_with(ALL).await;
    let handle = link.opened("t", true).await;
    assert_eq!(link.next().await, Frame::Publish { handle, seq: 1, payload: Vec::new() }, "a void");
    let next = link.next().await;
    let Frame::Message { seq: 2, attributes, .. } = &next else { panic!("{next:?}") };
    assert!((50_000..60_000).contains(&attributes.ttl_ms), "what is left: {}", attributes.ttl_ms);
    link.ack(handle, 2, 1).await;
    in_time(lasting).await.unwrap();
}

#[tokio::test]
async fn a_time_to_live_counts_while_it_waits_for_room() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options { outbox_messages_max: 1, ..Options::default() }).unwrap();
    let first = client.publish_payload("t", text("1").ttl(Duration::from_millis(100)));
    let later = |ttl| client.publish_when_room("t", text("2").ttl(ttl));
    let (over, lasting, ()) = tokio::join!(
        async { later(Duration::from_millis(50)).await.unwrap().await },
        later(Duration::from_secs(60)),
        async { assert_eq!(in_time(first).await, Err(PublishError::Expired)) },
    );
    assert_eq!(over, Err(PublishError::Expired));
    let mut link = hub.welcome_with(ALL).await;
    link.opened("t", true).await;
    assert!(matches!(link.next().await, Frame::Publish { seq: 1, .. }), "one void, of the first");
    let next = link.next().await;
    let Frame::Message { seq: 2, attributes, .. } = &next else { panic!("{next:?}") };
    assert!((50_000..=59_900).contains(&attributes.ttl_ms), "what is left: {}", attributes.ttl_ms);
    drop(lasting);
}

#[tokio::test]
async fn what_it_has_takes_room_until_its_outcome() {
    let hub = FarEnd::new().await;
    let options = Options { outbox_bytes_max: 100, ..Options::default() };
    let client = Client::connect(&hub.url, options).unwrap();
    let large = || text("1").header("a", "v".repeat(60));
    let too_large = client.publish_payload("t", large().header("b", "v".repeat(60)));
    assert_eq!(in_time(too_large).await, Err(PublishError::LargerThanOutbox));
    let first = client.publish_payload("t", large());
    assert_eq!(in_time(client.publish_payload("t", large())).await, Err(PublishError::OutboxFull));
    let mut link = hub.welcome_with(ALL).await;
    let handle = link.opened("t", true).await;
    link.next().await;
    link.ack(handle, 1, 1).await;
    in_time(first).await.unwrap();
    let second = in_time(client.publish_when_room("t", large())).await.unwrap();
    link.next().await;
    link.ack(handle, 2, 1).await;
    in_time(second).await.unwrap();
}

#[tokio::test]
async fn subscribers_see_what_a_message_has() {
    let (client, mut link) = connected().await;
    let mut prices = client.subscribe::<u32>("t", SubscribeOptions::default());
    let Frame::Subscribe { request, .. } = link.next().await else { panic!("no question") };
    link.say(HubFrame::Subscribed(Subscribed {
        request: Request(request),
        tail: TailNumber(9),
        outcome: Outcome::Live,
        positions: vec![at(0)],
        gap: None,
        ..Subscribed::default()
    }))
    .await;
    let mut ext = Vec::new();
    Attributes { key: "a".into(), headers: Headers::of([("n", "1")]), ttl_ms: 1_500, remove: false }
        .put(&mut ext);
    let mut removal = Vec::new();
    Attributes { key: "a".into(), remove: true, ..Default::default() }.put(&mut removal);
    let mut records = Vec::new();
    for (offset, ext, payload) in [(1, &ext[..], &b"7"[..]), (2, &[], b"8"), (3, &removal, b"")] {
        let (prev, offset) = (Offset(offset - 1), Offset(offset));
        put_message(
            &Head { prev, offset, content: Content::Json, ext, ..Head::default() },
            payload,
            &mut records,
        );
    }
    link.say(HubFrame::Block(Block { tail: TailNumber(9), records: &records, ..Block::default() })).await;
    assert!(matches!(in_time(prices.next()).await, Some(Event::Ready { .. })));
    let Some(Event::Message(message)) = in_time(prices.next()).await else { panic!("no message") };
    assert_eq!((message.data, message.key(), message.header("n").as_deref()), (7, Some("a"), Some("1")));
    assert_eq!(message.headers(), [("n".into(), "1".into())]);
    assert_eq!((message.ttl(), message.position()), (Some(Duration::from_millis(1_500)), at(1)));
    let Some(Event::Message(message)) = in_time(prices.next()).await else { panic!("no message") };
    assert_eq!((message.data, message.key(), message.ttl(), message.is_removal()), (8, None, None, false));
    let Some(Event::Removed(message)) = in_time(prices.next()).await else { panic!("no removal") };
    assert_eq!((message.key(), message.is_removal(), message.position()), (Some("a"), true, at(3)));
}
