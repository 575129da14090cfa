//! Threads, sockets and clocks: one thread for each shard, each with its own poll. A thread owns its sockets and
//! lends them to its shard; nothing is shared between threads but topics, inboxes and a box for new sockets.

use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use mio::{Poll, Waker};
use rustls::ServerConnection;
use tidewire_hub_core::calls::probing;
use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::letter::Inbox;
use tidewire_hub_core::log::engine::{Disk, Engine};
use tidewire_hub_core::names::producers::Arrival;
use tidewire_hub_core::shard::Shard;
use tidewire_hub_core::shard::listening::Listening;
use tidewire_hub_core::shard::looking::{Found, Wanted, Which};
use tidewire_hub_core::topics::{Settings, Topics};
use tidewire_protocol::number::Epoch;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::error;

use crate::reactor::checker::Checker;
use crate::reactor::clock::Clock;
use crate::reactor::desk::Desk;
use crate::reactor::event_loop::{EventLoop, WAKER};
use crate::reactor::orders::{Giver, orders};
use crate::reactor::storage::{Opened, Storage, StorageError};
use crate::seats::Seat;
use crate::tokens::Keyring;
use crate::tokens::held::KeyChange;
use crate::tokens::remembered::{Remembered, Unreadable};

pub mod storage;

mod writer;

mod tidier;

mod storing;

pub mod logs;

mod checker;

mod sources;

pub mod desk;

mod event_loop;

mod orders;

mod clock;

mod sockets;

mod farewell;

mod sealing;

/// The threads that own all WebSockets, and all answers that go on.
#[derive(Debug)]
pub struct Reactor {
    topics: Arc<Topics>,
    threads: Vec<Thread>,
    desk: Arc<Desk>,
    checker: Checker,
    storage: Option<Storage>,
    remembered: Option<Arc<Remembered>>,
}

/// A socket whose handshake is done.
#[derive(Debug)]
pub struct Newcomer {
    /// The socket; it must not block.
    pub stream: TcpStream,
    /// What belongs to it where TLS is spoken on it.
    pub tls: Option<Box<ServerConnection>>,
    /// What it is for.
    pub role: Role,
    /// Given back when the socket is closed.
    pub seat: Seat,
    /// When it came.
    pub arrival: Arrival,
}

/// What is done on a socket.
#[derive(Debug)]
pub enum Role {
    /// Both sides speak.
    Peer {
        /// What.
        dialect: Dialect,
        /// What came right behind the handshake.
        received: Box<[u8]>,
    },
    /// Its client only listens.
    Listener(Box<Listening>),
}

/// What a thread is told.
#[derive(Debug)]
enum Order {
    /// A socket to own.
    Welcome(Newcomer),
    /// Say goodbye to everybody.
    Drain { spread_ms: u64 },
    /// Say that it goes round.
    Answer(oneshot::Sender<()>),
    /// Say what some connections are.
    Look { wanted: Wanted, reply: oneshot::Sender<Found> },
    /// End one, and say whether it was there.
    Dismiss { who: Which, again: bool, reply: oneshot::Sender<bool> },
}

#[derive(Debug)]
struct Thread {
    orders: Giver,
    /// Sockets given to it and not yet closed.
    load: Arc<AtomicUsize>,
}

