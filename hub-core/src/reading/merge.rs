//! The messages of many topics in the order of their log, read lazily: each source is looked at when its next message
//! is due, and nothing is held of it between two looks but a place.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use tidewire_protocol::block as wire;
use tidewire_protocol::number::{Offset, TailNumber};

use crate::block::{Block, Entry, Open};
use crate::clock::Millis;
use crate::ledger::{Account, Charge, Kind};
use crate::reading::fetch::Fetch;
use crate::reading::gather::{Found, HEAD_BYTES, Held, STEP_NAMES};
use crate::reading::most::Most;
use crate::tail::away::Run;
use crate::tail::{self, Tail};

mod away;

/// A merge under way.
#[derive(Debug)]
pub struct Merge {
    /// Topics still to be placed.
    unplaced: Vec<Held>,
    sources: Vec<Source>,
    /// The sources by their next offset.
    next: BinaryHeap<Reverse<(Offset, u32)>>,
    /// Everything up to here was read.
    cursor: Offset,
    /// From here on topics count that keep nothing to be asked for.
    bare_from: Offset,
    /// It ends here: what comes later, others have.
    upto: Offset,
    /// Where it began.
    begun_at: Offset,
    /// Losses up to here are told with the next part.
    lost: Option<Offset>,
    /// What was read from the disk for the next part.
    fetched: Fetch,
    charge: Charge,
}

/// A topic, and how far it is read.
#[derive(Debug)]
struct Source {
    tail: Arc<Tail>,
    /// Everything up to here was read, or is not wanted.
    before: Offset,
    /// Where that lies in its block, so that it need not be looked for again.
    place: Place,
}

/// A place in a block.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// The block lies between these offsets, and its messages take so many bytes: fewer once some of them have expired.
    block: (Offset, Offset, u32),
    /// The message before the place.
    behind: Offset,
    /// Bytes from the place to the block's end; 0 where no place is known.
    left: u32,
}

/// A part of what is merged.
#[derive(Debug, Default)]
pub struct Part {
    /// Messages.
    pub blocks: Vec<Arc<Block>>,
    /// Bytes that these take.
    pub bytes: usize,
    /// Everything up to here is in this part, or in those before.
    pub upto: Offset,
    /// Messages up to here are gone that this reader had still to get. Told before those that are here.
    pub lost: Option<Offset>,
    /// Nothing is left.
    pub done: bool,
    /// There is nothing in it, since what comes next has to be read from the disk first.
    pub is_away: bool,
}

/// What the parts are to be.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    /// The tail's number.
    pub tail: TailNumber,
    /// The log's place among those of the subscription.
    pub log: u8,
    /// How long a part is. Where no message is left, it only says whether there is more.
    pub most: Most,
    /// Whether messages name their topics.
    pub named: bool,
    /// Bytes of a block.
    pub block_bytes: usize,
    /// Where blocks are counted.
    pub account: &'a Arc<Account>,
}

/// A part while it is filled.
struct Filling<'a> {
    form: &'a Form<'a>,
    open: Open,
    blocks: Vec<Arc<Block>>,
    bytes: usize,
    messages: usize,
    cursor: Offset,
}

impl Part {
    /// Lets go of the blocks that end at `cursor` or before.
    pub fn pass(&mut self, cursor: Offset) {
        let passed = self.blocks.partition_point(|block| block.last <= cursor);
        self.bytes -= self.blocks.drain(..passed).map(|block| block.size()).sum::<usize>();
    }

    /// The reader takes no more for now. It keeps the block of which `half` is written itself, and other encodings of the
    /// rest are made when it goes on.
    pub fn wait(&mut self, half: Option<&Arc<Block>>) {
        let is_half = |block: &mut Arc<Block>| half.is_some_and(|half| Arc::ptr_eq(half, block));
        for block in self.blocks.extract_if(.., is_half) {
            self.bytes -= block.size();
            block.let_go();
        }
        for block in self.blocks.iter_mut().filter_map(Arc::get_mut) {
            block.drop_derived();
        }
    }
}

