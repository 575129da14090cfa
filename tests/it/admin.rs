//! The operators' own address: what is there, what is nowhere else, and who gets no answer.

use std::time::Instant;

use crate::support::eventually;
use crate::support::file::{File, OPEN};
use crate::support::http::Http;
use crate::support::hub::{Hub, tidewire};
use crate::support::socket::RawSocket;

/// A hub with an address for operators, and one of them.
fn hub(flags: &[&str], env: &[(&str, &str)]) -> (Hub, Http) {
    let env =
        [&[("TIDEWIRE_ADMIN_LISTEN", "127.0.0.1:0"), ("TIDEWIRE_PUBLIC_METRICS", "false")], env].concat();
    let hub = Hub::start(flags, &env);
    let mut operator = Http::to(hub.admin());
    operator.host = "localhost";
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
