//! A place that a listener is told to come back with: exactly as far as it was told everything.

use tidewire_protocol::number::Offset;
use tidewire_protocol::position::Position;

use crate::names::TopicIndex;
use crate::oracle::listening::{Listening, Objection};
use crate::oracle::log::Log;
use crate::oracle::{Oracle, Publish};

impl Oracle {
    /// The place of a message that a listener gets, of which it was told the topic and the offset alone: in the log where
    /// such a topic is. That of a topic of nobody's is where there is one at this offset.
    #[must_use]
    pub fn place_of(&self, listener: usize, topic: TopicIndex, offset: Offset) -> Option<Position> {
        let its = self.log_of.get(usize::from(topic)).map(|log| usize::from(*log));
        let fits = |log: &Log| match its {
            Some(its) => log.index == its,
            None => log.record(offset).is_some_and(|of| self.publishes[of.uid as usize].topic == topic),
        };
        let mut logs = self.listeners[listener].places.iter().filter_map(|place| place.log);
        let log = logs.find(|log| fits(&self.logs[*log]))?;
        Some(Position { epoch: self.logs[log].epoch, offset })
    }
}

impl Listening {
    /// It is told a place in one of its logs, behind all that it has heard and not behind anything else.
    ///
    /// # Errors
    /// Why that is another place than its own.
    pub fn stands_at(
        &mut self,
        told: Position,
        logs: &[Log],
        publishes: &[Publish],
    ) -> Result<(), Objection> {
        let is_of = |log: Option<usize>| log.is_some_and(|log| logs[log].epoch == told.epoch);
        let slot = self.places.iter().position(|place| is_of(place.log));
        let Some((slot, log)) = slot.and_then(|slot| Some((slot, self.places[slot].log?))) else {
            return Err(format!("an id in a log where it does not stand: {told}"));
        };
        let (place, known, offset) = (&self.places[slot], &logs[log], told.offset.0);
        if offset < place.cursor || offset > known.visible {
            return Err(format!("an id at {offset}, not between {} and {}", place.cursor, known.visible));
        }
        let rest = &known.by_selector[usize::from(self.selector)][place.next..];
        let passed = rest.partition_point(|index| known.records[*index as usize].offset <= offset);
        if let Some(record) = self.first_lacking(place, &rest[..passed], known, publishes) {
            return Err(format!("an id at {offset}, behind what it has not heard: {record:?}"));
        }
        let place = &mut self.places[slot];
        (place.cursor, place.next) = (offset, place.next + passed);
        place.excused.retain(|(_, to)| *to > offset);
        Ok(())
    }
}
