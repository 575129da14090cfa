//! Publishing: one message, whose body is its payload, or several at once.

use std::borrow::Cow;
use std::fmt;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tidewire_hub_core::calls::Placed;
use tidewire_hub_core::calls::publishing::{NewMessage, Turned};
use tidewire_hub_core::limits::of_bearer::Bound;
use tidewire_hub_core::session::telling::{Refusal, TOO_LARGE_TO_STORE};
use tidewire_protocol::attributes::Headers;
use tidewire_protocol::client_frame::Batch;
use tidewire_protocol::code::{Code, Content};
use tidewire_protocol::number::ProducerId;
use tidewire_protocol::position::Position;
use utoipa::ToSchema;

use crate::http::attributes::{self, Beside};
use crate::http::body::{self, Whole, content_of, essence};
use crate::http::callers;
use crate::http::problem::Problem;
use crate::http::query::Name;
use crate::http::shapes::{BytesShape, Failures, SeveralShape};
use crate::http::{Api, answer};
use crate::reactor::desk::Unpublished;

/// Where a message is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Published {
    topic: String,
    epoch: String,
    offset: u64,
    durability: &'static str,
    duplicate: bool,
}

/// Where several are.
#[derive(Debug, Serialize, ToSchema)]
struct AllPublished {
    messages: Vec<Published>,
}

/// Several messages, as a body has them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Several<'a> {
    #[serde(borrow, deserialize_with = "few")]
    messages: Vec<One<'a>>,
}

/// One of them: its payload is one of `data`, `text` and `base64`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct One<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    base64: Option<Cow<'a, str>>,
    content: Option<Content>,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    #[serde(default)]
    headers: Headers<'a>,
    ttl_ms: Option<u64>,
    #[serde(default)]
    remove: bool,
    #[serde(borrow)]
    if_version: Option<Cow<'a, str>>,
    #[serde(default)]
    if_absent: bool,
    #[serde(borrow)]
    durability: Option<Cow<'a, str>>,
}

/// Publishes a message: the body is its payload, and `Content-Type` says what that is.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/messages", tag = "publish", security((), ("token" = [])),
    params(
        ("topic" = String, Path, description = "Where to"),
        ("idempotency-key" = Option<String>, Header, description = "Has it land once however often it is sent", min_length = 1, max_length = 256),
        ("tidewire-key" = Option<String>, Header, description = "What it is about", min_length = 1, max_length = 255),
        ("tidewire-remove" = Option<bool>, Header, description = "Its key has no value any more"),
        ("tidewire-ttl" = Option<String>, Header, description = "For how long it is worth anything, such as 10s"),
        ("tidewire-durability" = Option<String>, Header, description = "What is to hold when it is answered: memory or synced"),
        ("if-match" = Option<String>, Header, description = "EPOCH:OFFSET: only if that is its key's latest message"),
        ("if-none-match" = Option<String>, Header, description = "*: only if its key has no value"),
    ),
    request_body(description = "The payload; there is an empty one", content(
        (serde_json::Value = "application/json"), (String = "text/plain"), (BytesShape = "application/octet-stream"), (BytesShape = "application/cbor"),
    )),
    responses((status = 200, body = Published, description = "Where it is"), Failures),
)]
pub(super) async fn publish(
    State(api): State<Api>,
    Name(topic): Name,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let visitor = api.enter(&parts).await?;
    let content = content_of(&parts.headers)?;
    let limits = api.desk().topics().limits();
    let bytes_max = visitor.caller.at_most(Bound::MessageBytes, limits.message_bytes_max);
    let whole = body::read(&parts.headers, body, bytes_max, &visitor.account, limits).await?;
    let (attributes, terms) = attributes::of_headers(&parts.headers)?;
    if !(attributes.remove && whole.bytes.is_empty()) {
        body::check(content, &whole.bytes)?;
    }
    let has_key = !attributes.key.is_empty();
    let message = NewMessage { topic: &topic, content, payload: &whole.bytes, attributes, terms };
    let producer = producer(&api, &parts.headers, &visitor)?;
    let landed = api.desk().publish(visitor.by(), &[message], producer).await;
    let placed = landed.map_err(|why| unpublished(why, false))?.pop().ok_or(Code::Internal)?;
    let placed = placed.map_err(|refusal| refused(refusal, terms.unsupported().unwrap_or_default()))?;
    let version = Position { epoch: placed.epoch, offset: placed.offset };
    let answer = answer::json(&Published::new(topic, placed));
    Ok(if has_key { answer::with_version(answer, version) } else { answer })
}

