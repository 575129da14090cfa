//! The native client's page: its program is the example, and does against a hub what the page says.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tidewire_client::{
    Client, Code, Event, Offset, Options, Payload, Position, PublishError, Start, Status, SubscribeOptions,
};

use crate::support::PATIENCE;
use crate::support::hub::Hub;
use crate::support::keyed::{Keyed, by_secret, claims, now};
use crate::support::port::Port;

#[path = "../../native-client/examples/orders.rs"]
#[allow(dead_code)] // Its `main` is for people.
mod orders;

#[test]
fn the_page_shows_the_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let example = fs::read_to_string(root.join("native-client/examples/orders.rs")).unwrap();
    let program = &example[example.find("use std::process").unwrap()..];
    let page = fs::read_to_string(root.join("docs/NATIVE-CLIENT.md")).unwrap();
    assert!(page.contains(program), "docs/NATIVE-CLIENT.md shows another program than the example");
}

#[tokio::test]
async fn the_example_does_what_it_says() {
    let hub = Hub::dev();
    assert_eq!(orders::run(&hub.url()).await.unwrap(), 4711);
}

#[test]
fn the_example_says_in_a_sentence_why_it_ends() {
    let port = Port::keep();
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    let mut example = Command::new(env!("CARGO"));
    example
        .args(["run", "--quiet", "-p", "tidewire-client", "--example", "orders", "--target-dir"])
        .arg(target);
    let output = example.args(["--", &format!("http://{}", port.address())]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let sentence = format!("nothing listens at {}: connection refused\n", port.address());
    assert_eq!((output.status.code(), said), (Some(1), sentence));
}

#[tokio::test]
async fn history_and_what_comes_after_it_join_without_a_seam() {
    let hub = Hub::dev();
    let client = Client::connect(&hub.url(), Options::default()).unwrap();
    for n in 0..10 {
        client.publish("t", &n).await.unwrap();
    }
    let mut heard = Vec::new();
    let mut from = Start::Last(9);
    loop {
        let page = client.history::<u32>("t", from, 4).await.unwrap();
        heard.extend(page.messages.iter().flatten().map(|message| message.data));
        from = page.next();
        if !page.more {
            break;
        }
    }
    let options = SubscribeOptions { from, ..SubscribeOptions::default() };
    let mut live = client.subscribe::<u32>("t", options);
    let done = client.publish_payload("t", Payload::json_text("10").unwrap());
    while heard.last() != Some(&10) {
        let event = tokio::time::timeout(PATIENCE, live.next()).await.unwrap();
        if let Some(Event::Message(message)) = event {
            heard.push(message.data);
        }
    }
    assert_eq!(heard, (1..=10).collect::<Vec<_>>());
    done.await.unwrap();
}

#[tokio::test]
async fn after_no_place_comes_all_and_after_one_that_no_log_has_comes_what_is_new() {
    let hub = Hub::dev();
    let client = Client::connect(&hub.url(), Options::default()).unwrap();
    for n in 0..3 {
        client.publish("t", &n).await.unwrap();
    }
    let page = client.history::<u32>("t", Start::After(vec![]), 9).await.unwrap();
    assert_eq!(page.messages.len(), 3);
    let beyond = Position { epoch: page.positions[0].epoch, offset: Offset(u64::MAX) };
    for (place, expected) in [(vec![], vec![0, 1, 2, 3]), (vec![beyond], vec![4])] {
        let options = SubscribeOptions { from: Start::After(place), ..SubscribeOptions::default() };
        let mut live = client.subscribe::<u32>("t", options);
        let mut heard = Vec::new();
        while heard != expected {
            match tokio::time::timeout(PATIENCE, live.next()).await.unwrap() {
                Some(Event::Ready { .. }) => {
                    client.publish("t", expected.last().unwrap()).await.map(drop).unwrap()
                }
                Some(Event::Message(message)) => heard.push(message.data),
                other => assert!(matches!(other, Some(Event::Gap(_))), "{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_refused_origin_is_told_with_the_hubs_words() {
    let hub = Hub::start(&[], &[]);
    let client = Client::connect(&hub.url(), Options::default()).unwrap();
    let why = client.connected().await.unwrap_err();
    assert_eq!(why.code(), "handshake_forbidden");
    assert!(why.to_string().contains("`origins`"), "{why}");
}

#[tokio::test]
async fn a_batch_is_stored_side_by_side_or_not_at_all() {
    let hub = Hub::dev();
    let client = Client::connect(&hub.url(), Options::default()).unwrap();
    let text = |text: &str| Payload::text(text);
    let published =
        client.publish_batch([("a", text("1")), ("b", text("2")), ("a", text("3"))]).await.unwrap();
    let offsets: Vec<_> = published.iter().map(|one| one.offset.0).collect();
    assert_eq!(offsets, [1, 3, 2], "the messages of a topic keep their order");
    let max = client.message_bytes_max().unwrap() as usize;
    let large = Payload::binary(vec![0; max + 1]);
    let refused = client.publish_batch([("a", text("4")), ("b", large)]).await;
    assert_eq!(refused, Err(PublishError::Refused(Code::TooLarge)), "the cause, not what befell the others");
    assert_eq!(client.publish_batch::<&str, Payload>([]).await, Ok(vec![]));
    let many = (0..1_001).map(|_| ("a", text("5")));
    assert_eq!(client.publish_batch(many).await, Err(PublishError::Refused(Code::LimitReached)));
    let mut withdrawn = client.publish_batch([("a", text("6")), ("not a name", text("7"))]);
    withdrawn.cancel();
    assert_eq!(withdrawn.await, Err(PublishError::Refused(Code::BadName)));
    let page = client.history::<String>("*", Start::Earliest, 100).await.unwrap();
    let texts: Vec<_> = page.messages.iter().flatten().map(|message| message.data.as_str()).collect();
    assert_eq!(texts, ["1", "3", "2"]);
}

#[tokio::test]
async fn a_client_that_is_given_the_next_token_in_time_goes_on_when_the_first_ends() {
    let keyed = Keyed::start("");
    let token = |seconds: u64| {
        let mut claims = claims("ada", json!([{"topics": ["a"], "to": ["publish", "subscribe"]}]));
        claims.as_object_mut().unwrap().remove("aud");
        // What the hub's clock may differ by is five seconds here.
        claims["exp"] = json!(now() + seconds - 5);
        by_secret(&claims)
    };
    let [goes, stays] = [7, 7].map(|seconds| {
        let options = Options { token: Some(token(seconds)), ..Options::default() };
        Client::connect(&keyed.hub.url(), options).unwrap()
    });
    stays.connected().await.unwrap();
    goes.connected().await.unwrap();
    stays.set_token(token(600));
    let mut messages = stays.subscribe::<u32>("a", SubscribeOptions::default());
    let mut status = goes.status();
    let ended = status.wait_for(|status| matches!(status, Status::Closed { .. })).await.unwrap().clone();
    assert!(format!("{ended:?}").contains("the token has expired"), "{ended:?}");
    stays.publish("a", &7).await.unwrap();
    while let Some(event) = messages.next().await {
        match event {
            Event::Message(message) => {
                assert_eq!((message.data, message.sender()), (7, Some("ada")));
                return;
            }
            Event::Ready { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("the subscription has ended");
}
