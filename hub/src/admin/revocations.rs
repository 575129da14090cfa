//! Takes tokens back before they end.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use tidewire_hub_core::credentials::revocations::Revocation;
use tidewire_protocol::code::Code;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::admin::Operators;
use crate::http::problem::Problem;
use crate::http::shapes::Failures;
use crate::http::{answer, body};
use crate::tokens::revocation::{Revoke, Revoked};

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
    let what = match &revocation {
        Revocation::Token { .. } => "one token was".to_owned(),
        Revocation::Subject { issued_before, .. } => {
            format!("all tokens of one subject that were issued before {issued_before} were")
        }
        Revocation::All { issued_before } => {
            format!("everybody's tokens that were issued before {issued_before} were")
        }
    };
    topics.revoke(desk.now(), revocation.clone()).map_err(|code| match code {
        Code::LimitReached => Problem::from(code).saying(FULL),
        code => code.into(),
    })?;
    let survives_restart = match reactor.remembered().map(Arc::clone) {
        None => false,
        Some(remembered) => {
            let end = told.until;
            let added = spawn_blocking(move || remembered.add(&revocation, end)).await;
            added.map_err(|_| Code::Internal)?.map_err(|error| {
                warn!(target: "tokens", "{what} revoked, and that cannot be kept: {error}");
                Problem::from(Code::NotStored).saying(NOT_KEPT)
            })?;
            true
        }
    };
    let how_long = if survives_restart { "" } else { ", as long as this hub runs" };
    // Whose they were is for whoever asked, and not for the log.
    info!(target: "tokens", "{what} revoked{how_long}");
    Ok(answer::json(&Revoked { survives_restart, ..told }))
}

/// A name, and what stands around it.
const BODY_BYTES_MAX: usize = 4_096;
const NOT_KEPT: &str = "they are taken no more as long as this hub runs, but that cannot be kept in the data directory: see the hub's log, and ask again";
const FULL: &str = "very many tokens are revoked already: give their `exp`, so that they are forgotten in time, or revoke all that were issued before a time";
