//! Whatever is written is read back, and whatever comes costs no more memory than it weighs.
#![allow(clippy::unwrap_used)]

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidewire_protocol::attributes::{Attributes, Headers};
use tidewire_protocol::block::{Block, Head, blocks_of_page, put_header, put_message, put_on_page};
use tidewire_protocol::client_frame as client;
use tidewire_protocol::client_frame::{ClientFrame, Terms};
use tidewire_protocol::code::{Code, Content, Durability, GapReason, Outcome, WhenSlow};
use tidewire_protocol::hub_frame as hub;
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::json;
use tidewire_protocol::number::{
    Epoch, Handle, Incarnation, NUMBER_MAX, Offset, Participant, ProducerId, Request, Seq, Tag, TailNumber,
};
use tidewire_protocol::position::{Gap, Position, Start};
use tidewire_protocol::varint;

/// Small numbers, and every length that a varint can have.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..300u64, (0..53u32, any::<u64>()).prop_map(|(bits, n)| n & (NUMBER_MAX >> bits))]
}

fn text() -> impl Strategy<Value = Cow<'static, str>> {
    "\\PC{0,200}".prop_map(Cow::Owned)
}

fn epoch() -> impl Strategy<Value = Epoch> {
    any::<u64>().prop_map(Epoch)
}

fn producer() -> impl Strategy<Value = ProducerId> {
    any::<[u8; 16]>().prop_map(ProducerId)
}

fn one_of<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(all)
}

fn position() -> impl Strategy<Value = Position> {
    (epoch(), number()).prop_map(|(epoch, n)| Position { epoch, offset: Offset(n) })
}

fn positions() -> impl Strategy<Value = Vec<Position>> {
    vec(position(), 0..4)
}

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![
        Just(Start::Latest),
        Just(Start::Earliest),
        number().prop_map(Start::Last),
        number().prop_map(Start::SinceMs),
        positions().prop_map(Start::After),
        (number(), positions()).prop_map(|(last, positions)| Start::Before { last, positions }),
    ]
}

fn gap() -> impl Strategy<Value = Option<Gap>> {
    prop::option::of(
        (epoch(), number(), number(), one_of(GapReason::ALL)).prop_map(|(epoch, from, to, reason)| Gap {
            epoch,
            from: Offset(from),
            to: Offset(to),
            reason,
        }),
    )
}

/// Makes a strategy of a frame from strategies of its fields, each mapped into the field's type.
macro_rules! of {
    ($wrap:path, $side:ident::$name:ident { $($field:ident: $strategy:expr),* $(,)? } $(,)?) => {
        ($($strategy,)*).prop_map(|($($field,)*)| $wrap($side::$name { $($field: $field.into()),* }))
    };
}

fn n<T: std::fmt::Debug>(of: fn(u64) -> T) -> impl Strategy<Value = T> {
    number().prop_map(of)
}

fn attributes() -> impl Strategy<Value = Attributes<'static>> {
    let headers = vec((".{0,9}", ".{0,20}"), 0..4).prop_map(Headers::of);
    (text(), headers, number(), any::<bool>()).prop_map(|(key, headers, ttl_ms, remove)| Attributes {
        key,
        headers,
        ttl_ms,
        remove,
    })
}

fn terms() -> impl Strategy<Value = Terms> {
    let durability = proptest::option::of(one_of(Durability::ALL));
    (proptest::option::of(position()), any::<bool>(), durability)
        .prop_map(|(if_version, if_absent, durability)| Terms { if_version, if_absent, durability })
}