impl Merge {
    /// A merge of what was found, after `cursor`; topics that keep nothing to be asked for count after `bare_from`.
    #[must_use]
    pub fn new(found: Found, cursor: Offset, bare_from: Offset, charge: Charge) -> Self {
        let upto = found.upto.max(cursor);
        let (sources, next) = (Vec::new(), BinaryHeap::new());
        let fetched = Fetch::default();
        let (unplaced, begun_at, lost) = (found.topics, cursor, None);
        Self { unplaced, sources, next, cursor, bare_from, upto, begun_at, lost, fetched, charge }
    }

    /// Messages up to there are gone that the reader had still to get: that is told with the next part.
    pub fn lose(&mut self, lost: Offset) {
        self.lost = self.lost.max(Some(lost));
    }

    /// Finds the next messages of a few topics; `true` when all are placed.
    pub fn place(&mut self, now: Millis) -> bool {
        let few = self.unplaced.len().saturating_sub(STEP_NAMES);
        for Held { tail, gone } in self.unplaced.split_off(few) {
            let from = if tail.readable() { self.cursor } else { self.cursor.max(self.bare_from) };
            let source = Source { tail, before: from.max(gone), place: Place::default() };
            let place = self.sources.len() as u32;
            if let Some(due) = source.due(now) {
                self.sources.push(source);
                self.next.push(Reverse((due, place)));
            }
        }
        self.charge.set(self.bytes());
        self.unplaced.is_empty()
    }

    /// Everything up to here was read.
    #[must_use]
    pub fn cursor(&self) -> Offset {
        self.cursor
    }

    /// Where it began.
    #[must_use]
    pub fn begun_at(&self) -> Offset {
        self.begun_at
    }

    /// It ends here.
    #[must_use]
    pub fn upto(&self) -> Offset {
        self.upto
    }

    /// From here on topics count that keep nothing to be asked for.
    #[must_use]
    pub fn bare_from(&self) -> Offset {
        self.bare_from
    }

    /// Reads the next part.
    pub fn read(&mut self, now: Millis, form: &Form<'_>) -> Part {
        let mut filling = Filling {
            form,
            open: Open::new(form.account, Kind::Messages),
            blocks: Vec::new(),
            bytes: 0,
            messages: 0,
            cursor: self.cursor,
        };
        let mut part = Part { lost: self.lost.take(), ..Part::default() };
        let mut losses = 0;
        loop {
            let Some(Reverse((due, place))) = self.next.pop() else {
                part.done = true;
                break;
            };
            if due > self.upto {
                part.done = true;
                break;
            }
            let source = &mut self.sources[place as usize];
            let others = self.next.peek().map_or(Offset(u64::MAX), |Reverse((other, _))| *other);
            // One message at least, though another source may have lost its own at the same place.
            let end = others.max(due.next()).min(self.upto.next());
            let (went_on, next) = match source.look(now) {
                // Told in its order: behind what was read before, so in the next part.
                Look::Lost(_) if filling.bytes > 0 => {
                    self.next.push(Reverse((due, place)));
                    break;
                }
                Look::Lost(upto) => {
                    (source.before, source.place) = (upto, Place::default());
                    part.lost = part.lost.max(Some(upto));
                    if !form.named {
                        filling.cursor = filling.cursor.max(upto);
                    }
                    losses += 1;
                    (losses < STEP_NAMES, None)
                }
                Look::Block(block) => source.run(&block, end, &mut filling),
                Look::Away(run) => {
                    match source.run_away(&run, end, (&self.fetched, source.tail.given_ms(now)), &mut filling)
                    {
                        Some(went_on) => (went_on, None),
                        None => {
                            part.is_away = filling.bytes == 0 && part.lost.is_none();
                            self.next.push(Reverse((due, place)));
                            break;
                        }
                    }
                }
                Look::Nothing => (true, None),
            };
            // What the block at hand has next need not be looked for.
            if let Some(due) = next.or_else(|| source.due(now)) {
                self.next.push(Reverse((due, place)));
            }
            if !went_on {
                break;
            }
        }
        part.upto = if part.done { self.upto } else { filling.cursor };
        self.cursor = part.upto;
        if part.done || self.fetched.offsets().last().is_some_and(|last| *last <= self.cursor) {
            self.bring(Fetch::default());
        }
        part.blocks = filling.end();
        part.bytes = part.blocks.iter().map(|block| block.size()).sum();
        part
    }

    fn bytes(&self) -> usize {
        self.unplaced.capacity() * size_of::<Held>()
            + self.sources.capacity() * size_of::<Source>()
            + self.next.capacity() * size_of::<Reverse<(Offset, u32)>>()
            + self.fetched.bytes()
    }
}

