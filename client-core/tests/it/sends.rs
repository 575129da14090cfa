//! Updates that may be lost: what goes, what waits, what is dropped, and what it costs.

use tidewire_client_core::input::Input;
use tidewire_client_core::options::Options;
use tidewire_client_core::outgoing::Update;
use tidewire_client_core::output::{Fate, SenderId};
use tidewire_protocol::code::{Code, Content};
use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::{Heartbeat, HubFrame, Welcome};
use tidewire_protocol::number::{NUMBER_MAX, Request};
use tidewire_protocol::position::Start;

use crate::rig::{Rig, refused};

const FIRST: u64 = (1 << 20) + 1;

fn welcome() -> Welcome<'static> {
    let heartbeat_ms = 1_000_000;
    Welcome { features: feature::SEND, heartbeat_ms, message_bytes_max: 100_000, ..Welcome::default() }
}

fn online() -> Rig {
    Rig::online_with(welcome())
}

fn update<'a>(topic: &'a str, payload: &'a str, expires_ms: u64) -> Update<'a> {
    Update { topic, content: Content::Text, payload: payload.as_bytes(), expires_ms, ..Update::default() }
}

impl Rig {
    #[track_caller]
    fn send(&mut self, topic: &str, payload: &str, expires_ms: u64) {
        self.client.send(self.now, &update(topic, payload, expires_ms)).unwrap();
        self.drain();
    }

    fn send_refused(&mut self, topic: &str, payload: &str) -> &'static str {
        self.client.send(self.now, &update(topic, payload, 0)).unwrap_err().name()
    }

    #[track_caller]
    fn send_for(&mut self, sender: u32, topic: &str, expires_ms: u64) -> Fate {
        let fate = self
            .client
            .send(self.now, &Update { sender: SenderId(sender), ..update(topic, "1", expires_ms) });
        self.drain();
        fate.unwrap()
    }

    fn echo(&mut self, request: u64) {
        self.say(HubFrame::Heartbeat(Heartbeat { request: Request(request) }));
    }

    /// The hub has read all that was sent: it refuses the topics that have such a name, and echoes.
    fn read_all(&mut self, is_refused: impl Fn(&str) -> bool) {
        for frame in std::mem::take(&mut self.sent) {
            let words: Vec<_> = frame.split(' ').collect();
            match words[..] {
                ["open", handle, topic] if is_refused(topic) => {
                    self.say(refused(handle.parse().unwrap(), 0, 0, Code::Forbidden, false));
                }
                ["heartbeat", request] => self.echo(request.parse().unwrap()),
                _ => {}
            }
        }
    }

    #[track_caller]
    fn expect_dropped(&self, count: u64) {
        assert_eq!(self.client.sends_dropped(), count);
    }
}

#[test]
fn an_update_goes_at_once_and_its_topic_is_named_once() {
    let mut rig = online();
    rig.send("a", "1", 0);
    let open = format!("open {FIRST} a");
    let (first, second) = (format!("send {FIRST} 1"), format!("send {FIRST} 2 for 300"));
    rig.expect_sent(&[&open, &first, "heartbeat 1"]);
    rig.send("a", "2", 300);
    rig.send("b", "3", 0);
    let (open, third) = (format!("open {} b", FIRST + 1), format!("send {} 3", FIRST + 1));
    rig.expect_sent(&[&second, &open, &third]);
    assert!(rig.client.is_flushed());
    rig.expect_dropped(0);
}

#[test]
fn updates_of_one_drain_share_packets() {
    let mut rig = online();
    for number in 0..1_000 {
        rig.client.send(rig.now, &update("a", &format!("{number:04}"), 0)).unwrap();
    }
    rig.packets = 0;
    rig.drain();
    assert_eq!(rig.packets, 1);
    assert!(rig.packet_bytes_max < 1_000 * 16);
    let sent: Vec<_> =
        rig.sent.iter().filter_map(|frame| frame.strip_prefix(&format!("send {FIRST} "))).collect();
    assert_eq!(sent.len(), 1_000);
    assert!(sent.is_sorted());
}

#[test]
fn without_a_link_an_update_waits_as_long_as_it_is_worth_anything() {
    let mut rig = Rig::new(Options::default());
    rig.send("a", "old", 100);
    rig.send("a", "new", 60_000);
    rig.send("a", "never", 0);
    rig.expect_dropped(1);
    rig.now += 200;
    rig.input(Input::LinkOpened);
    rig.sent.clear();
    rig.say(HubFrame::Welcome(welcome()));
    let (open, sent) = (format!("open {FIRST} a"), format!("send {FIRST} new for 59800"));
    rig.expect_sent(&[&open, &sent, "heartbeat 1"]);
    rig.expect_dropped(2);
}

