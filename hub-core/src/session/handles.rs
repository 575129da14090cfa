//! The handles of one connection, in pages of consecutive numbers: whichever numbers its client takes, and however
//! many, adding one costs little and none is far from its neighbours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::{Handle, Participant, Seq};

use crate::access::caller::Caller;
use crate::access::{Access, Grant, Granted};
use crate::letter::Serial;
use crate::log::windows::WindowKey;
use crate::topic::Topic;

/// All handles of a connection.
#[derive(Debug, Default)]
pub struct Handles {
    pages: BTreeMap<u64, Vec<OpenHandle>>,
    /// Those of participants that come and go.
    of_others: BTreeSet<(Participant, Handle)>,
    /// Those for publishes, and those for updates.
    counts: [usize; 2],
    bytes: usize,
}

/// A handle that can be used.
#[derive(Debug)]
pub struct OpenHandle {
    handle: Handle,
    /// Tells it from later ones of its number.
    pub serial: Serial,
    /// Who publishes by it.
    pub participant: Participant,
    /// What it is good for.
    pub place: Place,
}

/// Where a handle publishes to.
#[derive(Debug)]
pub enum Place {
    /// Nothing was published by it yet, so that the hub holds nothing but its words.
    Opened {
        /// The topic.
        topic: Granted<TopicName>,
        /// Lowest seq without a final answer.
        lowest: Seq,
        /// The producer's window there, if there is one.
        window: Option<WindowKey>,
    },
    /// It was published by.
    Used {
        /// The topic.
        topic: Arc<Topic>,
        /// The producer's window there.
        window: WindowKey,
        /// What the rules say of it.
        grant: Grant,
    },
    /// It is for updates that may be lost.
    Updates {
        /// The topic.
        name: Granted<TopicName>,
        /// The same, once something was sent.
        topic: Option<Arc<Topic>>,
    },
}

impl Place {
    /// The window that it uses.
    #[must_use]
    pub fn window(&self) -> Option<WindowKey> {
        match self {
            Self::Opened { window, .. } => *window,
            Self::Used { window, .. } => Some(*window),
            Self::Updates { .. } => None,
        }
    }

    /// Whether nothing was published by it yet, and all the same the hub may know outcomes of its producer there.
    #[must_use]
    pub fn remembers(&self) -> bool {
        matches!(self, Self::Opened { window: Some(_), .. })
    }

    /// What the rules said of it when they were asked last.
    #[must_use]
    pub fn grant(&self) -> Grant {
        match self {
            Self::Opened { topic: name, .. } | Self::Updates { name, .. } => name.grant(),
            Self::Used { grant, .. } => *grant,
        }
    }

    /// Keeps what other rules, which allow it, said of one that nothing came by yet, and of any other whatever they said.
    fn regrant(&mut self, access: &Access, caller: &Caller) -> bool {
        match self {
            Self::Opened { topic: name, .. } | Self::Updates { name, .. } => {
                match access.publish(caller, (**name).clone()) {
                    Ok(granted) => *name = granted,
                    Err(_) => return false,
                }
            }
            Self::Used { topic, grant, .. } => *grant = access.publish_grant(caller, &topic.name),
        }
        true
    }

    fn kind(&self) -> usize {
        usize::from(matches!(self, Self::Updates { .. }))
    }

    /// Bytes that a handle with this place takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Opened { topic: name, .. } | Self::Updates { name, .. } => {
                size_of::<OpenHandle>() + name.as_str().len() + TEXT_BYTES
            }
            Self::Used { .. } => size_of::<OpenHandle>(),
        }
    }
}

impl Handles {
    /// How many there are for publishes.
    #[must_use]
    pub fn count(&self) -> usize {
        self.counts[0]
    }

    /// How many there are for updates that may be lost.
    #[must_use]
    pub fn count_for_updates(&self) -> usize {
        self.counts[1]
    }

    /// Bytes that they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The handle of a number.
    #[must_use]
    pub fn get(&self, handle: Handle) -> Option<&OpenHandle> {
        let page = self.pages.get(&(handle.0 / PAGE))?;
        page.get(page.binary_search_by_key(&handle, |open| open.handle).ok()?)
    }

    /// Those of a participant.
    pub fn of(&self, participant: Participant) -> impl Iterator<Item = Handle> {
        let theirs = (participant, Handle(0))..=(participant, Handle(u64::MAX));
        let theirs = self.of_others.range(theirs).map(|(_, handle)| *handle);
        let all = self.pages.values().filter(move |_| participant == Participant(0)).flatten();
        theirs.chain(all.filter(move |open| open.participant == participant).map(|open| open.handle))
    }

