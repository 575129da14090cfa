//! What a frame is for (RFC 6455, section 5.2).

/// The kind of a frame, with its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// The next part of a fragmented message.
    Continuation = 0x0,
    /// A text message, or the first part of one.
    Text = 0x1,
    /// A binary message, or the first part of one.
    Binary = 0x2,
    /// The last frame a peer sends.
    Close = 0x8,
    /// A question that a pong with the same payload answers.
    Ping = 0x9,
    /// An answer to a ping, or an unasked sign of life.
    Pong = 0xA,
}

impl Opcode {
    /// The opcode with this number; `None` for the numbers RFC 6455 reserves.
    pub fn from_wire(number: u8) -> Option<Self> {
        match number {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    /// Whether the frame is about the connection: short, whole, and allowed inside a message.
    pub fn is_control(self) -> bool {
        match self {
            Self::Close | Self::Ping | Self::Pong => true,
            Self::Continuation | Self::Text | Self::Binary => false,
        }
    }
}

/// The most payload a control frame carries (RFC 6455, section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;
