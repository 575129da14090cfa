//! What is asked without a connection goes the same way, by the same rules, and is answered once.

use std::sync::Arc;

use tidewire_hub_core::access::caller::{Allowance, Caller, Pass, Right, Rights};
use tidewire_hub_core::access::{Access, AccessRule, Who, Word};
use tidewire_hub_core::calls::asking::Asked;
use tidewire_hub_core::calls::probing::{Probe, rule};
use tidewire_hub_core::calls::publishing::{NewMessage, Turned};
use tidewire_hub_core::calls::{Answer, By, CallId, Placed};
use tidewire_hub_core::clock::NEVER;
use tidewire_hub_core::credentials::{BadToken, Unwelcome};
use tidewire_hub_core::ledger::{Account, AccountKey, Kind};
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::log::engine::{Engine, Simulated};
use tidewire_hub_core::pace::Pace;
use tidewire_hub_core::reading::most::Most;
use tidewire_hub_core::session::telling::Refusal;
use tidewire_protocol::code::{Code, Content, WhenSlow};
use tidewire_protocol::name::Pattern;
use tidewire_protocol::number::{Offset, ProducerId};
use tidewire_protocol::position::Start;

use crate::rig::{EPOCH, Hub, keep_all, limits, messages};

type Landed = Vec<Result<Placed, Refusal>>;

/// Somebody who calls.
struct Visitor {
    caller: Caller,
    account: Arc<Account>,
    pace: Pace,
}

impl Visitor {
    fn new(hub: &Hub, address: u128, caller: Caller) -> Self {
        Self { caller, account: hub.topics.ledger().account(AccountKey(address)), pace: Pace::default() }
    }

    /// Whose token allows everything.
    fn with_token(hub: &Hub, address: u128, subject: &str) -> Self {
        let account = hub.topics.ledger().account(AccountKey(address));
        let to = Rights::NONE.with(Right::Publish).with(Right::Subscribe);
        let allow = vec![Allowance { pattern: Pattern::parse(">").unwrap(), to }];
        let pass =
            Pass { subject: subject.into(), allow, expires_at: NEVER, ends_at: NEVER, ..Pass::default() };
        Self::new(hub, address, Caller::new(pass, &account).unwrap())
    }

    fn by(&self) -> By<'_> {
        By { caller: &self.caller, account: &self.account, pace: &self.pace }
    }

    fn ask(&self, hub: &Hub, texts: &[(&str, &str)], key: u8) -> Result<CallId, Turned> {
        let message = |(topic, text): &(&'static str, &'static str)| NewMessage {
            topic,
            content: Content::Text,
            payload: text.as_bytes(),
            ..NewMessage::default()
        };
        let texts: Vec<(&'static str, &'static str)> = texts
            .iter()
            .map(|(topic, text)| (&*topic.to_string().leak(), &*text.to_string().leak()))
            .collect();
        let new: Vec<_> = texts.iter().map(message).collect();
        let producer = (key > 0).then_some(ProducerId([key; 16]));
        hub.calls.publish(hub.now, self.by(), &new, producer, usize::from(key))
    }

    /// Publishes, where the log answers at once.
    fn publish(&self, hub: &Hub, texts: &[(&str, &str)], key: u8) -> Landed {
        self.ask(hub, texts, key).unwrap();
        let (_, answer) = taken(hub).pop().unwrap();
        landed(answer)
    }
}

fn taken(hub: &Hub) -> Vec<(usize, Answer)> {
    hub.calls.take(hub.now)
}

fn landed(answer: Answer) -> Landed {
    let Answer::Published(landed) = answer else { panic!("it is no publish: {answer:?}") };
    landed
}

fn offsets(landed: &Landed) -> Vec<(u64, bool)> {
    landed.iter().map(|it| it.unwrap()).map(|it| (it.offset.0, it.is_duplicate)).collect()
}

fn anybody(hub: &Hub) -> Visitor {
    Visitor::new(hub, 9, Caller::default())
}

/// A hub whose log stores when it is told to.
fn late() -> Hub {
    let hub = Hub::new(Limits::default(), keep_all());
    hub.topics.with_log(0, |log| log.engine = Engine::Simulated(Simulated::default()));
    hub
}

