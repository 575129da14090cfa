//! Who only listens: each event as it is written, ends, and going on wherever the stream was cut.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidewire_hub_core::access::Access;
use tidewire_hub_core::access::caller::{Allowance, Caller, Origin, Pass, Right, Rights};
use tidewire_hub_core::clock::NEVER;
use tidewire_hub_core::credentials::BadToken;
use tidewire_hub_core::credentials::bad_token::Because;
use tidewire_hub_core::credentials::revocations::Revocation;
use tidewire_hub_core::ledger::AccountKey;
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::names::directory::{Retention, TopicRule};
use tidewire_hub_core::shard::listening::{Listening, OtherPlaces};
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::client_frame::{ClientFrame, Publish};
use tidewire_protocol::code::Content;
use tidewire_protocol::events;
use tidewire_protocol::name::{Pattern, Selector};
use tidewire_protocol::number::{Epoch, Handle, Seq};
use tidewire_protocol::position::Start;

use crate::event_stream::{Event, Stream};
use crate::rig::{ALL, EPOCH, Hub, after, keep_all, limits, open_as, publish_on, rule};
use crate::rules::but;

const READER: AccountKey = AccountKey(3);

fn read(hub: &Hub, id: ConnectionId) -> Stream {
    Stream::read(hub.sockets.written.get(&id).map_or(&[], |bytes| bytes))
}

/// A new connection in the place of one that was cut off.
fn resumed(hub: &mut Hub, wishes: &[(&str, Start)], id: Option<&str>) -> ConnectionId {
    let wishes = wishes.iter().map(|(name, start)| (Selector::parse(name).unwrap(), start.clone()));
    let mut listening = Listening { caller: Arc::default(), wishes: wishes.collect() };
    if let Some(id) = id {
        listening.resume(&events::places(id).unwrap(), &hub.topics).unwrap();
    }
    let id = hub.shard.accept_listener(hub.now, READER, hub.topics.arrive(), listening);
    hub.sockets.written.remove(&id);
    hub.sockets.room.remove(&id);
    hub.work();
    id
}

/// Topics and offsets of messages.
fn messages(events: &[Event]) -> Vec<(String, u64)> {
    let messages = events.iter().filter(|event| event.name.is_empty());
    messages.map(|message| (message.text("topic").to_owned(), message.number("offset"))).collect()
}

/// All offsets that come, or are said to be gone.
fn accounted(events: &[Event]) -> BTreeSet<u64> {
    let gaps = events.iter().filter(|event| event.name == "gap");
    let lost = gaps.flat_map(|gap| gap.number("from")..=gap.number("to"));
    lost.chain(messages(events).into_iter().map(|(_, offset)| offset)).collect()
}

/// What one who wishes this is written while `act` happens is cut at each byte; whoever comes back with the id told last is told
/// the rest: nothing is missing, and with a place for each message nothing comes twice.
#[track_caller]
fn check_cuts(hub: &mut Hub, wishes: &[(&str, Start)], once: bool, act: impl FnOnce(&mut Hub, ConnectionId)) {
    let id = hub.listener(READER, wishes);
    act(hub, id);
    let written = hub.sockets.written.remove(&id).unwrap();
    hub.shard.gone(hub.now, id);
    let whole = Stream::read(&written);
    let (expected, all) = (accounted(&whole.events), messages(&whole.events));
    assert!(all.len() > 4, "{whole:?}");
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "nothing comes twice: {all:?}");
    let mut ids = BTreeSet::new();
    for cut in 0..=written.len() {
        let before = Stream::read(&written[..cut]);
        let id = resumed(hub, wishes, before.id.as_deref());
        let behind = Stream::read(&hub.sockets.written.remove(&id).unwrap());
        hub.shard.gone(hub.now, id);
        if before.id.is_none() {
            assert!(messages(&before.events).is_empty(), "cut at {cut}");
            continue;
        }
        let both = [&before.events[..], &behind.events].concat();
        let id = before.id.clone();
        assert_eq!(accounted(&both), expected, "cut at {cut}, gone on after {id:?}: {before:?}, {behind:?}");
        let (first, second) = (messages(&before.events), messages(&behind.events));
        let told: BTreeSet<_> = first.iter().chain(&second).collect();
        assert!(whole.events.iter().any(|event| event.name == "gap") || all.iter().all(|m| told.contains(m)));
        let known = messages(&before.events[..before.events.len() - before.since_id]);
        if let Some(again) = second.iter().find(|message| known.contains(message)) {
            panic!("{again:?} comes again after {id:?}");
        }
        assert!(!once || first.iter().all(|m| !second.contains(m)), "cut at {cut}");
        ids.insert(id);
    }
    assert!(ids.len() > if once { 4 } else { 1 }, "{ids:?}");
}