/// Publishes 1 to 1,000 messages, all of them or none.
#[utoipa::path(
    post, path = "/v1/messages", tag = "publish", security((), ("token" = [])),
    params(("idempotency-key" = Option<String>, Header, description = "Has them land once however often they are sent", min_length = 1, max_length = 256)),
    request_body(content = SeveralShape, content_type = "application/json"),
    responses((status = 200, body = AllPublished, description = "Where each is"), Failures),
)]
pub(super) async fn publish_several(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let visitor = api.enter(&parts).await?;
    attributes::none_of_one(&parts.headers)?;
    let whole = read_several(&api, &parts.headers, body, &visitor).await?;
    let several: Several<'_> = serde_json::from_slice(&whole.bytes).map_err(|error| {
        Problem::bad_request(format!("the body is `{{\"messages\": [...]}}`, and this is not: {error}"))
    })?;
    if several.messages.is_empty() {
        return Err(Problem::bad_request(format!("there are 1 to {} messages in a body", Batch::COUNT_MAX)));
    }
    let mut payloads = Vec::with_capacity(several.messages.len());
    for (index, one) in several.messages.iter().enumerate() {
        payloads.push(one.payload().map_err(|problem| problem.of_message(index))?);
    }
    let mut messages = Vec::with_capacity(several.messages.len());
    for (index, (one, (content, payload))) in several.messages.iter().zip(&payloads).enumerate() {
        let (attributes, terms) = one.beside().read().map_err(|problem| problem.of_message(index))?;
        messages.push(NewMessage { topic: &one.topic, content: *content, payload, attributes, terms });
    }
    let producer = producer(&api, &parts.headers, &visitor)?;
    let landed = api.desk().publish(visitor.by(), &messages, producer).await;
    let landed = landed.map_err(|why| unpublished(why, true))?;
    if let Some((index, refusal)) = cause(&landed) {
        let of_terms = messages.get(index).and_then(|message| message.terms.unsupported());
        let apart = messages.iter().any(|message| message.topic != messages[0].topic).then_some(APART);
        let why = of_terms.into_iter().chain(apart).collect::<Vec<_>>().join("; or ");
        return Err(refused(refusal, &why).of_message(index));
    }
    let published = several.messages.iter().zip(landed.into_iter().flatten());
    let published = published.map(|(one, placed)| Published::new(one.topic.clone().into_owned(), placed));
    let published = AllPublished { messages: published.collect() };
    Ok(answer::json(&published))
}

async fn read_several(
    api: &Api,
    headers: &HeaderMap,
    body: Body,
    visitor: &callers::Visitor,
) -> Result<Whole, Problem> {
    let is_json = headers
        .get(axum::http::header::CONTENT_TYPE)
        .is_some_and(|header| essence(header) == "application/json");
    if !is_json {
        let detail = "several messages come as `content-type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_supported", detail));
    }
    let limits = api.desk().topics().limits();
    body::read(headers, body, limits.frame_bytes_max, &visitor.account, limits).await
}

/// Reads a list of as many as a batch may have: one more is as good as any number.
fn few<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<One<'de>>, D::Error> {
    from.deserialize_seq(Few)
}

struct Few;

impl<'de> Visitor<'de> for Few {
    type Value = Vec<One<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of 1 to {} messages", Batch::COUNT_MAX)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(one) = entries.next_element()? {
            list.push(one);
            if list.len() as u64 > Batch::COUNT_MAX {
                return Err(A::Error::invalid_length(list.len(), &self));
            }
        }
        Ok(list)
    }
}

impl Published {
    fn new(topic: String, placed: Placed) -> Self {
        let Placed { epoch, offset, durability, is_duplicate } = placed;
        let durability = durability.name();
        Self { topic, epoch: epoch.to_string(), offset: offset.0, durability, duplicate: is_duplicate }
    }
}