#[test]
fn what_is_published_by_call_is_a_message_like_any_other() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let client = hub.client(1);
    hub.subscribe(client, "a.*", Start::Latest, WhenSlow::CatchUp);
    hub.heard(client);
    let ada = Visitor::with_token(&hub, 9, "ada");
    let landed = ada.publish(&hub, &[("a.b", "one")], 0);
    assert_eq!(landed[0].unwrap().epoch, EPOCH);
    assert_eq!(offsets(&landed), [(1, false)]);
    hub.work();
    let heard = hub.heard(client);
    assert_eq!(messages(&heard).len(), 1, "{heard:?}");
    assert_eq!((hub.calls.count(), taken(&hub).len()), (0, 0));
}

#[test]
fn a_try_with_the_same_key_lands_once_and_is_told_where() {
    let hub = Hub::new(Limits::default(), keep_all());
    let ada = Visitor::with_token(&hub, 9, "ada");
    let batch = [("a", "1"), ("b", "2"), ("a", "3")];
    assert_eq!(offsets(&ada.publish(&hub, &batch, 7)), [(1, false), (2, false), (3, false)]);
    assert_eq!(offsets(&ada.publish(&hub, &batch, 7)), [(1, true), (2, true), (3, true)]);
    assert_eq!(offsets(&ada.publish(&hub, &batch, 8)), [(4, false), (5, false), (6, false)]);
    assert_eq!(offsets(&ada.publish(&hub, &[("a", "4")], 0)), [(7, false)]);
    assert_eq!(offsets(&ada.publish(&hub, &[("a", "4")], 0)), [(8, false)], "without a key it is another");
    let bob = Visitor::with_token(&hub, 9, "bob");
    let Err(Turned { refusal, .. }) = bob.ask(&hub, &batch, 7) else { panic!("the key is somebody else's") };
    assert_eq!(refusal.code, Code::IdentityMismatch);
    assert_eq!(hub.calls.count(), 0);
}

#[test]
fn more_for_a_topic_than_a_window_takes_is_too_large_with_a_key_however_often_it_comes() {
    let hub = Hub::new(Limits { in_flight_max: 2, ..Limits::default() }, keep_all());
    let ada = Visitor::with_token(&hub, 9, "ada");
    let three = [("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")];
    for _ in 0..2 {
        let turned = ada.ask(&hub, &three, 7).unwrap_err();
        assert_eq!((turned.index, turned.refusal), (3, Code::TooLarge.into()), "to wait would not help");
    }
    assert_eq!(offsets(&ada.publish(&hub, &three[..3], 7)), [(1, false), (2, false), (3, false)]);
    assert_eq!(ada.publish(&hub, &three, 0).len(), 4, "without a key there is no window");
    assert_eq!(hub.calls.count(), 0);
}

#[test]
fn a_second_try_waits_with_the_first_and_hears_the_same() {
    let hub = late();
    let ada = Visitor::with_token(&hub, 9, "ada");
    ada.ask(&hub, &[("a", "1")], 7).unwrap();
    ada.ask(&hub, &[("a", "1")], 7).unwrap();
    assert_eq!((taken(&hub).len(), hub.calls.count()), (0, 2));
    hub.topics.with_log(0, |log| log.complete(Offset(1)));
    let answers: Vec<_> = taken(&hub).into_iter().map(|(_, answer)| offsets(&landed(answer))).collect();
    assert_eq!(answers, [[(1, false)], [(1, true)]]);
    assert_eq!(hub.calls.count(), 0);
}

#[test]
fn of_tries_that_come_at_once_one_lands_and_none_is_fenced() {
    let hub = Hub::new(Limits::default(), keep_all());
    let placed: Vec<_> = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let ada = Visitor::with_token(&hub, 9, "ada");
                    (0..200).for_each(|_| {
                        ada.ask(&hub, &[("a", "1")], 7).unwrap();
                    });
                })
            })
            .collect();
        tries.into_iter().for_each(|tried| tried.join().unwrap());
        taken(&hub).into_iter().map(|(_, answer)| offsets(&landed(answer))).collect()
    });
    assert_eq!(placed.len(), 1_600);
    assert_eq!(placed.iter().filter(|it| ***it == [(1, false)]).count(), 1);
    assert!(placed.iter().all(|it| it[0].0 == 1));
}