/// Some messages on topics in turn, in blocks of one to three.
fn publish_to(hub: &mut Hub, topics: &[&str], count: u64) {
    // Another producer each time: its seqs begin anew.
    let writer = hub.client(1 + hub.topics.metrics().accepted.value() as u8);
    let opens: Vec<_> = (1..).zip(topics).map(|(handle, topic)| open_as(handle, 0, topic)).collect();
    hub.say(writer, &opens);
    let mut said = 0;
    for size in [1, 3, 2].into_iter().cycle() {
        let next = said..count.min(said + size);
        let topics = topics.len() as u64;
        let frames: Vec<_> =
            next.clone().map(|n| publish_on(1 + n % topics, 1 + n / topics, b"{\"a\":\n1}")).collect();
        said = next.end;
        hub.say(writer, &frames);
        if said == count {
            break;
        }
    }
    hub.shard.gone(hub.now, writer);
    hub.sockets.written.remove(&writer);
}

#[test]
fn a_stream_of_one_topic_or_pattern_goes_on_exactly_wherever_it_was_cut() {
    let hub = || Hub::new(Limits::default(), keep_all());
    for name in ["t.a", "t.*"] {
        // From what is kept, and live.
        let mut kept = hub();
        publish_to(&mut kept, &["t.a", "u"], 12);
        check_cuts(&mut kept, &[(name, Start::Earliest)], true, |_, _| {});
        check_cuts(&mut hub(), &[(name, Start::Earliest)], true, |hub, _| {
            publish_to(hub, &["t.a", "u"], 12);
        });
        // By a socket that takes little at a time.
        check_cuts(&mut hub(), &[(name, Start::Earliest)], true, |hub, id| {
            hub.sockets.room.insert(id, 10);
            publish_to(hub, &["t.a", "u"], 12);
            (0..70).for_each(|_| hub.room(id, 13));
            hub.room(id, usize::MAX);
        });
    }
}

#[test]
fn what_is_lost_is_told_once_wherever_the_stream_was_cut() {
    let newest = vec![rule(">", Retention { count: Some(8), ..ALL })];
    for name in ["t.a", "t.*"] {
        let mut hub = Hub::new(limits(|limits| limits.pattern_tail_bytes = 100), newest.clone());
        check_cuts(&mut hub, &[(name, Start::Earliest)], true, |hub, id| {
            hub.sockets.room.insert(id, 10);
            publish_to(hub, &["t.a"], 30);
            hub.room(id, usize::MAX);
            let lost = read(hub, id);
            let gaps = lost.named("gap");
            assert_eq!(gaps.len(), 1, "{lost:?}");
            assert_eq!((gaps[0].text("topic"), gaps[0].text("reason")), (name, "retention"));
            assert_eq!(gaps[0].text("epoch"), EPOCH.to_string());
        });
    }
}

#[test]
fn what_was_lost_before_it_came_is_told_before_it_is_sent_on() {
    for name in ["t.a", "t.*"] {
        let newest = Retention { count: Some(8), ..ALL };
        let mut hub = Hub::new(Limits::default(), vec![rule(">", newest)]);
        publish_to(&mut hub, &["t.a"], 40);
        check_cuts(&mut hub, &[(name, after(2))], true, |_, _| {});
        check_cuts(&mut hub, &[(name, after(2)), ("u", Start::Latest)], false, |_, _| {});
    }
}

#[test]
fn a_live_reader_that_others_are_far_ahead_of_is_not_told_again_what_it_has() {
    let (mut hub, mut other) = Hub::with_two_shards(Limits::default(), keep_all());
    let id = hub.listener(READER, &[("t", Start::Latest)]);
    publish_to(&mut hub, &["t"], 2);
    assert_eq!(messages(&read(&hub, id).events).len(), 2);
    hub.beside(&mut other, |hub| {
        // Each is a block of its own to this one, and old ones are merged.
        hub.listener(AccountKey(4), &[("t", Start::Latest)]);
        publish_to(hub, &["t"], 200);
    });
    hub.work();
    let offsets: Vec<u64> = messages(&read(&hub, id).events).into_iter().map(|(_, offset)| offset).collect();
    assert_eq!(offsets, (1..=202).collect::<Vec<_>>());
}

