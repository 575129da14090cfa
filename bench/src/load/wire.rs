//! The bytes of a link: a TCP socket that never waits, or TLS over one.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::tls::HOST;
use crate::tokens::Signer;

/// Where a server is.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its address.
    pub address: SocketAddr,
    /// What is trusted, where it speaks TLS.
    pub tls: Option<Arc<ClientConfig>>,
    /// Whose tokens it takes, if anybody's.
    pub signer: Option<Arc<Signer>>,
}

#[derive(Debug)]
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, target: &Target) -> Result<Self> {
        let session = |config: &Arc<ClientConfig>| -> Result<_> {
            Ok(Box::new(ClientConnection::new(Arc::clone(config), ServerName::try_from(HOST)?)?))
        };
        Ok(Self { stream, tls: target.tls.as_ref().map(session).transpose()? })
    }

    /// Whether a read that does not fill its buffer says nothing of the socket.
    pub(super) const fn is_sealed(&self) -> bool {
        self.tls.is_some()
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.stream.read(buffer) };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            let read = tls.read_tls(&mut self.stream)?;
            tls.process_new_packets().map_err(io::Error::other)?;
            while tls.wants_write() {
                tls.write_tls(&mut self.stream)?;
            }
            if read == 0 {
                return Ok(0);
            }
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let Some(tls) = &mut self.tls else { return self.stream.write(bytes) };
        match tls.writer().write(bytes)? {
            0 => Err(ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            tls.write_tls(&mut self.stream)?;
        }
        Ok(())
    }
}
