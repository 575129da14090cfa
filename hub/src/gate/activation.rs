//! Sockets that systemd has opened and passes on when it starts the hub: they outlive it, so that whoever connects while
//! it restarts waits and is not refused.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use sd_listen_fds::get;
use socket2::{Domain, SockRef, Type};

/// Those that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Passed {
    sockets: Vec<(String, OwnedFd)>,
    /// Names that addresses ask for.
    asked: Vec<String>,
}

/// One that listens and does not block.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Why there is none for an address.
#[derive(Debug, thiserror::Error)]
enum NoSocket {
    #[error("systemd passes no socket to this process: start it by its socket unit, or name another address")]
    None,
    #[error("systemd passes none of that name; it passes {0}")]
    Unnamed(String),
    #[error("systemd passes {0}: say which is meant, as systemd:NAME")]
    Several(String),
    #[error(
        "what systemd passes is no socket that connections come from: ListenStream= makes one, with Accept=no"
    )]
    Unfit,
}

impl Passed {
    /// What there is for addresses, of which some ask by name.
    ///
    /// # Errors
    /// The variables that tell of sockets are garbled.
    pub(super) fn to(asked: Vec<Option<String>>) -> io::Result<Self> {
        if asked.is_empty() {
            return Ok(Self::default());
        }
        let named = |(name, socket): (Option<String>, sd_listen_fds::OwnedFd)| {
            (name.unwrap_or_else(|| UNNAMED.into()), socket.into_std())
        };
        let sockets = get().map_err(io::Error::other)?.into_iter().map(named).collect();
        Ok(Self { sockets, asked: asked.into_iter().flatten().collect() })
    }

    /// Takes the one of a name, or the only one whose name nobody asks for.
    pub(super) fn take(&mut self, name: Option<&str>) -> io::Result<Socket> {
        if self.sockets.is_empty() {
            return Err(io::Error::other(NoSocket::None));
        }
        let is_meant = |(its, _): &(String, OwnedFd)| match name {
            Some(name) => its == name,
            None => !self.asked.contains(its),
        };
        let mut meant = self.sockets.iter().enumerate().filter(|(_, socket)| is_meant(socket));
        let found = meant.next().map(|(at, _)| at);
        let more = meant.count();
        match found {
            Some(at) if more == 0 => checked(self.sockets.swap_remove(at).1),
            Some(_) => Err(io::Error::other(NoSocket::Several(self.names()))),
            None => Err(io::Error::other(NoSocket::Unnamed(self.names()))),
        }
    }

    /// Those that nobody has taken, if there are any.
    pub fn left(&self) -> Option<String> {
        (!self.sockets.is_empty()).then(|| self.names())
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.sockets.iter().map(|(name, _)| format!("`{name}`")).collect();
        names.join(", ")
    }
}

fn checked(socket: OwnedFd) -> io::Result<Socket> {
    let of = SockRef::from(&socket);
    let is_fit = of.r#type().is_ok_and(|kind| kind == Type::STREAM) && of.is_listener().unwrap_or(false);
    if !is_fit {
        return Err(io::Error::other(NoSocket::Unfit));
    }
    of.set_nonblocking(true)?;
    match of.local_addr()?.domain() {
        Domain::UNIX => Ok(Socket::Unix(socket.into())),
        Domain::IPV4 | Domain::IPV6 => {
            // Connections have this of their listener.
            of.set_tcp_nodelay(true)?;
            Ok(Socket::Tcp(socket.into()))
        }
        _ => Err(io::Error::other(NoSocket::Unfit)),
    }
}

/// What systemd calls a socket that has no name.
const UNNAMED: &str = "unknown";