#[test]
fn a_pattern_that_its_tail_leaves_behind_on_its_way_is_told_nothing_twice() {
    for room in (40..1_600).step_by(120) {
        let limits = Limits { pattern_tail_bytes: 4_000, message_bytes_max: 100, ..Limits::default() };
        let mut hub = Hub::new(limits, keep_all());
        // Somebody else keeps the tail there, so that it has all when the topics are looked at for the one who comes.
        hub.listener(AccountKey(4), &[("t.*", Start::Latest)]);
        publish_to(&mut hub, &["t.a", "t.b"], 12);
        let gone = hub.listener(READER, &[("t.*", Start::Latest)]);
        hub.shard.gone(hub.now, gone);
        hub.sockets.room.insert(gone, room);
        let id = hub.listener(READER, &[("t.*", Start::Earliest)]);
        assert_eq!(id, gone, "it has the place of the other, and little room");
        publish_to(&mut hub, &["t.a", "t.b"], 300);
        hub.room(id, usize::MAX);
        let offsets = messages(&read(&hub, id).events).into_iter().map(|(_, offset)| offset);
        assert_eq!(offsets.collect::<Vec<_>>(), (1..=312).collect::<Vec<_>>(), "room for {room} bytes");
    }
}

#[test]
fn several_topics_go_on_without_a_hole_and_only_what_no_id_covers_comes_again() {
    let wishes = [("a", Start::Earliest), ("b.*", Start::Earliest), ("c", Start::Earliest)];
    let mut kept = Hub::new(Limits::default(), keep_all());
    publish_to(&mut kept, &["a", "b.x", "b.y"], 12);
    check_cuts(&mut kept, &wishes, false, |_, _| {});
    check_cuts(&mut Hub::new(Limits::default(), keep_all()), &wishes, false, |hub, id| {
        hub.sockets.room.insert(id, 10);
        publish_to(hub, &["a", "b.x", "b.y", "u"], 14);
        (0..100).for_each(|_| hub.room(id, 17));
        hub.room(id, usize::MAX);
        publish_to(hub, &["a", "b.x", "b.y", "u"], 6);
    });
}

#[test]
fn a_pattern_in_two_logs_is_told_its_places_in_both() {
    let logs = vec![rule("a.0", ALL), TopicRule { log: 1, ..rule("a.1", ALL) }];
    let mut hub = Hub::with_logs(Limits::default(), logs, &[Epoch(7), Epoch(8)]);
    check_cuts(&mut hub, &[("a.*", Start::Earliest)], false, |hub, _| publish_to(hub, &["a.0", "a.1"], 8));
    let id = hub.listener(READER, &[("a.*", Start::Latest)]);
    let told = read(&hub, id);
    assert_eq!(told.id, Some(format!("{}:4,{}:4", Epoch(7), Epoch(8))));
    assert_eq!(told.named("subscribed").len(), 2);
}

#[test]
fn an_id_of_a_hub_with_fewer_logs_goes_on_in_those_and_has_the_others_told() {
    let logs = vec![rule("a.0", ALL), TopicRule { log: 1, ..rule("a.1", ALL) }];
    let mut hub = Hub::with_logs(Limits::default(), logs, &[Epoch(7), Epoch(8)]);
    publish_to(&mut hub, &["a.0", "a.1"], 8);
    let id = resumed(&mut hub, &[("a.*", Start::Latest)], Some(&format!("{}:2", Epoch(7))));
    let told = read(&hub, id);
    let gaps: Vec<_> = told.named("gap").iter().map(|gap| gap.text("epoch").to_owned()).collect();
    assert_eq!(gaps, [Epoch(8).to_string()]);
    assert_eq!(messages(&told.events).len(), 2 + 4);
    let check = |names: &[&str], places: usize, expected| {
        let wish = |name: &&str| (Selector::parse(name).unwrap(), Start::Latest);
        let mut listening = Listening { caller: Arc::default(), wishes: names.iter().map(wish).collect() };
        let places = vec![events::places(&format!("{}:4", Epoch(7))).unwrap()[0]; places];
        assert_eq!(listening.resume(&places, &hub.topics), expected, "{names:?}");
    };
    let other = |has, wants| Err(OtherPlaces { has, wants });
    check(&["a.0"], 2, other(2, 1));
    check(&["a.0", "a.*"], 1, other(1, 3));
    check(&["a.0", "a.*"], 2, Ok(()));
    check(&["a.0", "a.*", "b.*"], 4, other(4, 5));
    check(&["a.0", "a.*", "b.*"], 7, Ok(()));
}

