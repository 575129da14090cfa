//! The HTTP API: publishes, pages and places, one request at a time, by the same path, order and limits as over a
//! WebSocket. For whoever has no client of ours: back ends, scripts, `curl`.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::{any, get, post};

use crate::gate::Gate;
use crate::http::callers::{Callers, Visitor};
use crate::http::problem::Problem;
use crate::http::tickets::Tickets;
use crate::http::turns::{Turn, Turns};
use crate::reactor::desk::Desk;

mod messages;

mod pages;

mod topics;

mod tickets;

mod events;

mod body;

pub mod query;

pub mod answer;

mod turns;

pub mod callers;

pub mod origin;

pub mod problem;

/// What all requests share.
#[derive(Debug, Clone)]
pub struct Api {
    gate: Arc<Gate>,
    callers: Arc<Callers>,
    tickets: Arc<Tickets>,
    turns: Arc<Turns>,
}

/// Answers what is below `/v1`, but for the WebSocket. Pages need [`origin::check`] besides.
pub fn router(gate: &Arc<Gate>) -> Router {
    let api = Api {
        gate: Arc::clone(gate),
        callers: Arc::default(),
        tickets: Arc::default(),
        turns: Arc::default(),
    };
    Router::new()
        .route("/v1/topics/{topic}/messages", post(messages::publish).get(pages::messages))
        .route("/v1/topics/{topic}/position", get(pages::position))
        .route("/v1/topics/{topic}", get(topics::one))
        .route("/v1/topics", get(topics::list))
        .route("/v1/tickets", post(tickets::create))
        .route("/v1/messages", post(messages::publish_several))
        .route(events::PATH, get(events::events))
        .route("/v1/{*path}", any(nothing))
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::disable())
        .with_state(api)
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
