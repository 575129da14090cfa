//! Tokens that are taken back before they end, on the real process.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::file::File;
use crate::support::http::{Answer, Http};
use crate::support::hub::Hub;
use crate::support::keyed::{SECRET, bearer, by_secret_of, claims, now, refusal};
use crate::support::page::Folder;
use crate::support::socket::{RawSocket, Received};

/// A hub with a listener for its operator.
struct Operated {
    hub: Hub,
    operator: SocketAddr,
    _files: [File; 2],
}

impl Operated {
    fn start(auth: &str) -> Self {
        Self::start_with(auth, &[])
    }

    /// The same, with flags.
    fn start_with(auth: &str, flags: &[&str]) -> Self {
        let secret = File::new(SECRET);
        let file = File::new(&format!(
            "allow_no_origin = true\nadmin_listen = \"127.0.0.1:0\"\n{auth}[[auth.keys]]\nalgorithm = \"HS256\"\nfile = \"{}\"\n\
             audience = \"tidewire\"\n",
            secret.path()
        ));
        let hub = Hub::start(&[&["--config", file.path()], flags].concat(), &[]);
        let operator = hub.admin();
        Self { hub, operator, _files: [secret, file] }
    }

    fn revoke(&self, what: &Value) -> Answer {
        self.ask("localhost", &[("content-type", "application/json")], &what.to_string())
    }

    /// Which are revoked, and where the list goes on.
    fn list(&self, query: &str) -> (Value, Option<String>) {
        let answer = self.http().get(&format!("/v1/revocations{query}")).ok();
        (answer["revocations"].clone(), answer["next"].as_str().map(str::to_owned))
    }

    fn give_back(&self, query: &str) -> Answer {
        self.http().ask("DELETE", &format!("/v1/revocations{query}"), &[], b"")
    }

    fn http(&self) -> Http {
        let mut operator = Http::to(self.operator);
        operator.host = "localhost";
        operator
    }

    /// Asks the operators' address by a name.
    fn ask(&self, host: &'static str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut operator = Http::to(self.operator);
        operator.host = host;
        operator.ask("POST", "/v1/revocations", headers, body.as_bytes())
    }
}

/// A token of a subject with claims besides.
fn token(subject: &str, more: &Value) -> String {
    let mut claims = claims(subject, json!([{"topics": ["a"], "to": ["subscribe", "publish"]}]));
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    by_secret_of(None, &claims)
}

#[track_caller]
fn is_there(socket: &mut RawSocket) {
    socket.say(json!({"type": "heartbeat", "request": 1}));
    socket.hear_of("heartbeat");
}

#[track_caller]
fn is_sent_away(socket: &mut RawSocket) {
    is_told(socket, "the token was revoked");
}

#[track_caller]
fn is_told(socket: &mut RawSocket, sentence: &str) {
    let goodbye = socket.hear_of("goodbye");
    let told = (&goodbye["code"], &goodbye["message"]);
    assert_eq!(told, (&json!("bad_token"), &json!(sentence)));
    assert_eq!(socket.receive(), Received::Close(4004));
}

#[test]
fn what_is_revoked_ends_while_it_is_connected_and_is_refused_from_then_on() {
    let operated = Operated::start("");
    let hub = &operated.hub;
    let by_id = token("ada", &json!({"jti": "7", "iat": now()}));
    let old = token("ada", &json!({"jti": "8", "iat": now() - 100}));
    let undated = token("bob", &json!({}));
    let later = token("bob", &json!({"iat": now() + 30}));
    let tokens = [&by_id, &old, &undated, &later];
    let mut sockets: Vec<_> =
        (1_000..).zip(tokens).map(|(producer, token)| bearer(hub.address, producer, token)).collect();
    let mut http = Http::to(hub.address);
    let mut ask = |token: &str| {
        let bearer = format!("Bearer {token}");
        http.ask("GET", "/v1/topics/a/messages", &[("authorization", &bearer)], b"").status
    };
    assert!(tokens.iter().all(|token| ask(token) == 200));
    let answer = operated.revoke(&json!({"jti": "7", "exp": now() + 600})).ok();
    assert_eq!(answer["survives_restart"], false);
    assert!(answer["until"].as_u64().unwrap() >= now() + 600, "{answer}");
    let (status, _, why) = operated.revoke(&json!({"jti": "8", "exp": 1_u64 << 63})).problem();
    assert!(status == 400 && why.contains("before the year 10000"), "{why}");
    is_sent_away(&mut sockets[0]);
    assert_eq!(ask(&by_id), 401);
    assert_eq!(refusal(hub.address, &by_id), "the token was revoked");
    sockets[1..].iter_mut().for_each(is_there);
    let answer = operated.revoke(&json!({"sub": "bob"})).ok();
    assert!(answer["issued_before"].as_u64().unwrap() > now() - 60 && answer["until"].is_null(), "{answer}");
    is_told(&mut sockets[2], UNDATED);
    assert_eq!(refusal(hub.address, &undated), UNDATED);
    is_there(&mut sockets[1]);
    is_there(&mut sockets[3]);
    assert_eq!([ask(&undated), ask(&later), ask(&old)], [401, 200, 200]);
    operated.revoke(&json!({"issued_before": now() - 50})).ok();
    is_sent_away(&mut sockets[1]);
    is_there(&mut sockets[3]);
    assert_eq!(refusal(hub.address, &old), "the token was revoked");
    drop(bearer(hub.address, 2_000, &token("ada", &json!({"iat": now()}))));
    let page = Hub::get_at(operated.operator, "/metrics");
    assert!(page.contains("\ntidewire_revocations 3\n") && !page.contains("check=\"revoked\"} 0"), "{page}");
    hub.says("one token was revoked, as long as this hub runs");
}

