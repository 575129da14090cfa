//! Tokens: who brings one waits until it is checked, is who it says, may what it allows, and goes when it ends.

use tidewire_hub_core::access::caller::{Allowance, KeyNumber, Origin, Pass, Right, Rights};
use tidewire_hub_core::access::{Access, AccessRule, Who, Word};
use tidewire_hub_core::clock::{Millis, NEVER};
use tidewire_hub_core::credentials::bad_token::BadSubject;
use tidewire_hub_core::credentials::revocations::Revocation;
use tidewire_hub_core::credentials::{BadToken, Verdict};
use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::ledger::{AccountKey, Kind};
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::limits::of_bearer::Bound;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::client_frame::{ClientFrame, Hello, History, SignIn, Subscribe};
use tidewire_protocol::code::{Code, Outcome, WhenSlow};
use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::name::Pattern;
use tidewire_protocol::number::{Incarnation, ProducerId, Request};
use tidewire_protocol::position::Start;

use crate::rig::{Heard, Hub, attach, bytes_of, keep_all, limits, masked, messages, open_as, publish_on};

/// What every hub of this version can do.
const COMMON: u64 = feature::KEYS
    | feature::MAPS
    | feature::HEADERS
    | feature::TTL
    | feature::DURABILITY
    | feature::SEND
    | feature::BATCHES
    | feature::VOID_RUNS
    | feature::PARTIES
    | feature::BEFORE;

/// A hub that takes tokens and lets nobody do anything without.
fn closed() -> Hub {
    let hub = Hub::new(Limits::default(), keep_all());
    hub.topics.credentials().on_work(Box::new(|| ()));
    hub.topics.change_access(Access::default());
    hub
}

fn hello_with(producer: u8, token: &str) -> ClientFrame<'_> {
    let (producer, incarnation) = (ProducerId([producer; 16]), Incarnation(1));
    ClientFrame::Hello(Hello { producer, incarnation, token: token.into(), ..Hello::default() })
}

fn again(request: u64, token: &str) -> ClientFrame<'_> {
    ClientFrame::SignIn(SignIn { request: Request(request), token: token.into() })
}

fn subscribe_to(request: u64, name: &str) -> ClientFrame<'_> {
    let (request, from, when_slow) = (Request(request), Start::Latest, WhenSlow::CatchUp);
    ClientFrame::Subscribe(Subscribe { request, name: name.into(), from, when_slow })
}

fn ask(name: &str) -> ClientFrame<'_> {
    let (request, from) = (Request(5), Start::Earliest);
    ClientFrame::History(History { request, name: name.into(), from, ..History::default() })
}

/// Checks all tokens that wait. One is sound if it reads `SUBJECT SECONDS PATTERN...`, and allows everything there. A word
/// `key=NUMBER` says with which key it is signed, `id=NAME` what it calls itself, `at=SECONDS` when it was issued,
/// `limit=NUMBER` how many subscriptions its bearer has and `info=TEXT` by what it is known.
fn check(hub: &mut Hub) {
    let now = hub.now;
    while hub.topics.credentials().turn(|token| read(token.reveal(), now)) {}
    hub.work();
}

fn read(token: &str, now: Millis) -> Result<Pass, BadToken> {
    let mut words = token.split(' ');
    let subject =
        words.next().filter(|subject| !subject.is_empty()).ok_or(BadToken::Subject(BadSubject::Missing))?;
    let seconds: u64 = words.next().and_then(|word| word.parse().ok()).ok_or(BadToken::Signature)?;
    let to = Rights::NONE.with(Right::Publish).with(Right::Subscribe);
    let rest: Vec<_> = words.collect();
    let said = |name: &str| rest.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let number = |name: &str| said(name).map(|text| text.parse().unwrap());
    let key = KeyNumber(number("key").unwrap_or_default());
    let origin = Origin { key, id: said("id").map(Into::into), issued_at: number("at") };
    let words = rest.iter().filter(|word| !word.contains('='));
    let allowance = |word: &&str| Some(Allowance { pattern: Pattern::parse(word).ok()?, to });
    let expires_at = now.plus(seconds * 1_000);
    let allow = words.filter_map(allowance).collect();
    let info = said("info").map(Into::into);
    let limits = number("limit").map(|most| (Bound::Subscriptions, most)).into_iter().collect();
    let (subject, claims) = (subject.into(), Default::default());
    Ok(Pass { subject, allow, expires_at, ends_at: expires_at, origin, claims, limits, info })
}

/// Connects and signs in with a token.
fn bearer(hub: &mut Hub, producer: u8, token: &str) -> ConnectionId {
    let id = hub.connect(Dialect::Binary);
    hub.say(id, &[hello_with(producer, token)]);
    check(hub);
    assert_eq!(hub.heard(id), [Heard::Welcome]);
    id
}

