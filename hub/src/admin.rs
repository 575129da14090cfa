//! What operators ask a running hub: is it well, and what does it do. At an address of their own they need no token, so that
//! nobody else may get there: no web page does.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::admin::hosts::Hosts;
use crate::admin::measures::Measures;
use crate::admin::process::Process;
use crate::admin::ready::Readiness;
use crate::described;
use crate::gate::Gate;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::shapes::{self, Failures};
use crate::http::{self, answer};
use crate::reactor::storage::Storage;

mod connections;

mod hosts;

mod revocations;

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
        let mut described = described::begin("Tidewire, for operators", "What a hub does, and who is there.");
        described.components.get_or_insert_default().schemas.extend([shapes::of_failures()]);
        let (router, described) = OpenApiRouter::with_openapi(described)
            .routes(routes!(ready))
            .routes(routes!(health))
            .routes(routes!(stats))
            .routes(routes!(connections::list))
            .routes(routes!(connections::dismiss))
            .routes(routes!(revocations::create))
            .routes(routes!(revocations::list))
            .routes(routes!(revocations::remove))
            .with_state(self.clone())
            .merge(self.metrics())
            .split_for_parts();
        router
            .merge(described::router(&described))
            .route("/v1/{*path}", any(http::nothing))
            .method_not_allowed_fallback(http::not_allowed)
            .fallback(nothing)
            .layer(from_fn_with_state(Arc::new(Hosts { names, key: "admin_hosts" }), hosts::check))
    }

    /// Answers whether the hub is well, for everybody, and not why.
    pub fn health(&self) -> OpenApiRouter {
        OpenApiRouter::new().routes(routes!(health)).routes(routes!(ready_or_not)).with_state(self.clone())
    }

    /// Answers `/metrics` where clients connect, and only by these names if there are some to ask by: with `--dev` nobody has said
    /// that everybody may read it.
    pub fn public_metrics(&self, names: Option<Vec<String>>) -> OpenApiRouter {
        match names {
            Some(names) => {
                let hosts = Arc::new(Hosts { names, key: "api_hosts" });
                self.metrics().layer(from_fn_with_state(hosts, hosts::check))
            }
            None => self.metrics(),
        }
    }

    fn metrics(&self) -> OpenApiRouter {
        OpenApiRouter::new().routes(routes!(metrics)).with_state(self.clone())
    }
}

/// Whether the hub runs, is not about to stop, and needs no restart.
#[utoipa::path(
    get, path = "/healthz", tag = "health",
    responses(
        (status = 200, body = String, description = "It runs"),
        (status = 503, body = String, description = "It is about to stop, or a write to its data directory failed and it is to be started again"),
    ),
)]
async fn health(State(operators): State<Operators>) -> Response {
    let unwell = if operators.gate.is_shut() {
        "stopping\n"
    } else if operators.gate.reactor().storage().is_some_and(Storage::has_failed) {
        "storage stopped: restart the hub\n"
    } else {
        return "ok\n".into_response();
    };
    (StatusCode::SERVICE_UNAVAILABLE, unwell).into_response()
}

/// Whether the hub can be given clients, and if not, why.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses((status = 200, body = String, description = "A message passes"), (status = 503, body = String, description = "Why not")),
)]
async fn ready(State(operators): State<Operators>) -> Response {
    match operators.readiness.ask(&operators.gate).await {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

/// Whether the hub can be given clients.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses((status = 200, description = "A message passes"), (status = 503, description = "None does")),
)]
async fn ready_or_not(State(operators): State<Operators>) -> StatusCode {
    let verdict = operators.readiness.ask(&operators.gate).await;
    if verdict.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// What is counted, in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "metrics",
    responses((status = 200, body = String, description = "All of it")),
)]
async fn metrics(State(operators): State<Operators>) -> Response {
    let measures = Measures::of(&operators.gate, &operators.process).await;
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], measures.text()).into_response()
}

/// What `/metrics` has, as JSON: by name a number, or one for each value of its label.
#[utoipa::path(
    get, path = "/v1/stats", tag = "metrics",
    responses((status = 200, body = BTreeMap<String, serde_json::Value>, description = "All of it"), Failures),
)]
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
