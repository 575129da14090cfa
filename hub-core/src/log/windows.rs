//! The windows of a log: what each producer has published to each topic, by memory and not by number.
//!
//! A window begins with a first publish. One that a handle or a waiting publish uses stays; of the rest the oldest
//! of the account that holds most goes first, and its producer hears that its window is new when it comes again.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewire_protocol::code::Code;
use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::{Incarnation, Seq};

use crate::access::Granted;
use crate::clock::Millis;
use crate::ledger::{Account, Kind};
use crate::limits::Limits;
use crate::log::window::Window;
use crate::log::windows::index::{Chains, Index, Print, Printer};
use crate::log::windows::lasting::{Home, Leaving, News, Whose};
use crate::mutant::{self, Mutant};
use crate::names::producers::Attachment;
use crate::shelf::{Key, Shelf, Shelved};

pub mod lasting;

pub mod index;

/// The windows of a log. Lives under the sequencer's lock.
#[derive(Debug)]
pub struct Windows {
    log: u8,
    shelf: Shelf<Kept>,
    index: Index,
    printer: Printer,
    /// Producers, by number, each of which is used by one window fewer. To be told where producers are kept, once
    /// the log's lock is given back.
    released: Vec<u32>,
    window_ms: u64,
    /// Whether they outlive the hub.
    are_lasting: bool,
    /// Then whose each is, by its slot.
    homes: BTreeMap<u32, Home>,
    /// And those that are kept no longer, which is to be stored.
    leaving: Leaving,
    /// What else is to be stored of them.
    news: News,
}

/// Where a window is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WindowKey {
    /// In which log.
    pub log: u8,
    key: Key,
}

/// What publishes, and where.
#[derive(Debug, Clone, Copy)]
pub struct Stream<'a> {
    /// Who.
    pub attachment: &'a Attachment,
    /// Where to.
    pub topic: &'a Granted<TopicName>,
    /// Its lowest seq without a final answer.
    pub lowest: Seq,
    /// It was here before in this incarnation, maybe in an earlier life of the hub.
    pub again: bool,
}

/// What `open` found.
#[derive(Debug)]
pub struct Opening {
    /// The window, in use once more; `None` until a first publish begins one.
    pub window: Option<WindowKey>,
    /// The hub knows nothing of this producer on this topic.
    pub window_new: bool,
    /// The seq that comes next.
    pub next: Seq,
}

impl Opening {
    fn told(self) -> Self {
        Self { window_new: self.window_new && !mutant::active(Mutant::WindowRestartedSilently), ..self }
    }
}

/// Why whoever comes does not go on in a window.
#[derive(Debug)]
enum Doubt {
    /// For what every life of the hub finds in it.
    EachTime,
    /// For what this one is told, and the next may not be.
    Once,
}

#[derive(Debug)]
struct Kept {
    window: Window,
    print: Print,
    /// The last that opened it.
    incarnation: Incarnation,
    whose: Whose,
    /// The next in its chain of the index.
    next: u32,
}

impl Shelved for Kept {
    fn bytes(&self) -> usize {
        WINDOW_BYTES + self.whose.bytes_beside() + self.window.bytes_beyond()
    }
}

impl Chains for Shelf<Kept> {
    fn link(&self, slot: u32) -> Option<(Print, u32)> {
        self.at(slot).map(|kept| (kept.print, kept.next))
    }

    fn set_next(&mut self, slot: u32, next: u32) {
        if let Some(kept) = self.at_mut(slot) {
            kept.next = next;
        }
    }
}

impl Windows {
    /// None yet, in the log of this number.
    #[must_use]
    pub fn new(log: u8, are_lasting: bool, limits: &Limits) -> Self {
        Self {
            log,
            are_lasting,
            homes: BTreeMap::new(),
            leaving: Leaving::default(),
            news: News::default(),
            shelf: Shelf::new(Kind::Windows, limits.windows_fit()),
            index: Index::default(),
            printer: Printer::default(),
            released: Vec::new(),
            window_ms: limits.window_ms,
        }
    }

