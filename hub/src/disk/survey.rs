//! Goes through all segments once, from the first commit to the last, and says what is missing.

use tidewire_hub_core::frames::scan::{Frame, Item, Scan};
use tidewire_hub_core::frames::{CommitNumber, DirectoryId, Merged, SEGMENT_HEADER_BYTES, SegmentNumber};

use crate::disk::files::Files;
use crate::disk::head::{End, Head};
use crate::disk::merging::Present;
use crate::disk::refusal::{OpenError, refusal};
use crate::disk::report::{Damage, LostAnswered, MissingSegments, Report, Torn};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) report: Report,
    /// The last segment that holds something, or the first if none does.
    pub(crate) last: Option<LastSegment>,
    /// Segments behind it that hold nothing: made ahead, unless something that was answered is lost with them.
    pub(crate) empty: Vec<SegmentNumber>,
    /// Segments in whose place a merged one is.
    pub(crate) replaced: Vec<SegmentNumber>,
}

/// The segment that is to be written to.
#[derive(Debug, Default)]
pub(crate) struct LastSegment {
    pub(crate) number: SegmentNumber,
    /// What was read of it: the disk may hold something else.
    pub(crate) bytes: Vec<u8>,
    /// Where the last whole commit ends.
    pub(crate) end: usize,
    /// It is merged: commits do not go on in it.
    pub(crate) is_merged: bool,
}

/// What the number of the next commit tells more of.
#[derive(Debug, Clone, Copy)]
enum Open {
    Nothing,
    Damage(usize),
    Missing(usize),
}

struct Course<F> {
    directory: DirectoryId,
    visit: F,
    found: Survey,
    open: Open,
    /// The segment before the next, if there is one.
    before: Option<SegmentNumber>,
    /// A commit was seen, or a segment that stands for some: what is missing before the next was not removed on purpose.
    begun: bool,
    /// What the segment stands for that is gone through, if it is merged.
    merged: Option<Merged>,
    headless: Option<Headless>,
}

/// A segment whose header is damaged: nobody knows whether it is merged, so what is missing in it is told as one.
#[derive(Debug, Clone, Copy)]
struct Headless {
    damage: usize,
    /// Nothing is before it, so that nobody knows where what is missing begins.
    is_first: bool,
}

