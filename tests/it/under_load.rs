//! Keys, rules and certificates that change again and again while messages flow: who may stay loses nothing, and nobody stays who may not.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use jsonwebtoken::{Algorithm, EncodingKey};
use rustls::ClientConfig;
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::file::File;
use crate::support::hub::Hub;
use crate::support::keyed::{KEYS, SECRET, by_secret_of, claims, private, sign};
use crate::support::secured::Authority;
use crate::support::socket::{RawSocket, Received};

/// Where clients connect, and whom they trust.
#[derive(Clone)]
struct Way {
    address: SocketAddr,
    trust: Arc<ClientConfig>,
}

impl Way {
    /// Somebody who has signed in by TLS.
    #[track_caller]
    fn enter(&self, producer: u64, token: &str) -> RawSocket {
        let mut socket = RawSocket::secure(self.address, &self.trust).unwrap().upgraded();
        let producer = format!("{producer:032x}");
        socket.say(json!({"type": "hello", "producer": producer, "incarnation": 1, "token": token}));
        let welcome = socket.hear();
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        socket
    }

    #[track_caller]
    fn subscribe(&self, producer: u64, token: &str, name: &str) -> RawSocket {
        let mut socket = self.enter(producer, token);
        socket.say(json!({"type": "subscribe", "request": 1, "name": name}));
        socket.hear_of("subscribed");
        socket
    }

    /// Publishes one number after the other, each when the last is stored; gives the last one, and tells which it is before
    /// it goes.
    fn publish(self, token: String, enough: Arc<AtomicBool>, end: Arc<AtomicU64>) -> JoinHandle<u64> {
        let mut socket = self.enter(1, &token);
        socket.say(json!({"type": "open", "handle": 1, "topic": "live", "lowest": 1}));
        socket.hear_of("opened");
        thread::spawn(move || {
            for seq in 1.. {
                let is_last = enough.load(Ordering::Relaxed);
                if is_last {
                    end.store(seq, Ordering::Relaxed);
                }
                socket.say(json!({"type": "publish", "handle": 1, "seq": seq, "lowest": seq, "data": seq}));
                assert_eq!(hear(&mut socket)["type"], "acked");
                if is_last {
                    return seq;
                }
            }
            0
        })
    }
}

/// The next that is no sign of life.
#[track_caller]
fn hear(socket: &mut RawSocket) -> Value {
    loop {
        let frame = socket.hear();
        if frame["type"] != "heartbeat" {
            return frame;
        }
    }
}

/// Reads numbers of which none may be missing, and tells how far it has come.
fn follow(mut socket: RawSocket, reached: Arc<AtomicU64>, enough: Arc<AtomicU64>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut last = None;
        while reached.load(Ordering::Relaxed) < enough.load(Ordering::Relaxed) {
            let block = hear(&mut socket);
            assert_eq!(block["type"], "block", "{block}");
            for message in block["messages"].as_array().unwrap() {
                let number = message["data"].as_u64().unwrap();
                // A block may begin before the cursor of a reader that lags: clients drop what they have.
                if last.is_some_and(|last| number <= last) {
                    continue;
                }
                assert!(last.is_none_or(|last| number == last + 1), "{number} behind {last:?}");
                last = Some(number);
                reached.store(number, Ordering::Relaxed);
            }
        }
    })
}

/// A hub with all that changes.
struct Changing {
    hub: Hub,
    file: File,
    certificate: File,
    private_key: File,
    secret: File,
}

impl Changing {
    fn start(authority: &Authority) -> Self {
        let issued = authority.issue_local();
        let (certificate, private_key) = (File::new(&issued.certificate), File::new(&issued.key));
        let (secret, file) = (File::new(SECRET), File::new(""));
        let config = config(&secret, &certificate, &private_key, true);
        fs::write(file.path(), config).unwrap();
        let hub = Hub::start(&["--config", file.path()], &[]);
        Self { hub, file, certificate, private_key, secret }
    }

    /// Has everything read again, with the key and the rule that come and go, or without.
    fn read_again(&self, is_with: bool) {
        let said = |what: &str| self.hub.errors().matches(what).count();
        let told = ["in the file waits for the next start", "the certificate was read again"];
        let before = told.map(said);
        let config = config(&self.secret, &self.certificate, &self.private_key, is_with);
        fs::write(self.file.path(), config).unwrap();
        self.hub.signal("HUP");
        eventually("all is read again", || {
            told.into_iter().zip(before).all(|(told, before)| said(told) > before)
        });
    }
}

