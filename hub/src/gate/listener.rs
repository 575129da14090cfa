//! Where connections come from: an address of the network, or a socket in the file system.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

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
        /// Who may connect, as permissions of files.
        mode: u32,
    },
}

/// What accepts connections.
#[derive(Debug)]
pub enum Listener {
    /// From the network.
    Tcp(TcpListener),
    /// From this machine; the file goes with it.
    #[cfg(unix)]
    Unix(UnixListener, SocketFile),
}

impl Listener {
    /// Listens at an address, and tells which port was free if 0 was asked for.
    ///
    /// # Errors
    /// What the system says, for instance that somebody else listens there.
    pub fn at(address: &Address) -> io::Result<(Self, Address)> {
        match address {
            Address::Tcp(address) => {
                let listener = listen(*address)?;
                let address = Address::Tcp(listener.local_addr()?);
                Ok((Self::Tcp(listener), address))
            }
            #[cfg(unix)]
            Address::Unix { path, mode } => {
                let (listener, file) = socket_file::listen(path, *mode)?;
                Ok((Self::Unix(listener, file), address.clone()))
            }
            #[cfg(not(unix))]
            Address::Unix { .. } => Err(io::ErrorKind::Unsupported.into()),
        }
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

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { path, .. } => write!(f, "{UNIX}{}", path.display()),
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