#[test]
fn a_stream_begins_with_where_it_is_and_resumes_from_there() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    publish_to(&mut hub, &["t"], 3);
    let id = hub.listener(READER, &[("t", Start::Latest)]);
    let begun = read(&hub, id);
    assert_eq!(begun.id, Some(format!("{EPOCH}:3")));
    assert_eq!((begun.events.len(), begun.retry.len(), begun.ended), (1, 1, false));
    let subscribed = &begun.events[0];
    assert_eq!((subscribed.name.as_str(), subscribed.text("outcome")), ("subscribed", "live"));
    assert_eq!((subscribed.text("topic"), subscribed.number("offset")), ("t", 3));
    publish_to(&mut hub, &["t"], 2);
    let id = resumed(&mut hub, &[("t", Start::Latest)], begun.id.as_deref());
    let again = read(&hub, id);
    assert_eq!(messages(&again.events), [("t".to_owned(), 4), ("t".to_owned(), 5)]);
    assert_eq!(again.events[0].text("outcome"), "resumed");
    // What lies before that is for others.
    publish_to(&mut hub, &["u.x"], 2);
    publish_to(&mut hub, &["t"], 1);
    let id = hub.listener(READER, &[("u.*", Start::Earliest)]);
    let others = read(&hub, id);
    assert_eq!(others.id, Some(format!("{EPOCH}:8")));
    assert_eq!(messages(&others.events).len(), 2);
    // Of another life of the hub.
    let id = resumed(&mut hub, &[("t", Start::Latest)], Some(&format!("{}:3", Epoch(6))));
    let other = read(&hub, id);
    assert_eq!(other.named("gap")[0].text("reason"), "epoch_changed");
    assert_eq!(messages(&other.events).len(), 6);
}

/// A message of some content, as it is told.
fn told(content: Content, payload: &[u8]) -> Event {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let (one, several) = (
        hub.listener(READER, &[("t", Start::Latest)]),
        hub.listener(READER, &[("t", Start::Latest), ("u", Start::Latest)]),
    );
    let writer = hub.client(1);
    let (handle, seq) = (Handle(1), Seq(1));
    let publish =
        Publish { handle, seq, lowest: seq, content, payload: payload.into(), ..Publish::default() };
    hub.say(writer, &[open_as(1, 0, "t"), ClientFrame::Publish(publish), publish_on(1, 2, b"1")]);
    let [one, several] = [one, several].map(|id| read(&hub, id));
    assert_eq!(messages(&one.events).len(), 2, "{one:?}");
    assert_eq!(one.named(""), several.named(""));
    let seen: Vec<&str> = one.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(seen, ["subscribed", "", ""], "nothing is forged");
    assert_eq!(one.id, Some(format!("{EPOCH}:2")));
    one.events[1].clone()
}

/// Texts that would be taken for something else if they were written as they are.
fn nasty() -> Vec<String> {
    let pieces = [
        "\r",
        "\n",
        "\r\n",
        "\n\n",
        "data:",
        "data: x",
        "id: x",
        "\n\nid: 9:9\n\n",
        "event: closed\ndata: {}\n\n",
        ":",
        "retry: 0",
        "0\r\n\r\n",
        "\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "5\r\nhello\r\n",
        "\0",
        "\u{2028}",
        "\u{FEFF}",
        "\\",
        "\"",
        "\\u000a",
        "é",
        "😀",
        " ",
        "",
    ];
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let mixed = (0..200).map(|_| (0..1 + next() % 8).map(|_| pieces[next() % pieces.len()]).collect());
    pieces.iter().map(|piece| (*piece).to_owned()).chain(mixed.collect::<Vec<_>>()).collect()
}

#[test]
fn whatever_is_published_comes_out_as_it_went_in_and_forges_nothing() {
    for text in nasty() {
        assert_eq!(told(Content::Text, text.as_bytes()).text("text"), text);
        let value = serde_json::json!({ &text: [&text, 1.5, null, {}] });
        let spread = serde_json::to_string_pretty(&value).unwrap().replace('\n', "\r\n\n\r");
        for json in [value.to_string(), spread] {
            assert_eq!(told(Content::Json, json.as_bytes()).data["data"], value, "{json:?}");
        }
        // What is no JSON, and bytes.
        for content in [Content::Json, Content::Binary, Content::Cbor] {
            let raw = [b"\xFF", text.as_bytes()].concat();
            let event = told(content, &raw);
            assert_eq!(decoded(event.text("base64")), raw);
            assert_eq!(event.text("content"), content.name());
        }
    }
}

