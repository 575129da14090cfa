//! Every bound of the hub, with its default and the reason for it.

pub mod agreement;

pub mod of_bearer;

pub mod rates;

use tidewire_protocol::attributes::{HEADERS_BYTES_MAX, KEY_BYTES_MAX};

/// What the hub takes and holds at most. Every field can be set in the configuration under `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message's payload. 256 KiB: a message is an event, not a file.
    pub message_bytes_max: usize,
    /// Bytes of one WebSocket message from a client. Room for one largest message and its frame in JSON, where a
    /// byte of text may become six, or for a batch.
    pub frame_bytes_max: usize,
    /// Bytes of a client's first message. A token fits, and a stranger holds no more of our memory.
    pub first_message_bytes_max: usize,
    /// WebSocket frames that one message may be cut into. Conformance asks for 65,536 at least.
    pub fragments_max: u32,
    /// Milliseconds from the handshake to a complete `hello`. Slow networks need one, attackers want more.
    pub sign_in_ms: u64,
    /// Milliseconds between heartbeats. Below the 30 s at which proxies and phones drop idle links.
    pub heartbeat_ms: u64,
    /// Bytes of answers a client may leave unread before it is disconnected; one page may come on top.
    pub outbox_bytes_max: usize,
    /// Subscriptions of one connection. About 100 bytes each, and more for the first to a topic and for patterns, which
    /// count with names, handles, windows and reads.
    pub subscriptions_max: usize,
    /// Of those, patterns: each costs work on every publish that it matches.
    pub patterns_max: usize,
    /// Kinds of patterns (by where their wildcards stand) that are listened to, over all connections: a publish costs
    /// work for each. One address may bring as many as are left for others.
    pub pattern_shapes_max: usize,
    /// Participants on one connection: tabs of one browser.
    pub participants_max: usize,
    /// Handles (producer and topic) open on one connection, and as many for updates that may be lost. A back end may
    /// publish to 100,000 topics over one.
    pub handles_max: usize,
    /// Bytes of all connections' handles. About 72 each, and the name until it is published to; one address may have
    /// half of all at most.
    pub handles_bytes_max: usize,
    /// Unacknowledged publishes of one producer on one topic.
    pub in_flight_max: u64,
    /// Publishes a second that one connection may make over any ten seconds; 0 for no limit.
    pub publishes_per_second_max: u64,
    /// The same for all connections of one address together; 0 for no limit.
    pub publishes_per_second_per_address_max: u64,
    /// Tokens between dots in a topic name.
    pub topic_depth_max: usize,
    /// Topics that the hub knows at once, patterns that are listened to counted in. With handles, subscriptions, windows and
    /// reads they take half of the node at most, which at 768 bytes each are 700,000 by default; one address may have half of all at most.
    pub topics_max: usize,
    /// Bytes of producers' windows. 64 MiB are some 700,000; the oldest unused one of the address that has most goes
    /// first, and one address may use half of all at most.
    pub windows_bytes_max: usize,
    /// Bytes of producers that are remembered though nobody uses them, so that older incarnations stay fenced.
    pub producers_bytes_max: usize,
    /// Milliseconds a producer window is kept without use. 24 h: a laptop closed overnight.
    pub window_ms: u64,
    /// Milliseconds for which a topic that keeps the latest message of each key keeps that a key was removed: who is away for
    /// longer reads all anew. 24 h, like windows.
    pub removals_ms: u64,
    /// Bytes that reads of many topics may keep so as to go on where they were.
    pub reading_bytes_max: usize,
    /// Bytes of all that is held (messages, what is kept about clients, answers) before history goes early, of those
    /// addresses first that hold most. A quarter is left for messages: all else counts up to the rest, whatever its own
    /// limits are.
    pub node_bytes_max: usize,
    /// Bytes a block gathers before it is sealed, unless one message is larger.
    pub block_bytes: usize,
    /// Bytes that a pattern's tail keeps; older messages are merged from the topics.
    pub pattern_tail_bytes: usize,
    /// Bytes that a topic without retention keeps so that a short break can be resumed.
    pub bare_tail_bytes: usize,
    /// Bytes of messages on one page of history, in the encoding of the one who asks.
    pub page_bytes_max: usize,
    /// Bytes a subscriber may lag where it asked to skip or be disconnected when slow.
    pub lag_bytes_max: usize,
    /// Bytes of half-written blocks that are kept only because slow connections have yet to take the rest, over all of them,
    /// before those have to resume whose addresses keep most. A 32nd of the node, which is the most that counts.
    pub pinned_bytes_max: usize,
    /// Bytes of answers that all clients together may leave unread, before those go that leave most. A sixteenth of the
    /// node, which is the most that counts, but for two longest answers: a thousand pages.
    pub unread_bytes_max: usize,
    /// Bytes of messages that have begun to come and are not whole, of all clients together, before those go that hold
    /// most. A sixteenth of the node, which is the most that counts, but for two largest frames: 256 largest messages at once.
    pub half_received_bytes_max: usize,
    /// Sends in one slice of a walk. Eight kept the ack's p99 at 3 ms under 8,000 subscribers, 256 took 22 ms.
    pub slice_sends: usize,
    /// Bytes handed to a socket in one write, and about what a slice of a walk writes in all. 256 KiB: with 64 KiB,
    /// large messages went one by one and cost a third more.
    pub write_bytes: usize,
    /// Bytes of publishes that wait for the engine before more are refused as overloaded.
    pub pending_bytes_max: usize,
    /// Milliseconds a closing connection gets to take its last frames.
    pub close_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: 256 << 10,
            frame_bytes_max: (1_536 << 10) + (32 << 10),
            first_message_bytes_max: 16 << 10,
            fragments_max: 65_536,
            sign_in_ms: 5_000,
            heartbeat_ms: 25_000,
            outbox_bytes_max: 1 << 20,
            subscriptions_max: 1_000,
            patterns_max: 100,
            pattern_shapes_max: 256,
            participants_max: 64,
            handles_max: 131_072,
            handles_bytes_max: 64 << 20,
            in_flight_max: 1_024,
            publishes_per_second_max: 0,
            publishes_per_second_per_address_max: 0,
            topic_depth_max: 16,
            topics_max: 1_000_000,
            windows_bytes_max: 64 << 20,
            producers_bytes_max: 32 << 20,
            window_ms: 24 * 3_600_000,
            removals_ms: 24 * 3_600_000,
            reading_bytes_max: 64 << 20,
            node_bytes_max: 1 << 30,
            block_bytes: 16 << 10,
            pattern_tail_bytes: 1 << 20,
            bare_tail_bytes: 256 << 10,
            page_bytes_max: 64 << 10,
            lag_bytes_max: 1 << 20,
            pinned_bytes_max: 32 << 20,
            unread_bytes_max: 64 << 20,
            half_received_bytes_max: 64 << 20,
            slice_sends: 8,
            write_bytes: 256 << 10,
            pending_bytes_max: 64 << 20,
            close_ms: 2_000,
        }
    }
}

