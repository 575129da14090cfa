//! What can be asked by HTTP, as programs read it (OpenAPI), and as people do by a page that shows that. Each address describes
//! what is there.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, VARY};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder};

use crate::assets::{self, REFERENCE};
use crate::gzip;

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
    let text = Description::new(api.to_json().unwrap_or_default());
    Router::new()
        .route("/v1/openapi.json", get(description))
        .route("/v1/docs", get(page))
        .route("/v1/docs/{file}", get(file))
        .with_state(Arc::new(text))
}

/// The page, under a policy that lets it load what is here and nothing else.
async fn page(asked: HeaderMap) -> Response {
    of_page("index.html", &asked).unwrap_or_else(|| (StatusCode::NOT_FOUND, NO_PAGE).into_response())
}

async fn file(Path(name): Path<String>, asked: HeaderMap) -> Response {
    let nothing = || (StatusCode::NOT_FOUND, "there is nothing here\n").into_response();
    of_page(&name, &asked).unwrap_or_else(nothing)
}

fn of_page(name: &str, asked: &HeaderMap) -> Option<Response> {
    let file = REFERENCE.iter().find(|file| file.path == name)?;
    Some(assets::serve(file, asked, POLICY, "no-cache"))
}

async fn description(State(text): State<Arc<Description>>, asked: HeaderMap) -> Response {
    let kind = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache"), (VARY, "accept-encoding")];
    match &text.smaller {
        Some(smaller) if gzip::is_taken(&asked) => {
            (kind, [(CONTENT_ENCODING, "gzip")], smaller.clone()).into_response()
        }
        _ => (kind, text.whole.clone()).into_response(),
    }
}

/// A description as it is sent.
struct Description {
    whole: Bytes,
    smaller: Option<Bytes>,
}

impl Description {
    fn new(text: String) -> Self {
        Self { smaller: gzip::gzip(text.as_bytes()).map(Bytes::from), whole: text.into() }
    }
}

/// The page makes its styles itself; nothing of it is evaluated.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const NO_PAGE: &str = "This hub was built before the page that shows its API: run `npm run build`, then start it again. \
     /v1/openapi.json is there.\n";