#[test]
fn what_comes_behind_a_token_waits_until_it_is_checked() {
    let mut hub = closed();
    let id = hub.connect(Dialect::Binary);
    let mut bytes = masked(2, &bytes_of(&[hello_with(1, "ada 60 a.>")]));
    bytes.extend(masked(2, &bytes_of(&[subscribe_to(1, "a.b"), open_as(1, 0, "a.b")])));
    let mut more = masked(2, &bytes_of(&[publish_on(1, 1, b"x")]));
    let mut cut = more.split_off(5);
    bytes.extend(more);
    hub.shard.received(hub.now, id, &mut bytes, &mut hub.sockets);
    hub.work();
    assert_eq!(hub.shard.appetite(id), 0, "nothing more is to be read");
    assert!(hub.heard(id).is_empty() && hub.held(Kind::HalfReceived) > 0);
    check(&mut hub);
    assert!(hub.shard.appetite(id) > 0);
    hub.shard.received(hub.now, id, &mut cut, &mut hub.sockets);
    hub.work();
    let heard = hub.heard(id);
    assert_eq!(heard[0], Heard::Welcome);
    assert!(matches!(heard[1..3], [Heard::Subscribed(Outcome::Live, ..), Heard::Opened]), "{heard:?}");
    assert!(heard.contains(&Heard::Acked(1, 1)) && messages(&heard).len() == 1, "{heard:?}");
    assert_eq!(hub.held(Kind::HalfReceived), 0);
}

#[test]
fn what_shares_the_message_of_a_token_comes_before_it_is_checked() {
    let mut hub = closed();
    let id = hub.connect(Dialect::Binary);
    hub.send(id, 2, &bytes_of(&[hello_with(1, "ada 60 a.>"), subscribe_to(1, "a.b")]));
    assert_eq!(hub.heard(id)[0], Heard::Goodbye(Code::NotSignedIn));
    let page = include_str!("../../../docs/PROTOCOL.md");
    assert!(page.contains("`hello` alone has\n[a message of its own](#signing-in)"));
}

#[test]
fn the_page_has_every_code_with_which_signing_in_again_fails() {
    let page = include_str!("../../../docs/PROTOCOL.md");
    let again = page.split("\n\n").find(|paragraph| paragraph.starts_with("**Again.**")).unwrap();
    for code in [
        Code::IdentityMismatch,
        Code::BadToken,
        Code::NotSupported,
        Code::LimitReached,
        Code::Overloaded,
        Code::RateLimited,
    ] {
        assert!(again.contains(&format!("`{}`", code.name())), "{code}");
    }
}

#[test]
fn a_welcome_says_who_until_when_and_that_signing_in_again_helps() {
    let mut hub = closed();
    let id = hub.connect(Dialect::Binary);
    hub.say(id, &[hello_with(1, "ada 60")]);
    check(&mut hub);
    let told = |frame: &HubFrame<'_>| match frame {
        HubFrame::Welcome(it) => Some((it.subject.to_string(), it.expires_ms, it.features)),
        _ => None,
    };
    let expected = ("ada".to_owned(), 60_000, COMMON | feature::SIGN_IN);
    assert_eq!(hub.heard_as(id, |_| None, told), [Some(expected)]);
    let nobody = hub.connect(Dialect::Binary);
    hub.say(nobody, &[hello_with(2, "")]);
    let expected = (String::new(), 0, COMMON | feature::SIGN_IN);
    assert_eq!(hub.heard_as(nobody, |_| None, told), [Some(expected)], "at once, since there is no token");
    let mut without = Hub::new(Limits::default(), keep_all());
    let id = without.connect(Dialect::Binary);
    without.say(id, &[hello_with(1, "whatever")]);
    assert_eq!(without.heard_as(id, |_| None, told), [Some((String::new(), 0, COMMON))]);
    without.say(id, &[again(1, "ada 60")]);
    assert_eq!(without.heard(id), [Heard::Failed(Code::NotSupported)]);
}

#[test]
fn whoever_brings_a_bad_token_is_told_which_check_it_failed_and_nothing_else_happens() {
    let mut hub = closed();
    let id = hub.connect(Dialect::Binary);
    let mut bytes = masked(2, &bytes_of(&[hello_with(1, "ada forever a.>")]));
    bytes.extend(masked(2, &bytes_of(&[subscribe_to(1, "a.b"), open_as(1, 0, "a.b")])));
    hub.shard.received(hub.now, id, &mut bytes, &mut hub.sockets);
    check(&mut hub);
    let told = |frame: &HubFrame<'_>| match frame {
        HubFrame::Goodbye(goodbye) => (goodbye.code.close_code(), goodbye.message.to_string()),
        _ => (0, format!("{frame:?}")),
    };
    let heard = hub.heard_as(id, |code| (code, String::new()), told);
    let sentence = BadToken::Signature.sentence().into_owned();
    assert_eq!(heard, [(4004, sentence), (4004, String::new())]);
    assert_eq!(hub.topics.metrics().subscriptions.value(), 0);
    assert_eq!(hub.topics.metrics().disconnected.of(Code::BadToken.number()), 1);
    assert_eq!(hub.sockets.closed, [id]);
    assert_eq!((hub.held(Kind::HalfReceived), hub.held(Kind::Reading)), (0, 0));
}

#[test]
fn nothing_stands_behind_hello_in_its_message() {
    let mut hub = closed();
    let id = hub.connect(Dialect::Binary);
    hub.say(id, &[hello_with(1, "ada 60 a.>"), subscribe_to(1, "a.b")]);
    assert_eq!(hub.heard(id), [Heard::Goodbye(Code::NotSignedIn), Heard::Close(4002)]);
    check(&mut hub);
    assert!(hub.heard(id).is_empty(), "what was checked finds nobody");
}

#[test]
fn a_token_that_is_not_checked_in_time_does_not_stop_the_clock() {
    let mut hub = closed();
    let id = hub.connect(Dialect::Binary);
    hub.say(id, &[hello_with(1, "ada 60 a.>")]);
    hub.wait(6_000);
    assert_eq!(hub.heard(id), [Heard::Goodbye(Code::SignInTimeout), Heard::Close(4003)]);
}

