//! Every bound and delay that is not the application's to choose, with its reason.

use crate::input::Millis;

/// From asking for a link until signed in: a phone on a bad network needs seconds, nobody waits longer.
pub(crate) const CONNECT_MS_MAX: Millis = 10_000;
/// What the application may take for a token; it may have to ask its own server.
pub(crate) const TOKEN_MS_MAX: Millis = 30_000;
/// An application that has no token yet, while the one before still lasts, is asked again after so long.
pub(crate) const TOKEN_AGAIN_MS: Millis = 5_000;
/// A token that the hub refuses for now is brought again after so long, or later if the hub says so. One that lasts for less
/// is as good as none.
pub(crate) const TOKEN_PAUSE_MS: Millis = 1_000;
/// The hub has said goodbye and should have closed; outcomes may still come until then.
pub(crate) const LEAVE_MS_MAX: Millis = 5_000;
/// Heartbeat of a hub that told none.
pub(crate) const HEARTBEAT_MS_DEFAULT: Millis = 30_000;

/// A hub that was asked for a heartbeat answers within this, or the link is dead: a person waits no longer for a page.
pub(crate) const PROBE_MS_MAX: Millis = 4_000;
/// Or later by what lies on the way: a link that carries so many bytes a millisecond is slow, not dead.
pub(crate) const PROBE_BYTES_PER_MS: u64 = 16;
/// What was sent has been without an answer, or any other word, for so long: ask whether the hub is there.
pub(crate) const UNANSWERED_MS_MAX: Millis = 5_000;

/// The WebSocket close code for "all is well".
pub(crate) const CLOSE_NORMAL: u16 = 1_000;

/// The first retry comes within this.
pub(crate) const BACKOFF_MS_FIRST: Millis = 1_000;
/// No retry waits longer: a person looks at the page.
pub(crate) const BACKOFF_MS_MAX: Millis = 30_000;
/// Online for so long, a connection counts as good, and the next failure as the first: what had waited for the hub has gone
/// out by then. A hub that ends every link at just that age is asked for one every three seconds by each client; one that
/// ends them sooner is asked ever more rarely.
pub(crate) const STABLE_MS: Millis = 3_000;

/// First wait after something on a live connection was refused for now.
pub(crate) const RETRY_MS_MIN: Millis = 50;
/// Longest such wait.
pub(crate) const RETRY_MS_MAX: Millis = 5_000;

/// Between two looks for messages that are worth nothing any more: each goes through all. What goes out is looked at besides.
pub(crate) const EXPIRY_MS: Millis = 50;

/// A WebSocket message gathers this much unless one message is larger: what a hub's block has too.
pub(crate) const PACKET_BYTES: usize = 16 << 10;
/// What a publish frame needs besides its payload, generously.
pub(crate) const HEAD_BYTES: usize = 40;
/// Links in a row that may be closed for what was sent on them, without a message to blame, before we give up.
pub(crate) const BLAMES_MAX: u32 = 5;
/// Payload on its way without an answer, all topics together; more only fills buffers on the way.
pub(crate) const IN_FLIGHT_BYTES_MAX: u64 = 1 << 20;
/// Publishes on their way per topic where the hub told no number.
pub(crate) const IN_FLIGHT_DEFAULT: u64 = 64;
/// Topics with a handle, and topics whose next seq is remembered while nothing waits for them.
pub(crate) const TOPICS_MAX: usize = 1_024;

/// Numbers of handles for each party, one behind another.
pub(crate) const HANDLES_MAX: u64 = 1 << 20;

/// Topics that updates go to under a handle, or that were refused one; one more makes the oldest leave.
#[cfg(feature = "sends")]
pub(crate) const SEND_TOPICS_MAX: usize = 1_024;
/// Bytes of updates sent that the hub is not known to have read: what a fast link needs to stay busy.
#[cfg(feature = "sends")]
pub(crate) const UNREAD_BYTES_MAX: usize = 256 << 10;
/// Behind so many bytes of updates the hub is asked how far it has read.
#[cfg(feature = "sends")]
pub(crate) const PROBE_BYTES: usize = 16 << 10;
/// Or behind the first update after so long.
#[cfg(feature = "sends")]
pub(crate) const PROBE_MS: Millis = 1_000;
/// Without an answer for so long, the link is stalled: what is put on it now comes too late.
#[cfg(feature = "sends")]
pub(crate) const STALL_MS: Millis = 2_000;
/// A topic that the hub refused for good is tried again after this: rules change, and nobody tells.
#[cfg(feature = "sends")]
pub(crate) const SEND_REFUSED_MS: Millis = 30_000;
/// Bytes of updates that wait for a link that can take them.
#[cfg(feature = "sends")]
pub(crate) const WAITING_BYTES_MAX: usize = 64 << 10;

/// Bytes of history asked for at once.
pub(crate) const PAGE_BYTES_MAX: u32 = 256 << 10;
/// Bytes of messages that the answer to one question gathers, of however many pages of the hub's: what a browser can hold
/// of each of a few of them.
pub(crate) const ANSWER_BYTES_MAX: u32 = 8 << 20;
/// Pages that are asked for at once: a few keep the link busy, and a hub
/// refuses more than it has room for.
pub(crate) const PAGES_AT_ONCE_MAX: usize = 8;
/// Tags that the parties have and had and that still count as theirs; a forgotten one costs an echo.
pub(crate) const TAGS_MAX: usize = 64;
/// Logs whose former tags are known; a hub has few, and a forgotten one costs an echo.
pub(crate) const LOGS_MAX: usize = 64;
/// The longest question, generously: a name, and places in a few logs.
pub(crate) const ASK_BYTES_MAX: usize = 400;
