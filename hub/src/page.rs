//! What a browser sees at the hub's address: the demo if it is wanted, else a line of text. The demo's files are
//! part of the binary.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

/// A file of the demo.
struct File {
    /// Its path below the page's address.
    path: &'static str,
    /// Its content.
    bytes: &'static [u8],
    /// Changes with its content.
    etag: &'static str,
}

// `static FILES: &[File]`, written by `build.rs` from what `npm run build` left; empty before that.
include!(concat!(env!("OUT_DIR"), "/demo_files.rs"));

/// Answers everything that no other route takes.
pub fn router(demo: bool) -> Router {
    Router::new().fallback(answer).with_state(Arc::new(demo))
}

/// Whether the demo's page is in this binary.
pub fn has_demo() -> bool {
    !FILES.is_empty()
}

async fn answer(State(demo): State<Arc<bool>>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, "there is nothing to be changed here\n").into_response();
    }
    let path = match request.uri().path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    let file = FILES.iter().find(|file| *demo && file.path == path);
    match (file, path) {
        (Some(file), _) => serve(file, request.headers()),
        (None, "index.html") if *demo => (StatusCode::NOT_FOUND, NO_DEMO).into_response(),
        (None, "index.html") => PLAIN.into_response(),
        (None, _) => (StatusCode::NOT_FOUND, "there is nothing here\n").into_response(),
    }
}

fn serve(file: &File, asked: &HeaderMap) -> Response {
    let known = asked.get(IF_NONE_MATCH).is_some_and(|etags| {
        etags.to_str().is_ok_and(|etags| etags.split(',').any(|etag| etag.trim() == file.etag))
    });
    let mut answer =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { file.bytes.into_response() };
    let headers = answer.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, content_type(file.path)),
        (CACHE_CONTROL, cache_control(file.path)),
        (ETAG, file.etag),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" | "webmanifest" => "application/json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
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

    #[test]
    fn the_engine_is_served_as_what_it_is() {
        assert_eq!(content_type("assets/tidewire-1a.wasm"), "application/wasm");
        assert_eq!(content_type("no-extension"), "application/octet-stream");
    }
}