#[test]
fn what_a_token_allows_holds_on_every_path_and_nothing_else_does() {
    let mut hub = closed();
    let ada = bearer(&mut hub, 1, "ada 60 a.>");
    hub.say(ada, &[open_as(1, 0, "a.b"), open_as(2, 0, "b"), publish_on(1, 1, b"x")]);
    hub.say(ada, &[subscribe_to(1, "b"), subscribe_to(2, ">"), ask("b"), ask("*.b"), ask("a.b")]);
    let heard = hub.heard(ada);
    let no = Heard::Failed(Code::Forbidden);
    assert_eq!(heard[..2], [Heard::Opened, Heard::Refused(0, Code::Forbidden)]);
    assert_eq!(heard[2], Heard::Acked(1, 1));
    assert_eq!(heard[3..7], [no.clone(), no.clone(), no.clone(), no]);
    assert!(matches!(&heard[7], Heard::Page(page) if page.len() == 1));
}

#[test]
fn messages_bear_the_subject_of_their_publisher() {
    let mut hub = closed();
    let (ada, bob) = (bearer(&mut hub, 1, "ada 60 a"), bearer(&mut hub, 2, "bob 60 a"));
    hub.say(bob, &[subscribe_to(1, "a")]);
    hub.say(ada, &[open_as(1, 0, "a"), publish_on(1, 1, b"x")]);
    let told = |frame: &HubFrame<'_>| match frame {
        HubFrame::Block(block) => block.messages().flatten().map(|it| it.sender.map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    let senders: Vec<_> = hub.heard_as(bob, |_| Vec::new(), told).into_iter().flatten().collect();
    assert_eq!(senders, [Some("ada".to_owned())]);
}

#[test]
fn a_producer_belongs_to_the_subject_that_had_it_first() {
    let mut hub = closed();
    let ada = bearer(&mut hub, 1, "ada 60 a.>");
    hub.say(ada, &[open_as(1, 0, "a.b"), publish_on(1, 1, b"x")]);
    for token in ["bob 60 a.>", ""] {
        let thief = hub.connect(Dialect::Binary);
        hub.say(thief, &[hello_with(1, token)]);
        check(&mut hub);
        assert_eq!(hub.heard(thief), [Heard::Goodbye(Code::IdentityMismatch), Heard::Close(4022)]);
    }
    let bob = bearer(&mut hub, 2, "bob 60 a.>");
    hub.say(bob, &[attach(1, 1, 9)]);
    assert_eq!(hub.heard(bob), [Heard::Detached(1, Code::IdentityMismatch)]);
    hub.heard(ada);
    hub.say(ada, &[publish_on(1, 2, b"y")]);
    assert_eq!(hub.heard(ada), [Heard::Acked(2, 1)], "who is refused fences nobody");
    hub.shard.gone(hub.now, ada);
    hub.say(bob, &[attach(1, 1, 9)]);
    assert_eq!(hub.heard(bob), [Heard::Detached(1, Code::IdentityMismatch)], "nor while nobody uses it");
    bearer(&mut hub, 1, "ada 60 a.>");
}

#[test]
fn a_producer_moves_to_the_later_connection_of_its_subject_however_long_its_token_took_to_check() {
    let mut hub = closed();
    let token = "ada 60 a.>";
    let first = bearer(&mut hub, 1, token);
    hub.say(first, &[open_as(1, 0, "a.b"), publish_on(1, 1, b"x")]);
    hub.heard(first);
    let (late, latest) = (hub.connect(Dialect::Binary), hub.connect(Dialect::Binary));
    for (id, expected) in [
        (latest, vec![Heard::Welcome]),
        (late, vec![Heard::Goodbye(Code::Fenced), Heard::Close(Code::Fenced.close_code())]),
    ] {
        hub.say(id, &[hello_with(1, token)]);
        check(&mut hub);
        assert_eq!(hub.heard(id), expected);
    }
    assert_eq!(hub.heard(first), [Heard::Detached(0, Code::Fenced)]);
    hub.say(latest, &[open_as(1, 0, "a.b"), publish_on(1, 2, b"y")]);
    assert_eq!(hub.heard(latest), [Heard::Opened, Heard::Acked(2, 1)]);
}

#[test]
fn a_connection_ends_with_its_token_and_no_other_does() {
    let mut hub = closed();
    let short = bearer(&mut hub, 1, "ada 30 a");
    let long = bearer(&mut hub, 2, "bob 3600 a");
    for id in [short, long] {
        hub.say(id, &[subscribe_to(1, "a")]);
        hub.heard(id);
    }
    let beat = |hub: &mut Hub, ids: &[ConnectionId]| {
        ids.iter().for_each(|id| hub.say(*id, &[ClientFrame::Heartbeat(Default::default())]));
    };
    for _ in 0..2 {
        hub.wait(14_500);
        beat(&mut hub, &[short, long]);
    }
    assert!(!hub.heard(short).contains(&Heard::Goodbye(Code::BadToken)), "a second before its end");
    hub.wait(2_000);
    assert_eq!(hub.heard(short), [Heard::Goodbye(Code::BadToken), Heard::Close(4004)]);
    hub.say(long, &[open_as(1, 0, "a"), publish_on(1, 1, b"x")]);
    assert_eq!(messages(&hub.heard(long)).len(), 1);
}

#[test]
fn whoever_signs_in_again_in_time_stays() {
    let mut hub = closed();
    let ada = bearer(&mut hub, 1, "ada 30 a");
    hub.say(ada, &[subscribe_to(1, "a"), open_as(1, 0, "a")]);
    hub.heard(ada);
    hub.wait(20_000);
    hub.say(ada, &[again(7, "ada 30 a")]);
    check(&mut hub);
    assert!(hub.heard(ada).contains(&Heard::Other(81)));
    hub.wait(20_000);
    hub.say(ada, &[publish_on(1, 1, b"x")]);
    let heard = hub.heard(ada);
    assert!(heard.contains(&Heard::Acked(1, 1)) && messages(&heard).len() == 1, "{heard:?}");
    hub.wait(11_000);
    assert!(hub.heard(ada).contains(&Heard::Goodbye(Code::BadToken)), "the later token ends, too");
}

#[test]
fn a_later_token_that_is_bad_or_somebody_elses_changes_nothing() {
    let mut hub = closed();
    let ada = bearer(&mut hub, 1, "ada 30 a");
    hub.say(ada, &[subscribe_to(1, "a"), open_as(1, 0, "a")]);
    hub.heard(ada);
    for (token, code) in [("bob 60 >", Code::IdentityMismatch), ("ada x >", Code::BadToken)] {
        hub.say(ada, &[again(7, token)]);
        hub.say(ada, &[again(8, token)]);
        assert_eq!(hub.heard(ada), [Heard::Failed(Code::Overloaded)], "one at a time");
        check(&mut hub);
        assert_eq!(hub.heard(ada), [Heard::Failed(code)]);
    }
    hub.say(ada, &[again(9, "")]);
    assert_eq!(hub.heard(ada), [Heard::Failed(Code::BadToken)]);
    hub.say(ada, &[publish_on(1, 1, b"x"), subscribe_to(2, "b")]);
    let heard = hub.heard(ada);
    assert!(heard.contains(&Heard::Failed(Code::Forbidden)) && messages(&heard).len() == 1, "{heard:?}");
    let nobody = hub.client(9);
    hub.say(nobody, &[again(1, "ada 60 >")]);
    check(&mut hub);
    assert_eq!(hub.heard(nobody), [Heard::Failed(Code::IdentityMismatch)]);
    hub.wait(31_000);
    assert!(hub.heard(ada).contains(&Heard::Goodbye(Code::BadToken)));
}

#[test]
fn whoever_renews_its_token_leaves_no_timers_behind_and_ends_when_the_last_does() {
    let mut hub = closed();
    let ada = bearer(&mut hub, 1, "ada 600 a");
    let before = hub.shard.timers();
    for at in 0..8 {
        // Sooner, and later again.
        hub.say(ada, &[again(at, if at % 2 == 0 { "ada 5 a" } else { "ada 600 a" })]);
        check(&mut hub);
        assert!(hub.heard(ada).contains(&Heard::Other(81)));
    }
    assert_eq!(hub.shard.timers(), before + 1, "one that comes sooner than a heartbeat");
    hub.wait(6_000);
    assert!(hub.heard(ada).is_empty(), "the last is the one that counts");
    hub.say(ada, &[again(9, "ada 5 a")]);
    check(&mut hub);
    hub.wait(6_000);
    assert!(hub.heard(ada).contains(&Heard::Goodbye(Code::BadToken)));
}

#[test]
fn what_a_later_token_allows_no_more_ends_and_what_it_allows_goes_on() {
    let mut hub = closed();
    let ada = bearer(&mut hub, 1, "ada 60 a.> b");
    let bob = bearer(&mut hub, 2, "bob 60 a.> b");
    for id in [ada, bob] {
        hub.say(id, &[subscribe_to(1, "a.b"), subscribe_to(2, "a.*"), subscribe_to(3, "b")]);
        hub.say(
            id,
            &[open_as(1, 0, "a.b"), publish_on(1, 1, b"x"), open_as(2, 0, "b"), open_as(3, 0, "a.c")],
        );
        hub.heard(id);
    }
    hub.heard(ada);
    hub.say(ada, &[again(7, "ada 60 b c")]);
    check(&mut hub);
    let heard = hub.heard(ada);
    assert_eq!(heard.iter().filter(|heard| **heard == Heard::Other(71)).count(), 2, "{heard:?}");
    hub.say(ada, &[publish_on(1, 2, b"y"), publish_on(2, 1, b"y"), publish_on(3, 1, b"y")]);
    hub.say(ada, &[subscribe_to(4, "c")]);
    let heard = hub.heard(ada);
    assert!(heard.contains(&Heard::Refused(2, Code::Forbidden)), "{heard:?}");
    assert!(heard.contains(&Heard::Refused(0, Code::Forbidden)) && heard.contains(&Heard::Acked(1, 1)));
    assert!(heard.iter().any(|heard| matches!(heard, Heard::Subscribed(..))), "{heard:?}");
    assert_eq!(messages(&heard).len(), 1);
    assert_eq!(hub.topics.metrics().subscriptions.value(), 5, "nobody else is touched");
    hub.heard(bob);
    hub.say(bob, &[publish_on(1, 2, b"z")]);
    assert_eq!(messages(&hub.heard(bob)).len(), 2);
}

/// So many rules, of which each look asks all, that a turn has little more than one look; what else they say.
fn very_many_rules(first: &[(&str, Word)]) -> Access {
    let rule = |pattern: &str, subscribe| AccessRule {
        who: Who::Everybody,
        pattern: Pattern::parse(pattern).unwrap(),
        publish: Word::LeavesOut,
        subscribe,
    };
    let mut rules: Vec<_> = first.iter().map(|(pattern, word)| rule(pattern, *word)).collect();
    rules.extend((0..4_100).map(|at| rule(&format!("other.t{at}"), Word::Allows)));
    Access::of(rules)
}

/// Signs in again with tokens in turn, as fast as is allowed, and lets the shard do little between two.
fn renew(hub: &mut Hub, id: ConnectionId, token: &str) {
    hub.now = hub.now.plus(1_001);
    hub.deliver(id, 2, &bytes_of(&[again(1, token)]));
    let now = hub.now;
    let asked = hub.topics.credentials().turn(|token| read(token.reveal(), now));
    assert!(asked, "it is checked");
    (0..8).for_each(|_| {
        hub.shard.turn(hub.now, &mut hub.sockets);
    });
}

/// Subscribed to `many.0` and so on, as many as that, and to one more.
fn subscribed_to_many(hub: &mut Hub, producer: u8, token: &str, count: usize, more: &str) -> ConnectionId {
    let id = bearer(hub, producer, token);
    let names: Vec<_> = (0..count).map(|at| format!("many.{at}")).chain([more.to_owned()]).collect();
    let frames: Vec<_> = names.iter().zip(1..).map(|(name, at)| subscribe_to(at, name)).collect();
    hub.say(id, &frames);
    let heard = hub.heard(id);
    assert_eq!(heard.iter().filter(|heard| matches!(heard, Heard::Subscribed(..))).count(), count + 1);
    id
}

fn ended(hub: &mut Hub, id: ConnectionId) -> usize {
    hub.heard(id).iter().filter(|heard| **heard == Heard::Other(71)).count()
}

const TOKENS: [&str; 2] = ["ada 9000 many.>", "ada 9000 many.> b"];

#[test]
fn whoever_renews_its_token_again_and_again_keeps_nothing_that_it_allows_no_more() {
    let mut hub = closed();
    let ada = subscribed_to_many(&mut hub, 1, "ada 9000 many.> secret", 40, "secret");
    hub.topics.change_access(very_many_rules(&[]));
    hub.work();
    let mut gone = 0;
    for round in 0..100 {
        renew(&mut hub, ada, TOKENS[round % 2]);
        gone += ended(&mut hub, ada);
    }
    assert_eq!(gone, 1);
}

#[test]
fn whoever_renews_its_token_again_and_again_holds_up_neither_rules_nor_others_tokens() {
    let mut hub = closed();
    let ada = subscribed_to_many(&mut hub, 1, "ada 9000 many.> secret", 40, "secret");
    let eve = subscribed_to_many(&mut hub, 2, "eve 9000 many.> secret", 1, "secret");
    let bob = subscribed_to_many(&mut hub, 3, "bob 9000 many.> denied", 1, "denied");
    hub.topics.change_access(very_many_rules(&[]));
    hub.work();
    renew(&mut hub, ada, TOKENS[0]);
    renew(&mut hub, eve, "eve 9000 many.>");
    hub.topics.change_access(very_many_rules(&[("denied", Word::Denies)]));
    let mut gone = (0, 0);
    for round in 1..100 {
        renew(&mut hub, ada, TOKENS[round % 2]);
        gone = (gone.0 + ended(&mut hub, eve), gone.1 + ended(&mut hub, bob));
    }
    assert_eq!(gone, (1, 1));
}

#[test]
fn a_renewal_amid_another_has_everything_asked_that_the_first_had_passed() {
    let mut hub = closed();
    let ada = subscribed_to_many(&mut hub, 1, "ada 9000 many.> last", 40, "last");
    hub.topics.change_access(very_many_rules(&[]));
    hub.work();
    // The first ends nothing; by the second all but the last must end, of which the first has passed some.
    renew(&mut hub, ada, "ada 9000 many.> last b");
    renew(&mut hub, ada, "ada 9000 last");
    let early = ended(&mut hub, ada);
    hub.work();
    assert_eq!((early < 40, early + ended(&mut hub, ada)), (true, 40));
}

#[test]
fn a_flood_of_tokens_waits_for_itself() {
    let mut hub = closed();
    let mut turned_away = 0;
    for _ in 0..1_100 {
        let id = hub.shard.accept(hub.now, Dialect::Binary, AccountKey(66));
        hub.say(id, &[hello_with(0, "bad")]);
        turned_away += usize::from(hub.heard(id).contains(&Heard::Goodbye(Code::Overloaded)));
    }
    assert_eq!(turned_away, 1_100 - 1_024, "the queue of one address has an end");
    let good = hub.connect(Dialect::Binary);
    hub.say(good, &[hello_with(1, "ada 60 a")]);
    let now = hub.now;
    for _ in 0..2 {
        assert!(hub.topics.credentials().turn(|token| read(token.reveal(), now)));
    }
    hub.work();
    assert_eq!(hub.heard(good), [Heard::Welcome], "its turn comes next");
    check(&mut hub);
    assert_eq!(hub.held(Kind::Reading), 0);
}

#[test]
fn floods_of_many_addresses_have_an_end_together_and_shut_nobody_out() {
    let mut hub = closed();
    let bring = |hub: &mut Hub, account: u128, token: &str, producer: u8| {
        let id = hub.shard.accept(hub.now, Dialect::Binary, AccountKey(account));
        hub.say(id, &[hello_with(producer, token)]);
        id
    };
    for at in 0..5_000 {
        bring(&mut hub, 100 + at % 5, "bad", 0);
    }
    let turned_away = |hub: &Hub| hub.topics.metrics().disconnected.of(Code::Overloaded.number());
    assert_eq!(turned_away(&hub), 5_000 - 4_096, "so many wait of all");
    hub.sockets.written.clear();
    let neighbours: Vec<_> =
        (0..20).map(|at| bring(&mut hub, 7 + u128::from(at / 10), "ada 60 a", 1 + at)).collect();
    assert_eq!(turned_away(&hub), 5_000 - 4_096 + 20, "who has most makes room, and is told");
    let now = hub.now;
    for _ in 0..7 * 10 {
        assert!(hub.topics.credentials().turn(|token| read(token.reveal(), now)));
    }
    hub.work();
    for id in neighbours {
        assert_eq!(hub.heard(id).last(), Some(&Heard::Welcome), "in turns with the others");
    }
    check(&mut hub);
    assert_eq!(hub.held(Kind::Reading), 0);
}

#[test]
fn where_everybody_has_one_that_waits_one_more_finds_room() {
    let mut hub = closed();
    for account in 0..4_200_u128 {
        let id = hub.shard.accept(hub.now, Dialect::Binary, AccountKey(100 + account));
        hub.say(id, &[hello_with(0, "bad")]);
        assert!(hub.heard(id).is_empty(), "{account}");
    }
    let second = hub.shard.accept(hub.now, Dialect::Binary, AccountKey(100));
    hub.say(second, &[hello_with(0, "bad")]);
    assert_eq!(hub.heard(second)[0], Heard::Goodbye(Code::Overloaded), "and a second does not");
}

#[test]
fn whoever_signs_in_again_very_often_is_told_when_it_may() {
    let mut hub = closed();
    let ada = bearer(&mut hub, 1, "ada 600 a");
    let nobody = hub.client(2);
    let told = |frame: &HubFrame<'_>| match frame {
        HubFrame::Failed(failed) => (Some(failed.code), failed.retry_after_ms),
        _ => (None, 0),
    };
    for (id, usual) in [(ada, None), (nobody, Some(Code::IdentityMismatch))] {
        for request in 0..10 {
            hub.say(id, &[again(request, "ada 600 a")]);
            check(&mut hub);
            assert_eq!(hub.heard_as(id, |_| panic!("it stays"), told), [(usual, 0)], "{request}");
        }
        hub.say(id, &[again(11, "ada 600 a")]);
        let asked = hub.topics.credentials().turn(|_| panic!("it is checked"));
        let heard = hub.heard_as(id, |_| panic!("it stays"), told);
        assert_eq!((asked, heard), (false, vec![(Some(Code::RateLimited), 1_001)]));
    }
    hub.now = hub.now.plus(1_001);
    hub.say(ada, &[again(12, "ada 600 a")]);
    check(&mut hub);
    assert!(hub.heard(ada).contains(&Heard::Other(81)));
}

