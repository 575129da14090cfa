//! One address on which connections are accepted: how many may speak HTTP there at once, and from where.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use crate::gate::limits::Limits;
use crate::gate::proxies::{Peer, Proxies, Role};
use crate::gate::refusals::Refusals;
use crate::seats::{NoSeat, Seat, Seats};
use crate::tls::Tls;

/// What an accept loop needs to know.
#[derive(Debug)]
pub struct Door {
    /// Bounds on what is accepted here.
    limits: RwLock<Arc<Limits>>,
    /// Proxies that are believed.
    pub proxies: Proxies,
    /// Nothing else than TLS is spoken here, with this certificate.
    pub tls: Option<Arc<Tls>>,
    /// Where refusals are counted.
    pub refusals: Arc<Refusals>,
    /// Connections that stand here: none of those that are in.
    handshakes: Arc<Seats>,
    closing: watch::Sender<bool>,
}

impl Door {
    /// A door with nobody at it.
    pub fn new(
        limits: Limits,
        proxies: Proxies,
        tls: Option<Arc<Tls>>,
        refusals: Arc<Refusals>,
    ) -> Arc<Self> {
        let handshakes = Seats::new(limits.handshakes_max, limits.handshakes_per_address_max);
        let limits = RwLock::new(Arc::new(limits));
        Arc::new(Self { limits, proxies, tls, refusals, handshakes, closing: watch::Sender::default() })
    }

    /// Bounds on what is accepted here.
    pub fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on others hold; who is here already goes on as it began.
    pub fn change(&self, limits: Limits) {
        self.handshakes.change(limits.handshakes_max, limits.handshakes_per_address_max);
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
    }

    /// A seat for a peer that speaks HTTP. A trusted proxy brings everybody's connections.
    ///
    /// # Errors
    /// [`NoSeat`] says which bound is reached.
    pub fn take(&self, peer: Peer) -> Result<Seat, NoSeat> {
        match peer.role {
            Role::Client => self.handshakes.take(peer.address),
            Role::Proxy | Role::Nobody => self.handshakes.take_of_many(peer.address),
        }
    }

    /// From now on no connection is kept for a next request.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Whether it is so.
    pub fn is_closed(&self) -> bool {
        *self.closing.borrow()
    }

    /// Waits until it is.
    pub async fn closed(&self) {
        // It cannot fail while the door is there.
        let _ = self.closing.subscribe().wait_for(|is_closed| *is_closed).await;
    }

    /// Whether so many speak HTTP here, or come from a peer, that none should stay longer than it needs.
    pub fn is_crowded(&self, peer: Peer) -> bool {
        self.handshakes.is_half_taken(peer.address, peer.role != Role::Client)
    }

    /// Connections that speak HTTP here now.
    pub fn handshakes(&self) -> usize {
        self.handshakes.count()
    }
}
