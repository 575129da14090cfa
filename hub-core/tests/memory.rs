//! What the hub holds for producers and topics that it knows and that are at rest, and for blocks; it is charged so.
//!
//! A binary of its own with one test, because the allocator that counts is everybody's.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use peak_alloc::PeakAlloc;
use tidewire_hub_core::access::Access;
use tidewire_hub_core::access::caller::Caller;
use tidewire_hub_core::block::{Entry, Open};
use tidewire_hub_core::clock::{Millis, NEVER};
use tidewire_hub_core::ledger::{AccountKey, Kind, Ledger};
use tidewire_hub_core::letter::{Address, Serial};
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::log::window::run::Answer;
use tidewire_hub_core::log::windows::{Stream, Windows};
use tidewire_hub_core::names::producers::{Arrival, Claim, Producers};
use tidewire_protocol::block::Head;
use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::{Incarnation, Offset, ProducerId, Seq, TailNumber};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const COUNT: u64 = 100_000;

#[test]
fn what_is_held_is_little_and_charged_as_it_is_allocated() {
    windows_and_producers();
    for (accounts, topics, messages) in
        [(1, 0, 1), (1, 0, 200), (2, 0, 2), (3, 5, 40), (700, 0, 700), (1, 300, 300)]
    {
        blocks(accounts, topics, messages);
    }
}

/// A window takes at most 100 bytes, and a producer not much more.
fn windows_and_producers() {
    let ledger = Arc::new(Ledger::default());
    let account = ledger.account(AccountKey(1));
    let mut producers = Producers::new(1 << 30);
    let claim = |producer| Claim {
        producer,
        subject: None,
        incarnation: Incarnation(1),
        address: Address { shard: 0, slot: 0, generation: 0, serial: Serial(0) },
        arrival: Arrival(1),
    };
    let (attachment, _) = producers.attach(&account, claim(ProducerId([1; 16]))).unwrap();

    let (held, charged) = (MEMORY.current_usage(), ledger.held(Kind::Windows));
    let access = Access::open();
    let mut windows = Windows::new(0, false, &Limits::default());
    for number in 1..=COUNT {
        let topic = TopicName::parse(&format!("sensors.{number}.temperature")).unwrap();
        let topic = access.publish(&Caller::default(), topic).unwrap();
        let stream = Stream { attachment: &attachment, topic: &topic, lowest: Seq(1), again: false };
        let (key, is_new) = windows.begin(&account, stream).unwrap();
        windows.change(key, |window| window.take(Answer::Done(Offset(number)), 1));
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
        let (known, _) = producers.attach(&account, claim(id)).unwrap();
        producers.detach(Millis(number), &known);
    }
    let each = (MEMORY.current_usage() - held) / COUNT as usize;
    let charged_each = (ledger.held(Kind::Windows) - charged) / COUNT as usize;
    assert!(each <= 160 && charged_each.abs_diff(each) <= 25, "{each} bytes, {charged_each} charged");
}

/// A block of so many messages that so many accounts bring in turn, to so many topics where it is a pattern's: while it
/// grows, and sealed.
fn blocks(accounts: u64, topics: usize, messages: u64) {
    let ledger = Arc::new(Ledger::default());
    let accounts: Vec<_> = (1..=accounts).map(|key| ledger.account(AccountKey(key.into()))).collect();
    let topics: Vec<Arc<str>> = (0..topics).map(|number| format!("t.{number}").into()).collect();
    let held = MEMORY.current_usage();
    let mut open = Box::new(Open::new(&accounts[0], Kind::Messages));
    for number in 1..=messages {
        let at = number as usize;
        let topic = topics.get(at % topics.len().max(1));
        let (head, payload) = (Head::default(), &[b'x'; 10]);
        let entry = Entry { offset: Offset(number), head, stale_at: NEVER, topic, payload };
        open.append(Offset(number - 1), &entry, &accounts[at % accounts.len()]);
        let (allocated, charged) = (MEMORY.current_usage() - held, ledger.held(Kind::Messages));
        assert_eq!(charged, allocated, "for {number} messages of {} accounts", accounts.len());
    }
    let block = Arc::new(open.seal(TailNumber(1), 0));
    drop(open);
    let (allocated, charged) = (MEMORY.current_usage() - held, ledger.held(Kind::Messages));
    // Its place in a tail comes on top.
    assert!((allocated..allocated + 80).contains(&charged), "{charged} for {allocated} bytes");
    drop(block);
    assert_eq!(ledger.held(Kind::Messages), 0);
}
