//! The accept loop: bounds how many connections speak HTTP, and for how long.
//!
//! `axum::serve` installs no timer, so that a client which never finishes its request would be held for ever;
//! hence a loop of our own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::gate::RETRY_AFTER_FULL;
use crate::gate::door::Door;
use crate::gate::line::Line;
use crate::gate::listener::Listener;
use crate::gate::proxies::Peer;
use crate::gate::refusals::{Reason, Refusals};
use crate::gate::speaking::{Routers, speak_http};
use crate::gate::welcome::{Guest, Unwelcome, turn_away, welcome};
use crate::seats::NoSeat;

/// Accepts connections for ever and answers each by one of `routers`.
pub async fn serve(listener: Listener, routers: Routers, door: Arc<Door>) {
    let room = Arc::new(Semaphore::new(door.limits().handshakes_max));
    let refusals = Arc::new(Semaphore::new(door.limits().refusals_max));
    loop {
        // The semaphore lives as long as this loop and is never closed.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let (stream, peer) = match listener.accept(&door.proxies).await {
            Ok(accepted) => accepted,
            Err(error) => {
                hold_back(&error, &door.refusals).await;
                continue;
            }
        };
        match door.take(peer) {
            Ok(seat) => {
                let (routers, door, refusals) = (routers.clone(), Arc::clone(&door), Arc::clone(&refusals));
                tokio::spawn(async move {
                    // Linux lets a connection have this of its listener.
                    if cfg!(not(target_os = "linux")) {
                        let _ = stream.set_nodelay(true);
                    }
                    match welcome(stream, peer, seat, &door).await {
                        Ok(Guest { stream, peer, seat }) => {
                            let patience = Duration::from_millis(door.limits().http_ms);
                            let line = Arc::new(Line::new(patience, place, seat));
                            speak_http(stream, peer, routers, &door, line).await;
                        }
                        Err(Unwelcome::NoSeat(stream, peer, no_seat)) => {
                            refuse_seat(stream, peer, no_seat, &door, &refusals);
                        }
                        Err(Unwelcome::Over) => {}
                    }
                });
            }
            Err(no_seat) => refuse_seat(stream, peer, no_seat, &door, &refusals),
        }
    }
}

/// Says that too many speak HTTP already.
fn refuse_seat(stream: TcpStream, peer: Peer, no_seat: NoSeat, door: &Door, refusals: &Arc<Semaphore>) {
    door.refusals.refuse(
        Reason::AddressHandshakes,
        Some(peer.address),
        format_args!(
            "too many connections that speak HTTP; there are {}: raise \
             `limits.handshakes_per_address_max`, or name a proxy in `trusted_proxies`",
            door.limits().handshakes_per_address_max
        ),
    );
    // Beyond some, not even a refusal is written: it would be another way to hold sockets.
    // Who speaks TLS would not understand it.
    if door.tls.is_none()
        && let Ok(place) = Arc::clone(refusals).try_acquire_owned()
    {
        tokio::spawn(async move {
            let _held = place;
            let head = format!("503 Service Unavailable\r\nretry-after: {RETRY_AFTER_FULL}");
            turn_away(stream, &head, &no_seat.to_string()).await;
        });
    }
}

/// After an error that will come again at once (no more open files), others get time to go away.
async fn hold_back(error: &io::Error, refusals: &Refusals) {
    let of_the_client = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];
    if of_the_client.contains(&error.kind()) {
        return;
    }
    refusals.refuse(
        Reason::OpenFiles,
        None,
        format_args!("no connection can be accepted for the moment: {error}"),
    );
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
