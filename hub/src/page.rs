//! What a browser sees at the hub's address: the demo if it is wanted, else a line of text. The demo's files are
//! part of the binary.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

use crate::assets::{DEMO, serve};

/// Answers everything that no other route takes.
pub fn router(demo: bool) -> Router {
    Router::new().fallback(answer).with_state(Arc::new(demo))
}

/// Whether the demo's page is in this binary.
pub fn has_demo() -> bool {
    !DEMO.is_empty()
}

async fn answer(State(demo): State<Arc<bool>>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, "there is nothing to be changed here\n").into_response();
    }
    let path = match request.uri().path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    let file = DEMO.iter().find(|file| *demo && file.path == path);
    match (file, path) {
        (Some(file), _) => serve(file, request.headers(), POLICY, cache_control(file.path)),
        (None, "index.html") if *demo => (StatusCode::NOT_FOUND, NO_DEMO).into_response(),
        (None, "index.html") => PLAIN.into_response(),
        (None, _) => (StatusCode::NOT_FOUND, "there is nothing here\n").into_response(),
    }
}

/// The bundler puts a hash of the content into the names of what it makes, so that these never change.
fn cache_control(path: &str) -> &'static str {
    if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" }
}

/// Scripts and connections of the page's own origin only; the client's engine is WebAssembly.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PLAIN: &str = "This is a Tidewire hub. Clients connect to /v1/ws, and programs ask below /v1.\n";

const NO_DEMO: &str = "This hub was built before its demo page: run `npm run build`, then start it again.\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hashed_names_are_cached_for_ever() {
        assert!(cache_control("assets/index-3f2a.js").contains("immutable"));
        assert_eq!(cache_control("index.html"), "no-cache");
    }
}