impl Limits {
    /// Bytes of names, handles, subscriptions, tokens, windows and reads together. With what follows that is three quarters of a node
    /// at most, so that a quarter is left for messages whatever clients do; but where a few largest frames, answers and blocks are more
    /// than their parts of a small node.
    #[must_use]
    pub fn known_bytes_max(&self) -> usize {
        // What begins to come has more than its part where frames are large, and what is unread where answers are.
        let large =
            [self.half_received_fit(), self.unread_fit()].map(|fit| fit.saturating_sub(self.parts(2)));
        let others = large.into_iter().fold(self.unclaimed_fit(), usize::saturating_add);
        self.parts(16).saturating_sub(others).max(LEAST_KNOWN_BYTES)
    }

    /// [`Self::windows_bytes_max`], but for what leaves room for those who are here.
    #[must_use]
    pub fn windows_fit(&self) -> usize {
        self.windows_bytes_max.min(self.known_bytes_max() / 4)
    }

    /// Milliseconds that a client may be silent: one heartbeat and its answer may be lost.
    #[must_use]
    pub fn silent_ms(&self) -> u64 {
        2 * self.heartbeat_ms
    }

    /// [`Self::producers_bytes_max`], but for what a node has no room for.
    #[must_use]
    pub fn producers_fit(&self) -> usize {
        self.producers_bytes_max.min(self.parts(1)).min(self.known_bytes_max() / 8)
    }

    /// The same of [`Self::unread_bytes_max`], but never less than two longest answers: what one is written into may have twice
    /// its bytes.
    #[must_use]
    pub fn unread_fit(&self) -> usize {
        self.unread_bytes_max.min(self.parts(2).max(self.longest_answer().saturating_mul(2)))
    }

