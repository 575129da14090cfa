//! Where the hub listens: for clients, and for operators, who may ask there by some names.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};

use crate::config::problem::{Problem, Warning, Written};

/// The address that is written for clients, or the one that there is without.
pub(super) fn of_clients(
    written: Option<Written<String>>,
    dev: bool,
    problems: &mut Vec<Problem>,
) -> SocketAddr {
    let Some(Written { value, place }) = written else { return LISTEN };
    match address(&value, dev) {
        Err(allowed) => problems.push(place.wrong(allowed)),
        Ok(address) => return address,
    }
    LISTEN
}

/// The address that is written for them, and what speaks against it.
pub(super) fn of_operators(
    written: Option<Written<String>>,
    public: SocketAddr,
    dev: bool,
    problems: &mut Vec<Problem>,
) -> (Option<SocketAddr>, Option<Warning>) {
    let Some(Written { value, place }) = written else { return (None, None) };
    match address(&value, dev) {
        Err(allowed) => problems.push(place.wrong(allowed)),
        Ok(address) if overlap(address, public) => {
            problems
                .push(place.wrong(format!("another address than `listen`, {public}, where clients connect")));
        }
        Ok(address) if is_private(address.ip()) => return (Some(address), None),
        Ok(address) => {
            let says = "nobody is asked for a token there, and whoever reaches it sees all clients and can send them away: \
                        take an address of this machine or of a private network, like 127.0.0.1:7701";
            return (Some(address), Some(Warning { place: Some(place), says: says.into() }));
        }
    }
    (None, None)
}

/// A name of a host, without a port.
pub(super) fn host(text: &str) -> Result<String, &'static str> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let fits = !text.is_empty() && text.len() <= HOST_BYTES_MAX && text.bytes().all(is_name);
    fits.then(|| text.to_ascii_lowercase()).ok_or("the name of a host, without a port, like hub.internal")
}

/// Whether nobody can listen at both: a host that is none in particular stands for every host of its port.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let hosts = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    hosts && a.port() == b.port() && a.port() != 0
}

/// The address that a text names, or what is allowed instead.
fn address(text: &str, dev: bool) -> Result<SocketAddr, String> {
    let why = match text.to_socket_addrs() {
        Ok(mut found) => match found.next() {
            Some(address) if dev && !address.ip().is_loopback() => return Err(DEV_ADDRESS.to_owned()),
            Some(address) => return Ok(address),
            None => "it has no address".to_owned(),
        },
        Err(error) => error.to_string(),
    };
    Err(match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            format!("HOST:PORT with a host of this machine, and the name `{host}` does not resolve: {why}")
        }
        Some(_) | None => ADDRESS.to_owned(),
    })
}

/// Whether only this machine, or its own network, reaches an address.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
            address.is_loopback() || address.is_private() || address.is_link_local() || shared
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7_700);
const ADDRESS: &str = "HOST:PORT, like 127.0.0.1:7700; port 0 takes a free one";
const DEV_ADDRESS: &str =
    "with --dev an address of this machine only, like 127.0.0.1:7700, because everybody may do everything";
/// The longest name of a host.
const HOST_BYTES_MAX: usize = 253;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn private_is_what_others_do_not_reach() {
        let private = ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "100.64.0.1", "::1", "fd00::1"];
        for (addresses, expected) in [
            (&private[..], true),
            (&["0.0.0.0", "::", "8.8.8.8", "100.128.0.1", "172.32.0.1", "2001:db8::1"][..], false),
        ] {
            for address in addresses {
                assert_eq!(is_private(address.parse().unwrap()), expected, "{address}");
            }
        }
    }

    #[test]
    fn a_host_is_a_name_alone() {
        assert_eq!(host("Hub.internal"), Ok("hub.internal".to_owned()));
        for wrong in ["", "hub:7701", "http://hub", "a b", "*", "[::1]"] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
    }
}
