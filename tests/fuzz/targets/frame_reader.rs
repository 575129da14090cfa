//! The hub's frame reader against tungstenite: both must see the same messages.
//!
//! tungstenite is allowed to differ where it is more patient or more lenient than the hub:
//! - it looks at a frame only when all of it is there, so it may find the input too short where
//!   the reader already found an error;
//! - it accepts lengths that are not in their shortest form and any number of frames a message;
//! - it answers a close code that may not be sent itself, and allows more codes.

#![no_main]

use std::io::{self, Cursor, Read, Write};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tidewire_hub_core::websocket::event::{Event, PayloadError};
use tidewire_hub_core::websocket::frame::HeaderError;
use tidewire_hub_core::websocket::reader::{Limits, ReadError, Reader};
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tungstenite::{Error, Message, error::ProtocolError};

/// Frames with a correct header, for depth, and then any bytes, for breadth.
#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// How the reader gets its bytes: so many a read, or all at once.
    read_bytes: Option<u8>,
    frames: Vec<Frame<'a>>,
    tail: &'a [u8],
}

#[derive(Arbitrary, Debug)]
struct Frame<'a> {
    first: u8,
    mask: [u8; 4],
    payload: &'a [u8],
}

#[derive(Debug, PartialEq)]
enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<(u16, String)>),
}

fuzz_target!(|input: Input<'_>| {
    let bytes = input.to_bytes();
    let (ours, our_error) = read_with_reader(&bytes, input.read_bytes);
    let (theirs, their_error) = read_with_tungstenite(bytes);
    let (same, after) = theirs.split_at(ours.len().min(theirs.len()));
    assert_eq!(ours, same);

    match our_error {
        None => {
            assert!(after.is_empty(), "the reader overlooked {after:?}");
            assert!(their_error.is_none(), "the reader let pass: {their_error:?}");
        }
        // A control frame with a longer form of length is refused before that length is known.
        Some(
            ReadError::Header(HeaderError::LengthNotMinimal | HeaderError::LongControl)
            | ReadError::TooManyFrames,
        ) => {}
        Some(ReadError::Payload(PayloadError::CloseCode(_))) => {
            assert!(matches!(after, [] | [Seen::Close(Some(_))]), "{after:?}");
        }
        Some(error) => {
            assert!(after.is_empty(), "{error}, but tungstenite saw {after:?}");
            let agrees = match their_error {
                None => true,
                Some(Error::Utf8(_)) => error.close_code() == 1007,
                // Where both a rule and a limit are broken, tungstenite looks at the limit first.
                Some(Error::Capacity(_)) => matches!(error.close_code(), 1002 | 1009),
                Some(_) => error.close_code() == 1002,
            };
            assert!(agrees, "{error}, but tungstenite says {their_error:?}");
        }
    }
});

impl Input<'_> {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for Frame { first, mask, payload } in &self.frames {
            bytes.push(*first);
            match payload.len() {
                len @ 0..=125 => bytes.push(0x80 | len as u8),
                len @ 126..=0xFFFF => {
                    bytes.push(0xFE);
                    bytes.extend((len as u16).to_be_bytes());
                }
                len => {
                    bytes.push(0xFF);
                    bytes.extend((len as u64).to_be_bytes());
                }
            }
            bytes.extend(mask);
            bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
        bytes.extend(self.tail);
        bytes
    }
}

fn read_with_reader(bytes: &[u8], read_bytes: Option<u8>) -> (Vec<Seen>, Option<ReadError>) {
    let limits = Limits {
        message_bytes_max: MESSAGE_BYTES_MAX,
        frame_bytes_max: FRAME_BYTES_MAX,
        frames_per_message_max: 16,
    };
    let read_bytes = read_bytes.map_or(bytes.len(), usize::from).max(1);
    let mut reader = Reader::new();
    let mut seen = Vec::new();
    let mut arrived = 0;
    for read in bytes.chunks(read_bytes) {
        arrived += read.len();
        let mut buffer = read.to_vec();
        let mut input = &mut buffer[..];
        loop {
            match reader.next(&mut input, &limits) {
                Ok(Some(event)) => seen.push(Seen::from(event)),
                Ok(None) => break,
                Err(error) => return (seen, Some(error)),
            }
        }
        assert!(input.is_empty(), "bytes were left in the read buffer");
        assert!(reader.held_bytes() <= 2 * arrived + STATE_BYTES_MAX);
    }
    (seen, None)
}

fn read_with_tungstenite(bytes: Vec<u8>) -> (Vec<Seen>, Option<Error>) {
    let config = WebSocketConfig::default()
        .read_buffer_size(64)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    let client = Client { sent: Cursor::new(bytes) };
    let mut socket = WebSocket::from_raw_socket(client, Role::Server, Some(config));
    let mut seen = Vec::new();
    loop {
        match socket.read() {
            Ok(message) => seen.push(Seen::from(message)),
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => return (seen, None),
            Err(error) => return (seen, Some(error)),
        }
        if matches!(seen.last(), Some(Seen::Close(_))) {
            return (seen, None);
        }
    }
}

/// A client that has sent all it will send, and does not listen.
struct Client {
    sent: Cursor<Vec<u8>>,
}

impl Read for Client {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.sent.read(buffer)
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.into_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.into_owned()),
            Event::Ping(bytes) => Self::Ping(bytes.into_owned()),
            Event::Pong => Self::Pong,
            Event::Close(words) => Self::Close(words.map(|(code, reason)| (code, reason.into_owned()))),
        }
    }
}

impl From<Message> for Seen {
    fn from(message: Message) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.to_string()),
            Message::Binary(bytes) => Self::Binary(bytes.into()),
            Message::Ping(bytes) => Self::Ping(bytes.into()),
            Message::Pong(_) => Self::Pong,
            Message::Close(words) => {
                Self::Close(words.map(|words| (words.code.into(), words.reason.to_string())))
            }
            Message::Frame(frame) => unreachable!("reading never yields a bare frame: {frame}"),
        }
    }
}

// Small enough that short inputs run into them.
const MESSAGE_BYTES_MAX: usize = 400;
const FRAME_BYTES_MAX: usize = 250;

/// What the reader may hold beside payload: one allocation of a fixed size.
const STATE_BYTES_MAX: usize = 256;
