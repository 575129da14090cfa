//! Names by which a hub is asked: what a request says in `Host`.

use std::net::IpAddr;

use axum::http::header::{HOST, HeaderMap};

/// The host that a request names, without its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host<'a>(&'a str);

impl<'a> Host<'a> {
    /// The one that a request names; none if it names none, two, or what is no host.
    pub fn of(headers: &'a HeaderMap) -> Option<Self> {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return None };
        Self::parse(host.to_str().ok()?)
    }

    fn parse(host: &'a str) -> Option<Self> {
        let end =
            if host.starts_with('[') { host.find(']')? + 1 } else { host.find(':').unwrap_or(host.len()) };
        let (name, port) = host.split_at(end);
        let has_port = port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        (!name.is_empty() && (port.is_empty() || has_port)).then_some(Self(name))
    }

    /// Whether it is an address, or this machine's name for itself: nobody can have a page of his own there.
    pub fn is_nobodys(self) -> bool {
        let address = self.0.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(self.0);
        self.0.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
    }

    /// Whether it is a name, whatever its case.
    pub fn is(self, name: &str) -> bool {
        self.0.eq_ignore_ascii_case(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_from_their_ports_and_from_what_is_none() {
        for (text, name) in
            [("a.b", "a.b"), ("a.b:80", "a.b"), ("[::1]:7700", "[::1]"), ("127.0.0.1:1", "127.0.0.1")]
        {
            assert_eq!(Host::parse(text), Some(Host(name)), "{text}");
        }
        for text in ["", ":80", "a:", "a:x", "a:1:2", "[::1", "a:99999"] {
            assert_eq!(Host::parse(text), None, "{text}");
        }
        let nobodys = |text| Host::parse(text).is_some_and(Host::is_nobodys);
        assert!(
            nobodys("LOCALHOST:1")
                && nobodys("[::1]")
                && nobodys("10.0.0.1")
                && !nobodys("localhost.evil.example")
        );
    }
}
