//! Publishing over a real socket.

use std::time::Duration;

use tidewire_client::{Client, Code, NoConnection, Options, Payload, PublishError, Status};
use tidewire_protocol::SUBPROTOCOL_BINARY;
use tidewire_protocol::hub_frame::{Goodbye, HubFrame};

use crate::far_end::{FarEnd, Frame, in_time};

#[tokio::test]
async fn publishes_in_order_and_says_where() {
    let hub = FarEnd::new().await;
    let client =
        Client::connect(&hub.url, Options { token: Some("secret".into()), ..Options::default() }).unwrap();
    let first = client.publish_payload("t", Payload::text("one"));
    let second = client.publish_payload("t", Payload::text("two"));
    let mut link = hub.accept(Some(SUBPROTOCOL_BINARY)).await;
    assert_eq!(link.next().await, Frame::Hello { token: "secret".into() });
    link.say(HubFrame::Welcome(Default::default())).await;
    let handle = link.opened("t", true).await;
    assert_eq!(link.next().await, Frame::Publish { handle, seq: 1, payload: b"one".to_vec() });
    assert_eq!(link.next().await, Frame::Publish { handle, seq: 2, payload: b"two".to_vec() });
    link.ack(handle, 1, 2).await;
    assert_eq!(in_time(first).await.unwrap().offset.0, 1);
    assert_eq!(in_time(second).await.unwrap().offset.0, 2);
    in_time(client.flush()).await.unwrap();
}

#[tokio::test]
async fn many_publishes_arrive_once_and_in_order_over_broken_links() {
    const COUNT: u64 = 20_000;
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let far = tokio::spawn(async move {
        let mut stored = 0;
        for life in 0.. {
            let mut link = hub.welcome().await;
            let handle = link.opened("t", false).await;
            while let Frame::Publish { seq, payload, .. } = link.next().await {
                if seq > stored {
                    assert_eq!(seq, stored + 1);
                    assert_eq!(payload, seq.to_string().into_bytes());
                    stored += 1;
                }
                if life < 2 && stored == 1_500 * (life + 1) {
                    break;
                }
                link.ack(handle, seq, 1).await;
                if stored == COUNT {
                    return link;
                }
            }
            link.close(4017).await;
        }
        unreachable!()
    });
    let publishing: Vec<_> =
        (1..=COUNT).map(|n| client.publish_payload("t", Payload::text(n.to_string()))).collect();
    for (publishing, n) in publishing.into_iter().zip(1..) {
        assert_eq!(in_time(publishing).await.unwrap().offset.0, n);
    }
    far.await.unwrap();
}

#[tokio::test]
async fn a_full_outbox_refuses_or_makes_wait() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options { outbox_messages_max: 2, ..Options::default() }).unwrap();
    let first = client.publish_payload("t", Payload::text("1"));
    let _second = client.publish_payload("t", Payload::text("2"));
    assert_eq!(client.publish_payload("t", Payload::text("3")).await, Err(PublishError::OutboxFull));
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.publish_when_room("t", Payload::text("4")).await.unwrap().await }
    });
    let mut link = hub.welcome().await;
    let handle = link.opened("t", true).await;
    link.next().await;
    link.next().await;
    assert!(!waiting.is_finished());
    link.ack(handle, 1, 1).await;
    assert_eq!(in_time(first).await.unwrap().offset.0, 1);
    assert_eq!(link.next().await, Frame::Publish { handle, seq: 3, payload: b"4".to_vec() });
    link.ack(handle, 2, 2).await;
    assert_eq!(in_time(waiting).await.unwrap().unwrap().offset.0, 3);
}

#[tokio::test]
async fn bytes_bound_the_outbox_too() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options { outbox_bytes_max: 10, ..Options::default() }).unwrap();
    let _first = client.publish_payload("t", Payload::binary(vec![0; 8]));
    assert_eq!(client.publish_payload("t", Payload::binary(vec![0; 3])).await, Err(PublishError::OutboxFull));
    let large = || Payload::binary(vec![0; 11]);
    let never = client.publish_when_room("t", large()).await.unwrap_err();
    assert_eq!(
        (&never, never.code(), never.retryable()),
        (&PublishError::LargerThanOutbox, "larger_than_outbox", false)
    );
    assert_eq!(client.publish_payload("t", large()).await, Err(never));
}

