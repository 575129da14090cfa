//! Turns the bytes of a client into events. Give [`Reader::next`] what was read until it answers
//! `None`; then nothing of the read buffer is needed any more.
//!
//! Frames are unmasked where they lie in the read buffer, and a message that lies there whole is
//! lent from there. Only what spans reads is copied: memory follows the bytes that have arrived,
//! whatever a header announces, and between messages there is none.

use std::borrow::Cow;
use std::mem;

use crate::websocket::event::{Event, PayloadError};
use crate::websocket::frame::{Frame, Header, HeaderError, PartialHeader};
use crate::websocket::message::Message;
use crate::websocket::opcode::Opcode;

/// Reads the frames of one connection.
#[derive(Debug, Default)]
pub struct Reader {
    state: State,
}

/// ```text
///              part of a frame or message
///   Between ------------------------------> Within
///      |    <------------------------------   |
///      |            the rest of it            |
///      |                                      |
///      +----> Ended <-------------------------+
///        a close frame or an error
/// ```
#[derive(Debug, Default)]
enum State {
    /// Nothing is held. Idle connections are here, so it has no memory of its own.
    #[default]
    Between,
    /// Something has begun and not ended.
    Within(Box<Unfinished>),
    /// Nothing that still comes means anything (RFC 6455, sections 5.5.1 and 7.1.7).
    Ended,
}

/// What a client may make the reader hold and do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The payload of a message, over all its frames.
    pub message_bytes_max: usize,
    /// The payload of one frame.
    pub frame_bytes_max: usize,
    /// The frames of a message. They may be empty, so bytes alone do not limit them; the
    /// conformance suite sends 65,536.
    pub frames_per_message_max: u32,
}

impl Reader {
    /// A reader at the start of a connection, after the handshake.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes from the front of `input` until they complete an event or there are no more.
    ///
    /// The bytes it takes are unmasked in place. After a close frame or an error it takes
    /// everything and answers `None`.
    ///
    /// # Errors
    ///
    /// When the client breaks a rule of RFC 6455 or a limit, as soon as that can be known.
    pub fn next<'i>(
        &mut self,
        input: &mut &'i mut [u8],
        limits: &Limits,
    ) -> Result<Option<Event<'i>>, ReadError> {
        // An error returns early, and so leaves the reader ended.
        let mut unfinished = match mem::replace(&mut self.state, State::Ended) {
            State::Between => None,
            State::Within(unfinished) => Some(unfinished),
            State::Ended => {
                *input = &mut [];
                return Ok(None);
            }
        };
        let event = advance(&mut unfinished, input, limits)?;
        self.state = match unfinished {
            _ if matches!(event, Some(Event::Close(_))) => State::Ended,
            Some(unfinished) if !unfinished.is_empty() => State::Within(unfinished),
            Some(_) | None => State::Between,
        };
        Ok(event)
    }

    /// The heap memory held for what has not arrived whole; zero between messages.
    pub fn held_bytes(&self) -> usize {
        match &self.state {
            State::Between | State::Ended => 0,
            State::Within(unfinished) => unfinished.held_bytes(),
        }
    }
}

/// What a client did that ends its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A frame's header is wrong in itself.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A frame's payload is wrong in itself.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// A continuation came with no message to continue.
    #[error("a continuation frame continues nothing")]
    NothingToContinue,
    /// A message began before the one before it ended.
    #[error("a message begins inside another")]
    MessageInsideMessage,
    /// A frame announces more than a frame may have.
    #[error("a frame is over the limit")]
    FrameTooBig,
    /// A frame announces more than its message may still have.
    #[error("a message is over the limit")]
    MessageTooBig,
    /// A message comes in more frames than it may.
    #[error("a message has too many frames")]
    TooManyFrames,
}

impl ReadError {
    /// The code to close the connection with (RFC 6455, section 7.4.1).
    pub fn close_code(self) -> u16 {
        match self {
            Self::Header(_)
            | Self::Payload(PayloadError::HalfCloseCode | PayloadError::CloseCode(_))
            | Self::NothingToContinue
            | Self::MessageInsideMessage => 1002,
            Self::Payload(PayloadError::NotUtf8) => 1007,
            Self::FrameTooBig | Self::MessageTooBig | Self::TooManyFrames => 1009,
        }
    }
}

