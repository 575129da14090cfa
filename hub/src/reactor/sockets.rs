//! The sockets of one thread, by the ids that the shard gave them. Registered once and edge-triggered: who stops
//! reading before a socket is empty must come back to it by himself, hence the queue.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read as _, Write as _};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ServerConnection;
use tidewire_hub_core::shard::wire::{ConnectionId, Sent, Wire};

use crate::reactor::farewell::Farewells;
use crate::reactor::sealing::{Opened, Sealing};
use crate::seats::Seat;

/// All of them.
#[derive(Debug)]
pub(super) struct Sockets {
    registry: Registry,
    slots: Vec<Option<Socket>>,
    /// Sockets that something arrived at since they were last found empty.
    arrived: VecDeque<ConnectionId>,
    /// Sockets that held more than was read of them.
    busy: VecDeque<ConnectionId>,
    /// How many were taken from `arrived` since the last one from `busy`.
    in_a_row: usize,
    /// Sockets that failed in a write.
    failed: Vec<ConnectionId>,
    /// Sockets that the shard closed since somebody asked.
    closed: usize,
    /// Closed sockets whose clients still read.
    pub(super) farewells: Farewells,
    /// What is read of a socket before it is opened; nothing stays in it.
    sealed: Box<[u8]>,
}

#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    /// Where TLS is spoken on it.
    sealing: Option<Sealing>,
    seat: Seat,
    /// Whether it is in the queue to be read, or kept out of it.
    queued: bool,
    /// Whether it is kept out until the shard wants it again.
    paused: bool,
    /// The client has said its last: only reading to the end tells.
    ending: bool,
    /// It did not take all of the last write.
    full: bool,
}

/// Sockets that something arrived at are read before one that is always full has its next turn.
const ARRIVED_IN_A_ROW: usize = 16;

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// So many bytes.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The client is gone.
    End,
}

impl Sockets {
    /// None yet.
    pub(super) fn new(registry: Registry) -> Self {
        Self {
            registry,
            slots: Vec::new(),
            arrived: VecDeque::new(),
            busy: VecDeque::new(),
            in_a_row: 0,
            failed: Vec::new(),
            closed: 0,
            farewells: Farewells::default(),
            sealed: vec![0; SEALED_BYTES].into_boxed_slice(),
        }
    }

    /// Takes over a socket.
    pub(super) fn add(
        &mut self,
        id: ConnectionId,
        stream: std::net::TcpStream,
        tls: Option<Box<ServerConnection>>,
        seat: Seat,
    ) -> io::Result<()> {
        let mut stream = TcpStream::from_std(stream);
        self.registry.register(&mut stream, token(id), Interest::READABLE | Interest::WRITABLE)?;
        let slot = id.0 as usize;
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        let sealing = tls.map(Sealing::new);
        let is_sealed = sealing.is_some();
        self.slots[slot] =
            Some(Socket { stream, sealing, seat, queued: false, paused: false, ending: false, full: false });
        if is_sealed {
            // Something may have been opened already, of which no event will tell.
            self.queue(id, false);
        }
        Ok(())
    }

    /// Closes a socket at once.
    pub(super) fn remove(&mut self, id: ConnectionId) {
        self.take(id);
    }

    /// Puts a socket into the queue to be read; `ending` if its client has closed it.
    pub(super) fn queue(&mut self, id: ConnectionId, ending: bool) {
        let Some(socket) = self.slots.get_mut(id.0 as usize).and_then(Option::as_mut) else { return };
        socket.ending |= ending;
        if !socket.queued {
            socket.queued = true;
            self.arrived.push_back(id);
        }
    }

    /// Keeps a socket that was next out of the queue until it is wanted again.
    pub(super) fn pause(&mut self, id: ConnectionId) {
        if let Some(socket) = self.slots.get_mut(id.0 as usize).and_then(Option::as_mut) {
            socket.paused = true;
        }
    }

    /// Sockets in the queue.
    pub(super) fn waiting(&self) -> usize {
        self.arrived.len() + self.busy.len()
    }

    /// The next socket in the queue: one that says little before those that always have more, and now and then one of
    /// those.
    pub(super) fn next_to_read(&mut self) -> Option<ConnectionId> {
        if (self.in_a_row < ARRIVED_IN_A_ROW || self.busy.is_empty())
            && let Some(id) = self.arrived.pop_front()
        {
            self.in_a_row += 1;
            return Some(id);
        }
        self.in_a_row = 0;
        self.busy.pop_front()
    }

