//! What operators meet: starts and stops, what the hub says of itself, and what it tells of those that it refuses.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::ffi::OsStringExt as _;
use std::process::Command;

use serde_json::json;

use crate::support::eventually;
use crate::support::file::{File, OPEN};
use crate::support::hub::{Hub, tidewire};
use crate::support::socket::{RawSocket, handshake};

/// Runs `check`; its exit code and all that it says.
fn check(toml: &str) -> (Option<i32>, String) {
    let file = File::new(toml);
    let output = tidewire("check").args(["--config", file.path()]).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

fn enter(hub: &Hub, from: u8, lines: &str) -> (RawSocket, String) {
    let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, from));
    let mut socket = RawSocket::connect_from(from, hub.address);
    let head = socket.ask(&handshake(lines));
    (socket, head)
}

#[test]
fn check_says_who_may_do_what_and_warns() {
    let (code, said) = check(
        "origins = [\"https://*.example.com\"]\nadmin_listen = \"127.0.0.1:7701\"\n\
         [[access]]\npattern = \"a.secret\"\n\
         [[access]]\npattern = \"a.>\"\nsubscribe = true\nanonymous = true\n\
         [[access]]\npattern = \"chat/#\"\npublish = true\nanonymous = true\n\
         [limits]\nheartbeat_ms = 9000\n",
    );
    assert_eq!(code, Some(0), "{said}");
    for line in [
        "the configuration is right; a hub would listen on 127.0.0.1:7700",
        "operators ask at 127.0.0.1:7701",
        "pages that may connect: https://*.example.com",
        "  a.secret       nobody does anything",
        "  a.>            everybody subscribes; nobody publishes",
        "  anything else  nobody does anything",
        "  heartbeat_ms = 9000 instead of 25000",
    ] {
        assert!(said.lines().any(|said| said == line), "{line:?} is not in\n{said}");
    }
    assert!(said.contains("warning: ") && said.contains("did you mean `chat.>`?"), "{said}");
    let braces = "[[access]]\npattern = \"of.{user}.{sub}\"\nsubscribe = true\n";
    let (_, said) = check(braces);
    assert!(said.contains("line 2: ") && said.contains("only `{sub}` stands for something"), "{said}");
    assert!(!check(&braces.replace("user", "sub")).1.contains("only `{sub}`"));
    let (code, said) = check("shard = 1\n[limits]\nheartbeat_ms = 1\n");
    assert_eq!((code, said.lines().count()), (Some(1), 2), "{said}");
}

#[test]
fn the_pages_own_example_is_right_and_warned_of_where_it_denies_a_part() {
    let page = include_str!("../../docs/CONFIGURATION.md");
    let (_, example) = page.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let (code, said) = check(example);
    let line = 1 + example.lines().position(|line| line.contains("\"public.secret.>\"")).unwrap();
    let part =
        format!("`public.>` cannot be subscribed to as a whole, because line {line} denies a part of it");
    assert!(code == Some(0) && said.contains(&part), "{said}");
    assert_eq!(said.matches("warning: ").count(), 1, "{said}");
    let (code, said) = check("listen = \"0.0.0.0:7850\"\nadmin_listen = \"127.0.0.1:7850\"\n");
    assert!(code == Some(1) && said.contains("line 2: `admin_listen`"), "{said}");
    let (code, said) = check("[limits]\nwindows_max = 9\n");
    assert!(code == Some(1) && said.contains("`limits.windows_bytes_max`"), "{said}");
}

#[test]
fn what_a_rule_denies_stays_denied() {
    let file = File::new(
        "allow_no_origin = true\n\
         [[access]]\npattern = \"public.secret.>\"\nsubscribe = false\n\
         [[access]]\npattern = \"public.>\"\nsubscribe = true\npublish = true\nanonymous = true\n",
    );
    let hub = Hub::start(&["--config", file.path()], &[]);
    let mut socket = RawSocket::signed_in(hub.address);
    for (name, right) in [
        ("public.news", "subscribed"),
        ("public.secret.pay", "failed"),
        ("public.>", "failed"),
        ("public.*.pay", "failed"),
    ] {
        socket.say(json!({"type": "subscribe", "request": 1, "name": name}));
        let heard = socket.hear();
        assert_eq!(heard["type"], right, "{name}: {heard}");
    }
    socket.say(json!({"type": "open", "handle": 1, "topic": "public.secret.pay", "lowest": 1}));
    assert_eq!(socket.hear()["code"], "forbidden");
}