#[test]
fn whoever_brings_nothing_but_bad_tokens_is_let_go() {
    let mut hub = closed();
    let ada = bearer(&mut hub, 1, "ada 600 a");
    for request in 1..=30 {
        hub.now = hub.now.plus(1_001);
        // A good one begins the count anew.
        let bad = if request == 9 { "ada 600 a" } else { "ada x a" };
        hub.say(ada, &[again(request, bad)]);
        check(&mut hub);
        let heard = hub.heard(ada);
        match request {
            9 => assert!(heard.contains(&Heard::Other(81)), "{heard:?}"),
            1..19 => assert!(heard.contains(&Heard::Failed(Code::BadToken)), "{request}: {heard:?}"),
            19 => {
                assert!(heard.ends_with(&[Heard::Goodbye(Code::BadToken), Heard::Close(4004)]), "{heard:?}")
            }
            _ => assert!(heard.is_empty(), "{heard:?}"),
        }
    }
}

#[test]
fn what_a_token_says_is_on_its_bearers_account_while_it_is_there() {
    let mut hub = closed();
    let long = |seconds: u64, count: usize| {
        let patterns: Vec<_> = (0..count).map(|at| format!("{}.{at}", "x".repeat(200))).collect();
        format!("ada {seconds} {}", patterns.join(" "))
    };
    let ada = bearer(&mut hub, 1, &long(600, 30));
    let held = hub.held(Kind::Tokens);
    assert!((30 * 200..60 * 200).contains(&held), "{held}");
    hub.say(ada, &[again(1, &long(601, 30))]);
    check(&mut hub);
    assert_eq!(hub.held(Kind::Tokens), held, "the one before it is given back");
    hub.say(ada, &[again(2, &long(602, 1))]);
    check(&mut hub);
    assert!((200..held / 2).contains(&hub.held(Kind::Tokens)));
    let held = hub.held(Kind::Tokens);
    hub.say(ada, &[again(3, &format!("{} info={} limit=3", long(602, 1), "x".repeat(1_000)))]);
    check(&mut hub);
    assert!((held + 1_000..held + 1_100).contains(&hub.held(Kind::Tokens)), "and what it says of its bearer");
    hub.shard.gone(hub.now, ada);
    assert_eq!(hub.held(Kind::Tokens), 0);
}

