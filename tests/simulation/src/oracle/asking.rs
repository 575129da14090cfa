//! Questions for what lies below a place: what one was answered, and whether that is what the log has there.

use tidewire_client_core::output::Message;
use tidewire_protocol::code::GapReason;
use tidewire_protocol::number::{Epoch, Offset};
use tidewire_protocol::position::{Gap, Position};

use crate::names::SelectorIndex;
use crate::oracle::listening::Objection;
use crate::oracle::log::{Log, Record};
use crate::oracle::{Oracle, Uid};

/// A question, as it was asked, and what came so far.
#[derive(Debug)]
pub struct Asking {
    /// Of what.
    pub selector: SelectorIndex,
    /// Below where: one place for each log of a life.
    pub below: Vec<Position>,
    /// How many messages at most.
    pub limit: usize,
    /// How far each log had become visible by then.
    pub visible: Vec<u64>,
    /// The messages.
    pub messages: Vec<(Epoch, Offset, Option<Uid>)>,
}

/// What ends an answer.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// Where what follows is.
    pub next: &'a [Position],
    /// Where what comes before is.
    pub previous: &'a [Position],
    /// What is missing.
    pub gap: Option<Gap>,
    /// Whether older ones are kept.
    pub more: bool,
}

impl Oracle {
    /// A question gets a message.
    pub fn given(&mut self, question: usize, message: &Message, payload: &[u8]) {
        let uid = self.uid_at(message.epoch, message.offset.0, payload);
        if let Some(asking) = self.questions.get_mut(&question) {
            asking.messages.push((message.epoch, message.offset, uid));
        }
    }

    /// A question is answered.
    ///
    /// # Errors
    /// Why that is no answer to it.
    pub fn answered(&self, asking: &Asking, told: Told<'_>) -> Result<(), Objection> {
        if asking.messages.len() > asking.limit {
            return Err(format!("{} messages, of {}", asking.messages.len(), asking.limit));
        }
        if told.more && told.gap.is_none() && asking.messages.len() < asking.limit {
            return Err("it says that there are more, and lacks some".into());
        }
        let is_lost = |gap: &Gap| {
            let log = self.logs.iter().rfind(|log| log.epoch == gap.epoch);
            matches!(gap.reason, GapReason::Retention | GapReason::Forgotten)
                && !log.is_some_and(|log| log.may_have_expired(asking.selector, gap.to))
        };
        if self.keeps(asking.selector) && told.gap.as_ref().is_some_and(is_lost) {
            return Err("what is kept for ever is gone".into());
        }
        let is_of = |place: &Position, epoch| place.epoch == epoch;
        if asking.messages.iter().any(|(epoch, ..)| !asking.below.iter().any(|place| is_of(place, *epoch))) {
            return Err("a message of a log in which nothing was asked for".into());
        }
        if told.next.len() != told.previous.len() {
            return Err("it goes on in other logs than it came from".into());
        }
        for (place, visible) in asking.below.iter().zip(&asking.visible) {
            let Some(log) = self.log(place.epoch) else { return Err("asked in a log that never was".into()) };
            self.answered_in(&self.logs[log], asking, (place.offset, *visible), told)?;
        }
        Ok(())
    }

    /// In one log there are all messages between where what comes before is and the place that was asked for, but those
    /// that are told to be gone.
    fn answered_in(
        &self,
        log: &Log,
        asking: &Asking,
        (below, visible): (Offset, u64),
        told: Told<'_>,
    ) -> Result<(), Objection> {
        let mut own: Vec<_> = asking.messages.iter().filter(|(epoch, ..)| *epoch == log.epoch).collect();
        own.sort_by_key(|(_, offset, _)| *offset);
        if own.windows(2).any(|pair| pair[0].1 == pair[1].1) || own.last().is_some_and(|last| last.1 >= below)
        {
            return Err(format!("one comes twice, or is not below {below}: {own:?}"));
        }
        let records: Vec<&Record> = log.by_selector[usize::from(asking.selector)]
            .iter()
            .map(|index| &log.records[*index as usize])
            .filter(|record| record.offset < below.0)
            .collect();
        let publish = |record: &Record| &self.publishes[record.uid as usize];
        for (_, offset, uid) in &own {
            let record = records.iter().find(|record| record.offset == offset.0);
            let fits = record.is_some_and(|record| Some(record.uid) == *uid && !publish(record).bare);
            if !fits && (record.is_some() || !log.has_unseen) {
                return Err(format!("message {offset} is not the log's: {record:?}"));
            }
        }
        let gone = told.gap.filter(|gap| gap.epoch == log.epoch);
        let began_later = told.gap.is_some_and(|gap| gap.reason == GapReason::EpochChanged);
        let from = told.previous.iter().find(|place| place.epoch == log.epoch).map(|place| place.offset.0);
        let from = match (from, own.first()) {
            (Some(from), first) if first.is_none_or(|first| from <= first.1.0) => from,
            // What it had before another log took its place.
            (None, Some(first)) if began_later => first.1.0,
            (None, None) if began_later || records.iter().all(|record| publish(record).bare) => return Ok(()),
            _ => return Err(format!("what comes before {:?} is below {:?}", own.first(), told.previous)),
        };
        let from = if told.more || began_later { from } else { 0 };
        let is_gone = |offset| gone.is_some_and(|gap| (gap.from.0..=gap.to.0).contains(&offset));
        let lacking = records.iter().find(|record| {
            let has = own.iter().any(|(_, offset, _)| offset.0 == record.offset);
            let is_owed = record.offset >= from && record.offset <= visible && !publish(record).bare;
            let is_owed = is_owed && !log.may_go(record);
            is_owed && !has && !is_gone(record.offset)
        });
        lacking.map_or(Ok(()), |record| Err(format!("it lacks {record:?}")))
    }
}
