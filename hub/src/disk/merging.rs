//! A merged segment is written in the place of some that follow on each other: of their commits what is needed still.
//!
//! It has the number of the last of them. It is written under another name and synced, then gets that one's name, and then
//! the others are removed. Who opens the directory in between finds it and some of the others: these are passed over.

use std::io;

use tidewire_hub_core::frames::{
    self, CommitNumber, Merged, SEGMENT_HEADER_BYTES, Seeds, SegmentHeader, SegmentNumber, TooLong,
};

use crate::disk::files::Files;

/// What a merged segment is to hold.
#[derive(Debug)]
pub struct Merging {
    number: SegmentNumber,
    seeds: Seeds,
    bytes: Vec<u8>,
}

/// The segments that are there.
#[derive(Debug, Default)]
pub(crate) struct Present {
    /// Those that count, each with what it stands for if it is merged.
    pub(crate) counts: Vec<(SegmentNumber, Option<Merged>)>,
    /// Those in whose place a merged one is. They do not count.
    pub(crate) replaced: Vec<SegmentNumber>,
}

impl Merging {
    /// Nothing yet. It gets the number of the last that it stands for.
    #[must_use]
    pub fn new(files: &Files, number: SegmentNumber) -> Self {
        let seeds = Seeds::new(files.directory(), number);
        Self { number, seeds, bytes: vec![0; SEGMENT_HEADER_BYTES] }
    }

    /// How long it would be.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// What `write` writes of the commit of this number, if that is anything. Commits come in order.
    ///
    /// # Errors
    /// It is too long for a commit.
    pub fn add(&mut self, number: CommitNumber, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), TooLong> {
        let at = frames::begin(&mut self.bytes);
        let begun = self.bytes.len();
        write(&mut self.bytes);
        if self.bytes.len() == begun {
            self.bytes.truncate(at);
            return Ok(());
        }
        let sealed = frames::seal(&mut self.bytes[at..], number, self.seeds);
        if sealed.is_err() {
            self.bytes.truncate(at);
        }
        sealed
    }
}

impl Files {
    /// Puts a merged segment in the place of those that it stands for. Not for the thread that commits: it waits for the disk.
    ///
    /// # Errors
    /// What the system says. Either nothing has changed then, or the merged segment is there and some of the others may be
    /// left, for [`Self::remove_replaced`].
    pub fn merge(&self, merging: Merging, merged: Merged) -> io::Result<()> {
        let Merging { number, mut bytes, .. } = merging;
        if self.is_written_to(number) {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "commits still go to this segment"));
        }
        let header = SegmentHeader { directory: self.directory, segment: number, merged: Some(merged) };
        bytes[..SEGMENT_HEADER_BYTES].copy_from_slice(&header.bytes());
        let new = self.merged_path(number);
        if let Err(error) = self.write_merged(&new, &bytes) {
            // A full disk gets its room back; what stays is removed when the directory is opened.
            let _ = self.drive.remove(&new);
            return Err(error);
        }
        self.drive.rename(&new, &self.path(number))?;
        let others = self.segments()?.into_iter().map(|segment| segment.number);
        others.filter(|other| (merged.from..number).contains(other)).try_for_each(|other| self.remove(other))
    }

    fn write_merged(&self, path: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.drive.open(path)?;
        file.truncate(0)?;
        file.write_at(bytes, 0)?;
        file.sync()
    }

    /// Removes segments in whose place a merged one is, where that was not done when it came.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove_replaced(&self) -> io::Result<()> {
        self.present()?.replaced.into_iter().try_for_each(|segment| self.remove(segment))
    }

    /// Looks at what stands for what.
    pub(crate) fn present(&self) -> io::Result<Present> {
        Present::of(self.segments()?.into_iter().map(|segment| segment.number), |number| self.merged(number))
    }
}

