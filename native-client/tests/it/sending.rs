//! Updates that may be lost, over a real socket.

use std::time::Duration;

use tidewire_client::{Client, Code, Content, Options, Outgoing, Payload, PublishError, Status};
use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::{Heartbeat, HubFrame, Opened, Refused, Welcome};
use tidewire_protocol::number::{Handle, Request, Seq};

use crate::far_end::{FarEnd, FarLink, Frame, in_time};

async fn welcome(hub: &FarEnd, features: u64) -> FarLink {
    let mut link = hub.accept(Some(tidewire_protocol::SUBPROTOCOL_BINARY)).await;
    assert!(matches!(link.next().await, Frame::Hello { .. }));
    link.say(HubFrame::Welcome(Welcome { features, heartbeat_ms: 60_000, ..Welcome::default() })).await;
    link
}

fn sent(handle: u64, payload: &str) -> Frame {
    Frame::Send { handle, expires_ms: 0, payload: payload.into() }
}

/// Waits for the client to have had its welcome.
async fn online(client: &Client) {
    let mut status = client.status();
    in_time(status.wait_for(|status| *status == tidewire_client::Status::Online)).await.unwrap();
}

#[tokio::test]
async fn updates_go_out_in_order_and_nobody_answers() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let mut link = welcome(&hub, feature::SEND).await;
    online(&client).await;
    let pointer = client.topic("pointers.ada");
    for n in 0..100 {
        pointer.send(Content::Text, n.to_string()).unwrap();
    }
    let Frame::Open { handle, topic, .. } = link.next().await else { panic!("no open") };
    assert_eq!(topic, "pointers.ada");
    assert_eq!(link.next().await, sent(handle, "0"));
    assert_eq!(link.next().await, Frame::Ask { request: 1 });
    for n in 1..100 {
        assert_eq!(link.next().await, sent(handle, &n.to_string()));
    }
    link.say(HubFrame::Heartbeat(Heartbeat { request: Request(1) })).await;
    assert_eq!(client.sends_dropped(), 0);
    in_time(client.flush()).await.unwrap();
}

#[tokio::test]
async fn what_cannot_go_is_dropped_and_counted_unless_it_may_wait() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let pointer = client.topic("t");
    pointer.send(Content::Text, "lost").unwrap();
    pointer.send_within(Duration::from_secs(600), Content::Text, "kept").unwrap();
    let mut link = welcome(&hub, feature::SEND).await;
    assert!(matches!(link.next().await, Frame::Open { .. }));
    let Frame::Send { expires_ms, payload, .. } = link.next().await else { panic!("nothing sent") };
    assert_eq!(payload, b"kept");
    assert!((1..=600_000).contains(&expires_ms));
    assert_eq!(client.sends_dropped(), 1);
}

#[tokio::test]
async fn a_hub_that_takes_none_or_refuses_a_topic_is_told_by_the_next_update() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let mut link = welcome(&hub, feature::SEND).await;
    online(&client).await;
    let secret = client.topic("secret");
    secret.send(Content::Text, "1").unwrap();
    let Frame::Open { handle, .. } = link.next().await else { panic!("no open") };
    let refused = Refused { handle: Handle(handle), code: Code::Forbidden, ..Refused::default() };
    link.say(HubFrame::Refused(refused)).await;
    let told = async {
        while secret.send(Content::Text, "2") != Err(PublishError::Refused(Code::Forbidden)) {
            tokio::task::yield_now().await;
        }
    };
    in_time(told).await;
    link.close(4017).await;
    let _link = welcome(&hub, 0).await;
    let told = async {
        while secret.send(Content::Text, "3") != Err(PublishError::Refused(Code::NotSupported)) {
            tokio::task::yield_now().await;
        }
    };
    in_time(told).await;
    in_time(client.close()).await;
    for _ in 0..3 {
        assert_eq!(secret.send(Content::Text, vec![b'4'; 1 << 20]), Err(PublishError::Closed));
    }
}

#[tokio::test]
async fn what_updates_have_counts_on_their_way() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let pointer = client.topic("t");
    let message = Outgoing::new(Payload::text("x")).header("h", "v".repeat(4_000));
    for _ in 0..1_000 {
        pointer.send_message(Duration::from_secs(60), message.clone()).unwrap();
    }
    // Nobody has taken any yet, and a megabyte of them is on its way.
    let kept = 1_000 - client.sends_dropped();
    assert!((250..=260).contains(&kept), "{kept}");
}

#[tokio::test]
async fn a_hub_that_does_not_read_holds_up_nothing_and_costs_little() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let mut link = welcome(&hub, feature::SEND).await;
    online(&client).await;
    let pointer = client.topic("t");
    let payload = vec![b'x'; 1 << 10];
    for _ in 0..10_000 {
        pointer.send(Content::Binary, payload.clone()).unwrap();
    }
    // Ten megabytes given, and no more than what a fast link needs to be busy is on its way.
    let publishing = client.publish("done", "1");
    let mut arrived = 0;
    let handle = loop {
        match link.next().await {
            Frame::Send { payload, .. } => arrived += payload.len(),
            Frame::Open { handle, topic, .. } if topic == "done" => break handle,
            _ => {}
        }
    };
    assert!(arrived <= 256 << 10, "{arrived} bytes");
    assert!(client.sends_dropped() >= 9_000);
    link.say(HubFrame::Opened(Opened { handle: Handle(handle), ..Default::default() })).await;
    link.ack(handle, 1, 1).await;
    in_time(publishing).await.unwrap();
}