/// Why the threads do not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system has no more threads or files.
    #[error("cannot start the shards")]
    System(#[from] io::Error),
    /// The data directory cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Which tokens were revoked cannot be read there.
    #[error(transparent)]
    Revoked(#[from] Unreadable),
}

impl Reactor {
    /// Starts one thread for each shard over new topics, and takes tokens if there are keys. What is in the data directory, if
    /// there is one, is there again before anybody comes. Within a tokio runtime.
    ///
    /// # Errors
    /// What the system says when it has no more threads or files for us, or why the data directory cannot be used.
    pub fn start(
        mut settings: Settings,
        keys: Keyring,
        shards: usize,
        data_dir: Option<&Path>,
    ) -> Result<Arc<Self>, StartError> {
        let mut polls = Vec::new();
        let mut inboxes = Vec::new();
        for index in 0..shards {
            let poll = Poll::new()?;
            let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
            inboxes.push(Arc::new(inbox(index, Arc::clone(&waker))));
            polls.push((poll, waker));
        }
        // Calls have an inbox as shards have.
        let wake = Arc::new(Notify::new());
        let calls = Arc::new(desk::inbox(Arc::clone(&wake)));
        inboxes.push(Arc::clone(&calls));
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let epoch = Epoch(getrandom::u64().map_err(io::Error::other)?);
        // Whatever a configuration keeps, it is not what the hub asks itself.
        settings.rules.splice(0..0, probing::rule());
        let clock = Clock::start();
        let opened =
            data_dir.map(|directory| Opened::read(directory, &settings.rules, clock.now())).transpose()?;
        let mut logs = vec![(epoch, Engine::Memory)];
        if let Some(opened) = &opened {
            logs.push((opened.epoch, Engine::Disk(Disk::default())));
            (secret, settings.boot) = (opened.secret, opened.boot);
        }
        let topics = Arc::new(Topics::with_logs(settings, logs, inboxes.clone()));
        // By now the directory is this hub's.
        let remembered = data_dir.map(Remembered::open).transpose()?.map(Arc::new);
        for revocation in remembered.iter().flat_map(|remembered| remembered.revocations(clock.now())) {
            // What was taken back once has a place again.
            let _ = topics.revoke(clock.now(), revocation);
        }
        let storage = opened.map(|opened| opened.start(&topics, clock)).transpose()?;
        // It looks through many topics, so that neither shards nor publishing wait for it.
        let reads = Arc::clone(&topics);
        lend("reader", |waker| topics.reads().on_work(waker), move || reads.read_on(clock.now()))?;
        let checker = Checker::new(Arc::clone(&topics), clock);
        checker.change(keys)?;
        let desk = Arc::new(Desk::new(shards, Arc::clone(&topics), calls, clock, secret));
        desk::spawn_delivery(Arc::clone(&desk), wake);
        let mut threads = Vec::new();
        for (index, ((poll, waker), inbox)) in polls.into_iter().zip(inboxes).enumerate() {
            let (orders, taken) = orders(waker);
            let load = Arc::new(AtomicUsize::new(0));
            let shard = Shard::new(clock.now(), index, Arc::clone(&topics), inbox);
            let events = EventLoop::new(poll, shard, taken, clock, Arc::clone(&topics), Arc::clone(&load))?;
            thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
                let _fatal = FatalEnd;
                SHARD.set(Some(index));
                events.run()
            })?;
            threads.push(Thread { orders, load });
        }
        Ok(Arc::new(Self { topics, threads, desk, checker, storage, remembered }))
    }

    /// The topics of the hub.
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// The durable log, if there is one.
    pub fn storage(&self) -> Option<&Storage> {
        self.storage.as_ref()
    }

    /// Where calls are made: what is asked without a connection.
    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// Where it is kept which tokens were revoked, if anywhere.
    pub fn remembered(&self) -> Option<&Arc<Remembered>> {
        self.remembered.as_ref()
    }

    /// How long tokens may last at most, if that is bounded.
    pub fn token_seconds_max(&self) -> Option<u64> {
        self.checker.seconds_max()
    }

    /// From now on tokens are checked by these keys, and bearers of tokens by others are sent away.
    ///
    /// # Errors
    /// What the system says when it has no thread to check them.
    pub fn change_keys(&self, keys: Keyring) -> io::Result<KeyChange> {
        self.checker.change(keys)
    }

    /// Gives a socket to the thread that has the fewest.
    pub fn welcome(&self, newcomer: Newcomer) {
        let Some(thread) = self.threads.iter().min_by_key(|thread| thread.load.load(Ordering::Relaxed))
        else {
            return;
        };
        thread.load.fetch_add(1, Ordering::Relaxed);
        thread.tell(Order::Welcome(newcomer));
    }

    /// Waits until every thread has gone round once, so long at most.
    ///
    /// # Errors
    /// The shard that has not by then.
    pub async fn goes_round(&self, patience: Duration) -> Result<(), usize> {
        let until = Instant::now() + patience;
        let asked: Vec<_> = self.threads.iter().map(|thread| thread.ask(Order::Answer)).collect();
        for (shard, answer) in asked.into_iter().enumerate() {
            timeout_at(until, answer).await.ok().and_then(Result::ok).ok_or(shard)?;
        }
        Ok(())
    }

    /// Shards, each with some of the connections.
    pub fn shards(&self) -> usize {
        self.threads.len()
    }

    /// Some connections of a shard; `None` if it does not answer in time, or is none.
    pub async fn look(&self, shard: usize, wanted: Wanted, patience: Duration) -> Option<Found> {
        let answer = self.threads.get(shard)?.ask(|reply| Order::Look { wanted, reply });
        timeout(patience, answer).await.ok()?.ok()
    }

    /// Ends a connection of a shard, and says whether it was there; `None` as for [`Self::look`].
    pub async fn dismiss(&self, shard: usize, who: Which, again: bool, patience: Duration) -> Option<bool> {
        let answer = self.threads.get(shard)?.ask(|reply| Order::Dismiss { who, again, reply });
        timeout(patience, answer).await.ok()?.ok()
    }

    /// Tells all clients to go and to come back within `spread`.
    pub fn drain(&self, spread: Duration) {
        for thread in &self.threads {
            thread.tell(Order::Drain { spread_ms: spread.as_millis() as u64 });
        }
    }
}

