//! Windows of producers as a durable log has them: told whole now and then, and in between by what became of each seq.

use std::collections::HashMap;
use std::sync::Arc;

use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::{Incarnation, ProducerId, Seq};

use crate::log::rows::reading::Unreadable;
use crate::log::rows::{ProducerRow, WindowRow};
use crate::log::window::Window;
use crate::log::window::run::{Answer, Run};

/// Windows, by producer and topic, each of which has a place, so that none is looked for by its name but once.
#[derive(Debug, Default)]
pub(in crate::topics) struct Outlived {
    producers: HashMap<ProducerId, u32>,
    ids: Vec<ProducerId>,
    names: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
    windows: HashMap<(u32, u32), Held>,
}

/// A window.
#[derive(Debug)]
pub(in crate::topics) struct Held {
    /// How it stands.
    pub(in crate::topics) window: Window,
    /// The last incarnation of its producer.
    pub(in crate::topics) incarnation: Incarnation,
    /// Whose that is.
    pub(in crate::topics) subject: Option<Box<str>>,
    /// The last commit that says something of it.
    told: u64,
}

/// What rows of one commit refer to.
#[derive(Debug)]
pub(super) struct OfCommit {
    pub(super) number: u64,
    producers: Vec<Named>,
}

#[derive(Debug)]
struct Named {
    place: u32,
    incarnation: Incarnation,
    subject: Option<Box<str>>,
}

impl OfCommit {
    pub(super) const fn new(number: u64) -> Self {
        Self { number, producers: Vec::new() }
    }

    fn producer(&self, place: u64) -> Result<&Named, Unreadable> {
        let index = usize::try_from(place).ok().and_then(|place| place.checked_sub(1));
        index.and_then(|index| self.producers.get(index)).ok_or(Unreadable)
    }
}

impl Outlived {
    /// The place of a topic's name.
    pub(super) fn name(&mut self, name: &str) -> u32 {
        self.names.get(name).copied().unwrap_or_else(|| self.new_name(Arc::from(name)))
    }

    /// The same, where there is one to share.
    pub(super) fn name_of(&mut self, topic: &TopicName) -> u32 {
        let known = self.names.get(topic.as_str()).copied();
        known.unwrap_or_else(|| self.new_name(Arc::clone(topic.text())))
    }

    fn new_name(&mut self, name: Arc<str>) -> u32 {
        let place = self.texts.len() as u32;
        self.texts.push(Arc::clone(&name));
        self.names.insert(name, place);
        place
    }

    /// The next producer of a commit.
    pub(super) fn producer(&mut self, of_commit: &mut OfCommit, row: &ProducerRow<'_>) {
        let ids = &mut self.ids;
        let place = *self.producers.entry(row.id).or_insert_with(|| {
            ids.push(row.id);
            ids.len() as u32 - 1
        });
        let (incarnation, subject) = (row.incarnation, row.subject.map(Box::from));
        of_commit.producers.push(Named { place, incarnation, subject });
    }

    /// How a window stands.
    pub(super) fn tell(&mut self, of_commit: &OfCommit, row: WindowRow<'_>) -> Result<(), Unreadable> {
        let Named { place, incarnation, subject } = of_commit.producer(row.producer)?;
        let (incarnation, subject, told) = (*incarnation, subject.clone(), of_commit.number);
        let key = (*place, self.name(row.topic));
        self.windows.insert(key, Held { window: row.window, incarnation, subject, told });
        Ok(())
    }

    /// A window is kept no longer.
    pub(super) fn take_away(
        &mut self,
        of_commit: &OfCommit,
        producer: u64,
        topic: &str,
    ) -> Result<(), Unreadable> {
        let key = (of_commit.producer(producer)?.place, self.name(topic));
        self.windows.remove(&key);
        Ok(())
    }

    /// So many seqs from one on ended so.
    pub(super) fn answer(
        &mut self,
        of_commit: &OfCommit,
        (producer, topic): (u64, u32),
        (seq, count, lowest): (Seq, u64, Seq),
        answer: Answer,
    ) -> Result<(), Unreadable> {
        let Named { place, incarnation, subject } = of_commit.producer(producer)?;
        let held = self.windows.entry((*place, topic)).or_insert_with(|| Held {
            window: Window::new(seq),
            incarnation: *incarnation,
            subject: subject.clone(),
            told: 0,
        });
        held.told = of_commit.number;
        held.incarnation = held.incarnation.max(*incarnation);
        let window = &mut held.window;
        if lowest.0 > 0 && lowest <= seq {
            window.raise(lowest);
        }
        // What lies between was lost: nobody knows what became of it.
        if window.next() < seq {
            window.raise(seq);
        }
        // Of what its producer let go of meanwhile, how the window stood says nothing more.
        let rest = seq.0.saturating_add(count).saturating_sub(window.next().0);
        if rest > 0 {
            window.take_run(Run::of(answer).part(0, rest as u32));
        }
        Ok(())
    }

    /// What was said before this commit counts no more.
    pub(super) fn forget_before(&mut self, since: u64) {
        self.windows.retain(|_, held| held.told >= since);
    }

    /// All windows with their producers and topics, those first that were used longest ago.
    pub(in crate::topics) fn into_all(self) -> impl Iterator<Item = (ProducerId, Arc<str>, Held)> {
        let Self { ids, texts, windows, .. } = self;
        let mut all: Vec<_> = windows.into_iter().collect();
        all.sort_unstable_by_key(|(key, held)| (held.told, *key));
        all.into_iter().filter_map(move |((producer, topic), held)| {
            Some((*ids.get(producer as usize)?, Arc::clone(texts.get(topic as usize)?), held))
        })
    }
}
