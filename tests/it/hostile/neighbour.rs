//! Well-behaved clients beside an attack: one publishes at a steady rate, one listens, and newcomers come by.
//!
//! Every message counts from when it was due, so that a hub that stalls is charged for all that had to wait.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::socket::{RawSocket, Received};

/// The clients, on threads of their own.
pub(crate) struct Neighbour {
    seen: Arc<Seen>,
    ends: Vec<RawSocket>,
    publisher: JoinHandle<()>,
    others: Vec<JoinHandle<()>>,
}

/// What they have seen so far.
#[derive(Default)]
struct Seen {
    enough: AtomicBool,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    /// By number, from 1: when it was due, acknowledged, and heard by topic and by pattern.
    messages: Vec<Message>,
    /// Everything that should not have happened.
    harms: Vec<String>,
    newcomers: u64,
}

#[derive(Clone, Copy)]
struct Message {
    due: Instant,
    acked: Option<Instant>,
    heard: [Option<Instant>; 2],
}

/// How long acknowledgements and deliveries took, sorted.
pub(crate) struct Delays {
    pub(crate) acks: Vec<Duration>,
    pub(crate) deliveries: Vec<Duration>,
}

/// What became of the neighbour's messages in the end.
pub(crate) struct Account {
    pub(crate) published: usize,
    pub(crate) unacknowledged: usize,
    pub(crate) undelivered: usize,
    pub(crate) not_kept: usize,
    pub(crate) newcomers: u64,
    /// Refusals, gaps, disorder, disconnects; those of newcomers too.
    pub(crate) harms: Vec<String>,
}

impl Neighbour {
    pub(crate) fn of(hub: SocketAddr) -> Self {
        let seen = Arc::new(Seen::default());
        let mut listener = RawSocket::signed_in(hub);
        let tails = [(1, TOPIC), (2, PATTERN)].map(|(request, name)| {
            listener.say(json!({"type": "subscribe", "request": request, "name": name}));
            listener.hear_of("subscribed")["tail"].as_u64().unwrap()
        });
        let mut publisher = RawSocket::signed_in(hub);
        publisher.say(json!({"type": "open", "handle": 1, "topic": TOPIC, "lowest": 1}));
        publisher.hear_of("opened");
        let (speaker, ends) = (publisher.twin(), vec![publisher.twin(), listener.twin()]);
        let [for_speaker, for_acks, for_blocks, for_newcomers] = [(); 4].map(|()| Arc::clone(&seen));
        let others = vec![
            thread::spawn(move || for_acks.follow(publisher, |log, now, frame| log.answered(now, frame))),
            thread::spawn(move || {
                for_blocks.follow(listener, |log, now, frame| log.delivered(now, frame, tails))
            }),
            thread::spawn(move || for_newcomers.welcome(hub)),
        ];
        Self { seen, ends, publisher: thread::spawn(move || for_speaker.publish(speaker)), others }
    }

    /// How long it took what was due from `begin` on; what has not come yet took until now.
    pub(crate) fn delays(&self, begin: Instant) -> Delays {
        let (now, log) = (Instant::now(), self.seen.log());
        let (mut acks, mut deliveries) = (Vec::new(), Vec::new());
        for message in log.messages.iter().filter(|message| message.due >= begin) {
            let since = |at: Option<Instant>| at.unwrap_or(now).saturating_duration_since(message.due);
            acks.push(since(message.acked));
            deliveries.extend(message.heard.map(since));
        }
        acks.sort();
        deliveries.sort();
        Delays { acks, deliveries }
    }

    /// Ends it once nothing more is owed to it, or after a while.
    pub(crate) fn end(self, hub: SocketAddr) -> Account {
        self.seen.enough.store(true, Ordering::Relaxed);
        let _ = self.publisher.join();
        let until = Instant::now() + OWED;
        while Instant::now() < until && self.seen.log().owes() {
            thread::sleep(Duration::from_millis(5));
        }
        self.ends.iter().for_each(RawSocket::hang_up);
        for other in self.others {
            if let Err(panic) = other.join() {
                self.seen.harm(format!("a neighbour is left waiting: {}", text_of(&*panic)));
            }
        }
        let log = self.seen.log();
        let count = log.messages.len();
        let kept = thread::spawn(move || kept(hub)).join().unwrap_or(0);
        Account {
            published: count,
            unacknowledged: log.messages.iter().filter(|message| message.acked.is_none()).count(),
            undelivered: log.messages.iter().filter(|m| m.heard.iter().any(Option::is_none)).count(),
            not_kept: count.saturating_sub(kept),
            newcomers: log.newcomers,
            harms: log.harms.clone(),
        }
    }
}

impl Seen {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    fn harm(&self, what: String) {
        self.log().harms.push(what);
    }

