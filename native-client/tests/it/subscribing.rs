//! Subscribing over a real socket.

use std::borrow::Cow;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tidewire_client::{Client, Code, Event, Fault, Options, Outcome, Start, SubscribeOptions, Subscription};
use tidewire_protocol::block::{Block, Head, put_message, put_on_page};
use tidewire_protocol::code::Content;
use tidewire_protocol::hub_frame::{HubFrame, Page, Subscribed};
use tidewire_protocol::number::{Offset, Request, TailNumber};
use tidewire_protocol::position::Position;

use crate::far_end::{EPOCH, FarEnd, FarLink, Frame, in_time};

fn at(offset: u64) -> Vec<Position> {
    vec![Position { epoch: EPOCH, offset: Offset(offset) }]
}

/// Messages whose payloads are their offsets.
fn records(offsets: std::ops::RangeInclusive<u64>) -> Vec<u8> {
    let mut records = Vec::new();
    for offset in offsets {
        let head = Head { prev: Offset(offset - 1), offset: Offset(offset), ..Head::default() };
        put_message(&head, offset.to_string().as_bytes(), &mut records);
    }
    records
}

async fn subscribed(link: &mut FarLink, offset: u64) {
    let frame = link.next().await;
    let Frame::Subscribe { request, name } = frame else { panic!("{frame:?}") };
    assert_eq!(name, "t");
    link.say(HubFrame::Subscribed(Subscribed {
        request: Request(request),
        tail: TailNumber(9),
        positions: at(offset),
        ..Subscribed::default()
    }))
    .await;
}

async fn block(link: &mut FarLink, offsets: std::ops::RangeInclusive<u64>) {
    let prev = Offset(offsets.start() - 1);
    let records = records(offsets);
    link.say(HubFrame::Block(Block { tail: TailNumber(9), prev, records: &records, ..Block::default() }))
        .await;
}

#[track_caller]
fn expect_message(event: Option<Event<Bytes>>, offset: u64) {
    let Some(Event::Message(message)) = event else { panic!("{event:?}") };
    assert_eq!((message.offset.0, &message.data[..]), (offset, offset.to_string().as_bytes()));
}

async fn ready(subscription: &mut Subscription<Bytes>, outcome: Outcome) {
    let event = in_time(subscription.next()).await;
    assert!(matches!(&event, Some(Event::Ready { outcome: got, .. }) if *got == outcome), "{event:?}");
}

#[tokio::test]
async fn hears_messages_across_a_broken_link_once_and_in_order() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let mut subscription = client.subscribe_payloads("t", SubscribeOptions::default());
    let mut link = hub.welcome().await;
    subscribed(&mut link, 0).await;
    block(&mut link, 1..=3).await;
    link.close(4017).await;
    let mut link = hub.welcome().await;
    subscribed(&mut link, 3).await;
    block(&mut link, 1..=5).await;
    ready(&mut subscription, Outcome::Live).await;
    for offset in 1..=5 {
        expect_message(in_time(subscription.next()).await, offset);
    }
}

#[tokio::test]
async fn a_reader_that_stands_still_holds_no_more_than_its_bound_and_reads_on_from_history() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let options = SubscribeOptions { messages_max: 8, ..SubscribeOptions::default() };
    let mut subscription = client.subscribe_payloads("t", options);
    let mut link = hub.welcome().await;
    subscribed(&mut link, 0).await;
    block(&mut link, 1..=20).await;
    ready(&mut subscription, Outcome::Live).await;
    for offset in 1..=8 {
        expect_message(in_time(subscription.next()).await, offset);
    }
    let reading = tokio::spawn(async move { (in_time(subscription.next()).await, subscription) });
    let frame = link.next().await;
    let Frame::History { request } = frame else { panic!("{frame:?}") };
    let records = records(1..=20);
    let mut blocks = Vec::new();
    put_on_page(&Block { records: &records, ..Block::default() }, &mut Vec::new(), &mut blocks);
    link.say(HubFrame::Page(Page {
        request: Request(request),
        after: at(4),
        upto: at(20),
        blocks: Cow::Owned(blocks),
        ..Page::default()
    }))
    .await;
    let (event, _subscription) = in_time(reading).await.unwrap();
    let Some(Event::Message(message)) = event else { panic!("{event:?}") };
    assert_eq!(message.offset.0, 9);
}

#[tokio::test]
async fn dropping_a_subscription_ends_it_at_the_hub() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options { linger_ms: 10, ..Options::default() }).unwrap();
    let subscription = client.subscribe_payloads("t", SubscribeOptions::default());
    let mut link = hub.welcome().await;
    subscribed(&mut link, 0).await;
    drop(subscription);
    assert_eq!(link.next().await, Frame::Unsubscribe { tail: 9 });
}

#[tokio::test]
async fn what_cannot_be_subscribed_to_ends_with_its_reason() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let mut subscription = client.subscribe_payloads("a b", SubscribeOptions::default());
    let event = in_time(subscription.next()).await;
    assert!(matches!(event, Some(Event::Ended(Fault::Protocol(Code::BadName)))), "{event:?}");
    assert!(in_time(subscription.next()).await.is_none());
}

