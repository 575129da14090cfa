//! What there is: topics, and what each keeps.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tidewire_hub_core::access::caller::Right;
use tidewire_hub_core::topics::listing::Known;
use tidewire_hub_core::trie::Progress;
use utoipa::ToSchema;

use crate::http::problem::Problem;
use crate::http::query::{Name, Query, is_pattern, written};
use crate::http::shapes::Failures;
use crate::http::{Api, answer};

/// Some topics.
#[derive(Debug, Serialize, ToSchema)]
struct Topics {
    topics: Vec<Topic>,
    /// What to ask for `after` to get more; absent where these were the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What is known of one.
#[derive(Debug, Serialize, ToSchema)]
struct Topic {
    topic: String,
    position: String,
    messages: u64,
    bytes: u64,
}

impl From<Known> for Topic {
    fn from(known: Known) -> Self {
        let Known { name, position, messages, bytes } = known;
        Self { topic: name.as_str().to_owned(), position: written(&[position]), messages, bytes }
    }
}

/// Lists topics that a pattern matches.
#[utoipa::path(
    get, path = "/v1/topics", tag = "topics", security((), ("token" = [])),
    params(
        ("pattern" = Option<String>, Query, description = "Which; all without it"),
        ("limit" = Option<u64>, Query, description = "How many at most; 100 without it", minimum = 1, maximum = 1000),
        ("after" = Option<String>, Query, description = "The `next` of the answer before"),
    ),
    responses((status = 200, body = Topics, description = "Some of them"), Failures),
)]
pub(super) async fn list(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let query = Query::read(parts.uri.query(), &["pattern", "limit", "after"], &[])?;
    let limit = query.number("limit", LIMIT_DEFAULT, LIMIT_MAX)?;
    let mut progress = query.get("after").map_or(Progress::Start, |path| Progress::After(path.into()));
    let visitor = api.enter(&parts).await?;
    let (desk, pattern) = (api.desk(), query.get("pattern").unwrap_or(">"));
    let _turn = api.turn(&visitor).await;
    // Not before: others may hold by then.
    let what = desk.readable(visitor.by(), Right::History, pattern)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut topics, mut left) = (Vec::new(), NAMES_MAX);
    // Names are looked at in steps, so that nobody who publishes waits long.
    while progress != Progress::Done && topics.len() < limit && left > 0 {
        let step = left.min(STEP_NAMES).min(limit - topics.len());
        let (found, reached) = desk.topics().list(desk.now(), &what, &progress, step);
        topics.extend(found.into_iter().map(Topic::from));
        (progress, left) = (reached, left - step);
        tokio::task::yield_now().await;
    }
    let next = match progress {
        Progress::After(path) => Some(path.into()),
        Progress::Start | Progress::Done => None,
    };
    let listed = serde_json::to_vec(&Topics { topics, next }).unwrap_or_default();
    answer::large(answer::JSON, listed, &parts.headers, &visitor.account, desk.topics())
}

/// Tells of a topic.
#[utoipa::path(
    get, path = "/v1/topics/{topic}", tag = "topics", security((), ("token" = [])),
    params(("topic" = String, Path, description = "Which")),
    responses((status = 200, body = Topic, description = "What is known of it"), Failures),
)]
pub(super) async fn one(
    State(api): State<Api>,
    Name(topic): Name,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    Query::read(parts.uri.query(), &[], &[])?;
    let visitor = api.enter(&parts).await?;
    let what = api.desk().readable(visitor.by(), Right::History, &topic)?;
    if is_pattern(&topic) {
        return Err(Problem::bad_request("this is a pattern: ask for `/v1/topics?pattern=`"));
    }
    let (mut known, _) = api.desk().topics().list(api.desk().now(), &what, &Progress::Start, 1);
    let known = known.pop().map(Topic::from);
    let unknown = || {
        let detail = "nothing was published to this topic, or all of it is forgotten";
        Problem::new(StatusCode::NOT_FOUND, "unknown_topic", detail)
    };
    Ok(answer::json(&known.ok_or_else(unknown)?))
}

const LIMIT_DEFAULT: u64 = 100;
const LIMIT_MAX: u64 = 1_000;
/// Names that one request has looked at, whether they match or not.
const NAMES_MAX: usize = 4_096;
const STEP_NAMES: usize = 256;
