//! The recipe for nginx in `docs/CONFIGURATION.md`, run as it stands but for addresses and paths: TLS ends there, and
//! the native client of the command line publishes and subscribes through it.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::support::eventually;
use crate::support::file::{File, OPEN, SocketPath};
use crate::support::hub::{Hub, tidewire};
use crate::support::listener::{Listener, request};
use crate::support::port::Port;
use crate::support::socket::{RawSocket, handshake};

/// nginx with the recipe, in a folder of its own.
struct Nginx {
    process: Child,
    folder: PathBuf,
    port: u16,
    _kept: Port,
}

impl Nginx {
    /// Before a hub at this address, as nginx writes it.
    fn before(hub: &str, program: &Path) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("tidewire-nginx-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        make_certificate(&folder);
        let kept = Port::keep();
        let port = kept.address().port();
        let path = folder.display();
        let mut recipe = recipe();
        for (written, here) in [
            ("listen 443 ssl;", format!("listen 127.0.0.1:{port} ssl;")),
            ("/etc/ssl/app.example.com", format!("{path}/app.example.com")),
            ("http://127.0.0.1:7700/", format!("http://{hub}/")),
        ] {
            assert!(recipe.contains(written), "{written} is not in the recipe");
            recipe = recipe.replace(written, &here);
        }
        let config = format!(
            "daemon off;\nmaster_process off;\nerror_log stderr;\npid {path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n\
             client_body_temp_path {path}/body;\nproxy_temp_path {path}/proxy;\nfastcgi_temp_path {path}/fastcgi;\n\
             uwsgi_temp_path {path}/uwsgi;\nscgi_temp_path {path}/scgi;\n{recipe}}}\n"
        );
        fs::write(folder.join("nginx.conf"), config).unwrap();
        let mut command = Command::new(program);
        command.arg("-p").arg(&folder).arg("-c").arg(folder.join("nginx.conf"));
        let process = command.spawn().unwrap();
        let mut nginx = Self { process, folder, port, _kept: kept };
        eventually("nginx listens", || {
            let ended = nginx.process.try_wait().unwrap();
            assert!(ended.is_none(), "nginx ended: {ended:?}");
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        nginx
    }

    /// An address without TLS that leads to nginx with TLS, from an address of this machine that counts as another's.
    fn without_tls(&self, from: &'static str) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (to, certificate) = (format!("127.0.0.1:{}", self.port), self.folder.join("app.example.com.pem"));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut tls = Command::new("openssl");
                tls.args(["s_client", "-quiet", "-verify_return_error", "-servername", "app.example.com"]);
                tls.args(["-connect", &to, "-bind", &format!("{from}:0"), "-CAfile"]).arg(&certificate);
                let tls =
                    tls.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
                join(stream, tls);
            }
        });
        address
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The snippet in the documentation.
fn recipe() -> String {
    let page = include_str!("../../docs/CONFIGURATION.md");
    page.split_once("```nginx\n").unwrap().1.split_once("```").unwrap().0.to_owned()
}

fn make_certificate(folder: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=app.example.com",
    ]);
    openssl.arg("-keyout").arg(folder.join("app.example.com.key"));
    openssl.arg("-out").arg(folder.join("app.example.com.pem"));
    let output = openssl.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Passes bytes between a socket and a process, both ways, until one of them ends.
fn join(stream: TcpStream, mut tls: Child) {
    let (from_tls, to_tls) = (tls.stdout.take().unwrap(), tls.stdin.take().unwrap());
    let back = stream.try_clone().unwrap();
    thread::spawn(move || {
        let _ = pass(stream, to_tls);
        let _ = tls.kill();
        let _ = tls.wait();
    });
    thread::spawn(move || {
        let ended = back.try_clone();
        let _ = pass(from_tls, back);
        let _ = ended.map(|ended| ended.shutdown(std::net::Shutdown::Both));
    });
}

/// `io::copy` would gather bytes that the other side waits for.
fn pass(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut bytes = [0; 16 << 10];
    loop {
        match from.read(&mut bytes)? {
            0 => return Ok(()),
            count => to.write_all(&bytes[..count])?,
        }
        to.flush()?;
    }
}