#[test]
fn a_caller_whose_token_has_ended_gets_nothing() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let mut ada = Visitor::with_token(&hub, 9, "ada");
    let allow = Vec::new();
    let ends_at = hub.now.plus(1_000);
    let pass = Pass { subject: "ada".into(), allow, expires_at: ends_at, ends_at, ..Pass::default() };
    ada.caller = Caller::new(pass, &ada.account).unwrap();
    let anybody = Visitor::new(&hub, 9, Caller::default());
    let what = hub.calls.readable(hub.now, anybody.by(), Right::History, "a").unwrap();
    assert!(ada.ask(&hub, &[("a", "1")], 0).is_ok());
    assert_eq!(hub.calls.still_readable(hub.now, ada.by(), &what), Ok(()));
    hub.wait(1_000);
    assert!(ada.ask(&hub, &[("a", "1")], 0).is_err_and(|turned| turned.refusal.code == Code::BadToken));
    let expired = Err(Unwelcome::Token(BadToken::Expired));
    assert_eq!(hub.calls.still_readable(hub.now, ada.by(), &what), expired);
    assert!(hub.topics.metrics().bad_tokens.of(BadToken::Expired.number()) > 0);
    assert!(hub.calls.readable(hub.now, ada.by(), Right::History, "a").is_err());
    hub.topics.change_access(Access::default());
    let forbidden = Err(Unwelcome::Code(Code::Forbidden));
    assert_eq!(hub.calls.still_readable(hub.now, anybody.by(), &what), forbidden);
}

#[test]
fn reads_of_many_accounts_know_no_more_together_than_they_may() {
    let hub = Hub::new(limits(|it| it.reading_bytes_max = 100_000), keep_all());
    let visitor = anybody(&hub);
    for n in 0..1_000 {
        visitor.publish(&hub, &[(&format!("t.n{n}"), "x")], 0);
    }
    let readers: Vec<_> = (10..74).map(|address| Visitor::new(&hub, address, Caller::default())).collect();
    for (reply, reader) in readers.iter().enumerate() {
        let what = hub.calls.readable(hub.now, reader.by(), Right::History, "t.*").unwrap();
        hub.calls.page(hub.now, reader.by(), &what, &Start::Last(10), Most::ALL, reply).unwrap();
    }
    let waiting = hub.held(Kind::Reading);
    let (mut most, mut told) = (0, 0);
    while hub.topics.read_on(hub.now) {
        most = most.max(hub.held(Kind::Reading) - waiting.min(hub.held(Kind::Reading)));
        told += taken(&hub).len();
    }
    assert_eq!(told, readers.len());
    assert!(most < 400_000, "{most} bytes, beside {waiting} of those who wait");
    assert_eq!(hub.held(Kind::Reading), 0);
}

#[test]
fn what_the_log_does_not_store_is_told_and_may_be_tried_again() {
    let hub = late();
    let ada = Visitor::with_token(&hub, 9, "ada");
    for (key, first) in [(0, 1), (7, 5)] {
        ada.ask(&hub, &[("a", "1"), ("b", "2")], key).unwrap();
        hub.topics.with_log(0, |log| log.fail(Offset(first)));
        let answer = landed(taken(&hub).pop().unwrap().1);
        assert!(answer.iter().all(|it| it.is_err_and(|it| it.code == Code::NotStored)), "{answer:?}");
        ada.ask(&hub, &[("a", "1"), ("b", "2")], key).unwrap();
        hub.topics.with_log(0, |log| [2, 3].into_iter().for_each(|nth| log.complete(Offset(first + nth))));
        let answer = landed(taken(&hub).pop().unwrap().1);
        assert_eq!(offsets(&answer), [(first + 2, false), (first + 3, false)]);
    }
    assert_eq!(hub.topics.metrics().updates_dropped.value(), 0, "these were no updates");
}

