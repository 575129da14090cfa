//! What has expired goes from the disk, and a hub that finds the rest begins as one that finds all.

use tidewire_hub_core::ledger::Kind;
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::log::rows::Row;
use tidewire_hub_core::log::rows::reading::Rows;
use tidewire_hub_core::names::directory::{Retention, TopicRule};
use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::client_frame::{ClientFrame, Terms};
use tidewire_protocol::position::Start;

use crate::attributes::{lasting_for, offsets, publish_with};
use crate::durable::Lasting;
use crate::rig::{ALL, Heard, after, keep_all, limits, rule};

/// Two that stay, some that expire, one that stays, and some more that expire: each in a commit of its own.
fn with_some_that_expire(limits: Limits) -> Lasting {
    let mut lasting = Lasting::new(limits, keep_all());
    let id = lasting.client("a.b");
    for seq in 1..=100 {
        let ttl_ms = if matches!(seq, 1 | 2 | 50) { 0 } else { 10 };
        lasting.hub.say(id, &[lasting_for(seq, ttl_ms)]);
        lasting.store();
    }
    lasting.hub.heard(id);
    lasting.tell_anew();
    lasting
}

/// What readers get who begin anywhere.
fn all_that_is_read(lasting: &mut Lasting) -> Vec<(Vec<u64>, bool)> {
    let mut starts = vec![Start::Earliest];
    starts.extend([0, 1, 2, 3, 20, 49, 50, 51, 99, 100].map(after));
    let names = ["a.b", "a.*"];
    let both = names.iter().flat_map(|name| starts.iter().map(move |start| (name, start)));
    let mut read = |(name, start): (&&str, &Start)| {
        let (mut read, gap) = offsets(&mut lasting.hub, name, start.clone());
        // Blocks may begin before that.
        if let Start::After(places) = start {
            read.retain(|offset| *offset > places[0].offset.0);
        }
        (read, gap)
    };
    both.map(&mut read).collect()
}

/// How many messages are stored, and rows that stand for those that expired.
fn rows(lasting: &Lasting) -> (usize, usize) {
    let rows = || lasting.hub.commits.iter().flat_map(|(_, body)| Rows::new(body).map(Result::unwrap));
    let messages = rows().filter(|row| matches!(row, Row::Message(_))).count();
    (messages, rows().filter(|row| matches!(row, Row::Expired(_))).count())
}

#[test]
fn what_has_expired_goes_from_the_disk_and_leaves_no_hole() {
    for count in [1, 7, 1_000] {
        for block_bytes in [1, 16 << 10] {
            let mut lasting = with_some_that_expire(limits(|limits| limits.block_bytes = block_bytes));
            lasting.hub.now = lasting.hub.now.plus(10);
            let before = all_that_is_read(&mut lasting);
            assert_eq!(before[0], (vec![1, 2, 50], false));
            assert!(before.iter().all(|(_, gap)| !gap));
            lasting.tidy_by(count);
            let stored = rows(&lasting);
            assert!(stored.0 == 3 && (count < 1_000 || stored.1 == 2), "{stored:?}");
            assert_eq!(all_that_is_read(&mut lasting), before);
            let mut lasting = lasting.restart();
            assert_eq!(all_that_is_read(&mut lasting), before);
            // What was written anew is written anew, and is one then.
            lasting.tell_anew();
            lasting.tidy_by(1_000);
            assert_eq!(rows(&lasting), (3, 2));
            let mut lasting = lasting.restart();
            assert_eq!(all_that_is_read(&mut lasting), before);
            let id = lasting.client("a.b");
            lasting.hub.say(id, &[lasting_for(101, 0)]);
            lasting.store();
            assert_eq!(offsets(&mut lasting.hub, "a.b", after(100)), (vec![101], false));
            assert_eq!(lasting.hub.heard(id), [Heard::Acked(101, 1)]);
        }
    }
}

/// What is there again then is what was not tidied away, and nobody is told of a gap.
#[test]
fn where_the_clock_was_put_back_nothing_is_missing() {
    for is_tidied in [false, true] {
        let mut lasting = with_some_that_expire(Limits::default());
        let begun = lasting.hub.now;
        lasting.hub.now = lasting.hub.now.plus(1_000);
        if is_tidied {
            lasting.tidy();
        }
        let mut lasting = lasting.restart_at(begun, keep_all());
        let (read, gap) = offsets(&mut lasting.hub, "a.b", Start::Earliest);
        assert!(!gap && [1, 2, 50].iter().all(|kept| read.contains(kept)), "{read:?}");
        assert_eq!(read.len(), if is_tidied { 3 } else { 100 });
        assert!(!offsets(&mut lasting.hub, "a.b", after(20)).1);
    }
}

