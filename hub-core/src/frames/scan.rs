//! What stands in a segment, whatever happened to its bytes.

use crate::frames::{
    CommitNumber, DirectoryId, FRAME_HEADER_BYTES, FRAME_MAGIC, Header, Merged, SEGMENT_HEADER_BYTES, Seeds,
    SegmentHeader, SegmentNumber,
};
use crate::mutant::{self, Mutant};

/// Goes through the bytes of a segment. Behind damage it goes on with the next frame that is whole, at whatever byte
/// that begins. The last item, and no other, is [`Item::End`] or [`Item::Torn`].
///
/// Its work is linear in the bytes, whatever they are.
#[derive(Debug)]
pub struct Scan<'a> {
    bytes: &'a [u8],
    seeds: Seeds,
    at: usize,
    /// The number of the last frame, of this segment or one before it.
    last: CommitNumber,
    /// How many more bytes of bodies may be looked at in vain.
    patience: usize,
    merged: Option<Merged>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Frames,
    Done,
}

/// What stands in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A commit that is whole. Numbers rise; that one is missing is for the caller to see.
    Frame(Frame<'a>),
    /// Here bytes are lost, and behind them stands a whole frame.
    Damage {
        /// The first byte that belongs to no whole frame.
        from: usize,
        /// Where the next begins.
        to: usize,
    },
    /// From here on no frame is whole: one was not written to its end, or what was there is lost.
    Torn {
        /// Where the last whole frame ends.
        from: usize,
        /// Where the last byte ends that is not zero.
        to: usize,
    },
    /// From here on there are zeros or nothing.
    End {
        /// Where the last whole frame ends; 0 where not even the segment's header was written.
        at: usize,
    },
}

/// A commit in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its number.
    pub number: CommitNumber,
    /// Where its header begins; the body follows after [`FRAME_HEADER_BYTES`].
    pub at: usize,
    /// What was committed.
    pub body: &'a [u8],
}

impl<'a> Scan<'a> {
    /// Of all bytes of a segment, its header included. Frames whose numbers are not above `after`, the last of the
    /// segments before this, are none.
    #[must_use]
    pub fn new(directory: DirectoryId, segment: SegmentNumber, bytes: &'a [u8], after: CommitNumber) -> Self {
        let header = SegmentHeader::read(bytes, directory, segment);
        let (at, state) =
            if header.is_some() { (SEGMENT_HEADER_BYTES, State::Frames) } else { (0, State::Header) };
        let (seeds, merged) = (Seeds::new(directory, segment), header.and_then(|header| header.merged));
        Self { bytes, seeds, at, last: after, patience: bytes.len(), merged, state }
    }

    /// What it stands for, if it is merged and its header says so.
    #[must_use]
    pub const fn merged(&self) -> Option<Merged> {
        self.merged
    }

    fn header(&self, at: usize) -> Option<Header> {
        let header = Header::read(self.bytes.get(at..)?, self.seeds)?;
        (header.number > self.last).then_some(header)
    }

