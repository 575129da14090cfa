//! What the shell tells the client.

/// Milliseconds on a clock of the shell's choice that never goes back.
pub type Millis = u64;

/// A time that does not come.
pub(crate) const NEVER: Millis = Millis::MAX;

/// Something that happened outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// The link that [`crate::output::Output::OpenLink`] asked for is up.
    LinkOpened,
    /// The link is gone, or could not be had. Never told of a link that the client itself closed.
    LinkClosed {
        /// The WebSocket close code, or 1006 where there was none.
        code: u16,
    },
    /// One whole binary WebSocket message. Spans in the events that follow count in it.
    Received(&'a [u8]),
    /// The time that [`crate::client::Client::deadline`] told has come.
    Timeout,
    /// The network is back, or the page is shown again: try at once, unless the hub asked to stay away, and end a
    /// [`Self::Suspend`]. A link that is there is given up unless the hub answers within seconds.
    Online,
    /// Close the link and stay away until [`Self::Online`]: the page is hidden for good, or a user wants quiet.
    Suspend,
}