/// What has begun to arrive. A control frame may come between the frames of a message, so both
/// can be unfinished at once.
#[derive(Debug, Default)]
struct Unfinished {
    header: PartialHeader,
    /// The frame whose payload is arriving.
    frame: Option<Frame>,
    /// The payload of that frame so far, if it is a control frame.
    control: Vec<u8>,
    message: Option<Message>,
}

impl Unfinished {
    fn is_empty(&self) -> bool {
        self.header.is_empty() && self.frame.is_none() && self.message.is_none()
    }

    fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.control.capacity() + self.message.as_ref().map_or(0, Message::held_bytes)
    }
}

fn advance<'i>(
    unfinished: &mut Option<Box<Unfinished>>,
    input: &mut &'i mut [u8],
    limits: &Limits,
) -> Result<Option<Event<'i>>, ReadError> {
    while !input.is_empty() {
        let Some(mut frame) = resume_or_begin(unfinished, input, limits)? else {
            break;
        };
        let payload = frame.take_payload(input);
        let event = match frame.opcode {
            Opcode::Close => receive_control(unfinished, frame, payload).map(Event::close).transpose()?,
            Opcode::Ping => receive_control(unfinished, frame, payload).map(Event::Ping),
            Opcode::Pong => receive_control(unfinished, frame, payload).map(|_| Event::Pong),
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                receive_data(unfinished, frame, payload, limits)?
            }
        };
        if event.is_some() {
            return Ok(event);
        }
    }
    Ok(None)
}

/// The frame whose payload comes next in `input`; `None` if its header has not arrived whole.
fn resume_or_begin(
    unfinished: &mut Option<Box<Unfinished>>,
    input: &mut &mut [u8],
    limits: &Limits,
) -> Result<Option<Frame>, ReadError> {
    let mut header = PartialHeader::default();
    if let Some(unfinished) = unfinished {
        if let Some(frame) = unfinished.frame.take() {
            return Ok(Some(frame));
        }
        header = mem::take(&mut unfinished.header);
    }
    let frame = match header.fill(input)? {
        Header::Whole(frame) => frame,
        Header::Partial(header) => {
            unfinished.get_or_insert_default().header = header;
            return Ok(None);
        }
    };
    admit(&frame, unfinished.as_mut().and_then(|unfinished| unfinished.message.as_mut()), limits)?;
    Ok(Some(frame))
}

/// Refuses a frame that may not come now, or announces too much, before any of its payload.
fn admit(frame: &Frame, message: Option<&mut Message>, limits: &Limits) -> Result<(), ReadError> {
    let earlier_bytes = match (frame.opcode, message) {
        (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => return Ok(()),
        (Opcode::Text | Opcode::Binary, None) => 0,
        (Opcode::Text | Opcode::Binary, Some(_)) => return Err(ReadError::MessageInsideMessage),
        (Opcode::Continuation, None) => return Err(ReadError::NothingToContinue),
        (Opcode::Continuation, Some(message)) => {
            if message.frames >= limits.frames_per_message_max {
                return Err(ReadError::TooManyFrames);
            }
            message.frames += 1;
            message.arrived_bytes()
        }
    };
    if frame.remaining_bytes > limits.frame_bytes_max {
        return Err(ReadError::FrameTooBig);
    }
    if frame.remaining_bytes > limits.message_bytes_max.saturating_sub(earlier_bytes) {
        return Err(ReadError::MessageTooBig);
    }
    Ok(())
}

/// The payload of a control frame, once it is whole.
fn receive_control<'i>(
    unfinished: &mut Option<Box<Unfinished>>,
    frame: Frame,
    payload: &'i [u8],
) -> Option<Cow<'i, [u8]>> {
    if frame.remaining_bytes > 0 {
        let unfinished = unfinished.get_or_insert_default();
        unfinished.control.extend_from_slice(payload);
        unfinished.frame = Some(frame);
        return None;
    }
    match unfinished.as_mut().map(|unfinished| mem::take(&mut unfinished.control)) {
        Some(mut earlier) if !earlier.is_empty() => {
            earlier.extend_from_slice(payload);
            Some(Cow::Owned(earlier))
        }
        Some(_) | None => Some(Cow::Borrowed(payload)),
    }
}

