//! Where connections come from: an address of the network, or a socket in the file system.

use std::fmt;
use std::io;
use std::net::SocketAddr;
#[cfg(target_os = "linux")]
use std::path::Path;
use std::path::PathBuf;

#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::gate::activation::Passed;
#[cfg(target_os = "linux")]
use crate::gate::activation::Socket;
use crate::gate::proxies::{Peer, Proxies};
#[cfg(unix)]
use crate::gate::socket_file::{self, SocketFile};

/// Where a hub listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An address of the network.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix {
        /// Its path.
        path: PathBuf,
        /// Who may connect, as permissions of files; if that is for the hub to say.
        mode: Option<u32>,
    },
    /// That of a socket which systemd passes, by its name if it has several.
    Systemd(Option<String>),
}

/// What accepts connections.
#[derive(Debug)]
pub enum Listener {
    /// From the network.
    Tcp(TcpListener),
    /// From this machine; the file goes with it, if it is the hub's.
    #[cfg(unix)]
    Unix(UnixListener, Option<SocketFile>),
}

impl Listener {
    /// Listens at an address, or at what was passed for it, and tells which port was free if 0 was asked for.
    ///
    /// # Errors
    /// What the system says, for instance that somebody else listens there.
    pub fn at(address: &Address, passed: &mut Passed) -> io::Result<(Self, Address)> {
        match address {
            Address::Tcp(address) => {
                let listener = listen(*address)?;
                let address = Address::Tcp(listener.local_addr()?);
                Ok((Self::Tcp(listener), address))
            }
            #[cfg(unix)]
            Address::Unix { path, mode } => {
                let (listener, file) = socket_file::listen(path, *mode)?;
                Ok((Self::Unix(listener, Some(file)), address.clone()))
            }
            #[cfg(not(unix))]
            Address::Unix { .. } => Err(io::ErrorKind::Unsupported.into()),
            Address::Systemd(name) => Self::passed(passed.take(name.as_deref())?),
        }
    }

    #[cfg(target_os = "linux")]
    fn passed(socket: Socket) -> io::Result<(Self, Address)> {
        match socket {
            Socket::Tcp(listener) => {
                let address = Address::Tcp(listener.local_addr()?);
                Ok((Self::Tcp(TcpListener::from_std(listener)?), address))
            }
            Socket::Unix(listener) => {
                let address = listener.local_addr()?;
                let path = address.as_pathname().unwrap_or(Path::new("")).to_owned();
                Ok((Self::Unix(UnixListener::from_std(listener)?, None), Address::Unix { path, mode: None }))
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn passed(none: std::convert::Infallible) -> io::Result<(Self, Address)> {
        match none {}
    }

    /// The next connection, and whose it is as far as its address tells.
    pub(super) async fn accept(&self, proxies: &Proxies) -> io::Result<(TcpStream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((stream, proxies.peer(address.ip())))
            }
            #[cfg(unix)]
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((socket_file::as_tcp(stream)?, Peer::of_this_machine()))
            }
        }
    }
}

impl Address {
    /// What there is for addresses that systemd has sockets for.
    ///
    /// # Errors
    /// What systemd says of them cannot be read.
    pub fn passed<'a>(addresses: impl Iterator<Item = &'a Self>) -> io::Result<Passed> {
        Passed::to(
            addresses
                .filter_map(|address| match address {
                    Self::Systemd(name) => Some(name.clone()),
                    Self::Tcp(_) | Self::Unix { .. } => None,
                })
                .collect(),
        )
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { path, .. } => write!(f, "{UNIX}{}", path.display()),
            Self::Systemd(None) => f.write_str(SYSTEMD),
            Self::Systemd(Some(name)) => write!(f, "{SYSTEMD}:{name}"),
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A hub that restarts finds its port held by connections of the one before.
    socket.set_reuseaddr(true)?;
    // Answers and blocks are written whole, so there is nothing to gather.
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What stands before the path of a socket.
pub const UNIX: &str = "unix:";
/// What stands for a socket of systemd's, perhaps with a name behind it.
pub const SYSTEMD: &str = "systemd";
/// Connections that wait in the kernel for being accepted; it may allow fewer.
const BACKLOG: u32 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[tokio::test]
    async fn what_is_accepted_gathers_nothing() -> io::Result<()> {
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let _client = TcpStream::connect(listener.local_addr()?).await?;
        let (stream, _) = listener.accept().await?;
        assert!(stream.nodelay()? || cfg!(not(target_os = "linux")));
        Ok(())
    }
}