#[test]
fn what_is_revoked_is_listed_and_can_be_given_back() {
    let operated = Operated::start("");
    let hub = operated.hub.address;
    let by_id = token("ada", &json!({"jti": "7", "iat": now() - 5}));
    assert_eq!(operated.list(""), (json!([]), None));
    let until = operated.revoke(&json!({"jti": "7", "exp": now() + 600})).ok()["until"].as_u64().unwrap();
    for what in
        [json!({"sub": "ada"}), json!({"sub": "b b", "issued_before": 9}), json!({"issued_before": 8})]
    {
        operated.revoke(&what).ok();
    }
    assert_eq!(refusal(hub, &by_id), "the token was revoked");
    let (all, next) = operated.list("");
    assert!(next.is_none() && all.as_array().unwrap().len() == 4, "{all}");
    assert_eq!(
        (&all[0], &all[2]),
        (&json!({"issued_before": 8}), &json!({"sub": "b b", "issued_before": 9}))
    );
    assert_eq!((&all[1]["sub"], &all[3]["jti"]), (&json!("ada"), &json!("7")));
    assert!(all[3]["until"].as_u64().unwrap().abs_diff(until) <= 1, "{all}");
    let (mut one_by_one, mut after) = (Vec::new(), String::new());
    loop {
        let (mut page, next) = operated.list(&format!("?limit=1{after}"));
        one_by_one.push(page[0].take());
        let Some(next) = next else { break };
        after = format!("&after={}", next.replace(' ', "%20"));
    }
    assert_eq!(json!(one_by_one), all);
    assert_eq!(operated.list("?sub=b+b").0, json!([all[2]]));
    assert_eq!((operated.list("?jti=7").0, operated.list("?sub=7").0), (json!([all[3]]), json!([])));

    let issued_before = all[1]["issued_before"].as_u64().unwrap();
    for absent in
        [&*format!("?sub=ada&issued_before={}", issued_before - 1), "?sub=7", "?jti=ada", "?issued_before=9"]
    {
        let (status, code, _) = operated.give_back(absent).problem();
        assert_eq!((status, &*code), (404, "unknown_revocation"), "{absent}");
    }
    for unclear in
        ["", "?sub=", "?sub=ada&jti=7", "?jti=7&issued_before=8", "?issued_before=x", "?subject=ada"]
    {
        assert_eq!(operated.give_back(unclear).problem().0, 400, "{unclear}");
    }
    assert_eq!(operated.list("").0, all);
    assert_eq!(operated.give_back(&format!("?sub=ada&issued_before={issued_before}")).status, 204);
    assert_eq!(refusal(hub, &by_id), "the token was revoked", "by its name still");
    assert_eq!(operated.give_back("?jti=7").status, 204);
    is_there(&mut bearer(hub, 1, &by_id));
    assert_eq!(operated.give_back("?issued_before=8").status, 204);
    assert_eq!(operated.give_back("?issued_before=8").status, 404);
    assert_eq!(operated.list(""), (json!([all[2]]), None));
    operated.hub.says("the revocation of one token was taken back");
}

