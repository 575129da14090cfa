//! What the client asks of the hub next, as far as a packet has room for it.

use tidewire_protocol::client_frame::Hello;

use crate::client::Client;
use crate::input::Millis;

impl Client {
    pub(super) fn drive(&mut self, now: Millis) {
        self.now = now;
        self.ask();
        self.sends.drive(now, self.connection.is_online(), false, &mut self.requests, &mut self.outputs);
    }

    /// Asks for what is wanted of subscriptions, as far as a packet has room for it.
    pub(super) fn ask(&mut self) {
        if is_hello(&self.wire) {
            return;
        }
        let wire = if self.connection.is_up() { Some(&mut self.wire) } else { None };
        let packet_bytes = self.parties.allowance().packet_bytes;
        self.subscriptions.drive(self.now, packet_bytes, &mut self.requests, wire, &mut self.outputs);
    }
}

/// A hub takes little before it knows who is there, so what says that goes alone.
pub(super) fn is_hello(packet: &[u8]) -> bool {
    packet.first() == Some(&Hello::KIND)
}
