//! What can be asked by HTTP, as programs read it (OpenAPI), and as people do by a page that shows that. Each address describes
//! what is there.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder};

/// A description in which nothing stands yet, of what is for some.
pub fn begin(title: &str, description: &str) -> OpenApi {
    let licence = License::new("MIT OR Apache-2.0");
    let info = InfoBuilder::new().title(title).version(env!("CARGO_PKG_VERSION")).license(Some(licence));
    OpenApiBuilder::new().info(info.description(Some(description)).build()).build()
}

/// The same, where tokens are taken.
pub fn with_tokens(mut api: OpenApi) -> OpenApi {
    let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let mut components = api.components.take().unwrap_or_else(|| ComponentsBuilder::new().build());
    components.add_security_scheme("token", token);
    api.components = Some(components);
    api
}

/// Answers with a description.
pub fn router(api: &OpenApi) -> Router {
    let text = api.to_json().unwrap_or_default();
    Router::new().route("/v1/openapi.json", get(description)).with_state(Arc::from(text))
}

async fn description(State(text): State<Arc<str>>) -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], text.to_string()).into_response()
}
