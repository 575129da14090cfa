//! The connections that publish.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd as _, RawFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use mio::{Events, Poll, Token};

use crate::dialect::{Dialect, ELSEWHERE, Publish, Publisher};
use crate::histogram::Histogram;
use crate::load::Plan;
use crate::load::link::{Distance, Heard, Link};
use crate::load::wire::Target;
use crate::stamp::{STAMP_BYTES, Stamp};

/// All publishers of a load.
#[derive(Debug)]
pub(super) struct Publishers {
    dialect: Dialect,
    topics: usize,
    one_sequence: bool,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    members: Vec<Member>,
    payload: Vec<u8>,
    /// Messages published so far.
    pub(super) published: u64,
    /// Time from when a message should have been sent to its acknowledgement, while it is measured.
    pub(super) ack_latency: Option<Histogram>,
}

/// Publishers who publish nothing, but leave in the server what it must know to find their repeats.
#[derive(Debug)]
pub(super) struct Voids(Publishers);

#[derive(Debug)]
struct Member {
    link: Option<Link>,
    publisher: Publisher,
    /// Next number by place of the topic.
    seqs: Vec<u32>,
    /// Messages to all its topics.
    sent: u32,
    /// When each unacknowledged message should have been sent; kept where there is one topic only.
    unacked: VecDeque<u64>,
}

impl Publishers {
    pub(super) fn new(plan: &Plan, dialect: Dialect) -> Result<Self> {
        Self::of(plan, dialect, members(plan, 0))
    }

    /// One, on a topic that no subscriber asks for.
    pub(super) fn elsewhere(dialect: Dialect) -> Result<Self> {
        Self::of(&Plan::one_topic(0), dialect, vec![Member::new(PROBE, vec![ELSEWHERE])])
    }

    fn of(plan: &Plan, dialect: Dialect, members: Vec<Member>) -> Result<Self> {
        ensure!(plan.payload_bytes >= STAMP_BYTES, "a payload holds {STAMP_BYTES} bytes at least");
        Ok(Self {
            dialect,
            topics: plan.topics,
            one_sequence: !plan.asks.is_of_one_topic(),
            poll: Poll::new()?,
            events: Events::with_capacity(64),
            buffer: vec![0; BUFFER_BYTES],
            members,
            payload: vec![b'.'; plan.payload_bytes],
            published: 0,
            ack_latency: None,
        })
    }

    pub(super) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Messages acknowledged so far.
    pub(super) fn answered(&self) -> u64 {
        self.members.iter().map(|member| member.publisher.answered).sum()
    }

    /// Topics of which the server said, when they were opened, that it knows nothing of a publisher's messages.
    pub(super) fn unknown(&self) -> usize {
        self.members.iter().map(|member| member.publisher.unknown).sum()
    }

    /// Every connection ends; each publisher keeps its numbers.
    pub(super) fn cut_all(&mut self) {
        for member in &mut self.members {
            (member.link, member.publisher.ready) = (None, false);
        }
    }

    /// Messages that are not acknowledged yet.
    pub(super) fn unanswered(&self) -> u64 {
        self.published - self.answered()
    }

