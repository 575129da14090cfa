//! The system's clock is corrected while messages are kept: they get its time, and all else goes by the time that passes.

use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::names::directory::Retention;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::block::blocks_of_page;
use tidewire_protocol::client_frame::{ClientFrame, History};
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::number::Request;
use tidewire_protocol::position::Start;

use crate::rig::{ALL, Hub, limits, open_as, publish_on, rule};

const MINUTE_MS: u64 = 60_000;
const AGE_MINUTES: u64 = 5;

/// A hub whose topics keep five minutes, with a message of each minute from 0 on; the clock is corrected after the third.
struct Corrected {
    hub: Hub,
    writer: ConnectionId,
    by_ms: i64,
    minutes: u64,
}

impl Corrected {
    fn new(mut limits: Limits, by_ms: i64) -> Self {
        // Nobody answers heartbeats here.
        limits.heartbeat_ms = 60 * MINUTE_MS;
        let rules = vec![rule(">", Retention { age_ms: Some(AGE_MINUTES * MINUTE_MS), ..ALL })];
        let mut hub = Hub::new(limits, rules);
        hub.now = Millis(1_700_000_000_000);
        let writer = hub.client(1);
        hub.say(writer, &[open_as(1, 0, "a.b"), open_as(2, 0, "a.c")]);
        Self { hub, writer, by_ms, minutes: 0 }
    }

    fn pass_a_minute(&mut self) {
        self.minutes += 1;
        let text = format!("minute {}", self.minutes);
        let topic = 1 + self.minutes % 2;
        let seq = self.minutes.div_ceil(2);
        self.hub.say(self.writer, &[publish_on(topic, seq, text.as_bytes())]);
        if self.minutes == 3 {
            let system = Millis(self.hub.now.0.saturating_add_signed(self.by_ms));
            assert_eq!(self.hub.topics.calendar().follow(self.hub.now, system), Some(self.by_ms));
        }
        self.hub.now = self.hub.now.plus(MINUTE_MS);
        self.hub.topics.sweep(self.hub.now);
    }

    /// What a page from here holds, with the times that were given.
    fn page(&mut self, name: &str, from: Start) -> Vec<(String, u64)> {
        let reader = self.hub.client(9);
        let frame = History { request: Request(4), name: name.into(), from, ..History::default() };
        self.hub.say(reader, &[ClientFrame::History(frame)]);
        let page = self.hub.heard_as(
            reader,
            |_| None,
            |frame| {
                let HubFrame::Page(page) = frame else { return None };
                let mut told = Vec::new();
                for block in blocks_of_page(&page.blocks).map(Result::unwrap) {
                    let message = |m: tidewire_protocol::block::Message<'_>| {
                        (String::from_utf8(m.payload.to_vec()).unwrap(), m.published_at_ms)
                    };
                    told.extend(block.messages().flatten().map(message));
                }
                Some(told)
            },
        );
        self.hub.shard.gone(self.hub.now, reader);
        page.into_iter().flatten().next().unwrap()
    }
}

const CORRECTIONS_MS: [i64; 6] = [3_600_000, -3_600_000, 60_000, -60_000, 400_000_000_000, -400_000_000_000];

#[test]
fn spans_and_ages_are_of_time_that_has_passed_whatever_the_clock_was_corrected_by() {
    for (by_ms, block_bytes) in CORRECTIONS_MS.iter().flat_map(|by_ms| [(*by_ms, 1), (*by_ms, 16_384)]) {
        let mut corrected = Corrected::new(limits(|limits| limits.block_bytes = block_bytes), by_ms);
        for minutes in 1..=12u64 {
            corrected.pass_a_minute();
            let newest = |count: u64| -> Vec<u64> { (minutes.saturating_sub(count) + 1..=minutes).collect() };
            for (name, of_all) in [("a.*", true), ("a.b", false), ("a.c", false)] {
                let is_here = |minute: &u64| of_all || (name == "a.c") == (minute % 2 == 1);
                let mut check = |from: Start, expected: Vec<u64>| {
                    let expected =
                        expected.into_iter().filter(is_here).map(|minute| format!("minute {minute}"));
                    let texts: Vec<_> =
                        corrected.page(name, from.clone()).into_iter().map(|(text, _)| text).collect();
                    let what =
                        format!("{name} {from:?}, by {by_ms} ms, minute {minutes}, blocks of {block_bytes}");
                    assert_eq!(texts, expected.collect::<Vec<_>>(), "{what}");
                };
                check(Start::Earliest, newest(AGE_MINUTES));
                check(Start::SinceMs(2 * MINUTE_MS + 30_000), newest(2));
                check(Start::SinceMs(20_000 * MINUTE_MS), newest(AGE_MINUTES));
            }
        }
    }
}

#[test]
fn messages_get_the_corrected_time_and_it_never_goes_back() {
    for by_ms in CORRECTIONS_MS {
        let mut corrected = Corrected::new(Limits::default(), by_ms);
        let mut last = 0;
        for minutes in 1..=8 {
            corrected.pass_a_minute();
            let (_, given) = corrected.page("a.*", Start::Last(1)).remove(0);
            assert!(given >= last, "{given} after {last}, by {by_ms}");
            last = given;
            let taken_at = corrected.hub.now.0 - MINUTE_MS;
            let expected = taken_at.saturating_add_signed(if minutes > 3 { by_ms } else { 0 });
            if by_ms > 0 || minutes <= 3 {
                assert_eq!(given, expected, "minute {minutes}, by {by_ms}");
            }
            if by_ms == -60_000 && minutes > 5 {
                assert_eq!(given, expected, "the clock has come up to it");
            }
        }
    }
}
