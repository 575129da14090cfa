//! Segments are tidied on a real directory, beside a model of what is needed.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::{fs, io};

use proptest::prelude::*;
use tidewire_hub_core::frames::scan::{Item, Scan};
use tidewire_hub_core::frames::{CommitNumber, SegmentNumber};
use tidewire_protocol::number::Offset;

use crate::reactor::clock::Clock;
use crate::reactor::logs::DISK_LOG;
use crate::reactor::tidier::Tidier;
use crate::reactor::tidier::tests::rig::*;

mod rig;

#[test]
fn a_topic_that_keeps_for_long_does_not_hold_what_others_had() {
    let mut rig = Rig::new();
    let mut peak = 0;
    for round in 0..2_000 {
        rig.publish(&[(0, 100), (1, 100), (0, 100), (0, 100), (0, 100)]);
        rig.keep(0, 60);
        if round % 10 == 0 {
            rig.keep(1, 200);
            rig.tidy();
            let (held, needed) = rig.held();
            peak = peak.max(held.saturating_sub(needed * 5 / 2));
        }
    }
    let (held, needed) = rig.held();
    assert!(held <= needed * 3 / 2 + 3 * SEGMENT_BYTES, "{held} bytes for {needed}");
    assert!(peak <= 3 * SEGMENT_BYTES, "{peak}");
    let count = rig.store.files().segments().unwrap().len() as u64;
    assert!(count < 3 * needed / SEGMENT_BYTES + 8, "{count}");
    let mut rig = rig.restart();
    rig.publish(&[(0, 10), (1, 10)]);
    rig.restart();
}

#[test]
fn what_fell_silent_pins_no_segment() {
    let mut rig = Rig::new();
    rig.publish(&[(3, 50)]);
    for _ in 0..3_000 {
        rig.publish(&[(0, 100), (1, 30)]);
        rig.keep(0, 5);
        rig.keep(1, 5);
        rig.tidy();
    }
    assert!(rig.held().0 <= 4 * SEGMENT_BYTES, "{:?}", rig.held());
    rig.restart();
}

/// Some with a very short time to live, between others that stay, in a topic of their own, and beside these.
#[test]
fn what_has_expired_takes_no_room() {
    for per_commit in [1, 40] {
        let mut rig = Rig::new();
        let mut peak = 0;
        for round in 0..3_000 {
            let mut messages = vec![(0, 100, 1); per_commit];
            messages.extend(vec![(3, 1, 1); per_commit]);
            if round % 100 == 0 {
                messages.push((0, 100, 0));
            }
            rig.publish_for(&messages);
            rig.tidy();
            peak = peak.max(rig.held().0);
        }
        let (held, needed) = rig.held();
        assert!(
            held <= needed * 2 + 4 * SEGMENT_BYTES && peak <= needed * 2 + 5 * SEGMENT_BYTES,
            "{held} {peak} {needed}"
        );
        assert!(rig.model[0].kept.len() == 30 && rig.model[3].kept.is_empty());
        // Nothing of them counts as missing.
        let rig = rig.restart();
        let stored = rig.topics.stored_topics(DISK_LOG);
        for number in [1, 4] {
            let topic = stored[&number].upgrade().unwrap();
            assert_eq!(topic.tail.stored_bounds().gone, Offset(0), "{number}");
        }
        rig.restart();
    }
}

/// What lives when its segment is read and expires later, alone and between others that stay.
#[test]
fn what_expires_later_takes_no_room_then() {
    let mut rig = Rig::new();
    for round in 0..400 {
        rig.publish_for(&[(0, 100, 60_000), (3, 100, 60_000), (0, 100, 60_000)]);
        if round % 40 == 0 {
            rig.publish(&[(0, 100), (1, 100)]);
        }
        rig.tidy();
    }
    let (held, needed) = rig.held();
    assert!(held * 5 >= needed * 4, "all is kept: {held} {needed}");
    rig.wait(120_000);
    rig.tidy();
    let (held, needed) = rig.held();
    assert!(held <= needed * 2 + 4 * SEGMENT_BYTES, "{held} {needed}");
    assert!(rig.model[0].kept.len() == 10);
    rig.restart();
}

/// Reading what is there at a start takes its time, and what comes meanwhile expires.
#[test]
fn segments_that_are_not_read_yet_stop_no_merging_of_others() {
    let mut rig = Rig::new();
    (0..200).for_each(|_| rig.publish(&[(0, 100), (1, 100)]));
    let mut rig = rig.restart();
    let (held_before, _) = rig.held();
    rig.tidier.for_old.pay(1 << 40);
    for _ in 0..1_000 {
        rig.publish_for(&[(2, 100, 1), (2, 100, 1), (3, 100, 1)]);
        rig.tidy();
    }
    let (held, _) = rig.held();
    assert!(held <= held_before * 5 / 4 + 4 * SEGMENT_BYTES, "{held} {held_before}");
    rig.restart();
}

