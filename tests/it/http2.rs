//! HTTP/2, which clients choose where the hub speaks TLS: many requests on one connection, event streams among them.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use crate::support::PATIENCE;
use crate::support::http2::{Client, run, whole};
use crate::support::secured::Secured;

#[test]
fn many_requests_share_a_connection_with_streams_of_events() {
    let secured = Secured::start();
    run(async {
        let mut client = Client::connect(&secured).await;
        let (mut one, mut pattern) =
            (client.listen("topic=t.1").await, client.listen("topic=t.*&topic=u").await);
        one.subscribed().await;
        pattern.subscribed().await;
        pattern.subscribed().await;
        // Side by side, each with an answer of its own.
        let mut begun = Vec::new();
        for number in 1..=200_usize {
            let path = format!("/v1/topics/t.{}/messages", number % 2);
            begun.push(client.begin("POST", &path, Some(&number.to_string())).await);
        }
        let mut offsets = Vec::new();
        for answer in begun {
            let answer = answer.await.unwrap();
            assert_eq!(answer.status(), 200);
            let told: Value = serde_json::from_slice(&whole(answer).await).unwrap();
            offsets.push(told["offset"].as_u64().unwrap());
        }
        offsets.sort_unstable();
        assert_eq!(offsets, (1..=200).collect::<Vec<_>>());
        let mut odd = Vec::new();
        for _ in 0..100 {
            odd.push(one.message().await);
        }
        odd.sort_unstable();
        assert_eq!(odd, (0..100).map(|at| 2 * at + 1).collect::<Vec<_>>());
        let mut all = Vec::new();
        for _ in 0..200 {
            all.push(pattern.message().await);
        }
        all.sort_unstable();
        assert_eq!(all, (1..=200).collect::<Vec<_>>());
        let (status, page) = client.ask("GET", "/v1/topics/t.1/messages?limit=1000", None).await;
        assert_eq!((status.as_u16(), page["messages"].as_array().unwrap().len()), (200, 100));
        let (status, _) = client.ask("GET", "/v1/ws", None).await;
        assert_ne!(status, 200, "no WebSocket begins here");
    });
}

#[test]
fn a_stream_that_ends_ends_alone_and_gives_back_what_it_had() {
    let secured = Secured::start();
    let clients = || secured.hub.metric("tidewire_clients");
    run(async {
        let mut client = Client::connect(&secured).await;
        client.publish("t", 0).await;
        assert_eq!(clients(), 1);
        let mut streams = Vec::new();
        for _ in 0..10 {
            let mut stream = client.listen("topic=t").await;
            stream.subscribed().await;
            streams.push(stream);
        }
        // A pair of sockets each.
        assert_eq!((clients(), secured.hub.metric("tidewire_connections")), (21, 10));
        streams.truncate(1);
        // What the client says has to leave it meanwhile.
        let all_gone = async {
            while clients() != 3 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, all_gone).await.unwrap();
        assert_eq!((clients(), secured.hub.metric("tidewire_connections")), (3, 1));
        client.publish("t", 7).await;
        assert_eq!(streams[0].message().await, 7);
    });
}

#[test]
fn a_stream_that_is_not_read_holds_up_no_other_and_is_told_its_gap() {
    let secured = Secured::start();
    run(async {
        // What one stream may be sent unread is little, what all of the connection may is much.
        let mut builder = Client::builder();
        builder.initial_window_size(16 << 10).initial_connection_window_size(64 << 20);
        let mut client = Client::with(&secured, &builder).await;
        let (mut stopped, mut reader) = (client.listen("topic=t").await, client.listen("topic=t").await);
        stopped.subscribed().await;
        reader.subscribed().await;
        let memory = secured.hub.memory();
        let mut publisher = Client::connect(&secured).await;
        let text = "x".repeat(60_000);
        // More than a topic keeps.
        for number in 0..320 {
            let body = format!("[{number},\"{text}\"]");
            let (status, _) = publisher.ask("POST", "/v1/topics/t/messages", Some(&body)).await;
            assert_eq!(status, 200);
            let event = reader.event().await.unwrap().unwrap();
            assert!(event.contains(&format!("[{number},")), "{number}: {event:.100}");
        }
        let grown = secured.hub.memory().saturating_sub(memory);
        assert!(grown < 96 << 20, "{grown} bytes more");
        let mut gaps = 0;
        while gaps == 0 {
            gaps += usize::from(stopped.event().await.unwrap().unwrap().contains("event: gap"));
        }
    });
}

#[test]
fn a_hub_that_stops_ends_streams_as_streams_end_and_then_the_connection() {
    let mut secured = Secured::start();
    run(async {
        let mut client = Client::connect(&secured).await;
        let mut stream = client.listen("topic=t").await;
        stream.subscribed().await;
        secured.hub.signal("TERM");
        while stream.event().await.unwrap().is_some() {}
        // Whose last word comes last is open.
        let _ = timeout(PATIENCE, client.over).await.unwrap().unwrap();
    });
    assert!(secured.hub.wait().success());
}
