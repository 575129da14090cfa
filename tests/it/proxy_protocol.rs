//! PROXY headers: whose a connection is, from those who may say so, before anything else; and what else comes there.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::command_line::succeed;
use crate::support::eventually;
use crate::support::file::{File, OPEN};
use crate::support::hub::{Hub, tidewire};
use crate::support::neighbour::Neighbour;
use crate::support::port::Port;
use crate::support::secured::Secured;
use crate::support::socket::{RawSocket, handshake};

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 8));
/// Itself trusted, before the proxy.
const CDN: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
const TRUSTED: &str = "trusted_proxies = [\"127.0.0.8\", \"198.51.100.1\"]\nproxy_protocol = true\n";

fn start(limits: &str) -> (Hub, File) {
    let file = File::new(&format!("{TRUSTED}{OPEN}[limits]\n{limits}"));
    (Hub::start(&["--config", file.path()], &[]), file)
}

/// A header of version 1.
fn line(client: IpAddr) -> Vec<u8> {
    let (kind, hub) = match client {
        IpAddr::V4(_) => ("TCP4", IpAddr::V4(Ipv4Addr::LOCALHOST)),
        IpAddr::V6(_) => ("TCP6", IpAddr::V6(Ipv6Addr::LOCALHOST)),
    };
    format!("PROXY {kind} {client} {hub} 51000 7700\r\n").into_bytes()
}

/// A header of version 2, with something behind the addresses.
fn binary(client: IpAddr) -> Vec<u8> {
    let (kind, address) = match client {
        IpAddr::V4(address) => (0x11, address.octets().to_vec()),
        IpAddr::V6(address) => (0x21, address.octets().to_vec()),
    };
    let body = [&address[..], &address, &[0xc7, 0x38, 0x1e, 0x14], &[4, 0, 200], &[0; 200]].concat();
    binary_of(0x21, kind, &body)
}

fn binary_of(command: u8, kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[command, kind], &length, body].concat()
}

/// Shakes hands behind a header, in one go; whether that is let in.
fn enter(hub: &Hub, header: &[u8], lines: &str) -> (bool, RawSocket) {
    let mut socket = RawSocket::connect_from(PROXY, hub.address);
    socket.send(&[header, handshake(lines).as_bytes()].concat());
    let head = socket.ask("");
    assert!(head.starts_with("HTTP/1.1 101 ") || head.starts_with("HTTP/1.1 503 "), "{head}");
    (head.starts_with("HTTP/1.1 101 "), socket)
}

