//! Who asks at the operators' address, where nobody needs a token: no web page. A browser says by `Origin` and
//! `Sec-Fetch-Site` whose page asks; a page whose own name was made to lead here (DNS rebinding) is known by the name.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::hosts::Host;
use crate::http::problem::Problem;

/// Names by which the address may be asked, beside its numbers and `localhost`.
#[derive(Debug)]
pub(super) struct Hosts {
    /// They.
    pub(super) names: Vec<String>,
    /// Where the configuration has them.
    pub(super) key: &'static str,
}

/// Answers for pages, and lets others go on.
pub(super) async fn check(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    if is_of_a_page(request.headers()) {
        let detail = "no web page is answered at the operators' address";
        return Problem::new(StatusCode::FORBIDDEN, "origin_refused", detail).into_response();
    }
    if !hosts.know(request.headers()) {
        let detail = format!(
            "ask by an address or `localhost`, or have the name listed in the configuration's `{}`",
            hosts.key
        );
        return Problem::new(StatusCode::MISDIRECTED_REQUEST, "bad_request", detail).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(NOTHING));
    response
}

/// A browser's own address bar is nobody's page, and what is served here may load what belongs to it.
fn is_of_a_page(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    headers.contains_key(ORIGIN) || !matches!(site, None | Some(b"none" | b"same-origin"))
}

impl Hosts {
    fn know(&self, headers: &HeaderMap) -> bool {
        let is_ours = |host: Host<'_>| host.is_nobodys() || self.names.iter().any(|name| host.is(name));
        Host::of(headers).is_some_and(is_ours)
    }
}

const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::HOST;

    #[test]
    fn names_that_are_not_listed_are_nobodys() {
        let hosts = Hosts { names: vec!["hub.internal".into()], key: "admin_hosts" };
        for (host, expected) in [
            ("127.0.0.1:7701", true),
            ("10.0.0.7", true),
            ("[::1]:7701", true),
            ("localhost:7701", true),
            ("LOCALHOST", true),
            ("Hub.Internal:7701", true),
            ("evil.test:7701", false),
            ("127.0.0.1.evil.test", false),
            ("hub.internal.evil.test", false),
            ("localhost.", false),
            ("[::1", false),
            ("[::1]evil", false),
            ("127.0.0.1:x", false),
            ("127.0.0.1:7701:1", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
            assert_eq!(hosts.know(&headers), expected, "{host}");
        }
        assert!(!hosts.know(&HeaderMap::new()));
    }
}
