//! The server's half of WebSocket framing (RFC 6455), from bytes to messages and back.
//!
//! Pure: it is given bytes and lends out messages, and knows no socket, no clock and no session.
//! The handshake and extensions are not here; a frame that uses an extension's bits is refused.

pub mod reader;

pub mod frame;

pub mod message;

pub mod event;

pub mod writer;

pub mod opcode;
