//! Closed sockets that are read a little longer. A socket that is dropped with bytes unread is reset, and the
//! reset overtakes our last frame: the client would never learn why it was sent away.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::reactor::sealing::Sealing;
use crate::seats::Seat;

/// What a closed socket has still to say.
enum Left {
    /// There may be more.
    More,
    /// Nothing for now.
    Nothing,
    /// The end has come, or too much.
    All,
}

/// The sockets, by token; tokens grow, so the oldest comes first.
#[derive(Debug, Default)]
pub(super) struct Farewells {
    sockets: BTreeMap<usize, Leaving>,
    /// Those that something arrived at and that were not found empty since.
    arrived: VecDeque<usize>,
    begun: usize,
}

#[derive(Debug)]
struct Leaving {
    stream: TcpStream,
    /// Of TLS, as long as some of it has not gone.
    sealing: Option<Sealing>,
    /// Still taken, so that a herd of these counts like any other.
    _seat: Seat,
    until: Instant,
    bytes_left: usize,
    queued: bool,
}

impl Farewells {
    /// Says that nothing more will come, and reads on until the client has gone too.
    pub(super) fn begin(
        &mut self,
        registry: &Registry,
        stream: TcpStream,
        mut sealing: Option<Sealing>,
        seat: Seat,
    ) {
        if let Some(sealing) = &mut sealing {
            sealing.close();
        }
        let until = Instant::now() + TIME;
        let mut leaving =
            Leaving { stream, sealing, _seat: seat, until, bytes_left: BYTES_MAX, queued: false };
        if self.sockets.len() >= SOCKETS_MAX || leaving.write().is_err() {
            return;
        }
        let token = FIRST_TOKEN + self.begun;
        self.begun += 1;
        let interest = match leaving.sealing {
            Some(_) => Interest::READABLE | Interest::WRITABLE,
            None => Interest::READABLE,
        };
        if registry.reregister(&mut leaving.stream, Token(token), interest).is_ok() {
            self.sockets.insert(token, leaving);
        }
    }

    /// Something arrived at the socket that a token stands for; `false` if it is none of ours.
    pub(super) fn note(&mut self, token: Token) -> bool {
        if token.0 < FIRST_TOKEN {
            return false;
        }
        if let Some(leaving) = self.sockets.get_mut(&token.0)
            && !leaving.queued
        {
            leaving.queued = true;
            self.arrived.push_back(token.0);
        }
        true
    }

    /// Reads a little of each that waits, for a slice of time; `true` if some still wait.
    pub(super) fn read_round(&mut self, slice: Duration) -> bool {
        let began = Instant::now();
        for _ in 0..self.arrived.len() {
            let Some(token) = self.arrived.pop_front() else { break };
            match self.sockets.get_mut(&token).map(Leaving::read) {
                Some(Left::More) => self.arrived.push_back(token),
                Some(Left::Nothing) | None => {}
                Some(Left::All) => drop(self.sockets.remove(&token)),
            }
            if began.elapsed() >= slice {
                break;
            }
        }
        !self.arrived.is_empty()
    }

    /// How long until [`Self::end`] has something to do.
    pub(super) fn patience(&self) -> Option<Duration> {
        let (_, oldest) = self.sockets.first_key_value()?;
        Some(oldest.until.saturating_duration_since(Instant::now()))
    }

    /// Drops those who had their time.
    pub(super) fn end(&mut self) {
        while let Some(oldest) = self.sockets.first_entry() {
            if oldest.get().until > Instant::now() {
                break;
            }
            oldest.remove();
        }
    }
}

impl Leaving {
    /// Writes what has not gone, and behind it says that nothing more will come.
    fn write(&mut self) -> io::Result<()> {
        if let Some(sealing) = &mut self.sealing
            && !sealing.flush(&mut self.stream)?
        {
            return Ok(());
        }
        self.sealing = None;
        self.stream.shutdown(Shutdown::Write)
    }

    /// Goes on with the last words, and throws away some of what came.
    fn read(&mut self) -> Left {
        if self.sealing.is_some() && self.write().is_err() {
            return Left::All;
        }
        let mut ignored = [0; 4_096];
        match self.stream.read(&mut ignored) {
            Ok(count) if count > 0 && count < self.bytes_left => self.bytes_left -= count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.queued = false;
                return Left::Nothing;
            }
            Ok(_) | Err(_) => return Left::All,
        }
        Left::More
    }
}

/// Ids of connections are below.
const FIRST_TOKEN: usize = usize::MAX / 2;
/// Sockets that take their leave at once; beyond, being reset is the smaller evil.
const SOCKETS_MAX: usize = 4_096;
/// How long a client may take to answer a close.
const TIME: Duration = Duration::from_secs(1);
/// What a client may still send: what was on its way.
const BYTES_MAX: usize = 1 << 20;
