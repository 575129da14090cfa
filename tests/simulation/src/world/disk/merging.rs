//! Segments of which little is needed are merged, as a hub does it.

use tidewire_hub_core::frames::scan::{Item, Scan};
use tidewire_hub_core::frames::{CommitNumber, FRAME_HEADER_BYTES, Seeds, SegmentHeader, begin, seal};
use tidewire_hub_core::log::rows::tidying::tidy;
use tidewire_hub_core::record::Record;

use crate::random::Random;
use crate::world::disk::{Disk, Segment, digest};

impl Disk {
    /// Writes one segment in the place of two neighbours, without what is gone of them. Tells whether there was one to write.
    pub fn merge(
        &mut self,
        since: u64,
        random: &mut Random,
        is_needed: impl Fn(&str, &Record<'_>) -> bool,
    ) -> bool {
        let old: Vec<_> =
            self.segments.iter().filter(|(number, it)| **number < self.newest && it.last.0 < since).collect();
        let numbers: Vec<_> = old.iter().map(|(number, _)| **number).collect();
        let Some(first) = numbers.len().checked_sub(2).map(|last| random.below(last as u64 + 1) as usize)
        else {
            return false;
        };
        let (from, number) = (numbers[first], numbers[first + 1]);
        let mut bytes = Vec::new();
        let mut commits: Option<(CommitNumber, CommitNumber)> = None;
        let (mut is_whole, mut written) = (true, Vec::new());
        for of in [from, number] {
            let Some(segment) = self.segments.get(&of) else { return false };
            for item in Scan::new(self.directory, of, &segment.bytes, CommitNumber(0)) {
                match item {
                    Item::Frame(frame) => {
                        let begun = commits.map_or(frame.number, |(begun, _)| begun);
                        is_whole &= commits.is_none_or(|(_, last)| last.next() == frame.number);
                        commits = Some((begun, frame.number));
                        let at = begin(&mut bytes);
                        let names = &self.names;
                        let tidied = tidy(frame.body, &mut bytes, |topic, record| {
                            names.get(&topic).is_some_and(|name| is_needed(name, record))
                        });
                        is_whole &= tidied.is_ok();
                        written.push((frame.number, digest(&bytes[at + FRAME_HEADER_BYTES..])));
                        let seeds = Seeds::new(self.directory, number);
                        is_whole &= seal(&mut bytes[at..], frame.number, seeds).is_ok();
                    }
                    Item::Damage { .. } | Item::Torn { .. } => is_whole = false,
                    Item::End { .. } => {}
                }
            }
        }
        // Where something is missing the loss has to be told again.
        if !is_whole || commits.is_none() {
            return false;
        }
        let (Some(first), Some(mut second)) = (self.segments.remove(&from), self.segments.remove(&number))
        else {
            return false;
        };
        let spans = [first.span, second.span].into_iter().flatten();
        second.span = spans.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
        for (topic, last) in first.reach {
            second.reach.entry(topic).and_modify(|known| *known = last.max(*known)).or_insert(last);
        }
        self.written.extend(written);
        let header = SegmentHeader { directory: self.directory, segment: number, merged: None };
        let bytes = [&header.bytes()[..], &bytes].concat();
        let synced = bytes.len();
        self.segments.insert(number, Segment { bytes, synced, ..second });
        true
    }
}
