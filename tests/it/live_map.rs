//! The native client's mirror of a topic that keeps the latest message of each key, against the real hub.

use std::collections::BTreeMap;
use std::time::Duration;

use tidewire_client::{
    Change, Client, Code, Event, Fault, LiveMap, Options, Outgoing, Payload, PublishError, SubscribeOptions,
    Subscription,
};
use tokio::time::timeout;

use crate::support::PATIENCE;
use crate::support::hub::Hub;
use crate::support::kept::Kept;

const MAPS: &str = "[[topics]]\npattern = \"map.>\"\nretention = \"latest_per_key\"\n";

async fn next(map: &mut LiveMap<u64>) -> Change<u64> {
    timeout(PATIENCE, map.next()).await.expect("something changes").expect("it goes on")
}

/// Takes in changes until it holds these.
async fn until(map: &mut LiveMap<u64>, wanted: &[(&str, u64)]) {
    let wanted: BTreeMap<_, _> = wanted.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
    let holds = |map: &LiveMap<u64>| {
        map.iter().map(|(key, message)| (key.clone(), message.data)).collect::<BTreeMap<_, _>>()
    };
    while holds(map) != wanted || !map.is_whole() {
        next(map).await;
    }
}

#[tokio::test]
async fn a_map_is_what_stands_and_follows_each_change_over_a_restart() {
    let mut hub = Kept::start_with(MAPS);
    let url = hub.hub().url();
    let client = Client::connect(&url, Options::default()).unwrap();
    let mut writer = LiveMap::<u64>::open(&client, "map.scores");
    timeout(PATIENCE, writer.whole()).await.unwrap().unwrap();
    assert!(writer.is_empty());
    for (key, value) in [("ada", 1), ("bob", 2), ("ada", 3)] {
        writer.set_value(key, &value).await.unwrap();
    }
    writer.remove("bob").await.unwrap();
    writer.set_value("cy", &4).await.unwrap();
    // Whoever comes later has what stands, and no more.
    let other = Client::connect(&url, Options::default()).unwrap();
    let mut reader = LiveMap::<u64>::open(&other, "map.scores");
    timeout(PATIENCE, reader.whole()).await.unwrap().unwrap();
    let held: Vec<_> = reader.iter().map(|(key, message)| (key.as_str(), message.data)).collect();
    assert_eq!(held, [("ada", 3), ("cy", 4)]);
    until(&mut writer, &[("ada", 3), ("cy", 4)]).await;
    hub.kill_and_restart();
    reader.set_value("dan", &5).await.unwrap();
    until(&mut writer, &[("ada", 3), ("cy", 4), ("dan", 5)]).await;
    until(&mut reader, &[("ada", 3), ("cy", 4), ("dan", 5)]).await;
    // Of two who change what they know one wins, and the other is told.
    writer.replace("ada", &6).await.unwrap();
    let current = match timeout(PATIENCE, reader.replace("ada", &7)).await.unwrap() {
        Err(PublishError::ConditionFailed { current: Some(current) }) => current,
        other => panic!("{other:?}"),
    };
    until(&mut reader, &[("ada", 6), ("cy", 4), ("dan", 5)]).await;
    assert_eq!(reader.get("ada").unwrap().position(), current);
    reader.replace("ada", &8).await.unwrap();
    assert!(
        matches!(reader.replace("ada", &9).await, Err(PublishError::ConditionFailed { .. })),
        "not told back yet"
    );
    until(&mut writer, &[("ada", 8), ("cy", 4), ("dan", 5)]).await;
}

#[tokio::test]
async fn a_hub_that_has_lost_its_log_has_it_read_anew() {
    let file = crate::support::file::File::new(&format!("{}\n{MAPS}", crate::support::file::OPEN));
    let mut hub = Hub::start(&["--config", file.path()], &[]);
    let client = Client::connect(&hub.url(), Options::default()).unwrap();
    let mut map = LiveMap::<u64>::open(&client, "map.scores");
    map.set_value("ada", &1).await.unwrap();
    until(&mut map, &[("ada", 1)]).await;
    let address = hub.address.to_string();
    hub.kill();
    let _again = Hub::start(&["--config", file.path(), "--listen", &address], &[]);
    loop {
        if let Change::Anew(_) = next(&mut map).await {
            break;
        }
    }
    assert!(map.is_empty() && !map.is_whole());
    map.set_value("bob", &2).await.unwrap();
    until(&mut map, &[("bob", 2)]).await;
}

#[tokio::test]
async fn a_map_and_others_of_its_client_have_each_what_they_want() {
    let mut hub = Kept::start_with(MAPS);
    let client = Client::connect(&hub.hub().url(), Options::default()).unwrap();
    let hears = async |all: &mut Subscription<u64>, wanted: u64| loop {
        match timeout(PATIENCE, all.next()).await.expect("it is heard").expect("it goes on") {
            Event::Message(message) => break assert_eq!(message.data, wanted),
            Event::Ready { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    let mut before = client.subscribe::<u64>("map.scores", SubscribeOptions::default());
    let mut map = LiveMap::<u64>::open(&client, "map.scores");
    timeout(PATIENCE, map.whole()).await.unwrap().unwrap();
    let mut after = client.subscribe::<u64>("map.scores", SubscribeOptions::default());
    assert!(matches!(timeout(PATIENCE, after.next()).await, Ok(Some(Event::Ready { .. }))));
    for value in [1, 2] {
        map.set_value("ada", &value).await.unwrap();
    }
    for all in [&mut before, &mut after] {
        hears(all, 1).await;
        hears(all, 2).await;
    }
    until(&mut map, &[("ada", 2)]).await;
    // What is no map is refused as one, and heard all the same.
    let mut plain = client.subscribe::<u64>("plain", SubscribeOptions::default());
    assert!(matches!(timeout(PATIENCE, plain.next()).await, Ok(Some(Event::Ready { .. }))));
    let mut none = LiveMap::<u64>::open(&client, "plain");
    assert_eq!(timeout(PATIENCE, none.whole()).await.unwrap(), Err(Fault::Protocol(Code::NotSupported)));
    client.publish("plain", &3).await.unwrap();
    hears(&mut plain, 3).await;
}

#[tokio::test]
async fn a_value_that_is_none_is_told_and_not_kept_and_other_topics_are_no_maps() {
    let mut hub = Kept::start_with(MAPS);
    let client = Client::connect(&hub.hub().url(), Options::default()).unwrap();
    let mut map = LiveMap::<u64>::open(&client, "map.scores");
    map.set_value("ada", &1).await.unwrap();
    until(&mut map, &[("ada", 1)]).await;
    client.publish_payload("map.scores", Outgoing::new(Payload::text("no number")).key("ada")).await.unwrap();
    let Change::Bad(bad) = next(&mut map).await else { panic!("it is a number") };
    assert_eq!((bad.message.key(), map.len()), (Some("ada"), 0));
    map.replace("ada", &2).await.unwrap();
    until(&mut map, &[("ada", 2)]).await;
    map.remove("ada").await.unwrap();
    until(&mut map, &[]).await;
    map.replace("ada", &3).await.unwrap();
    map.remove("ada").await.unwrap();
    let short = Outgoing::new(Payload::json(&7).unwrap()).key("bob").ttl(Duration::from_millis(50));
    client.publish_payload("map.scores", short).await.unwrap();
    until(&mut map, &[("bob", 7)]).await;
    until(&mut map, &[]).await;
    let mut none = LiveMap::<u64>::open(&client, "plain");
    assert_eq!(timeout(PATIENCE, none.whole()).await.unwrap(), Err(Fault::Protocol(Code::NotSupported)));
}
