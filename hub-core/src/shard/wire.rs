//! What the shell lends the loop: sockets by number, and nothing else of them.

/// A connection's place in its shard. Free to be used again once the connection is closed or gone, so the
/// shell must let go of it at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

/// The sockets of a shard.
pub trait Wire {
    /// Writes as much of the parts, in order, as the socket takes now.
    fn send(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Sent;

    /// What waits in the socket is wanted again, by a connection of which nothing was to be read.
    fn resume(&mut self, _id: ConnectionId) {}

    /// Closes the socket. The shard has forgotten the connection already.
    fn close(&mut self, id: ConnectionId);
}

/// What a socket took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// So many bytes. Fewer than were offered means that it is full for now.
    Bytes(usize),
    /// It has failed; the shell will say [`crate::shard::Shard::gone`].
    Gone,
}