#[test]
fn whoever_makes_the_hub_know_very_much_by_tokens_is_refused_and_no_other_is() {
    let mut hub = Hub::new(limits(|limits| limits.node_bytes_max = 1 << 20), keep_all());
    hub.topics.credentials().on_work(Box::new(|| ()));
    let token = format!("ada 600 {}", vec!["x".repeat(200); 35].join(" "));
    let bring = |hub: &mut Hub, account: u128| {
        let id = hub.shard.accept(hub.now, Dialect::Binary, AccountKey(account));
        hub.say(id, &[hello_with(account as u8, &token)]);
        check(hub);
        hub.heard(id)
    };
    let welcome = (0..2_000).take_while(|_| bring(&mut hub, 1) == [Heard::Welcome]).count();
    assert!((5..1_500).contains(&welcome), "{welcome}");
    assert_eq!(bring(&mut hub, 1)[0], Heard::Goodbye(Code::Overloaded));
    assert_eq!(bring(&mut hub, 2), [Heard::Welcome]);
}

#[test]
fn a_token_that_is_too_long_is_not_even_kept() {
    let mut hub = closed();
    let id = hub.connect(Dialect::Binary);
    hub.say(id, &[hello_with(1, &"x".repeat(9_000))]);
    assert!(hub.held(Kind::Reading) < 1_000);
    assert!(hub.topics.credentials().turn(|_| panic!("it is read")));
    hub.work();
    assert_eq!(hub.heard(id), [Heard::Goodbye(Code::BadToken), Heard::Close(4004)]);
}

