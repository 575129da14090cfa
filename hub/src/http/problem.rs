//! What went wrong, as programs and people read it: problem details (RFC 9457) with the protocol's codes.

use std::borrow::Cow;

use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tidewire_hub_core::credentials::Unwelcome;
use tidewire_hub_core::session::telling::{Refusal, retry_after_ms};
use tidewire_protocol::code::Code;
use tidewire_protocol::position::Position;

use crate::gate::NotNow;
use crate::reactor::desk::NoPage;

/// A request that is not answered as it wishes.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    retry_after_ms: u64,
    index: Option<usize>,
    current: Option<Position>,
}

/// As it is written. `type` is left out, which stands for "about:blank": the code tells more.
#[derive(Serialize)]
struct Body<'a> {
    status: u16,
    title: &'a str,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    retry_after_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
}

impl Problem {
    /// A request that breaks the rules of the API itself.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, detail: detail.into(), retry_after_ms: 0, index: None, current: None }
    }

    /// A parameter, header or body that cannot be understood.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// Something was taken, and the log has not said what became of it.
    pub fn outcome_unknown() -> Self {
        let again = Self::new(StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown", UNKNOWN);
        Self { retry_after_ms: UNKNOWN_RETRY_MS, ..again }
    }

    /// The same problem, in other words.
    #[must_use]
    pub fn saying(self, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// Of several messages this one is the cause.
    #[must_use]
    pub fn of_message(self, index: usize) -> Self {
        Self { index: Some(index), ..self }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let Refusal { code, retry_after_ms, current, .. } = refusal;
        let (status, code, detail) = (status_of(code), code.name(), code.sentence().into());
        Self { status, code, detail, retry_after_ms, index: None, current }
    }
}

impl From<NotNow> for Problem {
    fn from(not_now: NotNow) -> Self {
        let seconds = not_now.retry_after.parse::<u64>().unwrap_or_default();
        Self { retry_after_ms: seconds * 1_000, ..Self::from(not_now.code) }.saying(not_now.why)
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Refusal::from(code).into()
    }
}

impl From<Unwelcome> for Problem {
    fn from(unwelcome: Unwelcome) -> Self {
        Self::from(unwelcome.code()).saying(unwelcome.sentence())
    }
}

impl From<NoPage> for Problem {
    fn from(no_page: NoPage) -> Self {
        match no_page {
            NoPage::Unwelcome(unwelcome) => unwelcome.into(),
            NoPage::Unread => Self::from(Code::Overloaded).saying(NoPage::Unread.to_string()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, code, detail, retry_after_ms, index, current } = self;
        let current = current.map(|current| current.to_string());
        let title = status.canonical_reason().unwrap_or_default();
        let body =
            Body { status: status.as_u16(), title, code, detail: &detail, retry_after_ms, index, current };
        let text = serde_json::to_string(&body).unwrap_or_default();
        let mut response = (status, [(CONTENT_TYPE, "application/problem+json")], text).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if retry_after_ms > 0 {
            headers.insert(RETRY_AFTER, retry_after_ms.div_ceil(1_000).into());
        }
        if code == Code::Draining.name() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The status that programs which know no codes go by.
pub fn status_of(code: Code) -> StatusCode {
    match code {
        Code::BadToken | Code::NotSignedIn => StatusCode::UNAUTHORIZED,
        Code::Forbidden | Code::IdentityMismatch => StatusCode::FORBIDDEN,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::ConditionFailed => StatusCode::PRECONDITION_FAILED,
        Code::Fenced | Code::OutcomeForgotten | Code::BatchRefused | Code::OutOfOrder => StatusCode::CONFLICT,
        Code::Overloaded | Code::NotStored | Code::Draining | Code::TooSlow | Code::Resume => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Code::BadFrame
        | Code::SignInTimeout
        | Code::BadName
        | Code::BadMessage
        | Code::LimitReached
        | Code::UnknownNumber
        | Code::NotSupported
        | Code::Silent
        | Code::Unknown => StatusCode::BAD_REQUEST,
    }
}

/// A problem that time solves.
pub fn later(code: Code, detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem { retry_after_ms: retry_after_ms(code), ..Problem::from(code) }.saying(detail)
}

const UNKNOWN: &str = "it may be stored, or come to be: ask again with the same `Idempotency-Key`, also if the hub has to be started again first, and be told; without a key look whether it is there";
/// A hub whose log has failed has to be started again.
const UNKNOWN_RETRY_MS: u64 = 5_000;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_tried_again_says_so_by_its_status() {
        for code in Code::ALL.iter().filter(|code| code.retryable()) {
            let status = status_of(*code);
            let silent = [Code::SignInTimeout, Code::Silent].contains(code);
            let again = [409, 429, 500, 503].contains(&status.as_u16());
            assert!(silent || again, "{} is {status}", code.name());
        }
    }
}