/// Messages with these payloads, from offset 1 on.
async fn say_texts(link: &mut FarLink, content: Content, payloads: &[&str]) {
    let mut records = Vec::new();
    for (payload, offset) in payloads.iter().zip(1..) {
        let head = Head { prev: Offset(offset - 1), offset: Offset(offset), content, ..Head::default() };
        put_message(&head, payload.as_bytes(), &mut records);
    }
    link.say(HubFrame::Block(Block { tail: TailNumber(9), records: &records, ..Block::default() })).await;
}

#[tokio::test]
async fn a_stream_gives_typed_data_and_passes_over_what_is_broken() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let subscription = client.subscribe::<[u32; 2]>("t", SubscribeOptions::default());
    let mut link = hub.welcome().await;
    subscribed(&mut link, 0).await;
    say_texts(&mut link, Content::Json, &["[1,2]", "{not json", "\"x\"", "[3,4]"]).await;
    let told = subscription.take(5).map(|event| match event {
        Event::Ready { .. } => "ready".into(),
        Event::Message(message) => format!("{} {:?}", message.topic(), message.data),
        Event::BadMessage(bad) => format!("bad {}", bad.message.offset),
        Event::Gap(_) | Event::Removed(_) | Event::CaughtUp | Event::Ended(_) => "end".into(),
    });
    let told: Vec<String> = in_time(told.collect()).await;
    assert_eq!(told, ["ready", "t [1, 2]", "bad 2", "bad 3", "t [3, 4]"]);
}

#[tokio::test]
async fn a_page_of_history_is_read_and_gone_on_from() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let reading = tokio::spawn({
        let client = client.clone();
        async move { client.history_payloads("t", Start::Earliest, 2).await.unwrap() }
    });
    let mut link = hub.welcome().await;
    let frame = link.next().await;
    let Frame::History { request } = frame else { panic!("{frame:?}") };
    let records = records(1..=3);
    let mut blocks = Vec::new();
    put_on_page(&Block { records: &records, ..Block::default() }, &mut Vec::new(), &mut blocks);
    link.say(HubFrame::Page(Page {
        request: Request(request),
        after: at(0),
        upto: at(3),
        blocks: Cow::Owned(blocks),
        ..Page::default()
    }))
    .await;
    let page = in_time(reading).await.unwrap();
    let offsets: Vec<_> = page.messages.iter().map(|message| message.as_ref().unwrap().offset.0).collect();
    assert_eq!((offsets, page.more, page.next()), (vec![1, 2], true, Start::After(at(2))));
}

#[tokio::test]
async fn a_page_is_read_back_from_and_its_parts_are_put_in_order() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let reading = tokio::spawn({
        let client = client.clone();
        async move { client.history_payloads("t", Start::before(at(9)), 4).await.unwrap() }
    });
    let mut link = hub.welcome().await;
    for (first, more) in [(7, true), (5, true)] {
        let frame = link.next().await;
        let Frame::History { request } = frame else { panic!("{frame:?}") };
        let (prev, mut records, mut blocks) = (Offset(first - 1), Vec::new(), Vec::new());
        for offset in first..first + 2 {
            put_message(
                &Head { prev: Offset(offset - 1), offset: Offset(offset), ..Head::default() },
                b"1",
                &mut records,
            );
        }
        put_on_page(&Block { prev, records: &records, ..Block::default() }, &mut Vec::new(), &mut blocks);
        let (request, after, upto, blocks) =
            (Request(request), at(first - 1), at(first + 1), Cow::Owned(blocks));
        link.say(HubFrame::Page(Page { request, more, after, upto, blocks, ..Page::default() })).await;
    }
    let page = in_time(reading).await.unwrap();
    let offsets: Vec<_> = page.messages.iter().map(|message| message.as_ref().unwrap().offset.0).collect();
    assert_eq!((offsets, page.more), (vec![5, 6, 7, 8], true));
    assert_eq!((page.previous(), page.next()), (Start::before(at(5)), Start::After(at(8))));
}

#[tokio::test]
async fn a_page_that_nobody_waits_for_is_not_asked_for_again() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let given_up = tokio::spawn({
        let client = client.clone();
        async move { client.history_payloads("t", Start::Earliest, 1).await }
    });
    let mut link = hub.welcome().await;
    assert_eq!(link.next().await, Frame::History { request: 1 });
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    let _asked = tokio::spawn({
        let client = client.clone();
        async move { client.history_payloads("t", Start::Earliest, 1).await }
    });
    assert_eq!(link.next().await, Frame::History { request: 2 });
    link.close(4017).await;
    let mut link = hub.welcome().await;
    assert_eq!(link.next().await, Frame::History { request: 3 });
    drop(client.publish("t", "next"));
    assert!(matches!(link.next().await, Frame::Open { .. }));
}