#[test]
fn whoever_sends_hears_whether_it_was_dropped_at_once() {
    let mut rig = online();
    let send = |rig: &mut Rig, expires_ms| rig.client.send(rig.now, &update("a", "1", expires_ms));
    assert_eq!(send(&mut rig, 0), Ok(Fate::Gone));
    rig.input(Input::LinkClosed { code: 1006 });
    assert_eq!(send(&mut rig, 0), Ok(Fate::Dropped));
    assert_eq!(send(&mut rig, 1_000), Ok(Fate::Waits));
    rig.expect_dropped(1);
}

#[test]
fn what_waited_too_long_is_dropped_when_its_time_has_come() {
    let mut rig = online();
    rig.input(Input::LinkClosed { code: 1006 });
    rig.input(Input::Suspend);
    rig.send("a", "1", 100);
    rig.expect_dropped(0);
    assert_eq!(rig.wait(), 100);
    rig.expect_dropped(1);
    assert_eq!(rig.client.deadline(), None);
}

#[test]
fn what_waits_is_bounded_and_the_oldest_leaves_first() {
    let mut rig = online();
    rig.input(Input::LinkClosed { code: 1006 });
    for number in 0..10_000 {
        rig.send("a", &number.to_string(), 60_000);
    }
    rig.expect_dropped(10_000 - 1_024);
    rig.send("a", &"x".repeat(64 << 10), 60_000);
    rig.expect_dropped(10_000 - 1_024 + 1);
    rig.sent.clear();
    rig.input(Input::Online);
    rig.input(Input::LinkOpened);
    rig.say(HubFrame::Welcome(welcome()));
    assert_eq!(rig.sent.last().unwrap(), &format!("send {FIRST} 9999 for 60000"));
}

#[test]
fn a_hub_that_does_not_read_gets_no_more() {
    let mut rig = online();
    let large = "x".repeat(60_000);
    for _ in 0..10 {
        rig.send("a", &large, 0);
    }
    let sends = |rig: &Rig| rig.sent.iter().filter(|frame| frame.starts_with("send")).count();
    assert_eq!(sends(&rig), 4);
    rig.expect_dropped(6);
    rig.send("a", &large, 10_000);
    assert_eq!(sends(&rig), 4);
    // The first question was asked behind the first update.
    rig.echo(1);
    assert_eq!(sends(&rig), 5);
    rig.expect_dropped(6);
}

#[test]
fn a_stalled_link_gets_nothing_until_it_moves_again() {
    let mut rig = online();
    rig.send("a", "1", 0);
    rig.now += 1_999;
    rig.send("a", "2", 0);
    rig.now += 1;
    rig.sent.clear();
    for number in 3..10 {
        rig.send("a", &number.to_string(), 0);
    }
    rig.expect_sent(&[]);
    rig.expect_dropped(7);
    rig.send("b", "kept", 5_000);
    rig.echo(1);
    let (open, sent) = (format!("open {} b", FIRST + 1), format!("send {} kept for 5000", FIRST + 1));
    rig.expect_sent(&[&open, &sent, "heartbeat 2"]);
}

#[test]
fn a_hub_is_asked_how_far_it_has_read_once_at_a_time() {
    let mut rig = online();
    for _ in 0..100 {
        rig.send("a", &"x".repeat(1_000), 0);
        rig.now += 10;
    }
    let asked = |rig: &Rig| rig.sent.iter().filter(|frame| frame.starts_with("heartbeat")).count();
    assert_eq!(asked(&rig), 1);
    rig.echo(1);
    rig.send("a", "1", 0);
    assert_eq!(asked(&rig), 2);
    rig.echo(2);
    rig.now += 999;
    rig.send("a", "1", 0);
    assert_eq!(asked(&rig), 2);
}

#[test]
fn updates_that_waited_go_before_newer_ones() {
    let mut rig = online();
    rig.input(Input::LinkClosed { code: 1006 });
    rig.send("a", "1", 1_000);
    rig.input(Input::Online);
    rig.input(Input::LinkOpened);
    rig.send("a", "2", 1_000);
    rig.sent.clear();
    rig.say(HubFrame::Welcome(welcome()));
    rig.send("a", "3", 0);
    let sent: Vec<_> = (1..4).map(|n| format!("send {FIRST} {n}")).collect();
    let found: Vec<_> = rig.sent.iter().filter(|frame| frame.starts_with("send")).collect();
    assert_eq!(found.len(), sent.len(), "{found:?}");
    assert!(found.iter().zip(&sent).all(|(found, sent)| found.starts_with(sent)), "{found:?}");
}