/// Starts a thread that does something whenever the waker that it gives away is called, as long as that says that there is more.
fn lend(
    name: &str,
    give: impl FnOnce(Box<dyn Fn() + Send + Sync>),
    mut turn: impl FnMut() -> bool + Send + 'static,
) -> io::Result<()> {
    let (wake, woken) = mpsc::sync_channel(1);
    give(Box::new(move || {
        // Full means that it is to look anyway.
        let _ = wake.try_send(());
    }));
    thread::Builder::new().name(name.into()).spawn(move || {
        let _fatal = FatalEnd;
        while woken.recv().is_ok() {
            while turn() {}
        }
    })?;
    Ok(())
}

impl Thread {
    /// Neither can fail: a thread that ends takes the process with it.
    fn tell(&self, order: Order) {
        let _ = self.orders.tell(order);
    }

    /// Tells it something that is answered.
    fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> oneshot::Receiver<T> {
        let (reply, answer) = oneshot::channel();
        self.tell(order(reply));
        answer
    }
}

/// An inbox that wakes its shard's thread. A thread that is just leaving mail for itself is awake, and looks into
/// its inbox before it sleeps: that spares it a system call for each publish.
fn inbox(index: usize, waker: Arc<Waker>) -> Inbox {
    Inbox::new(Box::new(move || {
        if SHARD.get() != Some(index) {
            let _ = waker.wake();
        }
    }))
}

thread_local! {
    /// Which shard this thread runs, if any.
    static SHARD: std::cell::Cell<Option<usize>> = const { std::cell::Cell::new(None) };
}

/// A hub that has lost a shard looks healthy to most clients and is dead to the rest, so it ends as a whole.
struct FatalEnd;

impl Drop for FatalEnd {
    fn drop(&mut self) {
        let thread = thread::current();
        let name = thread.name().unwrap_or("a thread");
        error!(target: "reactor", "{name} has ended, and with it the hub");
        crate::logs::flush();
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::task::spawn_blocking;

    #[tokio::test]
    async fn a_shard_that_does_not_go_round_is_named() {
        let settings = Settings::default();
        let reactor = Reactor::start(settings, Keyring::default(), 2, None).unwrap();
        assert_eq!(reactor.goes_round(PATIENCE).await, Ok(()));
        let (orders, stuck) = {
            let poll = Poll::new().unwrap();
            orders(Arc::new(Waker::new(poll.registry(), WAKER).unwrap()))
        };
        let mut reactor = Arc::into_inner(reactor).unwrap();
        reactor.threads.push(Thread { orders, load: Arc::default() });
        assert_eq!(reactor.goes_round(Duration::from_millis(50)).await, Err(2));
        // It was only late.
        let late = spawn_blocking(move || {
            loop {
                if let Some(Order::Answer(reply)) = stuck.next()
                    && reply.send(()).is_ok()
                {
                    return;
                }
                thread::yield_now();
            }
        });
        assert_eq!(reactor.goes_round(PATIENCE).await, Ok(()));
        late.await.unwrap();
    }

    const PATIENCE: Duration = Duration::from_secs(20);
}