    /// Adds a handle whose number is not in use.
    pub fn insert(&mut self, handle: Handle, serial: Serial, participant: Participant, place: Place) {
        let page = self.pages.entry(handle.0 / PAGE).or_default();
        if let Err(index) = page.binary_search_by_key(&handle, |open| open.handle) {
            page.reserve_exact(usize::from(page.is_empty()));
            self.counts[place.kind()] += 1;
            self.bytes += place.bytes();
            if participant != Participant(0) {
                self.of_others.insert((participant, handle));
            }
            page.insert(index, OpenHandle { handle, serial, participant, place });
        }
    }

    /// Gives a handle another place.
    pub fn move_to(&mut self, handle: Handle, place: Place) {
        let Some(page) = self.pages.get_mut(&(handle.0 / PAGE)) else { return };
        if let Ok(index) = page.binary_search_by_key(&handle, |open| open.handle) {
            let before = std::mem::replace(&mut page[index].place, place);
            self.bytes = self.bytes + page[index].place.bytes() - before.bytes();
        }
    }

    /// Asks the rules that hold now of a handle. `None` if they leave nothing of it: by those that publishes came by, each is
    /// to have its answer.
    pub fn regrant(&mut self, handle: Handle, access: &Access, caller: &Caller) -> Option<Grant> {
        let page = self.pages.get_mut(&(handle.0 / PAGE))?;
        let index = page.binary_search_by_key(&handle, |open| open.handle).ok()?;
        let place = &mut page[index].place;
        place.regrant(access, caller).then(|| place.grant())
    }

    /// Takes a handle away.
    pub fn remove(&mut self, handle: Handle) -> Option<Place> {
        let page = self.pages.get_mut(&(handle.0 / PAGE))?;
        let open = page.remove(page.binary_search_by_key(&handle, |open| open.handle).ok()?);
        if page.is_empty() {
            self.pages.remove(&(handle.0 / PAGE));
        }
        self.counts[open.place.kind()] -= 1;
        self.bytes -= open.place.bytes();
        self.of_others.remove(&(open.participant, handle));
        Some(open.place)
    }

    /// Takes away those of a participant, or all; gives the windows that they used.
    pub fn remove_of(&mut self, participant: Option<Participant>) -> Vec<WindowKey> {
        if let Some(participant) = participant.filter(|participant| *participant != Participant(0)) {
            let theirs: Vec<_> = self.of(participant).collect();
            return theirs.into_iter().filter_map(|handle| self.remove(handle)?.window()).collect();
        }
        let mut windows = Vec::new();
        let (counts, bytes) = (&mut self.counts, &mut self.bytes);
        self.pages.retain(|_, page| {
            page.retain(|open| {
                let stays = participant.is_some_and(|gone| gone != open.participant);
                if !stays {
                    windows.extend(open.place.window());
                    counts[open.place.kind()] -= 1;
                    *bytes -= open.place.bytes();
                }
                stays
            });
            !page.is_empty()
        });
        if participant.is_none() {
            self.of_others.clear();
        }
        windows
    }
}

/// Numbers on a page.
const PAGE: u64 = 64;
/// What a name takes beside its letters.
const TEXT_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn place() -> Place {
        let topic = Access::open().publish(&Caller::default(), TopicName::parse("a.topic").unwrap()).unwrap();
        Place::Opened { topic, lowest: Seq(1), window: None }
    }

    #[test]
    fn handles_are_found_whatever_their_numbers() {
        let mut handles = Handles::default();
        let numbers = (0..200).chain([1 << 52, 1 << 40, 777, 555]).map(Handle);
        numbers.clone().for_each(|n| handles.insert(n, Serial(1), Participant(n.0 % 2), place()));
        assert_eq!(handles.count(), 204);
        let mut numbers = numbers;
        assert!(numbers.all(|n| handles.get(n).unwrap().participant == Participant(n.0 % 2)));
        assert!(handles.get(Handle(200)).is_none() && handles.remove(Handle(1 << 51)).is_none());
        assert!(handles.remove(Handle(7)).is_some() && handles.get(Handle(7)).is_none());
        handles.remove_of(Some(Participant(0)));
        assert_eq!(handles.count(), 101);
        handles.remove_of(None);
        assert_eq!((handles.count(), handles.bytes(), handles.pages.len()), (0, 0, 0));
    }

    #[test]
    fn a_handle_at_rest_takes_at_most_80_bytes() {
        let mut handles = Handles::default();
        (1..=10_000).for_each(|n| handles.insert(Handle(n), Serial(n), Participant(0), place()));
        let room: usize = handles.pages.values().map(Vec::capacity).sum();
        let pages = handles.pages.len() * 2 * (size_of::<u64>() + size_of::<Vec<OpenHandle>>());
        assert!(room * size_of::<OpenHandle>() + pages <= 80 * 10_000);
    }
}