#[test]
fn several_are_taken_whole_or_not_at_all() {
    let mut hub = Hub::new(limits(|it| it.message_bytes_max = 10), keep_all());
    hub.topics.change_access(Access::of(vec![AccessRule {
        who: Who::Everybody,
        pattern: Pattern::parse("a.>").unwrap(),
        publish: Word::Allows,
        subscribe: Word::Allows,
    }]));
    let visitor = anybody(&hub);
    let many: Vec<_> = (0..1_001).map(|_| ("a.b", "x")).collect();
    for (texts, index, code) in [
        (&[("a.b", "x"), ("b", "x")][..], 1, Code::Forbidden),
        (&[("a.b", "x"), ("a.b", "longer than ten")], 1, Code::TooLarge),
        (&[("a.*", "x"), ("a.b", "x")], 0, Code::BadName),
        (&[("a.b", "x"), ("a.b", "x"), ("$a", "x")], 2, Code::Forbidden),
        (&[], 0, Code::LimitReached),
        (&many, 0, Code::LimitReached),
    ] {
        for key in [0, 7] {
            let Err(turned) = visitor.ask(&hub, texts, key) else { panic!("{code:?} is expected") };
            assert_eq!((turned.index, turned.refusal.code), (index, code));
        }
    }
    assert_eq!((hub.calls.count(), hub.kept("a.b")), (0, 0));
    assert_eq!(hub.topics.metrics().refused.of(Code::Forbidden.number()), 4);
}

#[test]
fn who_publishes_too_fast_is_told_when_and_pays_for_each() {
    let mut hub = Hub::new(limits(|it| it.publishes_per_second_max = 1), keep_all());
    let visitor = anybody(&hub);
    assert_eq!(visitor.publish(&hub, &[("a", "x"); 20], 0).len(), 20);
    let Err(Turned { refusal, .. }) = visitor.ask(&hub, &[("a", "x")], 0) else { panic!("it is too fast") };
    assert_eq!(refusal.code, Code::RateLimited);
    hub.wait(refusal.retry_after_ms);
    assert_eq!(visitor.publish(&hub, &[("a", "x")], 0).len(), 1);
}

#[test]
fn calls_that_are_over_hold_nothing() {
    let mut hub = Hub::new(limits(|it| it.window_ms = 60_000), keep_all());
    let visitor = anybody(&hub);
    visitor.publish(&hub, &[("a", "x")], 0);
    let held = |hub: &Hub| (hub.held(Kind::Windows), hub.held(Kind::Handles), hub.held(Kind::Subscriptions));
    let before = held(&hub);
    for _ in 0..100 {
        visitor.publish(&hub, &[("a", "x")], 0);
    }
    assert_eq!(held(&hub), before);
    for key in 1..=200 {
        visitor.publish(&hub, &[("a", "x")], key);
    }
    let windows = |hub: &Hub| hub.topics.with_log(0, |log| log.windows.count());
    assert_eq!(windows(&hub), 200, "keys are remembered");
    hub.wait(120_000);
    assert_eq!(windows(&hub), 0, "and not for ever");
}

#[test]
fn pages_come_at_once_or_when_they_were_read() {
    let hub = Hub::new(Limits::default(), keep_all());
    let visitor = anybody(&hub);
    for text in ["1", "2", "3"] {
        visitor.publish(&hub, &[("a.b", text)], 0);
    }
    let read = |name: &str| {
        let what = hub.calls.readable(hub.now, visitor.by(), Right::History, name).unwrap();
        hub.calls.page(hub.now, visitor.by(), &what, &Start::Last(2), Most::ALL, 5).unwrap()
    };
    let Asked::Page(page) = read("a.b") else { panic!("a topic's page is there") };
    let Asked::Later(_) = read("a.>") else { panic!("a pattern's page is read") };
    assert_eq!((hub.calls.count(), taken(&hub).len()), (1, 0));
    while hub.topics.read_on(hub.now) {}
    let Some((5, Answer::Page(late))) = taken(&hub).pop() else { panic!("the page comes") };
    assert_eq!((page.upto, page.after), (late.upto, late.after));
    assert!(hub.calls.readable(hub.now, visitor.by(), Right::History, "a..b").is_err());
    let Asked::Later(id) = read("a.>") else { panic!("a pattern's page is read") };
    hub.calls.forget(hub.now, id);
    while hub.topics.read_on(hub.now) {}
    assert_eq!((taken(&hub).len(), hub.calls.count(), hub.held(Kind::Reading)), (0, 0, 0));
}