impl One<'_> {
    fn beside(&self) -> Beside<'_> {
        Beside {
            key: self.key.as_deref(),
            headers: &self.headers,
            ttl_ms: self.ttl_ms,
            remove: self.remove,
            if_version: self.if_version.as_deref(),
            if_absent: self.if_absent,
            durability: self.durability.as_deref(),
        }
    }

    fn payload(&self) -> Result<(Content, Cow<'_, [u8]>), Problem> {
        let (content, payload) = match (self.data, &self.text, &self.base64) {
            (Some(data), None, None) => (Content::Json, Cow::Borrowed(data.get().as_bytes())),
            (None, Some(text), None) => (Content::Text, Cow::Borrowed(text.as_bytes())),
            (None, None, Some(text)) => {
                let bytes = BASE64.decode(text.as_bytes());
                let bytes =
                    bytes.map_err(|error| Problem::bad_request(format!("`base64` is none: {error}")))?;
                (self.content.unwrap_or(Content::Binary), Cow::Owned(bytes))
            }
            (None, None, None) if self.remove => (Content::Json, Cow::Borrowed(&[][..])),
            _ => return Err(Problem::bad_request("a message has one of `data`, `text` and `base64`")),
        };
        if self.content.is_some_and(|said| said != content) {
            return Err(Problem::bad_request(
                "`content` says something else than what the payload stands in",
            ));
        }
        let has_payload = !(self.remove && payload.is_empty());
        if has_payload || content == Content::Unknown {
            body::check(content, &payload)?;
        }
        Ok((content, payload))
    }
}

/// Of messages of which none was published the one that is why: what the others are refused for follows from it.
fn cause(landed: &[Result<Placed, Refusal>]) -> Option<(usize, Refusal)> {
    let mut refusals = (0..).zip(landed).filter_map(|(index, landed)| Some((index, landed.err()?)));
    let any = refusals.clone().next();
    refusals.find(|(_, refusal)| !refusal.follows && refusal.code != Code::BatchRefused).or(any)
}

/// A refusal, in words that name the cause where what was asked for is not supported.
fn refused(refusal: Refusal, why: &str) -> Problem {
    let problem = Problem::from(refusal);
    match refusal.code {
        Code::NotSupported if !why.is_empty() => problem.saying(why.to_owned()),
        // What `message_bytes_max` lets in is too large for nobody but the log.
        Code::TooLarge => problem.saying(TOO_LARGE_TO_STORE),
        _ => problem,
    }
}

/// Why nothing is told of one message, or of several.
fn unpublished(why: Unpublished, several: bool) -> Problem {
    match why {
        Unpublished::Turned(Turned { index, refusal }) if several => Problem::from(refusal).of_message(index),
        Unpublished::Turned(Turned { refusal, .. }) => refusal.into(),
        Unpublished::OutcomeUnknown => Problem::outcome_unknown(),
    }
}

/// What makes a retry land once: the same for all tries with one key by one caller, and nobody else's, whoever guesses the key.
fn producer(
    api: &Api,
    headers: &HeaderMap,
    visitor: &callers::Visitor,
) -> Result<Option<ProducerId>, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.next().is_some() || key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(Problem::bad_request(format!(
            "`idempotency-key` is one text of 1 to {KEY_BYTES_MAX} bytes"
        )));
    }
    let mut hash = Sha256::new();
    // Else anybody could say what a key stands for, and take that as a producer of its own.
    hash.update(api.desk().secret());
    match visitor.caller.subject() {
        Some(subject) => {
            hash.update(b"subject\0");
            hash.update((subject.len() as u64).to_be_bytes());
            hash.update(subject.as_bytes());
        }
        // Without a token an address is all that tells callers apart.
        None => {
            hash.update(b"address\0");
            hash.update(visitor.account.key().0.to_be_bytes());
        }
    }
    hash.update(key.as_bytes());
    let digest = hash.finalize();
    let id = digest.first_chunk().map(|bytes| ProducerId(*bytes));
    Ok(id.filter(|id| *id != ProducerId::default()))
}

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const KEY_BYTES_MAX: usize = 256;

/// Why messages to several topics may be refused together.
const APART: &str = "the topics are kept apart, one in memory and one on disk, so nothing can store their messages all at once: publish to each alone, or have the hub's rules for them say the same `durability`";
