//! Nothing that a shard does goes first for ever, whatever else keeps it busy.

use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::ledger::AccountKey;
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::client_frame::{ClientFrame, History, Subscribe, Unsubscribe};
use tidewire_protocol::code::WhenSlow;
use tidewire_protocol::number::{Request, TailNumber};
use tidewire_protocol::position::Start;

use crate::rig::{
    Heard, Hub, Sockets, bytes_of, hello, keep_all, limits, masked, messages, open_as, publish_on,
};

/// Publishers that publish again as soon as they have their ack.
struct Eager {
    ids: Vec<ConnectionId>,
    seqs: Vec<u64>,
}

impl Eager {
    fn begin(hub: &mut Hub, count: u8) -> Self {
        let ids: Vec<_> = (100..100 + count).map(|producer| hub.client(producer)).collect();
        for id in &ids {
            hub.open(*id, "other");
        }
        for id in &ids {
            hub.deliver(*id, 2, &bytes_of(&[publish_on(1, 1, b"m")]));
        }
        Self { seqs: vec![1; ids.len()], ids }
    }

    fn go_on(&mut self, hub: &mut Hub) {
        for (id, seq) in self.ids.iter().zip(&mut self.seqs) {
            if hub.sockets.written.remove(id).is_some_and(|written| !written.is_empty()) {
                *seq += 1;
                hub.deliver(*id, 2, &bytes_of(&[publish_on(1, *seq, b"m")]));
            }
        }
    }

    fn acks(&self) -> u64 {
        self.seqs.iter().sum()
    }
}

fn written(hub: &Hub, id: ConnectionId) -> usize {
    hub.sockets.written.get(&id).map_or(0, Vec::len)
}

#[test]
fn acks_do_not_starve_a_reader_that_catches_up() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let writer = hub.client(1);
    hub.open(writer, "big");
    for seq in 1..=500 {
        hub.publish(writer, seq, &[b'x'; 8_000]);
    }
    let mut publishers = Eager::begin(&mut hub, 40);
    let reader = hub.client(2);
    let (name, from) = ("big".into(), Start::Earliest);
    let start = Subscribe { request: Request(9), name, from, when_slow: WhenSlow::CatchUp };
    hub.deliver(reader, 2, &bytes_of(&[ClientFrame::Subscribe(start)]));
    hub.sockets.written.remove(&reader);
    for _ in 0..5_000 {
        hub.shard.turn(hub.now, &mut hub.sockets);
        publishers.go_on(&mut hub);
    }
    let got = written(&hub, reader);
    assert!(got > 3_000_000, "beside {} acks one who waits for 4 MB got {got} bytes", publishers.acks());
}

#[test]
fn publishes_of_another_shard_do_not_starve_a_subscriber() {
    let (mut hub, mut others) = Hub::with_shards(Limits::default(), vec![], 2);
    let other = &mut others[0];
    let reader = hub.client(2);
    hub.subscribe(reader, "t", Start::Latest, WhenSlow::CatchUp);
    hub.heard(reader);
    let mut sockets = Sockets::default();
    let writer = other.accept(hub.now, Dialect::Binary, AccountKey(2));
    for frame in [hello(1, 1), open_as(1, 0, "t")] {
        let mut bytes = masked(2, &bytes_of(&[frame]));
        other.received(hub.now, writer, &mut bytes, &mut sockets);
    }
    for seq in 1..=10_000 {
        let mut bytes = masked(2, &bytes_of(&[publish_on(1, seq, b"m")]));
        other.received(hub.now, writer, &mut bytes, &mut sockets);
        hub.shard.turn(hub.now, &mut hub.sockets);
    }
    let got = written(&hub, reader);
    assert!(got > 10_000, "of 10,000 messages, one between two turns, the subscriber got {got} bytes");
}

#[test]
fn acks_do_not_wait_behind_what_was_read_for_others() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let writer = hub.client(1);
    hub.open(writer, "s.t");
    hub.publish(writer, 1, b"m");
    let readers: Vec<_> = (0..400).map(|_| hub.client(2)).collect();
    hub.sockets.written.clear();
    for reader in readers {
        let (name, from) = ("s.*".into(), Start::Earliest);
        let question = History { request: Request(4), name, from, ..History::default() };
        hub.deliver(reader, 2, &bytes_of(&[ClientFrame::History(question)]));
        while hub.topics.read_on(hub.now) {}
    }
    let turns = |hub: &mut Hub| {
        for _ in 0..16 {
            hub.shard.turn(hub.now, &mut hub.sockets);
        }
    };
    turns(&mut hub);
    hub.deliver(writer, 2, &bytes_of(&[publish_on(1, 2, b"m")]));
    turns(&mut hub);
    assert!(hub.sockets.written.len() < 400, "the others still wait");
    assert!(written(&hub, writer) > 0);
}

