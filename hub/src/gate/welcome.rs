//! What comes before HTTP on a connection: a PROXY header where one is due, and TLS where that is spoken.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::gate::door::Door;
use crate::gate::proxies::{Peer, Role};
use crate::gate::proxy_header::{self, Named, NoHeader, Unasked, Unnamed};
use crate::gate::refusals::Reason;
use crate::gate::stream::{NoTls, Stream};
use crate::seats::{NoSeat, Seat};

/// What HTTP is to be spoken on.
pub(super) struct Guest {
    pub(super) stream: Stream,
    /// Who is at its other end, by a header if there is one.
    pub(super) peer: Peer,
    /// That of this peer.
    pub(super) seat: Seat,
}

/// Why no HTTP is spoken on a connection.
pub(super) enum Unwelcome {
    /// It is over. What there was to tell is told.
    Over,
    /// Whoever is named as its client has no seat.
    NoSeat(TcpStream, Peer, NoSeat),
}

/// Waits for what is due before HTTP.
pub(super) async fn welcome(
    mut stream: TcpStream,
    mut peer: Peer,
    mut seat: Seat,
    door: &Door,
) -> Result<Guest, Unwelcome> {
    let until = Instant::now() + Duration::from_millis(door.limits().handshake_ms);
    let refuse = |reason, why: &dyn Display| door.refusals.refuse(reason, Some(peer.address), why);
    if door.proxies.say_first && peer.role == Role::Proxy {
        let named = timeout_at(until, proxy_header::read(&mut stream)).await;
        peer = match named.map_err(|_| Unwelcome::Over)? {
            Ok(Named::Client(address)) => {
                let client = door.proxies.peer(address);
                // All seats are as many as places, and this connection has one: there is another.
                drop(seat);
                match door.take(client) {
                    Ok(of_client) => seat = of_client,
                    Err(no_seat) => return Err(Unwelcome::NoSeat(stream, client, no_seat)),
                }
                client
            }
            Ok(Named::Nobody) => Peer { role: Role::Nobody, ..peer },
            Err(Unnamed::NoHeader(why)) => {
                refuse(Reason::ProxyHeader, &format_args!("{SAYS_FIRST}, and there is none: {why}"));
                if why == NoHeader::Other && door.tls.is_none() {
                    turn_away(stream, "400 Bad Request", SAYS_FIRST).await;
                }
                return Err(Unwelcome::Over);
            }
            Err(Unnamed::Gone(_)) => return Err(Unwelcome::Over),
        };
    }
    let Some(tls) = &door.tls else {
        let stream = Stream::plain(stream, peer.address, &door.refusals);
        return Ok(Guest { stream, peer, seat });
    };
    let refuse = |reason, why: &dyn Display| door.refusals.refuse(reason, Some(peer.address), why);
    let secured = timeout_at(until, Stream::secure(stream, tls.config())).await;
    match secured.map_err(|_| Unwelcome::Over)? {
        Ok(stream) => return Ok(Guest { stream, peer, seat }),
        Err(NoTls::Plain(stream)) => {
            refuse(Reason::Tls, &format_args!("a request without TLS; {SPEAKS_TLS}"));
            turn_away(stream, "400 Bad Request", SPEAKS_TLS).await;
        }
        Err(NoTls::Unasked) => refuse(Reason::ProxyHeader, &Unasked),
        Err(NoTls::Failed(_)) if !tls.is_there() => {
            refuse(Reason::Tls, &"there is no certificate yet; the log says why");
        }
        Err(NoTls::Failed(error)) => {
            refuse(Reason::Tls, &format_args!("the TLS handshake failed: {error}"));
        }
        Err(NoTls::Proved | NoTls::Gone) => {}
    }
    Err(Unwelcome::Over)
}

/// Gives an answer without reading the request, and waits a little so that the answer is not lost in a reset.
pub(super) async fn turn_away(mut stream: TcpStream, head: &str, why: &str) {
    let answer = format!(
        "HTTP/1.1 {head}\r\nconnection: close\r\n\
         content-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\r\n{why}\n",
        why.len() + 1
    );
    let farewell = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        let mut ignored = [0; 1024];
        while stream.read(&mut ignored).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(REFUSAL_TIME, farewell).await;
}

/// How long a refused client may take to read why.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
const SPEAKS_TLS: &str = "this port speaks TLS: connect by https or wss";
const SAYS_FIRST: &str = "whoever is in `trusted_proxies` begins with a PROXY header here";
