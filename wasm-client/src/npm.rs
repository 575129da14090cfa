//! The functions that `@tidewire/client` calls. Numbers in, numbers out.
//!
//! Everything that happens goes through [`call`]: one function, since each that is exported costs the package
//! bytes. `js/src/engine/engine.ts` lists the same calls.

use atomic_refcell::{AtomicRefCell, AtomicRefMut};
use tidewire_client_core::fault::Fault;
use tidewire_client_core::input::{Input, Millis};
use tidewire_client_core::options::{Options, OutboxOptions, SubscribeOptions, WhenFull};
use tidewire_client_core::output::{ListenerId, PublishId};
use tidewire_protocol::code::{Content, WhenSlow};
use tidewire_protocol::number::{Incarnation, ProducerId, Seq};
use tidewire_protocol::position::Start;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::engine::{Engine, OWN};

/// Lives as long as the wasm instance does, which JavaScript drops whole.
static ENGINE: AtomicRefCell<Engine> = AtomicRefCell::new(Engine::new());

fn engine() -> AtomicRefMut<'static, Engine> {
    ENGINE.borrow_mut()
}

/// Sets the client up; the first call. The two halves of `producer`, 128 random bits, are the publisher's secret
/// identity, and `incarnation` is higher than that of any engine that had it before.
#[wasm_bindgen]
pub fn start(
    producer: u64,
    producer_rest: u64,
    incarnation: u64,
    count_max: u32,
    bytes_max: f64,
    drop_oldest: bool,
) {
    let when_full = if drop_oldest { WhenFull::DropOldest } else { WhenFull::Reject };
    let producer = u128::from(producer) << 64 | u128::from(producer_rest);
    engine().client.set(Options {
        producer: ProducerId(producer.to_le_bytes()),
        incarnation: Incarnation(incarnation),
        agent: AGENT.into(),
        outbox: OutboxOptions { count_max, bytes_max: bytes_max as u64, when_full },
        seed: producer_rest,
        ..Options::new()
    });
}

/// Makes room for `len` bytes and answers with their address. Other calls may move it.
#[wasm_bindgen]
pub fn input(len: u32) -> *const u8 {
    engine().input(len as usize)
}

/// Where the rows are that [`call`] has left.
#[wasm_bindgen]
pub fn rows() -> *const u8 {
    engine().table.address().cast()
}

/// Does what `kind` says; see `dispatch`. `now` is in milliseconds, on a clock that never goes back.
#[wasm_bindgen]
pub fn call(kind: u8, now: f64, a: f64, b: f64, c: f64, d: f64) -> f64 {
    dispatch(&mut engine(), kind, now as Millis, [a, b, c, d])
}

/// Calls that bring an input of bytes find them at the address that [`input`] gave. A call that can be refused
/// answers with a number from zero on, or with minus twice the fault's number, less one if trying again can help.
fn dispatch(engine: &mut Engine, kind: u8, now: Millis, [a, b, c, d]: [f64; 4]) -> f64 {
    let client = &mut engine.client;
    match kind {
        // Fills the table with all that is to be done; answers with the number of rows.
        0 => return engine.drain() as f64,
        // One whole binary WebSocket message is in the first `a` bytes of the input. Drains.
        1 => return engine.received(now, a as usize) as f64,
        // The topic is in the first `a` bytes of the input, `b` is the publish's number, `c` the payload's length; `d` is
        // its content, and eight times the seq under which an engine before this one sent it.
        2 => {
            let (content, seq) = (Content::from_number(d as u64 & 7), Seq(d as u64 >> 3));
            return answer(engine.publish(now, PublishId(b as u64), a as usize, content, c as u32, seq));
        }
        // The name is in the first `a` bytes of the input; `b` and `c` are where to start, `d` the options. Answers
        // with the listener's number.
        3 => return answer(engine.subscribe(now, a as usize, positions(b, c), options(b, c, d as u8))),
        // The number of a publish.
        4 => client.cancel(now, OWN, PublishId(a as u64)),
        // The number of a listener.
        5 => client.unsubscribe(now, ListenerId(a as u32)),
        // A listener, messages, and bytes of payload. Answers with 1 if a drain is due for it.
        6 => return f64::from(client.settled(now, ListenerId(a as u32), b as u32, c as u32)),
        7 => client.connect(now),
        8 => client.close(now),
        9 => client.handle(now, Input::LinkOpened),
        // The close code.
        10 => client.handle(now, Input::LinkClosed { code: a as u16 }),
        11 => client.handle(now, Input::Timeout),
        12 => client.handle(now, Input::Online),
        13 => client.handle(now, Input::Suspend),
        // Answers with the ping's number, or with 0 if there is no link.
        15 => return client.ping(now).map_or(0.0, |request| request.0 as f64),
        // The topic is in the first `a` bytes of the input, and `b` bytes of payload behind it; `c` is how many milliseconds
        // it is worth waiting, `d` its content. Answers with 1 if it went or waits, with 0 if it was dropped.
        16 => {
            let content = Content::from_number(d as u64);
            return answer(engine.send(now, a as usize, b as usize, c as Millis, content));
        }
        // Answers with the number of updates that were dropped.
        17 => return client.sends_dropped() as f64,
        // The name is in the first `a` bytes of the input; `b` and `c` are where to start, `d` the messages at most.
        // Answers with the question's number.
        18 => return answer(engine.history(now, a as usize, positions(b, c), start_of(b, c), d as u32)),
        // The number of a listener.
        19 => client.catch_up(now, ListenerId(a as u32)),
        // There is no token, and there will be none.
        _ => client.token_failed(now, true),
    }
    0.0
}

fn answer(result: Result<f64, Fault>) -> f64 {
    result.unwrap_or_else(|fault| -f64::from(fault.number() * 2 + u16::from(fault.retryable())))
}

fn options(from: f64, amount: f64, choices: u8) -> SubscribeOptions {
    SubscribeOptions {
        from: start_of(from, amount),
        when_slow: WhenSlow::from_number(u64::from(choices >> 1)),
        echo: choices & 1 > 0,
        ..SubscribeOptions::default()
    }
}

/// `from`: 0 latest, 1 earliest, 2 the last `amount`, 3 the last `amount` milliseconds, 4 after `amount` positions,
/// which stand in the input behind the name.
fn start_of(from: f64, amount: f64) -> Start {
    match from as u8 {
        1 => Start::Earliest,
        2 => Start::Last(amount as u64),
        3 => Start::SinceMs(amount as u64),
        _ => Start::Latest,
    }
}

fn positions(from: f64, amount: f64) -> Option<usize> {
    (from as u8 == 4).then_some(amount as usize)
}

const AGENT: &str = concat!("tidewire-js/", env!("CARGO_PKG_VERSION"));
