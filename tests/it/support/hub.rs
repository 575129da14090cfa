//! A hub as its operator runs it: the binary, in a process of its own, on a port of its own.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;

use crate::support::file::Folder;
use crate::support::port::Port;
use crate::support::{PATIENCE, eventually};

/// A hub that ends with its test.
pub(crate) struct Hub {
    process: Child,
    /// Where it listens, if not at a socket in the file system.
    pub(crate) address: SocketAddr,
    /// Where it is asked for its numbers, if not there.
    pub(crate) operators: Option<SocketAddr>,
    /// What it writes on standard error: a file, in which that is as soon as it is written.
    errors: fs::File,
    /// Where it listens, unless it was told another address: nobody else gets that before this is dropped.
    port: Option<Port>,
}

impl Hub {
    /// A hub where everybody may do everything.
    pub(crate) fn dev() -> Self {
        Self::start(&["--dev"], &[])
    }

    /// A hub with limits of its own.
    pub(crate) fn dev_with(limits: &[(&str, u64)]) -> Self {
        let env: Vec<_> = limits
            .iter()
            .map(|(name, value)| (format!("TIDEWIRE_LIMITS_{}", name.to_uppercase()), value.to_string()))
            .collect();
        let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Self::start(&["--dev"], &env)
    }

    /// A hub with these flags and variables, on a port of its own unless the flags name one.
    pub(crate) fn start(flags: &[&str], env: &[(&str, &str)]) -> Self {
        Self::start_by(tidewire("serve"), flags, env)
    }

    /// The same, by a command that runs it.
    pub(crate) fn start_by(mut command: Command, flags: &[&str], env: &[(&str, &str)]) -> Self {
        let port = (!flags.contains(&"--listen")).then(Port::keep);
        if let Some(port) = &port {
            command.args(["--listen", &port.address().to_string()]);
        }
        if !flags.contains(&"--config") {
            command.args(["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/it/support/hub.toml")]);
        }
        // Tests read what is counted where they are, as --dev lets everybody.
        command.env("TIDEWIRE_PUBLIC_METRICS", "true").args(flags).envs(env.iter().copied());
        let mut hub = Self::run(command);
        hub.port = port;
        hub
    }

    /// The same, by a command with all that it needs.
    pub(crate) fn run(mut command: Command) -> Self {
        let (written, errors) = file();
        let mut process = command.stdout(Stdio::piped()).stderr(written).spawn().unwrap();
        let line = first_line(process.stdout.take().unwrap());
        let said = line.trim_end().strip_prefix("tidewire listening on ");
        let address = said.and_then(|said| match said.split_once(':')? {
            ("unix", _) => Some("0.0.0.0:0"),
            ("http" | "https", address) => address.strip_prefix("//"),
            _ => None,
        });
        let Some(address) = address else {
            let _ = process.kill();
            panic!("the hub said {line:?} and {:?}", text(&errors));
        };
        Self { process, address: address.parse().unwrap(), operators: None, errors, port: None }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it says that operators ask.
    pub(crate) fn admin(&self) -> SocketAddr {
        let mut address = None;
        eventually("the hub says where operators ask", || {
            let errors = self.errors();
            let told =
                errors.lines().find_map(|line| line.strip_prefix("tidewire: operators ask at http://"));
            address = told.and_then(|address| address.parse().ok());
            address.is_some()
        });
        address.unwrap()
    }

    /// What it has written on standard error so far.
    pub(crate) fn errors(&self) -> String {
        text(&self.errors)
    }

    /// Waits until it has written that: what it counted before, it may write after.
    pub(crate) fn says(&self, words: &str) {
        eventually(words, || self.errors().contains(words));
    }

    /// Bytes of memory that it has now.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
    }

    /// One of the numbers on `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = self.get("/metrics");
        let line = page.lines().find(|line| line.split(' ').next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("{name} is not in {page}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// All the numbers on `/metrics` that have this name, whatever their labels, together.
    pub(crate) fn metric_sum(&self, name: &str) -> u64 {
        let page = self.get("/metrics");
        let samples = page.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        samples.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// The whole answer to a GET.
    pub(crate) fn get(&self, path: &str) -> String {
        Self::get_at(self.operators.unwrap_or(self.address), path)
    }

    /// The same, at another of its addresses.
    pub(crate) fn get_at(address: SocketAddr, path: &str) -> String {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(socket, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Whether its process has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Stops all its threads. A signal reaches one of them first, and the others run until that one does.
    pub(crate) fn stop_all(&self) {
        self.signal("STOP");
        let threads = format!("/proc/{}/task", self.process.id());
        let is_stopped = |path: &Path| {
            let stat = fs::read_to_string(path.join("stat")).unwrap();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        };
        eventually("every thread is stopped", || {
            fs::read_dir(&threads).unwrap().all(|entry| is_stopped(&entry.unwrap().path()))
        });
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the hub has ended", || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Ends it at once, and starts another on the same port.
    pub(crate) fn kill_and_restart(mut self) -> Self {
        self.kill();
        self.start_again(tidewire("serve"), &["--dev"], &[])
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts another on the same port by a command that runs it, once it has ended.
    pub(crate) fn start_again(mut self, command: Command, flags: &[&str], env: &[(&str, &str)]) -> Self {
        let listen = self.address.to_string();
        // Kept meanwhile, and as long as the new one lives.
        let port = self.port.take();
        let mut hub = Self::start_by(command, &[flags, &["--listen", &listen]].concat(), env);
        hub.port = port;
        hub
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // What a panicking shard said, for instance, belongs beside the test's own failure.
        if thread::panicking() {
            eprintln!("the hub said:\n{}", self.errors());
        }
    }
}

/// The command line, with nothing of this process's own settings.
pub(crate) fn tidewire(command: impl AsRef<OsStr>) -> Command {
    let mut tidewire = Command::new(binary());
    tidewire.arg(command);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TIDEWIRE_")) {
        tidewire.env_remove(name);
    }
    tidewire
}

/// A file that nobody else has: to be written to, and to be read.
fn file() -> (fs::File, fs::File) {
    let folder = Folder::new();
    let path = Path::new(folder.path());
    fs::create_dir(path).unwrap();
    let path = path.join("errors");
    (fs::File::options().create_new(true).append(true).open(&path).unwrap(), fs::File::open(&path).unwrap())
}

/// The lines in a file.
fn text(file: &fs::File) -> String {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    let _ = file.read_exact_at(&mut bytes, 0);
    let lines = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    String::from_utf8_lossy(&bytes[..lines]).into_owned()
}

/// Reads a line, or fails with a deadline.
fn first_line(pipe: ChildStdout) -> String {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(pipe).read_line(&mut line);
        let _ = tell.send(line);
    });
    told.recv_timeout(PATIENCE).unwrap()
}

/// The hub's binary: the one that the environment names, or one built once into this test's own target folder.
fn binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("TIDEWIRE_BIN") {
            return path.into();
        }
        // `target/debug/deps/it-...` -> `target/debug`
        let profile = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "tidewire", "--target-dir"]).arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
        profile.join("tidewire")
    })
}
