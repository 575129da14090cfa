//! What a message is, as it is said on the command line or looks like.

use clap::ValueEnum;
use tidewire_client::Payload;

use crate::command::failure::Failure;

/// What a message may be said to be.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// A JSON object or array is JSON, any other UTF-8 is text, and the rest is binary
    Auto,
    /// A JSON value, numbers and quoted strings among them; anything else is refused
    Json,
    /// UTF-8; anything else is refused
    Text,
    /// Any bytes
    Binary,
    /// CBOR, which is not checked
    Cbor,
}

impl Kind {
    /// The bytes as this kind of message.
    pub(crate) fn payload(self, bytes: Vec<u8>) -> Result<Payload, Failure> {
        match self {
            Self::Auto => Ok(recognised(bytes)),
            Self::Json => Payload::json_text(bytes).map_err(|error| {
                Failure::Input(format!("this is {error}; `--content text` publishes any text"))
            }),
            Self::Text => String::from_utf8(bytes).map(Payload::text).map_err(|_| {
                Failure::Input("this is not UTF-8; `--content binary` publishes any bytes".into())
            }),
            Self::Binary => Ok(Payload::binary(bytes)),
            Self::Cbor => Ok(Payload::cbor(bytes)),
        }
    }
}

/// A number or `true` may be meant as a text, as most lines of most files are; an object or array hardly is.
fn recognised(bytes: Vec<u8>) -> Payload {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if matches!(first, Some(b'{' | b'['))
        && let Ok(payload) = Payload::json_text(bytes.clone())
    {
        return payload;
    }
    String::from_utf8(bytes).map_or_else(|error| Payload::binary(error.into_bytes()), Payload::text)
}