#[test]
fn variables_that_are_not_ours_may_hold_anything() {
    let bytes = || OsString::from_vec(b"/srv/caf\xe9".to_vec());
    let output = tidewire("check").env("SOME_PATH", bytes()).env(bytes(), "x").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let output = tidewire("check").env("TIDEWIRE_PORT", "8080").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("warning: `TIDEWIRE_PORT` is \"8080\": "), "{said}");
    let hub = Hub::start_by(
        {
            let mut serve = tidewire("serve");
            serve.env("SOME_PATH", bytes());
            serve
        },
        &["--dev"],
        &[],
    );
    assert!(hub.get("/healthz").starts_with("HTTP/1.1 200 "));
    for (name, value, says) in [
        ("TIDEWIRE_ORIGINS", bytes(), "UTF-8"),
        ("TIDEWIRE_LISTNE", "127.0.0.1:1".into(), "`TIDEWIRE_LISTEN`"),
    ] {
        let output = tidewire("check").env(name, value).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains(name) && said.contains(says), "{said}");
    }
}

#[test]
fn a_failed_start_gives_the_systems_reason_once() {
    let hub = Hub::dev();
    let taken = hub.address.to_string();
    let free = "127.0.0.1:0";
    for (flags, env, reason) in [
        (["--dev", "--listen", &*taken], ("TIDEWIRE_SHARDS", "1"), "Address already in use"),
        (["--dev", "--listen", free], ("TIDEWIRE_ADMIN_LISTEN", &*taken), "Address already in use"),
        (["--dev", "--config", "/does/not/exist"], ("TIDEWIRE_SHARDS", "1"), "No such file or directory"),
    ] {
        let output = tidewire("serve").args(flags).env(env.0, env.1).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.matches(reason).count() == 1, "{said}");
    }
}

#[test]
fn refusals_reach_the_client_the_log_and_the_metrics() {
    let limits = [
        ("TIDEWIRE_ALLOW_NO_ORIGIN", "true"),
        ("TIDEWIRE_LIMITS_CONNECTIONS_MAX", "2"),
        ("TIDEWIRE_LIMITS_CONNECTIONS_PER_ADDRESS_MAX", "1"),
        ("TIDEWIRE_LIMITS_SIGN_IN_MS", "60000"),
    ];
    let open = Hub::start(&[], &limits);
    let closed = Hub::start(&[], &[]);
    let (_inside, head) = enter(&open, 2, "");
    assert!(head.starts_with("HTTP/1.1 101 "));
    let no_key = "sec-websocket-key: again\r\n";
    let steps: [(&Hub, u8, &str, &str, u16); 5] = [
        (&open, 2, "", "address_full", 503),
        (&open, 3, "origin: https://evil.test\r\n", "origin", 403),
        (&open, 3, no_key, "handshake", 400),
        (&closed, 3, "", "no_origin", 403),
        (&closed, 3, "origin: http://x y\r\n", "origin", 403),
    ];
    for (hub, from, lines, reason, status) in steps {
        let name = format!("tidewire_handshakes_refused_total{{reason=\"{reason}\"}}");
        let before = hub.metric(&name);
        let (mut socket, head) = enter(hub, from, lines);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{reason}: {head}");
        assert_eq!(hub.metric(&name), before + 1, "{reason}");
        eventually("the log has it", || {
            hub.errors().contains(&format!("refused ({reason}): 127.0.0.{from}: "))
        });
        if status == 403 {
            let body = String::from_utf8_lossy(&socket.rest()).into_owned();
            assert!(body.contains("`origins`") && body.contains("`allow_no_origin = true`"), "{body}");
        }
    }
    open.says("https://evil.test");
    assert!(!closed.errors().contains("http://x"));
    let (_second, head) = enter(&open, 4, "");
    assert!(head.starts_with("HTTP/1.1 101 "));
    assert!(enter(&open, 5, "").1.starts_with("HTTP/1.1 503 "));
    open.says("refused (full): 127.0.0.5: ");
    let errors = open.errors();
    for (reason, limit) in [
        ("full", "there are 2: raise `limits.connections_max`"),
        ("address_full", "there are 1: raise `limits.connections_per_address_max`"),
    ] {
        let line = errors.lines().find(|line| line.contains(&format!("refused ({reason}): "))).unwrap();
        assert!(line.contains(limit), "{line}");
    }
}

#[test]
fn who_is_turned_down_after_the_handshake_is_told_with_the_limits_that_did_it() {
    let file = File::new(
        "allow_no_origin = true\n\
         [[access]]\npattern = \"a.>\"\nsubscribe = true\npublish = true\nanonymous = true\n\
         [limits]\nsubscriptions_max = 1\nmessage_bytes_max = 10\n",
    );
    let hub = Hub::start(&["--config", file.path()], &[]);
    let mut client = RawSocket::signed_in(hub.address);
    for name in ["b", "b", "a.b", "a.c"] {
        client.say(json!({ "type": "subscribe", "request": 1, "name": name }));
        client.hear();
    }
    client.say(json!({ "type": "open", "handle": 1, "topic": "a.x", "lowest": 1 }));
    client.hear();
    client.say(json!({ "type": "publish", "handle": 1, "seq": 1, "text": "x".repeat(11) }));
    client.hear();
    hub.signal("TERM");
    for line in [
        "since the last line 2 answers said forbidden (`[[access]]`); metrics: tidewire_refused_total{code=\"forbidden\"}",
        "since the last line 1 answer said limit_reached (`limits.handles_max`, `limits.subscriptions_max`, ",
        "since the last line 1 answer said too_large (`limits.message_bytes_max`); ",
    ] {
        hub.says(line);
    }
}

