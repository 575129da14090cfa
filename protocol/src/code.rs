//! Stable codes: of errors in frames, of WebSocket closes, and of reasons and outcomes.

use core::fmt;

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident absent $absent:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant = $number,)*
            /// A number that this version does not know.
            Unknown = 0,
        }

        /// What a frame without the field means.
        impl Default for $name {
            fn default() -> Self {
                Self::$absent
            }
        }

        impl $name {
            /// Every code that this version knows.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u64 {
                self as u64
            }

            /// The code that a number stands for.
            #[must_use]
            pub const fn from_number(number: u64) -> Self {
                match number { $($number => Self::$variant,)* _ => Self::Unknown }
            }

            /// The name used in JSON, logs and the clients' errors.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* Self::Unknown => "unknown" }
            }

            /// The code that a name stands for.
            #[must_use]
            pub fn from_name(name: &str) -> Self {
                match name { $($text => Self::$variant,)* _ => Self::Unknown }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        #[cfg(feature = "json")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.name())
            }
        }

        #[cfg(feature = "json")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = alloc::borrow::Cow::<'de, str>::deserialize(from)?;
                Ok(Self::from_name(&text))
            }
        }
    };
}

codes! {
    /// Why something was refused, or a connection ended. The same numbers close a WebSocket, plus 4000.
    Code absent Unknown {
        /// A frame that breaks the protocol; the connection is closed.
        BadFrame = 1 "bad_frame",
        /// Something was said before sign-in, or signed in twice.
        NotSignedIn = 2 "not_signed_in",
        /// No sign-in within the time allowed.
        SignInTimeout = 3 "sign_in_timeout",
        /// The token is wrong, expired or missing.
        BadToken = 4 "bad_token",
        /// No rule allows this.
        Forbidden = 5 "forbidden",
        /// A name that is no topic or pattern, or longer or deeper than the hub takes.
        BadName = 6 "bad_name",
        /// A message larger than the hub takes.
        TooLarge = 7 "too_large",
        /// A limit on how many (subscriptions, handles, participants, topics) is reached.
        LimitReached = 8 "limit_reached",
        /// Too fast; try again after the delay given.
        RateLimited = 9 "rate_limited",
        /// A seq beyond the next; go back to the first unacknowledged and send on from there.
        OutOfOrder = 10 "out_of_order",
        /// Somebody else has this producer: a newer incarnation, or a later connection.
        Fenced = 11 "fenced",
        /// A number (handle, tail, participant) that was not announced.
        UnknownNumber = 12 "unknown_number",
        /// The log could not store the message.
        NotStored = 13 "not_stored",
        /// The hub cannot do this yet, or not on this topic's engine.
        NotSupported = 14 "not_supported",
        /// The hub is stopping.
        Draining = 15 "draining",
        /// The client did not read its replies, or fell behind and asked to be disconnected then.
        TooSlow = 16 "too_slow",
        /// Half of a block was sent when it was dropped; reconnect and resume.
        Resume = 17 "resume",
        /// Nothing was heard for too long.
        Silent = 18 "silent",
        /// The hub has no room for this connection, topic or message now.
        Overloaded = 19 "overloaded",
        /// The seq was answered before and its outcome is forgotten.
        OutcomeForgotten = 20 "outcome_forgotten",
        /// The hub failed; the fault is its own.
        Internal = 21 "internal",
        /// The signed-in subject is not who the client said it was.
        IdentityMismatch = 22 "identity_mismatch",
        /// Another message of its batch was refused.
        BatchRefused = 23 "batch_refused",
        /// Its key's latest message is not what its condition says.
        ConditionFailed = 24 "condition_failed",
        /// A key, header or condition that no message may have.
        BadMessage = 25 "bad_message",
    }
}

codes! {
    /// What a subscriber got.
    Outcome absent Live {
        /// Delivery starts with the next message.
        Live = 1 "live",
        /// Everything after the asked position follows, in order, without a hole.
        Resumed = 2 "resumed",
        /// Some of what was asked for is gone; the frame says which.
        Gap = 3 "gap",
    }
}

codes! {
    /// Why messages are missing.
    GapReason absent Unknown {
        /// Retention removed them.
        Retention = 1 "retention",
        /// The log's identity changed: nothing is known of what came before.
        EpochChanged = 2 "epoch_changed",
        /// The topic's state was dropped since.
        Forgotten = 3 "forgotten",
        /// The position lies beyond the log's end.
        BeyondEnd = 4 "beyond_end",
        /// The subscriber was too slow and asked to skip.
        TooSlow = 5 "too_slow",
        /// Keys were removed, and it is remembered no longer which: drop all that is known and read anew.
        Compacted = 6 "compacted",
    }
}