fn client_frame() -> impl Strategy<Value = ClientFrame<'static>> {
    use ClientFrame as F;
    prop_oneof![
        of!(
            F::Hello,
            client::Hello { producer: producer(), incarnation: n(Incarnation), token: text(), agent: text() }
        ),
        of!(
            F::Attach,
            client::Attach { participant: n(Participant), producer: producer(), incarnation: n(Incarnation) }
        ),
        n(Participant).prop_map(|participant| F::Detach(client::Detach { participant })),
        of!(
            F::Open,
            client::Open {
                handle: n(Handle),
                participant: n(Participant),
                topic: text(),
                lowest: n(Seq),
                unacknowledged: any::<bool>(),
                again: any::<bool>(),
            }
        ),
        of!(
            F::Publish,
            client::Publish {
                handle: n(Handle),
                seq: n(Seq),
                lowest: n(Seq),
                content: one_of(Content::ALL),
                maybe_duplicate: any::<bool>(),
                void: any::<bool>(),
                payload: vec(any::<u8>(), 0..300),
                tag: n(Tag),
                count: number(),
                attributes: attributes(),
                terms: terms(),
            }
        ),
        of!(
            F::Send,
            client::Send {
                handle: n(Handle),
                content: one_of(Content::ALL),
                expires_ms: number(),
                payload: vec(any::<u8>(), 0..300),
                attributes: attributes(),
            }
        ),
        of!(F::SignIn, client::SignIn { request: n(Request), token: text() }),
        of!(F::Batch, client::Batch { count: n(|n| n) }),
        n(Handle).prop_map(|handle| F::Shut(client::Shut { handle })),
        of!(
            F::Subscribe,
            client::Subscribe {
                request: n(Request),
                name: text(),
                from: start(),
                when_slow: one_of(WhenSlow::ALL),
            }
        ),
        of!(F::Unsubscribe, client::Unsubscribe { request: n(Request), tail: n(TailNumber) }),
        of!(
            F::History,
            client::History {
                request: n(Request),
                name: text(),
                from: start(),
                bytes_max: number(),
                removals: n(Offset),
                messages_max: number(),
            }
        ),
        n(Request).prop_map(|request| F::Heartbeat(client::Heartbeat { request })),
    ]
}

fn hub_frame() -> impl Strategy<Value = HubFrame<'static>> {
    use HubFrame as F;
    prop_oneof![
        of!(
            F::Welcome,
            hub::Welcome {
                tag: n(Tag),
                heartbeat_ms: number(),
                message_bytes_max: number(),
                in_flight_max: number(),
                subject: text(),
                agent: text(),
                features: number(),
                frame_bytes_max: number(),
                expires_ms: number(),
            }
        ),
        of!(F::SignedIn, hub::SignedIn { request: n(Request), subject: text(), expires_ms: number() }),
        of!(F::Attached, hub::Attached { participant: n(Participant), tag: n(Tag) }),
        of!(
            F::Detached,
            hub::Detached { participant: n(Participant), code: one_of(Code::ALL), message: text() }
        ),
        of!(F::Opened, hub::Opened { handle: n(Handle), window_new: any::<bool>(), next: n(Seq) }),
        of!(
            F::Acked,
            hub::Acked {
                handle: n(Handle),
                seq: n(Seq),
                count: number(),
                epoch: epoch(),
                offset: n(Offset),
                durability: one_of(Durability::ALL),
                duplicate: any::<bool>(),
            }
        ),
        of!(
            F::Refused,
            hub::Refused {
                handle: n(Handle),
                seq: n(Seq),
                count: number(),
                code: one_of(Code::ALL),
                consumed: any::<bool>(),
                retry_after_ms: number(),
                message: text(),
                current: proptest::option::of(position()),
            }
        ),
        of!(
            F::Subscribed,
            hub::Subscribed {
                request: n(Request),
                tail: n(TailNumber),
                outcome: one_of(Outcome::ALL),
                positions: positions(),
                gap: gap(),
                removals: n(Offset),
            }
        ),
        of!(
            F::Unsubscribed,
            hub::Unsubscribed {
                request: n(Request),
                tail: n(TailNumber),
                code: one_of(Code::ALL),
                message: text(),
                retryable: any::<bool>(),
            }
        ),
        of!(F::Missing, hub::Missing { tail: n(TailNumber), gap: gap(), after: n(Offset) }),
        of!(F::Progress, hub::Progress { tail: n(TailNumber), epoch: epoch(), upto: n(Offset) }),
        of!(
            F::Page,
            hub::Page {
                request: n(Request),
                more: any::<bool>(),
                after: positions(),
                upto: positions(),
                gap: gap(),
                blocks: vec(any::<u8>(), 0..300),
                removals: n(Offset),
            }
        ),
        n(Request).prop_map(|request| F::Heartbeat(hub::Heartbeat { request })),
        of!(
            F::Failed,
            hub::Failed {
                request: n(Request),
                code: one_of(Code::ALL),
                retry_after_ms: number(),
                message: text(),
                retryable: any::<bool>(),
            }
        ),
        of!(
            F::Goodbye,
            hub::Goodbye { code: one_of(Code::ALL), reconnect_after_ms: number(), message: text() }
        ),
    ]
}

