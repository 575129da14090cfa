//! Files that are part of the binary, and how a browser gets them.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

/// A file that `build.rs` has put into the binary.
#[derive(Debug)]
pub struct File {
    /// Its path below the page's address.
    pub path: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
    /// Changes with its content.
    pub etag: &'static str,
}

// `DEMO` and `REFERENCE`, each a `&[File]`, written by `build.rs` from what `npm run build` left; empty before that.
include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// Answers with a file, which may load what a policy says and be kept as long as that.
pub fn serve(file: &File, asked: &HeaderMap, policy: &'static str, kept: &'static str) -> Response {
    let known = asked.get(IF_NONE_MATCH).is_some_and(|etags| {
        etags.to_str().is_ok_and(|etags| etags.split(',').any(|etag| etag.trim() == file.etag))
    });
    let mut answer =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { file.bytes.into_response() };
    let headers = answer.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, content_type(file.path)),
        (CACHE_CONTROL, kept),
        (ETAG, file.etag),
        (CONTENT_SECURITY_POLICY, policy),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_served_as_what_it_is() {
        assert_eq!(content_type("assets/tidewire-1a.wasm"), "application/wasm");
        assert_eq!(content_type("no-extension"), "application/octet-stream");
    }
}