    /// How many are kept.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shelf.count()
    }

    /// Looks for a producer's window on a topic. One that is found is used once more, until [`Self::shut`].
    ///
    /// # Errors
    /// [`Code::Fenced`], or [`Code::Overloaded`] if the account uses as many as there is room for.
    pub fn open(&mut self, stream: Stream<'_>) -> Result<Opening, Code> {
        if stream.attachment.is_fenced() {
            return Err(Code::Fenced);
        }
        let found = self.find(&stream).and_then(|key| self.going_on(key, &stream));
        let Some(opening) = found else {
            self.leaving.check(&stream)?;
            return Ok(Opening { window: None, window_new: true, next: Seq(stream.lowest.0.max(1)) }.told());
        };
        opening.window.map_or(Ok(()), |window| self.use_again(window.key))?;
        Ok(opening.told())
    }

    /// The window for a first publish: one that has begun since `open`, or a new one. It is used once more. Tells
    /// whether it is new; then its producer must have been held for it.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn begin(&mut self, account: &Arc<Account>, stream: Stream<'_>) -> Result<(WindowKey, bool), Code> {
        if stream.attachment.is_fenced() {
            return Err(Code::Fenced);
        }
        let found = self.find(&stream).and_then(|key| self.going_on(key, &stream));
        if let Some(window) = found.and_then(|opening| opening.window) {
            self.use_again(window.key)?;
            return Ok((window, false));
        }
        self.leaving.check(&stream)?;
        if !self.shelf.may_use(account, WINDOW_BYTES) {
            return Err(Code::Overloaded);
        }
        let producer = &stream.attachment.producer;
        let print = self.printer.print(producer.id, stream.topic);
        let key = self.shelf.put(account, |_| Kept {
            window: Window::new(stream.lowest),
            print,
            incarnation: stream.attachment.incarnation,
            whose: Whose::new(producer.number(), self.are_lasting),
            next: 0,
        });
        if self.are_lasting {
            let (producer, topic) = (Arc::clone(producer), Arc::clone(stream.topic.text()));
            self.homes.insert(key.slot, Home { producer, topic });
        }
        self.index.insert(&mut self.shelf, print, key.slot);
        self.make_room();
        Ok((WindowKey { log: self.log, key }, true))
    }

    /// One more uses a window.
    pub fn take_up(&mut self, window: WindowKey) {
        self.shelf.take_up(window.key);
    }

    /// One fewer uses a window. It is kept for a later `open`, unless nothing ever came of it.
    pub fn shut(&mut self, now: Millis, window: WindowKey) {
        let key = window.key;
        let is_last = self.shelf.lay_down(now, key);
        if is_last && self.shelf.get(key).is_some_and(|kept| kept.window.is_new()) {
            self.leave(key);
        } else {
            self.make_room();
        }
    }

    /// Changes a window, if it is still kept.
    pub fn change<R>(&mut self, window: WindowKey, change: impl FnOnce(&mut Window) -> R) -> Option<R> {
        self.shelf.change(window.key, |kept| change(&mut kept.window))
    }

    /// Whether this window may keep more outcomes: the few that any may, or as its account has not too much in use.
    #[must_use]
    pub fn may_grow(&self, window: WindowKey) -> bool {
        let key = window.key;
        let beyond = self.shelf.get(key).map_or(0, |kept| kept.window.bytes_beyond());
        beyond == 0 || self.shelf.account(key).is_none_or(|account| self.shelf.may_use(account, beyond))
    }

    /// Drops windows that were unused for too long, a bounded number at a time.
    pub fn sweep(&mut self, now: Millis) {
        for _ in 0..SWEEP_STEP {
            if let Some(key) = self.shelf.next_expired(now, self.window_ms) {
                self.leave(key);
            }
        }
    }

    /// Takes the producers that are used by one window fewer, each time by its number.
    pub fn take_released(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.released)
    }

    fn find(&self, stream: &Stream<'_>) -> Option<Key> {
        let print = self.printer.print(stream.attachment.producer.id, stream.topic);
        self.index.find(&self.shelf, print).and_then(|slot| self.shelf.key_at(slot))
    }

    /// The window of a key, if `stream` goes on where it ends. Else it is kept no longer.
    fn going_on(&mut self, key: Key, stream: &Stream<'_>) -> Option<Opening> {
        let (log, news) = (self.log, &mut self.news);
        let opening = self.shelf.change(key, |kept| {
            // Told until something was taken: the answer to an earlier `open` may have been lost with its link.
            let window_new = kept.window.is_new();
            if window_new {
                kept.window = Window::new(stream.lowest);
            } else if !kept.window.forget_below(stream.lowest) {
                return Err(Doubt::EachTime);
            }
            if stream.attachment.incarnation > kept.incarnation {
                // An older incarnation began it with a past that this hub does not know. What is new here may
                // be old there, and the seqs since then may be its own or the older one's.
                if !kept.window.is_whole() {
                    return Err(Doubt::EachTime);
                }
                // Or this one was here before, of which the hub has lost all, and the older one may have been here since.
                if stream.again {
                    return Err(Doubt::Once);
                }
                kept.incarnation = stream.attachment.incarnation;
                // To store a long one would be more work than to ask for it, and others would wait: that is stored with its
                // next publish.
                if kept.whose.is_named() && kept.window.bytes_beyond() <= RAISED_BYTES_MAX {
                    news.raised(key.slot);
                }
            }
            let window = Some(WindowKey { log, key });
            Ok(Opening { window, window_new, next: kept.window.next() })
        });
        match opening? {
            Ok(opening) => return Some(opening),
            Err(Doubt::EachTime) => self.drop(key),
            Err(Doubt::Once) => self.leave(key),
        }
        None
    }

    fn use_again(&mut self, key: Key) -> Result<(), Code> {
        let account = self.shelf.account(key).ok_or(Code::Internal)?;
        if !self.shelf.is_in_use(key) && !self.shelf.may_use(account, WINDOW_BYTES) {
            return Err(Code::Overloaded);
        }
        self.shelf.take_up(key);
        Ok(())
    }

    /// Drops some idle windows if there are too many bytes of them.
    fn make_room(&mut self) {
        for _ in 0..STEP {
            if self.shelf.bytes() <= self.shelf.bytes_max() {
                return;
            }
            let mut victim = self.shelf.first_to_go();
            if mutant::active(Mutant::WindowEvictedWhileAttached) {
                victim = (0..u32::MAX).find_map(|slot| self.shelf.key_at(slot));
            }
            let Some(key) = victim else { return };
            self.leave(key);
        }
    }

    /// Keeps a window no longer, and has that stored too if a start might find it.
    fn leave(&mut self, key: Key) {
        let named = self.shelf.get(key).filter(|kept| kept.whose.is_named());
        let incarnation = named.map(|kept| kept.incarnation);
        if let Some((home, incarnation)) = self.homes.remove(&key.slot).zip(incarnation) {
            self.leaving.add(home, incarnation);
            self.news.wake();
        }
        self.drop(key);
    }

    /// Keeps a window no longer. One that is stored meets the same doubt whenever it is put back, or that it went is stored too.
    fn drop(&mut self, key: Key) {
        if let Some(print) = self.shelf.get(key).map(|kept| kept.print) {
            self.index.remove(&mut self.shelf, print, key.slot);
            self.homes.remove(&key.slot);
            self.released.extend(self.shelf.remove(key).map(|kept| kept.whose.producer()));
        }
    }
}

/// What a window takes that keeps one run of outcomes or none.
pub const WINDOW_BYTES: usize = Shelf::<Kept>::BYTES_EACH + Index::BYTES_EACH;
/// Bytes of outcomes of a window beyond which it is not stored only since a higher incarnation uses it.
const RAISED_BYTES_MAX: usize = 1_024;
/// Dropped at once. Each call adds one at most.
const STEP: usize = 4;
/// Accounts or windows looked at in one step: bounds how long publishing waits.
const SWEEP_STEP: usize = 256;