    fn frame(&self, at: usize, header: Header) -> Option<Frame<'a>> {
        let rest = self.bytes.get(at + FRAME_HEADER_BYTES..)?;
        if mutant::active(Mutant::CommitTakenInPart) && rest.len() < header.body_bytes() {
            return Some(Frame { number: header.number, at, body: rest });
        }
        let body = rest.get(..header.body_bytes())?;
        let holds = crc32c::crc32c_append(self.seeds.body, body) == header.body_crc;
        holds.then_some(Frame { number: header.number, at, body })
    }

    /// What is here instead of a whole frame.
    fn search(&mut self) -> Item<'a> {
        let from = self.at;
        let Some(written) = self.bytes[from..].iter().position(|byte| *byte != 0) else {
            self.state = State::Done;
            return Item::End { at: from };
        };
        let mut at = from + written;
        while let Some(magic) = self.next_magic(at) {
            at = match self.header(magic) {
                Some(header) if self.frame(magic, header).is_some() => {
                    (self.at, self.state) = (magic, State::Frames);
                    return Item::Damage { from, to: magic };
                }
                Some(header) => self.behind(magic, header),
                None => magic + 1,
            };
        }
        self.state = State::Done;
        let to = self.bytes.iter().rposition(|byte| *byte != 0).map_or(from, |last| last + 1);
        Item::Torn { from, to }
    }

    fn next_magic(&self, from: usize) -> Option<usize> {
        let mut at = from;
        loop {
            at += self.bytes.get(at..)?.iter().position(|byte| *byte == FRAME_MAGIC[0])?;
            if self.bytes[at..].starts_with(&FRAME_MAGIC) {
                return Some(at);
            }
            at += 1;
        }
    }

    /// Where to look on behind a header whose body is not whole: behind the body, if the next frame begins there or if too
    /// much was looked at in vain; else inside of the body, since bytes may be missing from it.
    fn behind(&mut self, at: usize, header: Header) -> usize {
        let end = at + FRAME_HEADER_BYTES + header.body_bytes();
        if end > self.bytes.len() {
            // Its body was not looked at.
            return at + 1;
        }
        let next = self.header(end).is_some_and(|next| next.number == header.number.next());
        if next || header.body_bytes() > self.patience {
            return end;
        }
        self.patience -= header.body_bytes();
        at + 1
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        match self.state {
            State::Done => return None,
            State::Header => return Some(self.search()),
            State::Frames => {}
        }
        let frame = self.header(self.at).and_then(|header| self.frame(self.at, header));
        let Some(frame) = frame else { return Some(self.search()) };
        self.at += FRAME_HEADER_BYTES + frame.body.len();
        self.last = frame.number;
        Some(Item::Frame(frame))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::frames::{BODY_BYTES_MAX, TooLong, begin, seal};

    const DIRECTORY: DirectoryId = DirectoryId(0x5eed);
    const SEGMENT: SegmentNumber = SegmentNumber(3);
    const BEFORE: CommitNumber = CommitNumber(6);
    const ZEROS: usize = 20;

    /// A segment with these commits from 7 on, and where each ends, the header first.
    fn segment(bodies: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = header(None).to_vec();
        let mut ends = vec![bytes.len()];
        for (body, number) in bodies.iter().zip(7..) {
            put(&mut bytes, number, body, Seeds::new(DIRECTORY, SEGMENT));
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn header(merged: Option<Merged>) -> [u8; SEGMENT_HEADER_BYTES] {
        SegmentHeader { directory: DIRECTORY, segment: SEGMENT, merged }.bytes()
    }

    fn put(bytes: &mut Vec<u8>, number: u64, body: &[u8], seeds: Seeds) {
        let at = begin(bytes);
        bytes.extend_from_slice(body);
        seal(&mut bytes[at..], CommitNumber(number), seeds).unwrap();
    }

    /// Bodies that are empty, short, like a frame, and end in zeros.
    fn some_bodies() -> Vec<Vec<u8>> {
        let mut like_a_frame = Vec::new();
        put(&mut like_a_frame, 9, b"not of this segment", Seeds::new(DIRECTORY, SegmentNumber(2)));
        vec![
            b"first".to_vec(),
            Vec::new(),
            like_a_frame,
            vec![1, 2, 3, 0, 0, 0],
            b"the last of them".to_vec(),
        ]
    }

    fn scan(bytes: &[u8]) -> Vec<Item<'_>> {
        Scan::new(DIRECTORY, SEGMENT, bytes, BEFORE).collect()
    }

    fn frames<'a>(items: &[Item<'a>]) -> Vec<(u64, &'a [u8])> {
        let frame = |item: &Item<'a>| match item {
            Item::Frame(frame) => Some((frame.number.0, frame.body)),
            Item::Damage { .. } | Item::Torn { .. } | Item::End { .. } => None,
        };
        items.iter().filter_map(frame).collect()
    }

    /// What is yielded is each commit that no byte of this range belongs to, and what is lost is told.
    #[track_caller]
    fn check_without(bodies: &[Vec<u8>], ends: &[usize], bytes: &[u8], hit: std::ops::Range<usize>) {
        let items = scan(bytes);
        let whole = |index: &usize| ends[index + 1] <= hit.start || hit.end <= ends[*index];
        let whole: Vec<_> = (0..bodies.len()).filter(whole).collect();
        let expected: Vec<_> =
            whole.iter().map(|index| (*index as u64 + 7, bodies[*index].as_slice())).collect();
        assert_eq!(frames(&items), expected, "{hit:?}");
        let told = items.iter().any(|item| match item {
            Item::Frame(_) | Item::End { .. } => false,
            Item::Damage { from, to } | Item::Torn { from, to } => *from <= hit.start && hit.start <= *to,
        });
        assert!(told, "{hit:?} {items:?}");
    }

    #[test]
    fn every_flipped_bit_costs_the_frame_it_hits_and_no_other() {
        let bodies = some_bodies();
        let (mut bytes, ends) = segment(&bodies);
        bytes.resize(bytes.len() + ZEROS, 0);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                check_without(&bodies, &ends, &bytes, at..at + 1);
                bytes[at] ^= 1 << bit;
            }
        }
    }

    #[test]
    fn every_range_of_other_bytes_costs_the_frames_it_hits_and_no_other() {
        let bodies = some_bodies();
        let (bytes, ends) = segment(&bodies);
        for from in 0..bytes.len() {
            for to in from + 1..=bytes.len() {
                let mut other = bytes.clone();
                other[from..to].iter_mut().for_each(|byte| *byte = !*byte);
                check_without(&bodies, &ends, &other, from..to);
            }
        }
    }

    #[test]
    fn frames_are_found_behind_bytes_that_are_missing_or_too_many() {
        let bodies = some_bodies();
        let (bytes, ends) = segment(&bodies);
        let all: Vec<_> = (7..).zip(bodies.iter().map(Vec::as_slice)).collect();
        for from in 0..bytes.len() - 1 {
            for to in from + 1..bytes.len() {
                let short = [&bytes[..from], &bytes[to..]].concat();
                let found = frames(&scan(&short));
                // The end of one frame may make another whole whose end is missing, where both are the same bytes.
                assert!(found.iter().all(|frame| all.contains(frame)), "{from}..{to}");
                let before = all.iter().take_while(|(number, _)| ends[*number as usize - 6] <= from);
                let behind = all.iter().skip_while(|(number, _)| ends[*number as usize - 7] < to);
                let missing = before.chain(behind).find(|frame| !found.contains(frame));
                assert_eq!(missing, None, "{from}..{to}");
            }
            let long = [&bytes[..from], b"more", &bytes[from..]].concat();
            let hit = ends.windows(2).position(|frame| frame[0] < from && from < frame[1]);
            let mut expected = all.clone();
            hit.map(|hit| expected.remove(hit));
            assert_eq!(frames(&scan(&long)), expected, "{from}");
        }
    }

    #[test]
    fn every_cut_leaves_what_is_before_it_and_tells_a_torn_frame() {
        let bodies = some_bodies();
        let (mut bytes, ends) = segment(&bodies);
        let end = bytes.len();
        bytes.resize(end + ZEROS, 0);
        for cut in 0..=bytes.len() {
            let items = scan(&bytes[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let expected: Vec<_> =
                (7..).zip(bodies.iter().map(Vec::as_slice)).take(whole.max(1) - 1).collect();
            assert_eq!(frames(&items), expected, "{cut}");
            let from = if whole == 0 { 0 } else { ends[whole - 1] };
            let torn = bytes[from..cut].iter().any(|byte| *byte != 0);
            let to = bytes[..cut].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let last = if torn { Item::Torn { from, to } } else { Item::End { at: from } };
            assert_eq!(items.last(), Some(&last), "{cut}");
            assert_eq!(items.len(), expected.len() + 1, "{cut}");
        }
    }

    #[test]
    fn what_is_no_frame_of_this_segment_or_comes_too_late_is_none() {
        let own = Seeds::new(DIRECTORY, SEGMENT);
        let others = [
            (8, Seeds::new(DIRECTORY, SegmentNumber(4))),
            (8, Seeds::new(DirectoryId(DIRECTORY.0 ^ 1), SEGMENT)),
            (8, Seeds::new(DirectoryId(DIRECTORY.0 ^ 1 << 127), SEGMENT)),
            (7, own),
            (6, own),
        ];
        for (number, seeds) in others {
            let (mut bytes, ends) = segment(&[b"whole".to_vec()]);
            put(&mut bytes, number, b"stale", seeds);
            let torn = Item::Torn { from: ends[1], to: bytes.len() };
            assert_eq!(scan(&bytes)[1..], [torn], "{number} {seeds:?}");
            let to = bytes.len();
            put(&mut bytes, 8, b"next", own);
            assert_eq!(scan(&bytes)[1], Item::Damage { from: ends[1], to }, "{number} {seeds:?}");
        }
    }

    /// Looked at body by body this would be some hundred gigabytes.
    #[test]
    fn bodies_that_never_hold_are_not_looked_at_again_and_again() {
        let mut bytes = header(None).to_vec();
        let (headers, tail) = (200_000, 32);
        let end = bytes.len() + headers * FRAME_HEADER_BYTES + tail;
        let seeds = Seeds::new(DIRECTORY, SEGMENT);
        for index in 0..headers {
            let length = (headers - index - 1) * FRAME_HEADER_BYTES + tail - 1;
            let body_bytes = u32::try_from(length).unwrap();
            let header = Header { number: CommitNumber(7), body_bytes, body_crc: 1 };
            bytes.extend_from_slice(&header.write(seeds));
        }
        bytes.resize(end, 0x55);
        put(&mut bytes, 7, b"found", seeds);
        let items = scan(&bytes);
        assert_eq!(items[0], Item::Damage { from: SEGMENT_HEADER_BYTES, to: end });
        assert_eq!(frames(&items), [(7, b"found".as_slice())]);
    }

    #[test]
    fn a_body_that_is_too_long_is_not_sealed() {
        let mut frame = vec![0; FRAME_HEADER_BYTES + BODY_BYTES_MAX];
        let seeds = Seeds::new(DIRECTORY, SEGMENT);
        assert_eq!(seal(&mut frame, CommitNumber(1), seeds), Ok(()));
        frame.push(0);
        assert_eq!(seal(&mut frame, CommitNumber(1), seeds), Err(TooLong { bytes: BODY_BYTES_MAX + 1 }));
    }

    #[test]
    fn what_a_merged_segment_stands_for_is_read_and_no_other_header_is() {
        let merged = |from, first, last| Merged {
            from: SegmentNumber(from),
            first: CommitNumber(first),
            last: CommitNumber(last),
        };
        let read = |bytes: &[u8]| Scan::new(DIRECTORY, SEGMENT, bytes, BEFORE).merged();
        for told in [merged(1, 3, 9), merged(3, 7, 7)] {
            assert_eq!(read(&header(Some(told))), Some(told));
        }
        for none in [merged(4, 3, 9), merged(1, 0, 9), merged(1, 9, 8)] {
            assert_eq!(SegmentHeader::read(&header(Some(none)), DIRECTORY, SEGMENT), None, "{none:?}");
        }
        for bit in 0..SEGMENT_HEADER_BYTES * 8 {
            let mut bytes = header(Some(merged(1, 3, 9)));
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::read(&bytes, DIRECTORY, SEGMENT), None, "{bit}");
        }
    }

    #[test]
    fn a_segment_looks_like_this() {
        let (bytes, _) = segment(&[b"body".to_vec()]);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, GOLDEN);
    }

    const GOLDEN: &str = "7469646577736567010000000300000000000000ed5e0000000000000000000000000000\
        000000000000000000000000000000000000000000000000866c0b19\
        f1d3a74c040000000700000000000000f9a80f81de83ee57626f6479";

    proptest! {
        #[test]
        fn what_was_written_is_read(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            zeros in 0..100_usize,
        ) {
            let (mut bytes, ends) = segment(&bodies);
            bytes.resize(bytes.len() + zeros, 0);
            let items = scan(&bytes);
            let expected: Vec<_> = (7..).zip(bodies.iter().map(Vec::as_slice)).collect();
            prop_assert_eq!(frames(&items), expected);
            prop_assert_eq!(&items[bodies.len()..], &[Item::End { at: ends[bodies.len()] }]);
        }

        /// Pieces of a segment in any order, cut and repeated, with anything in between.
        #[test]
        fn only_what_was_written_is_read_and_in_order(
            pieces in prop::collection::vec((0..400_usize, 0..400_usize, prop::collection::vec(any::<u8>(), 0..40)), 0..12),
        ) {
            let bodies = some_bodies();
            let (bytes, _) = segment(&bodies);
            let mut mixed = Vec::new();
            for (a, b, other) in pieces {
                let (a, b) = (a.min(bytes.len()), b.min(bytes.len()));
                mixed.extend_from_slice(&bytes[a.min(b)..a.max(b)]);
                mixed.extend_from_slice(&other);
            }
            let items = scan(&mixed);
            let mut last = BEFORE.0;
            for (number, body) in frames(&items) {
                prop_assert!(number > last);
                prop_assert_eq!(body, bodies[usize::try_from(number - 7).unwrap()].as_slice());
                last = number;
            }
            let ends = |item: &Item<'_>| matches!(item, Item::Torn { .. } | Item::End { .. });
            prop_assert_eq!(items.iter().position(ends), Some(items.len() - 1));
        }
    }
}
