//! Calls: what is asked without a connection, and answered once: a publish, a page, a token, whether there is news. They
//! are checked as a session checks its frames, and go the same way; what comes late comes to an inbox of their own, as if
//! they were one more shard.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use slab::Slab;
use tidewire_protocol::code::{Code, Durability};
use tidewire_protocol::number::{Epoch, Offset, TailNumber};

use crate::access::Edition;
use crate::access::caller::{Caller, Pass};
use crate::calls::publishing::Publishing;
use crate::clock::Millis;
use crate::credentials::standing::StandingEdition;
use crate::credentials::{BadToken, Unwelcome};
use crate::ledger::Account;
use crate::letter::{Address, Inbox, Mail, Outcome, Serial};
use crate::mutant::{self, Mutant};
use crate::pace::Pace;
use crate::reading::question::Answer as ReadAnswer;
use crate::reading::question::PageRead;
use crate::reading::reads::Asker;
use crate::session::telling::Refusal;
use crate::sync::{Mutex, lock};
use crate::tail::Tail;
use crate::topics::Topics;

pub mod probing;

pub mod publishing;

pub mod asking;

/// Those under way, each with what its answer is given back with.
#[derive(Debug)]
pub struct Calls<R> {
    topics: Arc<Topics>,
    shard: usize,
    inbox: Arc<Inbox>,
    book: Mutex<Book<R>>,
    next_generation: AtomicU32,
    /// Which tokens stood and which rules held when those who wait for news were let wait.
    asked: Mutex<(StandingEdition, Edition)>,
    /// Publishes that name a producer go one after another, by its number: two that name the same one would fence each other.
    in_turn: [Mutex<()>; 64],
}

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// What may be done.
    pub caller: &'a Caller,
    /// Who answers for the memory that it takes.
    pub account: &'a Arc<Account>,
    /// How fast its connection publishes.
    pub pace: &'a Pace,
}

impl By<'_> {
    /// Whether the caller's token lasts, and nobody has taken it back.
    fn check(&self, now: Millis, topics: &Topics) -> Result<(), BadToken> {
        let stands = topics.credentials().standing().check_caller(self.caller);
        let lasts = if now < self.caller.ends_at() { Ok(()) } else { Err(BadToken::Expired) };
        stands.and(lasts).inspect_err(|bad| topics.metrics().bad_tokens.add(bad.number(), 1))
    }
}

/// A call under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallId {
    slot: u32,
    generation: u32,
}

/// What became of a call.
#[derive(Debug)]
pub enum Answer {
    /// What became of each message.
    Published(Vec<Result<Placed, Refusal>>),
    /// A write failed, and nobody knows before the next start what became of a message.
    InDoubt,
    /// Whether a token lets its bearer in.
    Checked(Result<Pass, Unwelcome>),
    /// A page that took a look at many topics, or at the disk.
    Page(PageRead),
    /// The disk could not be read for it. It may be asked for again.
    Unread,
    /// There may be news, or whoever waits may not any more.
    News,
}

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// In which log.
    pub epoch: Epoch,
    /// Its place there.
    pub offset: Offset,
    /// What holds of it.
    pub durability: Durability,
    /// Whether an earlier try brought it there.
    pub is_duplicate: bool,
}

#[derive(Debug)]
struct Book<R> {
    open: Slab<Open<R>>,
    /// Those that wait for news, by tail and slot.
    listening: BTreeSet<(TailNumber, u32)>,
}

#[derive(Debug)]
struct Open<R> {
    generation: u32,
    reply: R,
    of: Of,
}

#[derive(Debug)]
enum Of {
    Publish(Publishing),
    Token,
    Page(#[expect(dead_code, reason = "nobody reads for whom has let go of it")] Asker),
    News(Arc<Tail>),
}

impl<R> Calls<R> {
    /// None yet. `shard` is the place of their inbox among that of the topics.
    #[must_use]
    pub fn new(shard: usize, topics: Arc<Topics>, inbox: Arc<Inbox>) -> Self {
        let book = Mutex::new(Book { open: Slab::new(), listening: BTreeSet::new() });
        Self {
            topics,
            shard,
            inbox,
            book,
            next_generation: AtomicU32::new(0),
            asked: Mutex::default(),
            in_turn: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// The topics of the hub.
    #[must_use]
    pub fn topics(&self) -> &Arc<Topics> {
        &self.topics
    }

    /// Calls under way.
    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.book).open.len()
    }

    /// Whether something has come.
    #[must_use]
    pub fn has_mail(&self) -> bool {
        self.inbox.has_mail()
    }

    /// Has a token checked; the answer says what it allows.
    ///
    /// # Errors
    /// [`Code::NotSupported`] if no tokens are taken, [`Code::Overloaded`] if very many wait.
    pub fn check(&self, now: Millis, account: &Arc<Account>, token: &str, reply: R) -> Result<CallId, Code> {
        if !self.topics.credentials().are_taken() {
            return Err(Code::NotSupported);
        }
        let id = self.open(reply, Of::Token);
        let checking = self.topics.credentials().check(self.address(id, 0), account, token);
        checking.map(|()| id).inspect_err(|_| self.forget(now, id))
    }

    /// Whoever made a call has gone.
    pub fn forget(&self, now: Millis, id: CallId) {
        // A publish that is under way is answered all the same, to nobody.
        if let Some(open) = self.close_if(id, |of| !matches!(of, Of::Publish(_))) {
            self.end(now, open.of);
        }
    }

