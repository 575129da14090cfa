//! Limits that are right one by one and break together: which of them must leave room for which, and why.

use std::fmt;

use crate::limits::{ANSWER_FIELDS_BYTES, ATTRIBUTES_BYTES_MAX, Limits};

/// Two limits of which one leaves too little room for the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// The limit that is too small.
    pub small: &'static str,
    /// Its value.
    pub value: u64,
    /// What it has to be at least.
    pub least: u64,
    /// The limit that asks for so much.
    pub large: &'static str,
    /// What that one may be at most beside the other's value.
    pub most: u64,
    /// Why the first has to leave room for the second.
    pub because: &'static str,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { small, value, least, large, most, because } = self;
        write!(f, "`limits.{small}` is {value} and too small for `limits.{large}`: {because}; ")?;
        write!(f, "raise `{small}` to at least {least}")?;
        if *most > 0 { write!(f, ", or lower `{large}` to at most {most}") } else { Ok(()) }
    }
}

/// One rule: a limit is at least `factor` times another, plus `plus`.
#[derive(Debug, Clone, Copy)]
pub struct Agreement<L> {
    /// The limit that leaves room.
    pub outer: (&'static str, fn(&L) -> u64),
    /// The limit that needs it.
    pub inner: (&'static str, fn(&L) -> u64),
    /// See above.
    pub factor: u64,
    /// See above.
    pub plus: u64,
    /// What breaks otherwise, as a clause.
    pub because: &'static str,
}

impl<L> Agreement<L> {
    /// Whether limits keep this rule; if not, how they break it.
    pub fn check(&self, limits: &L) -> Option<Contradiction> {
        let (value, wanted) = ((self.outer.1)(limits), (self.inner.1)(limits));
        let least = wanted.saturating_mul(self.factor).saturating_add(self.plus);
        (value < least).then(|| Contradiction {
            small: self.outer.0,
            value,
            least,
            large: self.inner.0,
            most: value.saturating_sub(self.plus) / self.factor.max(1),
            because: self.because,
        })
    }
}

impl Limits {
    /// Every pair of limits that cannot hold together. A hub runs with limits that have none.
    #[must_use]
    pub fn check(&self) -> Vec<Contradiction> {
        AGREEMENTS.iter().filter_map(|agreement| agreement.check(self)).collect()
    }
}

/// A byte of text becomes six at most in JSON: `\u0001`. Base64 makes four of three.
pub const JSON_FACTOR: u64 = 6;
/// What stands around a payload at most: numbers, names, a key and headers,
pub const HEAD_BYTES: u64 = (4 << 10) + ATTRIBUTES_BYTES_MAX as u64;
/// and that in either encoding, in one of which texts are escaped.
pub const ESCAPED_HEAD_BYTES: u64 = (4 << 10) + JSON_FACTOR * ATTRIBUTES_BYTES_MAX as u64;

/// A message of so many bytes is small.
const SMALL_BYTES: usize = 256 << 10;

/// Writes a rule as it reads: `outer >= factor * inner + plus`.
macro_rules! agreement {
    ($outer:ident >= $factor:expr, $inner:ident, $plus:expr, $because:literal) => {
        Agreement {
            outer: (stringify!($outer), |limits| limits.$outer as u64),
            inner: (stringify!($inner), |limits| limits.$inner as u64),
            factor: $factor,
            plus: $plus,
            because: $because,
        }
    };
}

const AGREEMENTS: &[Agreement<Limits>] = &[
    agreement!(
        frame_bytes_max >= JSON_FACTOR,
        message_bytes_max,
        ESCAPED_HEAD_BYTES,
        "a message may take six times its bytes in JSON, and its frame some more"
    ),
    agreement!(
        frame_bytes_max >= 1,
        first_message_bytes_max,
        0,
        "the first message of a client is one like any other"
    ),
    agreement!(
        lag_bytes_max >= 1,
        message_bytes_max,
        HEAD_BYTES,
        "one message alone would make a subscriber count as slow"
    ),
    agreement!(
        lag_bytes_max >= 1,
        block_bytes,
        HEAD_BYTES,
        "one block alone would make a subscriber count as slow"
    ),
    agreement!(
        bare_tail_bytes >= 1,
        message_bytes_max,
        0,
        "a topic without retention still bridges a break of one message"
    ),
    agreement!(pattern_tail_bytes >= 1, message_bytes_max, 0, "a pattern's tail holds one message at least"),
    agreement!(
        pinned_bytes_max >= 1 + JSON_FACTOR,
        message_bytes_max,
        ESCAPED_HEAD_BYTES,
        "one half-written message alone would end its connection, in either encoding"
    ),
    agreement!(
        unread_bytes_max >= 2 * JSON_FACTOR,
        message_bytes_max,
        2 * ANSWER_FIELDS_BYTES as u64,
        "a message may take six times its bytes in JSON, and what an answer is written into twice its own, so that nobody \
         could read one of that size"
    ),
    agreement!(
        unread_bytes_max >= 2 * JSON_FACTOR,
        page_bytes_max,
        2 * ANSWER_FIELDS_BYTES as u64,
        "a page may take six times its bytes in JSON, and what an answer is written into twice its own, so that nobody could \
         read one of that size"
    ),
    agreement!(
        node_bytes_max >= 32,
        page_bytes_max,
        0,
        "a page is held until it is read, in the encoding of the one who asks"
    ),
    agreement!(
        pending_bytes_max >= 1,
        message_bytes_max,
        HEAD_BYTES,
        "a message of that size would be refused as overloaded for ever"
    ),
    agreement!(
        half_received_bytes_max >= 2,
        frame_bytes_max,
        0,
        "one address has half of it at most, so that a frame or a body of that size would be refused as overloaded for ever"
    ),
    agreement!(
        half_received_bytes_max >= 2 * JSON_FACTOR,
        message_bytes_max,
        2 * ESCAPED_HEAD_BYTES,
        "a message may take six times its bytes in JSON, and one address has half of what may have begun to come at most, so \
         that one of that size would be refused as overloaded for ever"
    ),
    agreement!(
        node_bytes_max >= 32,
        message_bytes_max,
        0,
        "a few messages of that size are held at once, in topics and patterns and in either encoding"
    ),
    Agreement {
        outer: ("node_bytes_max", |limits| limits.node_bytes_max as u64),
        inner: ("message_bytes_max", |limits| {
            // Of small ones the node holds enough by the rule before.
            if limits.message_bytes_max <= SMALL_BYTES { 0 } else { limits.message_bytes_max as u64 }
        }),
        factor: 64,
        plus: 0,
        because: "a quarter of it is for messages, whatever clients have begun to send, and have not read, of that size",
    },
    agreement!(
        node_bytes_max >= 5,
        frame_bytes_max,
        0,
        "what comes in one frame is held while it comes, while it waits, and in topics and patterns"
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_agree() {
        assert_eq!(Limits::default().check(), []);
    }

    #[test]
    fn either_way_out_of_a_contradiction_works() {
        let wrong = Limits { message_bytes_max: 9 << 20, ..Limits::default() };
        let found = wrong.check();
        assert!(found.len() >= 4, "{found:?}");
        for Contradiction { small, least, most, .. } in found {
            let agreement = |limits: &Limits| {
                AGREEMENTS.iter().filter_map(|a| a.check(limits)).any(|found| found.small == small)
            };
            assert!(!agreement(&Limits { message_bytes_max: most as usize, ..wrong.clone() }), "{small}");
            assert!(agreement(&Limits { message_bytes_max: most as usize + 1, ..wrong.clone() }), "{small}");
            assert!(least > most, "{small}");
        }
    }

    #[test]
    fn a_contradiction_says_which_limit_to_change() {
        let wrong = Limits { pending_bytes_max: 200_000, ..Limits::default() };
        let said: Vec<String> = wrong.check().iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "`limits.pending_bytes_max` is 200000 and too small for `limits.message_bytes_max`: a message of that size \
             would be refused as overloaded for ever; raise `pending_bytes_max` to at least 270591, or lower \
             `message_bytes_max` to at most 191553"
            ]
        );
    }
}
