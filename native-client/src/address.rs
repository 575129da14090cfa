//! Where the hub is: what the program writes, and what the socket needs.

use std::fmt;
use std::path::PathBuf;

use rustls::pki_types::ServerName;
use tokio_tungstenite::tungstenite::http::Uri;

/// A hub's address, ready to connect to.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// Name or number of the host.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whose certificate is wanted, where TLS is.
    pub tls: Option<ServerName<'static>>,
    /// A file with the authorities that are trusted then; none for those that the system trusts.
    pub ca: Option<PathBuf>,
    /// The WebSocket's URI.
    pub uri: Uri,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.uri.authority() {
            Some(authority) if authority.port().is_some() => authority.fmt(f),
            Some(_) | None => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Why a URL cannot be connected to. It holds the URL without what may be a secret in it: a name and password, a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no URL with a host.
    #[error("`{0}` is no URL of the form http://host:port or https://host:port")]
    NoUrl(String),
    /// It names a scheme that is not known here.
    #[error("`{0}` has a scheme other than http, https, ws and wss")]
    Scheme(String),
}

impl AddressError {
    /// A stable name for the reason, for programs to decide by.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoUrl(_) => "no_url",
            Self::Scheme(_) => "unknown_scheme",
        }
    }
}

/// Where a hub's WebSocket is, behind what the URL names.
const PATH: &str = "/v1/ws";

impl Address {
    /// Reads `http://host:port`, or `https`, with a path where a proxy has the hub under one. With `ws` and `wss` a path
    /// names the WebSocket itself.
    pub(crate) fn parse(url: &str) -> Result<Self, AddressError> {
        let no_url = || AddressError::NoUrl(shown(url));
        let uri: Uri = url.parse().map_err(|_| no_url())?;
        let (names_hub, is_secure) = match uri.scheme_str() {
            Some("http") => (true, false),
            Some("https") => (true, true),
            Some("ws") => (false, false),
            Some("wss") => (false, true),
            Some(_) => return Err(AddressError::Scheme(shown(url))),
            None => return Err(no_url()),
        };
        let authority = uri.authority().ok_or_else(no_url)?;
        // The URI keeps the brackets of an IPv6 number; name resolution wants none.
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str().ends_with(authority.host()) => {
                if is_secure {
                    443
                } else {
                    80
                }
            }
            // A port that is none is a slip of the pen, and no wish for another.
            None => return Err(no_url()),
        };
        let mut path = uri.path().trim_end_matches('/').to_owned();
        if path.is_empty() || names_hub && !path.ends_with(PATH) {
            path.push_str(PATH);
        }
        if let Some(query) = uri.query() {
            path = format!("{path}?{query}");
        }
        // A name and password before the host would go nowhere: the hub takes tokens.
        let place = authority.as_str().rsplit('@').next().unwrap_or_default();
        let uri = Uri::builder()
            .scheme(if is_secure { "wss" } else { "ws" })
            .authority(place)
            .path_and_query(path)
            .build();
        let name = ServerName::try_from(host.clone()).map_err(|_| no_url());
        let tls = is_secure.then_some(name).transpose()?;
        Ok(Self { host, port, tls, ca: None, uri: uri.map_err(|_| no_url())? })
    }
}

/// A URL, or what should be one, as it may be printed. A password may hold any letter, so all before the last `@` is hidden.
fn shown(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) => {
            (format!("{scheme}://"), rest)
        }
        Some(_) | None => (String::new(), url),
    };
    let (hidden, place) = match rest.rsplit_once('@') {
        // A password with a question mark in it, or a query with an `@`.
        Some((before, _)) if before.contains(['?', '#']) => ("...", ""),
        Some((_, place)) => ("...@", place),
        None => ("", rest),
    };
    let (place, query) = place.split_once(['?', '#']).map_or((place, ""), |(place, _)| (place, "?..."));
    format!("{scheme}{hidden}{place}{query}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Address, AddressError};

    #[track_caller]
    fn check(url: &str, host: &str, port: u16, uri: &str) {
        let address = Address::parse(url).unwrap();
        assert_eq!(
            (address.host.as_str(), address.port, address.uri.to_string().as_str()),
            (host, port, uri)
        );
        assert_eq!(address.tls.is_some(), uri.starts_with("wss:"));
    }

    #[test]
    fn urls_are_mapped_to_the_hubs_websocket() {
        check("http://127.0.0.1:7700", "127.0.0.1", 7700, "ws://127.0.0.1:7700/v1/ws");
        check("http://hub.local/", "hub.local", 80, "ws://hub.local/v1/ws");
        check("ws://[::1]:7700/x/ws?a=b", "::1", 7700, "ws://[::1]:7700/x/ws?a=b");
        check("http://[::1]", "::1", 80, "ws://[::1]/v1/ws");
        check("ws://hub.local", "hub.local", 80, "ws://hub.local/v1/ws");
        check("http://hub.local/rt/", "hub.local", 80, "ws://hub.local/rt/v1/ws");
        check("http://hub.local/rt/v1/ws?a=b", "hub.local", 80, "ws://hub.local/rt/v1/ws?a=b");
        check("https://hub.local", "hub.local", 443, "wss://hub.local/v1/ws");
        check("https://hub.local:7700/rt", "hub.local", 7700, "wss://hub.local:7700/rt/v1/ws");
        check("wss://[::1]/x", "::1", 443, "wss://[::1]/x");
        check("http://me:secret@hub.local", "hub.local", 80, "ws://hub.local/v1/ws");
    }

    #[test]
    fn what_cannot_be_connected_to_is_refused() {
        assert!(matches!(Address::parse("127.0.0.1:7700").unwrap_err(), AddressError::NoUrl(_)));
        assert!(matches!(Address::parse("ftp://a").unwrap_err(), AddressError::Scheme(_)));
        assert!(matches!(Address::parse("wss://a..b").unwrap_err(), AddressError::NoUrl(_)));
        assert!(matches!(Address::parse("").unwrap_err(), AddressError::NoUrl(_)));
        assert!(matches!(Address::parse("http://a:99999").unwrap_err(), AddressError::NoUrl(_)));
        assert!(matches!(Address::parse("ws://[::1]:77o0/v1/ws").unwrap_err(), AddressError::NoUrl(_)));
    }

    #[test]
    fn no_error_holds_a_secret() {
        let names = ["", "me:SECRET@", "SECRET@", ":SECRET@", "me:a@SECRET@", "me:SECRET/@", "me:SECRET?@"];
        let names =
            names.into_iter().chain(["me:SECRET#@", "me:SECRET%40@", "me:http://SECRET@", "me:SECRET \"@"]);
        for name in names {
            for before in ["", "http://", "https://", "wss://", "ftp://", "no scheme://"] {
                for behind in ["", ":77o0", ":7700/x", ":99999?token=SECRET", "/#SECRET", ":1x?a=b@SECRET"] {
                    let url = format!("{before}{name}hub.local{behind}");
                    let Err(error) = Address::parse(&url) else { continue };
                    let told = format!("{error} {error:?}");
                    assert!(!told.contains("SECRET"), "{url:?} is told as {told:?}");
                }
            }
        }
        let error = Address::parse("ftp://me:it@hub.local:7700/x?y").unwrap_err();
        assert!(error.to_string().starts_with("`ftp://...@hub.local:7700/x?...` has a scheme"), "{error}");
    }
}