#[test]
fn clients_speak_through_nginx_as_documented() {
    let Some(program) = nginx() else {
        eprintln!("nginx or openssl is not installed: the documented recipe is not tried");
        return;
    };
    let config = File::new(&format!("trusted_proxies = [\"127.0.0.1\"]\n{OPEN}{LIMITS}"));
    let hub = Hub::start(&["--config", config.path()], &[]);
    let nginx = Nginx::before(&hub.address.to_string(), &program);
    speaks_through(&nginx, &hub);
}

#[test]
fn clients_speak_through_nginx_by_a_socket_in_the_file_system() {
    let Some(program) = nginx() else { return };
    let (path, operators) = (SocketPath::new(), Port::keep());
    let config = File::new(&format!("admin_listen = \"{}\"\n{OPEN}{LIMITS}", operators.address()));
    let mut hub = Hub::start(&["--config", config.path(), "--listen", &path.address()], &[]);
    hub.operators = Some(operators.address());
    // The colon parts the path of the socket from that of requests.
    let nginx = Nginx::before(&format!("{}:", path.address()), &program);
    speaks_through(&nginx, &hub);
}

const LIMITS: &str = "[limits]\nheartbeat_ms = 1000\nconnections_per_address_max = 2\n";

fn speaks_through(nginx: &Nginx, hub: &Hub) {
    let (one, two) = (nginx.without_tls("127.0.0.2"), nginx.without_tls("127.0.0.3"));
    let url = |address: SocketAddr| format!("http://{address}/realtime/v1/ws");

    let mut subscriber = tidewire("sub");
    subscriber.args(["t", "--count", "3", "--url", &url(one)]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let subscriber = subscriber.spawn().unwrap();
    eventually("the subscription stands", || hub.metric("tidewire_subscriptions") == 1);
    for text in ["one", "two", &*"3".repeat(200 << 10)] {
        let output = publish("t", text, &url(two));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let heard = subscriber.wait_with_output().unwrap();
    assert!(heard.status.success(), "{}", String::from_utf8_lossy(&heard.stderr));
    assert_eq!(heard.stdout.len(), "one\ntwo\n\n".len() + (200 << 10));

    let events = request("topic=t&from=last:1", "").replace("/v1/", "/realtime/v1/");
    let mut listener = Listener::on(RawSocket::connect(one), &events);
    assert_eq!(listener.next_of("")["text"].as_str().map(str::len), Some(200 << 10));
    publish("t", "four", &url(two));
    assert_eq!(listener.next_of("")["text"], "four");
    listener.hang_up();
    eventually("the proxy goes with its client", || hub.metric("tidewire_connections") == 0);

    // Each client counts by its own address, though all come from the proxy's.
    let enter = |address| {
        let mut socket = RawSocket::connect(address);
        let head = socket.ask(&handshake("").replace("/v1/ws", "/realtime/v1/ws"));
        (head.starts_with("HTTP/1.1 101 "), socket, head)
    };
    let inside = [enter(one), enter(one), enter(two), enter(two)];
    assert!(inside.iter().all(|(is_in, ..)| *is_in), "{:?}", inside.map(|(.., head)| head));
    assert!(!enter(one).0 && !enter(two).0);
    for outside in ["/metrics", "/healthz", "/realtime/metrics"] {
        assert!(!Hub::get_at(one, outside).starts_with("HTTP/1.1 200 "), "{outside}");
    }
}

/// Publishes a line, which may be too long for an argument.
fn publish(topic: &str, text: &str, url: &str) -> std::process::Output {
    let mut publisher = tidewire("pub");
    publisher.args([topic, "-", "--content", "text", "--url", url]);
    let mut publisher = publisher.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    publisher.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    publisher.wait_with_output().unwrap()
}

/// The program that the environment names, which then has to be there, or the one that the system has.
fn nginx() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("TIDEWIRE_NGINX") {
        return Some(path.into());
    }
    let is_there = |program: &str| Command::new(program).arg("version").output().is_ok();
    let found = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"].map(PathBuf::from);
    found.into_iter().find(|path| path.exists()).filter(|_| is_there("openssl"))
}
