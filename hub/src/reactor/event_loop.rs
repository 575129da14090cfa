//! The loop of one thread: waits for sockets, reads them, and lets the shard work in small steps.

use std::convert::Infallible;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::shard::Shard;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_hub_core::topics::Topics;
use tracing::{error, warn};

use crate::reactor::clock::Clock;
use crate::reactor::orders::Taker;
use crate::reactor::sockets::{Read, Sockets};
use crate::reactor::{Newcomer, Order, Role};

/// One thread's part of the reactor.
#[derive(Debug)]
pub(super) struct EventLoop {
    poll: Poll,
    shard: Shard,
    sockets: Sockets,
    orders: Taker,
    clock: Clock,
    /// When the system's clock was looked at.
    compared_at: Millis,
    topics: Arc<Topics>,
    load: Arc<AtomicUsize>,
    /// Every socket is read into this one; what must be kept of it, the shard copies.
    buffer: Box<[u8]>,
}

impl EventLoop {
    /// A loop without sockets.
    pub(super) fn new(
        poll: Poll,
        shard: Shard,
        orders: Taker,
        clock: Clock,
        topics: Arc<Topics>,
        load: Arc<AtomicUsize>,
    ) -> io::Result<Self> {
        let sockets = Sockets::new(poll.registry().try_clone()?);
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        Ok(Self { poll, shard, sockets, orders, clock, compared_at: Millis(0), topics, load, buffer })
    }

    /// Runs until the process ends, or this thread does with a report.
    pub(super) fn run(mut self) {
        let Err(error) = self.try_run();
        error!(target: "reactor", "the system refuses to wait for sockets: {error}");
    }