#[test]
fn a_hub_that_cannot_take_them_gets_none() {
    let mut rig = Rig::new(Options::default());
    rig.send("a", "1", 60_000);
    rig.sign_in();
    rig.expect_dropped(1);
    rig.sent.clear();
    assert_eq!(rig.send_refused("a", "2"), "not_supported");
    rig.drain();
    rig.expect_sent(&[]);
    rig.expect_dropped(2);
    // The next hub may be another one.
    rig.reconnect_with(welcome());
    rig.sent.clear();
    rig.send("a", "3", 0);
    assert_eq!(rig.sent[1], format!("send {FIRST} 3"));
}

#[test]
fn the_refusal_of_a_topic_is_told_at_its_next_update_and_forgotten_with_the_link() {
    let mut rig = online();
    rig.send("secret", "1", 0);
    rig.send("open", "1", 0);
    rig.say(refused(FIRST, 0, 0, Code::Forbidden, false));
    rig.sent.clear();
    assert_eq!(rig.send_refused("secret", "2"), "forbidden");
    rig.send("open", "2", 0);
    rig.expect_sent(&[&format!("send {} 2", FIRST + 1)]);
    rig.expect_dropped(1);
    rig.reconnect_with(welcome());
    rig.sent.clear();
    rig.send("secret", "3", 0);
    assert_eq!(rig.sent[0], format!("open {FIRST} secret"));
}

#[test]
fn a_topic_refused_for_now_is_asked_for_again_under_another_handle() {
    let mut rig = online();
    rig.send("a", "1", 0);
    rig.say(refused(FIRST, 0, 0, Code::Overloaded, false));
    assert_eq!(rig.send_refused("a", "2"), "overloaded");
    rig.now += 5_000;
    rig.echo(1);
    rig.sent.clear();
    rig.send("a", "3", 0);
    let (open, sent) = (format!("open {} a", FIRST + 1), format!("send {} 3", FIRST + 1));
    rig.expect_sent(&[&open, &sent, "heartbeat 2"]);
}

#[test]
fn many_topics_take_turns_and_no_handle_is_used_twice() {
    let mut rig = online();
    let mut opened = std::collections::BTreeSet::new();
    let mut shut = 0;
    for round in 0..3 {
        for topic in 0..1_500 {
            rig.send(&format!("t{topic}"), &round.to_string(), 60_000);
            for frame in &rig.sent {
                let words: Vec<_> = frame.split(' ').collect();
                match words[0] {
                    "open" => assert!(opened.insert(words[1].to_owned()), "{frame}"),
                    "shut" => {
                        assert!(opened.contains(words[1]));
                        shut += 1;
                    }
                    _ => {}
                }
            }
            rig.read_all(|_| false);
        }
    }
    assert_eq!(opened.len() - shut, 1_024);
    rig.expect_dropped(0);
}

#[test]
fn of_however_many_topics_that_a_hub_refuses_late_each_is_told() {
    for expires_ms in [0, 60_000] {
        let mut rig = online();
        let mut gone = 0;
        for number in 1..=3_000 {
            gone += u64::from(rig.send_for(number, &format!("t{number}"), expires_ms) == Fate::Gone);
        }
        assert_eq!(gone, 1_024, "no more than the refusals of which can be told");
        rig.expect_dropped(if expires_ms > 0 { 3_000 - 2 * 1_024 } else { 3_000 - 1_024 });
        while rig.sent.iter().any(|frame| frame.starts_with("open")) {
            gone += rig.events.iter().filter(|event| event.starts_with("gone")).count() as u64;
            rig.events.retain(|event| event.starts_with("unsendable"));
            rig.read_all(|_| true);
        }
        let told = rig.events.iter().filter(|event| event.starts_with("unsendable"));
        assert_eq!(told.count() as u64, gone);
        assert_eq!(gone, if expires_ms > 0 { 2_048 } else { 1_024 });
        assert!(rig.send_for(3_001, "another", 0) == Fate::Gone, "there is room again");
    }
}

