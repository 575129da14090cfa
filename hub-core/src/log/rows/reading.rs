//! Rows are read.

use tidewire_protocol::code::{Code, Content};
use tidewire_protocol::number::{Epoch, Incarnation, NUMBER_MAX, Offset, ProducerId, Seq, Tag};
use tidewire_protocol::varint::{take, take_bytes};

use crate::clock::Millis;
use crate::log::rows::{
    ExpiredRow, MessageRow, Of, OutcomeRow, ProducerRow, Row, State, TopicRow, WindowRow, answer, kind,
    of_flags,
};
use crate::log::window::Window;
use crate::log::window::run::{Answer, Run};
use crate::record::Record;

/// The rows of a commit.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    rest: &'a [u8],
    producers: u64,
    offset: Offset,
    given: Millis,
}

/// A commit cannot be read, though its checksum is right: it is of another version, or a mistake of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a commit holds a row that this version cannot read")]
pub struct Unreadable;

impl<'a> Rows<'a> {
    /// The rows of this body.
    #[must_use]
    pub const fn new(body: &'a [u8]) -> Self {
        Self { rest: body, producers: 0, offset: Offset(0), given: Millis(0) }
    }

    fn number(&mut self) -> Option<u64> {
        take(&mut self.rest)
    }

    /// A number that clients may be told, so that counting on from it stays in bounds.
    fn counted(&mut self) -> Option<u64> {
        self.number().filter(|number| *number < NUMBER_MAX)
    }

    fn offset(&mut self) -> Option<Offset> {
        self.counted().map(Offset)
    }

    /// Hubs have taken them up to the largest number, once.
    fn seq(&mut self) -> Option<Seq> {
        self.number().filter(|number| *number <= NUMBER_MAX + 1).map(Seq)
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*array)
    }

    fn text(&mut self) -> Option<&'a str> {
        take_bytes(&mut self.rest).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    fn row(&mut self) -> Option<Row<'a>> {
        Some(match self.byte()? {
            kind::STATE => {
                let (epoch, last) = (Epoch(self.number()?), self.offset()?);
                Row::State(State { epoch, last, given: Millis(self.counted()?), secret: self.array()? })
            }
            kind::TOPIC => Row::Topic(TopicRow {
                number: self.counted()?,
                name: self.text()?,
                gone: self.offset()?,
                last: self.offset()?,
                removals_gone: self.offset()?,
            }),
            kind::GONE => Row::Gone(self.text()?, self.offset()?),
            kind::FLOOR => Row::Floor(self.offset()?),
            kind::PRODUCER => Row::Producer(self.producer()?),
            kind::WINDOW => Row::Window(self.window()?),
            kind::WINDOW_GONE => {
                let producer = self.place().filter(|place| *place > 0)?;
                Row::WindowGone(producer, self.text()?)
            }
            kind::MESSAGE => Row::Message(self.message()?),
            kind::OUTCOME => Row::Outcome(OutcomeRow {
                of: self.of()?,
                seq: self.seq()?,
                count: self.number().filter(|count| (1..=u32::MAX.into()).contains(count))?,
                lowest: self.seq()?,
                answer: self.answer()?,
            }),
            kind::KNOWN_LOSS => Row::KnownLoss(self.number()?),
            kind::TOLD => Row::Told(self.number()?),
            kind::EXPIRED => {
                let (topic, last) = (self.number()?, self.offset()?);
                let behind = self.number().filter(|behind| *behind > 0)?;
                let prev = Offset(last.0.checked_sub(behind)?);
                let had_keys = self.byte().filter(|byte| *byte <= 1)? == 1;
                Row::Expired(ExpiredRow { topic, prev, last, had_keys })
            }
            _ => return None,
        })
    }

    fn producer(&mut self) -> Option<ProducerRow<'a>> {
        let (id, incarnation) = (ProducerId(self.array()?), Incarnation(self.number()?));
        let subject = match usize::try_from(self.number()?).ok()?.checked_sub(1) {
            Some(len) => {
                let (subject, rest) = self.rest.split_at_checked(len)?;
                self.rest = rest;
                Some(std::str::from_utf8(subject).ok()?)
            }
            None => None,
        };
        self.producers += 1;
        Some(ProducerRow { id, incarnation, subject })
    }

    fn place(&mut self) -> Option<u64> {
        self.number().filter(|place| *place <= self.producers)
    }

    fn of(&mut self) -> Option<Of> {
        let producer = self.place().filter(|place| *place > 0)?;
        Some(Of { producer, topic: self.number()? })
    }

    fn answer(&mut self) -> Option<Answer> {
        Some(match self.byte()? {
            answer::DONE => Answer::Done(self.offset()?),
            answer::VOID => Answer::Void,
            answer::REFUSED => Answer::Refused(Code::from_number(self.number()?)),
            answer::FORGOTTEN => Answer::Forgotten,
            _ => return None,
        })
    }

    fn window(&mut self) -> Option<WindowRow<'a>> {
        let (producer, topic) = (self.place().filter(|place| *place > 0)?, self.text()?);
        let (first, begin) = (self.seq()?, self.seq()?);
        let count = self.number()?;
        let mut window = Window::restored(first, begin);
        for _ in 0..count {
            let len = self.number().and_then(|len| u32::try_from(len).ok()).filter(|len| *len > 0)?;
            let answer = self.answer()?;
            if window.next().0 + u64::from(len) > NUMBER_MAX + 1
                || matches!(answer, Answer::Done(first) if first.0 + u64::from(len) > NUMBER_MAX)
            {
                return None;
            }
            window.take_run(Run::of(answer).part(0, len));
        }
        Some(WindowRow { producer, topic, window })
    }

    fn message(&mut self) -> Option<MessageRow<'a>> {
        let topic = self.number()?;
        let offset = Offset(self.offset.0.checked_add(self.number()?)?);
        // What comes before it has a lower offset, and a tail asks no more.
        let behind = self.number().filter(|behind| *behind > 0)?;
        let prev = Offset(offset.0.checked_sub(behind)?);
        let given = self.given.plus(self.number()?);
        if offset.0 >= NUMBER_MAX || given.0 >= NUMBER_MAX {
            return None;
        }
        (self.offset, self.given) = (offset, given);
        let (content, maybe_duplicate, has_ext) = of_flags(self.byte()?);
        if content == Content::Unknown {
            return None;
        }
        let (tag, sender) = (Tag(self.number()?), self.text()?);
        let ext = if has_ext { take_bytes(&mut self.rest)? } else { &[] };
        let payload = take_bytes(&mut self.rest)?;
        let numbered = match self.place()? {
            0 => None,
            producer => Some((producer, self.seq()?, self.seq()?)),
        };
        let (published_at, taken_at) = (given, Millis(0));
        let record =
            Record { offset, published_at, taken_at, content, maybe_duplicate, tag, sender, ext, payload };
        Some(MessageRow { topic, prev, numbered, record })
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<Row<'a>, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let row = self.row().ok_or(Unreadable);
        if row.is_err() {
            self.rest = &[];
        }
        Some(row)
    }
}
