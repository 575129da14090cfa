//! What comes in: bytes to WebSocket messages, messages to frames, frames to the session.

use tidewire_protocol::client_frame::ClientFrame;
use tidewire_protocol::code::Code;
use tidewire_protocol::json;

use crate::clock::Millis;
use crate::dialect::Dialect;
use crate::letter::{Address, Serial};
use crate::session::desk::Demand;
use crate::session::replies::Replies;
use crate::session::telling::failed;
use crate::shard::Shard;
use crate::shard::ending::Ending;
use crate::shard::joining::Wish;
use crate::shard::wire::{ConnectionId, Wire};
use crate::websocket::event::Event;

impl Shard {
    /// How many bytes of a connection may be read at once; 0 while it waits for its token to be checked.
    #[must_use]
    pub fn appetite(&self, id: ConnectionId) -> usize {
        match self.connections.get(id.0 as usize).map(|connection| &connection.session) {
            Some(session) if session.is_waiting() => 0,
            Some(session) if !session.signed_in() => self.topics.limits().first_message_bytes_max,
            Some(_) | None => usize::MAX,
        }
    }

    /// Takes bytes that a socket received.
    pub fn received(&mut self, now: Millis, id: ConnectionId, bytes: &mut [u8], wire: &mut impl Wire) {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        if connection.closing.is_some() || connection.dialect.only_listens() {
            return;
        }
        let known = connection.session.signed_in();
        if known {
            // Until then the clock runs from the handshake: bytes in dribbles buy no time.
            connection.heard = now;
        }
        let replies = Replies::new(connection.dialect);
        self.listen(now, id, bytes, known, replies);
        self.flush(now, id, wire);
    }

    /// Takes bytes of a client that was `known` before, and answers behind what it is told anyway.
    pub(super) fn listen(
        &mut self,
        now: Millis,
        id: ConnectionId,
        bytes: &mut [u8],
        known: bool,
        mut replies: Replies,
    ) {
        let heard = self.hear(now, id, bytes, &mut replies);
        self.gathered.publish(now, &self.topics);
        if let Some(connection) = self.connections.get_mut(id.0 as usize) {
            connection.page_bytes = connection.page_bytes.max(replies.page_bytes());
            replies.seal(&mut connection.outbox, self.topics.metrics());
            if !known && connection.session.signed_in() {
                self.begin_heartbeats(now, id);
            }
        }
        if let Err(ending) = heard.and_then(|()| self.check_outbox(id)) {
            self.close(now, id, ending);
        }
    }

    /// Handles every WebSocket message that the bytes complete.
    fn hear(
        &mut self,
        now: Millis,
        id: ConnectionId,
        mut bytes: &mut [u8],
        replies: &mut Replies,
    ) -> Result<(), Ending> {
        while let Some(connection) = self.connections.get_mut(id.0 as usize) {
            if connection.session.is_waiting() {
                return connection.session.hold_back(bytes).map_err(Ending::Code);
            }
            let known = connection.session.signed_in();
            let limits = if known { &self.read_limits } else { &self.stranger_limits };
            match connection.reader.next(&mut bytes, limits) {
                Ok(None) => break,
                Ok(Some(event)) => self.event(now, id, event, replies)?,
                Err(error) => return Err(Ending::Socket(error.close_code(), "breaks RFC 6455 or a limit")),
            }
        }
        Ok(())
    }

    /// Handles one WebSocket message or control frame.
    fn event(
        &mut self,
        now: Millis,
        id: ConnectionId,
        event: Event<'_>,
        replies: &mut Replies,
    ) -> Result<(), Ending> {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return Ok(()) };
        let bad = Ending::Code(Code::BadFrame);
        match (event, connection.dialect) {
            (Event::Binary(message), Dialect::Binary) => {
                let mut rest = &*message;
                while !rest.is_empty() {
                    if let Some(frame) = ClientFrame::take(&mut rest).map_err(|_| bad)? {
                        self.frame(now, id, frame, replies)?;
                    }
                }
                self.end_message(id)?;
            }
            (Event::Text(message), Dialect::Json) => {
                for object in json::frames(&message).map_err(|_| bad)? {
                    if let Some(frame) = json::take_client(object).map_err(|_| bad)? {
                        self.frame(now, id, frame, replies)?;
                    }
                }
                self.end_message(id)?;
            }
            (Event::Binary(_), Dialect::Json | Dialect::Events(_))
            | (Event::Text(_), Dialect::Binary | Dialect::Events(_)) => return Err(bad),
            (Event::Ping(payload), _) => {
                connection.dialect.put_pong(&payload, &mut connection.outbox);
                self.check_outbox(id)?;
            }
            (Event::Pong, _) => {}
            (Event::Close(words), _) => return Err(Ending::Answer(words.map(|(code, _)| code))),
        }
        Ok(())
    }

    fn end_message(&self, id: ConnectionId) -> Result<(), Ending> {
        let connection = self.connections.get(id.0 as usize);
        connection.map_or(Ok(()), |connection| connection.session.end_message().map_err(Ending::Code))
    }

    /// Handles one frame of the protocol.
    fn frame(
        &mut self,
        now: Millis,
        id: ConnectionId,
        frame: ClientFrame<'_>,
        replies: &mut Replies,
    ) -> Result<(), Ending> {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return Ok(()) };
        if !matches!(frame, ClientFrame::Publish(_) | ClientFrame::Send(_) | ClientFrame::Batch(_)) {
            // What a client said first happens first.
            self.gathered.publish(now, &self.topics);
        }
        let (shard, slot, generation) = (self.index as u32, id.0, connection.generation);
        let address = Address { shard, slot, generation, serial: Serial::default() };
        let (session, mut desk) = connection.at_desk(address, &self.topics, &mut self.gathered, replies);
        match session.handle(now, frame, &mut desk).map_err(Ending::Code)? {
            Demand::Nothing => {}
            Demand::Subscribe { request, selector, start, when_slow } => {
                let wish = Wish { request, selector, start, when_slow };
                if let Err(code) = self.subscribe(now, id, wish, replies) {
                    replies.put(&failed(request, code));
                }
            }
            Demand::Unsubscribe { request, tail } => self.unsubscribe(now, id, request, tail, replies),
        }
        Ok(())
    }
}