fn refused(hub: &Hub) -> u64 {
    hub.metric("tidewire_handshakes_refused_total{reason=\"proxy_header\"}")
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn each_client_that_a_header_names_counts_as_itself() {
    let (hub, _file) = start("connections_per_address_max = 1\nsign_in_ms = 60000\n");
    let mut inside = Vec::new();
    for (first, then, client) in [
        (line as fn(IpAddr) -> Vec<u8>, binary as fn(IpAddr) -> Vec<u8>, "203.0.113.1"),
        (binary, line, "203.0.113.2"),
        (line, binary, "2001:db8::1"),
        (binary, line, "2001:db8:0:1::1"),
    ] {
        let (is_in, socket) = enter(&hub, &first(address(client)), "");
        assert!(is_in, "{client}");
        inside.push(socket);
        assert!(!enter(&hub, &then(address(client)), "").0, "{client}");
    }
    hub.says("refused (address_full): 203.0.113.1: ");
    assert_eq!(refused(&hub), 0);
}

#[test]
fn requests_are_believed_about_others_only_by_proxies_before_the_proxy() {
    let (hub, _file) = start("connections_per_address_max = 1\nsign_in_ms = 60000\n");
    let from = |header: &[u8], whom: &str| enter(&hub, header, &format!("x-forwarded-for: {whom}\r\n"));
    // A client says what it likes.
    let (is_in, _one) = from(&line(address("203.0.113.1")), "203.0.113.99");
    assert!(is_in && !from(&binary(address("203.0.113.1")), "203.0.113.98").0);
    let (is_in, _two) = from(&line(CDN), "203.0.113.2");
    let (is_in_too, _three) = from(&binary(CDN), "203.0.113.3");
    assert!(is_in && is_in_too && !from(&line(CDN), "203.0.113.2").0);
    // Whoever has no address is the proxy, whatever a request says.
    let (is_in, _nobody) = from(b"PROXY UNKNOWN\r\n", "203.0.113.4");
    assert!(is_in);
    for nobody in [
        b"PROXY UNKNOWN ffff:f...f:ffff 1 2 3\r\n".to_vec(),
        binary_of(0x20, 0, b""),
        binary_of(0x20, 0x11, &[203, 0, 113, 5, 127, 0, 0, 1, 0, 1, 0, 2]),
        binary_of(0x21, 0, b"anything"),
        binary_of(0x21, 0x31, &[b'/'; 216]),
    ] {
        assert!(!from(&nobody, "203.0.113.6").0, "{nobody:?}");
    }
}

#[test]
fn a_header_may_come_in_pieces_and_with_what_follows() {
    let (hub, _file) = start("connections_per_address_max = 1\nsign_in_ms = 60000\n");
    for (header, client) in
        [(line as fn(IpAddr) -> Vec<u8>, "203.0.113.1"), (binary as fn(IpAddr) -> Vec<u8>, "203.0.113.2")]
    {
        let mut socket = RawSocket::connect_from(PROXY, hub.address);
        header(address(client)).chunks(1).for_each(|byte| socket.send(byte));
        let mut socket = socket.upgraded();
        assert!(!enter(&hub, &header(address(client)), "").0, "{client}");
        socket.hang_up();
        socket.rest();
    }
    // Further requests of the connection need none.
    let mut http = RawSocket::connect_from(PROXY, hub.address);
    http.send(&line(address("203.0.113.3")));
    for _ in 0..3 {
        let head = http.ask("GET /healthz HTTP/1.1\r\nhost: hub\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        http.body(
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap(),
        );
    }
}

#[test]
fn too_many_that_speak_http_from_one_named_client_are_told_so_and_others_go_on() {
    let (hub, _file) = start("handshakes_per_address_max = 2\nhandshake_ms = 60000\nhttp_ms = 60000\n");
    let named = |client: &str| {
        let mut socket = RawSocket::connect_from(PROXY, hub.address);
        socket.send(&line(address(client)));
        socket
    };
    let _three = [(); 3].map(|()| named("203.0.113.1"));
    let refused = || hub.metric("tidewire_handshakes_refused_total{reason=\"address_handshakes\"}");
    // Which of them that is nobody knows, but that two are in by then.
    eventually("one is one too many", || refused() == 1);
    assert!(named("203.0.113.1").ask("").starts_with("HTTP/1.1 503 "));
    assert!(enter(&hub, &line(address("203.0.113.2")), "").0);
    let said = "refused (address_handshakes): 203.0.113.1: too many";
    hub.says(said);
}

#[test]
fn whoever_is_to_begin_with_a_header_and_does_not_is_let_go() {
    let (hub, _file) = start("handshake_ms = 400\nhandshakes_max = 40\n");
    let neighbour = Neighbour::of(&hub);
    let mut socket = RawSocket::connect_from(PROXY, hub.address);
    let head = socket.ask("GET /healthz HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 400 ") && head.contains("connection: close"), "{head}");
    assert_eq!(socket.rest(), b"whoever is in `trusted_proxies` begins with a PROXY header here\n");
    let wrong = [
        b"PROXY TCP4 203.0.113.1 127.0.0.1 1\r\n".to_vec(),
        b"PROXY UNKNOWN ".repeat(8),
        binary_of(0x21, 0x12, &[0; 12]),
        binary_of(0x21, 0x11, &[0; 11]),
        binary_of(0x21, 0x11, &[0; 5_000]),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
    ];
    for header in &wrong {
        let mut socket = RawSocket::connect_from(PROXY, hub.address);
        socket.send(&[&header[..], handshake("").as_bytes()].concat());
        let answer = socket.rest();
        assert!(!answer.starts_with(b"HTTP/1.1 101 "), "{header:?}");
    }
    eventually("all are counted", || refused(&hub) == 1 + wrong.len() as u64);
    hub.says("refused (proxy_header): 127.0.0.8: whoever is in");
    // Half a header, or none, holds a place for as long as a handshake may take.
    for half in [&b""[..], b"PRO", b"PROXY TCP4 203.0.113.1 ", b"\r\n\r\n\0\r\nQUIT\n", &binary(CDN)[..100]] {
        let mut flood: Vec<_> = (0..60).map(|_| RawSocket::connect_from(PROXY, hub.address)).collect();
        flood.iter_mut().for_each(|socket| socket.send(half));
        assert!(flood.iter_mut().all(|socket| socket.rest().is_empty()));
    }
    eventually("their places are free again", || hub.metric("tidewire_http_connections") == 1);
    neighbour.went_on();
}

#[test]
fn a_header_from_anybody_else_is_refused() {
    let (with, _file) = start("");
    let other = File::new(&format!("trusted_proxies = [\"127.0.0.8\"]\n{OPEN}"));
    let without = Hub::start(&["--config", other.path()], &[]);
    for (hub, from) in [
        (&with, Ipv4Addr::LOCALHOST),
        (&without, Ipv4Addr::LOCALHOST),
        (&without, Ipv4Addr::new(127, 0, 0, 8)),
    ] {
        let before = refused(hub);
        for header in [line(address("203.0.113.1")), binary(address("203.0.113.1"))] {
            let mut socket = RawSocket::connect_from(from.into(), hub.address);
            socket.send(&[header, handshake("").into_bytes()].concat());
            assert!(socket.rest().is_empty());
        }
        eventually("both are counted", || refused(hub) == before + 2);
        let said = "a PROXY header, which is read from none but `trusted_proxies`, and with";
        hub.says(said);
    }
}