    /// The same of [`Self::half_received_bytes_max`], but never less than two largest frames: one address has half at most.
    #[must_use]
    pub fn half_received_fit(&self) -> usize {
        self.half_received_bytes_max.min(self.parts(2).max(self.frame_bytes_max.saturating_mul(2)))
    }

    /// The same of [`Self::pinned_bytes_max`], but never less than one block may take. Those who were told to go may keep as
    /// much again until they have gone.
    #[must_use]
    pub fn pinned_fit(&self) -> usize {
        let block = self.message_bytes_max.saturating_mul(1 + ESCAPED_BYTES_MAX) + ANSWER_FIELDS_BYTES;
        self.pinned_bytes_max.min(self.parts(1).max(block))
    }

    /// Bytes of all that was read and not handed over yet: beyond that nothing more is read, for anybody.
    #[must_use]
    pub fn unclaimed_fit(&self) -> usize {
        (self.node_bytes_max / 64).max(LEAST_BYTES)
    }

    /// Bytes of names of which it is remembered that they went.
    #[must_use]
    pub fn gone_names_fit(&self) -> usize {
        self.node_bytes_max / 16
    }

    /// Bytes of the latest messages of keys that may be held: the quarter of a node that is left for messages, since none of it
    /// goes where room is short.
    #[must_use]
    pub fn latest_fit(&self) -> usize {
        self.node_bytes_max / 4
    }

    /// So many of the 32 parts of a node. One that may hold next to nothing holds some bytes all the same.
    fn parts(&self, count: usize) -> usize {
        (self.node_bytes_max / 32).saturating_mul(count).max(LEAST_BYTES)
    }

    /// Bytes that tails of patterns should take together, and may for a moment take twice.
    #[must_use]
    pub fn doubles_bytes_max(&self) -> usize {
        self.node_bytes_max / 8
    }

    /// Bytes of the longest single answer of any kind: by HTTP a page is written anew, in the encoding that makes it longest.
    fn longest_answer(&self) -> usize {
        let page = self.page_bytes_max.max(self.message_bytes_max);
        page.saturating_mul(ESCAPED_BYTES_MAX).saturating_add(ANSWER_FIELDS_BYTES)
    }

    /// Bytes of the longest single answer by WebSocket: a page, or one largest message in the encoding that makes it longest. A client
    /// may leave one of them unread beyond [`Self::outbox_bytes_max`], or it could never read that message.
    #[must_use]
    pub fn answer_bytes_max(&self) -> usize {
        let message = self.message_bytes_max.saturating_mul(ESCAPED_BYTES_MAX);
        self.page_bytes_max.max(message).saturating_add(ANSWER_FIELDS_BYTES)
    }
}

/// Bytes of a character in JSON that has to be written as `\u0000`.
pub const ESCAPED_BYTES_MAX: usize = 6;
/// Bytes of a message's key and headers.
pub const ATTRIBUTES_BYTES_MAX: usize = KEY_BYTES_MAX + HEADERS_BYTES_MAX;
/// Bytes of everything else in an answer with one message: positions, names, a key and headers, the frame.
pub const ANSWER_FIELDS_BYTES: usize = (8 << 10) + ESCAPED_BYTES_MAX * ATTRIBUTES_BYTES_MAX;

const LEAST_BYTES: usize = 1 << 20;
const LEAST_KNOWN_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_a_node_is_left_for_messages() {
        let default = Limits::default();
        let small = Limits { node_bytes_max: 64 << 20, ..Limits::default() };
        let large_frames =
            Limits { node_bytes_max: 320 << 20, frame_bytes_max: 32 << 20, ..Limits::default() };
        for limits in [default, small, large_frames] {
            assert_eq!(limits.check(), []);
            let remembered = limits.windows_fit() + limits.producers_fit();
            assert!(remembered <= limits.known_bytes_max() / 2, "those who have gone leave room for others");
            let limits = Limits { producers_bytes_max: usize::MAX, ..limits };
            let others = [
                limits.known_bytes_max(),
                limits.unread_fit(),
                limits.half_received_fit(),
                // Those who were told to go may keep as much again.
                2 * limits.pinned_fit(),
                limits.unclaimed_fit(),
                limits.gone_names_fit(),
            ];
            assert_eq!(others.iter().sum::<usize>(), limits.node_bytes_max / 4 * 3);
            assert_eq!(
                limits.latest_fit(),
                limits.node_bytes_max / 4,
                "and of that all may be the latest of keys"
            );
        }
    }
}
