//! The HTTP API: publishes, pages and places, one request at a time, by the same path, order and limits as over a
//! WebSocket. For whoever has no client of ours: back ends, scripts, `curl`.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::any;
use utoipa::openapi::{OpenApi, RefOr, Required};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::described;
use crate::gate::Gate;
use crate::http::callers::{Callers, Visitor};
use crate::http::problem::Problem;
use crate::http::tickets::Tickets;
use crate::http::turns::{Turn, Turns};
use crate::reactor::desk::Desk;

mod messages;

mod attributes;

mod pages;

mod topics;

mod tickets;

mod events;

pub mod body;

pub mod query;

pub mod answer;

mod turns;

pub mod callers;

pub mod origin;

pub mod problem;

pub mod shapes;

/// What all requests share.
#[derive(Debug, Clone)]
pub struct Api {
    gate: Arc<Gate>,
    callers: Arc<Callers>,
    tickets: Arc<Tickets>,
    turns: Arc<Turns>,
}

/// Answers what is below `/v1`, but for the WebSocket, and describes it. Pages need [`origin::check`] besides.
pub fn router(gate: &Arc<Gate>) -> (Router, OpenApi) {
    let api = Api {
        gate: Arc::clone(gate),
        callers: Arc::default(),
        tickets: Arc::default(),
        turns: Arc::default(),
    };
    let description = "Publish to topics, and read what they keep. docs/HTTP.md has it in words.";
    let mut described = described::with_tokens(described::begin("Tidewire", description));
    described.components.get_or_insert_default().schemas.extend([shapes::of_failures()]);
    let (router, mut described) = OpenApiRouter::with_openapi(described)
        .routes(routes!(messages::publish, pages::messages))
        .routes(routes!(pages::position))
        .routes(routes!(topics::one))
        .routes(routes!(topics::list))
        .routes(routes!(tickets::create))
        .routes(routes!(messages::publish_several))
        .routes(routes!(events::events))
        .split_for_parts();
    let publish =
        described.paths.paths.get_mut("/v1/topics/{topic}/messages").and_then(|path| path.post.as_mut());
    if let Some(RefOr::T(body)) = publish.and_then(|publish| publish.request_body.as_mut()) {
        // A message may be empty, and then has no body.
        body.required = Some(Required::False);
    }
    let router = router
        .route("/v1/{*path}", any(nothing))
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::disable())
        .with_state(api);
    (router, described)
}

/// Says that it is the wrong method.
pub async fn not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "bad_request", "this can be asked, but not by this method")
}

/// Says that there is nothing.
pub async fn nothing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here")
}

impl Api {
    fn desk(&self) -> &Arc<Desk> {
        self.gate.reactor().desk()
    }

    async fn admit(&self, request: &Parts) -> Result<Visitor, Problem> {
        self.callers.admit(&self.gate, request).await
    }

    /// Lets somebody in who is answered here, and may ask again on the same connection.
    async fn enter(&self, request: &Parts) -> Result<Visitor, Problem> {
        let visitor = self.admit(request).await?;
        visitor.come_inside(&self.gate)?;
        Ok(visitor)
    }

    /// Waits until there is time for what takes some.
    async fn turn(&self, visitor: &Visitor) -> Turn {
        self.turns.next(visitor.account.key()).await
    }
}
