//! A hub that gets its certificate by itself, from an authority as it is in the world: pebble, whose names all lead to this machine.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustls::pki_types::ServerName;

use crate::support::eventually;
use crate::support::file::OPEN;
use crate::support::hub::{Hub, tidewire};
use crate::support::keyed::now;
use crate::support::page::Folder;
use crate::support::port::Port;
use crate::support::secured::{Authority, VALID, trusting};
use crate::support::socket::RawSocket;

/// pebble, and whom it asks for names.
struct Pebble {
    processes: Vec<Child>,
    folder: Folder,
    programs: PathBuf,
    authority: Authority,
    ports: [Port; 4],
    /// Where it looks for proofs.
    hub: Port,
}

impl Pebble {
    /// None if it is not installed, and the environment does not name it either.
    fn start() -> Option<Self> {
        let programs = match std::env::var_os("TIDEWIRE_PEBBLE") {
            Some(folder) => PathBuf::from(folder),
            None => ["/usr/bin", "/usr/local/bin"]
                .into_iter()
                .map(PathBuf::from)
                .find(|folder| folder.join("pebble").exists())?,
        };
        let (folder, authority) = (Folder::new(), Authority::new());
        let issued = authority.issue_local();
        folder.write("own.pem", &issued.certificate);
        folder.write("own.key", &issued.key);
        folder.write("ca.pem", &authority.pem());
        let ports = [(); 4].map(|()| Port::keep());
        let mut pebble =
            Self { processes: Vec::new(), folder, programs, authority, ports, hub: Port::keep() };
        pebble.run_names();
        pebble.run();
        Some(pebble)
    }

    fn at(&self, port: usize) -> String {
        self.ports[port].address().to_string()
    }

    fn run_names(&mut self) {
        let (dns, management) = (self.at(2), self.at(3));
        let mut names = self.folder.command(self.programs.join("pebble-challtestsrv").to_str().unwrap(), &[]);
        names.args(["-dns01", &dns, "-management", &management, "-defaultIPv6", ""]);
        names.args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        self.begin(names, 2);
    }

    fn run(&mut self) {
        let config = serde_json::json!({"pebble": {
            "listenAddress": self.at(0), "managementListenAddress": self.at(1),
            "certificate": "own.pem", "privateKey": "own.key",
            "httpPort": 1, "tlsPort": self.hub.address().port(),
        }});
        self.folder.write("pebble.json", &config.to_string());
        let mut pebble = self.folder.command(self.programs.join("pebble").to_str().unwrap(), &[]);
        pebble.args(["-config", "pebble.json", "-dnsserver", &self.at(2)]);
        // It waits for seconds, forgets nonces and proofs at random otherwise, as real ones may; here only the latter.
        pebble.env("PEBBLE_VA_NOSLEEP", "1");
        self.begin(pebble, 0);
    }

    fn begin(&mut self, mut command: Command, port: usize) {
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.processes.push(process);
        let address = self.ports[port].address();
        eventually("it listens", || {
            assert!(self.processes.last_mut().unwrap().try_wait().unwrap().is_none());
            TcpStream::connect(address).is_ok()
        });
    }

    /// Ends, and begins anew with nothing of what it knew.
    fn forget(&mut self) {
        let mut pebble = self.processes.pop().unwrap();
        pebble.kill().unwrap();
        pebble.wait().unwrap();
        self.run();
    }

