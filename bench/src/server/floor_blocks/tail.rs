//! A topic's messages as blocks, and the subscribers' places in them: a block is one WebSocket message that all
//! share, and a place is a number. Blocks are kept until all have them: nobody is slow here.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write as _};

use mio::net::TcpStream;
use slab::Slab;
use tidewire_protocol::block::{self, Head};
use tidewire_protocol::code::Content;
use tidewire_protocol::number::{Offset, Tag, TailNumber};

use crate::server::floor_blocks::connection::Connection;
use crate::websocket::{self, Opcode};

/// One topic.
#[derive(Debug)]
pub(super) struct Tail {
    number: TailNumber,
    records: Vec<u8>,
    /// Offset before the open block.
    prev: Offset,
    /// Offset of the newest message.
    pub(super) last: Offset,
    base_time_ms: u64,
    blocks: VecDeque<Vec<u8>>,
    /// The number of the first block kept.
    first: u64,
    cursors: Vec<Cursor>,
    /// The next cursor of the walk.
    at: usize,
    /// It waits for a walk, or has one.
    pub(super) dirty: bool,
}

/// One subscriber's place.
#[derive(Debug)]
struct Cursor {
    connection: usize,
    /// The next block, and how much of it is written.
    block: u64,
    at: usize,
    full: bool,
}

impl Tail {
    pub(super) const fn new(number: u64) -> Self {
        Self {
            number: TailNumber(number),
            records: Vec::new(),
            prev: Offset(0),
            last: Offset(0),
            base_time_ms: 0,
            blocks: VecDeque::new(),
            first: 0,
            cursors: Vec::new(),
            at: 0,
            dirty: false,
        }
    }

    /// Subscribes from the next message on; returns its number, and the place of the cursor.
    pub(super) fn join(&mut self, connection: usize) -> (TailNumber, usize) {
        self.seal();
        self.cursors.push(Cursor { connection, block: self.end(), at: 0, full: false });
        (self.number, self.cursors.len() - 1)
    }

    pub(super) fn append(&mut self, now_ms: u64, offset: Offset, tag: Tag, content: Content, payload: &[u8]) {
        if self.records.len() + payload.len() > BLOCK_BYTES {
            self.seal();
        }
        if self.records.is_empty() {
            (self.prev, self.base_time_ms) = (self.last, now_ms);
        }
        let head = Head {
            prev: self.last,
            offset,
            base_time_ms: self.base_time_ms,
            published_at_ms: now_ms,
            content,
            tag,
            ..Head::default()
        };
        block::put_message(&head, payload, &mut self.records);
        self.last = offset;
    }

    /// Goes on with the walk along the cursors for at most `sends` writes; returns how many were made, and whether
    /// the walk is over.
    pub(super) fn walk(&mut self, sends: usize, connections: &mut Slab<Connection>) -> (usize, bool) {
        let mut made = 0;
        while made < sends {
            if self.at.is_multiple_of(TAKEN_ANEW_EVERY) {
                self.seal();
            }
            let Some(cursor) = self.cursors.get_mut(self.at) else {
                self.end_walk();
                return (made, true);
            };
            self.at += 1;
            if cursor.full || cursor.block == self.first + self.blocks.len() as u64 {
                continue;
            }
            let Some(connection) = connections.get_mut(cursor.connection) else { continue };
            // A socket that fails is forgotten when its own event says so.
            cursor.advance(&self.blocks, self.first, &mut connection.stream).ok();
            made += 1;
        }
        (made, false)
    }

    /// Brings one cursor up to date whose socket takes bytes again.
    pub(super) fn resume(&mut self, place: usize, stream: &mut TcpStream) -> io::Result<()> {
        let Some(cursor) = self.cursors.get_mut(place) else { return Ok(()) };
        cursor.full = false;
        while !cursor.full && cursor.block < self.first + self.blocks.len() as u64 {
            cursor.advance(&self.blocks, self.first, stream)?;
        }
        Ok(())
    }

    /// Forgets a subscriber. Its cursor keeps its place among the others and owes nothing.
    pub(super) fn leave(&mut self, place: usize) {
        if let Some(cursor) = self.cursors.get_mut(place) {
            (cursor.full, cursor.block) = (true, u64::MAX);
        }
    }

    fn seal(&mut self) {
        if self.records.is_empty() {
            return;
        }
        let mut header = Vec::with_capacity(block::HEADER_BYTES_MAX);
        block::put_header(
            self.number,
            0,
            false,
            self.prev,
            self.base_time_ms,
            self.records.len(),
            &mut header,
        );
        let mut frame = Vec::with_capacity(header.len() + self.records.len() + 10);
        websocket::put_server_header(Opcode::Binary, header.len() + self.records.len(), &mut frame);
        frame.extend_from_slice(&header);
        frame.append(&mut self.records);
        self.blocks.push_back(frame);
    }

    /// Lets go of blocks that all have; who is still owed something waits for the next walk.
    fn end_walk(&mut self) {
        self.at = 0;
        let end = self.end();
        let needed = self.cursors.iter().map(|cursor| cursor.block).min().unwrap_or(end).min(end);
        self.blocks.drain(..(needed - self.first) as usize);
        self.first = needed;
        self.dirty = self.cursors.iter().any(|cursor| !cursor.full && cursor.block < end);
    }

    fn end(&self) -> u64 {
        self.first + self.blocks.len() as u64
    }
}

impl Cursor {
    /// Writes the blocks after the cursor, as many as one call takes.
    fn advance(&mut self, blocks: &VecDeque<Vec<u8>>, first: u64, stream: &mut TcpStream) -> io::Result<()> {
        let mut parts = [IoSlice::new(&[]); PARTS_MAX];
        let (mut count, mut offered) = (0, 0);
        for (part, block) in parts.iter_mut().zip(blocks.range((self.block - first) as usize..)) {
            let bytes = if count == 0 { &block[self.at..] } else { block.as_slice() };
            if count > 0 && offered + bytes.len() > WRITE_BYTES {
                break;
            }
            *part = IoSlice::new(bytes);
            (count, offered) = (count + 1, offered + bytes.len());
        }
        let result = match count {
            1 => stream.write(&parts[0]),
            _ => stream.write_vectored(&parts[..count]),
        };
        let mut taken = match result {
            Ok(taken) => taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => {
                self.full = true;
                return Err(error);
            }
        };
        self.full = taken < offered;
        for part in &parts[..count] {
            if taken < part.len() {
                self.at += taken;
                return Ok(());
            }
            taken -= part.len();
            (self.block, self.at) = (self.block + 1, 0);
        }
        Ok(())
    }
}

/// As in the hub's walk: late subscribers get what has gathered since it began.
const TAKEN_ANEW_EVERY: usize = 64;
/// What the hub bounds a block by, and a write.
const BLOCK_BYTES: usize = 16 << 10;
const WRITE_BYTES: usize = 256 << 10;
const PARTS_MAX: usize = 64;