#[test]
fn the_answer_has_what_stands_and_no_name_is_longer_than_a_token_may_have() {
    let operated = Operated::start("[auth]\ntoken_seconds_max = 1000\n");
    let (before, later) = (now() - 100, now() - 10);
    let told = operated.revoke(&json!({"sub": "cy", "issued_before": later})).ok();
    let again = operated.revoke(&json!({"sub": "cy", "issued_before": before})).ok();
    assert_eq!((&told["issued_before"], &again["issued_before"]), (&json!(later), &json!(later)));
    assert!(
        told["until"].as_u64().unwrap().abs_diff(again["until"].as_u64().unwrap()) <= 1,
        "{told} {again}"
    );
    assert_eq!(operated.give_back(&format!("?sub=cy&issued_before={later}")).status, 204);
    for (what, says) in [
        (
            json!({"sub": "cy", "issued_before": 1_000}),
            "have ended, since none lasts longer than `token_seconds_max`",
        ),
        (json!({"jti": "x".repeat(1_025)}), "a `jti` has at most 1024 bytes, and a `sub` 255"),
        (json!({"jti": "\u{1}".repeat(8_000)}), "a `jti` has at most 1024 bytes, and a `sub` 255"),
        (json!({"sub": "x".repeat(256)}), "a `jti` has at most 1024 bytes, and a `sub` 255"),
    ] {
        let (status, _, why) = operated.revoke(&what).problem();
        assert!(status == 400 && why.contains(says), "{status} {why}");
    }
    assert_eq!(operated.list(""), (json!([]), None));
    operated.revoke(&json!({"jti": "\u{1}".repeat(1_024)})).ok();
    let longest = "x".repeat(1_024);
    operated.revoke(&json!({ "jti": longest })).ok();
    let hub = operated.hub.address;
    let named = |jti: &str| token("ada", &json!({"jti": jti, "iat": now(), "exp": now() + 500}));
    assert_eq!(refusal(hub, &named(&"x".repeat(1_025))), "the token's `jti` is longer than 1024 bytes");
    assert_eq!(refusal(hub, &named(&longest)), "the token was revoked");
}

#[test]
fn whoever_waits_for_news_is_told_at_once_that_its_token_was_revoked() {
    let operated = Operated::start("");
    let bearer = format!("Bearer {}", token("ada", &json!({"jti": "7"})));
    let mut waiter = Http::to(operated.hub.address);
    waiter.send("GET", "/v1/topics/a/messages?from=latest&wait=50s", &[("authorization", &bearer)], b"");
    let counted = |line: &str| Hub::get_at(operated.operator, "/metrics").contains(line);
    eventually("it waits", || counted("\ntidewire_clients 1\n"));
    operated.revoke(&json!({"sub": "bob"})).ok();
    operated.revoke(&json!({"jti": "7"})).ok();
    let (status, code, detail) = waiter.answer().problem();
    assert_eq!((status, &*code, &*detail), (401, "bad_token", "the token was revoked"));
    assert!(counted("tidewire_bad_tokens_total{check=\"revoked\"} 1\n"));
}

#[test]
fn a_ticket_of_a_token_that_was_revoked_is_refused_and_counted_as_that() {
    let operated = Operated::start("");
    let bearer = format!("Bearer {}", token("ada", &json!({"jti": "7"})));
    let mut http = Http::to(operated.hub.address);
    let ticket = http.ask("POST", "/v1/tickets", &[("authorization", &bearer)], b"").ok();
    let by_ticket = format!("/v1/events?topic=a&ticket={}", ticket["ticket"].as_str().unwrap());
    operated.revoke(&json!({"jti": "7"})).ok();
    let (status, code, detail) = http.get(&by_ticket).problem();
    assert_eq!((status, &*code, &*detail), (401, "bad_token", "the token was revoked"));
    let page = Hub::get_at(operated.operator, "/metrics");
    assert!(page.contains("tidewire_bad_tokens_total{check=\"revoked\"} 1\n"), "{page}");
}

