//! A hub whose sockets systemd opens: by what it says in variables and passes as open files, and the units of the
//! documentation.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use crate::support::PATIENCE;
use crate::support::file::{File, OPEN, SocketPath};
use crate::support::hub::{Hub, tidewire};
use crate::support::socket::{RawSocket, handshake};

/// Does what systemd does: opens sockets, or takes its standard input for one, puts them where services look for them, and
/// becomes the service.
const ACTIVATE: &str = r#"
import os, socket, sys
at = sys.argv.index("--")
names, kept = [], []
for spec in sys.argv[1:at]:
    name, kind = spec.split("=", 1)
    if kind == "stdin":
        made = socket.socket(fileno=os.dup(0))
    elif kind == "tcp":
        made = socket.create_server(("127.0.0.1", 0))
    elif kind == "udp":
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    elif kind == "deaf":
        made = socket.socket()
    else:
        made = socket.socket(socket.AF_UNIX)
        made.bind(kind)
        made.listen()
    names.append(name)
    # Out of the way of where they are to be.
    kept.append(os.dup2(made.fileno(), 100 + len(kept)))
for at_last, file in enumerate(kept, 3):
    os.dup2(file, at_last)
    os.close(file)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=":".join(names))
os.execv(sys.argv[at + 1], sys.argv[at + 1:])
"#;

/// A hub that gets these sockets, each a name and a kind.
fn activated(sockets: &[&str]) -> Command {
    let hub = tidewire("serve");
    let mut command = Command::new("python3");
    command.args(["-c", ACTIVATE]).args(sockets).arg("--").arg(hub.get_program()).args(hub.get_args());
    hub.get_envs().filter(|(_, value)| value.is_none()).for_each(|(name, _)| {
        command.env_remove(name);
    });
    command
}

fn has_python() -> bool {
    let is_there = Command::new("python3").arg("--version").output().is_ok();
    if !is_there {
        eprintln!("python3 is not installed: nothing opens sockets as systemd does");
    }
    is_there
}

#[test]
fn whoever_connects_while_the_hub_restarts_waits_for_it() {
    if !has_python() {
        return;
    }
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let file = File::new(OPEN);
    let start = || {
        let mut command = activated(&["tidewire.socket=stdin"]);
        command.stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())));
        Hub::start_by(command, &["--config", file.path(), "--listen", "systemd"], &[])
    };
    let mut early = TcpStream::connect(address).unwrap();
    early.write_all(b"GET /healthz HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\r\n").unwrap();
    let mut hub = start();
    assert_eq!(hub.address, address);
    let answer = |early: &mut TcpStream| {
        early.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = String::new();
        early.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(answer(&mut early).starts_with("HTTP/1.1 200 "));
    RawSocket::signed_in(address);
    hub.signal("TERM");
    assert!(hub.wait().success());
    let mut between = TcpStream::connect(address).unwrap();
    between.write_all(b"GET /healthz HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\r\n").unwrap();
    let _hub = start();
    assert!(answer(&mut between).starts_with("HTTP/1.1 200 "));
}

#[test]
fn sockets_are_told_apart_by_their_names() {
    if !has_python() {
        return;
    }
    for (clients, operators) in [("systemd:clients", "systemd:operators"), ("systemd", "systemd:operators")] {
        let (path, file) = (SocketPath::new(), File::new(&format!("admin_listen = \"{operators}\"\n{OPEN}")));
        let unix = format!("operators={}", path.path().display());
        let mut hub = Hub::start_by(
            activated(&[&unix, "clients=tcp"]),
            &["--config", file.path(), "--listen", clients],
            &[],
        );
        RawSocket::signed_in(hub.address);
        let ask = |request: &str| RawSocket::at_file(path.path()).ask(request);
        assert!(ask("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").starts_with("HTTP/1.1 200 "));
        hub.signal("TERM");
        assert!(hub.wait().success());
        assert!(path.path().exists(), "it is systemd's");
    }
    // Clients by a socket in the file system, and one that nobody asked for.
    let (path, file) = (SocketPath::new(), File::new(OPEN));
    let unix = format!("clients={}", path.path().display());
    let flags = ["--config", file.path(), "--listen", "systemd:clients"];
    let hub = Hub::start_by(activated(&["other=tcp", &unix]), &flags, &[]);
    assert!(RawSocket::at_file(path.path()).ask(&handshake("")).starts_with("HTTP/1.1 101 "));
    hub.says("systemd passes `other` too, which no address");
}

