//! A hub at a socket in the file system: who comes there, and what becomes of the file.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::process::Output;

use serde_json::json;

use crate::support::eventually;
use crate::support::file::{File, OPEN, SocketPath};
use crate::support::hub::{Hub, tidewire};
use crate::support::listener::{Listener, request};
use crate::support::port::Port;
use crate::support::secured::Authority;
use crate::support::socket::{RawSocket, handshake};

/// A hub at a socket, with another address for its operators.
struct Local {
    hub: Hub,
    path: SocketPath,
    _file: File,
    _operators: Port,
}

impl Local {
    fn start(keys: &str, tables: &str) -> Self {
        Self::at(SocketPath::new(), keys, tables)
    }

    fn at(path: SocketPath, keys: &str, tables: &str) -> Self {
        let operators = Port::keep();
        let metrics = format!("admin_listen = \"{}\"\n", operators.address());
        let file = File::new(&format!("{metrics}{keys}{OPEN}{tables}"));
        let mut hub = Hub::start(&["--config", file.path(), "--listen", &path.address()], &[]);
        hub.operators = Some(operators.address());
        Self { hub, path, _file: file, _operators: operators }
    }

    fn connect(&self) -> RawSocket {
        RawSocket::at_file(self.path.path())
    }

    /// Shakes hands behind these bytes; whether that is let in.
    fn enter(&self, header: &[u8], lines: &str) -> (bool, RawSocket) {
        let mut socket = self.connect();
        socket.send(&[header, handshake(lines).as_bytes()].concat());
        let head = socket.ask("");
        assert!(head.starts_with("HTTP/1.1 101 ") || head.starts_with("HTTP/1.1 503 "), "{head}");
        (head.starts_with("HTTP/1.1 101 "), socket)
    }
}

/// What a hub says that does not start at an address.
fn fails_at(address: &str) -> String {
    let Output { status, stderr, .. } = tidewire("serve").args(["--listen", address]).output().unwrap();
    assert_eq!(status.code(), Some(1));
    String::from_utf8(stderr).unwrap()
}

#[test]
fn messages_of_all_sizes_come_and_slow_readers_lose_nothing() {
    let local = Local::start("", "[[topics]]\npattern = \"t\"\nretention = { bytes = 67108864 }\n");
    let mut subscriber = local.connect().upgraded().sign_in();
    subscriber.say(json!({"type": "subscribe", "request": 1, "name": "t"}));
    subscriber.hear_of("subscribed");
    let mut publisher = local.connect().upgraded().sign_in();
    publisher.say(json!({"type": "open", "handle": 1, "topic": "t", "lowest": 1}));
    publisher.hear_of("opened");
    let text = "x".repeat(60_000);
    for seq in 1..=200 {
        let text = &text[..seq * 300];
        publisher.say(json!({"type": "publish", "handle": 1, "seq": seq, "lowest": seq, "text": text}));
        publisher.hear_of("acked");
    }
    let mut seq = 0;
    while seq < 200 {
        for message in subscriber.hear_of("block")["messages"].as_array().unwrap() {
            seq += 1;
            assert_eq!(message["text"].as_str().unwrap().len(), seq * 300);
        }
    }
    let mut wrong = local.connect().upgraded();
    wrong.say(json!([1]));
    assert!(wrong.close_code().is_some_and(|code| code >= 4_000), "the last word comes");
    let mut listener = Listener::on(local.connect(), &request("topic=t", ""));
    assert!(listener.head.starts_with("HTTP/1.1 200 "), "{}", listener.head);
    // The head may be there before it is known where the stream begins.
    assert_eq!(listener.next().unwrap().name, "subscribed");
    let mut http = local.connect();
    let post = "POST /v1/topics/t/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let head = http.ask(&format!("{post}content-length: 1\r\n\r\n1"));
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(subscriber.hear_of("block")["messages"][0]["data"], 1);
    while listener.next().unwrap().data["data"] != 1 {}
    assert!(!local.hub.errors().contains("bounded"), "{}", local.hub.errors());
}

#[test]
fn whoever_connects_is_believed_as_a_proxy_and_all_others_are_one() {
    let limits =
        "[limits]\nconnections_per_address_max = 1\nhandshakes_per_address_max = 1\nsign_in_ms = 60000\n";
    let local = Local::start("", limits);
    let forwarded = |whom: &str| local.enter(b"", &format!("x-forwarded-for: {whom}\r\n"));
    let (one, two) = (forwarded("203.0.113.1"), forwarded("203.0.113.2"));
    assert!(one.0 && two.0 && !forwarded("203.0.113.9, 203.0.113.1").0);
    let nobody = local.enter(b"", "");
    assert!(nobody.0 && !local.enter(b"", "").0);
    assert!(!forwarded("unknown").0);
    let errors = || local.hub.errors();
    eventually("the log names the client", || errors().contains("refused (address_full): 203.0.113.1: "));
    let _silent: Vec<_> = (0..20).map(|_| local.connect()).collect();
    assert!(forwarded("203.0.113.3").0);
    // The first of a reason is told at once.
    local.connect().ask(&handshake("").replace("/v1/ws", "/elsewhere"));
    eventually("the log names nobody", || errors().contains("refused (path): a unix socket: "));
}