    /// Whose certificates it gives.
    fn root(&self) -> Vec<u8> {
        let mut socket = RawSocket::secure(self.ports[1].address(), &self.authority.trusting()).unwrap();
        let head = socket.ask("GET /roots/0 HTTP/1.1\r\nhost: pebble\r\nconnection: close\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        socket.rest()
    }

    /// A hub that is called so.
    fn hub(&self, names: &str) -> Hub {
        let config = self.folder.write("hub.toml", &self.config(names));
        Hub::start(&["--config", &config, "--listen", &self.hub.address().to_string()], &[])
    }

    fn config(&self, names: &str) -> String {
        format!(
            "admin_listen = \"127.0.0.1:0\"\n{OPEN}[tls.acme]\nnames = {names}\nfolder = \"kept/acme\"\ncontact = \"ops@example.com\"\n\
             agree_to_terms = true\ndirectory = \"https://{}/dir\"\ndirectory_ca = \"ca.pem\"\n",
            self.at(0)
        )
    }

    fn kept(&self, name: &str) -> PathBuf {
        let kept = self.folder.0.join("kept/acme");
        // Each authority has a folder there.
        let of_this = |entry: fs::DirEntry| {
            entry.file_name().to_str().unwrap().starts_with("127.0.0.1-").then(|| entry.path())
        };
        let found =
            fs::read_dir(&kept).ok().and_then(|entries| entries.map(Result::unwrap).find_map(of_this));
        found.unwrap_or(kept).join(name)
    }

    /// Who speaks only of proofs is shown none when none is due, and who speaks of other things, too, what everybody is shown.
    fn shows_proofs_to_nobody_else(&self) {
        let name = || ServerName::try_from("hub.example.com").unwrap();
        for (protocols, is_shown) in [
            (&["acme-tls/1"][..], false),
            (&["acme-tls/1", "http/1.1"], true),
            (&["http/1.1", "acme-tls/1"], true),
        ] {
            let mut config = (*trusting(&self.root(), rustls::DEFAULT_VERSIONS)).clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
            let shown = RawSocket::connect(self.hub.address()).secured_as(name(), &config.into());
            assert_eq!(shown.is_ok(), is_shown, "{protocols:?}");
        }
    }

    /// Whether the hub shows a certificate of this authority for a name.
    fn vouches_for(&self, name: &'static str) -> bool {
        let config = trusting(&self.root(), rustls::DEFAULT_VERSIONS);
        let name = ServerName::try_from(name).unwrap();
        RawSocket::connect(self.hub.address()).secured_as(name, &config).is_ok()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn pebble() -> Option<Pebble> {
    let pebble = Pebble::start();
    if pebble.is_none() {
        eprintln!("pebble is not installed: no certificate is got");
    }
    pebble
}

#[test]
fn a_certificate_is_got_kept_and_replaced_when_names_change() {
    let Some(mut pebble) = pebble() else { return };
    let hub = pebble.hub("[\"hub.example.com\"]");
    eventually("there is a certificate", || pebble.vouches_for("hub.example.com"));
    assert!(!pebble.vouches_for("other.example.com"));
    hub.says("there is a certificate for hub.example.com, and it holds");
    let ready = Hub::get_at(hub.admin(), "/readyz");
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
    let numbers = Hub::get_at(hub.admin(), "/metrics");
    let (_, expiry) = numbers.split_once("\ntidewire_certificate_expiry_seconds ").unwrap();
    let expiry: u64 = expiry.lines().next().unwrap().parse().unwrap();
    assert!(expiry > now() + 30 * 86_400, "{expiry}");
    pebble.shows_proofs_to_nobody_else();
    #[cfg(unix)]
    for (name, mode) in [("account.json", 0o600), ("certificate.pem", 0o600), (".", 0o700)] {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(pebble.kept(name)).unwrap().permissions().mode() & 0o777, mode, "{name}");
    }
    drop(hub);

    // What there is is used, and nobody is asked.
    let kept = fs::read(pebble.kept("certificate.pem")).unwrap();
    let hub = pebble.hub("[\"hub.example.com\"]");
    assert!(pebble.vouches_for("hub.example.com"));
    drop(hub);
    assert_eq!(fs::read(pebble.kept("certificate.pem")).unwrap(), kept);

    // One of whose time less than a third is left is replaced by another.
    let next_year = 1_971 + (now() / 31_556_952) as i32;
    let old = pebble.authority.issue("hub.example.com", (2000, next_year));
    fs::write(pebble.kept("certificate.pem"), format!("{}{}", old.key, old.certificate)).unwrap();
    let hub = pebble.hub("[\"hub.example.com\"]");
    eventually("it is renewed", || pebble.vouches_for("hub.example.com"));
    drop(hub);

    // Another name needs another certificate; meanwhile the first holds.
    let hub = pebble.hub("[\"hub.example.com\", \"Other.example.com\"]");
    assert!(pebble.vouches_for("hub.example.com"));
    eventually("there is another", || pebble.vouches_for("other.example.com"));
    assert!(pebble.vouches_for("hub.example.com"));
    drop(hub);

    // An authority that does not know the account any more is told of a new one.
    pebble.forget();
    let hub = pebble.hub("[\"third.example.com\"]");
    hub.says("it is tried again in 2 min, or when it is to read its configuration again");
    hub.signal("HUP");
    eventually("there is a new one", || pebble.vouches_for("third.example.com"));
}

#[test]
fn a_name_that_leads_elsewhere_is_named_and_what_is_there_holds() {
    let Some(pebble) = pebble() else { return };
    let elsewhere = Port::keep();
    let config = pebble.folder.write("hub.toml", &pebble.config("[\"hub.example.com\"]"));
    let hub = Hub::start(&["--config", &config, "--listen", &elsewhere.address().to_string()], &[]);
    hub.says("no certificate for hub.example.com from https://");
    let told = hub.errors();
    let (_, why) = told.split_once("`hub.example.com` is not proved: ").unwrap();
    assert!(why.contains("connects to port 443 of it, which has to lead to this hub"), "{why}");
    assert!(!pebble.kept("certificate.pem").exists());
    let ready = Hub::get_at(hub.admin(), "/readyz");
    assert!(ready.starts_with("HTTP/1.1 503 ") && ready.contains("there is no certificate yet"), "{ready}");
    let refused = RawSocket::secure(hub.address, &pebble.authority.trusting());
    assert!(refused.is_err());
    hub.says("refused (tls): 127.0.0.1: there is no certificate yet");
    drop(hub);

    // The next hub does not ask at once, and says why.
    let hub = Hub::start(&["--config", &config, "--listen", &elsewhere.address().to_string()], &[]);
    let told = "the hub that ran before has tried in vain; it is tried again in 2 min";
    hub.says(told);
    assert!(!hub.errors().contains("is ordered from"));
    drop(hub);

    // What is there is shown, though no authority of pebble's has given it, until there is another.
    let issued = pebble.authority.issue("hub.example.com", VALID);
    fs::write(pebble.kept("certificate.pem"), format!("{}{}", issued.key, issued.certificate)).unwrap();
    let hub = Hub::start(&["--config", &config, "--listen", &elsewhere.address().to_string()], &[]);
    let name = ServerName::try_from("hub.example.com").unwrap();
    let shown = RawSocket::connect(hub.address).secured_as(name, &pebble.authority.trusting()).unwrap();
    assert!(issued.is_shown_on(&shown));
}

#[test]
fn what_is_written_wrong_is_named() {
    let folder = Folder::new();
    let check = |table: &str| {
        let config = folder.write("hub.toml", &format!("{OPEN}{table}"));
        let output = tidewire("check").args(["--config", &config]).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let all = "folder = \"acme\"\nagree_to_terms = true\n";
    for (table, says) in [
        ("[tls.acme]\n", "`tls.acme.names` is missing; allowed: names that lead to this hub, like"),
        ("[tls.acme]\n", "`tls.acme.folder` is missing"),
        (
            "[tls.acme]\nagree_to_terms = false\n",
            "`tls.acme.agree_to_terms` is false; allowed: true, if you agree",
        ),
        (
            "[tls.acme]\nnames = [\"*.example.com\"]\n",
            "`tls.acme.names` is \"*.example.com\"; allowed: names",
        ),
        ("[tls.acme]\nnames = [\"localhost\"]\n", "is \"localhost\"; allowed: names"),
        ("[tls.acme]\nnames = [\"10.0.0.1\"]\n", "is \"10.0.0.1\"; allowed: names"),
        ("[tls.acme]\nnames = \"https://a.b\"\n", "is \"https://a.b\"; allowed: names"),
        ("[tls.acme]\ncontact = \"ops\"\n", "allowed: an address of mail"),
        (
            "[tls.acme]\ndirectory = \"http://a.b/dir\"\n",
            "allowed: the address of an authority's directory, https://",
        ),
        (
            "[tls.acme]\ndirectory_ca = \"no.pem\"\n",
            "`tls.acme.directory_ca` is \"no.pem\"; allowed: a file that can be read",
        ),
        (
            "[tls]\ncertificate = \"a.pem\"\n[tls.acme]\nnames = \"a.b\"\n",
            "one of both: a certificate in files, or [tls.acme]",
        ),
        ("[tls]\nacme = true\n", "allowed: a table headed [tls.acme]"),
        ("[tls.acme]\nname = \"a.b\"\n", "there is no `tls.acme.name`; did you mean `names`?"),
    ] {
        let said = check(table);
        assert!(said.contains(says), "{table}: {said}");
    }
    let said = check(&format!("[tls.acme]\nnames = \"hub.example.com\"\n{all}"));
    assert!(
        said.contains(
            "a certificate for hub.example.com that comes from https://acme-v02.api.letsencrypt.org/directory"
        ),
        "{said}"
    );
    assert!(!folder.0.join("acme").exists(), "nothing is made where it is only checked");
}