/// The share that is needed of a segment, in percent, as its front goes and what is in it expires.
#[test]
fn what_is_needed_of_a_segment_is_about_known() {
    let mut rig = Rig::new();
    while rig.store.files().segments().unwrap().len() < 3 {
        // Every second message of the first topic expires, and the other topic's all do.
        rig.publish_for(&[(0, 50, 0), (0, 50, 60_000), (1, 100, 60_000)]);
    }
    rig.tidy();
    let needed = |rig: &mut Rig, number| {
        let (now, told_since) = (rig.tidier.clock.now(), rig.told_since);
        let known = rig.tidier.known.get_mut(&SegmentNumber(number)).unwrap();
        known.live(now, told_since) * 100 / known.bytes
    };
    assert!((85..=100).contains(&needed(&mut rig, 1)), "{}", needed(&mut rig, 1));
    // Most of the first segment goes, in two steps, and with it as much of what is counted.
    for (left, at_least) in [(70, 55), (30, 22)] {
        let ends = rig.tidier.known[&SegmentNumber(1)].stands_for.last.0 * 3;
        for topic in [0, 1] {
            rig.forget(topic, ends * (100 - left) / 100);
        }
        let is = needed(&mut rig, 1);
        assert!((at_least..=left).contains(&is), "{is} of {left}");
    }
    // A segment that was merged from one that lasts and from one that expires is what the two were.
    let both: Vec<_> = [1, 2].map(|number| rig.tidier.known.remove(&SegmentNumber(number)).unwrap()).into();
    let bytes = both[0].bytes + both[1].bytes;
    let stands_for = both[1].stands_for;
    rig.tidier.know_merged(SegmentNumber(2), both, stands_for, bytes);
    let before = needed(&mut rig, 2);
    rig.wait(120_000);
    let after = needed(&mut rig, 2);
    assert!(after * 3 < before && after * 6 > before, "{after} of {before}");
}

/// Nothing is read or written for a log of which all is needed.
#[test]
fn what_is_needed_is_left_alone() {
    let mut rig = Rig::new();
    (0..400).for_each(|_| rig.publish(&[(0, 100), (1, 100)]));
    rig.tidy();
    rig.log.drive.faults.asked();
    (0..50).for_each(|_| rig.tidy());
    assert_eq!(rig.log.drive.faults.asked(), []);
    rig.restart();
}

/// Of a segment with damage nothing is moved, until nothing of it is needed.
#[test]
fn a_damaged_segment_stays_until_its_messages_are_gone() {
    let mut rig = Rig::new();
    while rig.store.files().segments().unwrap().len() < 12 {
        rig.publish(&[(0, 100), (1, 10)]);
    }
    rig.log.change(rig.log.segment(3), |bytes| bytes[300] ^= 1);
    let damaged = fs::read(rig.log.segment(3)).unwrap();
    // It is read anew, as after a start.
    rig.tidier =
        Tidier::new(Arc::clone(&rig.topics), rig.store.files(), SEGMENT_BYTES, Clock::start()).unwrap();
    rig.tidier.told(rig.told_since).unwrap();
    rig.keep(0, 5);
    rig.tidy();
    assert_eq!(fs::read(rig.log.segment(3)).unwrap(), damaged);
    let count = rig.store.files().segments().unwrap().len();
    assert!(count < 8, "{count}");
    rig.keep(1, 5);
    rig.tidy();
    assert!(!rig.log.segment(3).exists());
    rig.restart();
}

/// Each call of the system that tidying makes fails once.
#[test]
fn wherever_tidying_ends_all_that_is_needed_is_there() {
    let (mut failing, mut tidied) = (0, 0);
    loop {
        let mut rig = Rig::new();
        (0..200).for_each(|_| rig.publish(&[(0, 100), (1, 20)]));
        rig.keep(0, 20);
        let before = rig.held().0;
        rig.log.drive.faults.fail(None, "", failing, io::ErrorKind::Other);
        let mut done = rig.tidier.look();
        while let Ok(true) = done {
            done = rig.tidier.tidy();
        }
        let was_all = !rig.log.drive.faults.none_is_left();
        tidied += usize::from(rig.held().0 < before);
        // Half of the time the hub goes on.
        if failing % 2 == 0 {
            (0..3).for_each(|_| rig.tidy());
            assert!(rig.held().0 < before * 3 / 4, "{failing}: {} of {before}", rig.held().0);
        }
        rig.restart();
        if was_all {
            break;
        }
        failing += 1;
    }
    assert!(failing > 15 && tidied > 5, "{failing} {tidied}");
}

/// What is done to a log.
#[derive(Debug, Clone)]
enum Step {
    Publish(Vec<(usize, usize)>),
    Keep(usize, usize),
    Tidy,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let message = (0..TOPICS, prop_oneof![0..200_usize, 1_000..3_000_usize]);
    prop_oneof![
        6 => prop::collection::vec(message, 1..6).prop_map(Step::Publish),
        3 => (0..TOPICS, 0..20_usize).prop_map(|(topic, count)| Step::Keep(topic, count)),
        2 => Just(Step::Tidy),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_is_done_what_is_kept_is_there(steps in prop::collection::vec(step(), 1..120)) {
        let mut rig = Rig::new();
        for step in steps {
            match step {
                Step::Publish(messages) => rig.publish(&messages),
                Step::Keep(topic, count) => rig.keep(topic, count),
                Step::Tidy => rig.tidy(),
                Step::Restart => rig = rig.restart(),
            }
        }
        rig.tidy();
        rig.restart();
    }
}

#[test]
fn what_could_not_be_read_for_a_moment_is_not_removed() {
    // Where a commit ends with a block there are but zeros behind it, as at a segment's end.
    for length in [400, 401] {
        let mut rig = Rig::new();
        (0..60).for_each(|n| rig.publish(&[(usize::from(n == 10), if n == 8 { length } else { 400 })]));
        let bytes = fs::read(rig.log.segment(1)).unwrap();
        let scan = Scan::new(rig.store.directory(), SegmentNumber(1), &bytes[..4_096], CommitNumber(0));
        assert_eq!(scan.last() == Some(Item::End { at: 4_096 }), length == 401);
        rig.tidier =
            Tidier::new(Arc::clone(&rig.topics), rig.store.files(), SEGMENT_BYTES, Clock::start()).unwrap();
        rig.log.drive.faults.spoil("1.seg", 5_000);
        rig.tidier.told(rig.told_since).unwrap();
        rig.keep(0, 5);
        rig.tidy();
        rig.log.drive.faults.mend();
        rig.tidy();
        rig.restart();
    }
}