    /// Reads once. A short read means that the socket is empty, unless its end is to come.
    pub(super) fn read(&mut self, id: ConnectionId, buffer: &mut [u8]) -> Read {
        let Some(socket) = self.slots.get_mut(id.0 as usize).and_then(Option::as_mut) else {
            return Read::Nothing;
        };
        socket.queued = false;
        let (result, again) = match socket.read(&mut self.sealed, buffer) {
            Ok(Opened { count: 0, over: true, .. }) => (Read::End, false),
            Ok(Opened { count: 0, more, .. }) => (Read::Nothing, more),
            Ok(Opened { count, more, over }) => (Read::Bytes(count), more || over),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (Read::Nothing, false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (Read::Nothing, true),
            Err(_) => (Read::End, false),
        };
        if again {
            socket.queued = true;
            self.busy.push_back(id);
        }
        result
    }

    /// Whether a socket had been full and is not any more. What it was given before goes first.
    pub(super) fn is_free_again(&mut self, id: ConnectionId) -> bool {
        let Some(socket) = self.slots.get_mut(id.0 as usize).and_then(Option::as_mut) else { return false };
        match socket.flush() {
            Ok(true) => std::mem::take(&mut socket.full),
            Ok(false) => false,
            Err(_) => {
                self.failed.push(id);
                false
            }
        }
    }

    /// A socket that failed in a write and has not been closed since.
    pub(super) fn next_failed(&mut self) -> Option<ConnectionId> {
        while let Some(id) = self.failed.pop() {
            if self.slots.get(id.0 as usize).is_some_and(Option::is_some) {
                return Some(id);
            }
        }
        None
    }

    /// How many sockets the shard closed since the last call.
    pub(super) fn take_closed(&mut self) -> usize {
        std::mem::take(&mut self.closed)
    }

    fn take(&mut self, id: ConnectionId) -> Option<Socket> {
        self.slots.get_mut(id.0 as usize).and_then(Option::take)
    }
}

impl Wire for Sockets {
    fn send(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Sent {
        let Some(socket) = self.slots.get_mut(id.0 as usize).and_then(Option::as_mut) else {
            return Sent::Gone;
        };
        let mut sent = 0;
        for parts in parts.chunks(PARTS_MAX) {
            let wanted: usize = parts.iter().map(|part| part.len()).sum();
            match socket.write(parts) {
                Ok(taken) => {
                    sent += taken;
                    if taken < wanted {
                        socket.full = true;
                        break;
                    }
                }
                Err(_) => {
                    self.failed.push(id);
                    return Sent::Gone;
                }
            }
        }
        Sent::Bytes(sent)
    }

    fn resume(&mut self, id: ConnectionId) {
        let Some(socket) = self.slots.get_mut(id.0 as usize).and_then(Option::as_mut) else { return };
        if std::mem::take(&mut socket.paused) {
            self.arrived.push_back(id);
        }
    }

    fn close(&mut self, id: ConnectionId) {
        if let Some(socket) = self.take(id) {
            self.closed += 1;
            self.farewells.begin(&self.registry, socket.stream, socket.sealing, socket.seat);
        }
    }
}

impl Socket {
    /// Reads once, or with TLS until something has been opened.
    fn read(&mut self, sealed: &mut [u8], buffer: &mut [u8]) -> io::Result<Opened> {
        let Some(sealing) = &mut self.sealing else {
            let count = self.stream.read(buffer)?;
            return Ok(Opened { count, more: count == buffer.len() || self.ending, over: count == 0 });
        };
        let opened = sealing.read(&mut self.stream, sealed, buffer, self.ending);
        // What was read may ask for an answer; one that was wrong is told so.
        let flushed = sealing.flush(&mut self.stream);
        opened.and_then(|opened| flushed.map(|_| opened))
    }

    fn write(&mut self, parts: &[&[u8]]) -> io::Result<usize> {
        match &mut self.sealing {
            Some(sealing) => sealing.write(&mut self.stream, parts),
            None => write(&mut self.stream, parts),
        }
    }

    /// Writes what was taken and has not gone; `true` if there is nothing of that.
    fn flush(&mut self) -> io::Result<bool> {
        self.sealing.as_mut().map_or(Ok(true), |sealing| sealing.flush(&mut self.stream))
    }
}

/// Writes what the socket takes; nothing if it is full.
fn write(stream: &mut TcpStream, parts: &[&[u8]]) -> io::Result<usize> {
    loop {
        let result = match parts {
            [part] => stream.write(part),
            parts => {
                let mut slices = [IoSlice::new(&[]); PARTS_MAX];
                for (slice, part) in slices.iter_mut().zip(parts) {
                    *slice = IoSlice::new(part);
                }
                stream.write_vectored(&slices[..parts.len()])
            }
        };
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            result => return result,
        }
    }
}

const fn token(id: ConnectionId) -> Token {
    Token(id.0 as usize)
}

/// Parts of one system call.
const PARTS_MAX: usize = 64;
/// Four records: more at once are no faster.
const SEALED_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use mio::{Events, Poll};
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