#[test]
fn outcomes_without_end_do_not_starve_a_walk() {
    let mut hub = Hub::new(Limits::default(), vec![]);
    let (writer, reader) = (hub.client(1), hub.client(2));
    hub.subscribe(reader, "t", Start::Latest, WhenSlow::CatchUp);
    hub.open(writer, "t");
    hub.heard(reader);
    let mut publishers = Eager::begin(&mut hub, 60);
    hub.deliver(writer, 2, &bytes_of(&[publish_on(1, 1, b"m")]));
    // Mail that lies before this message's: one turn of it at most, and a round of everything else.
    for _ in 0..14 {
        hub.shard.turn(hub.now, &mut hub.sockets);
        publishers.go_on(&mut hub);
    }
    assert!(written(&hub, reader) > 0);
}

#[test]
fn a_large_audience_does_not_block_the_walks_of_small_ones() {
    let mut hub = Hub::new(limits(|limits| limits.slice_sends = 4), vec![]);
    let crowd: Vec<_> = (0..200).map(|_| hub.client(9)).collect();
    let (writer, reader) = (hub.client(1), hub.client(2));
    for id in &crowd {
        hub.subscribe(*id, "large", Start::Latest, WhenSlow::CatchUp);
        hub.heard(*id);
    }
    hub.subscribe(reader, "small", Start::Latest, WhenSlow::CatchUp);
    hub.heard(reader);
    hub.say(writer, &[open_as(1, 0, "large"), open_as(2, 0, "small")]);
    hub.deliver(writer, 2, &bytes_of(&[publish_on(1, 1, b"m"), publish_on(2, 1, b"m")]));
    let count = |hub: &Hub| crowd.iter().filter(|id| written(hub, **id) > 0).count();
    let turns = (1..1_000).find(|_| {
        hub.shard.turn(hub.now, &mut hub.sockets);
        written(&hub, reader) > 0
    });
    let served = count(&hub);
    assert!(served < 20, "{served} of the large audience came before, in {turns:?} turns");
    hub.work();
    assert_eq!(count(&hub), crowd.len());
}

/// More walks at once than keep their blocks, with news, joins and ends in between: everybody has everything.
#[test]
fn many_walks_at_once_lose_nothing() {
    let mut hub = Hub::new(limits(|limits| limits.slice_sends = 2), keep_all());
    let names: Vec<_> = (0..40).map(|topic| format!("t{topic}")).collect();
    let writer = hub.client(1);
    let mut readers = Vec::new();
    for (handle, name) in (1..).zip(&names) {
        hub.say(writer, &[open_as(handle, 0, name)]);
        for _ in 0..6 {
            let id = hub.client(2);
            hub.subscribe(id, name, Start::Latest, WhenSlow::CatchUp);
            hub.heard(id);
            readers.push(id);
        }
    }
    let leavers: Vec<_> = readers.iter().copied().step_by(6).collect();
    for seq in 1..=5 {
        for handle in 1..=names.len() as u64 {
            hub.deliver(writer, 2, &bytes_of(&[publish_on(handle, seq, b"m")]));
            for _ in 0..3 {
                hub.shard.turn(hub.now, &mut hub.sockets);
            }
        }
        if seq == 3 {
            leavers.iter().for_each(|id| hub.shard.gone(hub.now, *id));
        }
    }
    hub.work();
    for id in readers.iter().filter(|id| !leavers.contains(id)) {
        let heard = hub.heard(*id);
        let offsets: Vec<_> = messages(&heard).iter().map(|told| told.offset).collect();
        assert_eq!(offsets.len(), 5, "{offsets:?}");
        assert!(offsets.is_sorted());
    }
}

#[test]
fn who_leaves_and_comes_back_is_told_what_is_new() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let (writer, reader) = (hub.client(1), hub.client(2));
    hub.open(writer, "t");
    for seq in 1..=20 {
        hub.subscribe(reader, "t", Start::Latest, WhenSlow::CatchUp);
        // The news lies in the mail when the last cursor goes, and its mark is raised.
        hub.deliver(writer, 2, &bytes_of(&[publish_on(1, 2 * seq - 1, b"m")]));
        let heard = hub.heard(reader);
        let Some(Heard::Subscribed(..)) = heard.first() else { panic!("{heard:?}") };
        let end = Unsubscribe { request: Request(1), tail: TailNumber(1) };
        hub.deliver(reader, 2, &bytes_of(&[ClientFrame::Unsubscribe(end)]));
        if seq % 2 == 0 {
            hub.work();
        }
        hub.heard(reader);
        hub.subscribe(reader, "t", Start::Latest, WhenSlow::CatchUp);
        hub.heard(reader);
        hub.publish(writer, 2 * seq, b"news");
        let heard = hub.heard(reader);
        assert_eq!(messages(&heard).len(), 1, "round {seq}: {heard:?}");
        let end = Unsubscribe { request: Request(1), tail: TailNumber(1) };
        hub.say(reader, &[ClientFrame::Unsubscribe(end)]);
        hub.heard(reader);
    }
}