/// What a block says of one message; offsets and times are steps from the message before.
#[derive(Debug, Clone)]
struct Said {
    step: u64,
    age_ms: u64,
    content: Content,
    maybe_duplicate: bool,
    tag: Tag,
    sender: String,
    topic: usize,
    attributes: Attributes<'static>,
    payload: Vec<u8>,
}

fn said() -> impl Strategy<Value = Said> {
    (
        (1..1u64 << 40, 0..1u64 << 40, one_of(Content::ALL), any::<bool>()),
        (n(Tag), "\\PC{0,20}", 0..4usize, attributes(), vec(any::<u8>(), 0..200)),
    )
        .prop_map(
            |((step, age_ms, content, maybe_duplicate), (tag, sender, topic, attributes, payload))| Said {
                step,
                age_ms,
                content,
                maybe_duplicate,
                tag,
                sender,
                topic,
                attributes,
                payload,
            },
        )
}

const TOPICS: [&str; 4] = ["a", "a.b", "a.ü", "$x.y"];

/// Writes the messages of a block, naming each topic where it first comes.
fn records(said: &[Said], named: bool, first: Offset, base_time_ms: u64) -> Vec<u8> {
    let mut records = Vec::new();
    let mut topics = Vec::new();
    let mut prev = first;
    for message in said {
        let place = topics.iter().position(|topic| *topic == message.topic);
        let topic = match place {
            _ if !named => None,
            Some(place) => Some((place as u64, None)),
            None => Some((topics.len() as u64, Some(TOPICS[message.topic]))),
        };
        if place.is_none() {
            topics.push(message.topic);
        }
        let offset = Offset(prev.0 + message.step);
        let mut ext = Vec::new();
        message.attributes.put(&mut ext);
        let head = Head {
            prev,
            offset,
            base_time_ms,
            published_at_ms: base_time_ms + message.age_ms,
            content: message.content,
            maybe_duplicate: message.maybe_duplicate,
            tag: message.tag,
            sender: &message.sender,
            topic,
            ext: &ext,
        };
        put_message(&head, &message.payload, &mut records);
        prev = offset;
    }
    records
}

#[track_caller]
fn check_messages(block: &Block<'_>, said: &[Said]) {
    let mut offset = block.prev.0;
    let mut messages = block.messages();
    for wanted in said {
        let message = messages.next().unwrap().unwrap();
        offset += wanted.step;
        assert_eq!(message.offset, Offset(offset));
        assert_eq!(message.published_at_ms, block.base_time_ms + wanted.age_ms);
        assert_eq!(message.content, wanted.content);
        assert_eq!(message.maybe_duplicate, wanted.maybe_duplicate);
        assert_eq!(message.tag, wanted.tag);
        assert_eq!(message.sender.unwrap_or_default(), wanted.sender);
        assert_eq!(message.topic, block.named.then_some(TOPICS[wanted.topic]));
        assert_eq!(message.attributes().unwrap(), wanted.attributes);
        assert_eq!(message.payload, wanted.payload);
    }
    assert!(messages.next().is_none());
}

