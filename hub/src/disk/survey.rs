//! Goes through all segments once, from the first commit to the last, and says what is missing.

use std::io;

use tidewire_hub_core::frames::scan::{Frame, Item, Scan};
use tidewire_hub_core::frames::{CommitNumber, SegmentNumber};

use crate::disk::files::Files;
use crate::disk::head::Head;
use crate::disk::report::{Damage, LostAnswered, MissingSegments, Report, Torn};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) report: Report,
    /// The last segment that holds something, or the first if none does.
    pub(crate) last: Option<LastSegment>,
    /// Segments behind it, made ahead.
    pub(crate) spare: Vec<SegmentNumber>,
}

/// The segment that is to be written to.
#[derive(Debug, Default)]
pub(crate) struct LastSegment {
    pub(crate) number: SegmentNumber,
    /// What was read of it: the disk may hold something else.
    pub(crate) bytes: Vec<u8>,
    /// Where the last whole commit ends.
    pub(crate) end: usize,
}

/// What the number of the next commit tells more of.
#[derive(Debug, Clone, Copy)]
enum Open {
    Nothing,
    Damage(usize),
    Missing(usize),
}

struct Course<'a, F> {
    files: &'a Files,
    visit: F,
    found: Survey,
    open: Open,
    /// The segment before the next, if there is one.
    before: Option<SegmentNumber>,
}

impl Survey {
    /// Reads all segments, and shows each commit that is whole.
    pub(crate) fn take(
        files: &Files,
        head: Option<&Head>,
        visit: impl FnMut(SegmentNumber, Frame<'_>),
    ) -> io::Result<Self> {
        let found = Self::default();
        let mut course = Course { files, visit, found, open: Open::Nothing, before: None };
        let mut bytes = Vec::new();
        for segment in files.segments()? {
            course.skip_to(segment.number);
            files.read(segment.number, &mut bytes)?;
            course.segment(segment.number, &mut bytes);
        }
        if let Some(head) = head.filter(|head| head.commit > CommitNumber(0)) {
            course.skip_to(head.segment.next());
        }
        let mut found = course.found;
        let last = found.report.last;
        let lost = head.filter(|head| head.commit > last);
        found.report.lost_answered = lost.map(|head| LostAnswered { answered: head.commit, found: last });
        found.report.head_lost = head.is_none() && found.report.segments > 0;
        Ok(found)
    }
}

impl<F: FnMut(SegmentNumber, Frame<'_>)> Course<'_, F> {
    /// Notes which segments are missing before this one.
    fn skip_to(&mut self, number: SegmentNumber) {
        let Some(before) = self.before.replace(number) else { return };
        let due = before.next();
        if due >= number {
            return;
        }
        let segments = due..=SegmentNumber(number.0 - 1);
        let missing = &mut self.found.report.missing_segments;
        missing.push(MissingSegments { segments, commits_missing: nothing() });
        if matches!(self.open, Open::Nothing) {
            self.open = Open::Missing(missing.len() - 1);
        }
    }

    fn segment(&mut self, number: SegmentNumber, bytes: &mut Vec<u8>) {
        self.found.report.segments += 1;
        let mut end = 0;
        let mut holds_something = false;
        for item in Scan::new(self.files.directory, number, bytes, self.found.report.last) {
            if !matches!(item, Item::End { .. }) && !holds_something {
                holds_something = true;
                self.close_torn();
            }
            match item {
                Item::Frame(frame) => {
                    self.frame(number, frame);
                    (self.visit)(number, frame);
                }
                Item::Damage { from, to } => self.damage(number, from, to),
                Item::Torn { from, to } => {
                    end = from;
                    self.found.report.torn = Some(Torn { segment: number, from: from as u64, to: to as u64 });
                }
                Item::End { at } => end = at,
            }
        }
        self.found.report.bytes += end as u64;
        if holds_something || self.found.last.is_none() {
            let last = self.found.last.get_or_insert_default();
            (last.number, last.end) = (number, end);
            std::mem::swap(&mut last.bytes, bytes);
            self.found.spare.clear();
        } else {
            self.found.spare.push(number);
        }
    }

    fn frame(&mut self, segment: SegmentNumber, frame: Frame<'_>) {
        let report = &mut self.found.report;
        let missing = report.last.next()..=CommitNumber(frame.number.0 - 1);
        let known = report.commits > 0 || segment == SegmentNumber(1);
        match self.open {
            Open::Damage(index) => report.damage[index].commits_missing = missing,
            Open::Missing(index) => report.missing_segments[index].commits_missing = missing,
            Open::Nothing if known && !missing.is_empty() => {
                let at = frame.at as u64;
                report.damage.push(Damage { segment, from: at, to: at, commits_missing: missing });
            }
            Open::Nothing => {}
        }
        self.open = Open::Nothing;
        report.last = frame.number;
        report.commits += 1;
    }

    fn damage(&mut self, segment: SegmentNumber, from: usize, to: usize) {
        let damage = &mut self.found.report.damage;
        damage.push(Damage { segment, from: from as u64, to: to as u64, commits_missing: nothing() });
        if matches!(self.open, Open::Nothing) {
            self.open = Open::Damage(damage.len() - 1);
        }
    }

    /// What was torn is damage once something stands behind it: commits went on only where all before was whole.
    fn close_torn(&mut self) {
        if let Some(Torn { segment, from, to }) = self.found.report.torn.take() {
            let at = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            self.damage(segment, at(from), at(to));
        }
    }
}

/// No commit.
fn nothing() -> std::ops::RangeInclusive<CommitNumber> {
    CommitNumber(1)..=CommitNumber(0)
}
