//! What comes in: bytes to WebSocket messages, messages to frames, frames to the session.

use tidewire_protocol::client_frame::ClientFrame;
use tidewire_protocol::code::{Code, WhenSlow};
use tidewire_protocol::hub_frame::{HubFrame, Subscribed, Unsubscribed};
use tidewire_protocol::json;
use tidewire_protocol::name::Selector;
use tidewire_protocol::number::{Handle, Offset, Participant, Request, TailNumber};
use tidewire_protocol::position::Start;

use crate::access::Granted;
use crate::clock::Millis;
use crate::inbox::Origin;
use crate::session::desk::{Demand, Desk};
use crate::session::replies::{Encoding, Replies};
use crate::session::telling::failed;
use crate::shard::Shard;
use crate::shard::audience::Entry;
use crate::shard::connection::Subscription;
use crate::shard::ending::Ending;
use crate::shard::wire::{ConnectionId, Wire};
use crate::websocket::event::Event;
use crate::websocket::writer::write_pong;

impl Shard {
    /// Takes bytes that a socket received.
    pub fn received(&mut self, now: Millis, id: ConnectionId, bytes: &mut [u8], wire: &mut impl Wire) {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        if connection.closing.is_some() {
            return;
        }
        if connection.session.signed_in() {
            // Until then the clock runs from the handshake: bytes in dribbles buy no time.
            connection.heard = now;
        }
        let mut replies = Replies::new(connection.encoding);
        let heard = self.hear(now, id, bytes, &mut replies);
        self.batch.publish(now, &self.topics);
        if let Some(connection) = self.connections.get_mut(id.0 as usize) {
            replies.seal(&mut connection.outbox);
        }
        if let Err(ending) = heard.and_then(|()| self.check_outbox(id)) {
            self.close(now, id, ending);
        }
        self.flush(now, id, wire);
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
        match (event, connection.encoding) {
            (Event::Binary(message), Encoding::Binary) => {
                let mut rest = &*message;
                while !rest.is_empty() {
                    if let Some(frame) = ClientFrame::take(&mut rest).map_err(|_| bad)? {
                        self.frame(now, id, frame, replies)?;
                    }
                }
            }
            (Event::Text(message), Encoding::Json) => {
                for object in json::frames(&message).map_err(|_| bad)? {
                    if let Some(frame) = json::take_client(object).map_err(|_| bad)? {
                        self.frame(now, id, frame, replies)?;
                    }
                }
            }
            (Event::Binary(_), Encoding::Json) | (Event::Text(_), Encoding::Binary) => return Err(bad),
            (Event::Ping(payload), _) => {
                write_pong(&mut connection.outbox, &payload);
                self.check_outbox(id)?;
            }
            (Event::Pong, _) => {}
            (Event::Close(words), _) => return Err(Ending::Answer(words.map(|(code, _)| code))),
        }
        Ok(())
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
        if !matches!(frame, ClientFrame::Publish(_)) {
            // What a client said first happens first.
            self.batch.publish(now, &self.topics);
        }
        let mut desk = Desk {
            topics: &self.topics,
            replies,
            batch: &mut self.batch,
            origin: Origin {
                shard: self.index as u32,
                connection: id.0,
                generation: connection.generation,
                handle: Handle(0),
                participant: Participant(0),
            },
            account: &connection.account,
            unread_bytes: connection.outbox.len(),
            subscriptions: connection.subscriptions.len(),
            patterns: connection.patterns,
        };
        match connection.session.handle(now, frame, &mut desk).map_err(Ending::Code)? {
            Demand::Nothing => {}
            Demand::Subscribe { request, selector, start, when_slow } => {
                let subscribed = self.subscribe(now, id, &selector, &start, when_slow);
                replies.put(&match subscribed {
                    Ok(subscribed) => HubFrame::Subscribed(Subscribed { request, ..subscribed }),
                    Err(code) => failed(request, code),
                });
            }
            Demand::Unsubscribe { request, tail } => self.unsubscribe(id, request, tail, replies),
        }
        Ok(())
    }

    /// Adds a cursor, which lags until its connection is served.
    fn subscribe(
        &mut self,
        now: Millis,
        id: ConnectionId,
        selector: &Granted<Selector>,
        start: &Start,
        when_slow: WhenSlow,
    ) -> Result<Subscribed, Code> {
        let connection = self.connections.get_mut(id.0 as usize).ok_or(Code::Internal)?;
        let joined = self.topics.join(now, self.index, selector, start)?;
        let tail = joined.tail.number;
        if connection.subscription(tail).is_some() {
            joined.tail.marks.of(self.index).leave();
            return Err(Code::LimitReached);
        }
        let stand = joined.stand;
        let entry =
            Entry { cursor: stand.cursor, connection: id, encoding: connection.encoding, parked: true };
        let (audience, place) = self.audiences.join(&joined.tail, entry);
        let told_gone = stand.gap.map_or(Offset(0), |gap| gap.to);
        let pattern = matches!(**selector, Selector::Pattern(_));
        connection.subscribe(Subscription {
            tail,
            audience,
            entry: place,
            when_slow,
            pattern,
            told_gone,
            grant: selector.grant(),
            caught_up: false,
        });
        self.topics.metrics().subscriptions.add(1);
        let positions = vec![self.topics.position(stand.cursor)];
        Ok(Subscribed { request: Request(0), tail, outcome: stand.outcome, positions, gap: stand.gap })
    }

    fn unsubscribe(&mut self, id: ConnectionId, request: Request, tail: TailNumber, replies: &mut Replies) {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        let Some(subscription) = connection.unsubscribe(tail) else {
            replies.put(&failed(request, Code::UnknownNumber));
            return;
        };
        self.audiences.leave(&subscription, &mut self.connections);
        self.topics.metrics().subscriptions.sub(1);
        replies.put(&HubFrame::Unsubscribed(Unsubscribed { request, tail, ..Unsubscribed::default() }));
    }
}
