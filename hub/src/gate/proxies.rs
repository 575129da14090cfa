//! Proxies in front of the hub: whose word is taken on where a request comes from. Of headers only `X-Forwarded-For` is
//! read, and of it only what trusted proxies have appended: whatever stands left of that, a client can have written.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use hyper::header::{HeaderMap, HeaderName};

/// The proxies that are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Where they are.
    pub trusted: Vec<Network>,
    /// Whether each of their connections begins with a PROXY header.
    pub say_first: bool,
}

/// Whoever is at the other end of a connection, before a request is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Where it is, or where its proxy says that it is.
    pub address: IpAddr,
    /// In what part.
    pub role: Role,
}

/// What a peer is to the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A client: what it says of others is not read.
    Client,
    /// A proxy, which says whose each request is.
    Proxy,
    /// A proxy whose connection is nobody's, as it has said: what requests say of others is not its word.
    Nobody,
}

/// An address, or all that begin with the same bits: `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that is no address and no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address like 127.0.0.1, or a network like 10.0.0.0/8 or 2001:db8::/32")]
pub struct BadNetwork;

impl Peer {
    /// A client that speaks for itself.
    pub(super) fn client(address: IpAddr) -> Self {
        Self { address, role: Role::Client }
    }

    /// Whether it is a proxy that brings a client's requests among those of others.
    pub(super) fn brings(&self, client: IpAddr) -> bool {
        self.role == Role::Proxy && self.address.to_canonical() != client
    }

    /// Whoever connects from this machine by a socket in the file system: only who may is believed.
    #[cfg(unix)]
    pub(super) fn of_this_machine() -> Self {
        Self { address: crate::seats::THIS_MACHINE, role: Role::Proxy }
    }
}

impl Proxies {
    /// Whoever connects from an address.
    pub fn peer(&self, address: IpAddr) -> Peer {
        let role = if self.trust(address) { Role::Proxy } else { Role::Client };
        Peer { address, role }
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// Whose request it is: the peer's own, or that of the last one on the way whom no trusted proxy vouches for.
    pub fn client_of(&self, peer: Peer, headers: &HeaderMap) -> IpAddr {
        let Peer { address: mut client, role } = peer;
        let mut is_believed = role == Role::Proxy;
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        for hop in hops.take(HOPS_MAX) {
            if !is_believed {
                break;
            }
            // What cannot be read says nothing of who is behind it.
            let Some(address) = std::str::from_utf8(hop).ok().and_then(address_of) else { break };
            client = address;
            is_believed = self.trust(client);
        }
        client.to_canonical()
    }

    /// Whether everybody is believed.
    pub fn trust_everybody(&self) -> bool {
        self.trusted.iter().any(|network| network.bits == 0)
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let apart = ours.to_bits() ^ theirs.to_bits();
                apart.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let apart = ours.to_bits() ^ theirs.to_bits();
                apart.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| BadNetwork)?)),
            None => (text, None),
        };
        let address = address.parse::<IpAddr>().map_err(|_| BadNetwork)?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(bits_max);
        if bits > bits_max {
            return Err(BadNetwork);
        }
        // Peers are compared in this form.
        match (address.to_canonical(), bits.checked_sub(MAPPED_BITS)) {
            (canonical @ IpAddr::V4(_), Some(bits)) if address.is_ipv6() => {
                Ok(Self { address: canonical, bits })
            }
            _ => Ok(Self { address, bits }),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// An entry of the header: an address, perhaps with a port.
fn address_of(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim_matches([' ', '\t']);
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    hop.parse::<IpAddr>()
        .or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()))
        .or_else(|error| bare.map_or(Err(error), |bare| bare.parse::<Ipv6Addr>().map(IpAddr::V6)))
        .ok()
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Bits of `::ffff:0:0`, before an IPv4 address that is written as IPv6.
const MAPPED_BITS: u8 = 96;
/// More proxies in a row than anybody has; a client may send many more.
const HOPS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[track_caller]
    fn check(peer: &str, lines: &[&'static str], expected: &str) {
        let trusted = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap()).into();
        let proxies = Proxies { trusted, say_first: false };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let client = proxies.client_of(proxies.peer(peer.parse().unwrap()), &headers);
        assert_eq!(client, expected.parse::<IpAddr>().unwrap());
    }

    #[test]
    fn only_what_trusted_proxies_appended_is_believed() {
        check("127.0.0.1", &["203.0.113.7"], "203.0.113.7");
        check("203.0.113.9", &["198.51.100.1"], "203.0.113.9");
        check("127.0.0.1", &["198.51.100.1, 203.0.113.7"], "203.0.113.7");
        check("127.0.0.1", &["198.51.100.1, 203.0.113.7, 10.1.2.3"], "203.0.113.7");
        check("127.0.0.1", &["198.51.100.1", "203.0.113.7 ,10.1.2.3"], "203.0.113.7");
        check("::ffff:10.0.0.9", &["203.0.113.7"], "203.0.113.7");
        check("fd00::1", &["[2001:db8::7]:443"], "2001:db8::7");
        check("fd00::1", &["[2001:db8::7]"], "2001:db8::7");
        check("127.0.0.1", &["203.0.113.7:51000"], "203.0.113.7");
    }

    #[test]
    fn of_a_connection_that_is_nobodys_no_header_is_believed() {
        let (address, role) = ([127, 0, 0, 1].into(), Role::Nobody);
        let headers = HeaderMap::from_iter([(FORWARDED_FOR, "203.0.113.7".parse().unwrap())]);
        assert_eq!(Proxies::default().client_of(Peer { address, role }, &headers), address);
    }

    #[test]
    fn without_a_believable_word_it_is_the_proxys_own() {
        check("127.0.0.1", &[], "127.0.0.1");
        check("127.0.0.1", &["unknown"], "127.0.0.1");
        check("127.0.0.1", &["203.0.113.7, secret"], "127.0.0.1");
        check("127.0.0.1", &["203.0.113.7,"], "127.0.0.1");
        check("127.0.0.1", &["10.0.0.5"], "10.0.0.5");
    }

    #[test]
    fn networks_are_read_and_written() {
        for (text, again) in [("127.0.0.1", "127.0.0.1/32"), ("::1", "::1/128"), ("0.0.0.0/0", "0.0.0.0/0")] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), again);
        }
        assert_eq!("::ffff:10.0.0.1".parse::<Network>().unwrap().to_string(), "10.0.0.1/32");
        assert_eq!("::ffff:10.0.0.0/104".parse::<Network>().unwrap().to_string(), "10.0.0.0/8");
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0.0/", "::/129", "10.0.0/8"] {
            assert_eq!(text.parse::<Network>().unwrap_err(), BadNetwork, "{text}");
        }
    }
}
