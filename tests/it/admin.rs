//! The operators' own address: what is there, what is nowhere else, and who gets no answer.

use std::collections::BTreeSet;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tidewire_client::{Client, Event, Options, SubscribeOptions};

use crate::support::eventually;
use crate::support::file::{File, OPEN};
use crate::support::http::Http;
use crate::support::hub::{Hub, tidewire};
use crate::support::keyed::{Keyed, bearer, by_secret, claims};
use crate::support::socket::{RawSocket, handshake};

fn operator_of(hub: &Hub) -> Http {
    let mut operator = Http::to(hub.admin());
    operator.host = "localhost";
    operator
}

/// All pages of a list of connections.
fn connections(operator: &mut Http, limit: usize, filter: &str) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = operator.get(&format!("/v1/connections?limit={limit}{filter}{after}")).ok();
        let connections = page["connections"].as_array().unwrap();
        assert!(connections.len() <= limit, "{page}");
        all.extend(connections.iter().cloned());
        let Some(next) = page["next"].as_str() else { return all };
        after = format!("&after={next}");
    }
}

/// A hub with an address for operators, and one of them.
fn hub(flags: &[&str], env: &[(&str, &str)]) -> (Hub, Http) {
    let env =
        [&[("TIDEWIRE_ADMIN_LISTEN", "127.0.0.1:0"), ("TIDEWIRE_PUBLIC_METRICS", "false")], env].concat();
    let hub = Hub::start(flags, &env);
    let operator = operator_of(&hub);
    (hub, operator)
}

#[test]
fn operators_have_an_address_of_their_own_and_nothing_of_it_is_public() {
    let (hub, mut operator) = hub(&[], &[]);
    let page = operator.get("/metrics");
    let has = |line: &str| page.text().contains(line);
    assert!(has("\ntidewire_connections 0\n") && has("\nprocess_open_fds "), "{}", page.text());
    assert_eq!(operator.get("/healthz").text(), "ok\n");
    for path in ["/v1/ws", "/", "/v1/topics"] {
        assert_eq!(operator.get(path).status, 404, "{path}");
    }
    let mut client = Http::to(hub.address);
    assert_eq!(client.get("/healthz").status, 200);
    assert_eq!(client.get("/metrics").status, 404);
}

#[test]
fn metrics_are_public_where_that_is_said_and_with_dev() {
    let status = |flags: &[&str], env: &[(&str, &str)]| {
        let mut serve = tidewire("serve");
        serve.args(["--listen", "127.0.0.1:0"]).args(flags).envs(env.iter().copied());
        Http::to(Hub::run(serve).address).get("/metrics").status
    };
    assert_eq!(status(&[], &[]), 404);
    assert_eq!(status(&[], &[("TIDEWIRE_PUBLIC_METRICS", "true")]), 200);
    assert_eq!(status(&["--dev"], &[]), 200);
    assert_eq!(status(&["--dev"], &[("TIDEWIRE_PUBLIC_METRICS", "false")]), 404);
    assert_eq!(status(&["--dev"], &[("TIDEWIRE_ADMIN_LISTEN", "127.0.0.1:0")]), 404);
    // There no page reads them whose name was made to lead to this machine.
    let hub = Hub::dev();
    for (host, status) in [("localhost", 200), ("127.0.0.1:7700", 200), ("evil.test", 421)] {
        let mut client = Http::to(hub.address);
        client.host = host;
        let answer = client.get("/metrics");
        assert_eq!(answer.status, status, "{host}");
        assert!(status == 200 || answer.text().contains("`api_hosts`"), "{}", answer.text());
    }
    let hub = Hub::start(&["--dev"], &[("TIDEWIRE_API_HOSTS", "hub.internal")]);
    let mut client = Http::to(hub.address);
    client.host = "hub.internal";
    assert_eq!(client.get("/metrics").status, 200);
}

