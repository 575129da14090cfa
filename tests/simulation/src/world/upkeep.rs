//! What is looked at every few seconds: topics are aged, and nothing goes too early or takes too much room; and the
//! system's clock, which somebody corrects.

use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::ledger::Kind;
use tidewire_hub_core::names::directory::Retention;
use tidewire_hub_core::reading::most::Most;
use tidewire_protocol::block::blocks_of_page;
use tidewire_protocol::name::{Selector, TopicName};
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::Start;

use crate::names::{KEYED, NAMES, TOPICS};
use crate::setup::ROOMY_BYTES;
use crate::world::event::Event;
use crate::world::{CALM_MS, World, hostile};

impl World {
    /// Lets some more time pass if there are messages without an outcome. Whether there are still some, and fewer.
    pub(crate) fn lands_more(&mut self) -> bool {
        let left = |world: &Self| -> u64 {
            let here = world.actors.iter().filter(|actor| !actor.closed);
            here.map(|actor| u64::from(actor.client.outbox_state().0)).sum()
        };
        let before = left(self);
        if before > 0 && self.oracle.violation().is_none() {
            self.pass(CALM_MS);
        }
        let after = left(self);
        after > 0 && after < before
    }

    pub(super) fn sweep(&mut self) {
        self.after(5_000, Event::Sweep);
        self.compare_clocks();
        self.evict_some();
        let Some(hub) = &self.hub else { return };
        hub.sweep(self.now);
        let held = hub.topics.ledger().held(Kind::Messages) as u64;
        let limits = hub.topics.limits();
        let block = (limits.block_bytes.max(limits.message_bytes_max) + limits.write_bytes + 1_000) as u64;
        let shared = (limits.node_bytes_max + 4 * self.setup.logs * limits.pattern_tail_bytes) as u64;
        let bound = shared
            + block
                * (20
                    + 4 * (self.actors.len()
                        + self.sources.len()
                        + self.callers.len()
                        + hostile::LINKS_MAX * self.hostiles.len()) as u64);
        if held > bound {
            self.oracle.object(format_args!("blocks take {held} bytes, more than {bound}"));
        }
        if self.oracle.keyed && !self.calm {
            self.check_keys();
        }
        if self.setup.clock_ms > 0 {
            (0..TOPICS).for_each(|topic| self.check_age(topic));
        }
    }

    /// Whoever reads the topic that keeps the latest of each key from its beginning knows what stands.
    fn check_keys(&mut self) {
        let (Some(hub), Ok(name)) = (&mut self.hub, TopicName::parse(NAMES[usize::from(KEYED)])) else {
            return;
        };
        let disk = self.storing.as_ref().map(|storing| &storing.disk);
        hub.listen(self.now, disk, &mut self.oracle);
        let (topic, mut start, mut offsets) = (Selector::Topic(name), Start::Earliest, Vec::new());
        while let Some(page) = hub.topics.page(Millis(self.now), &topic, &start, Offset(0), Most::ALL) {
            let blocks = blocks_of_page(&page.blocks).flatten();
            offsets.extend(blocks.flat_map(|block| block.messages().flatten().map(|message| message.offset)));
            if !page.more {
                break;
            }
            start = Start::After(page.upto);
        }
        self.oracle.check_read(&offsets);
    }

    /// Where nothing but its age bounds what a topic keeps, all that is younger is there.
    fn check_age(&mut self, topic: usize) {
        let Some(hub) = &self.hub else { return };
        let retention = self.setup.rule_of(topic).map(|rule| rule.retention);
        let Some(Retention { none: false, count: None, bytes: None, age_ms: Some(age_ms), .. }) = retention
        else {
            return;
        };
        if self.setup.hub.limits.node_bytes_max < ROOMY_BYTES {
            return;
        }
        let gone = hub.gone_of(self.now, NAMES[topic]);
        let log = &self.oracle.logs[self.oracle.living(usize::from(self.oracle.log_of[topic]))];
        let mut records = log.by_selector[topic].iter().map(|index| log.records[*index as usize]);
        let is_young = |taken_ms: u64| taken_ms + age_ms >= self.now;
        let young = records.find(|record| record.taken_ms.is_some_and(is_young));
        if let Some(young) = young.filter(|young| young.offset <= gone) {
            self.oracle.object(format_args!("gone before {age_ms} ms had passed: {young:?} at {}", self.now));
        }
    }

    /// Somebody sets the system's clock.
    pub(super) fn befall_clock(&mut self) {
        if self.calm {
            return;
        }
        let wait = self.random.wait(self.setup.clock_ms);
        self.after(wait, Event::Correct);
        let by_ms = self.random.magnitude(300, 7_200_000) as i64;
        let is_back = self.random.one_in(2);
        self.correct_clock(if is_back { -by_ms } else { by_ms });
    }

    /// The system's clock is put ahead, or back.
    pub fn correct_clock(&mut self, by_ms: i64) {
        self.note(|| format!("the clock is corrected by {by_ms} ms"));
        self.oracle.time.corrected(self.now, by_ms);
        self.compare_clocks();
    }

    /// The hub looks at the system's clock.
    pub(super) fn compare_clocks(&mut self) {
        if let Some(hub) = &self.hub {
            let system = Millis(self.now.saturating_add_signed(self.oracle.time.ahead_ms));
            hub.topics.calendar().follow(Millis(self.now), system);
        }
    }
}
