//! Ports that are kept: whoever asks the system for a free one gets another.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A port where nobody listens but who is told to, now or later. Free again when this is dropped.
pub(crate) struct Port {
    _socket: Socket,
    address: SocketAddr,
}

impl Port {
    /// Keeps one by a socket that is bound to it and does not listen: others who say that they reuse addresses may.
    pub(crate) fn keep() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        Self { _socket: socket, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}