#[test]
fn only_operators_revoke_and_no_page_does_it_for_them() {
    let operated = Operated::start("");
    let body = json!({"issued_before": now()}).to_string();
    let kind = ("content-type", "application/json");
    let answer = Http::to(operated.hub.address).ask("POST", "/v1/revocations", &[kind], body.as_bytes());
    assert_eq!(answer.status, 404, "where clients connect there is none");
    let ask = |headers: &[(&str, &str)], body: &str| operated.ask("localhost", headers, body).problem();
    assert_eq!(operated.ask("hub", &[kind], &body).problem().0, 421, "a name that is not listed");
    assert_eq!(ask(&[kind, ("origin", "http://127.0.0.1:1")], &body).0, 403);
    assert_eq!(ask(&[("content-type", "text/plain")], &body).0, 415);
    assert_eq!(ask(&[], &body).0, 415);
    for (body, says) in [
        ("{}", "allowed: {\"jti\": "),
        ("[", "cannot be read"),
        ("{\"subject\": \"ada\"}", "unknown field `subject`"),
        ("{\"sub\": \"\"}", "never empty"),
        (&format!("{{\"issued_before\": {}}}", now() * 1_000), "seconds since 1970"),
        (&format!("{{\"jti\": \"{}\"}}", "x".repeat(1_025)), "at most 1024 bytes"),
        (&format!("{{\"jti\": \"{}\"}}", "x".repeat(70_000)), "65536 bytes"),
    ] {
        let (status, _, detail) = ask(&[kind], body);
        assert!((400..500).contains(&status) && detail.contains(says), "{detail}");
    }
    drop(bearer(operated.hub.address, 1, &token("ada", &json!({}))));
    assert_eq!(Hub::get_at(operated.operator, "/metrics").matches("tidewire_revocations 0").count(), 1);
    let hub = Hub::dev();
    let answer = Http::to(hub.address).ask("POST", "/v1/revocations", &[kind], body.as_bytes());
    assert_eq!(answer.status, 404, "nor where they share a listener");
}

#[test]
fn where_tokens_may_not_last_long_those_that_do_are_refused() {
    let operated = Operated::start("[auth]\ntoken_seconds_max = 600\n");
    let to = operated.hub.address;
    let lasting = |seconds: u64| token("ada", &json!({"iat": now(), "exp": now() + seconds}));
    drop(bearer(to, 1, &lasting(599)));
    for token in [lasting(700), token("ada", &json!({"iat": now() - 500}))] {
        assert!(refusal(to, &token).contains("lasts longer, from its `iat` to its `exp`"));
    }
    let undated = refusal(to, &token("ada", &json!({})));
    assert_eq!(undated, "the token has no `iat`, which `token_seconds_max` needs");
    let answer = operated.revoke(&json!({"sub": "ada"})).ok();
    assert!((now() + 600..now() + 1_000).contains(&answer["until"].as_u64().unwrap()), "{answer}");
}

/// Such tokens can be told no time, and a subject that gets no others would wonder.
const UNDATED: &str = "the token was revoked: it has no `iat`, and counts as issued before";

#[test]
fn what_is_revoked_stays_so_over_a_restart_where_there_is_a_data_directory() {
    let folder = Folder::new();
    let data = folder.0.join("data");
    let flags = ["--data-dir", data.to_str().unwrap()];
    let (by_id, of_bob) =
        (token("ada", &json!({"jti": "7", "iat": now()})), token("bob", &json!({"iat": now() - 5})));
    let mut operated = Operated::start_with("", &flags);
    for what in [json!({"jti": "7", "exp": now() + 600}), json!({"sub": "bob"})] {
        assert_eq!(operated.revoke(&what).ok()["survives_restart"], true);
    }
    operated.hub.says("one token was revoked\n");
    operated.hub.kill();
    let mut operated = Operated::start_with("", &flags);
    for token in [&by_id, &of_bob] {
        assert_eq!(refusal(operated.hub.address, token), "the token was revoked");
    }
    drop(bearer(operated.hub.address, 1_000, &token("ada", &json!({"jti": "8", "iat": now()}))));
    assert_eq!(operated.list("?jti=7").0.as_array().unwrap().len(), 1);
    assert_eq!(operated.give_back("?sub=bob").status, 204);
    operated.hub.kill();
    let mut operated = Operated::start_with("", &flags);
    assert_eq!(refusal(operated.hub.address, &by_id), "the token was revoked");
    drop(bearer(operated.hub.address, 1_001, &of_bob));
    assert!(operated.list("?sub=bob").0.as_array().unwrap().is_empty());
    // What cannot be written stays as it is, also for whoever looks now.
    let new = data.join("REVOKED.new");
    std::fs::create_dir(&new).unwrap();
    let (status, code, detail) = operated.give_back("?jti=7").problem();
    assert_eq!((status, &*code), (503, "not_stored"), "{detail}");
    assert_eq!(refusal(operated.hub.address, &by_id), "the token was revoked");
    std::fs::remove_dir(&new).unwrap();
    assert_eq!(operated.give_back("?jti=7").status, 204);
    drop(bearer(operated.hub.address, 1_002, &by_id));
    operated.hub.kill();
    std::fs::write(data.join("REVOKED"), "what somebody else wrote").unwrap();
    let mut command = crate::support::hub::tidewire("serve");
    let failed = command.args(["--dev", "--listen", "127.0.0.1:0"]).args(flags).output().unwrap();
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(!failed.status.success() && said.contains("REVOKED cannot be read"), "{said}");
}
