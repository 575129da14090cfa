//! The opening handshake of a WebSocket (RFC 6455, section 4.2): what a request must say, and what is answered.
//! Knows headers only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, StatusCode, Version};
use sha1::{Digest as _, Sha1};
use tidewire_hub_core::dialect::Dialect;
use tidewire_protocol::{SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON};

use crate::gate::origin::Origins;
use crate::gate::refusals::Reason;

/// A handshake that may be answered with 101.
#[derive(Debug, PartialEq, Eq)]
pub struct Handshake {
    /// What both sides will speak.
    pub dialect: Dialect,
    /// What the answer names it.
    pub subprotocol: &'static str,
    /// The value of `Sec-WebSocket-Accept`.
    pub accept: String,
}

/// Why a handshake is refused. The sentence goes to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHandshake {
    /// The page may not connect.
    #[error(
        "this origin may not connect; the hub's configuration names pages that may under `origins`, and lets programs in by `allow_no_origin = true`"
    )]
    ForbiddenOrigin,
    /// It names no page, and programs may not connect.
    #[error(
        "a client without an origin may not connect; the hub's configuration lets programs in by `allow_no_origin = true`, and names pages that may under `origins`"
    )]
    NoOrigin,
    /// A request with some other method.
    #[error("a WebSocket handshake is a GET")]
    NotGet,
    /// An ordinary request, or one over HTTP/1.0.
    #[error(
        "this address speaks WebSocket: send `Connection: Upgrade` and `Upgrade: websocket` over HTTP/1.1"
    )]
    NotUpgrade,
    /// Another version of WebSocket.
    #[error("the hub speaks WebSocket version 13")]
    WrongVersion,
    /// No key, several, or one that is not 16 bytes in base64.
    #[error("`Sec-WebSocket-Key` must be 16 bytes in base64")]
    BadKey,
    /// No subprotocol that the hub speaks.
    #[error("offer the subprotocol `tidewire.v1` (binary) or `tidewire.v1.json` in `Sec-WebSocket-Protocol`")]
    NoSubprotocol,
    /// A body would be taken for the first frames.
    #[error("a WebSocket handshake has no body")]
    HasBody,
}

impl Handshake {
    /// Reads a request's head. The origin comes first, so that a foreign page learns nothing else.
    ///
    /// # Errors
    /// [`BadHandshake`] says what the request lacks.
    pub fn read(
        method: &Method,
        version: Version,
        headers: &HeaderMap,
        origins: &Origins,
    ) -> Result<Self, BadHandshake> {
        if !origins.allow(headers.get_all(ORIGIN).iter().map(|origin| origin.as_bytes())) {
            let names_one = headers.contains_key(ORIGIN);
            return Err(if names_one { BadHandshake::ForbiddenOrigin } else { BadHandshake::NoOrigin });
        }
        if method != Method::GET {
            return Err(BadHandshake::NotGet);
        }
        let upgrades = words(headers, &UPGRADE).any(|word| word.eq_ignore_ascii_case("websocket"));
        let connects = words(headers, &CONNECTION).any(|word| word.eq_ignore_ascii_case("upgrade"));
        if version != Version::HTTP_11 || !upgrades || !connects {
            return Err(BadHandshake::NotUpgrade);
        }
        if single(headers, &SEC_WEBSOCKET_VERSION) != Some(b"13") {
            return Err(BadHandshake::WrongVersion);
        }
        let key = single(headers, &SEC_WEBSOCKET_KEY).ok_or(BadHandshake::BadKey)?;
        if !BASE64.decode(key).is_ok_and(|nonce| nonce.len() == 16) {
            return Err(BadHandshake::BadKey);
        }
        let agreed = words(headers, &SEC_WEBSOCKET_PROTOCOL).find_map(dialect_of);
        let (dialect, subprotocol) = agreed.ok_or(BadHandshake::NoSubprotocol)?;
        Ok(Self { dialect, subprotocol, accept: accept_of(key) })
    }
}

impl BadHandshake {
    /// What it is counted as.
    pub const fn reason(self) -> Reason {
        match self {
            Self::ForbiddenOrigin => Reason::Origin,
            Self::NoOrigin => Reason::NoOrigin,
            Self::NotGet
            | Self::NotUpgrade
            | Self::WrongVersion
            | Self::BadKey
            | Self::NoSubprotocol
            | Self::HasBody => Reason::Handshake,
        }
    }

    /// The status of the answer.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::ForbiddenOrigin | Self::NoOrigin => StatusCode::FORBIDDEN,
            Self::NotGet => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotUpgrade | Self::WrongVersion => StatusCode::UPGRADE_REQUIRED,
            Self::BadKey | Self::NoSubprotocol | Self::HasBody => StatusCode::BAD_REQUEST,
        }
    }
}

/// The first that the client names wins: it lists them in the order it prefers.
fn dialect_of(offered: &str) -> Option<(Dialect, &'static str)> {
    let spoken = [(Dialect::Binary, SUBPROTOCOL_BINARY), (Dialect::Json, SUBPROTOCOL_JSON)];
    spoken.into_iter().find(|(_, subprotocol)| *subprotocol == offered)
}

/// The comma-separated words of a header, over all its lines.
pub(crate) fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(|word| word.trim_matches([' ', '\t']))
}

/// The value of a header that must stand once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?;
    lines.next().is_none().then(|| first.as_bytes())
}

/// RFC 6455, section 4.2.2, item 5.4.
fn accept_of(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn request(changes: &[(&'static str, Option<&'static str>)]) -> Result<Handshake, BadHandshake> {
        let mut headers = HeaderMap::new();
        let usual = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "chat, tidewire.v1"),
        ];
        for (name, value) in usual {
            headers.insert(name, value.parse().unwrap());
        }
        for (name, value) in changes {
            match value {
                Some(value) => drop(headers.insert(*name, value.parse().unwrap())),
                None => drop(headers.remove(*name)),
            }
        }
        let origins = Origins { absent: true, ..Origins::default() };
        Handshake::read(&Method::GET, Version::HTTP_11, &headers, &origins)
    }

    #[track_caller]
    fn check_refused(name: &'static str, value: Option<&'static str>, expected: BadHandshake) {
        assert_eq!(request(&[(name, value)]).unwrap_err(), expected);
    }

    #[test]
    fn the_example_of_the_rfc_is_answered() {
        let handshake = request(&[]).unwrap();
        assert_eq!(handshake.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(handshake.subprotocol, "tidewire.v1");
    }

    #[test]
    fn the_clients_first_known_subprotocol_wins() {
        let offer = ("sec-websocket-protocol", Some("tidewire.v2, tidewire.v1.json,tidewire.v1"));
        assert_eq!(request(&[offer]).unwrap().subprotocol, "tidewire.v1.json");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        check_refused("origin", Some("https://evil.test"), BadHandshake::ForbiddenOrigin);
        check_refused("connection", Some("close"), BadHandshake::NotUpgrade);
        check_refused("upgrade", None, BadHandshake::NotUpgrade);
        check_refused("sec-websocket-version", Some("8"), BadHandshake::WrongVersion);
        check_refused("sec-websocket-key", None, BadHandshake::BadKey);
        check_refused("sec-websocket-key", Some("dGhlIHNhbXBsZQ=="), BadHandshake::BadKey);
        check_refused("sec-websocket-protocol", None, BadHandshake::NoSubprotocol);
        check_refused("sec-websocket-protocol", Some("tidewire.v1x"), BadHandshake::NoSubprotocol);
    }
}