    use super::*;
    use crate::seats::Seats;

    const ID: ConnectionId = ConnectionId(0);

    /// The client's end of a connection by TLS.
    struct Client {
        stream: std::net::TcpStream,
        tls: ClientConnection,
    }

    impl Client {
        /// Bytes that have come by now.
        fn read(&mut self) -> usize {
            let mut opened = 0;
            while self.tls.read_tls(&mut self.stream).is_ok_and(|count| count > 0) {
                let plain = self.tls.process_new_packets().unwrap().plaintext_bytes_to_read();
                self.tls.reader().read_exact(&mut vec![0; plain]).unwrap();
                opened += plain;
            }
            opened
        }
    }

    /// Both ends, once hands are shaken.
    fn connect() -> (std::net::TcpStream, ServerConnection, Client) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        let issued = rcgen::generate_simple_self_signed(["hub".to_owned()]).unwrap();
        let certificate = CertificateDer::from(issued.cert);
        let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let server = server.with_single_cert(vec![certificate], key).unwrap();
        let client = ClientConfig::builder_with_provider(provider);
        let client = client.with_safe_default_protocol_versions().unwrap();
        let client = client.with_root_certificates(roots).with_no_client_auth();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        let mut tls = ClientConnection::new(Arc::new(client), "hub".try_into().unwrap()).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while server.is_handshaking() || server.wants_write() {
                    server.complete_io(&mut accepted).unwrap();
                }
            });
            while tls.is_handshaking() {
                tls.complete_io(&mut stream).unwrap();
            }
        });
        accepted.set_nonblocking(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        (accepted, server, Client { stream, tls })
    }

    #[test]
    fn of_what_a_full_socket_took_one_record_waits_and_goes_by_itself() {
        let mut poll = Poll::new().unwrap();
        let mut sockets = Sockets::new(poll.registry().try_clone().unwrap());
        let (stream, session, mut client) = connect();
        let seat = Seats::new(1, 1).take([127, 0, 0, 1].into()).unwrap();
        sockets.add(ID, stream, Some(Box::new(session)), seat).unwrap();
        let block = vec![7; 1 << 20];
        let (mut taken, mut heard) = (0, 0);
        loop {
            let Sent::Bytes(count) = sockets.send(ID, &[&block[..100], &block]) else {
                return assert_eq!("it", "gone");
            };
            taken += count;
            if count < 100 + block.len() {
                break;
            }
        }
        assert_eq!(sockets.send(ID, &[&block]), Sent::Bytes(0));
        heard += client.read();
        assert!(taken - heard <= 16 << 10, "{} bytes wait", taken - heard);
        // Now the last record alone is too much, and the shard is not told that anything waits.
        let small = &block[..10_000];
        while sockets.slots[0].as_mut().unwrap().flush().unwrap() {
            assert_eq!(sockets.send(ID, &[small]), Sent::Bytes(small.len()));
            taken += small.len();
        }
        sockets.slots[0].as_mut().unwrap().full = false;
        let mut events = Events::with_capacity(8);
        let until = Instant::now() + Duration::from_secs(20);
        while heard < taken {
            assert!(Instant::now() < until, "{heard} of {taken} bytes have come");
            poll.poll(&mut events, Some(Duration::from_millis(5))).unwrap();
            for _ in events.iter().filter(|event| event.is_writable()) {
                assert!(!sockets.is_free_again(ID));
            }
            heard += client.read();
        }
    }

    #[test]
    fn of_a_large_record_that_ends_with_few_bytes_all_is_read_without_another_event() {
        let poll = Poll::new().unwrap();
        let mut sockets = Sockets::new(poll.registry().try_clone().unwrap());
        let (stream, session, mut client) = connect();
        let seat = Seats::new(1, 1).take([127, 0, 0, 1].into()).unwrap();
        sockets.add(ID, stream, Some(Box::new(session)), seat).unwrap();
        assert_eq!(client.tls.writer().write(&[7; 16 << 10]).unwrap(), 16 << 10);
        let mut record = Vec::new();
        while client.tls.wants_write() {
            client.tls.write_tls(&mut record).unwrap();
        }
        let (most, rest) = record.split_at(record.len() - 50);
        let mut heard = 0;
        for part in [most, rest] {
            client.stream.write_all(part).unwrap();
            sockets.queue(ID, false);
            let mut buffer = [0; 2 << 10];
            while let Some(id) = sockets.next_to_read() {
                if let Read::Bytes(count) = sockets.read(id, &mut buffer) {
                    heard += count;
                }
            }
        }
        assert_eq!(heard, 16 << 10);
    }
}
