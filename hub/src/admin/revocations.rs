//! Takes tokens back before they end, tells which are, and gives them back.

use std::io;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use tidewire_hub_core::credentials::revocations::{About, Revocation};
use tidewire_protocol::code::Code;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::admin::Operators;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::shapes::Failures;
use crate::http::{answer, body};
use crate::tokens::revocation::{self, Kept, Revocations, Revoke, Revoked};
use crate::tokens::wall_ms;

/// Takes back one token, all of a subject, or all that were issued before a time, and sends their bearers away.
#[utoipa::path(
    post, path = "/v1/revocations", tag = "tokens",
    request_body(content = Revoke, description = "One of `jti`, perhaps with `exp`; `sub`, perhaps with `issued_before`; `issued_before` alone"),
    responses((status = 200, body = Revoked, description = "They are taken no more"), Failures),
)]
pub(super) async fn create(
    State(operators): State<Operators>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    // A form of a page that hides where it comes from has another type.
    let kind = parts.headers.get(CONTENT_TYPE).map(body::essence);
    if kind.as_deref() != Some("application/json") {
        let detail = "a body is JSON here: say so by `content-type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_supported", detail));
    }
    let reactor = operators.gate.reactor();
    let desk = reactor.desk();
    let topics = desk.topics();
    let whole =
        body::read(&parts.headers, body, BODY_BYTES_MAX, &topics.ledger().nobody(), topics.limits()).await?;
    let wrong = |error: serde_json::Error| Problem::bad_request(format!("the body cannot be read: {error}"));
    let asked: Revoke = serde_json::from_slice(&whole.bytes).map_err(wrong)?;
    let (revocation, told) = asked
        .read(desk.now(), reactor.token_seconds_max())
        .map_err(|unclear| Problem::bad_request(unclear.to_string()))?;
    let (what, asked) = (told_of(&revocation), revocation.clone());
    // Their bearers go at once, however long the disk takes.
    topics.revoke(desk.now(), revocation.clone()).map_err(refused)?;
    let survives_restart = match reactor.remembered().map(Arc::clone) {
        None => false,
        Some(remembered) => {
            let (end, desk) = (told.until, Arc::clone(desk));
            let added = spawn_blocking(move || {
                let mut kept = remembered.change();
                // Who gave the same back meanwhile came first, in memory as on the disk.
                desk.topics().revoke(desk.now(), revocation.clone()).map_err(refused)?;
                kept.add(&revocation, end).map_err(|error| not_kept(&error, NOT_KEPT))
            });
            added.await.map_err(|_| Code::Internal)??;
            true
        }
    };
    let how_long = if survives_restart { "" } else { ", as long as this hub runs" };
    // Whose they were is for whoever asked, and not for the log.
    info!(target: "tokens", "{what} revoked{how_long}");
    let standing = topics.credentials().standing().revocation(desk.now(), &asked.about());
    let told = told.as_it_stands(&asked, standing, desk.now(), wall_ms());
    Ok(answer::json(&Revoked { survives_restart, ..told }))
}

/// Lists which tokens are taken back, some at a time.
#[utoipa::path(
    get, path = "/v1/revocations", tag = "tokens",
    params(
        ("limit" = Option<u64>, Query, description = "How many at most; 100 without it", minimum = 1, maximum = 1000),
        ("after" = Option<String>, Query, description = "The `next` of the answer before"),
        ("jti" = Option<String>, Query, description = "The one of this token, if there is one", min_length = 1),
        ("sub" = Option<String>, Query, description = "The one of this subject's tokens, if there is one", min_length = 1),
    ),
    responses((status = 200, body = Revocations, description = "Some of them"), Failures),
)]
pub(super) async fn list(State(operators): State<Operators>, request: Request) -> Result<Response, Problem> {
    let query = Query::read(request.uri().query(), &["limit", "after", "jti", "sub"], &[])?;
    let limit = usize::try_from(query.number("limit", LIMIT_DEFAULT, LIMIT_MAX)?).unwrap_or(usize::MAX);
    let after = query.get("after").map(|text| revocation::read(text).ok_or(text)).transpose();
    let after = after.map_err(|_| Problem::bad_request("`after` is a `next` of an answer before"))?;
    let desk = operators.gate.reactor().desk();
    let (standing, now) = (desk.topics().credentials().standing(), desk.now());
    let mut found = match about(&query)? {
        About::All => standing.list(now, after.as_ref(), limit + 1),
        about => Vec::from_iter(standing.revocation(now, &about)),
    };
    let are_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| are_more);
    let next = last.map(|last| revocation::written(&last.about()));
    let wall_ms = wall_ms();
    let revocations = found.into_iter().map(|one| Kept::new(one, now, wall_ms)).collect();
    Ok(answer::json(&Revocations { revocations, next }))
}