/// Base64, the slow way.
fn decoded(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = |digit: u8| DIGITS.iter().position(|known| *known == digit).unwrap() as u32;
    let digits: Vec<u32> = text.bytes().filter(|digit| *digit != b'=').map(value).collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let bits = four.iter().enumerate().fold(0, |bits, (at, digit)| bits | digit << (18 - 6 * at));
        bits.to_be_bytes()[1..four.len()].to_vec()
    });
    bytes.collect()
}

#[test]
fn what_rules_allow_no_longer_ends_and_with_the_last_the_stream() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let id = hub.listener(READER, &[("a", Start::Latest), ("b.*", Start::Latest)]);
    publish_to(&mut hub, &["a", "b.x"], 6);
    let before = read(&hub, id).id.unwrap();
    assert_eq!(before.split(',').count(), 2);
    hub.topics.change_access(but(&["a"]));
    hub.work();
    let told = read(&hub, id);
    let ended = told.named("unsubscribed");
    assert_eq!((ended.len(), ended[0].text("topic"), ended[0].text("code")), (1, "a", "forbidden"));
    assert!(!told.ended);
    publish_to(&mut hub, &["b.x"], 2);
    let told = read(&hub, id);
    let id_now = told.id.clone().unwrap();
    assert_eq!(messages(&told.events).len(), 8);
    assert_eq!(id_now.split(',').next(), before.split(',').next(), "the place of what has ended stays");
    assert_ne!(id_now, before);
    hub.topics.change_access(but(&[">"]));
    hub.work();
    let told = read(&hub, id);
    assert_eq!(told.named("unsubscribed").len(), 2);
    assert_eq!(
        told.events.last().map(|event| (event.name.as_str(), event.text("code"))),
        Some(("closed", "forbidden"))
    );
    assert!(told.ended && hub.sockets.closed.contains(&id));
}

#[test]
fn who_was_let_in_before_the_rules_changed_is_asked_by_those_that_hold() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    hub.topics.change_access(but(&["b"]));
    hub.work();
    let id = hub.listener(READER, &[("a", Start::Latest), ("b", Start::Latest)]);
    let told = read(&hub, id);
    assert_eq!(told.events.last().map(|event| event.text("code")), Some("forbidden"));
    assert!(told.ended && hub.sockets.closed.contains(&id));
    assert_eq!(hub.topics.metrics().subscriptions.value(), 0);
}

#[test]
fn a_stream_ends_with_its_token() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    hub.topics.change_access(Access::default());
    let ends_at = hub.now.plus(60_000);
    let allow = |pattern| Allowance {
        pattern: Pattern::parse(pattern).unwrap(),
        to: Rights::NONE.with(Right::Subscribe),
    };
    let (subject, allow) = ("ada".into(), vec![allow("t")]);
    let pass = Pass { subject, allow, expires_at: ends_at, ends_at, ..Pass::default() };
    let caller = Caller::new(pass, &hub.topics.ledger().account(READER)).unwrap();
    let stranger = hub.listener(READER, &[("t", Start::Latest)]);
    assert!(read(&hub, stranger).ended);
    let id = hub.listener_with(READER, caller, &[("t", Start::Latest)]);
    hub.wait(59_000);
    assert!(!read(&hub, id).ended, "it says nothing, and need not");
    hub.wait(2_000);
    let told = read(&hub, id);
    assert_eq!(
        told.events.last().map(|event| (event.name.as_str(), event.text("code"))),
        Some(("closed", "bad_token"))
    );
    assert!(told.ended && hub.sockets.closed.contains(&id));
}

