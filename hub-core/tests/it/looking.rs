//! What operators see of connections, and how they send one away.

use tidewire_hub_core::access::caller::Pass;
use tidewire_hub_core::clock::NEVER;
use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::ledger::AccountKey;
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::shard::looking::{Found, Seen, Wanted};
use tidewire_protocol::client_frame::{ClientFrame, Hello};
use tidewire_protocol::code::{Code, WhenSlow};
use tidewire_protocol::hub_frame::{Goodbye, HubFrame};
use tidewire_protocol::position::Start;

use crate::rig::{Hub, keep_all};

const ALL: Wanted = Wanted { from: 0, looks: usize::MAX, count: usize::MAX, subject: None, account: None };

/// All pages of what is wanted.
fn pages(hub: &Hub, wanted: &Wanted) -> Vec<Found> {
    let mut pages = vec![hub.shard.look(wanted)];
    while let Some(from) = pages.last().and_then(|page| page.next) {
        pages.push(hub.shard.look(&Wanted { from, ..wanted.clone() }));
    }
    pages
}

fn seen(hub: &Hub, wanted: &Wanted) -> Vec<Seen> {
    pages(hub, wanted).into_iter().flat_map(|page| page.connections).collect()
}

#[test]
fn all_are_seen_once_in_pieces_of_any_size() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let ids: Vec<_> = (0..100).map(|_| hub.connect(Dialect::Json)).collect();
    for id in ids.iter().skip(7).step_by(3) {
        hub.shard.gone(hub.now, *id);
    }
    let all = seen(&hub, &ALL);
    assert_eq!(all.len(), hub.shard.connections());
    for (looks, count) in [(1, 100), (7, 3), (1_000, 1), (13, 13)] {
        let wanted = Wanted { looks, count, ..ALL };
        let pages = pages(&hub, &wanted);
        assert!(pages.iter().all(|page| page.looks <= looks && page.connections.len() <= count));
        assert_eq!(seen(&hub, &wanted), all, "{looks} {count}");
    }
}

#[test]
fn they_are_found_by_address_and_subject_and_told_whole() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    hub.topics.credentials().on_work(Box::new(|| ()));
    let hello = |token: &'static str| {
        ClientFrame::Hello(Hello { token: token.into(), agent: "us/1".into(), ..Hello::default() })
    };
    let one = hub.shard.accept(hub.now, Dialect::Binary, AccountKey(5));
    hub.wait(50);
    let two = hub.shard.accept(hub.now, Dialect::Json, AccountKey(6));
    hub.say(one, &[hello("ada's")]);
    let pass = || Pass {
        subject: "ada".into(),
        allow: Vec::new(),
        expires_at: NEVER,
        ends_at: NEVER,
        info: Some("{\"name\":\"Ada\"}".into()),
        ..Pass::default()
    };
    while hub.topics.credentials().turn(|_| Ok(pass())) {}
    hub.work();
    hub.subscribe(one, "a", Start::Latest, WhenSlow::CatchUp);
    hub.subscribe(one, "b.*", Start::Latest, WhenSlow::CatchUp);
    let ada = seen(&hub, &Wanted { subject: Some("ada".into()), ..ALL });
    assert_eq!(ada, seen(&hub, &Wanted { account: Some(AccountKey(5)), ..ALL }));
    let [ada] = &ada[..] else { panic!("she is there once: {ada:?}") };
    assert_eq!((ada.who.slot, ada.since.plus(50), ada.dialect), (one.0, hub.now, Dialect::Binary));
    assert_eq!(
        (ada.agent.as_deref(), ada.subject.as_deref(), ada.subscriptions),
        (Some("us/1"), Some("ada"), 2)
    );
    assert_eq!(ada.info.as_deref(), Some("{\"name\":\"Ada\"}"));
    let other = seen(&hub, &Wanted { account: Some(AccountKey(6)), ..ALL });
    assert_eq!(
        (other.len(), other[0].who.slot, &other[0].subject, &other[0].agent, &other[0].info),
        (1, two.0, &None, &None, &None)
    );
    assert!(seen(&hub, &Wanted { subject: Some("ad".into()), ..ALL }).is_empty());
}

#[test]
fn what_a_socket_has_not_taken_is_seen() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let (reader, writer) = (hub.client(1), hub.client(2));
    hub.subscribe(reader, "a", Start::Latest, WhenSlow::CatchUp);
    hub.heard(reader);
    let unread = |hub: &Hub| seen(hub, &ALL).iter().map(|seen| seen.unread_bytes).collect::<Vec<_>>();
    assert_eq!(unread(&hub), [0, 0]);
    hub.room(reader, 10);
    hub.open(writer, "a");
    hub.publish(writer, 1, &[7; 1_000]);
    assert!(unread(&hub)[0] >= 990, "{:?}", unread(&hub));
}

#[test]
fn one_is_sent_away_with_a_code_and_no_other() {
    for (again, expected) in [(true, Code::Resume), (false, Code::Forbidden)] {
        let mut hub = Hub::new(Limits::default(), keep_all());
        let (first, second) = (hub.client(1), hub.client(2));
        let who = seen(&hub, &ALL)[0].who;
        assert!(hub.shard.dismiss(hub.now, who, again));
        assert!(!hub.shard.dismiss(hub.now, who, again), "it is gone already");
        assert_eq!(seen(&hub, &ALL).len(), 1, "and is not seen any more");
        hub.work();
        let goodbye = |frame: &HubFrame<'_>| match frame {
            HubFrame::Goodbye(Goodbye { code, reconnect_after_ms, .. }) => {
                Some((*code, *reconnect_after_ms > 0))
            }
            _ => None,
        };
        let told: Vec<_> = hub.heard_as(first, |_| None, goodbye).into_iter().flatten().collect();
        assert_eq!(told, [(expected, again)]);
        assert_eq!(hub.sockets.closed, [first]);
        let later = hub.client(3);
        assert_eq!(later.0, who.slot, "another has its place");
        assert!(!hub.shard.dismiss(hub.now, who, again));
        assert_eq!((hub.shard.connections(), hub.heard(second).len()), (2, 0));
        assert_eq!(hub.topics.metrics().disconnected.value(), 0, "it is nobody's fault");
    }
}
