//! The subscribers.

use std::ops::Range;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result, ensure};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::dialect::{Dialect, Subscriber, Term, Wants};
use crate::ledger::Ledger;
use crate::load::link::{Distance, Heard, Link};
use crate::load::wire::Target;

/// All subscribers of a load.
#[derive(Debug)]
pub(super) struct Crowd {
    dialect: Dialect,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    members: Vec<Member>,
    ready: usize,
    /// The slow ones, who take sips in turn.
    slow: Range<usize>,
    next_to_sip: usize,
    next_sip_ns: u64,
    /// Whether a member whose connection fails is gone, and no reason to end.
    pub(super) bears_losses: bool,
    /// Why the first of those is gone.
    pub(super) first_loss: Option<Error>,
}

#[derive(Debug)]
struct Member {
    link: Option<Link>,
    distance: Distance,
    dialect: Dialect,
    subscriber: Subscriber,
    /// What it signs in with; empty for nothing.
    token: Box<str>,
}

impl Crowd {
    pub(super) fn new(dialect: Dialect) -> Result<Self> {
        Ok(Self {
            dialect,
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_AT_ONCE),
            buffer: vec![0; dialect.frame_bytes_max().max(BUFFER_BYTES)],
            members: Vec::new(),
            ready: 0,
            slow: 0..0,
            next_to_sip: 0,
            next_sip_ns: 0,
            bears_losses: false,
            first_loss: None,
        })
    }

    /// Waiting ends also when `fd` has something to say.
    pub(super) fn wake_for(&self, fd: RawFd) -> Result<()> {
        Ok(self.poll.registry().register(&mut SourceFd(&fd), OTHERS, Interest::READABLE)?)
    }

    pub(super) const fn len(&self) -> usize {
        self.members.len()
    }

    /// Adds a member that is not connected yet.
    pub(super) fn invite(&mut self, wants: Wants, distance: Distance, json: bool, token: Box<str>) {
        let dialect = if json { Dialect::TidewireJson } else { self.dialect };
        let subscriber = Subscriber::new(self.members.len() as u32, wants);
        self.members.push(Member { link: None, distance, dialect, subscriber, token });
    }

    /// Connects all who have no connection, a bounded number at a time, and waits until they are subscribed.
    pub(super) fn connect(&mut self, target: &Target, clock: Instant, ledger: &mut Ledger) -> Result<()> {
        let from = Instant::now();
        let mut waiting = self.absent();
        waiting.reverse();
        let wanted = self.ready + waiting.len();
        let mut started = self.ready;
        while self.ready < wanted {
            while started - self.ready < CONNECTING_AT_ONCE
                && let Some(index) = waiting.pop()
            {
                self.connect_one(index, target)?;
                started += 1;
            }
            self.turn(Duration::from_millis(100), clock, ledger)?;
            ensure!(
                from.elapsed() < CONNECT_TIMEOUT,
                "{} of {wanted} subscribers are ready after {CONNECT_TIMEOUT:?}",
                self.ready
            );
        }
        Ok(())
    }

    /// Those who have no connection.
    pub(super) fn absent(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|index| self.members[*index].link.is_none()).collect()
    }

    /// Whether everybody is subscribed.
    pub(super) const fn all_ready(&self) -> bool {
        self.ready == self.members.len()
    }

    /// Begins to connect one who has no connection.
    pub(super) fn connect_one(&mut self, index: usize, target: &Target) -> Result<()> {
        let member = &mut self.members[index];
        let request = member.dialect.subscriber_request(member.subscriber.wants);
        let registry = self.poll.registry();
        member.link = Some(Link::connect(target, member.distance, &request, registry, Token(index))?);
        Ok(())
    }

    /// Reads from up to a handful of sockets that have something, after waiting for the first at most `wait`.
    #[inline]
    pub(super) fn turn(&mut self, wait: Duration, clock: Instant, ledger: &mut Ledger) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            result => result.context("cannot poll")?,
        }
        for event in &self.events {
            let Some(member) = self.members.get_mut(event.token().0) else { continue };
            let Some(link) = &mut member.link else { continue };
            let written = if event.is_writable() { link.writable() } else { Ok(()) };
            if written.is_ok() && !event.is_readable() {
                continue;
            }
            ledger.now_ns = clock.elapsed().as_nanos() as u64;
            match written.and_then(|()| member.read(&mut self.buffer, usize::MAX, ledger)) {
                Ok(became_ready) => self.ready += usize::from(became_ready),
                Err(error) if self.bears_losses => {
                    member.link = None;
                    self.first_loss.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// How long the token of each is good.
    pub(super) fn terms(&self) -> impl Iterator<Item = Option<Term>> {
        self.members.iter().map(|member| member.subscriber.term)
    }

    /// Those whose next token the server has taken, and who are there.
    pub(super) fn renewed(&self) -> usize {
        self.members.iter().filter(|member| member.link.is_some() && member.subscriber.renewed).count()
    }

    /// Has one bring its next token, if it is there.
    pub(super) fn sign_in(&mut self, index: usize, token: &str) {
        let member = &mut self.members[index];
        if let Some(link) = &mut member.link {
            member.dialect.put_sign_in(token, &mut link.unsent);
            // A connection that fails says so again when it is read.
            link.flush().ok();
        }
    }

    /// From here on the first `stalled` read nothing, and the `slow` after them sip.
    pub(super) fn hold_back(&mut self, stalled: usize, slow: usize, now_ns: u64) -> Result<()> {
        for member in &mut self.members[..stalled + slow] {
            if let Some(link) = &mut member.link {
                link.leave(self.poll.registry())?;
            }
        }
        self.slow = stalled..stalled + slow;
        (self.next_to_sip, self.next_sip_ns) = (stalled, now_ns);
        Ok(())
    }

    /// Those who were held back read whatever there is, like everybody.
    pub(super) fn release(&mut self) -> Result<()> {
        for (index, member) in self.members[..self.slow.end].iter_mut().enumerate() {
            if let Some(link) = &mut member.link {
                link.come_back(self.poll.registry(), Token(index))?;
            }
        }
        self.slow = 0..0;
        Ok(())
    }

    /// Lets those slow ones read a little whose turn has come; returns when the next one's comes.
    pub(super) fn sip(&mut self, now_ns: u64, ledger: &mut Ledger) -> Result<u64> {
        if self.slow.is_empty() {
            return Ok(u64::MAX);
        }
        while self.next_sip_ns <= now_ns {
            ledger.now_ns = now_ns;
            self.members[self.next_to_sip].read(&mut self.buffer, SIP_BYTES, ledger)?;
            self.next_to_sip += 1;
            if self.next_to_sip == self.slow.end {
                self.next_to_sip = self.slow.start;
            }
            self.next_sip_ns += SIP_EVERY.as_nanos() as u64 / self.slow.len() as u64;
        }
        Ok(self.next_sip_ns)
    }

    /// Everybody's connection ends; each keeps its cursor.
    pub(super) fn cut_all(&mut self) {
        for member in &mut self.members {
            member.link = None;
            member.subscriber.ready = false;
        }
        self.ready = 0;
    }
}

impl Member {
    /// Reads up to `most` bytes of what has come; tells whether that made the subscriber ready.
    #[inline]
    fn read(&mut self, buffer: &mut [u8], most: usize, ledger: &mut Ledger) -> Result<bool> {
        let Some(link) = &mut self.link else { return Ok(false) };
        let (dialect, subscriber, token) = (self.dialect, &mut self.subscriber, &*self.token);
        let was_ready = subscriber.ready;
        let read = link.read(buffer, most, |heard, out| match heard {
            Heard::Frame(frame) => dialect.hear_as_subscriber(subscriber, frame, ledger, out),
            Heard::Opened => {
                dialect.greet_as_subscriber(subscriber, token, out);
                Ok(())
            }
        });
        ledger.count.wire_bytes += read.with_context(|| format!("subscriber {}", subscriber.index))? as u64;
        Ok(subscriber.ready && !was_ready)
    }
}

const OTHERS: Token = Token(usize::MAX);

/// Few, so that publishers are looked after in between.
const EVENTS_AT_ONCE: usize = 32;
/// More than a socket holds, so that one read empties it.
const BUFFER_BYTES: usize = 1 << 20;
/// Below every server's backlog of connections.
const CONNECTING_AT_ONCE: usize = 256;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// A slow subscriber reads so much, so often: 20 KiB a second.
const SIP_BYTES: usize = 4 << 10;
const SIP_EVERY: Duration = Duration::from_millis(200);
