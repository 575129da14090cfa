//! Which web pages may open a connection. Browsers send every page's origin with a WebSocket handshake, and send
//! it across sites with the user's cookies: without this check any page could speak in the user's name (CWE-1385).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::hosts::Host;

/// The rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    /// Pages that may connect.
    pub allowed: Vec<AllowedOrigin>,
    /// Whether pages served from this machine may connect, on any port.
    pub loopback: bool,
    /// Whether clients that name no origin may connect: programs, not browsers.
    pub absent: bool,
    /// Names by which the hub is asked, beside those of the pages that may connect.
    pub hosts: Vec<String>,
}

/// One entry of the allow-list: `https://app.example.com`, or `https://*.example.com` for what is below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedOrigin {
    below: bool,
    origin: Origin,
}

/// An origin as browsers write it, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// A text that cannot stand in the allow-list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an origin is `http://` or `https://`, a host and perhaps a port, like `https://app.example.com` or `https://*.example.com`"
)]
pub struct BadOrigin;

impl Origins {
    /// Whether a handshake with these `Origin` headers may go on. More than one is nobody's browser.
    pub fn allow<'a>(&self, mut headers: impl Iterator<Item = &'a [u8]>) -> bool {
        let Some(header) = headers.next() else { return self.absent };
        if headers.next().is_some() {
            return false;
        }
        std::str::from_utf8(header).is_ok_and(|origin| self.names(origin))
    }

    /// Whether a host is one by which the hub is asked: no page of somebody else's can be there.
    pub fn serve(&self, host: Host<'_>) -> bool {
        let is_of_page = |allowed: &AllowedOrigin| !allowed.below && host.is(&allowed.origin.host);
        host.is_nobodys()
            || self.hosts.iter().any(|name| host.is(name))
            || self.allowed.iter().any(is_of_page)
    }

    /// Whether pages of an origin may come.
    pub fn names(&self, origin: &str) -> bool {
        let Some(origin) = Origin::parse(origin) else { return false };
        (self.loopback && origin.is_loopback()) || self.allowed.iter().any(|allowed| allowed.admits(&origin))
    }
}

/// An origin as a browser sent it, if it is one: then it holds nothing that could harm whoever reads it in a log.
pub fn well_formed(header: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(header).ok().filter(|text| text.len() <= SHOWN_BYTES_MAX)?;
    Origin::parse(text).map(|_| text)
}

impl AllowedOrigin {
    /// Reads an entry of the allow-list.
    ///
    /// # Errors
    /// [`BadOrigin`] if it is not of either form.
    pub fn parse(text: &str) -> Result<Self, BadOrigin> {
        let (plain, below) = match text.split_once("://*.") {
            Some((scheme, rest)) => (format!("{scheme}://{rest}"), true),
            None => (text.to_owned(), false),
        };
        let origin = Origin::parse(&plain.to_ascii_lowercase()).ok_or(BadOrigin)?;
        Ok(Self { below, origin })
    }

    fn admits(&self, origin: &Origin) -> bool {
        if (self.origin.scheme, self.origin.port) != (origin.scheme, origin.port) {
            return false;
        }
        if !self.below {
            return self.origin.host == origin.host;
        }
        origin.host.strip_suffix(&self.origin.host).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { scheme, host, port } = &self.origin;
        let below = if self.below { "*." } else { "" };
        let scheme = match scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{below}{host}")?;
        if *port == self.origin.scheme.default_port() { Ok(()) } else { write!(f, ":{port}") }
    }
}

impl Origin {
    /// Strict on purpose: whatever browsers do not write (user names, paths, `null`) is no origin.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.split_once("://")? {
            ("http", rest) => (Scheme::Http, rest),
            ("https", rest) => (Scheme::Https, rest),
            _ => return None,
        };
        let host_len =
            if rest.starts_with('[') { rest.find(']')? + 1 } else { rest.find(':').unwrap_or(rest.len()) };
        let (host, port) = rest.split_at(host_len);
        let port = match port.strip_prefix(':') {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None if port.is_empty() => scheme.default_port(),
            None => return None,
        };
        let well_formed = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(is_host_byte),
        };
        well_formed.then(|| Self { scheme, host: host.to_owned(), port })
    }

    fn is_loopback(&self) -> bool {
        let address = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host == "localhost"
            || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            || self.host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
    }
}

impl Scheme {
    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The longest host name, and its scheme and port.
const SHOWN_BYTES_MAX: usize = 253 + 14;

/// Browsers send hosts in lower case and in punycode.
const fn is_host_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[track_caller]
    fn check(allowed: &str, origin: &str, expected: bool) {
        let origins = Origins { allowed: vec![AllowedOrigin::parse(allowed).unwrap()], ..Origins::default() };
        assert_eq!(origins.allow([origin.as_bytes()].into_iter()), expected, "{origin}");
    }

    #[test]
    fn only_the_very_origin_is_allowed() {
        check("https://app.example.com", "https://app.example.com", true);
        check("https://app.example.com", "https://app.example.com:443", true);
        check("HTTPS://App.example.com", "https://app.example.com", true);
        check("https://app.example.com", "http://app.example.com", false);
        check("https://app.example.com", "https://app.example.com:8443", false);
        check("https://app.example.com", "https://app.example.com.evil.test", false);
        check("https://app.example.com", "https://evil.test/https://app.example.com", false);
        check("https://app.example.com", "https://app.example.com@evil.test", false);
        check("https://app.example.com", "https://xapp.example.com", false);
        check("https://app.example.com", "null", false);
        check("https://app.example.com", "", false);
    }

    #[test]
    fn a_star_stands_for_what_is_below() {
        check("https://*.example.com", "https://app.example.com", true);
        check("https://*.example.com", "https://a.b.example.com", true);
        check("https://*.example.com", "https://example.com", false);
        check("https://*.example.com", "https://.example.com", false);
        check("https://*.example.com", "https://evilexample.com", false);
    }

    #[test]
    fn loopback_pages_are_those_of_this_machine() {
        let origins = Origins { loopback: true, ..Origins::default() };
        let allow = |origin: &str| origins.allow([origin.as_bytes()].into_iter());
        for origin in
            ["http://localhost:5173", "http://127.0.0.1", "https://[::1]:8443", "http://127.1.2.3:80"]
        {
            assert!(allow(origin), "{origin}");
        }
        for origin in ["http://localhost.evil.test", "http://127.0.0.1.evil.test", "http://10.0.0.1", "null"]
        {
            assert!(!allow(origin), "{origin}");
        }
    }

    #[test]
    fn an_absent_origin_needs_its_own_rule() {
        assert!(!Origins { loopback: true, ..Origins::default() }.allow(std::iter::empty()));
        let programs = Origins { absent: true, ..Origins::default() };
        assert!(programs.allow(std::iter::empty()));
        let twice: [&[u8]; 2] = [b"http://localhost", b"http://localhost"];
        assert!(!Origins { loopback: true, ..programs }.allow(twice.into_iter()));
    }

    #[test]
    fn bad_entries_are_refused() {
        for text in [
            "*",
            "https://*",
            "example.com",
            "ftp://example.com",
            "https://",
            "https://a/b",
            "https://a:99999",
        ] {
            assert!(AllowedOrigin::parse(text).is_err(), "{text}");
        }
    }
}
