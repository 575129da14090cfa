//! `floor-blocks`: the least that a server must do that writes what the hub writes at saturation. One thread waits
//! with epoll, gathers messages into blocks of up to 16 KiB that all subscribers share, and writes to each what it
//! has not had, several blocks in one call, taken anew every so many subscribers: the hub's bytes in the hub's writes.
//!
//! It speaks just enough of the hub's protocol for the bench. It checks nothing, keeps no history, and resumes nobody.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use tidewire_protocol::client_frame::{ClientFrame, Open, Publish, Subscribe};
use tidewire_protocol::code::{Durability, Outcome};
use tidewire_protocol::hub_frame::{Acked, HubFrame, Opened, Subscribed, Welcome};
use tidewire_protocol::number::{Epoch, Handle as HandleNumber, Offset, Seq, Tag};
use tidewire_protocol::position::Position;

use crate::websocket;

mod connection;
mod tail;

use connection::{Connection, Handle};
use tail::Tail;

/// Serves until the process ends.
///
/// # Errors
/// If it cannot listen.
#[allow(clippy::print_stdout)]
pub fn serve() -> Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut floor = Floor::default();
    let mut events = Events::with_capacity(1_024);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let wait = if floor.walks.is_empty() { None } else { Some(Duration::ZERO) };
        poll.poll(&mut events, wait)?;
        for event in &events {
            if event.token() == LISTENER {
                floor.accept(&listener, &poll)?;
                continue;
            }
            let id = event.token().0;
            if floor.serve(id, event, &mut buffer).is_err() {
                floor.forget(id);
            }
        }
        floor.walk();
    }
}