    pub(super) fn fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }

    /// Connects all and waits until they may publish.
    pub(super) fn connect(&mut self, target: &Target) -> Result<()> {
        let request = self.dialect.publisher_request();
        for (index, member) in self.members.iter_mut().enumerate() {
            member.link =
                Some(Link::connect(target, Distance::Here, &request, self.poll.registry(), Token(index))?);
        }
        let clock = Instant::now();
        while !self.members.iter().all(|member| member.publisher.ready) {
            ensure!(
                clock.elapsed() < CONNECT_TIMEOUT,
                "a publisher may not publish after {CONNECT_TIMEOUT:?}"
            );
            self.poll.poll(&mut self.events, Some(Duration::from_millis(100)))?;
            self.hear(clock)?;
        }
        Ok(())
    }

    /// Reads what publishers are told.
    pub(super) fn turn(&mut self, clock: Instant) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            result => result.context("cannot poll")?,
        }
        self.hear(clock)
    }

    fn hear(&mut self, clock: Instant) -> Result<()> {
        for event in &self.events {
            let Some(member) = self.members.get_mut(event.token().0) else { continue };
            let Some(link) = &mut member.link else { continue };
            if event.is_writable() {
                link.writable()?;
            }
            if !event.is_readable() {
                continue;
            }
            let (dialect, publisher) = (self.dialect, &mut member.publisher);
            link.read(&mut self.buffer, usize::MAX, |heard, out| match heard {
                Heard::Frame(frame) => dialect.hear_as_publisher(publisher, frame, out),
                Heard::Opened => {
                    dialect.greet_as_publisher(publisher, out);
                    Ok(())
                }
            })
            .context("a publisher")?;
            let now_ns = clock.elapsed().as_nanos() as u64;
            while member.unacked.len() > member.unacknowledged() as usize {
                let Some(due_ns) = member.unacked.pop_front() else { break };
                if let Some(latency) = &mut self.ack_latency {
                    latency.record(now_ns.saturating_sub(due_ns));
                }
            }
        }
        Ok(())
    }

    /// Whether the next message's publisher may send: it has room in its window, and the socket takes bytes.
    pub(super) fn may_publish(&self) -> bool {
        let (index, _) = self.next();
        let member = &self.members[index];
        let room = !self.dialect.acknowledges() || member.unacked.len() < UNACKED_MAX;
        room && member.link.as_ref().is_some_and(|link| link.unsent.len() < UNSENT_BYTES_MAX)
    }

    /// Writes the next message down, to be sent with the next flush.
    pub(super) fn publish(&mut self, due_ns: u64) {
        let (index, place) = self.next();
        let member = &mut self.members[index];
        let (publisher, seq) = (&member.publisher, member.seqs[place]);
        // Who subscribes to all topics sees one sequence; who subscribes to one topic sees that topic's.
        let seen_as = if self.one_sequence { member.sent } else { seq };
        let stamp =
            Stamp { topic: publisher.topics[place], publisher: publisher.index, seq: seen_as, due_ns };
        stamp.write(&mut self.payload);
        if let Some(link) = &mut member.link {
            self.dialect.put_publish(
                publisher,
                Publish { place, seq, payload: &self.payload },
                &mut link.unsent,
            );
        }
        member.seqs[place] += 1;
        member.sent += 1;
        if self.dialect.acknowledges() && member.seqs.len() == 1 {
            member.unacked.push_back(due_ns);
        }
        self.published += 1;
    }

    /// Sends what was written down.
    pub(super) fn flush(&mut self) -> Result<()> {
        for member in &mut self.members {
            if let Some(link) = &mut member.link
                && !link.unsent.is_empty()
            {
                link.flush().context("a publisher")?;
            }
        }
        Ok(())
    }

    /// Who sends the next message, and to which of its topics: topics take turns, and so do publishers.
    fn next(&self) -> (usize, usize) {
        let (message, publishers) = (self.published as usize, self.members.len());
        let topic = message % self.topics;
        if self.topics >= publishers {
            return (topic % publishers, topic / publishers);
        }
        (message % publishers, topic)
    }
}

/// The publishers of a plan, whose topics they share out; their numbers begin at `first`.
fn members(plan: &Plan, first: usize) -> Vec<Member> {
    let topics = |index: usize| match plan.topics >= plan.publishers {
        true => (index..plan.topics).step_by(plan.publishers).map(|topic| topic as u32).collect(),
        false => (0..plan.topics as u32).collect(),
    };
    let member = |index: usize| {
        let mut member = Member::new((first + index) as u32, topics(index));
        member.publisher.keys = plan.keys;
        member
    };
    (0..plan.publishers).map(member).collect()
}

impl Voids {
    /// The visitors of a plan; each visit has its own.
    pub(super) fn of(plan: &Plan, dialect: Dialect, visit: usize) -> Result<Self> {
        ensure!(dialect.has_windows(), "a publisher leaves nothing behind");
        Ok(Self(Publishers::of(plan, dialect, members(plan, (visit + 1) * plan.publishers))?))
    }

    /// Comes, uses up one number in each topic, goes, and comes back to ask; returns how many numbers are known.
    pub(super) fn visit(mut self, target: &Target) -> Result<usize> {
        self.0.connect(target)?;
        for member in &mut self.0.members {
            let Some(link) = &mut member.link else { continue };
            for place in 0..member.seqs.len() {
                self.0.dialect.put_void(place, member.seqs[place], &mut link.unsent);
                member.seqs[place] += 1;
            }
            self.0.published += member.seqs.len() as u64;
        }
        self.0.flush()?;
        let clock = Instant::now();
        while self.0.unanswered() > 0 {
            ensure!(clock.elapsed() < CONNECT_TIMEOUT, "voids are not answered after {CONNECT_TIMEOUT:?}");
            self.0.poll.poll(&mut self.0.events, Some(Duration::from_millis(100)))?;
            self.0.hear(clock)?;
        }
        self.0.cut_all();
        self.0.connect(target)?;
        Ok(self.0.topics - self.0.unknown())
    }
}

impl Member {
    fn new(index: u32, topics: Vec<u32>) -> Self {
        Self {
            link: None,
            seqs: vec![0; topics.len()],
            sent: 0,
            unacked: VecDeque::new(),
            publisher: Publisher::new(index, topics),
        }
    }

    /// Messages to its only topic that have no answer yet.
    fn unacknowledged(&self) -> u32 {
        match (self.seqs.as_slice(), self.publisher.acked.as_slice()) {
            (&[sent], &[acked]) => sent - acked,
            _ => 0,
        }
    }
}

/// Just below what the hub allows per topic unless configured otherwise.
const UNACKED_MAX: usize = 1_000;
/// Beyond this, messages wait where they are due.
const UNSENT_BYTES_MAX: usize = 1 << 20;
/// The probe's number: no plan has so many publishers.
const PROBE: u32 = 60_000;
const BUFFER_BYTES: usize = 256 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
