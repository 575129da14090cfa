//! The functions that `@tidewire/client` calls. Numbers in, numbers out.
//!
//! Everything that happens goes through [`call`]: one function, since each that is exported costs the package
//! bytes.

use atomic_refcell::{AtomicRefCell, AtomicRefMut};
use tidewire_client_core::fault::Fault;
use tidewire_client_core::input::{Input, Millis};
use tidewire_client_core::options::{Options, OutboxOptions, SubscribeOptions, WhenFull};
use tidewire_client_core::output::{ListenerId, PublishId, SenderId};
use tidewire_protocol::code::{Content, WhenSlow};
use tidewire_protocol::number::{Incarnation, ProducerId, Seq};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::engine::{Engine, OWN, text};
use crate::numbers::Call;

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
    asks_tokens: bool,
) {
    let when_full = if drop_oldest { WhenFull::DropOldest } else { WhenFull::Reject };
    let producer = u128::from(producer) << 64 | u128::from(producer_rest);
    engine().client.set(Options {
        producer: ProducerId(producer.to_le_bytes()),
        incarnation: Incarnation(incarnation),
        agent: AGENT.into(),
        asks_tokens,
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

/// Does what `number` stands for as a [`Call`]. `now` is in milliseconds, on a clock that never goes back.
#[wasm_bindgen]
pub fn call(number: u8, now: f64, a: f64, b: f64, c: f64, d: f64) -> f64 {
    Call::from_number(number).map_or(0.0, |call| dispatch(&mut engine(), call, now as Millis, [a, b, c, d]))
}

/// Does a call; [`Call`] says what it brings, and what it is answered with.
fn dispatch(engine: &mut Engine, call: Call, now: Millis, [a, b, c, d]: [f64; 4]) -> f64 {
    let client = &mut engine.client;
    match call {
        Call::Drain => return engine.drain() as f64,
        Call::Received => return engine.received(now, a as usize) as f64,
        Call::Publish => {
            let (content, seq) = (Content::from_number(d as u64 & 7), Seq(d as u64 >> 3));
            return answer(engine.publish(now, PublishId(b as u64), a as usize, content, c as u32, seq));
        }
        Call::Subscribe => {
            let options = options(d as u8);
            return answer(engine.subscribe(now, a as usize, (b as u8, c as u64), options));
        }
        Call::Cancel => client.cancel(now, OWN, PublishId(a as u64)),
        Call::Unsubscribe => client.unsubscribe(now, ListenerId(a as u32)),
        Call::Settled => return f64::from(client.settled(now, ListenerId(a as u32), b as u32, c as u32)),
        Call::Connect => client.connect(now),
        Call::Close => client.close(now),
        Call::LinkOpened => client.handle(now, Input::LinkOpened),
        Call::LinkClosed => client.handle(now, Input::LinkClosed { code: a as u16 }),
        Call::Timeout => client.handle(now, Input::Timeout),
        Call::Online => client.handle(now, Input::Online),
        Call::Suspend => client.handle(now, Input::Suspend),
        Call::NoToken => client.token_failed(now, false),
        Call::Token => client.set_token(now, text(&engine.input, a as usize)),
        Call::Ping => return client.ping(now).map_or(0.0, |request| request.0 as f64),
        Call::Send => {
            let (content, sender) = (Content::from_number(d as u64 & 7), SenderId((d as u64 >> 3) as u32));
            return answer(engine.send(now, a as usize, b as usize, c as Millis, content, sender));
        }
        Call::History => {
            return answer(engine.history(now, a as usize, (b as u8, c as u64), d as u32));
        }
        Call::Batch => {
            let bytes = (c >= 0.0).then_some(c as u64);
            return answer(client.begin_batch(OWN, PublishId(a as u64), b as u32, bytes).map(|()| 0.0));
        }
        Call::CatchUp => client.catch_up(now, ListenerId(a as u32)),
        Call::Besides => engine.besides(a as usize, b as u8, c as u64),
        Call::Withdraw => client.withdraw(now, SenderId(a as u32)),
    }
    0.0
}

fn answer(result: Result<f64, Fault>) -> f64 {
    result.unwrap_or_else(|fault| -f64::from(fault.number() * 2 + u16::from(fault.retryable())))
}

fn options(choices: u8) -> SubscribeOptions {
    SubscribeOptions {
        when_slow: WhenSlow::from_number(u64::from(choices >> 1)),
        echo: choices & 1 > 0,
        ..SubscribeOptions::default()
    }
}

const AGENT: &str = concat!("tidewire-js/", env!("CARGO_PKG_VERSION"));