impl Present {
    /// Of these segments, the oldest first.
    pub(crate) fn of<E>(
        segments: impl DoubleEndedIterator<Item = SegmentNumber>,
        mut merged: impl FnMut(SegmentNumber) -> Result<Option<Merged>, E>,
    ) -> Result<Self, E> {
        let mut present = Self::default();
        let mut from = SegmentNumber(u64::MAX);
        for number in segments.rev() {
            if number >= from {
                present.replaced.push(number);
                continue;
            }
            let merged = merged(number)?;
            from = merged.map_or(from, |merged| merged.from);
            present.counts.push((number, merged));
        }
        present.counts.reverse();
        Ok(present)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;
    use crate::disk::drive::Operation;
    use crate::disk::opening::fixture::{Commits, Log, append};
    use crate::disk::report::Report;

    /// Twenty commits over seven segments.
    fn twenty() -> Log {
        let bodies: Vec<_> = (1..=20).map(|number| vec![number; 60]).collect();
        let log = Log::with(&bodies.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert!(log.segment(7).exists() && !log.segment(8).exists());
        log
    }

    fn left(numbers: impl IntoIterator<Item = u8>) -> Commits {
        numbers.into_iter().map(|number| (number.into(), vec![number; 60])).collect()
    }

    /// Merges segments, of which only these commits are needed.
    fn merge(files: &Files, segments: std::ops::RangeInclusive<u64>, needed: &[u8]) -> io::Result<()> {
        let number = SegmentNumber(*segments.end());
        let mut merging = Merging::new(files, number);
        for commit in (segments.start() * 3 - 2)..=(segments.end() * 3) {
            let commit = u8::try_from(commit).unwrap();
            let body = [commit; 60];
            let is_needed = needed.contains(&commit);
            merging
                .add(CommitNumber(commit.into()), |out| {
                    if is_needed {
                        out.extend_from_slice(&body);
                    }
                })
                .unwrap();
        }
        let (first, last) = (CommitNumber(segments.start() * 3 - 2), CommitNumber(segments.end() * 3));
        files.merge(merging, Merged { from: SegmentNumber(*segments.start()), first, last })
    }

    #[track_caller]
    fn check(log: &Log, expected: &Commits, segments: u64) -> Report {
        let (store, report, found) = log.start();
        assert_eq!(&found, expected);
        assert!(report.is_whole() && report.torn.is_none() && report.segments == segments, "{report}");
        assert_eq!(store.files().segments().unwrap().len() as u64, segments);
        report
    }

    #[test]
    fn what_is_merged_is_read_and_nothing_is_missed() {
        let log = twenty();
        let (store, ..) = log.start();
        merge(&store.files(), 2..=3, &[5, 9]).unwrap();
        merge(&store.files(), 4..=4, &[]).unwrap();
        drop(store);
        let expected = left([1, 2, 3, 5, 9].into_iter().chain(13..=20));
        check(&log, &expected, 6);
        let (store, ..) = log.start();
        assert_eq!(store.next(), CommitNumber(21));
        // Merged ones are merged again, with those before and behind them.
        let mut merging = Merging::new(&store.files(), SegmentNumber(5));
        merging.add(CommitNumber(9), |out| out.extend_from_slice(&[9; 60])).unwrap();
        let (from, first, last) = (SegmentNumber(1), CommitNumber(1), CommitNumber(15));
        store.files().merge(merging, Merged { from, first, last }).unwrap();
        drop(store);
        let report = check(&log, &left([9].into_iter().chain(16..=20)), 3);
        assert_eq!(report.last, CommitNumber(20));
    }

    #[test]
    fn what_is_written_to_is_not_merged() {
        let log = twenty();
        let (store, ..) = log.start();
        let refused = merge(&store.files(), 6..=7, &[]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        drop(store);
        check(&log, &left(1..=20), 7);
    }

    /// Each call of the system fails once, or the hub ends there: nothing is lost that is needed.
    #[test]
    fn wherever_a_merge_ends_all_that_is_needed_is_there() {
        let all = left(1..=20);
        let needed = left([1, 2, 3, 5, 9, 12].into_iter().chain(13..=20));
        let (mut failing, mut merged) = (0, 0);
        loop {
            let log = twenty();
            let (store, ..) = log.start();
            log.drive.faults.fail(None, "", failing, io::ErrorKind::Other);
            let done = merge(&store.files(), 2..=4, &[5, 9, 12]);
            if !log.drive.faults.none_is_left() {
                assert!(done.is_ok(), "{failing}");
                break;
            }
            drop(store);
            let (store, report, found) = log.start();
            assert!(report.is_whole() && (found == all || found == needed), "{failing} {report}");
            merged += usize::from(found == needed);
            assert_eq!(store.files().segments().unwrap().len(), if found == needed { 5 } else { 7 });
            let names = fs::read_dir(log.folder.join("segments")).unwrap();
            let ends = |name: String| name.ends_with(".new");
            assert!(!names.into_iter().any(|file| ends(file.unwrap().file_name().into_string().unwrap())));
            failing += 1;
        }
        assert!(failing > 8 && merged > 3, "{failing} {merged}");
    }

    #[test]
    fn those_that_are_left_are_removed_while_the_hub_goes_on() {
        let log = twenty();
        let (store, ..) = log.start();
        log.drive.faults.fail(crate::disk::drive::Operation::Remove, "3.seg", 0, io::ErrorKind::Other);
        merge(&store.files(), 2..=4, &[12]).unwrap_err();
        assert!(log.segment(3).exists());
        store.files().remove_replaced().unwrap();
        assert!(!log.segment(3).exists() && log.segment(4).exists());
        drop(store);
        check(&log, &left([1, 2, 3, 12].into_iter().chain(13..=20)), 5);
    }

    #[test]
    fn damage_in_what_is_merged_is_told_and_costs_what_it_hits() {
        let log = twenty();
        let (store, ..) = log.start();
        merge(&store.files(), 2..=4, &[5, 9, 12]).unwrap();
        drop(store);
        let segment = fs::read(log.segment(4)).unwrap();
        for flipped in (0..segment.len()).step_by(5) {
            log.change(log.segment(4), |bytes| bytes[flipped] ^= 0x20);
            let (store, report, found) = log.start();
            assert!(!report.is_whole() && report.damage.len() == 1, "{flipped} {report}");
            let hit = flipped.checked_sub(SEGMENT_HEADER_BYTES).map(|at| [5, 9, 12][at / 84]);
            let expected = [1, 2, 3, 5, 9, 12].into_iter().filter(|number| Some(*number) != hit);
            assert_eq!(found, left(expected.chain(13..=20)), "{flipped}");
            let missing = &report.damage[0].commits_missing;
            assert!(hit.is_none_or(|hit| missing.contains(&CommitNumber(hit.into()))), "{report}");
            drop(store);
            assert_eq!(log.start().1.losses(), report.losses(), "{flipped}");
            fs::write(log.segment(4), &segment).unwrap();
        }
        check(&log, &left([1, 2, 3, 5, 9, 12].into_iter().chain(13..=20)), 5);
    }

    #[test]
    fn damage_in_what_is_merged_is_known_when_what_was_before_it_is_removed() {
        for needed in [&[9, 11, 14][..], &[8, 11, 12], &[8, 9], &[14]] {
            // Seven commits in each segment.
            let bodies: Vec<_> = (1..=20).map(|number| vec![number; 10]).collect();
            let log = Log::with(&bodies.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let (store, ..) = log.start();
            let mut merging = Merging::new(&store.files(), SegmentNumber(2));
            for number in needed {
                merging.add(CommitNumber(*number), |out| out.extend_from_slice(&[7; 10])).unwrap();
            }
            let (from, first, last) = (SegmentNumber(2), CommitNumber(8), CommitNumber(14));
            store.files().merge(merging, Merged { from, first, last }).unwrap();
            drop(store);
            let [before, segment] = [1, 2].map(|number| fs::read(log.segment(number)).unwrap());
            for flipped in 0..segment.len() {
                log.change(log.segment(2), |bytes| bytes[flipped] ^= 0x20);
                let known = log.start().1.known_losses();
                fs::remove_file(log.segment(1)).unwrap();
                let (_, report, _) = log.start();
                let is_known = report.losses().iter().all(|loss| known.contains(loss));
                assert!(is_known, "{needed:?} {flipped}\n{report}");
                fs::write(log.segment(1), &before).unwrap();
                fs::write(log.segment(2), &segment).unwrap();
            }
        }
    }

    #[test]
    fn what_is_missing_beside_what_is_merged_is_told() {
        for missing in [1, 5] {
            let log = twenty();
            let (store, ..) = log.start();
            merge(&store.files(), 2..=4, &[9]).unwrap();
            drop(store);
            fs::remove_file(log.segment(missing)).unwrap();
            let (_, report, _) = log.start();
            // The oldest may go.
            assert_eq!(report.missing_segments.len(), usize::from(missing == 5), "{report}");
            let told = report.missing_segments.iter().map(|it| it.commits_missing.clone());
            assert!(told.into_iter().all(|told| told == (CommitNumber(13)..=CommitNumber(15))), "{report}");
        }
    }

    /// Commits do not go on in a merged segment, should all behind it be lost.
    #[test]
    fn behind_a_merged_segment_a_new_one_is_begun() {
        let log = twenty();
        let (store, ..) = log.start();
        merge(&store.files(), 5..=6, &[]).unwrap();
        drop(store);
        fs::remove_file(log.segment(7)).unwrap();
        let (mut store, report, found) = log.start();
        assert_eq!(found, left(1..=12));
        assert!(report.lost_answered.is_some(), "{report}");
        let appended = append(&mut store, &[21; 60]).unwrap();
        assert_eq!((appended.segment, appended.number), (SegmentNumber(8), CommitNumber(21)));
        drop(store);
        let (_, report, found) = log.start();
        assert_eq!(found, left((1..=12).chain([21])));
        assert!(!report.is_whole() && log.segment(6).exists(), "{report}");
    }

    /// Behind a merged segment one is begun at each start. Nothing is lost with it as long as it holds nothing.
    #[test]
    fn a_segment_that_was_begun_behind_a_merged_one_is_begun_again() {
        for is_removed in [false, true] {
            let log = twenty();
            let (mut store, ..) = log.start();
            append(&mut store, &[21; 60]).unwrap();
            log.drive.faults.fail(Operation::Write, "8.seg.new", 1, io::ErrorKind::StorageFull);
            append(&mut store, &[22; 60]).unwrap_err();
            merge(&store.files(), 7..=7, &[19, 20, 21]).unwrap();
            drop(store);
            for _ in 0..3 {
                let (_, report, found) = log.start();
                assert_eq!(found, left(1..=21));
                assert!(report.is_whole() && log.segment(8).exists() && !log.segment(9).exists(), "{report}");
                if is_removed {
                    // As one who is killed before it is made leaves it.
                    fs::remove_file(log.segment(8)).unwrap();
                }
            }
            let (mut store, report, _) = log.start();
            assert!(report.is_whole(), "{report}");
            assert_eq!(append(&mut store, &[22; 60]).unwrap().segment, SegmentNumber(8));
            drop(store);
            check(&log, &left(1..=22), 8);
        }
    }
}