/// All connections and topics.
#[derive(Default)]
struct Floor {
    connections: Slab<Connection>,
    topics: HashMap<String, usize>,
    tails: Vec<Tail>,
    /// Tails with news; the first one's walk is under way.
    walks: VecDeque<usize>,
    /// Offset of the newest message.
    last: u64,
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener, poll: &Poll) -> Result<()> {
        loop {
            let (mut stream, _) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            stream.set_nodelay(true)?;
            let entry = self.connections.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(entry.key()), interest)?;
            entry.insert(Connection::new(stream));
        }
    }

    fn serve(&mut self, id: usize, event: &Event, buffer: &mut [u8]) -> Result<()> {
        if event.is_writable()
            && let Some(connection) = self.connections.get_mut(id)
        {
            connection.flush()?;
            if let Some((tail, place)) = connection.subscription {
                self.tails[tail].resume(place, &mut connection.stream)?;
            }
        }
        // A short read has emptied the socket, unless its end is to come.
        let mut more = event.is_readable();
        while more {
            let Some(connection) = self.connections.get_mut(id) else { return Ok(()) };
            let (len, full) = connection.read(buffer)?;
            more = len > 0 && (full || event.is_read_closed());
            if len > 0 {
                let used = self.hear(id, &mut buffer[..len])?;
                let connection = self.connections.get_mut(id).context("gone")?;
                connection.keep(&buffer[used..len]);
                connection.flush()?;
            }
        }
        Ok(())
    }

    /// Understands whole frames; returns how many bytes it has used.
    fn hear(&mut self, id: usize, bytes: &mut [u8]) -> Result<usize> {
        let connection = self.connections.get_mut(id).context("gone")?;
        if !connection.open {
            let Some(end) = websocket::head_end(bytes) else { return Ok(0) };
            connection.open();
            return Ok(end);
        }
        let mut used = 0;
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
        while let Some(frame) = websocket::cut_masked(bytes, &mut used)? {
            let mut message = frame.payload;
            while !message.is_empty() {
                match ClientFrame::take(&mut message)? {
                    Some(ClientFrame::Publish(publish)) => self.publish(id, now_ms, &publish)?,
                    Some(ClientFrame::Hello(_)) => self.connections[id].answer(&[welcome(id)]),
                    Some(ClientFrame::Open(open)) => self.open(id, &open),
                    Some(ClientFrame::Subscribe(subscribe)) => self.subscribe(id, &subscribe),
                    Some(other) => bail!("not here: {other:?}"),
                    None => {}
                }
            }
        }
        self.acknowledge(id);
        Ok(used)
    }

    fn open(&mut self, id: usize, open: &Open<'_>) {
        let tail = self.tail(&open.topic);
        let connection = &mut self.connections[id];
        // The bench numbers handles from 1 on, in the order in which it opens them.
        connection.handles.push(Handle { tail, next: open.lowest, unanswered: (0, Offset(0)) });
        let opened = Opened { handle: open.handle, window_new: true, next: open.lowest };
        connection.answer(&[HubFrame::Opened(opened)]);
    }

    fn subscribe(&mut self, id: usize, subscribe: &Subscribe<'_>) {
        let index = self.tail(&subscribe.name);
        let tail = &mut self.tails[index];
        let (number, place) = tail.join(id);
        let connection = &mut self.connections[id];
        connection.subscription = Some((index, place));
        connection.answer(&[HubFrame::Subscribed(Subscribed {
            request: subscribe.request,
            tail: number,
            outcome: Outcome::Live,
            positions: vec![Position { epoch: EPOCH, offset: tail.last }],
            gap: None,
            removals: Offset(0),
        })]);
    }

    fn publish(&mut self, id: usize, now_ms: u64, publish: &Publish<'_>) -> Result<()> {
        let place = publish.handle.0.checked_sub(1).context("no handle")? as usize;
        let connection = &mut self.connections[id];
        let handle = connection.handles.get_mut(place).context("no such handle")?;
        self.last += 1;
        let offset = Offset(self.last);
        match &mut handle.unanswered {
            (0, first) => {
                *first = offset;
                handle.unanswered.0 = 1;
                connection.published_to.push(place);
            }
            (count, _) => *count += 1,
        }
        let tail = &mut self.tails[handle.tail];
        tail.append(now_ms, offset, tag(id), publish.content, &publish.payload);
        if !tail.dirty {
            tail.dirty = true;
            self.walks.push_back(handle.tail);
        }
        Ok(())
    }

    /// Answers everything that one read brought.
    fn acknowledge(&mut self, id: usize) {
        let connection = &mut self.connections[id];
        let mut frames = Vec::new();
        for place in connection.published_to.drain(..) {
            let handle = &mut connection.handles[place];
            let (count, offset) = std::mem::take(&mut handle.unanswered);
            frames.push(HubFrame::Acked(Acked {
                handle: HandleNumber(place as u64 + 1),
                seq: handle.next,
                count,
                epoch: EPOCH,
                offset,
                durability: Durability::Memory,
                duplicate: false,
            }));
            handle.next = Seq(handle.next.0 + count);
        }
        if !frames.is_empty() {
            connection.answer(&frames);
        }
    }

    /// Writes to the next few subscribers; whoever publishes meanwhile is heard afterwards.
    fn walk(&mut self) {
        let mut sends = 0;
        while sends < SENDS_AT_ONCE
            && let Some(&index) = self.walks.front()
        {
            let tail = &mut self.tails[index];
            let (made, over) = tail.walk(SENDS_AT_ONCE - sends, &mut self.connections);
            sends += made;
            if over {
                self.walks.pop_front();
                if tail.dirty {
                    self.walks.push_back(index);
                }
            }
        }
    }

    fn tail(&mut self, topic: &str) -> usize {
        if let Some(index) = self.topics.get(topic) {
            return *index;
        }
        let index = self.tails.len();
        self.tails.push(Tail::new(index as u64 + 1));
        self.topics.insert(topic.to_owned(), index);
        index
    }

    fn forget(&mut self, id: usize) {
        let Some(connection) = self.connections.try_remove(id) else { return };
        if let Some((tail, place)) = connection.subscription {
            self.tails[tail].leave(place);
        }
    }
}

fn welcome(id: usize) -> HubFrame<'static> {
    HubFrame::Welcome(Welcome {
        tag: tag(id),
        heartbeat_ms: 25_000,
        message_bytes_max: 256 << 10,
        in_flight_max: 1_024,
        agent: Cow::Borrowed("floor-blocks"),
        ..Welcome::default()
    })
}

/// Stands in each message, as the hub's does.
const fn tag(id: usize) -> Tag {
    Tag(id as u64 + 1)
}

const LISTENER: Token = Token(usize::MAX);
const EPOCH: Epoch = Epoch(1);
/// About as many as the hub writes, within its 50 us, before it looks for what has come.
const SENDS_AT_ONCE: usize = 16;
const BUFFER_BYTES: usize = 256 << 10;