#[test]
fn a_start_holds_nothing_of_what_has_expired() {
    let mut lasting = Lasting::new(Limits::default(), keep_all());
    let id = lasting.client("a.b");
    for seq in 1..=1_000 {
        lasting.hub.say(id, &[lasting_for(seq, 60_000)]);
        lasting.store();
    }
    lasting.hub.heard(id);
    let now = lasting.hub.now;
    let held = |lasting: &Lasting| lasting.hub.topics.ledger().held(Kind::Messages);
    let all = lasting.restart_at(now, keep_all());
    assert!(held(&all) > 4_000, "{}", held(&all));
    let later = all.restart_at(now.plus(60_000), keep_all());
    assert_eq!(held(&later), 0);
}

/// Cursors of long ago are told of a gap then, and nothing is needed for them.
#[test]
fn what_has_expired_counts_as_gone_in_the_end_after_a_start_too() {
    for is_tidied in [false, true] {
        let mut lasting = Lasting::new(limits(|limits| limits.heartbeat_ms = 1 << 40), keep_all());
        let id = lasting.client("a.b");
        (1..=20).for_each(|seq| lasting.hub.say(id, &[lasting_for(seq, if seq == 15 { 0 } else { 10 })]));
        lasting.store();
        lasting.hub.heard(id);
        lasting.tell_anew();
        lasting.hub.now = lasting.hub.now.plus(10);
        if is_tidied {
            lasting.tidy();
        }
        let mut lasting = lasting.restart();
        assert_eq!(offsets(&mut lasting.hub, "a.b", after(5)), (vec![15], false));
        for _ in 0..100 {
            lasting.hub.wait(500);
            lasting.hub.now = lasting.hub.now.plus(72_000);
        }
        assert_eq!(offsets(&mut lasting.hub, "a.b", after(5)), (vec![15], true));
        assert_eq!(offsets(&mut lasting.hub, "a.b", after(14)), (vec![15], false));
        lasting.tell_anew();
        lasting.tidy_by(1_000);
        assert_eq!(rows(&lasting), (1, 1));
    }
}

fn keyed(seq: u64, ttl_ms: u64) -> ClientFrame<'static> {
    publish_with(seq, Attributes { key: "k".into(), ttl_ms, ..Attributes::default() }, Terms::default())
}

/// Of two values of a key the newer one has expired, or whoever sees the older one would take it for the latest.
#[test]
fn what_expired_lets_no_older_value_of_its_key_come_back() {
    let latest = || vec![rule(">", Retention { latest_per_key: true, ..ALL })];
    let both: [fn() -> Vec<TopicRule>; 2] = [latest, keep_all];
    for (rules, is_tidied) in both.iter().flat_map(|rules| [(rules, false), (rules, true)]) {
        let mut lasting = Lasting::new(Limits::default(), rules());
        let id = lasting.client("a.b");
        lasting.hub.say(id, &[keyed(1, 0), keyed(2, 10)]);
        lasting.store();
        lasting.hub.heard(id);
        lasting.tell_anew();
        lasting.hub.now = lasting.hub.now.plus(20);
        if is_tidied {
            lasting.tidy();
        }
        let mut lasting = lasting.restart_with(latest());
        for round in 0..3 {
            // In the end its name is forgotten.
            let topic = lasting.hub.topics.stored_topics(0).into_values().next();
            let topic = topic.map(|topic| topic.upgrade().unwrap());
            assert!(topic.is_some() || round > 0);
            let now = lasting.hub.now;
            assert_eq!(topic.and_then(|topic| topic.tail.version(now, "k")), None);
            for _ in 0..10 {
                lasting.hub.now = lasting.hub.now.plus(5_000);
                lasting.hub.work();
                lasting.store();
            }
            // The last of it is the removal, if anything is.
            let heard = offsets(&mut lasting.hub, "a.b", Start::Earliest).0;
            assert!(heard.last().is_none_or(|last| *last > 2), "{heard:?} in round {round}");
            lasting.tell_anew();
            lasting.tidy();
            lasting = lasting.restart_with(latest());
        }
    }
}