#[tokio::test]
async fn a_flush_ends_when_the_hub_has_read_all_and_tells_what_it_refused() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let mut link = welcome(&hub, feature::SEND).await;
    online(&client).await;
    let (open, secret) = (client.topic("open"), client.topic("secret"));
    open.send(Content::Text, "1").unwrap();
    secret.send(Content::Text, "2").unwrap();
    let flushes = tokio::spawn(async move { (open.flush().await, secret.flush().await) });
    let (mut handles, mut last) = (Vec::new(), 0);
    // One behind the first update, to know when it is read, and one for the flush.
    while last < 2 {
        match link.next().await {
            Frame::Open { handle, .. } => handles.push(handle),
            Frame::Ask { request } => last = request,
            _ => {}
        }
    }
    // What is asked on a link that breaks is asked again on the next.
    drop(link);
    let mut link = welcome(&hub, feature::SEND).await;
    let next_ask = async |link: &mut FarLink| loop {
        if let Frame::Ask { request } = link.next().await {
            break request;
        }
    };
    let request = next_ask(&mut link).await;
    link.say(HubFrame::Heartbeat(Heartbeat { request: Request(request) })).await;
    let _second = next_ask(&mut link).await;
    link.close(4017).await;
    let mut link = welcome(&hub, 0).await;
    let request = next_ask(&mut link).await;
    link.say(HubFrame::Heartbeat(Heartbeat { request: Request(request) })).await;
    let refused = Err(PublishError::Refused(Code::NotSupported));
    assert_eq!(in_time(flushes).await.unwrap(), (Ok(()), refused));
    let topic = client.topic("open");
    in_time(client.close()).await;
    assert_eq!(in_time(topic.flush()).await, Err(PublishError::Closed));
}

#[tokio::test]
async fn a_flush_finds_a_link_that_is_dead() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    // It reads, and says nothing; its heartbeats would be due in a minute.
    let mut link = welcome(&hub, feature::SEND).await;
    online(&client).await;
    let topic = client.topic("t");
    topic.send(Content::Text, "1").unwrap();
    let flush = tokio::spawn(async move { topic.flush().await });
    let mut silent = client.status();
    let offline = in_time(silent.wait_for(|status| matches!(status, Status::Offline { .. }))).await.unwrap();
    let Status::Offline { why, .. } = offline.clone() else { panic!("{offline:?}") };
    assert_eq!(why.code(), "hub_silent");
    drop(offline);
    assert!(matches!(link.next().await, Frame::Open { .. }));
    // Asked anew on the next link, it ends.
    let mut link = welcome(&hub, feature::SEND).await;
    let Frame::Ask { request } = link.next().await else { panic!("no question") };
    link.say(HubFrame::Heartbeat(Heartbeat { request: Request(request) })).await;
    assert_eq!(in_time(flush).await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_client_that_closes_waits_for_the_hub_to_have_read_all() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let mut link = welcome(&hub, feature::SEND).await;
    online(&client).await;
    let pointer = client.topic("t");
    for _ in 0..100 {
        pointer.send(Content::Text, "x".repeat(1 << 10)).unwrap();
    }
    let closing = tokio::spawn(async move { client.close().await });
    // Unread bytes in a socket that is let go would take back what was written.
    link.say(HubFrame::Heartbeat(Heartbeat::default())).await;
    let mut arrived = 0;
    while arrived < 100 {
        arrived += usize::from(matches!(link.next().await, Frame::Send { .. }));
    }
    assert_eq!(link.closed().await, 1_000);
    in_time(closing).await.unwrap();
}

#[tokio::test]
async fn what_is_refused_for_now_is_told_with_the_hubs_words() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let mut link = hub.welcome().await;
    let mut not_now = client.not_now();
    assert_eq!(*not_now.borrow(), None);
    let publishing = client.publish("t", "1");
    let Frame::Open { handle, .. } = link.next().await else { panic!("no open") };
    let (handle, message) = (Handle(handle), "come back later".into());
    let code = Code::Overloaded;
    link.say(HubFrame::Refused(Refused { handle, code, message, retry_after_ms: 70, ..Refused::default() }))
        .await;
    let told = in_time(not_now.wait_for(Option::is_some)).await.unwrap().clone().unwrap();
    assert_eq!((told.code, told.to_string().as_str()), (code, "come back later"));
    assert_eq!(told.retry_after, Duration::from_millis(70));
    loop {
        match link.next().await {
            Frame::Open { handle, lowest, .. } => {
                let opened = Opened { handle: Handle(handle), next: Seq(lowest), ..Opened::default() };
                link.say(HubFrame::Opened(opened)).await;
            }
            Frame::Publish { handle, seq, .. } => {
                link.ack(handle, seq, 1).await;
                break;
            }
            _ => {}
        }
    }
    in_time(publishing).await.unwrap();
    assert_eq!(*not_now.borrow(), None);
}