#[test]
fn an_update_of_a_topic_without_room_keeps_no_other_topic_waiting() {
    let mut rig = online();
    for number in 1..=1_024 {
        assert_eq!(rig.send_for(number, &format!("t{number}"), 0), Fate::Gone);
    }
    assert_eq!(rig.send_for(7, "new", 60_000), Fate::Waits);
    assert_eq!(rig.send_for(7, "new", 60_000), Fate::Waits);
    assert_eq!(rig.send_for(8, "t5", 0), Fate::Gone);
    rig.events.clear();
    rig.read_all(|_| false);
    rig.events.retain(|event| !event.starts_with("echoed"));
    rig.expect_events(&["gone 7", "gone 7"]);
    rig.expect_dropped(0);
}

#[test]
fn what_waits_of_a_sender_who_has_gone_is_dropped_and_told() {
    let mut rig = online();
    rig.input(Input::LinkClosed { code: 1006 });
    for sender in [1, 2, 1, 0] {
        assert_eq!(rig.send_for(sender, "a", 60_000), Fate::Waits);
    }
    rig.events.clear();
    rig.client.withdraw(rig.now, SenderId(1));
    rig.drain();
    rig.expect_events(&["dropped 1", "dropped 1"]);
    rig.expect_dropped(2);
    rig.input(Input::Online);
    rig.sign_in_with(welcome());
    rig.expect_dropped(2);
}

#[test]
fn what_no_packet_carries_and_names_that_are_none_are_refused() {
    let mut rig = online();
    assert_eq!(rig.send_refused("a", &"x".repeat(100_001)), "too_large");
    assert_eq!(rig.send_refused("a.*", "1"), "bad_name");
    rig.expect_dropped(1);
    rig.client.close(rig.now);
    rig.drain();
    assert_eq!(rig.send_refused("a", "1"), "closed");
}

#[test]
fn amounts_without_end_are_numbers_that_the_hub_reads() {
    let mut rig = online();
    rig.send("a", "1", u64::MAX);
    let (open, sent) = (format!("open {FIRST} a"), format!("send {FIRST} 1 for {NUMBER_MAX}"));
    rig.expect_sent(&[&open, &sent, "heartbeat 1"]);
    rig.history("t", Start::Last(u64::MAX), 1);
    rig.history("t", Start::SinceMs(u64::MAX), 1);
    let (last, since) =
        (format!("history 2 t last({NUMBER_MAX})"), format!("history 3 t sincems({NUMBER_MAX})"));
    rig.expect_sent(&[&last, &since]);
}

#[test]
fn whoever_sends_learns_at_once_or_later_what_became_of_each() {
    let mut rig = online();
    assert_eq!(rig.send_for(1, "a", 300), Fate::Gone);
    rig.input(Input::LinkClosed { code: 1006 });
    rig.events.clear();
    assert_eq!(rig.send_for(1, "a", 0), Fate::Dropped);
    assert_eq!(rig.send_for(1, "a", 5), Fate::Waits);
    assert_eq!(rig.send_for(2, "a", 60_000), Fate::Waits);
    assert_eq!(rig.send_for(0, "a", 60_000), Fate::Waits);
    rig.expect_events(&[]);
    rig.now += 5;
    rig.input(Input::Online);
    rig.events.retain(|event| !event.starts_with("Connecting"));
    rig.expect_events(&["dropped 1"]);
    rig.sign_in_with(welcome());
    assert!(rig.events.contains(&"gone 2".into()), "{:?}", rig.events);
    assert!(!rig.events.iter().any(|event| event == "gone 0"), "nobody is told of what is nobody's");
    rig.expect_dropped(2);
}

#[test]
fn a_refusal_of_a_topic_is_told_when_it_comes_and_forgotten_after_a_while() {
    let mut rig = online();
    rig.send_for(7, "secret", 0);
    rig.send_for(8, "secret", 0);
    rig.send_for(0, "nobodys", 0);
    rig.echo(1);
    rig.forget();
    rig.say(refused(FIRST, 0, 0, Code::Forbidden, false));
    rig.say(refused(FIRST + 1, 0, 0, Code::Forbidden, false));
    rig.expect_events(&["unsendable 7 forbidden", "unsendable 0 forbidden"]);
    rig.now += 29_999;
    assert_eq!(rig.send_refused("secret", "2"), "forbidden");
    rig.forget();
    rig.now += 1;
    rig.send("secret", "3", 0);
    let (open, send) = (format!("open {} secret", FIRST + 2), format!("send {} 3", FIRST + 2));
    assert_eq!(rig.sent[..2], [open, send]);
}
