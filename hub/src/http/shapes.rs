//! The shapes of what is written by hand, or without a copy, for the description alone.

#![expect(dead_code, reason = "nobody makes them: they tell what others write")]

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::response::Response;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder, Schema};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

/// What went wrong (RFC 9457).
#[derive(ToSchema)]
#[schema(as = Problem)]
pub struct ProblemShape {
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// The status in words.
    title: String,
    /// One of the protocol's codes, or of the API's own.
    code: String,
    /// What to know, and what to do about it.
    detail: String,
    /// When to try again.
    retry_after_ms: Option<u64>,
    /// Of several messages, the one that is the cause.
    index: Option<u64>,
    /// Where a condition failed, the place of its key's latest message; absent if it has no value.
    current: Option<String>,
}

/// A page of messages.
#[derive(ToSchema)]
#[schema(as = Page)]
pub(super) struct PageShape {
    /// They, oldest first.
    messages: Vec<MessageShape>,
    gap: Option<GapShape>,
    /// What to say for `from` to read on.
    next: String,
    /// What to say for `before` to read back.
    previous: String,
    /// Whether there is more that way now.
    more: bool,
}

/// A message, with one of `data`, `text` and `base64`.
#[derive(ToSchema)]
#[schema(as = Message)]
pub(super) struct MessageShape {
    /// Its topic, where a pattern was asked for.
    topic: Option<String>,
    /// Its place.
    offset: u64,
    /// Milliseconds since 1970.
    published_at: u64,
    /// The subject that published it.
    sender: Option<String>,
    /// Its payload, if that is JSON.
    data: Option<Value>,
    /// Its payload, if that is a text.
    text: Option<String>,
    /// Its payload, if that is bytes.
    base64: Option<String>,
    /// What the bytes are.
    content: Option<ContentShape>,
    /// What it is about.
    key: Option<String>,
    /// Names and values.
    headers: Option<BTreeMap<String, String>>,
    /// For so many milliseconds after `published_at` it is worth anything.
    ttl_ms: Option<u64>,
    /// Its key has no value any more; then it may have no payload.
    remove: Option<bool>,
}

/// What a payload is.
#[derive(ToSchema)]
#[schema(as = Content, rename_all = "lowercase")]
pub(super) enum ContentShape {
    Json,
    Text,
    Binary,
    Cbor,
}

/// What is gone of what was asked for, before the first message.
#[derive(ToSchema)]
#[schema(as = Gap)]
pub(super) struct GapShape {
    /// The log that it is a part of.
    epoch: String,
    /// The first offset that may be missing.
    from: u64,
    /// The last.
    to: u64,
    /// Why.
    reason: String,
}

/// Bytes as they are.
#[derive(ToSchema)]
#[schema(as = Bytes, value_type = String, format = Binary)]
pub(super) struct BytesShape(Vec<u8>);

/// Messages to publish, all or none.
#[derive(ToSchema)]
#[schema(as = Several)]
pub(super) struct SeveralShape {
    #[schema(min_items = 1, max_items = 1000)]
    messages: Vec<NewMessageShape>,
}

/// A message with one of `data`, `text` and `base64`.
#[derive(ToSchema)]
#[schema(as = NewMessage)]
pub(super) struct NewMessageShape {
    topic: String,
    data: Option<Value>,
    text: Option<String>,
    base64: Option<String>,
    content: Option<ContentShape>,
    /// What it is about.
    #[schema(max_length = 255)]
    key: Option<String>,
    /// Names and values, 32 at most.
    headers: Option<BTreeMap<String, String>>,
    /// For so many milliseconds it is worth anything.
    #[schema(minimum = 1)]
    ttl_ms: Option<u64>,
    /// Its key has no value any more; then it may have no payload.
    remove: Option<bool>,
    /// `EPOCH:OFFSET`: publish only if that is its key's latest message. Not together with `if_absent`.
    if_version: Option<String>,
    /// Publish only if its key has no value.
    if_absent: Option<bool>,
    /// What is to hold when it is answered.
    durability: Option<DurabilityShape>,
}

/// What may be asked for.
#[derive(ToSchema)]
#[schema(as = Durability, rename_all = "lowercase")]
pub(super) enum DurabilityShape {
    Memory,
    Synced,
}

/// The answer of whatever is not answered as it wishes.
pub struct Failures;

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new()
            .description("It is not answered as it wishes; `code` says why, and `detail` what to do")
            .content("application/problem+json", body);
        BTreeMap::from([("default".to_owned(), RefOr::T(response.build()))])
    }
}

/// The name and shape of what [`Failures`] point to.
pub fn of_failures() -> (String, RefOr<Schema>) {
    ("Problem".to_owned(), ProblemShape::schema())
}