#[tokio::test]
async fn closing_fails_what_waits_and_closes_the_link() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let publishing = client.publish_payload("t", Payload::text("1"));
    let link = hub.welcome().await;
    let closed = tokio::spawn(link.closed());
    in_time(client.close()).await;
    assert_eq!(in_time(publishing).await, Err(PublishError::Closed));
    assert_eq!(in_time(closed).await.unwrap(), 1000);
    assert_eq!(client.publish_payload("t", Payload::text("2")).await, Err(PublishError::Closed));
    assert_eq!(client.flush().await, Err(PublishError::Closed));
}

#[tokio::test]
async fn what_cannot_be_published_fails_alone() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let bad = client.publish_payload("no topic", Payload::text("1"));
    assert_eq!(in_time(bad).await, Err(PublishError::Refused(Code::BadName)));
}

#[tokio::test]
async fn a_fatal_goodbye_is_told_by_the_status() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let publishing = client.publish_payload("t", Payload::text("1"));
    let mut link = hub.accept(Some(SUBPROTOCOL_BINARY)).await;
    link.next().await;
    link.say(HubFrame::Goodbye(Goodbye {
        code: Code::BadToken,
        message: "no such\x1b token".into(),
        ..Goodbye::default()
    }))
    .await;
    link.close(Code::BadToken.close_code()).await;
    let why = NoConnection::Goodbye { code: Code::BadToken, text: "no such token".into(), back_in: None };
    assert_eq!((why.code(), why.to_string().as_str()), ("bad_token", "no such token"));
    let fatal = Status::Closed { why: Some(why) };
    in_time(client.status().wait_for(|status| *status == fatal)).await.unwrap();
    assert_eq!(in_time(publishing).await, Err(PublishError::Refused(Code::BadToken)));
}

#[tokio::test]
async fn data_goes_as_json_and_what_cannot_be_is_refused_at_the_call() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let _done = client.publish("t", &[Some(1), None]);
    let keys_are_lists = std::collections::HashMap::from([([1, 2], 3)]);
    let bad = client.publish("t", &keys_are_lists).await.unwrap_err();
    assert_eq!(
        (bad.code(), bad.to_string().as_str()),
        ("not_json", "the data is not JSON: key must be a string")
    );
    let mut link = hub.welcome().await;
    let handle = link.opened("t", true).await;
    assert_eq!(link.next().await, Frame::Publish { handle, seq: 1, payload: b"[1,null]".to_vec() });
}

#[tokio::test]
async fn a_message_that_was_never_sent_is_withdrawn_at_once() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options { outbox_messages_max: 1, ..Options::default() }).unwrap();
    let mut first = client.publish("t", "1");
    first.cancel();
    first.cancel();
    assert_eq!(in_time(first).await, Err(PublishError::Cancelled));
    // Its room is free again; its place in the topic's order is not.
    let _second = client.publish("t", "2");
    let mut link = hub.welcome().await;
    let handle = link.opened("t", true).await;
    assert_eq!(link.next().await, Frame::Publish { handle, seq: 1, payload: Vec::new() });
    assert_eq!(link.next().await, Frame::Publish { handle, seq: 2, payload: b"\"2\"".to_vec() });
}

#[tokio::test]
async fn withdrawing_too_late_changes_nothing() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let mut publishing = client.publish("t", "1");
    let mut link = hub.welcome().await;
    let handle = link.opened("t", true).await;
    link.next().await;
    publishing.cancel();
    link.ack(handle, 1, 1).await;
    assert_eq!(in_time(publishing).await.unwrap().offset.0, 1);
}

#[tokio::test]
async fn dropping_an_outcome_stops_the_waiting_and_not_the_message() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    drop(client.publish("t", "1"));
    let mut link = hub.welcome().await;
    let handle = link.opened("t", true).await;
    assert_eq!(link.next().await, Frame::Publish { handle, seq: 1, payload: b"\"1\"".to_vec() });
}

#[tokio::test]
async fn an_outcome_that_is_waited_for_keeps_the_client_alive() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let publishing = client.publish("t", "1");
    drop(client);
    let mut link = hub.welcome().await;
    let handle = link.opened("t", true).await;
    link.next().await;
    link.ack(handle, 1, 1).await;
    assert_eq!(in_time(publishing).await.unwrap().offset.0, 1);
}

#[tokio::test]
async fn closing_does_not_wait_for_a_hub_that_reads_nothing() {
    let hub = FarEnd::new().await;
    let client =
        Client::connect(&hub.url, Options { outbox_bytes_max: 64 << 20, ..Options::default() }).unwrap();
    let _publishing = client.publish_payload("t", Payload::binary(vec![0; 32 << 20]));
    let mut link = hub.welcome().await;
    link.opened("t", true).await;
    // More than the system takes on the way: the link is in the midst of writing it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    in_time(client.close()).await;
}
