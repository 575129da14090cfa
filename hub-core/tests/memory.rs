//! What the hub holds for producers and topics that it knows and that are at rest.
//!
//! A binary of its own with one test, because the allocator that counts is everybody's.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use peak_alloc::PeakAlloc;
use tidewire_hub_core::access::Access;
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::ledger::{AccountKey, Kind, Ledger};
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::log::window::run::Answer;
use tidewire_hub_core::log::windows::{Stream, Windows};
use tidewire_hub_core::names::producers::Producers;
use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::{Incarnation, Offset, ProducerId, Seq};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const COUNT: u64 = 100_000;

#[test]
fn a_window_at_rest_takes_at_most_100_bytes_and_a_producer_not_much_more() {
    let ledger = Arc::new(Ledger::default());
    let account = ledger.account(AccountKey(1));
    let mut producers = Producers::new(1 << 30);
    let producer = producers.attach(&account, ProducerId([1; 16]), Incarnation(1)).unwrap();

    let (held, charged) = (MEMORY.current_usage(), ledger.held(Kind::Windows));
    let access = Access::open();
    let mut windows = Windows::new(0, &Limits::default());
    for number in 1..=COUNT {
        let topic = TopicName::parse(&format!("sensors.{number}.temperature")).unwrap();
        let topic = access.publish(topic).unwrap();
        let stream =
            Stream { producer: &producer, incarnation: Incarnation(1), topic: &topic, lowest: Seq(1) };
        let (key, is_new) = windows.begin(&account, stream).unwrap();
        windows.change(key, |window| window.take(Answer::Done(Offset(number))));
        windows.shut(Millis(number), key);
        assert!(is_new);
    }
    assert_eq!(windows.count() as u64, COUNT);
    let each = (MEMORY.current_usage() - held) / COUNT as usize;
    let charged_each = (ledger.held(Kind::Windows) - charged) / COUNT as usize;
    assert!(each <= 100 && charged_each.abs_diff(each) <= 10, "{each} bytes, {charged_each} charged");

    let (held, charged) = (MEMORY.current_usage(), ledger.held(Kind::Windows));
    for number in 1..=COUNT {
        let id = ProducerId((u128::from(number) << 64 | 7).to_le_bytes());
        let known = producers.attach(&account, id, Incarnation(1)).unwrap();
        producers.release(Millis(number), known.number());
    }
    let each = (MEMORY.current_usage() - held) / COUNT as usize;
    let charged_each = (ledger.held(Kind::Windows) - charged) / COUNT as usize;
    assert!(each <= 160 && charged_each.abs_diff(each) <= 25, "{each} bytes, {charged_each} charged");
}