#[test]
fn a_token_is_never_printed() {
    let hub = closed();
    let address =
        tidewire_hub_core::letter::Address { shard: 0, slot: 0, generation: 0, serial: Default::default() };
    let account = hub.topics.ledger().account(AccountKey(1));
    hub.topics.credentials().check(address, &account, "CANARY 60").unwrap();
    let mut printed = format!("{:?}", hub.topics);
    hub.topics.credentials().turn(|token| {
        printed.push_str(&format!("{token:?}"));
        Err(BadToken::Malformed)
    });
    assert!(!printed.contains("CANARY"));
    assert!(BadToken::ALL.iter().all(|bad| bad.sentence().len() > 10));
}

#[test]
fn whoever_signed_in_by_a_key_that_is_gone_is_sent_away_and_no_other_is() {
    let (mut hub, mut other) = Hub::with_two_shards(Limits::default(), keep_all());
    hub.topics.credentials().on_work(Box::new(|| ()));
    hub.topics.keep_keys([KeyNumber(1), KeyNumber(2)]);
    let mut ids = Vec::new();
    for producer in 0..200 {
        ids.push(bearer(&mut hub, producer, &format!("ada 600 a key={}", 1 + producer % 2)));
    }
    let nobody = hub.client(201);
    let beside = hub
        .beside(&mut other, |hub| [bearer(hub, 202, "bob 600 a key=1"), bearer(hub, 203, "bob 600 a key=2")]);
    // One is being checked while the key goes.
    let late = hub.connect(Dialect::Binary);
    hub.say(late, &[hello_with(204, "ada 600 a key=1")]);
    let now = hub.now;
    hub.topics.credentials().turn(|token| read(token.reveal(), now));
    hub.topics.keep_keys([KeyNumber(2), KeyNumber(3)]);
    hub.work();
    let gone = [Heard::Goodbye(Code::BadToken), Heard::Close(4004)];
    for (at, id) in ids.iter().enumerate() {
        let expected = if at % 2 == 0 { &gone[..] } else { &[] };
        assert_eq!(hub.heard(*id), expected, "{at}");
    }
    assert_eq!((hub.heard(late), hub.heard(nobody)), (gone.to_vec(), Vec::new()));
    hub.beside(&mut other, |hub| {
        hub.work();
        assert_eq!((hub.heard(beside[0]), hub.heard(beside[1])), (gone.to_vec(), Vec::new()));
    });
    assert_eq!(hub.topics.metrics().bad_tokens.of(BadToken::KeyGone.number()), 102);
    let again = hub.connect(Dialect::Binary);
    hub.say(again, &[hello_with(205, "ada 600 a key=1")]);
    check(&mut hub);
    assert_eq!(hub.heard(again), gone);
}