impl Survey {
    /// Reads all segments of a directory, and shows each commit that is whole.
    pub(crate) fn of(
        files: &Files,
        head: Option<&Head>,
        visit: impl FnMut(SegmentNumber, Frame<'_>),
    ) -> Result<Self, OpenError> {
        let refused = |number| move |error| refusal(&files.path(number), error);
        let segments = files.segments_if_any().map_err(|error| refusal(files.folder(), error))?;
        let merged = |number| files.merged(number).map_err(refused(number));
        let present = Present::of(segments.into_iter().map(|segment| segment.number), merged)?;
        let read = |number, bytes: &mut Vec<u8>| files.read(number, bytes).map_err(refused(number));
        Self::take(files.directory, present, head, read, visit)
    }

    /// Has these segments read one after another, and shows each commit that is whole.
    ///
    /// # Errors
    /// What reading one says.
    pub(crate) fn take<E>(
        directory: DirectoryId,
        present: Present,
        head: Option<&Head>,
        mut read: impl FnMut(SegmentNumber, &mut Vec<u8>) -> Result<(), E>,
        visit: impl FnMut(SegmentNumber, Frame<'_>),
    ) -> Result<Self, E> {
        let Present { counts, replaced } = present;
        let found = Self { replaced, ..Self::default() };
        let (open, before, begun, merged, headless) = (Open::Nothing, None, false, None, None);
        let mut course = Course { directory, visit, found, open, before, begun, merged, headless };
        let mut bytes = Vec::new();
        for (number, merged) in counts {
            course.skip_to(merged.map_or(number, |merged| merged.from), number);
            read(number, &mut bytes)?;
            course.segment(number, &mut bytes);
        }
        let lost = head.filter(|head| head.commit > course.found.report.last);
        if let Some(head) = lost {
            course.skip_to(head.segment.next(), head.segment.next());
        }
        let mut found = course.found;
        let last = found.report.last;
        found.report.lost_answered = lost.map(|head| LostAnswered { answered: head.commit, found: last });
        found.report.head_lost = head.is_none() && found.report.segments > 0;
        found.report.is_copy = head.is_some_and(|head| head.end == End::Copied);
        Ok(found)
    }
}

impl<F: FnMut(SegmentNumber, Frame<'_>)> Course<F> {
    /// Notes which segments are missing before this one, which stands for those from another on.
    fn skip_to(&mut self, from: SegmentNumber, number: SegmentNumber) {
        let Some(before) = self.before.replace(number) else { return };
        let due = before.next();
        if due >= from {
            return;
        }
        let segments = due..=SegmentNumber(from.0 - 1);
        let missing = &mut self.found.report.missing_segments;
        missing.push(MissingSegments { segments, commits_missing: nothing() });
        if matches!(self.open, Open::Nothing) {
            self.open = Open::Missing(missing.len() - 1);
        }
    }

    fn segment(&mut self, number: SegmentNumber, bytes: &mut Vec<u8>) {
        self.found.report.segments += 1;
        let mut end = 0;
        let scan = Scan::new(self.directory, number, bytes, self.found.report.last);
        let merged = scan.merged();
        let mut holds_something = merged.is_some();
        self.begin(number, merged);
        for item in scan {
            if !matches!(item, Item::End { .. }) && !holds_something {
                holds_something = true;
                self.close_torn();
            }
            match item {
                Item::Frame(frame) => {
                    self.frame(number, frame);
                    (self.visit)(number, frame);
                }
                Item::Damage { from, to } => {
                    self.damage(number, from, to);
                    if from == 0 {
                        let damage = self.found.report.damage.len() - 1;
                        self.headless = Some(Headless { damage, is_first: !self.begun });
                    }
                }
                Item::Torn { from, to } => {
                    end = from;
                    self.found.report.torn = Some(Torn { segment: number, from: from as u64, to: to as u64 });
                }
                Item::End { at } => end = at,
            }
        }
        self.end_merged();
        self.found.report.bytes += end as u64;
        if holds_something || self.found.last.is_none() {
            let last = self.found.last.get_or_insert_default();
            (last.number, last.end, last.is_merged) = (number, end, merged.is_some());
            std::mem::swap(&mut last.bytes, bytes);
            self.found.empty.clear();
        } else {
            self.found.empty.push(number);
        }
    }

    /// Begins with a segment. One that is merged stands for its commits from the first on.
    fn begin(&mut self, number: SegmentNumber, merged: Option<Merged>) {
        (self.merged, self.headless) = (merged, None);
        let Some(Merged { from, first, .. }) = merged else { return };
        self.close_torn();
        self.begun |= from == SegmentNumber(1);
        self.reach(number, SEGMENT_HEADER_BYTES, first);
        self.begun = true;
        self.found.report.last = self.found.report.last.max(CommitNumber(first.0 - 1));
    }

    /// Ends with a merged segment: all that it stands for is accounted for.
    fn end_merged(&mut self) {
        let Some(Merged { last, .. }) = self.merged.take() else { return };
        self.close_torn();
        let report = &mut self.found.report;
        if let Open::Damage(index) = self.open {
            report.damage[index].commits_missing = report.last.next()..=last;
        }
        self.open = Open::Nothing;
        report.last = report.last.max(last);
    }

    fn frame(&mut self, segment: SegmentNumber, frame: Frame<'_>) {
        self.begun |= segment == SegmentNumber(1);
        self.reach(segment, frame.at, frame.number);
        self.begun = true;
        self.found.report.last = frame.number;
        self.found.report.commits += 1;
    }

    /// Notes which commits are missing before this one.
    fn reach(&mut self, segment: SegmentNumber, at: usize, number: CommitNumber) {
        let report = &mut self.found.report;
        let missing = report.last.next()..=CommitNumber(number.0 - 1);
        let excused =
            self.merged.is_some_and(|merged| (merged.first..=merged.last).contains(missing.start()));
        match self.open {
            // What was before the first commit that is left may have been removed on purpose: the place tells the loss.
            Open::Damage(_) if !self.begun => {}
            Open::Damage(index) => report.damage[index].commits_missing = missing,
            Open::Missing(index) => report.missing_segments[index].commits_missing = missing,
            Open::Nothing if !self.begun || missing.is_empty() || excused => {}
            Open::Nothing => match self.headless {
                Some(Headless { is_first: true, .. }) => {}
                Some(Headless { damage, .. }) => {
                    let told = &mut report.damage[damage].commits_missing;
                    let first = if told.is_empty() { *missing.start() } else { *told.start() };
                    *told = first..=*missing.end();
                }
                None => {
                    let at = at as u64;
                    report.damage.push(Damage { segment, from: at, to: at, commits_missing: missing });
                }
            },
        }
        self.open = Open::Nothing;
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