    /// Takes what has become of some. Whoever makes a call does so at once: mostly its answer is there by then.
    #[must_use]
    pub fn take(&self, now: Millis) -> Vec<(R, Answer)> {
        let mut answers = Vec::new();
        let mut mail = Mail::default();
        self.inbox.take(&mut mail);
        for outcome in &mail.outcomes {
            self.note(now, outcome, &mut answers);
        }
        if !mail.dirty.is_empty() && !mutant::active(Mutant::WaiterNotWoken) {
            self.tell_of_news(now, &mail.dirty, &mut answers);
        }
        if self.are_to_be_asked_anew() {
            self.tell_of_news(now, &self.listened_to(), &mut answers);
        }
        while let Some(checked) = self.topics.credentials().take(self.shard, 1).pop() {
            if let Err(Unwelcome::Token(bad)) = &checked.verdict {
                self.topics.metrics().bad_tokens.add(bad.number(), 1);
            }
            if let Some(open) = self.close(checked.address) {
                answers.push((open.reply, Answer::Checked(checked.verdict)));
            }
        }
        while let Some(read) = self.topics.reads().take(self.shard, 1).pop() {
            match (self.close(read.address), read.answer) {
                (Some(open), ReadAnswer::Page(page)) => answers.push((open.reply, Answer::Page(page))),
                (Some(open), ReadAnswer::Unread) => answers.push((open.reply, Answer::Unread)),
                (Some(_), ReadAnswer::Started(_) | ReadAnswer::More { .. }) | (None, _) => {}
            }
            drop(read.charge);
            self.topics.reads().go_on();
        }
        answers
    }

    /// Notes what became of one message; with the last of a call's that is answered.
    fn note(&self, now: Millis, outcome: &Outcome, answers: &mut Vec<(R, Answer)>) {
        let origin = outcome.origin;
        let ended = {
            let mut book = lock(&self.book);
            let found = book.open.get_mut(origin.slot as usize);
            let found = found.filter(|open| open.generation == origin.generation);
            let Some(Open { of: Of::Publish(publishing), .. }) = found else { return };
            publishing.note(outcome, &self.topics);
            publishing.is_done().then(|| book.remove(origin.slot))
        };
        if let Some(Open { reply, of: Of::Publish(mut publishing), .. }) = ended {
            let answer = publishing.take_answer();
            self.end(now, Of::Publish(publishing));
            answers.push((reply, answer));
        }
    }

    /// Whether other tokens stand or other rules hold than when this was asked last.
    fn are_to_be_asked_anew(&self) -> bool {
        let now = (self.topics.credentials().standing().edition(), self.topics.access().edition());
        std::mem::replace(&mut *lock(&self.asked), now) != now
    }

    /// Tails that somebody waits for.
    fn listened_to(&self) -> Vec<TailNumber> {
        let mut tails: Vec<_> = lock(&self.book).listening.iter().map(|(tail, _)| *tail).collect();
        tails.dedup();
        tails
    }

    fn tell_of_news(&self, now: Millis, tails: &[TailNumber], answers: &mut Vec<(R, Answer)>) {
        let mut ended = Vec::new();
        {
            let mut book = lock(&self.book);
            for tail in tails {
                while let Some((_, slot)) =
                    book.listening.range((*tail, 0)..=(*tail, u32::MAX)).next().copied()
                {
                    ended.push(book.remove(slot));
                }
            }
        }
        for Open { reply, of, .. } in ended {
            self.end(now, of);
            answers.push((reply, Answer::News));
        }
    }

    fn open(&self, reply: R, of: Of) -> CallId {
        let generation = self.next_generation.fetch_add(1, Ordering::Relaxed);
        let mut book = lock(&self.book);
        let tail = if let Of::News(tail) = &of { Some(tail.number) } else { None };
        let slot = book.open.insert(Open { generation, reply, of }) as u32;
        book.listening.extend(tail.map(|tail| (tail, slot)));
        CallId { slot, generation }
    }

    /// The call that something is for, which is over with that.
    fn close(&self, address: Address) -> Option<Open<R>> {
        self.close_if(CallId { slot: address.slot, generation: address.generation }, |_| true)
    }

    fn close_if(&self, id: CallId, condition: impl FnOnce(&Of) -> bool) -> Option<Open<R>> {
        let mut book = lock(&self.book);
        let found = book.open.get(id.slot as usize).filter(|it| it.generation == id.generation)?;
        condition(&found.of).then(|| book.remove(id.slot))
    }

    /// Gives back what a call used.
    fn end(&self, now: Millis, of: Of) {
        match of {
            Of::Publish(publishing) => publishing.end(now, &self.topics),
            Of::News(tail) => self.stop_listening(now, tail),
            Of::Token | Of::Page(_) => {}
        }
    }

    fn address(&self, id: CallId, serial: u64) -> Address {
        let CallId { slot, generation } = id;
        Address { shard: self.shard as u32, slot, generation, serial: Serial(serial) }
    }
}

impl<R> Book<R> {
    fn remove(&mut self, slot: u32) -> Open<R> {
        let open = self.open.remove(slot as usize);
        if let Of::News(tail) = &open.of {
            self.listening.remove(&(tail.number, slot));
        }
        open
    }
}