#[test]
fn changes_that_come_again_and_again_leave_nobody_out() {
    let mut hub = closed();
    hub.topics.keep_keys([KeyNumber(1), KeyNumber(2)]);
    for _ in 0..600 {
        bearer(&mut hub, 0, "ada 600 a key=1");
    }
    let ids: Vec<_> = (0..600).map(|_| bearer(&mut hub, 0, "ada 600 a key=2")).collect();
    hub.topics.keep_keys([KeyNumber(1)]);
    let closed = |hub: &Hub| hub.topics.metrics().bad_tokens.of(BadToken::KeyGone.number());
    for key in 2.. {
        hub.shard.turn(hub.now, &mut hub.sockets);
        hub.topics.keep_keys([KeyNumber(1), KeyNumber(key + 1)]);
        if closed(&hub) == ids.len() as u64 {
            break;
        }
        assert!(key < 10_000, "{} of them stayed", ids.len() as u64 - closed(&hub));
    }
}

#[test]
fn whoever_bears_a_token_that_is_taken_back_is_sent_away_and_no_other_is() {
    let mut hub = closed();
    let gone = [Heard::Goodbye(Code::BadToken), Heard::Close(4004)];
    let of =
        |subject: &str| Revocation::Subject { subject: subject.into(), issued_before: 100, until: NEVER };
    let by_id = Revocation::Token { id: "id10".into(), until: NEVER };
    for (producer, revocation, ends) in [
        (10, by_id, [true, false, false, false, false]),
        (20, of("ada20"), [true, true, false, false, false]),
        (30, of("nobody"), [false; 5]),
        (40, Revocation::All { issued_before: 100 }, [true, true, false, true, false]),
    ] {
        let ada = format!("ada{producer} 600 a");
        let bob = "bob 600 a at=1".to_owned();
        let tokens = [format!("{ada} id=id{producer} at=99"), ada.clone(), format!("{ada} id=8 at=100"), bob];
        let bring = |(producer, token): (u8, &String)| bearer(&mut hub, producer, token);
        let mut ids: Vec<_> = (producer..).zip(&tokens).map(bring).collect();
        ids.push(hub.client(producer + 9));
        hub.topics.revoke(hub.now, revocation).unwrap();
        hub.work();
        for (id, ends) in ids.iter().zip(ends) {
            assert_eq!(hub.heard(*id), if ends { &gone[..] } else { &[] }, "{producer} {id:?}");
        }
    }
}