#[test]
fn a_flood_of_refusals_is_no_flood_of_lines() {
    let hub = Hub::start(&[], &[]);
    for n in 0..200 {
        enter(&hub, if n % 10 == 0 { 2 } else { 1 }, "");
    }
    assert_eq!(hub.metric("tidewire_handshakes_refused_total{reason=\"no_origin\"}"), 200);
    hub.signal("TERM");
    hub.says("more since the last line: ");
    hub.says(" from 127.0.0.1, ");
    assert!(hub.errors().matches("refused (no_origin)").count() < 10, "{}", hub.errors());
}

#[test]
fn a_handshake_at_a_wrong_path_is_told_the_right_one() {
    let hub = Hub::dev();
    let mut socket = RawSocket::connect(hub.address);
    let elsewhere = handshake("").replace("/v1/ws", "/rt/v1/ws");
    let head = socket.ask(&elsewhere.replace("upgrade: websocket", "upgrade: h2c, WebSocket"));
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    assert!(String::from_utf8(socket.rest()).unwrap().contains("it is /v1/ws"));
    assert_eq!(hub.metric("tidewire_handshakes_refused_total{reason=\"path\"}"), 1);
    hub.says("refused (path): 127.0.0.1: nothing speaks");
    hub.says("; it asked for \"/rt/v1/ws\"\n");
}

/// A hub that may open so many files.
fn with_files(count: usize, flags: &[&str]) -> Hub {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {count}; exec \"$@\""), "sh"]);
    let serve = tidewire("serve");
    limited.arg(serve.get_program()).args(serve.get_args());
    Hub::start_by(limited, flags, &[])
}

#[test]
fn few_open_files_are_told_and_leave_health_reachable() {
    const FILES: usize = 600;
    let file = File::new(&format!("{OPEN}[limits]\nhandshake_ms = 20000\nsign_in_ms = 60000\n"));
    let hub = with_files(FILES, &["--config", file.path()]);
    hub.says("600 open files leave room for ");
    let silent: Vec<_> =
        (0..FILES).map(|_| RawSocket::connect_from([127, 0, 0, 2].into(), hub.address)).collect();
    assert!(hub.get("/healthz").starts_with("HTTP/1.1 200 "));
    assert!(hub.metric("tidewire_handshakes_refused_total{reason=\"address_handshakes\"}") > 0);
    hub.says(": raise `limits.handshakes_per_address_max`");
    assert_eq!(hub.metric("tidewire_handshakes_refused_total{reason=\"open_files\"}"), 0);
    drop(silent);
    // As many WebSockets as there is room for, from many addresses, and health is still answered.
    let inside: Vec<_> = (0..FILES).map(|n| enter(&hub, 3 + (n % 200) as u8, "")).collect();
    assert!(inside.iter().any(|(_, head)| head.starts_with("HTTP/1.1 503 ")));
    assert!(hub.get("/healthz").starts_with("HTTP/1.1 200 "));
    assert_eq!(hub.metric("tidewire_handshakes_refused_total{reason=\"open_files\"}"), 0);
}

#[test]
fn a_trusted_proxy_says_whose_connection_it_is_and_nobody_else_does() {
    let file = File::new(&format!(
        "trusted_proxies = [\"127.0.0.8\"]\n{OPEN}[limits]\nconnections_per_address_max = 1\nhandshakes_per_address_max = 1\nsign_in_ms = 60000\n"
    ));
    let hub = Hub::start(&["--config", file.path()], &[]);
    let forwarded = |from, whom: &str| enter(&hub, from, &format!("x-forwarded-for: {whom}\r\n"));
    let is_in = |(_, head): &(RawSocket, String)| head.starts_with("HTTP/1.1 101 ");
    let one = forwarded(8, "203.0.113.1");
    let two = forwarded(8, "203.0.113.2");
    let again = forwarded(8, "203.0.113.9, 203.0.113.1");
    assert!(is_in(&one) && is_in(&two) && !is_in(&again));
    hub.says("refused (address_full): 203.0.113.1: ");
    let liar = forwarded(7, "203.0.113.3");
    let liar_again = forwarded(7, "203.0.113.4");
    assert!(is_in(&liar) && !is_in(&liar_again));
    // Many that still speak HTTP may come through the proxy.
    let _silent: Vec<_> =
        (0..20).map(|_| RawSocket::connect_from([127, 0, 0, 8].into(), hub.address)).collect();
    assert!(is_in(&forwarded(8, "203.0.113.5")));
}