/// Gives tokens back that were taken: they are as good again as they were.
#[utoipa::path(
    delete, path = "/v1/revocations", tag = "tokens",
    params(
        ("jti" = Option<String>, Query, description = "The token that is given back", min_length = 1),
        ("sub" = Option<String>, Query, description = "Whose tokens are", min_length = 1),
        ("issued_before" = Option<u64>, Query, description = "Only if it says this, as the list has it; needed where everybody's are", minimum = 1),
    ),
    responses((status = 204, description = "They are taken again, unless another revocation is about them"), Failures),
)]
pub(super) async fn remove(
    State(operators): State<Operators>,
    request: Request,
) -> Result<Response, Problem> {
    let query = Query::read(request.uri().query(), &["jti", "sub", "issued_before"], &[])?;
    let about = about(&query)?;
    let issued_before = query.time("issued_before")?;
    match (&about, issued_before) {
        (About::All, None) => return Err(Problem::bad_request(NOTHING)),
        (About::Token(_), Some(_)) => return Err(Problem::bad_request(NO_TIME)),
        _ => {}
    }
    let reactor = operators.gate.reactor();
    let (desk, remembered) = (Arc::clone(reactor.desk()), reactor.remembered().map(Arc::clone));
    let what = match &about {
        About::Token(_) => "one token",
        About::Subject(_) => "the tokens of one subject",
        About::All => "everybody's tokens",
    };
    let removed = spawn_blocking(move || {
        let topics = desk.topics();
        let mut kept = remembered.as_ref().map(|remembered| remembered.change());
        let known = topics.credentials().standing().revocation(desk.now(), &about);
        if known.is_none_or(|known| issued_before.is_some() && known.issued_before() != issued_before) {
            return Err(unknown());
        }
        // First there: what was not given back after a restart is not by now.
        let removed = kept.as_mut().map_or(Ok(()), |kept| kept.remove(&about));
        removed.map_err(|error| not_kept(&error, NOT_GIVEN_BACK))?;
        let is_known = topics.give_back(desk.now(), &about, issued_before);
        is_known.then_some(()).ok_or_else(unknown)
    });
    removed.await.map_err(|_| Code::Internal)??;
    info!(target: "tokens", "the revocation of {what} was taken back");
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn about(query: &Query) -> Result<About, Problem> {
    let about = revocation::about(query.get("jti"), query.get("sub"));
    about.map_err(|unclear| Problem::bad_request(unclear.to_string()))
}

fn told_of(revocation: &Revocation) -> String {
    match revocation {
        Revocation::Token { .. } => "one token was".to_owned(),
        Revocation::Subject { issued_before, .. } => {
            format!("all tokens of one subject that were issued before {issued_before} were")
        }
        Revocation::All { issued_before } => {
            format!("everybody's tokens that were issued before {issued_before} were")
        }
    }
}

fn refused(code: Code) -> Problem {
    match code {
        Code::LimitReached => Problem::from(code).saying(FULL),
        code => code.into(),
    }
}

fn not_kept(error: &io::Error, says: &'static str) -> Problem {
    warn!(target: "tokens", "what was revoked, or is no longer, cannot be kept: {error}");
    Problem::from(Code::NotStored).saying(says)
}

fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown_revocation", UNKNOWN)
}

/// A name of which each byte is six in JSON and that is told to be too long, and what stands around it.
const BODY_BYTES_MAX: usize = 64 << 10;
const LIMIT_DEFAULT: u64 = 100;
const LIMIT_MAX: u64 = 1_000;
const NOT_KEPT: &str = "they are taken no more as long as this hub runs, but that cannot be kept in the data directory: see the hub's log, and ask again";
const NOT_GIVEN_BACK: &str =
    "they are still taken back: the data directory cannot be written; see the hub's log, and ask again";
const FULL: &str = "very many tokens are revoked already: give their `exp`, so that they are forgotten in time, or revoke all that were issued before a time";
const NOTHING: &str =
    "say which revocation: by `jti`, by `sub`, or that of everybody's tokens by its `issued_before`";
const NO_TIME: &str = "`issued_before` goes with `sub` or alone: one token is named by its `jti`";
const UNKNOWN: &str =
    "there is no such revocation, or it says another `issued_before`: GET /v1/revocations has all";
