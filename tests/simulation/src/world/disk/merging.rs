//! Segments of which nothing is needed are deleted, and those of which little is, merged, as a hub does it.

use tidewire_hub_core::frames::scan::{Item, Scan};
use tidewire_hub_core::frames::{
    CommitNumber, FRAME_HEADER_BYTES, Seeds, SegmentHeader, SegmentNumber, begin, seal,
};
use tidewire_hub_core::log::rows::tidying::Tidying;
use tidewire_hub_core::record::Record;
use tidewire_hub_core::tail::needed::Need;
use tidewire_protocol::number::Offset;

use crate::random::Random;
use crate::world::disk::{Disk, Segment, digest, note};

/// Commits in short.
type Digests = Vec<(CommitNumber, u64)>;

impl Disk {
    /// Segments that end before a commit from which on all that stands is told, and all of whose messages are gone.
    pub fn needless(&self, since: u64, gone: impl Fn(&str) -> u64) -> Vec<SegmentNumber> {
        let is_gone = |segment: &Segment| segment.reach.iter().all(|(topic, last)| gone(topic) >= *last);
        let old = self
            .segments
            .iter()
            .filter(|(number, segment)| **number < self.newest && segment.last.0 < since && is_gone(segment));
        old.map(|(number, _)| *number).collect()
    }

    /// Deletes a segment.
    pub fn delete(&mut self, segment: SegmentNumber) {
        self.segments.remove(&segment);
    }

    /// Writes one segment in the place of one or two neighbours, with those of their messages that are needed, by their topics'
    /// numbers, themselves, and whether nothing is older.
    pub fn merge(
        &mut self,
        since: u64,
        random: &mut Random,
        need: impl Fn(u64, (Offset, Option<&Record<'_>>), bool) -> Need,
    ) {
        let is_old = |(number, it): &(&SegmentNumber, &Segment)| {
            **number < self.newest && it.last.0 < since && it.last > CommitNumber(0)
        };
        let old: Vec<_> = self.segments.iter().filter(is_old).map(|(number, _)| *number).collect();
        if old.is_empty() {
            return;
        }
        // Rather one of the last: of how all stood, that tells what was told last but once.
        let first = old.len() - random.magnitude(1, old.len() as u64) as usize;
        let run = &old[first..old.len().min(first + 1 + random.below(2) as usize)];
        let Some((&number, others)) = run.split_last() else { return };
        let is_oldest = |of: SegmentNumber| self.segments.keys().next() == Some(&of);
        let Some((bytes, written)) =
            self.rewrite(run, |of, topic, message| need(topic, message, is_oldest(of)))
        else {
            return;
        };
        let last = self.segments.get(&number).map_or(CommitNumber(0), |segment| segment.last);
        for other in others {
            self.segments.remove(other);
        }
        let mut segment = Segment { synced: bytes.len(), last, ..Segment::default() };
        for item in Scan::new(self.directory, number, &bytes, CommitNumber(0)) {
            if let Item::Frame(frame) = item {
                note(&mut self.names, &mut segment.reach, &mut segment.span, frame.body);
            }
        }
        self.segments.insert(number, Segment { bytes, ..segment });
        self.written.extend(written);
    }

    /// What stands in some segments as one of them, and its commits in short. Where something is missing there is none: the
    /// loss has to be told again.
    fn rewrite(
        &self,
        run: &[SegmentNumber],
        need: impl Fn(SegmentNumber, u64, (Offset, Option<&Record<'_>>)) -> Need,
    ) -> Option<(Vec<u8>, Digests)> {
        let number = *run.last()?;
        let header = SegmentHeader { directory: self.directory, segment: number, merged: None };
        let (mut bytes, mut written) = (header.bytes().to_vec(), Vec::new());
        let mut last: Option<CommitNumber> = None;
        for of in run {
            let mut tidying = Tidying::default();
            let scan = Scan::new(self.directory, *of, &self.segments.get(of)?.bytes, CommitNumber(0));
            let mut items = scan.peekable();
            while let Some(item) = items.next() {
                let is_last = !matches!(items.peek(), Some(Item::Frame(_)));
                let frame = match item {
                    Item::Frame(frame) => frame,
                    Item::Damage { .. } | Item::Torn { .. } => return None,
                    Item::End { .. } => continue,
                };
                if last.replace(frame.number).is_some_and(|last| last.next() != frame.number) {
                    return None;
                }
                let at = begin(&mut bytes);
                let need = |topic, offset, record: Option<&Record<'_>>| need(*of, topic, (offset, record));
                tidying.tidy(frame.body, is_last, &mut bytes, need).ok()?;
                written.push((frame.number, digest(&bytes[at + FRAME_HEADER_BYTES..])));
                seal(&mut bytes[at..], frame.number, Seeds::new(self.directory, number)).ok()?;
            }
        }
        last.is_some().then_some((bytes, written))
    }
}
