//! A well-behaved client beside an attack: publishes, receives its own messages, and notices when it is disturbed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::hub::Hub;
use crate::support::socket::RawSocket;

/// The client, on a thread of its own.
pub(crate) struct Neighbour {
    enough: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Neighbour {
    /// Starts one beside whatever else the test does to the hub.
    pub(crate) fn of(hub: &Hub) -> Self {
        Self::on(RawSocket::signed_in(hub.address))
    }

    /// The same, on a connection of its own that has signed in.
    pub(crate) fn on(mut socket: RawSocket) -> Self {
        socket.say(json!({"type": "subscribe", "request": 1, "name": "neighbour"}));
        socket.hear_of("subscribed");
        socket.say(json!({"type": "open", "handle": 1, "topic": "neighbour", "lowest": 1}));
        socket.hear_of("opened");
        let enough = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&enough);
        let thread = thread::spawn(move || {
            let mut delays = Vec::new();
            for seq in 1.. {
                let began = Instant::now();
                socket.say(json!({"type": "publish", "handle": 1, "seq": seq, "lowest": seq, "data": seq}));
                let block = socket.hear_of("block");
                assert_eq!(block["messages"][0]["data"], seq, "a message is lost or out of order");
                delays.push(began.elapsed());
                if told.load(Ordering::Relaxed) && delays.len() >= ROUNDS_MIN {
                    break;
                }
            }
            delays
        });
        Self { enough, thread }
    }

    /// Ends it, and fails if anything was lost or did not come, however long it took.
    #[track_caller]
    pub(crate) fn went_on(self) {
        self.enough.store(true, Ordering::Relaxed);
        assert!(self.thread.join().unwrap().len() >= ROUNDS_MIN);
    }

    /// Ends it, and fails if it was disturbed.
    #[track_caller]
    pub(crate) fn was_undisturbed(self) {
        self.enough.store(true, Ordering::Relaxed);
        let mut delays = self.thread.join().unwrap();
        delays.sort();
        let p99 = delays[(delays.len() * 99).div_ceil(100) - 1];
        assert!(p99 <= DELAY_MAX, "p99 of {} rounds is {p99:?}", delays.len());
    }
}

/// Enough for a 99th percentile.
const ROUNDS_MIN: usize = 200;
/// What the 99th percentile may be while somebody attacks.
const DELAY_MAX: Duration = Duration::from_millis(100);