#[test]
fn nobody_signs_in_by_a_token_that_was_taken_back_nor_goes_on_by_it() {
    let mut hub = closed();
    let ada = bearer(&mut hub, 1, "ada 600 a id=1");
    let (before, after) = (hub.connect(Dialect::Binary), hub.connect(Dialect::Binary));
    hub.say(before, &[hello_with(2, "ada 600 a id=7")]);
    hub.say(ada, &[again(1, "ada 600 a id=7")]);
    let now = hub.now;
    // Found sound before it is taken back.
    while hub.topics.credentials().turn(|token| read(token.reveal(), now)) {}
    hub.topics.revoke(now, Revocation::Token { id: "7".into(), until: NEVER }).unwrap();
    hub.work();
    hub.say(after, &[hello_with(3, "ada 600 a id=7")]);
    check(&mut hub);
    for id in [before, after] {
        assert_eq!(hub.heard(id), [Heard::Goodbye(Code::BadToken), Heard::Close(4004)]);
    }
    assert_eq!(hub.heard(ada), [Heard::Failed(Code::BadToken)], "the one that it has stands");
    hub.say(ada, &[subscribe_to(1, "a")]);
    assert!(matches!(hub.heard(ada)[..], [Heard::Subscribed(..)]));
    assert_eq!(hub.topics.credentials().standing().revocations(hub.now), 1);
    hub.topics.revoke(hub.now, Revocation::All { issued_before: 5 }).unwrap();
    hub.work();
    assert_eq!(hub.heard(ada), [Heard::Goodbye(Code::BadToken), Heard::Close(4004)]);
}

#[test]
fn tokens_whose_key_may_be_about_to_come_wait_aside_and_out_of_the_way() {
    let mut hub = closed();
    let now = hub.now;
    // As if keys of odd numbers had to be asked for.
    let check = |hub: &mut Hub, has_come: bool| {
        let look = |token: &str, has_waited: bool| match read(token, now) {
            Ok(pass) if pass.origin.key.0 % 2 == 1 && !has_waited => Verdict::Wait,
            Ok(pass) if pass.origin.key.0 == 3 => Verdict::NotNow,
            Ok(_) if has_waited && !has_come => Verdict::Checked(Err(BadToken::UnknownKey)),
            checked => Verdict::Checked(checked),
        };
        while hub.topics.credentials().turn_or_wait(|token, has_waited| look(token.reveal(), has_waited)) {}
        hub.work();
    };
    let mut bring = |account: u128, token: &str| {
        let id = hub.shard.accept(hub.now, Dialect::Binary, AccountKey(account));
        hub.say(id, &[hello_with(0, token)]);
        id
    };
    let [late, down] = ["key=1", "key=3"].map(|key| bring(1, &format!("ada 60 a {key}")));
    let flood: Vec<_> = (0..200).map(|_| bring(66, "eve 60 a key=1")).collect();
    let other = bring(66, "eve 60 a key=2");
    check(&mut hub, true);
    assert_eq!(hub.heard(other), [Heard::Welcome], "who need not wait does not");
    assert!(hub.heard(late).is_empty() && hub.heard(down).is_empty());
    let turned_away = flood.iter().filter(|id| hub.heard(**id).contains(&Heard::Goodbye(Code::Overloaded)));
    assert_eq!(turned_away.count(), 200 - 128);
    assert_eq!(hub.topics.credentials().waiting(), 2 + 128);
    hub.topics.credentials().go_on();
    check(&mut hub, true);
    assert_eq!(hub.heard(late), [Heard::Welcome]);
    assert_eq!(hub.heard(down)[0], Heard::Goodbye(Code::Overloaded), "it may try again");
    let unknown = hub.shard.accept(hub.now, Dialect::Binary, AccountKey(1));
    hub.say(unknown, &[hello_with(0, "ada 60 a key=1")]);
    check(&mut hub, false);
    hub.topics.credentials().go_on();
    check(&mut hub, false);
    assert_eq!(hub.heard(unknown)[0], Heard::Goodbye(Code::BadToken));
    assert_eq!((hub.topics.credentials().waiting(), hub.held(Kind::Reading)), (0, 0));
}
