//! Where the hub listens: for clients, and for operators, who may ask there by some names.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::Path;

use crate::config::problem::{Problem, Warning, Written};
use crate::gate::listener::{Address, SYSTEMD, UNIX};

/// What is written of addresses.
pub(super) struct Addresses {
    /// Where clients connect.
    pub(super) listen: Option<Written<String>>,
    /// Where operators do.
    pub(super) admin_listen: Option<Written<String>>,
    /// Who may connect to sockets in the file system.
    pub(super) socket_mode: Option<Written<String>>,
}

impl Addresses {
    /// Where clients and operators connect, and what speaks against it.
    pub(super) fn read(
        self,
        dev: bool,
        problems: &mut Vec<Problem>,
    ) -> (Address, Option<Address>, Vec<Warning>) {
        let known = problems.len();
        let mode = self.socket_mode.as_ref().map_or(Some(MODE), |written| {
            let mode = mode(&written.value);
            problems.extend(mode.is_none().then(|| written.place.wrong(MODES)));
            mode
        });
        let mode = mode.unwrap_or(MODE);
        let mut address = |written: &Written<String>| match address(&written.value, mode, dev) {
            Ok(address) => Some(address),
            Err(allowed) => {
                problems.push(written.place.wrong(allowed));
                None
            }
        };
        let listen = self.listen.as_ref().and_then(&mut address).unwrap_or(Address::Tcp(LISTEN));
        let mut admin_listen = self.admin_listen.as_ref().and_then(&mut address);
        let mut warnings = Vec::new();
        match (&admin_listen, self.admin_listen) {
            (Some(address), Some(Written { place, .. })) if overlap(address, &listen) => {
                let allowed = format!("another address than `listen`, {listen}, where clients connect");
                problems.push(place.wrong(allowed));
                admin_listen = None;
            }
            (Some(Address::Tcp(address)), Some(Written { place, .. })) if !is_private(address.ip()) => {
                warnings.push(Warning { place: Some(place), says: EXPOSED.into() });
            }
            _ => {}
        }
        let is_file = |address: &Address| matches!(address, Address::Unix { .. });
        let is_used = is_file(&listen) || admin_listen.as_ref().is_some_and(is_file);
        if let Some(Written { place, .. }) = self.socket_mode.filter(|_| problems.len() == known && !is_used)
        {
            warnings.push(Warning { place: Some(place), says: UNUSED.into() });
        }
        (listen, admin_listen, warnings)
    }
}

/// Permissions, as `chmod` takes them.
fn mode(text: &str) -> Option<u32> {
    let fits = (3..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    u32::from_str_radix(text, 8).ok().filter(|mode| fits && *mode <= 0o777)
}

/// A name of a host, without a port.
pub(super) fn host(text: &str) -> Result<String, &'static str> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let fits = !text.is_empty() && text.len() <= HOST_BYTES_MAX && text.bytes().all(is_name);
    fits.then(|| text.to_ascii_lowercase()).ok_or("the name of a host, without a port, like hub.internal")
}

/// Whether nobody can listen at both: a host that is none in particular stands for every host of its port.
fn overlap(a: &Address, b: &Address) -> bool {
    let (Address::Tcp(a), Address::Tcp(b)) = (a, b) else { return a == b };
    let hosts = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    hosts && a.port() == b.port() && a.port() != 0
}

/// The address that a text names, or what is allowed instead.
fn address(text: &str, mode: u32, dev: bool) -> Result<Address, String> {
    if let Some(path) = text.strip_prefix(UNIX) {
        let path = Path::new(path);
        let fits = path.is_absolute() && is_path_of_socket(path);
        return fits
            .then(|| Address::Unix { path: path.into(), mode: Some(mode) })
            .ok_or_else(|| PATHS.to_owned());
    }
    if let Some(name) = text.strip_prefix(SYSTEMD) {
        let name = if name.is_empty() { Ok(None) } else { name.strip_prefix(':').map(Some).ok_or(()) };
        return match name {
            Ok(_) if dev => Err(DEV_ADDRESS.to_owned()),
            Ok(name) if HAS_SYSTEMD && name.is_none_or(is_name) => {
                Ok(Address::Systemd(name.map(str::to_owned)))
            }
            _ => Err(SOCKETS.to_owned()),
        };
    }
    let why = match text.to_socket_addrs() {
        Ok(mut found) => match found.next() {
            Some(address) if dev && !address.ip().is_loopback() => return Err(DEV_ADDRESS.to_owned()),
            Some(address) => return Ok(Address::Tcp(address)),
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

/// Whether systemd takes it as `FileDescriptorName=`.
fn is_name(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
}

#[cfg(unix)]
fn is_path_of_socket(path: &Path) -> bool {
    use std::os::unix::net::SocketAddr;
    SocketAddr::from_pathname(path).is_ok()
}

#[cfg(not(unix))]
fn is_path_of_socket(_: &Path) -> bool {
    false
}

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7_700);
const ADDRESS: &str =
    "HOST:PORT, like 127.0.0.1:7700, where port 0 takes a free one; or unix:/PATH; or systemd";
const DEV_ADDRESS: &str =
    "with --dev an address of this machine only, like 127.0.0.1:7700, because everybody may do everything";
const PATHS: &str = "unix: and a path from / on, like unix:/run/tidewire/hub.sock, of at most 107 bytes, on systems that have such sockets";
const HAS_SYSTEMD: bool = cfg!(target_os = "linux");
const SOCKETS: &str =
    "systemd, or systemd: and the name of a socket (FileDescriptorName=), like systemd:clients, on Linux";
/// The proxy's group connects, and nobody else.
const MODE: u32 = 0o660;
const MODES: &str = "permissions in octal, in quotes, like \"0660\"";
const UNUSED: &str = "the hub makes no socket in the file system that it could hold for";
const EXPOSED: &str = "nobody is asked for a token there, and whoever reaches it sees all clients and can send them away: \
                       take an address of this machine or of a private network, like 127.0.0.1:7701";
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
