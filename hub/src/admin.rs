//! What operators ask a running hub: is it well, and what does it do. At an address of their own they need no token, so that
//! nobody else may get there: no web page does.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, delete, get};

use crate::admin::hosts::Hosts;
use crate::admin::measures::Measures;
use crate::admin::process::Process;
use crate::admin::ready::Readiness;
use crate::gate::Gate;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::{self, answer};

mod connections;

mod hosts;

mod measures;

mod ready;

mod process;

/// What all requests of operators share.
#[derive(Debug, Clone)]
pub struct Operators {
    gate: Arc<Gate>,
    process: Arc<Process>,
    readiness: Arc<Readiness>,
}

impl Operators {
    /// Those of a hub behind a gate.
    pub fn new(gate: &Arc<Gate>) -> Self {
        Self { gate: Arc::clone(gate), process: Arc::default(), readiness: Arc::default() }
    }

    /// Answers operators at their own address, where they may ask by these names.
    pub fn router(&self, names: Vec<String>) -> Router {
        Router::new()
            .route("/readyz", get(ready))
            .route("/healthz", get(health))
            .route("/v1/stats", get(stats))
            .route("/v1/connections", get(connections::list))
            .route("/v1/connections/{id}", delete(connections::dismiss))
            .route("/v1/{*path}", any(http::nothing))
            .method_not_allowed_fallback(http::not_allowed)
            .with_state(self.clone())
            .merge(self.metrics())
            .fallback(nothing)
            .layer(from_fn_with_state(Arc::new(Hosts(names)), hosts::check))
    }

    /// Answers whether the hub is well, for everybody, and not why.
    pub fn health(&self) -> Router {
        let router = Router::new().route("/healthz", get(health)).route("/readyz", get(ready_or_not));
        router.with_state(self.clone())
    }

    /// Answers `/metrics`.
    pub fn metrics(&self) -> Router {
        Router::new().route("/metrics", get(metrics)).with_state(self.clone())
    }
}

async fn health(State(operators): State<Operators>) -> Response {
    if operators.gate.is_shut() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    "ok\n".into_response()
}

/// Whether the hub can be given clients, and if not, why.
async fn ready(State(operators): State<Operators>) -> Response {
    match operators.readiness.ask(&operators.gate).await {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn ready_or_not(State(operators): State<Operators>) -> StatusCode {
    let verdict = operators.readiness.ask(&operators.gate).await;
    if verdict.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn metrics(State(operators): State<Operators>) -> Response {
    let measures = Measures::of(&operators.gate, &operators.process).await;
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], measures.text()).into_response()
}

/// What `/metrics` has, as JSON.
async fn stats(State(operators): State<Operators>, request: Request) -> Result<Response, Problem> {
    Query::read(request.uri().query(), &[], &[])?;
    Ok(answer::json(&Measures::of(&operators.gate, &operators.process).await))
}

async fn nothing() -> Response {
    let headers = [(CACHE_CONTROL, "no-store")];
    (
        StatusCode::NOT_FOUND,
        headers,
        "there is nothing here; operators ask for /metrics, /healthz and /readyz, and below /v1\n",
    )
        .into_response()
}
