//! Who has published: incarnations, for fencing, and windows, for landing once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use slab::Slab;
use tidewire_protocol::code::Code;
use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::{Incarnation, ProducerId, Seq};

use crate::clock::Millis;
use crate::limits::Limits;
use crate::log::window::Window;
use crate::mutant::{self, Mutant};

/// The producers that a log knows. Lives under the sequencer's lock.
#[derive(Debug)]
pub struct Producers {
    incarnations: BTreeMap<ProducerId, Incarnation>,
    windows: Slab<Kept>,
    /// By name: a window outlives the state of a topic whose messages are all gone.
    by_producer: BTreeMap<ProducerId, BTreeMap<TopicName, usize>>,
    next_generation: u32,
    /// Windows in slots below this have been looked at since the last time round.
    swept_to: usize,
    limits: Arc<Limits>,
}

/// Where a window is kept. The generation tells it from later ones in the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowKey {
    slot: u32,
    generation: u32,
}

#[derive(Debug)]
struct Kept {
    window: Window,
    generation: u32,
    /// Open handles that use it.
    handles: u32,
    used: Millis,
    producer: ProducerId,
    /// The last that opened it.
    incarnation: Incarnation,
    topic: TopicName,
}

/// What `open` found.
#[derive(Debug)]
pub struct Opening {
    /// The window to publish with.
    pub window: WindowKey,
    /// The hub knew nothing of this producer on this topic.
    pub window_new: bool,
    /// The seq that comes next.
    pub next: Seq,
}

impl Producers {
    /// None yet.
    #[must_use]
    pub fn new(limits: &Arc<Limits>) -> Self {
        Self {
            incarnations: BTreeMap::new(),
            windows: Slab::new(),
            by_producer: BTreeMap::new(),
            next_generation: 0,
            swept_to: 0,
            limits: Arc::clone(limits),
        }
    }

    /// Whether a newer incarnation of a producer was seen.
    #[must_use]
    pub fn is_fenced(&self, producer: ProducerId, incarnation: Incarnation) -> bool {
        let known = self.incarnations.get(&producer);
        known.is_some_and(|known| *known > incarnation) && !mutant::active(Mutant::FencingOff)
    }

    /// Registers an incarnation of a producer; older ones are fenced from now on.
    ///
    /// # Errors
    /// [`Code::Fenced`] if a newer one was seen, [`Code::Overloaded`] if there is no room for more producers.
    pub fn fence(&mut self, producer: ProducerId, incarnation: Incarnation) -> Result<(), Code> {
        if mutant::active(Mutant::FencingOff) {
            return Ok(());
        }
        match self.incarnations.get_mut(&producer) {
            Some(known) if *known > incarnation => Err(Code::Fenced),
            Some(known) => {
                *known = incarnation;
                Ok(())
            }
            None => {
                if self.incarnations.len() >= self.limits.windows_max {
                    self.drop_idle_producers();
                }
                if self.incarnations.len() >= self.limits.windows_max {
                    return Err(Code::Overloaded);
                }
                self.incarnations.insert(producer, incarnation);
                Ok(())
            }
        }
    }