#[test]
fn where_tls_is_spoken_the_header_comes_before_it() {
    let secured = Secured::start_by(TRUSTED, "[limits]\nconnections_per_address_max = 1\n");
    let config = secured.authority.trusting();
    let connect = |header: &[u8]| {
        let mut socket = RawSocket::connect_from(PROXY, secured.address());
        socket.send(header);
        socket.secured(&config).map(|mut socket| (socket.ask(&handshake("")), socket))
    };
    let (head, _one) = connect(&line(address("203.0.113.1"))).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let (head, _) = connect(&binary(address("203.0.113.1"))).unwrap();
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    let (head, _two) = connect(&binary(address("203.0.113.2"))).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    // Without one from the proxy there is no TLS, nor with one from anybody else.
    assert!(connect(b"").is_err());
    let mut other = RawSocket::connect(secured.address());
    other.send(&line(address("203.0.113.1")));
    assert!(other.secured(&config).is_err());
    eventually("both are counted", || refused(&secured.hub) == 2);
}

#[test]
fn check_says_from_whom_headers_are_read() {
    let check = |toml: &str, env: &[(&str, &str)]| {
        let file = File::new(toml);
        let mut check = tidewire("check");
        let output = check.args(["--config", file.path()]).envs(env.iter().copied()).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let said = check(&format!("{TRUSTED}{OPEN}"), &[]);
    assert!(said.contains("pass on, by the PROXY header that they begin with: 127.0.0.8/32, "), "{said}");
    let said = check(&format!("proxy_protocol = true\n{OPEN}"), &[]);
    assert!(
        said.contains("warning: line 1: `proxy_protocol` is true: a PROXY header is read from"),
        "{said}"
    );
    let said = check(OPEN, &[("TIDEWIRE_PROXY_PROTOCOL", "yes")]);
    assert!(said.contains("`TIDEWIRE_PROXY_PROTOCOL` is \"yes\"; allowed: true or false"), "{said}");
    let said = check(&format!("proxy_protocol = 2\n{OPEN}"), &[]);
    assert!(said.contains("`proxy_protocol` is 2; allowed: true or false"), "{said}");
}

/// haproxy with the recipe of the documentation.
struct Haproxy {
    process: Child,
    config: PathBuf,
    port: Port,
}

impl Haproxy {
    /// It is the proxy of the tests, and says whose each connection is by this word of its own.
    fn before(hub: &Hub, program: &str, word: &str) -> Self {
        let page = include_str!("../../docs/CONFIGURATION.md");
        let mut recipe = page.split_once("```haproxy\n").unwrap().1.split_once("```").unwrap().0.to_owned();
        let port = Port::keep();
        let hub = format!("{} source 127.0.0.8 ", hub.address);
        for (written, here) in [
            ("bind :443", format!("bind {}", port.address())),
            ("127.0.0.1:7700 ", hub),
            ("send-proxy-v2", word.to_owned()),
        ] {
            assert!(recipe.contains(written), "{written} is not in the recipe");
            recipe = recipe.replace(written, &here);
        }
        let name = format!("tidewire-haproxy-{}-{word}.cfg", std::process::id());
        let config = std::env::temp_dir().join(name);
        fs::write(&config, recipe).unwrap();
        let process = Command::new(program).arg("-db").arg("-f").arg(&config).stdout(Stdio::null()).spawn();
        let mut proxy = Self { process: process.unwrap(), config, port };
        eventually("haproxy listens", || {
            let ended = proxy.process.try_wait().unwrap();
            assert!(ended.is_none(), "haproxy ended: {ended:?}");
            TcpStream::connect(proxy.port.address()).is_ok()
        });
        proxy
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.config);
    }
}

/// The program that the environment names, which then has to be there, or the one that the system has.
fn haproxy() -> Option<String> {
    if let Ok(path) = std::env::var("TIDEWIRE_HAPROXY") {
        return Some(path);
    }
    let found = ["/usr/sbin/haproxy", "/usr/bin/haproxy", "/usr/local/sbin/haproxy"];
    found.into_iter().find(|path| fs::exists(path).unwrap_or(false)).map(str::to_owned)
}

#[test]
fn clients_speak_through_haproxy_as_documented() {
    let Some(program) = haproxy() else {
        eprintln!("haproxy is not installed: the documented recipe is not tried");
        return;
    };
    let limits = "heartbeat_ms = 1000\nconnections_per_address_max = 1\nsign_in_ms = 60000\n";
    let (hub, _file) = start(limits);
    for (at, word) in ["send-proxy-v2", "send-proxy"].into_iter().enumerate() {
        let proxy = Haproxy::before(&hub, &program, word);
        let to = proxy.port.address();
        let url = format!("http://{to}");
        succeed(&tidewire("pub").args(["t", "\"x\"", "--url", &url]).output().unwrap());
        let enter = |from: u8| {
            let mut socket = RawSocket::connect_from([127, 0, 0, from].into(), to);
            (socket.ask(&handshake("")).starts_with("HTTP/1.1 101 "), socket)
        };
        // Each client counts by its own address, though all come from the proxy's.
        let from = 20 + 2 * at as u8;
        let inside = [enter(from), enter(from + 1)];
        assert!(inside.iter().all(|(is_in, _)| *is_in), "{word}");
        assert!(!enter(from).0 && !enter(from + 1).0, "{word}");
    }
    assert_eq!(refused(&hub), 0, "{}", hub.errors());
}
