//! What a client said, whole and checked: a message, or a word about the connection.

use std::borrow::Cow;

/// One message or control frame.
///
/// It borrows from the read buffer when it arrived whole in one read, and owns its bytes when it
/// had to be put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'i> {
    /// A text message.
    Text(Cow<'i, str>),
    /// A binary message.
    Binary(Cow<'i, [u8]>),
    /// Must be answered by a pong with the same payload, of at most 125 bytes.
    Ping(Cow<'i, [u8]>),
    /// An answer to a ping, or an unasked sign of life; the hub has no use for its payload.
    Pong,
    /// The client's last words: a code with a reason, or nothing.
    Close(Option<(u16, Cow<'i, str>)>),
}

impl<'i> Event<'i> {
    /// A whole text message.
    ///
    /// # Errors
    ///
    /// When the payload is not UTF-8, or ends inside a character.
    pub fn text(payload: Cow<'i, [u8]>) -> Result<Self, PayloadError> {
        utf8(payload).map(Self::Text)
    }

    /// A whole close frame (RFC 6455, sections 5.5.1 and 7.4).
    ///
    /// # Errors
    ///
    /// When half a code arrived, the code is not one to send, or the reason is not UTF-8.
    pub fn close(payload: Cow<'i, [u8]>) -> Result<Self, PayloadError> {
        let Some((&code, _)) = payload.split_first_chunk() else {
            return match payload.len() {
                0 => Ok(Self::Close(None)),
                _ => Err(PayloadError::HalfCloseCode),
            };
        };
        let code = u16::from_be_bytes(code);
        if !is_sendable(code) {
            return Err(PayloadError::CloseCode(code));
        }
        let reason = match payload {
            Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[2..]),
            Cow::Owned(mut bytes) => Cow::Owned(bytes.split_off(2)),
        };
        Ok(Self::Close(Some((code, utf8(reason)?))))
    }
}

/// A payload that does not mean what its frame says it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Text must be UTF-8, in messages and in the reason of a close frame.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A close code has two bytes.
    #[error("a close frame has one byte of payload")]
    HalfCloseCode,
    /// Reserved, or only for use inside a program.
    #[error("close code {0} may not be sent")]
    CloseCode(u16),
}

fn utf8(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, PayloadError> {
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).ok(),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).ok(),
    }
    .ok_or(PayloadError::NotUtf8)
}

/// The codes RFC 6455 defines for the wire, and those it leaves to libraries and applications.
fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1011 | 3000..=4999)
}