    /// Opens a producer's window on a topic at its lowest open seq.
    ///
    /// # Errors
    /// [`Code::Fenced`], or [`Code::Overloaded`] if all windows are in use.
    pub fn open(
        &mut self,
        now: Millis,
        producer: ProducerId,
        incarnation: Incarnation,
        topic: &TopicName,
        lowest: Seq,
    ) -> Result<Opening, Code> {
        self.fence(producer, incarnation)?;
        let known = self.by_producer.get(&producer).and_then(|windows| windows.get(topic));
        if let Some(slot) = known.copied() {
            let kept = &mut self.windows[slot];
            if !kept.window.forget_below(lowest) {
                kept.window = Window::new(lowest);
            }
            if incarnation > kept.incarnation {
                kept.incarnation = incarnation;
                kept.window.hand_over();
            }
            // Told until something was taken: the answer to an earlier `open` may have been lost with its link.
            let window_new = kept.window.is_new() && !mutant::active(Mutant::WindowRestartedSilently);
            kept.handles += 1;
            kept.used = now;
            let window = WindowKey { slot: slot as u32, generation: kept.generation };
            return Ok(Opening { window, window_new, next: kept.window.next() });
        }
        if self.windows.len() >= self.limits.windows_max {
            self.drop_idle_windows(now, self.limits.windows_max / 16 + 1);
        }
        if self.windows.len() >= self.limits.windows_max {
            return Err(Code::Overloaded);
        }
        self.next_generation = self.next_generation.wrapping_add(1);
        let window = Window::new(lowest);
        let next = window.next();
        let generation = self.next_generation;
        let topic = topic.clone();
        let kept =
            Kept { window, generation, handles: 1, used: now, producer, incarnation, topic: topic.clone() };
        let slot = self.windows.insert(kept);
        self.by_producer.entry(producer).or_default().insert(topic, slot);
        let window_new = !mutant::active(Mutant::WindowRestartedSilently);
        Ok(Opening { window: WindowKey { slot: slot as u32, generation }, window_new, next })
    }

    /// Gives a window back; it is kept for a later `open`.
    pub fn shut(&mut self, now: Millis, window: WindowKey) {
        if let Some(kept) = self.kept(window) {
            kept.handles = kept.handles.saturating_sub(1);
            kept.used = now;
        }
    }

    /// A window, if it is still kept.
    pub fn window(&mut self, key: WindowKey) -> Option<&mut Window> {
        self.kept(key).map(|kept| &mut kept.window)
    }

    /// The same, and it counts as used.
    pub fn use_window(&mut self, now: Millis, key: WindowKey) -> Option<&mut Window> {
        self.kept(key).map(|kept| {
            kept.used = now;
            &mut kept.window
        })
    }

    /// Drops windows unused for too long among the next few, going on where the last call ended.
    pub fn sweep(&mut self, now: Millis) {
        let end = self.swept_to + STEP_SLOTS;
        let is_old = |slot: &usize| {
            self.windows.get(*slot).is_some_and(|kept| kept.idle_ms(now) > self.limits.window_ms)
        };
        let old: Vec<_> = (self.swept_to..end).filter(is_old).collect();
        self.drop_windows(&old);
        self.swept_to = if end < self.windows.capacity() { end } else { 0 };
    }

    fn kept(&mut self, key: WindowKey) -> Option<&mut Kept> {
        self.windows.get_mut(key.slot as usize).filter(|kept| kept.generation == key.generation)
    }

    fn drop_idle_windows(&mut self, now: Millis, count: usize) {
        let idle = self.windows.iter().filter(|(_, kept)| kept.handles == 0);
        let mut by_age: Vec<_> = idle.map(|(slot, kept)| (kept.idle_ms(now), slot)).collect();
        by_age.sort_unstable_by_key(|(idle_ms, _)| std::cmp::Reverse(*idle_ms));
        let slots: Vec<_> = by_age.into_iter().take(count).map(|(_, slot)| slot).collect();
        self.drop_windows(&slots);
    }

    fn drop_windows(&mut self, slots: &[usize]) {
        for slot in slots {
            let kept = self.windows.remove(*slot);
            if let Entry::Occupied(mut theirs) = self.by_producer.entry(kept.producer) {
                theirs.get_mut().remove(&kept.topic);
                if theirs.get().is_empty() {
                    theirs.remove();
                }
            }
        }
    }

    /// A producer without a window has nothing that an older incarnation could disturb.
    fn drop_idle_producers(&mut self) {
        let by_producer = &self.by_producer;
        self.incarnations.retain(|producer, _| by_producer.contains_key(producer));
    }
}

impl Kept {
    /// Milliseconds without use; 0 while a handle is open.
    fn idle_ms(&self, now: Millis) -> u64 {
        if self.handles > 0 { 0 } else { now.since(self.used) }
    }
}

/// Slots looked at in one step: bounds how long publishing waits.
const STEP_SLOTS: usize = 4_096;
