//! What happens next in a world, as its queue has it.

use crate::world::callers::CallIndex;
use crate::world::link::LinkId;
use crate::world::tokens::TokenIndex;

/// Something to come.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// A shard's turn, if this is the one it waits for.
    Turn { shard: usize, stamp: u32 },
    /// Bytes reach the hub.
    Up(LinkId),
    /// Bytes reach the client.
    Down(LinkId),
    /// The hub's socket takes bytes again.
    Writable(LinkId),
    /// A client's try to connect succeeds, or not.
    Connect { actor: usize, attempt: u32 },
    /// The client learns that its link is broken.
    Lost(LinkId),
    /// The hub learns it.
    Gone(LinkId),
    /// A client's deadline.
    Timer(usize),
    /// An application does something.
    Act(usize),
    /// An application is done with messages.
    Settle { actor: usize, listener: usize, bytes: u32 },
    /// Something befalls a client.
    Fault(usize),
    /// Something befalls the hub.
    HubFault,
    /// Somebody sets the system's clock.
    Correct,
    /// The hub starts again.
    HubUp,
    /// The access rules change.
    Rules,
    /// The engine stores something.
    Engine,
    /// A step of storing a durable log.
    Store,
    /// There is room on the disk again.
    Room,
    /// A hub whose log has failed is stopped.
    Failed,
    /// A step of a read of many topics.
    Read,
    /// A step of a read from a disk.
    Fetch,
    /// Topics of the ear's part are aged, and memory is looked at.
    Sweep,
    /// A client is told to be quiet.
    Suspend(usize),
    /// The network tells a client that it is back.
    Online(usize),
    /// A client that had reason to doubt its link has had its time.
    Doubted { actor: usize, link: LinkId },
    /// An application closes its client.
    Close(usize),
    /// Another client comes for one that is closed for ever.
    Replace,
    /// A hostile client does something.
    Rage(usize),
    /// Somebody comes to listen to an event stream, if this is the try that counts.
    Come { source: usize, attempt: u32 },
    /// Something befalls one who does.
    SourceFault(usize),
    /// An application gives its client a token.
    Token { actor: usize, is_refused: bool },
    /// A token is checked.
    Check,
    /// Tokens are taken back.
    Revoke,
    /// A token has ended a while ago.
    TokenEnded(TokenIndex),
    /// Somebody makes a call.
    CallerActs(usize),
    /// A call's request arrives.
    Called(CallIndex),
    /// What came for those who call is taken.
    Answers,
    /// A call that waits for news waits no longer.
    Patience(CallIndex),
}