/// What a source has next.
enum Look {
    /// This block, which ends after its place.
    Block(Arc<Block>),
    /// These messages, some of them after its place, are away.
    Away(Arc<Run>),
    /// Everything up to here is gone, and was still to be read.
    Lost(Offset),
    Nothing,
}

impl Source {
    /// When its turn is: the offset of its next message, or of the first that it has lost.
    fn due(&self, now: Millis) -> Option<Offset> {
        let found = self.tail.next_after(now, self.before);
        if found.gone > self.before {
            return Some(self.before.next());
        }
        if let Some(run) = found.run {
            return run.places().map(|place| place.offset).find(|offset| *offset > self.before);
        }
        let block = found.block?;
        if block.first > self.before {
            return Some(block.first);
        }
        let wire = block.wire();
        self.records(&block, &wire).flatten().map(|record| record.offset).find(|offset| *offset > self.before)
    }

    /// Looks at what comes next.
    fn look(&self, now: Millis) -> Look {
        let found = self.tail.next_after(now, self.before);
        if found.gone > self.before {
            return Look::Lost(found.gone);
        }
        match (found.run, found.block) {
            (Some(run), _) => Look::Away(run),
            (None, Some(block)) => Look::Block(block),
            (None, None) => Look::Nothing,
        }
    }

    /// Reads on in a block up to `end`; `false` if the part is full. Gives also the next message, if the block has it.
    fn run(&mut self, block: &Block, end: Offset, filling: &mut Filling<'_>) -> (bool, Option<Offset>) {
        let wire = block.wire();
        let mut records = self.records(block, &wire);
        let mut behind =
            if records.rest_bytes() == wire.records.len() { block.prev } else { self.place.behind };
        loop {
            let left = records.rest_bytes() as u32;
            let Some(Ok(record)) = records.next() else {
                (self.before, self.place) = (self.before.max(block.last), Place::default());
                return (true, None);
            };
            if record.offset > self.before {
                let place =
                    Place { block: (block.prev, block.last, wire.records.len() as u32), behind, left };
                if record.offset >= end {
                    self.place = place;
                    return (true, Some(record.offset));
                }
                if !filling.add(&self.tail, &Entry::of(&record)) {
                    self.place = place;
                    return (false, Some(record.offset));
                }
                self.before = record.offset;
            }
            behind = record.offset;
        }
    }

    /// The records of a block from its place on, if that is known.
    fn records<'a>(&self, block: &Block, wire: &wire::Block<'a>) -> wire::Records<'a> {
        let (records, Place { block: known, behind, left }) = (wire.records(), self.place);
        let left = left as usize;
        if (block.prev, block.last, wire.records.len() as u32) != known
            || left == 0
            || left > records.rest_bytes()
        {
            return records;
        }
        let at = records.rest_bytes() - left;
        records.resume(at, behind)
    }
}

impl Filling<'_> {
    /// Adds a message; `false` if it is too much.
    pub(super) fn add(&mut self, tail: &Tail, entry: &Entry<'_>) -> bool {
        let size = entry.len() + HEAD_BYTES;
        if self.is_full() || self.bytes > 0 && self.bytes + size > self.form.most.bytes {
            return false;
        }
        if !self.open.is_empty() && self.open.len() + size > self.form.block_bytes {
            self.seal();
        }
        let topic = match &tail.source {
            tail::Source::Topic(name) if self.form.named => Some(name.text()),
            tail::Source::Topic(_) | tail::Source::Pattern(_) => None,
        };
        self.open.append(self.cursor, &Entry { topic, ..*entry }, self.form.account);
        self.cursor = entry.offset;
        self.bytes += size;
        self.messages += 1;
        true
    }

    /// Whether it has all the messages that it may have.
    pub(super) const fn is_full(&self) -> bool {
        self.messages >= self.form.most.messages
    }

    fn seal(&mut self) {
        let Form { tail, log, account, .. } = *self.form;
        if !self.open.is_empty() {
            let open = std::mem::replace(&mut self.open, Open::new(account, Kind::Messages));
            self.blocks.push(Arc::new(open.seal(tail, log)));
        }
    }

    fn end(mut self) -> Vec<Arc<Block>> {
        self.seal();
        self.blocks
    }
}