    fn publish(&self, mut socket: RawSocket) {
        let mut due = Instant::now();
        for seq in 1.. {
            if self.enough.load(Ordering::Relaxed) {
                return;
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
            self.log().messages.push(Message { due, acked: None, heard: [None; 2] });
            let lowest = self.log().lowest();
            socket.say(json!({"type": "publish", "handle": 1, "seq": seq, "lowest": lowest, "data": seq}));
            due += EVERY;
        }
    }

    /// Hands each frame on, until the connection ends.
    fn follow(&self, mut socket: RawSocket, mut hear: impl FnMut(&mut Log, Instant, &Value)) {
        let mut speaker = socket.twin();
        loop {
            let heard = socket.receive();
            let now = Instant::now();
            let frames = match heard {
                Received::Text(Value::Array(frames)) => frames,
                Received::Text(frame) => vec![frame],
                other => {
                    if !self.enough.load(Ordering::Relaxed) {
                        self.harm(format!("a neighbour is sent away: {other:?}"));
                    }
                    return;
                }
            };
            for frame in &frames {
                if frame["type"] == "heartbeat" {
                    speaker.say(json!({"type": "heartbeat"}));
                } else {
                    hear(&mut self.log(), now, frame);
                }
            }
        }
    }

    /// Lets newcomers come by, one after another.
    fn welcome(&self, hub: SocketAddr) {
        while !self.enough.load(Ordering::Relaxed) {
            if let Err(why) = newcomer(hub) {
                self.harm(format!("a newcomer: {why}"));
            }
            self.log().newcomers += 1;
            thread::sleep(NEWCOMER_EVERY);
        }
    }
}

impl Log {
    fn lowest(&self) -> usize {
        let answered = self.messages.iter().rposition(|message| message.acked.is_some());
        let from = answered.map_or(0, |place| place.saturating_sub(1_024));
        let first = self.messages[from..].iter().position(|message| message.acked.is_none());
        first.map_or(self.messages.len(), |place| from + place) + 1
    }

    fn owes(&self) -> bool {
        self.messages.iter().any(|message| message.acked.is_none() || message.heard.contains(&None))
    }

    fn answered(&mut self, now: Instant, frame: &Value) {
        if frame["type"] != "acked" {
            return self.harms.push(format!("a publish is answered by {frame}"));
        }
        let (Some(seq), Some(count)) = (frame["seq"].as_u64(), frame["count"].as_u64()) else {
            return self.harms.push(format!("an ack of nothing: {frame}"));
        };
        for place in seq..seq + count {
            match self.messages.get_mut(place as usize - 1) {
                Some(message) if message.acked.is_none() => message.acked = Some(now),
                Some(_) | None => self.harms.push(format!("{place} is acknowledged out of turn")),
            }
        }
    }

    fn delivered(&mut self, now: Instant, frame: &Value, tails: [u64; 2]) {
        let which = tails.iter().position(|tail| frame["tail"] == *tail);
        // A pattern's tail may leave messages to their topics, where its listener reads them: none is missing by that.
        if which.is_some() && frame["type"] == "progress" {
            return;
        }
        let (Some(which), Some(block)) = (which, frame["messages"].as_array()) else {
            return self.harms.push(format!("a listener hears {frame}"));
        };
        for number in block.iter().filter_map(|message| message["data"].as_u64()) {
            let place = number as usize - 1;
            let in_order = place == 0 || self.messages[place - 1].heard[which].is_some();
            if self.messages[place].heard[which].is_none() && !in_order {
                self.harms.push(format!("{number} is heard before the one ahead of it"));
            }
            // A block may bring again what was heard before it.
            self.messages[place].heard[which].get_or_insert(now);
        }
    }
}

impl Delays {
    pub(crate) fn p50(delays: &[Duration]) -> Duration {
        Self::quantile(delays, 50)
    }

    pub(crate) fn p99(delays: &[Duration]) -> Duration {
        Self::quantile(delays, 99)
    }

    fn quantile(delays: &[Duration], of_hundred: usize) -> Duration {
        delays.get((delays.len() * of_hundred).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// One who comes for the first time, with new names, and wants what everybody wants.
pub(crate) fn newcomer(hub: SocketAddr) -> Result<(), String> {
    let visit = move || {
        let mut socket = RawSocket::signed_in(hub);
        let name = format!("newcomers.{:016x}", crate::hostile::stranger::unique());
        for (request, name) in [(1, name.as_str()), (2, &format!("{name}.*"))] {
            socket.say(json!({"type": "subscribe", "request": request, "name": name}));
            socket.hear_of("subscribed");
        }
        socket.say(json!({"type": "open", "handle": 1, "topic": name, "lowest": 1}));
        socket.hear_of("opened");
        socket.say(json!({"type": "publish", "handle": 1, "seq": 1, "lowest": 1, "data": name}));
        assert_eq!(socket.hear_of("block")["messages"][0]["data"], name);
    };
    thread::spawn(visit).join().map_err(|panic| text_of(&*panic))
}

/// How many of the neighbour's messages can be read afterwards.
fn kept(hub: SocketAddr) -> usize {
    let mut socket = RawSocket::signed_in(hub);
    let (mut count, mut last, mut from) = (0, 0, json!("earliest"));
    loop {
        socket.say(json!({"type": "history", "request": 1, "name": TOPIC, "from": from}));
        let page = socket.hear_of("page");
        for message in
            page["blocks"].as_array().unwrap().iter().flat_map(|block| block["messages"].as_array().unwrap())
        {
            // Blocks come whole, so that a page may begin with what was on the one before.
            let offset = message["offset"].as_u64().unwrap();
            count += usize::from(offset > last);
            last = last.max(offset);
        }
        if page["more"] != true {
            return count;
        }
        from = json!({"after": page["upto"]});
    }
}

/// What a panic says.
pub(crate) fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}

const TOPIC: &str = "neighbour.steady";
const PATTERN: &str = "neighbour.*";
/// Between two messages.
const EVERY: Duration = Duration::from_millis(5);
const NEWCOMER_EVERY: Duration = Duration::from_millis(250);
/// How long what was published may still be on its way at the end.
const OWED: Duration = Duration::from_secs(5);