#[test]
fn a_stream_ends_when_its_token_is_taken_back_and_none_begins_by_that() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    hub.topics.change_access(Access::default());
    let listen = |hub: &mut Hub, id: &str| {
        let to = Rights::NONE.with(Right::Subscribe);
        let allow = vec![Allowance { pattern: Pattern::parse("t").unwrap(), to }];
        let origin = Origin { id: Some(id.into()), ..Origin::default() };
        let (subject, ends_at) = ("ada".into(), NEVER);
        let pass = Pass { subject, allow, expires_at: ends_at, ends_at, origin, ..Pass::default() };
        let caller = Caller::new(pass, &hub.topics.ledger().account(READER)).unwrap();
        hub.listener_with(READER, caller, &[("t", Start::Latest)])
    };
    let [gone, stays] = ["7", "8"].map(|id| listen(&mut hub, id));
    hub.topics.revoke(hub.now, Revocation::Token { id: "7".into(), until: NEVER }).unwrap();
    hub.work();
    let late = listen(&mut hub, "7");
    for id in [gone, late] {
        let told = read(&hub, id);
        let last = told.events.last().map(|event| (event.name.as_str(), event.text("code")));
        assert!(told.ended && last == Some(("closed", "bad_token")), "{last:?}");
        assert_eq!(told.events.last().map(|event| event.text("message")), Some("the token was revoked"));
    }
    assert!(!read(&hub, stays).ended);
    assert_eq!(hub.topics.metrics().bad_tokens.of(BadToken::Revoked(Because::Meant).number()), 2);
}

#[test]
fn who_takes_bytes_stays_and_who_takes_none_goes_as_one_who_is_silent() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let beat = Limits::default().heartbeat_ms;
    let (idle, slow, stuck) = (
        hub.listener(READER, &[("t", Start::Latest)]),
        hub.listener(READER, &[("t", Start::Latest)]),
        hub.listener(READER, &[("t", Start::Latest)]),
    );
    hub.sockets.room.extend([(slow, 10), (stuck, 10)]);
    publish_to(&mut hub, &["t"], 40);
    for _ in 0..8 {
        hub.wait(beat / 2);
        hub.room(slow, 100);
        // Nothing that it says means anything, be it what it may.
        hub.shard.received(hub.now, idle, &mut [0xFF; 100], &mut hub.sockets);
    }
    assert!(read(&hub, idle).comments > 2, "it hears that the hub lives");
    assert_eq!(hub.sockets.closed, [stuck]);
    hub.room(slow, usize::MAX);
    assert_eq!(messages(&read(&hub, slow).events).len(), 40);
}

#[test]
fn a_hub_that_stops_says_when_to_come_back() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let ids = [
        hub.listener(READER, &[("t", Start::Latest)]),
        hub.listener(READER, &[("t", Start::Latest), ("u", Start::Latest)]),
    ];
    publish_to(&mut hub, &["t"], 2);
    hub.shard.drain(hub.now, 10_000);
    hub.work();
    let late = hub.listener(READER, &[("t", Start::Latest)]);
    for id in ids.into_iter().chain([late]) {
        let told = read(&hub, id);
        assert_eq!(
            told.events.last().map(|event| (event.name.as_str(), event.text("code"))),
            Some(("closed", "draining"))
        );
        assert!((1_000..=10_000).contains(told.retry.last().unwrap()) && told.retry.len() == 2, "{told:?}");
        assert!(told.ended && hub.sockets.closed.contains(&id));
    }
    assert!(read(&hub, late).named("subscribed").is_empty());
    assert_eq!(read(&hub, ids[0]).id, Some(format!("{EPOCH}:2")));
}

#[test]
fn clients_of_a_hub_that_is_gone_do_not_come_back_together() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let retries: BTreeSet<u64> = (0..100)
        .map(|_| {
            let id = hub.listener(READER, &[("t", Start::Latest)]);
            read(&hub, id).retry[0]
        })
        .collect();
    assert!(retries.len() == 100 && retries.iter().all(|ms| (1_000..3_000).contains(ms)), "{retries:?}");
}

#[test]
fn a_start_that_is_not_known_at_once_is_told_before_any_place() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    publish_to(&mut hub, &["a", "b.x"], 6);
    let wishes = [("a", after(2)), ("b.*", Start::Last(2))];
    let wishes = wishes.map(|(name, start)| (Selector::parse(name).unwrap(), start));
    let listening = Listening { caller: Arc::default(), wishes: wishes.to_vec() };
    let id = hub.shard.accept_listener(hub.now, READER, hub.topics.arrive(), listening);
    while hub.shard.turn(hub.now, &mut hub.sockets) {}
    let early = read(&hub, id);
    assert_eq!((early.id, early.events.len()), (None, 1), "no message goes before the first id");
    hub.work();
    let told = read(&hub, id);
    assert_eq!(told.id, Some(format!("{EPOCH}:5,{EPOCH}:6")));
    assert_eq!(messages(&told.events).len(), 4);
}
