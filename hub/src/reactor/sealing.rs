//! TLS on a socket of the reactor: bytes are sealed and opened, and none are kept but one record on each way. Who writes
//! hands over the next record once the last has gone, so that a reader who stops costs no more than without TLS.

use std::io::{self, IoSlice, Read, Write};

use rustls::ServerConnection;

/// One connection's.
#[derive(Debug)]
pub(super) struct Sealing(Box<ServerConnection>);

/// What a read brought.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opened {
    /// Bytes in the buffer.
    pub(super) count: usize,
    /// There may be more, here or in the socket.
    pub(super) more: bool,
    /// Nothing comes behind these.
    pub(super) over: bool,
}

impl Sealing {
    /// Takes over a connection whose handshake is done.
    pub(super) fn new(mut session: Box<ServerConnection>) -> Self {
        session.set_buffer_limit(Some(RECORD_BYTES));
        Self(session)
    }

    /// Reads what the buffer holds, by way of another that is as large; `ending` if the socket is to be read to its end.
    pub(super) fn read(
        &mut self,
        socket: &mut impl Socket,
        sealed: &mut [u8],
        buffer: &mut [u8],
        ending: bool,
    ) -> io::Result<Opened> {
        let mut opened = Opened::default();
        // Records may hold nothing but padding: then the buffer is never full.
        let mut left = sealed.len().min(buffer.len());
        let mut is_empty = false;
        loop {
            self.open(buffer, &mut opened)?;
            // No more is read than there is room for: what stays inside is the rest of a record that began before.
            let room = left.min(buffer.len() - opened.count);
            if room == 0 {
                return Ok(Opened { more: true, ..opened });
            }
            if opened.over || is_empty {
                return Ok(opened);
            }
            match socket.read(&mut sealed[..room]) {
                Ok(0) => return Ok(Opened { over: true, ..opened }),
                Ok(count) => {
                    left -= count;
                    is_empty = count < room && !ending;
                    self.take(&sealed[..count], buffer, &mut opened)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(opened),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes all of what was read of a socket.
    fn take(&mut self, mut sealed: &[u8], buffer: &mut [u8], opened: &mut Opened) -> io::Result<()> {
        while !sealed.is_empty() && self.0.read_tls(&mut sealed)? > 0 {
            self.0.process_new_packets().map_err(io::Error::other)?;
            self.open(buffer, opened)?;
        }
        Ok(())
    }

    /// Puts what is open already into the buffer, behind what is there.
    fn open(&mut self, buffer: &mut [u8], opened: &mut Opened) -> io::Result<()> {
        while opened.count < buffer.len() {
            match self.0.reader().read(&mut buffer[opened.count..]) {
                Ok(0) => {
                    opened.over = true;
                    break;
                }
                Ok(count) => opened.count += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes parts, a record at a time, until the socket is full; the last record may not have gone whole.
    pub(super) fn write(&mut self, socket: &mut impl Socket, parts: &[&[u8]]) -> io::Result<usize> {
        let mut taken = 0;
        let mut parts = parts.iter().copied().map(IoSlice::new).collect::<Vec<_>>();
        let mut rest = &mut parts[..];
        IoSlice::advance_slices(&mut rest, 0);
        while self.flush(socket)? && !rest.is_empty() {
            let count = self.0.writer().write_vectored(rest)?;
            IoSlice::advance_slices(&mut rest, count);
            taken += count;
        }
        Ok(taken)
    }

    /// Writes what is sealed and has not gone; `true` if all has.
    pub(super) fn flush(&mut self, socket: &mut impl Socket) -> io::Result<bool> {
        while self.0.wants_write() {
            match self.0.write_tls(socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Says that nothing more will be written. It is to be flushed.
    pub(super) fn close(&mut self) {
        self.0.send_close_notify();
    }
}

/// What bytes come from and go to, and never waits.
pub(super) trait Socket: Read + Write {}

impl<T: Read + Write> Socket for T {}

/// What is sealed at once: the most that a record holds.
const RECORD_BYTES: usize = 16 << 10;
