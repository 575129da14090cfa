//! The numbers of the protocol, each a type of its own so that none is taken for another.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// Largest number either side may send: JavaScript's largest safe integer, 2^53 - 1.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;
/// The largest seq: what comes behind it can be told, and counted on from.
pub const SEQ_MAX: u64 = NUMBER_MAX - 2;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[cfg_attr(feature = "json", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "json", serde(transparent))]
        pub struct $name(
            #[cfg_attr(feature = "json", serde(deserialize_with = "within_range"))] pub u64,
        );

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// Position of a message in its log; strictly increasing, not dense within a topic. 0 is before the first.
    Offset
}
impl Offset {
    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

number! {
    /// A publisher's counter per topic, from 1, without holes.
    Seq
}
number! {
    /// How often a producer identity has been taken over; a higher one fences the lower.
    Incarnation
}
number! {
    /// Public mark of the participant that published a message. 0 means none.
    Tag
}
number! {
    /// Number of a topic's or pattern's tail, hub-wide, never used twice while the hub's process runs.
    TailNumber
}
number! {
    /// A client's number for one of its participants on a connection; sign-in attaches 0.
    Participant
}
number! {
    /// A client's number for one (participant, topic) it publishes to, chosen with `open`.
    Handle
}
number! {
    /// A client's number for a question, repeated in its answer. 0 means that none was asked.
    Request
}

/// Identity of a log. A new one means that offsets under the old one mean nothing.
///
/// 64 random bits, written as 16 lower-case hexadecimal digits where people or JSON see it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

/// Secret 128-bit identity of a publisher, written as 32 hexadecimal digits in JSON.
///
/// All zero stands for none: such a participant cannot publish.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ProducerId(pub [u8; 16]);

/// A text is not the hexadecimal form that was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotHex;

impl fmt::Display for NotHex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a number in hexadecimal digits of the right length")
    }
}

impl core::error::Error for NotHex {}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({self})")
    }
}

impl FromStr for Epoch {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(NotHex);
        }
        u64::from_str_radix(text, 16).map(Epoch).map_err(|_| NotHex)
    }
}

/// Shows nothing of the identity: it is a secret, and this is what reaches logs.
impl fmt::Debug for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProducerId(..)")
    }
}

impl ProducerId {
    /// The 32 hexadecimal digits that JSON carries.
    #[must_use]
    pub fn to_hex(self) -> String {
        let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
        self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }

    /// Reads the form that [`Self::to_hex`] writes.
    ///
    /// # Errors
    /// [`NotHex`] unless the text is exactly 32 hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Self, NotHex> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(NotHex);
        }
        u128::from_str_radix(text, 16).map(|n| Self(n.to_be_bytes())).map_err(|_| NotHex)
    }
}

/// Reads a number from JSON with the range that the binary encoding checks.
#[cfg(feature = "json")]
pub(crate) fn within_range<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = <u64 as serde::Deserialize>::deserialize(from)?;
    if number > NUMBER_MAX {
        return Err(serde::de::Error::custom("a number beyond 2^53 - 1"));
    }
    Ok(number)
}

/// The same of a number that is there.
#[cfg(feature = "json")]
pub(crate) fn some_within_range<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    within_range(from).map(Some)
}

#[cfg(feature = "json")]
mod as_text {
    //! Epochs and producers are strings in JSON.

    use super::{Epoch, ProducerId};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    impl Serialize for Epoch {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.collect_str(self)
        }
    }

    impl<'de> Deserialize<'de> for Epoch {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            let text = alloc::borrow::Cow::<'de, str>::deserialize(from)?;
            text.parse().map_err(D::Error::custom)
        }
    }

    impl Serialize for ProducerId {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.serialize_str(&self.to_hex())
        }
    }

    impl<'de> Deserialize<'de> for ProducerId {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            let text = alloc::borrow::Cow::<'de, str>::deserialize(from)?;
            ProducerId::from_hex(&text).map_err(D::Error::custom)
        }
    }
}