#[test]
fn no_page_gets_an_answer_whatever_name_it_was_given() {
    let (hub, mut operator) = hub(&[], &[("TIDEWIRE_ADMIN_HOSTS", "hub.internal")]);
    for headers in [
        &[("origin", "http://localhost")][..],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
    ] {
        let answer = operator.ask("GET", "/metrics", headers, b"");
        assert_eq!(answer.problem().0, 403, "{headers:?}");
    }
    assert_eq!(operator.ask("GET", "/metrics", &[("sec-fetch-site", "none")], b"").status, 200);
    for (host, status) in [("hub.internal", 200), ("127.0.0.1", 200), ("evil.test", 421), ("hub", 421)] {
        let mut operator = Http::to(hub.admin());
        operator.host = host;
        assert_eq!(operator.get("/metrics").status, status, "{host}");
    }
}

#[test]
fn an_address_that_others_reach_is_warned_of() {
    let check = |address: &str| {
        let file = File::new(&format!("admin_listen = \"{address}:7701\"\n{OPEN}"));
        let output = tidewire("check").args(["--config", file.path()]).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let said = check("0.0.0.0");
    assert!(
        said.contains("warning: line 1: `admin_listen` is \"0.0.0.0:7701\": nobody is asked for a token"),
        "{said}"
    );
    for private in ["127.0.0.1", "10.0.0.1", "192.168.1.1"] {
        let said = check(private);
        assert!(!said.contains("warning: "), "{said}");
    }
}

#[test]
fn a_hub_is_ready_while_messages_pass_and_says_why_it_is_not() {
    let (hub, mut operator) = hub(&["--dev"], &[("TIDEWIRE_DRAIN_SECONDS", "20")]);
    let _client = RawSocket::signed_in(hub.address);
    let published = |operator: &mut Http| {
        let page = operator.get("/metrics");
        let line =
            page.text().lines().find_map(|line| line.strip_prefix("tidewire_published_total ")).unwrap();
        line.parse::<u64>().unwrap()
    };
    let began = Instant::now();
    for _ in 0..100 {
        let answer = operator.get("/readyz");
        assert_eq!((answer.status, answer.text()), (200, "ready\n"));
    }
    let probes = published(&mut operator);
    assert!(probes >= 1 && probes <= 1 + began.elapsed().as_secs(), "{probes} messages for 100 questions");
    let mut public = Http::to(hub.address);
    let answer = public.get("/readyz");
    assert_eq!((answer.status, answer.text()), (200, ""));
    assert_eq!(public.get("/v1/topics/$hub.probe/messages").problem().0, 403, "it is nobody's business");
    hub.signal("TERM");
    eventually("it is not ready any more", || operator.get("/readyz").status == 503);
    assert_eq!(operator.get("/readyz").text(), "the hub is stopping\n");
    let answer = Http::to(hub.address).get("/readyz");
    assert_eq!((answer.status, answer.text()), (503, ""));
}

#[test]
fn connections_are_listed_whole_in_pages_and_found_by_subject_and_address() {
    let keyed = Keyed::start("[limits]\nsign_in_ms = 60000\n");
    let (hub, mut operator) = (&keyed.hub, operator_of(&keyed.hub));
    let mut claims = claims("ada", json!([{"topics": ["a.>"], "to": ["subscribe"]}]));
    claims.as_object_mut().unwrap().remove("aud");
    let token = by_secret(&claims);
    let mut ada = bearer(hub.address, 1, &token);
    for name in ["a.b", "a.*"] {
        ada.say(json!({"type": "subscribe", "request": 1, "name": name}));
        ada.hear();
    }
    let _others: Vec<_> = (0..300).map(|_| RawSocket::json(hub.address)).collect();
    let _afar = RawSocket::connect_from([127, 0, 0, 9].into(), hub.address).ask(&handshake(""));
    eventually("all are there", || connections(&mut operator, 1_000, "").len() >= 301);
    let ids =
        |list: &[Value]| list.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
    let all = connections(&mut operator, 1_000, "&address=127.0.0.1");
    assert_eq!((all.len(), ids(&all).len()), (301, 301));
    for limit in [1, 7, 150] {
        assert_eq!(ids(&connections(&mut operator, limit, "&address=127.0.0.1")), ids(&all), "{limit}");
    }
    let found = connections(&mut operator, 10, "&subject=ada");
    let [ada] = &found[..] else { panic!("she is there once: {found:?}") };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    assert!(now.abs_diff(ada["since"].as_u64().unwrap()) < 60_000, "{ada}");
    let rest = json!({
        "id": ada["id"], "since": ada["since"], "address": "127.0.0.1", "subject": "ada", "dialect": "json",
        "subscriptions": 2, "unread_bytes": 0
    });
    assert_eq!(*ada, rest);
    for wrong in ["limit=0", "limit=1001", "after=x", "address=x", "subjects=ada"] {
        assert_eq!(operator.get(&format!("/v1/connections?{wrong}")).problem().0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_client_that_is_sent_away_comes_back_unless_it_is_told_otherwise() {
    let (hub, mut operator) = hub(&["--dev"], &[]);
    let options = Options { agent: "canoe/1".into(), ..Options::default() };
    let client = Client::connect(&hub.url(), options).unwrap();
    let mut live = client.subscribe::<u32>("t", SubscribeOptions::default());
    client.publish("t", &1).await.unwrap();
    let listed = connections(&mut operator, 10, "");
    assert_eq!(
        (listed.len(), &listed[0]["agent"], &listed[0]["dialect"]),
        (1, &json!("canoe/1"), &json!("binary"))
    );
    let path = format!("/v1/connections/{}", listed[0]["id"].as_str().unwrap());
    assert_eq!(operator.ask("DELETE", &path, &[], b"").status, 204);
    let (status, code, _) = operator.ask("DELETE", &path, &[], b"").problem();
    assert_eq!((status, &*code), (404, "unknown_connection"));
    client.publish("t", &2).await.unwrap();
    let mut heard = Vec::new();
    while heard.last() != Some(&2) {
        if let Event::Message(message) = live.next().await.unwrap() {
            heard.push(message.data);
        }
    }
    assert_eq!(heard, [1, 2], "nothing is missed and nothing comes twice");
    let listed = connections(&mut operator, 10, "");
    let path = format!("/v1/connections/{}?again=false", listed[0]["id"].as_str().unwrap());
    assert_eq!(operator.ask("DELETE", &path, &[], b"").status, 204);
    client.publish("t", &3).await.unwrap_err();
    for wrong in ["/v1/connections/1-2", "/v1/connections/9-0-1", "/v1/connections/0-9-9"] {
        assert_eq!(operator.ask("DELETE", wrong, &[], b"").problem().0, 404, "{wrong}");
    }
    assert_eq!(operator.ask("DELETE", "/v1/connections/0-0-1?again=1", &[], b"").problem().0, 400);
    assert_eq!(operator.ask("PUT", "/v1/connections", &[], b"").problem().0, 405);
    assert_eq!(Http::to(hub.address).get("/v1/connections").problem().0, 404, "nothing of it is public");
}

#[test]
fn stats_are_the_metrics_in_json() {
    let (hub, mut operator) = hub(&["--dev"], &[]);
    let _client = RawSocket::signed_in(hub.address);
    let mut stats = json!({});
    // What the process has, and what was sent last, may change between the two.
    eventually("they say the same", || {
        stats = operator.get("/v1/stats").ok();
        let page = operator.get("/metrics");
        let mut samples = page.text().lines().filter(|line| !line.starts_with('#'));
        samples.all(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let (name, label) = name.split_once('{').unwrap_or((name, ""));
            let label = label.split('"').nth(1);
            let told = label.map_or(&stats[name], |label| &stats[name][label]);
            assert!(told.is_u64(), "{line}: {told}");
            told.as_u64() == value.parse().ok()
        })
    });
    let numbers = stats.as_object().unwrap().values().filter(|value| value.is_u64());
    assert!(numbers.count() > 10 && stats["tidewire_connections"] == 1, "{stats}");
    assert_eq!(Http::to(hub.address).get("/v1/stats").problem().0, 404, "nothing of it is public");
}