codes! {
    /// When a publish was acknowledged.
    Durability absent Memory {
        /// Appended in memory.
        Memory = 1 "memory",
        /// Fsynced on the hub's disk.
        Synced = 2 "synced",
        /// Held by a quorum.
        Replicated = 3 "replicated",
        /// Held and fsynced by a quorum.
        ReplicatedSynced = 4 "replicated_synced",
    }
}

codes! {
    /// What the bytes of a message are. On the wire a message's flags hold the number minus one.
    Content absent Json {
        /// A JSON text.
        Json = 1 "json",
        /// UTF-8 text.
        Text = 2 "text",
        /// Bytes.
        Binary = 3 "binary",
        /// A CBOR item.
        Cbor = 4 "cbor",
    }
}

codes! {
    /// What the hub does with a subscriber that cannot keep up.
    WhenSlow absent CatchUp {
        /// Read on from the log, without a hole while retention holds.
        CatchUp = 1 "catch_up",
        /// Skip to the end and say so.
        Gap = 2 "gap",
        /// Close the connection.
        Disconnect = 3 "disconnect",
        /// Keep only the newest message of each key.
        Latest = 4 "latest",
    }
}

impl Code {
    /// Whether doing the same again can help without anyone changing anything.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::OutOfOrder
                | Self::NotStored
                | Self::Draining
                | Self::TooSlow
                | Self::Resume
                | Self::Silent
                | Self::Overloaded
                | Self::SignInTimeout
                | Self::Internal
        )
    }

    /// The WebSocket close code that ends a connection for this reason (RFC 6455, 7.4.2: private use).
    #[must_use]
    pub const fn close_code(self) -> u16 {
        4000 + self.number() as u16
    }

    /// The code behind a WebSocket close code.
    #[must_use]
    pub const fn from_close_code(close: u16) -> Self {
        match close {
            4000..=4999 => Self::from_number(close as u64 - 4000),
            _ => Self::Unknown,
        }
    }

    /// One sentence for people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::BadFrame => "the frame breaks the protocol",
            Self::NotSignedIn => "sign in first, and once",
            Self::SignInTimeout => "no sign-in came in time",
            Self::BadToken => "the token is wrong, expired or missing",
            Self::Forbidden => "neither a rule nor a token allows this",
            Self::BadName => "this is no valid topic name or pattern here",
            Self::TooLarge => "the message is larger than the hub takes",
            Self::LimitReached => "a limit on how many is reached",
            Self::RateLimited => "too fast; try again later",
            Self::OutOfOrder => "a message before this one has not been accepted",
            Self::Fenced => "this producer has gone to a newer incarnation, or to a later connection",
            Self::UnknownNumber => "this number was not announced",
            Self::NotStored => "the log could not store the message",
            Self::NotSupported => "the hub cannot do this here",
            Self::Draining => "the hub is stopping",
            Self::TooSlow => "the connection is not read fast enough",
            Self::Resume => "reconnect and resume from your cursor",
            Self::Silent => "nothing was heard for too long",
            Self::Overloaded => "the hub has no room for this now",
            Self::OutcomeForgotten => "the outcome of this publish is no longer known",
            Self::Internal => "the hub failed",
            Self::IdentityMismatch => "the signed-in subject is someone else",
            Self::BatchRefused => {
                "another message of its batch was refused, and a batch is taken whole or not at all"
            }
            Self::ConditionFailed => {
                "the condition does not hold for this key as it stands: read its latest message, and decide anew"
            }
            Self::BadMessage => {
                "give a key of at most 255 bytes (removals, conditions and topics that keep the latest of each key need one), \
                 at most 32 headers with lower-case names and 4096 bytes in all, no control characters, and not both conditions"
            }
            Self::Unknown => "unknown code",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::{HEADERS_BYTES_MAX, HEADERS_MAX, KEY_BYTES_MAX};

    #[test]
    fn what_a_message_may_have_is_told_by_its_numbers() {
        for number in [KEY_BYTES_MAX, HEADERS_MAX, HEADERS_BYTES_MAX] {
            assert!(Code::BadMessage.sentence().contains(&alloc::format!(" {number} ")), "{number}");
        }
    }
}