#[test]
fn who_waits_for_news_is_told_once_and_nobody_else_is() {
    let hub = Hub::new(Limits::default(), keep_all());
    let visitor = anybody(&hub);
    let listen = |name: &str, reply| {
        let what = hub.calls.readable(hub.now, visitor.by(), Right::History, name).unwrap();
        hub.calls.listen(hub.now, visitor.by(), &what, reply)
    };
    let told = || {
        let taken = taken(&hub).into_iter();
        let told = taken.filter_map(|(reply, answer)| matches!(answer, Answer::News).then_some(reply));
        told.collect::<Vec<_>>()
    };
    (1..=3).for_each(|reply| assert!(listen("a", reply).is_ok()));
    let gone = listen("a", 4).unwrap();
    let other = listen("b", 5).unwrap();
    hub.calls.forget(hub.now, gone);
    visitor.ask(&hub, &[("a", "x")], 0).unwrap();
    let mut first = told();
    first.sort_unstable();
    assert_eq!(first, [1, 2, 3]);
    visitor.ask(&hub, &[("a", "x")], 0).unwrap();
    assert_eq!(told(), [0; 0]);
    assert!(listen("a", 6).is_ok());
    assert_eq!(told(), [0; 0], "what was there before is no news");
    visitor.ask(&hub, &[("a", "x")], 0).unwrap();
    assert_eq!(told(), [6]);
    hub.calls.forget(hub.now, other);
    assert!(listen("a", 7).is_ok());
    hub.topics.change_access(Access::default());
    assert_eq!(told(), [7], "whoever waits is asked anew whether it may");
    assert_eq!(hub.calls.count(), 0);
    hub.topics.change_access(Access::open());
    assert_eq!(told(), [0; 0]);
    assert!(listen("a.*", 1).is_err_and(|code| code == Code::NotSupported));
}

#[test]
fn tokens_are_checked_in_the_same_line() {
    let hub = Hub::new(Limits::default(), keep_all());
    let account = hub.topics.ledger().account(AccountKey(9));
    assert_eq!(hub.calls.check(hub.now, &account, "x", 1), Err(Code::NotSupported));
    hub.topics.credentials().on_work(Box::new(|| ()));
    hub.calls.check(hub.now, &account, "x", 1).unwrap();
    assert!(taken(&hub).is_empty());
    while hub.topics.credentials().turn(|_| Err(BadToken::Expired)) {}
    let Some((1, Answer::Checked(Err(bad)))) = taken(&hub).pop() else { panic!("it was checked") };
    assert_eq!(bad, Unwelcome::Token(BadToken::Expired));
    assert_eq!(hub.calls.count(), 0);
}

#[test]
fn a_probe_comes_out_if_the_log_stores_and_leaves_nothing_behind() {
    let rules = rule().into_iter().chain(keep_all()).collect();
    let hub = Hub::new(Limits::default(), rules);
    let account = hub.topics.ledger().nobody();
    for _ in 0..3 {
        hub.calls.probe(hub.now, &account, (1, 2)).unwrap();
        let mut told = taken(&hub);
        told.sort_by_key(|(reply, _)| *reply);
        assert!(matches!(told[..], [(1, Answer::News), (2, Answer::Published(_))]), "{told:?}");
    }
    assert_eq!(hub.calls.count(), 0);
    hub.topics.with_log(0, |log| log.engine = Engine::Simulated(Simulated::default()));
    let Probe { listening, publishing } = hub.calls.probe(hub.now, &account, (1, 2)).unwrap();
    assert!(taken(&hub).is_empty(), "the log has not stored it");
    hub.calls.forget(hub.now, listening);
    hub.calls.forget(hub.now, publishing);
    hub.topics.with_log(0, |log| log.complete(Offset(4)));
    let told = taken(&hub);
    assert!(matches!(told[..], [(2, Answer::Published(_))]), "it is answered all the same: {told:?}");
    hub.topics.with_log(0, |log| log.engine = Engine::Memory);
    for _ in 0..10_000 {
        hub.calls.probe(hub.now, &account, (1, 2)).unwrap();
        assert_eq!(taken(&hub).len(), 2);
    }
    // No more than bridges a break of a connection.
    assert!(hub.held(Kind::Messages) <= 256 << 10, "{}", hub.held(Kind::Messages));
    assert_eq!(hub.calls.count(), 0);
}