/// The message that a data frame ends, if it is whole.
fn receive_data<'i>(
    unfinished: &mut Option<Box<Unfinished>>,
    frame: Frame,
    payload: &'i [u8],
    limits: &Limits,
) -> Result<Option<Event<'i>>, PayloadError> {
    let begun = unfinished.as_mut().and_then(|unfinished| unfinished.message.take());
    let ends_message = frame.is_last && frame.remaining_bytes == 0;
    let is_text = frame.opcode == Opcode::Text;
    let mut message = match begun {
        Some(message) => message,
        None if ends_message && is_text => return Event::text(Cow::Borrowed(payload)).map(Some),
        None if ends_message => return Ok(Some(Event::Binary(Cow::Borrowed(payload)))),
        None if is_text => Message::text(),
        None => Message::binary(),
    };

    let bytes_max = if frame.is_last {
        message.arrived_bytes() + payload.len() + frame.remaining_bytes
    } else {
        limits.message_bytes_max
    };
    message.append(payload, bytes_max)?;
    if ends_message {
        return message.finish().map(Some);
    }
    let unfinished = unfinished.get_or_insert_default();
    unfinished.message = Some(message);
    unfinished.frame = (frame.remaining_bytes > 0).then_some(frame);
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits =
        Limits { message_bytes_max: 1 << 20, frame_bytes_max: 1 << 19, frames_per_message_max: 4 };

    const LAST: u8 = 0x80;

    /// A client's frame: `first` is the first byte, the rest is written as it should be.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x37, 0xFA, 0x21, 0x3D];
        let mut bytes = header(first, payload.len() as u64);
        bytes.extend_from_slice(&mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    /// A client's header up to its mask.
    fn header(first: u8, length: u64) -> Vec<u8> {
        match length {
            0..=125 => vec![first, 0x80 | length as u8],
            126..=0xFFFF => [&[first, 0xFE], &(length as u16).to_be_bytes()[..]].concat(),
            _ => [&[first, 0xFF], &length.to_be_bytes()[..]].concat(),
        }
    }

    fn text(payload: &str) -> Vec<u8> {
        frame(LAST | 1, payload.as_bytes())
    }

    type Seen = (Vec<Event<'static>>, Option<ReadError>);

    /// What a reader makes of `reads`, one after the other, and how it ends.
    fn read<'r>(reads: impl IntoIterator<Item = &'r [u8]>) -> Seen {
        let mut reader = Reader::new();
        let mut events = Vec::new();
        for bytes in reads {
            let mut buffer = bytes.to_vec();
            let mut input = &mut buffer[..];
            loop {
                match reader.next(&mut input, &LIMITS) {
                    Ok(Some(event)) => events.push(owned(event)),
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(reader.held_bytes(), 0, "an ended reader holds memory");
                        return (events, Some(error));
                    }
                }
            }
            assert!(input.is_empty(), "bytes were left in the read buffer");
        }
        (events, None)
    }

    fn owned(event: Event<'_>) -> Event<'static> {
        match event {
            Event::Text(text) => Event::Text(text.into_owned().into()),
            Event::Binary(bytes) => Event::Binary(bytes.into_owned().into()),
            Event::Ping(bytes) => Event::Ping(bytes.into_owned().into()),
            Event::Pong => Event::Pong,
            Event::Close(words) => {
                Event::Close(words.map(|(code, reason)| (code, reason.into_owned().into())))
            }
        }
    }

    /// Reads `frames` at once and byte by byte: both must see the same.
    #[track_caller]
    fn check(frames: &[Vec<u8>], events: &[Event<'static>], error: Option<ReadError>) {
        let bytes = frames.concat();
        let expected = (events.to_vec(), error);
        assert_eq!(read([&bytes[..]]), expected, "in one read");
        assert_eq!(read(bytes.chunks(1)), expected, "byte by byte");
    }

    #[track_caller]
    fn check_refused(frames: &[Vec<u8>], error: impl Into<ReadError>, code: u16) {
        let error = error.into();
        assert_eq!(error.close_code(), code);
        check(frames, &[], Some(error));
    }

    fn text_event(text: &'static str) -> Event<'static> {
        Event::Text(text.into())
    }

    #[test]
    fn whole_messages() {
        check(&[text("")], &[text_event("")], None);
        check(&[text("Hello")], &[text_event("Hello")], None);
        check(&[frame(LAST | 2, &[0xFF, 0])], &[Event::Binary(vec![0xFF, 0].into())], None);
        for len in [125, 126, 127, 0xFFFF, 0x1_0000, 1 << 19] {
            let payload: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            check(&[frame(LAST | 2, &payload)], &[Event::Binary(payload.into())], None);
        }
    }

    #[test]
    fn fragmented_messages() {
        let parts = [frame(1, b"Hel"), frame(0, b""), frame(LAST, b"lo"), text("next")];
        check(&parts, &[text_event("Hello"), text_event("next")], None);
        let parts = [frame(2, &[0xF0]), frame(LAST, &[0x90])];
        check(&parts, &[Event::Binary(vec![0xF0, 0x90].into())], None);
        let parts = [frame(1, b""), frame(0, b""), frame(LAST, b"")];
        check(&parts, &[text_event("")], None);
    }

    #[test]
    fn control_frames() {
        check(&[frame(0x89, b"")], &[Event::Ping(vec![].into())], None);
        check(&[frame(0x89, &[7; 125])], &[Event::Ping(vec![7; 125].into())], None);
        check(&[frame(0x8A, b"any")], &[Event::Pong], None);
        let parts = [frame(1, b"Hel"), frame(0x89, b"now"), frame(0x8A, b""), frame(LAST, b"lo")];
        let ping = Event::Ping(b"now".to_vec().into());
        check(&parts, &[ping, Event::Pong, text_event("Hello")], None);
    }

    #[test]
    fn close_frames() {
        check(&[frame(0x88, b"")], &[Event::Close(None)], None);
        for code in [1000u16, 1003, 1007, 1011, 3000, 4999] {
            let payload = [&code.to_be_bytes()[..], "é".as_bytes()].concat();
            check(&[frame(0x88, &payload)], &[Event::Close(Some((code, "é".into())))], None);
        }
        for code in [0u16, 999, 1004, 1005, 1006, 1012, 1015, 1016, 2999, 5000, 0xFFFF] {
            check_refused(&[frame(0x88, &code.to_be_bytes())], PayloadError::CloseCode(code), 1002);
        }
        check_refused(&[frame(0x88, &[3])], PayloadError::HalfCloseCode, 1002);
        check_refused(&[frame(0x88, &[3, 0xE8, 0xC3])], PayloadError::NotUtf8, 1007);
    }

    #[test]
    fn nothing_counts_after_a_close_frame_or_an_error() {
        check(&[frame(0x88, b""), text("late")], &[Event::Close(None)], None);
        check(&[frame(1, b"a"), frame(0x88, b""), frame(0xFF, b"")], &[Event::Close(None)], None);

        let mut reader = Reader::new();
        assert!(reader.next(&mut &mut [0xF0][..], &LIMITS).is_err());
        let mut late = text("late");
        let mut input = &mut late[..];
        assert_eq!(reader.next(&mut input, &LIMITS), Ok(None));
        assert!(input.is_empty());
    }

    #[test]
    fn headers_no_client_may_send() {
        for bit in [0x40, 0x20, 0x10] {
            check_refused(&[vec![LAST | bit | 1]], HeaderError::ReservedBit, 1002);
        }
        for number in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF] {
            check_refused(&[vec![LAST | number]], HeaderError::ReservedOpcode(number), 1002);
        }
        check_refused(&[vec![LAST | 1, 5]], HeaderError::NotMasked, 1002);
        for opcode in [8, 9, 0xA] {
            check_refused(&[vec![opcode]], HeaderError::FragmentedControl, 1002);
            check_refused(&[vec![LAST | opcode, 0xFE]], HeaderError::LongControl, 1002);
            check_refused(&[vec![LAST | opcode, 0xFF]], HeaderError::LongControl, 1002);
        }
        let long_forms = [
            vec![0x82, 0xFE, 0, 125],
            vec![0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0, 1],
            vec![0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF],
        ];
        for header in long_forms {
            check_refused(&[header], HeaderError::LengthNotMinimal, 1002);
        }
        check_refused(&[header(0x82, 1 << 63)], HeaderError::LengthTopBit, 1002);
        check_refused(&[header(0x82, u64::MAX)], HeaderError::LengthTopBit, 1002);
    }

    #[test]
    fn frames_out_of_place() {
        check_refused(&[frame(0, b"")], ReadError::NothingToContinue, 1002);
        check_refused(&[frame(LAST, b"")], ReadError::NothingToContinue, 1002);
        check_refused(&[frame(1, b""), text("")], ReadError::MessageInsideMessage, 1002);
        check_refused(&[frame(2, b"a"), frame(2, b"")], ReadError::MessageInsideMessage, 1002);
        let after_message = [text("a"), frame(LAST, b"")];
        check(&after_message, &[text_event("a")], Some(ReadError::NothingToContinue));
    }

    #[test]
    fn limits_hold_at_the_header() {
        let mask = vec![0; 4];
        let too_long = header(0x82, (1 << 19) + 1);
        check_refused(&[too_long, mask.clone()], ReadError::FrameTooBig, 1009);
        check_refused(&[header(0x82, 1 << 40), mask.clone()], ReadError::FrameTooBig, 1009);
        check_refused(&[header(0x82, u64::MAX >> 1), mask.clone()], ReadError::FrameTooBig, 1009);

        let half = vec![0; 1 << 19];
        let over = [frame(2, &half), frame(0, &half), header(LAST, 1), mask];
        check_refused(&over, ReadError::MessageTooBig, 1009);
        let full = [frame(2, &half), frame(0, &half), frame(LAST, b"")];
        check(&full, &[Event::Binary(vec![0; 1 << 20].into())], None);

        let four = [frame(1, b"a"), frame(0, b""), frame(0, b""), frame(LAST, b"b")];
        check(&four, &[text_event("ab")], None);
        let five = [frame(1, b""), frame(0, b""), frame(0, b""), frame(0, b""), frame(LAST, b"")];
        check_refused(&five, ReadError::TooManyFrames, 1009);
    }

    /// A text of which only `payload` arrives, in a first frame or a later one.
    fn endless_texts(payload: &[u8]) -> [Vec<Vec<u8>>; 2] {
        let announced = [payload, &[b'.'; 100]].concat();
        let begin = |first| frame(first, &announced)[..6 + payload.len()].to_vec();
        [vec![begin(LAST | 1)], vec![frame(1, b"ok"), begin(0)]]
    }

    #[test]
    fn text_is_refused_at_its_first_impossible_byte() {
        let impossible: [&[u8]; 6] = [b"ab\x80", b"\xC0", b"\xE0\x80", b"\xED\xA0", b"\xF4\x90", b"\xF5"];
        for frames in impossible.into_iter().flat_map(endless_texts) {
            check_refused(&frames, PayloadError::NotUtf8, 1007);
        }
        let possible: [&[u8]; 3] =
            ["κόσμε\u{10FFFF}\0\u{D7FF}\u{E000}".as_bytes(), b"\xF4\x8F\xBF", b"\xEE\x80"];
        for frames in possible.into_iter().flat_map(endless_texts) {
            check(&frames, &[], None);
        }
    }

    #[test]
    fn a_character_may_span_frames_but_not_messages() {
        let split = [frame(1, b"\xE2"), frame(0, b""), frame(0, b"\x82"), frame(LAST, b"\xAC")];
        check(&split, &[text_event("€")], None);
        check_refused(&[frame(LAST | 1, b"\xE2\x82")], PayloadError::NotUtf8, 1007);
        check_refused(&[frame(1, b"\xE2\x82"), frame(LAST, b"")], PayloadError::NotUtf8, 1007);
        check_refused(&[frame(1, b"\xE2\x82"), frame(0, b".")], PayloadError::NotUtf8, 1007);
    }

    #[test]
    fn whole_messages_are_lent_from_the_read_buffer() {
        let mut buffer = [text("one"), frame(0x89, b"two"), frame(LAST | 2, b"three")].concat();
        let place = buffer.as_ptr_range();
        let mut input = &mut buffer[..];
        let mut reader = Reader::new();
        let mut lent = Vec::new();
        while let Some(event) = reader.next(&mut input, &LIMITS).unwrap() {
            lent.push(match event {
                Event::Text(Cow::Borrowed(text)) => text.as_bytes(),
                Event::Binary(Cow::Borrowed(bytes)) | Event::Ping(Cow::Borrowed(bytes)) => bytes,
                copied => panic!("copied: {copied:?}"),
            });
        }
        assert_eq!(lent, [&b"one"[..], b"two", b"three"]);
        assert!(lent.iter().all(|bytes| place.contains(&bytes.as_ptr())));
    }

    #[test]
    fn an_idle_reader_holds_no_memory() {
        assert!(size_of::<Reader>() <= 16);
        let mut reader = Reader::new();
        for _ in 0..2 {
            let mut bytes = frame(LAST | 2, &[7; 1000]);
            let (early, late) = bytes.split_at_mut(500);
            assert_eq!(reader.next(&mut &mut *early, &LIMITS), Ok(None));
            assert!(reader.held_bytes() >= 492);
            assert!(matches!(reader.next(&mut &mut *late, &LIMITS), Ok(Some(Event::Binary(_)))));
            assert_eq!(reader.held_bytes(), 0);
        }
    }

    #[test]
    fn memory_follows_what_has_arrived() {
        let state_bytes = size_of::<Unfinished>();
        let mut reader = Reader::new();
        let mut bytes = frame(LAST | 2, &[7; 1 << 19]);
        let mut arrived = 0;
        for read in bytes.chunks_mut(1000) {
            arrived += read.len();
            reader.next(&mut &mut *read, &LIMITS).unwrap();
            assert!(reader.held_bytes() <= state_bytes + (2 * arrived).min(1 << 19));
        }

        let mut reader = Reader::new();
        let mut bytes = frame(2, &[7; 10]);
        bytes.extend(header(LAST, 1 << 19));
        bytes.extend([0; 4]);
        assert_eq!(reader.next(&mut &mut bytes[..], &LIMITS), Ok(None));
        assert!(reader.held_bytes() <= state_bytes + 20);
    }

    /// Frames that mean something now and then: any fragments, control frames between them.
    fn any_frames() -> impl Strategy<Value = Vec<u8>> {
        let first = prop_oneof![
            8 => prop::sample::select(vec![0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x89, 0x8A]),
            1 => Just(0x88),
            1 => any::<u8>(),
        ];
        let payload = prop_oneof![
            "\\PC{0,40}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..200),
        ];
        prop::collection::vec((first, payload), 1..8)
            .prop_map(|frames| frames.iter().flat_map(|(first, payload)| frame(*first, payload)).collect())
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(
            bytes in any_frames(),
            sizes in prop::collection::vec(1usize..50, 1..20),
        ) {
            let mut rest = &bytes[..];
            let reads = sizes.iter().cycle().map_while(|size| {
                let (read, after) = rest.split_at((*size).min(rest.len()));
                rest = after;
                (!read.is_empty()).then_some(read)
            });
            prop_assert_eq!(read(reads), read([&bytes[..]]));
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(read(bytes.chunks(1)), read([&bytes[..]]));
        }
    }
}