proptest! {
    #[test]
    fn varints_round_trip(value in any::<u64>(), bits in 0..64u32) {
        let value = value >> bits;
        let mut bytes = Vec::new();
        varint::put(value, &mut bytes);
        prop_assert_eq!(bytes.len(), varint::len(value));
        let mut rest = &*bytes;
        prop_assert_eq!(varint::take(&mut rest), Some(value));
        prop_assert!(rest.is_empty());
        prop_assert_eq!(varint::take(&mut &bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn client_frames_round_trip(frames in vec(client_frame(), 0..4)) {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.put(&mut bytes));
        let mut rest = &*bytes;
        for frame in frames {
            prop_assert_eq!(ClientFrame::take(&mut rest), Ok(Some(frame)));
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn hub_frames_round_trip(frames in vec(hub_frame(), 0..4)) {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.put(&mut bytes));
        let mut rest = &*bytes;
        for frame in frames {
            prop_assert_eq!(HubFrame::take(&mut rest), Ok(Some(frame)));
        }
        prop_assert!(rest.is_empty());
    }

    /// What the binary encoding says, JSON says, too.
    #[test]
    fn no_field_of_the_hubs_is_missing_in_json(frame in hub_frame()) {
        let frame = match frame {
            HubFrame::Page(page) => HubFrame::Page(hub::Page { blocks: Cow::default(), ..page }),
            frame => frame,
        };
        let (mut binary, mut text) = (Vec::new(), Vec::new());
        frame.put(&mut binary);
        json::put_hub(&frame, &mut text).unwrap();
        let mut said: serde_json::Map<String, Value> = serde_json::from_slice(&text).unwrap();
        // What has no default in JSON is there always; binary leaves out what is empty or zero.
        said.retain(|_, value| *value != json!([]) && *value != json!(0));
        let (mut body, mut fields) = (&binary[2 + usize::from(binary[1] >= 128)..], 0);
        while !body.is_empty() {
            let is_bytes = varint::take(&mut body).unwrap() & 1 == 1;
            let says_something = if is_bytes {
                varint::take_bytes(&mut body).map(|_| true)
            } else {
                varint::take(&mut body).map(|number| number != 0)
            };
            fields += usize::from(says_something.unwrap());
        }
        prop_assert_eq!(said.len(), fields + 1, "{:?} is {:?}", frame, said);
    }

    #[test]
    fn a_frame_cut_short_is_refused(frame in client_frame(), cut in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        frame.put(&mut bytes);
        let cut = cut.index(bytes.len());
        prop_assert!(ClientFrame::take(&mut &bytes[..cut]).is_err());
    }

    #[test]
    fn blocks_round_trip(
        said in vec(said(), 0..8),
        named in any::<bool>(),
        (tail, log, prev, base_time_ms) in (number(), number(), 0..1u64 << 48, 0..1u64 << 48),
    ) {
        let (tail, prev) = (TailNumber(tail), Offset(prev));
        let records = records(&said, named, prev, base_time_ms);
        let block = Block { tail, log, named, prev, base_time_ms, records: &records };
        let mut bytes = Vec::new();
        block.put(&mut bytes);
        let mut rest = &*bytes;
        prop_assert_eq!(HubFrame::take(&mut rest), Ok(Some(HubFrame::Block(block.clone()))));
        prop_assert!(rest.is_empty());
        check_messages(&block, &said);

        let (mut page, mut scratch) = (Vec::new(), Vec::new());
        put_on_page(&block, &mut scratch, &mut page);
        put_on_page(&block, &mut scratch, &mut page);
        let read: Vec<_> = blocks_of_page(&page).map(Result::unwrap).collect();
        prop_assert_eq!(read, vec![block.clone(), block.clone()]);

        let mut header = Vec::new();
        put_header(tail, log, named, prev, base_time_ms, records.len(), &mut header);
        header.extend_from_slice(&records);
        prop_assert_eq!(HubFrame::take(&mut &*header), Ok(Some(HubFrame::Block(block))));
    }

    /// What a client says in JSON means what it says in binary; text and bytes come through unharmed.
    #[test]
    fn payloads_in_json_round_trip(text in any::<String>()) {
        let frame = serde_json::json!({ "type": "publish", "text": text }).to_string();
        let read = json::take_client(&frame).unwrap();
        let payload = Cow::Owned(text.clone().into_bytes());
        let content = Content::Text;
        let wanted = client::Publish { content, payload, ..client::Publish::default() };
        prop_assert_eq!(read, Some(ClientFrame::Publish(wanted)));

        let data = serde_json::json!({ &*text: [&text, 1, null] });
        let frame = serde_json::json!({ "type": "publish", "data": &data }).to_string();
        let Ok(Some(ClientFrame::Publish(publish))) = json::take_client(&frame) else { unreachable!() };
        prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&publish.payload).unwrap(), data);
    }
}