    fn try_run(&mut self) -> io::Result<Infallible> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let (mut more, mut told) = (false, false);
        loop {
            let timeout = if more { Duration::ZERO } else { self.patience() };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            let now = self.clock.now();
            for event in &events {
                match event.token() {
                    WAKER => told = true,
                    token => self.note(token, event),
                }
            }
            // Reads go before writes: an ack waits for a slice of a walk at most.
            more = self.read_round(now);
            more |= self.sockets.farewells.read_round(READ_SLICE);
            if told {
                told = self.obey(now);
                more |= told;
            }
            more |= self.work();
            self.sockets.farewells.end();
            self.compare_clocks(now);
        }
    }

    /// Has messages get the system's time where that was corrected.
    fn compare_clocks(&mut self, now: Millis) {
        if now.since(self.compared_at) < COMPARE_MS {
            return;
        }
        self.compared_at = now;
        if let Some(by_ms) = self.topics.calendar().follow(self.clock.now(), Clock::system()) {
            report_correction(by_ms);
        }
    }

    /// Until the shard or a farewell wants to be called.
    fn patience(&self) -> Duration {
        let shard = Duration::from_millis(self.shard.deadline().since(self.clock.now()));
        self.sockets.farewells.patience().map_or(shard, |other| shard.min(other))
    }

    fn note(&mut self, token: Token, event: &mio::event::Event) {
        if self.sockets.farewells.note(token) {
            return;
        }
        let id = ConnectionId(token.0 as u32);
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.sockets.queue(id, event.is_read_closed() || event.is_error());
        }
        if event.is_writable() && self.sockets.is_free_again(id) {
            self.shard.writable(id);
        }
    }

    /// Reads each waiting socket once, for a slice of time; `true` if some still wait.
    fn read_round(&mut self, now: Millis) -> bool {
        if self.shard.is_backed_up() {
            return self.sockets.waiting() > 0;
        }
        let began = Instant::now();
        let waiting = self.sockets.waiting();
        // The more wait, the less one is read at a time: the last in line waits for a round of bytes, not of buffers.
        let portion = (READ_ROUND_BYTES / waiting.max(1)).clamp(READ_BYTES_MIN, READ_BYTES);
        for _ in 0..waiting {
            let Some(id) = self.sockets.next_to_read() else { break };
            let portion = portion.min(self.shard.appetite(id));
            if portion == 0 {
                self.sockets.pause(id);
                continue;
            }
            match self.sockets.read(id, &mut self.buffer[..portion]) {
                Read::Bytes(count) => {
                    self.shard.received(now, id, &mut self.buffer[..count], &mut self.sockets);
                    self.let_go(now);
                }
                Read::Nothing => {}
                Read::End => self.forget(now, id),
            }
            // One who publishes faster than answers can be told waits for them.
            if self.shard.is_backed_up() || began.elapsed() >= READ_SLICE {
                break;
            }
        }
        self.sockets.waiting() > 0
    }

    /// Lets the shard work for a slice of time; `true` if there is more to do.
    fn work(&mut self) -> bool {
        let began = Instant::now();
        loop {
            let now = self.clock.now();
            let more = self.shard.turn(now, &mut self.sockets);
            self.let_go(now);
            if !more || began.elapsed() >= SLICE {
                return more;
            }
        }
    }

    /// Does some of what it was told; `true` if there may be more.
    fn obey(&mut self, now: Millis) -> bool {
        self.orders.look();
        for _ in 0..ORDERS_A_ROUND {
            match self.orders.next() {
                Some(Order::Welcome(newcomer)) => self.welcome(now, newcomer),
                Some(Order::Drain { spread_ms }) => self.shard.drain(now, spread_ms),
                // Whoever asked may have gone.
                Some(Order::Answer(reply)) => {
                    let _ = reply.send(());
                }
                Some(Order::Look { wanted, reply }) => {
                    // It takes as long as a slice of a walk, so that others have their turn behind it.
                    let _ = reply.send(self.shard.look(&wanted));
                    return true;
                }
                Some(Order::Dismiss { who, again, reply }) => {
                    let _ = reply.send(self.shard.dismiss(now, who, again));
                }
                None => return false,
            }
        }
        true
    }

    fn welcome(&mut self, now: Millis, newcomer: Newcomer) {
        let Newcomer { stream, tls, role, seat, arrival } = newcomer;
        let account = seat.account();
        let (id, mut received) = match role {
            Role::Peer { dialect, received } => {
                (self.shard.accept_late(now, dialect, account, arrival), received)
            }
            Role::Listener(listening) => {
                self.bound_silence(&stream);
                (self.shard.accept_listener(now, account, arrival, *listening), Box::default())
            }
        };
        if let Err(error) = self.sockets.add(id, stream, tls, seat) {
            warn!(target: "reactor", "a socket cannot be waited for: {error}");
            self.forget(now, id);
            return;
        }
        if !received.is_empty() {
            self.shard.received(now, id, &mut received, &mut self.sockets);
            self.let_go(now);
        }
    }

    /// Who only listens says nothing that would tell that it lives: its system does, by what it acknowledges.
    #[cfg(target_os = "linux")]
    fn bound_silence(&self, stream: &TcpStream) {
        let patience = Duration::from_millis(self.topics.limits().silent_ms());
        // Of a client on this machine, by a socket in the file system, the end is always told.
        if let Err(error) = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(patience))
            && error.kind() != io::ErrorKind::Unsupported
        {
            warn!(target: "reactor", "a socket cannot be bounded: {error}");
        }
    }

    /// Elsewhere the system takes its own time.
    #[cfg(not(target_os = "linux"))]
    fn bound_silence(&self, _: &TcpStream) {}

    /// Tells the shard of sockets that failed while it wrote, and counts those that it closed.
    fn let_go(&mut self, now: Millis) {
        while let Some(id) = self.sockets.next_failed() {
            self.forget(now, id);
        }
        let closed = self.sockets.take_closed();
        if closed > 0 {
            self.load.fetch_sub(closed, Ordering::Relaxed);
        }
    }

    fn forget(&mut self, now: Millis, id: ConnectionId) {
        self.sockets.remove(id);
        self.shard.gone(now, id);
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Says that somebody has corrected the system's clock, or that the machine slept.
fn report_correction(by_ms: i64) {
    let seconds = by_ms.unsigned_abs() as f64 / 1_000.0;
    if by_ms > 0 {
        warn!(
            target: "reactor",
            "the system's clock went ahead by {seconds:.1} s; messages are given its time, and what topics keep goes by the \
             time that has passed"
        );
    } else {
        warn!(
            target: "reactor",
            "the system's clock went back by {seconds:.1} s; the times of messages go on slowly until it has come up to \
             them, and what topics keep goes by the time that has passed"
        );
    }
}

/// The token of the thread's waker; connections have their ids.
pub(super) const WAKER: Token = Token(usize::MAX);
/// Bytes read from one socket before others have their turn.
const READ_BYTES: usize = 64 << 10;
/// As much is read of one socket however many wait: less costs more calls than it spares.
const READ_BYTES_MIN: usize = 2 << 10;
/// About so much is read in one round of all that wait.
const READ_ROUND_BYTES: usize = 1 << 20;
/// Between two looks at the system's clock; a thread wakes that often for its shard's timers.
const COMPARE_MS: u64 = 1_000;
/// Events taken at once.
const EVENTS_MAX: usize = 1_024;
/// How long sockets are read before the shard may write: acks gather meanwhile, and must not wait for a herd.
const READ_SLICE: Duration = Duration::from_millis(1);
/// Newcomers that are welcomed before sockets have their turn.
const ORDERS_A_ROUND: usize = 64;
/// How long the shard may write before reads have their turn.
const SLICE: Duration = Duration::from_micros(50);