#[test]
fn with_headers_of_its_own_the_proxy_names_clients() {
    let limits = "[limits]\nconnections_per_address_max = 1\nsign_in_ms = 60000\n";
    let local = Local::start("proxy_protocol = true\n", limits);
    let named = |client: &str| {
        let header = format!("PROXY TCP4 {client} 127.0.0.1 51000 7700\r\n");
        // Clients write there what they like.
        local.enter(header.as_bytes(), "x-forwarded-for: 203.0.113.77\r\n")
    };
    let (one, two) = (named("203.0.113.1"), named("203.0.113.2"));
    assert!(one.0 && two.0 && !named("203.0.113.1").0);
    let nobody = local.enter(b"PROXY UNKNOWN\r\n", "");
    assert!(nobody.0 && !local.enter(b"PROXY UNKNOWN\r\n", "x-forwarded-for: 203.0.113.3\r\n").0);
    let head = local.connect().ask("GET /healthz HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert_eq!(local.hub.metric("tidewire_handshakes_refused_total{reason=\"proxy_header\"}"), 1);
}

#[test]
fn tls_is_spoken_there_too() {
    let authority = Authority::new();
    let issued = authority.issue_local();
    let (certificate, key) = (File::new(&issued.certificate), File::new(&issued.key));
    let tls = format!("[tls]\ncertificate = {:?}\nkey = {:?}\n", certificate.path(), key.path());
    let local = Local::start("", &tls);
    let socket =
        local.connect().secured_as("127.0.0.1".parse::<IpAddr>().unwrap(), &authority.trusting()).unwrap();
    socket.upgraded().sign_in();
    let head = local.connect().ask("GET /healthz HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
}

#[test]
fn the_file_goes_with_its_hub_and_one_that_is_left_is_replaced() {
    let mut local = Local::start("socket_mode = \"0600\"\n", "");
    let mode = fs::metadata(local.path.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // As long as somebody answers, it is that one's.
    let said = fails_at(&local.path.address());
    assert!(said.contains("cannot listen on unix:/") && said.contains("somebody answers there"), "{said}");
    local.enter(b"", "").1.sign_in();
    local.hub.signal("KILL");
    local.hub.wait();
    assert!(local.path.path().exists());
    let mut next = Local::at(local.path, "", "");
    let mode = fs::metadata(next.path.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    next.enter(b"", "").1.sign_in();
    next.hub.signal("TERM");
    assert!(next.hub.wait().success());
    assert!(!next.path.path().exists());
}

#[test]
fn what_is_no_socket_or_another_ones_is_left_alone() {
    let file = File::new("of somebody");
    let said = fails_at(&format!("unix:{}", file.path()));
    assert!(said.contains("no socket, and is left alone"), "{said}");
    assert_eq!(fs::read_to_string(file.path()).unwrap(), "of somebody");
    let said = fails_at("unix:/no/such/folder/hub.sock");
    assert!(
        said.contains("cannot listen on unix:/no/such/folder/hub.sock") && said.contains("No such"),
        "{said}"
    );
    // Somebody takes the name while the hub runs.
    let mut local = Local::start("", "");
    fs::remove_file(local.path.path()).unwrap();
    let other = UnixListener::bind(local.path.path()).unwrap();
    local.hub.signal("TERM");
    assert!(local.hub.wait().success());
    assert!(local.path.path().exists());
    drop(other);
}

#[test]
fn operators_may_have_one_too() {
    let path = SocketPath::new();
    let file = File::new(&format!("admin_listen = \"{}\"\n{OPEN}", path.address()));
    let hub = Hub::start(&["--config", file.path()], &[]);
    let ask = |request: &str| RawSocket::at_file(path.path()).ask(request);
    assert!(ask("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").starts_with("HTTP/1.1 200 "));
    let said = format!("operators ask at {}", path.address());
    hub.says(&said);
}

#[test]
fn check_names_what_is_wrong_with_a_path_or_a_mode() {
    let check = |toml: &str| {
        let file = File::new(toml);
        let output = tidewire("check").args(["--config", file.path()]).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), said)
    };
    let long = format!("unix:/{}", "x".repeat(107));
    for path in ["unix:", "unix:hub.sock", "unix:./hub.sock", &long] {
        let (is_right, said) = check(&format!("listen = \"{path}\"\n{OPEN}"));
        assert!(!is_right && said.contains("allowed: unix: and a path from / on, like"), "{said}");
    }
    for mode in ["\"0888\"", "\"rw\"", "\"1777\"", "\"+60\"", "\"\"", "\"00660\""] {
        let (is_right, said) = check(&format!("socket_mode = {mode}\nlisten = \"unix:/run/hub.sock\"\n"));
        assert!(!is_right && said.contains(&format!("`socket_mode` is {mode}; allowed: ")), "{said}");
    }
    let both = "listen = \"unix:/run/hub.sock\"\nadmin_listen = \"unix:/run/hub.sock\"\n";
    let (is_right, said) = check(both);
    assert!(!is_right && said.contains("another address than `listen`, unix:/run/hub.sock"), "{said}");
    let (is_right, said) = check(&format!("socket_mode = \"0600\"\n{OPEN}"));
    assert!(
        is_right && said.contains("warning: line 1: `socket_mode` is \"0600\": the hub makes no"),
        "{said}"
    );
    let (is_right, said) = check(&format!(
        "listen = \"unix:/run/hub.sock\"\nproxy_protocol = true\nsocket_mode = \"660\"\n{OPEN}"
    ));
    assert!(
        is_right && !said.contains("warning: ") && said.contains("clients connect to unix:/run/hub.sock"),
        "{said}"
    );
    assert!(said.contains("the proxy at the socket"), "{said}");
    let (is_right, said) = check("listen = \"127.0.0.1\"");
    assert!(!is_right && said.contains("or unix:/PATH"), "{said}");
}
