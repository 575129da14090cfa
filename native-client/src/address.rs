//! Where the hub is: what the program writes, and what the socket needs.

use tokio_tungstenite::tungstenite::http::Uri;

/// A hub's address, ready to connect to.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// Name or number of the host.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The WebSocket's URI.
    pub uri: Uri,
}

/// Why a URL cannot be connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no URL with a host.
    #[error("`{0}` is no URL of the form http://host:port")]
    NoUrl(String),
    /// It names a scheme that is not known here.
    #[error("`{0}` has a scheme other than http and ws")]
    Scheme(String),
    /// It asks for TLS, which this client does not speak.
    #[error(
        "`{0}` asks for TLS, which this client does not speak yet; put a TLS proxy in front, or use http"
    )]
    Tls(String),
}

/// Where a hub's WebSocket is, unless the URL says so itself.
const PATH: &str = "/v1/ws";

impl Address {
    /// Reads `http://host:port`, with `ws` for `http` and a path as one likes.
    pub(crate) fn parse(url: &str) -> Result<Self, AddressError> {
        let no_url = || AddressError::NoUrl(url.into());
        let uri: Uri = url.parse().map_err(|_| no_url())?;
        match uri.scheme_str() {
            Some("http" | "ws") => {}
            Some("https" | "wss") => return Err(AddressError::Tls(url.into())),
            Some(_) => return Err(AddressError::Scheme(url.into())),
            None => return Err(no_url()),
        }
        let authority = uri.authority().ok_or_else(no_url)?;
        // The URI keeps the brackets of an IPv6 number; name resolution wants none.
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(80);
        let path = match uri.path_and_query().map_or("/", |path| path.as_str()) {
            "/" | "" => PATH,
            path => path,
        };
        let uri = Uri::builder().scheme("ws").authority(authority.as_str()).path_and_query(path).build();
        Ok(Self { host, port, uri: uri.map_err(|_| no_url())? })
    }
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
    }

    #[test]
    fn urls_are_mapped_to_the_hubs_websocket() {
        check("http://127.0.0.1:7700", "127.0.0.1", 7700, "ws://127.0.0.1:7700/v1/ws");
        check("http://hub.local/", "hub.local", 80, "ws://hub.local/v1/ws");
        check("ws://[::1]:7700/x/ws?a=b", "::1", 7700, "ws://[::1]:7700/x/ws?a=b");
    }

    #[test]
    fn what_cannot_be_connected_to_is_refused() {
        assert!(matches!(Address::parse("127.0.0.1:7700").unwrap_err(), AddressError::NoUrl(_)));
        assert!(matches!(Address::parse("ftp://a").unwrap_err(), AddressError::Scheme(_)));
        assert!(matches!(Address::parse("wss://a").unwrap_err(), AddressError::Tls(_)));
        assert!(matches!(Address::parse("").unwrap_err(), AddressError::NoUrl(_)));
    }
}
