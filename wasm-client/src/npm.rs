//! The functions that `@tidewire/client` calls. Numbers in, numbers out.
//!
//! Every call takes `now`, milliseconds on a clock that never goes back. A call that can be refused answers
//! with a number above zero, or with minus twice the fault's number, less one if trying again can help.

use std::cell::{OnceCell, RefCell, RefMut};

use tidewire_client_core::fault::Fault;
use tidewire_client_core::input::{Input, Millis};
use tidewire_client_core::options::{Options, OutboxOptions, SubscribeOptions, WhenFull};
use tidewire_client_core::output::{ListenerId, PublishId};
use tidewire_protocol::code::{Content, WhenSlow};
use tidewire_protocol::number::ProducerId;
use tidewire_protocol::position::Start;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::engine::Engine;

thread_local! {
    /// Lives as long as the wasm instance does, which JavaScript drops whole.
    static ENGINE: OnceCell<&'static RefCell<Engine>> = const { OnceCell::new() };
}

/// Not inlined: every function of this file begins with it.
#[inline(never)]
fn engine() -> RefMut<'static, Engine> {
    ENGINE.with(|engine| engine.get().expect("`start` comes first").borrow_mut())
}

fn tell(now: f64, input: Input<'_>) {
    engine().client.handle(now as Millis, input);
}

fn answer(result: Result<f64, Fault>) -> f64 {
    result.unwrap_or_else(|fault| -f64::from(fault.number() * 2 + u16::from(fault.retryable())))
}

/// Makes room for `len` bytes and answers with their address. Other calls may move it.
#[wasm_bindgen]
pub fn input(len: u32) -> *const u8 {
    engine().input(len as usize)
}

/// Where the rows of the last [`drain`] or [`received`] are.
#[wasm_bindgen]
pub fn rows() -> *const u8 {
    engine().table.address().cast()
}

/// Sets the client up; the first call. The two halves of `producer`, 128 random bits, are the publisher's secret
/// identity.
#[wasm_bindgen]
pub fn start(producer: u64, producer_rest: u64, count_max: u32, bytes_max: f64, drop_oldest: bool) {
    let when_full = if drop_oldest { WhenFull::DropOldest } else { WhenFull::Reject };
    let producer = u128::from(producer) << 64 | u128::from(producer_rest);
    let engine = Engine::new(Options {
        producer: ProducerId(producer.to_be_bytes()),
        agent: AGENT.into(),
        outbox: OutboxOptions { count_max, bytes_max: bytes_max as u64, when_full },
        seed: producer_rest,
        ..Options::default()
    });
    ENGINE.with(|slot| slot.set(Box::leak(Box::new(RefCell::new(engine)))).is_ok());
}

/// Fills the table with all that is to be done, and answers with the number of rows.
#[wasm_bindgen]
pub fn drain() -> usize {
    engine().drain()
}

/// One whole binary WebSocket message is in the first `len` bytes of the input. Drains.
#[wasm_bindgen]
pub fn received(now: f64, len: u32) -> usize {
    engine().received(now as Millis, len as usize)
}

/// The application has no token to give, nor will it have one if `is_final`.
#[wasm_bindgen(js_name = tokenFailed)]
pub fn token_failed(now: f64, is_final: bool) {
    engine().client.token_failed(now as Millis, is_final);
}

/// Starts connecting.
#[wasm_bindgen]
pub fn connect(now: f64) {
    engine().client.connect(now as Millis);
}

/// Ends everything.
#[wasm_bindgen]
pub fn close(now: f64) {
    engine().client.close(now as Millis);
}

/// The link is up.
#[wasm_bindgen(js_name = linkOpened)]
pub fn link_opened(now: f64) {
    tell(now, Input::LinkOpened);
}

/// The link is gone, or could not be had.
#[wasm_bindgen(js_name = linkClosed)]
pub fn link_closed(now: f64, code: u16) {
    tell(now, Input::LinkClosed { code });
}

/// The deadline has come.
#[wasm_bindgen]
pub fn timeout(now: f64) {
    tell(now, Input::Timeout);
}

/// The network is back, or the page is shown.
#[wasm_bindgen]
pub fn online(now: f64) {
    tell(now, Input::Online);
}

/// The page is hidden for good.
#[wasm_bindgen]
pub fn suspend(now: f64) {
    tell(now, Input::Suspend);
}

/// Publishes: the input is the topic. Answers with the publish's number. `again` says that an engine before this
/// one may have sent it.
#[wasm_bindgen]
pub fn publish(now: f64, topic_len: u32, content: u8, payload_len: u32, again: bool) -> f64 {
    let content = Content::from_number(u64::from(content));
    answer(engine().publish(now as Millis, topic_len as usize, content, payload_len, again))
}

/// Withdraws a publish.
#[wasm_bindgen]
pub fn cancel(now: f64, id: f64) {
    engine().client.cancel(now as Millis, PublishId(id as u64));
}

/// Subscribes: the input is the name, then positions. Answers with the listener's number.
///
/// `from`: 0 latest, 1 earliest, 2 the last `amount`, 3 the last `amount` milliseconds, 4 after `amount`
/// positions.
#[wasm_bindgen]
pub fn subscribe(now: f64, name_len: u32, from: u8, amount: f64, when_slow: u8, echo: bool) -> f64 {
    let options = SubscribeOptions {
        from: match from {
            1 => Start::Earliest,
            2 => Start::Last(amount as u64),
            3 => Start::SinceMs(amount as u64),
            _ => Start::Latest,
        },
        when_slow: WhenSlow::from_number(u64::from(when_slow)),
        echo,
        ..SubscribeOptions::default()
    };
    let positions = (from == 4).then_some(amount as usize);
    answer(engine().subscribe(now as Millis, name_len as usize, positions, options))
}

/// Ends a listener.
#[wasm_bindgen]
pub fn unsubscribe(now: f64, listener: u32) {
    engine().client.unsubscribe(now as Millis, ListenerId(listener));
}

/// The application is done with so many messages and bytes of a listener.
#[wasm_bindgen]
pub fn settled(now: f64, listener: u32, messages: u32, bytes: u32) {
    engine().client.settled(now as Millis, ListenerId(listener), messages, bytes);
}

const AGENT: &str = concat!("tidewire-js/", env!("CARGO_PKG_VERSION"));
