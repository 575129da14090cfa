//! Answers that go on: HTTP has written the head, and a shard goes on with the body, as with a WebSocket.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use tidewire_hub_core::shard::listening::Listening;
use tracing::warn;

use crate::gate::line::Line;
use crate::gate::link::Handover;
use crate::gate::pipe::Pipe;
use crate::gate::refusals::Reason;
use crate::gate::stream::Stream;
use crate::gate::{Gate, NotNow};
use crate::reactor::{Newcomer, Role};
use crate::seats::{NoSeat, Seat};

/// What a request brings with it whose answer may go on elsewhere.
pub type Leave = Arc<Handover<Stream>>;

/// How the shard gets at whoever listens.
#[derive(Debug, Clone, Copy)]
pub enum Way<'a> {
    /// The connection is the shard's from then on.
    Leaves(&'a Leave),
    /// The connection has other answers too.
    Stays(&'a Arc<Line>),
}

impl Gate {
    /// Has a shard go on with the answer to somebody who only listens, and may have a seat already: gives the answer's body.
    ///
    /// # Errors
    /// [`NotNow`] says why there is no room.
    pub fn go_on(
        self: &Arc<Self>,
        way: Way<'_>,
        client: IpAddr,
        seat: Option<Seat>,
        listening: Listening,
    ) -> Result<Body, NotNow> {
        let seat = seat.map_or_else(|| self.admit(client), Ok)?;
        let arrival = self.reactor.topics().arrive();
        let role = Role::Listener(Box::new(listening));
        let leave = match way {
            Way::Leaves(leave) => leave,
            Way::Stays(line) => {
                let pair = Pipe::pair(self.admit(client)?, line.keep_busy());
                let (stream, body) = pair.map_err(|error| {
                    self.refuse(Reason::OpenFiles, client, format_args!("no pair of sockets: {error}"));
                    NoSeat::Full
                })?;
                self.reactor.welcome(Newcomer { stream, tls: None, role, seat, arrival });
                return Ok(Body::new(body));
            }
        };
        let (body, taken) = leave.ask();
        let gate = Arc::clone(self);
        tokio::spawn(async move {
            // Who goes away before has nothing taken over.
            let Ok(stream) = taken.await else { return };
            match stream.into_parts() {
                Ok((stream, tls)) => {
                    gate.reactor.welcome(Newcomer { stream, tls, role, seat, arrival });
                }
                Err(error) => warn!(target: "gate", "a socket could not be taken over: {error}"),
            }
        });
        Ok(Body::new(body))
    }
}
