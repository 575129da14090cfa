//! What operators ask a running hub: is it well, and what does it do. At an address of their own they need no token, so that
//! nobody else may get there: no web page does.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::admin::hosts::Hosts;
use crate::admin::measures::Measures;
use crate::admin::process::Process;
use crate::gate::Gate;

mod hosts;

mod measures;

mod process;

/// What all requests of operators share.
#[derive(Debug, Clone)]
pub struct Operators {
    gate: Arc<Gate>,
    process: Arc<Process>,
}

impl Operators {
    /// Those of a hub behind a gate.
    pub fn new(gate: &Arc<Gate>) -> Self {
        Self { gate: Arc::clone(gate), process: Arc::default() }
    }

    /// Answers operators at their own address, where they may ask by these names.
    pub fn router(&self, names: Vec<String>) -> Router {
        self.health()
            .merge(self.metrics())
            .fallback(nothing)
            .layer(from_fn_with_state(Arc::new(Hosts(names)), hosts::check))
    }

    /// Answers whether the hub is well, for everybody.
    pub fn health(&self) -> Router {
        Router::new().route("/healthz", get(health)).with_state(self.clone())
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

async fn metrics(State(operators): State<Operators>) -> Response {
    let measures = Measures::of(&operators.gate, &operators.process).await;
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], measures.text()).into_response()
}

async fn nothing() -> Response {
    let headers = [(CACHE_CONTROL, "no-store")];
    (StatusCode::NOT_FOUND, headers, "there is nothing here; operators ask for /metrics and /healthz\n")
        .into_response()
}