fn config(secret: &File, certificate: &File, private_key: &File, is_with: bool) -> String {
    let key = |kid: &str, algorithm: &str, file: &str| {
        format!(
            "[[auth.keys]]\nkid = \"{kid}\"\nalgorithm = \"{algorithm}\"\nfile = \"{file}\"\naudience = \"tidewire\"\n"
        )
    };
    let stays = key("stays", "HS256", secret.path());
    let goes = key("goes", "ES256", &format!("{KEYS}/ec.public.pem"));
    let goes = format!("{goes}[[access]]\npattern = \"extra\"\nsubscribe = true\n");
    format!(
        "shards = 2\nallow_no_origin = true\n{stays}{}[tls]\ncertificate = {:?}\nkey = {:?}\n",
        if is_with { &*goes } else { "" },
        certificate.path(),
        private_key.path()
    )
}

/// Whoever signed in by the key that is gone is told so, behind what came before.
fn is_sent_away(socket: &mut RawSocket) {
    loop {
        let frame = hear(socket);
        if frame["type"] == "goodbye" {
            assert_eq!(frame["code"], "bad_token");
            break;
        }
        assert_eq!(frame["type"], "block", "{frame}");
    }
    assert_eq!(socket.receive(), Received::Close(4004));
}

/// Whoever was allowed something by the rule that is gone is told so, and stays.
fn is_unsubscribed(socket: &mut RawSocket) {
    let ended = hear(socket);
    assert_eq!((&ended["type"], &ended["code"]), (&json!("unsubscribed"), &json!("forbidden")));
    socket.say(json!({"type": "heartbeat", "request": 7}));
    assert_eq!(socket.hear_of("heartbeat")["request"], 7);
}

#[test]
fn what_changes_while_messages_flow_ends_what_it_should_and_nothing_else() {
    let authority = Authority::new();
    let changing = Changing::start(&authority);
    let way = Way { address: changing.hub.address, trust: authority.trusting() };
    let live = json!([{"topics": ["live"], "to": ["publish", "subscribe"]}]);
    let by_stays = by_secret_of(Some("stays"), &claims("ada", live.clone()));
    let ec = EncodingKey::from_ec_pem(&private("ec")).unwrap();
    let by_goes = sign(Algorithm::ES256, Some("goes"), &ec, &claims("bob", live));

    let (enough, end) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(u64::MAX)));
    let reached: Vec<_> = (0..8).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let start = |(at, reached): (u64, &Arc<AtomicU64>)| {
        follow(way.subscribe(at, &by_stays, "live"), Arc::clone(reached), Arc::clone(&end))
    };
    let readers: Vec<_> = (100..).zip(&reached).map(start).collect();
    let publisher = way.clone().publish(by_stays.clone(), Arc::clone(&enough), Arc::clone(&end));
    let all_go_on = || {
        let before: Vec<u64> = reached.iter().map(|reached| reached.load(Ordering::Relaxed)).collect();
        eventually("everybody who stays gets more", || {
            before.iter().zip(&reached).all(|(before, reached)| reached.load(Ordering::Relaxed) > before + 20)
        });
    };
    for round in 1..6 {
        let enter = |from: u64, token: &str, name: &str| -> Vec<_> {
            (0..4).map(|at| way.subscribe(1_000 * round + from + at, token, name)).collect()
        };
        let (mut going, mut extra) = (enter(0, &by_goes, "live"), enter(500, &by_stays, "extra"));
        all_go_on();
        let other = authority.issue_local();
        fs::write(changing.certificate.path(), &other.certificate).unwrap();
        fs::write(changing.private_key.path(), &other.key).unwrap();
        changing.read_again(false);
        going.iter_mut().for_each(is_sent_away);
        extra.iter_mut().for_each(is_unsubscribed);
        let socket = RawSocket::secure(way.address, &way.trust).unwrap();
        assert!(other.is_shown_on(&socket), "round {round}");
        all_go_on();
        changing.read_again(true);
    }
    enough.store(true, Ordering::Relaxed);
    let last = publisher.join().unwrap();
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    assert!(reached.iter().all(|reached| reached.load(Ordering::Relaxed) == last));
}