/// What a hub says that does not start.
fn fails(mut command: Command, listen: &str) -> String {
    let output = command.args(["--listen", listen]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("cannot listen on {listen}")), "{said}");
    said
}

#[test]
fn what_systemd_does_not_pass_is_named() {
    let said = fails(tidewire("serve"), "systemd");
    assert!(said.contains("passes no socket to this process: start it by its socket unit"), "{said}");
    let mut of_another = tidewire("serve");
    of_another.envs([("LISTEN_PID", "1"), ("LISTEN_FDS", "1")]);
    assert!(fails(of_another, "systemd:clients").contains("passes no socket to this process"));
    if !has_python() {
        return;
    }
    let said = fails(activated(&["a=tcp", "b=tcp"]), "systemd");
    assert!(said.contains("systemd passes `a`, `b`: say which is meant, as systemd:NAME"), "{said}");
    let said = fails(activated(&["a=tcp", "b=tcp"]), "systemd:c");
    assert!(said.contains("none of that name; it passes `a`, `b`"), "{said}");
    for kind in ["udp", "deaf"] {
        let said = fails(activated(&[&format!("a={kind}")]), "systemd");
        assert!(said.contains("no socket that connections come from: ListenStream="), "{said}");
    }
}

#[test]
fn check_knows_the_names_and_dev_takes_none() {
    let check = |listen: &str| {
        let file = File::new(&format!("listen = \"{listen}\"\n{OPEN}"));
        let output = tidewire("check").args(["--config", file.path()]).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    for right in ["systemd", "systemd:clients", "systemd:tidewire.socket"] {
        let said = check(right);
        assert!(said.contains(&format!("would listen on {right}\n")), "{said}");
    }
    for wrong in ["systemd:", "systemd:a:b", "systemd: a", "systemdx"] {
        let said = check(wrong);
        assert!(said.contains("allowed: systemd, or systemd: and the name of a socket"), "{said}");
    }
    let output = tidewire("serve").args(["--dev", "--listen", "systemd"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("with --dev an address of this machine only"), "{said}");
}

#[test]
fn systemd_is_told_when_the_hub_is_ready_and_when_it_stops() {
    let path = SocketPath::new();
    let systemd = UnixDatagram::bind(path.path()).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut bytes = [0; 64];
        let count = systemd.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    let mut hub = Hub::start(&["--dev"], &[("NOTIFY_SOCKET", path.path().to_str().unwrap())]);
    assert_eq!(hear(), "READY=1\n");
    hub.signal("TERM");
    assert_eq!(hear(), "STOPPING=1\n");
    assert!(hub.wait().success());
}

#[test]
fn systemd_takes_the_units_of_the_documentation() {
    let page = include_str!("../../docs/CONFIGURATION.md");
    let units: Vec<_> =
        page.split("```ini\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let folder = std::env::temp_dir().join(format!("tidewire-units-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let hub = tidewire("serve");
    let program = hub.get_program().to_str().unwrap();
    let mut names = Vec::new();
    for unit in units {
        let name = unit.lines().next().unwrap().strip_prefix("# /etc/systemd/system/").unwrap();
        fs::write(folder.join(name), unit.replace("/usr/local/bin/tidewire", program)).unwrap();
        names.push(folder.join(name));
    }
    assert_eq!(names.len(), 2);
    let verified = Command::new("systemd-analyze").arg("verify").args(&names).output();
    let _ = fs::remove_dir_all(&folder);
    match verified {
        Ok(output) => {
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            let of_ours = said.lines().filter(|line| line.contains("tidewire")).collect::<Vec<_>>();
            assert!(output.status.success() && of_ours.is_empty(), "{said}");
        }
        Err(_) => eprintln!("systemd is not installed: the documented units are not tried"),
    }
}
