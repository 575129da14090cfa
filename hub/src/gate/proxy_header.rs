//! The PROXY protocol, versions 1 and 2: what a proxy says of a connection before anything else is said on it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// Whose a connection is, as its proxy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// That of a client at this address.
    Client(IpAddr),
    /// The proxy's own, or that of somebody without an address.
    Nobody,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoHeader {
    /// Something else is said first.
    #[error("it begins with something else")]
    Other,
    /// A first line that goes on and on.
    #[error("its line has more than 107 bytes")]
    LongLine,
    /// A first line that says something else.
    #[error("its line is none of version 1")]
    Line,
    /// Another version or command, or something else than a stream.
    #[error("its version, command or kind of address is none that is known")]
    Unknown,
    /// Fewer bytes than its addresses take.
    #[error("it has no room for its addresses")]
    Short,
    /// More bytes than anybody has to say.
    #[error("it has more than 4096 bytes")]
    Long,
}

/// A connection that says nothing of whose it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unnamed {
    /// What it says is no header.
    #[error(transparent)]
    NoHeader(#[from] NoHeader),
    /// Its proxy has gone.
    #[error(transparent)]
    Gone(#[from] io::Error),
}

/// A header is come where none is expected.
#[derive(Debug, thiserror::Error)]
#[error(
    "a PROXY header, which is read from none but `trusted_proxies`, and with `proxy_protocol = true` only"
)]
pub(super) struct Unasked;

/// Reads a header off a connection on which nothing was said, and nothing behind it.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Named, Unnamed> {
    let mut header = Vec::new();
    loop {
        let known = header.len();
        header.resize(known + PEEKED_BYTES, 0);
        let count = stream.peek(&mut header[known..]).await?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        header.truncate(known + count);
        let parsed = parse(&header)?;
        let length = parsed.map_or(header.len(), |(length, _)| length);
        stream.read_exact(&mut header[known..length]).await?;
        if let Some((_, named)) = parsed {
            return Ok(named);
        }
    }
}

/// Whether something begins as a header does.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(WORD) || bytes.starts_with(SIGNATURE)
}

/// What a header says, and how long it is; none if all of this is a part of it.
fn parse(bytes: &[u8]) -> Result<Option<(usize, Named)>, NoHeader> {
    let is_of = |whole: &[u8]| bytes.iter().zip(whole).all(|(byte, expected)| byte == expected);
    if is_of(SIGNATURE) {
        parse_binary(bytes)
    } else if is_of(WORD) {
        parse_line(bytes)
    } else {
        Err(NoHeader::Other)
    }
}

fn parse_line(bytes: &[u8]) -> Result<Option<(usize, Named)>, NoHeader> {
    let within = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = within.windows(2).position(|two| two == b"\r\n") else {
        return if bytes.len() < LINE_BYTES_MAX { Ok(None) } else { Err(NoHeader::LongLine) };
    };
    let line = std::str::from_utf8(&within[..end]).map_err(|_| NoHeader::Line)?;
    let said = line.split(' ').collect::<Vec<_>>();
    let named = match said[..] {
        // Whatever else it says means nothing.
        ["PROXY", "UNKNOWN", ..] => Some(Named::Nobody),
        ["PROXY", kind, from, to, from_port, to_port] if is_port(from_port) && is_port(to_port) => {
            let is_kind = |text: &str| match kind {
                "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
                "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
                _ => None,
            };
            is_kind(to).and(is_kind(from)).map(Named::Client)
        }
        _ => None,
    };
    named.map(|named| Some((end + 2, named))).ok_or(NoHeader::Line)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port.to_string() == text)
}

fn parse_binary(bytes: &[u8]) -> Result<Option<(usize, Named)>, NoHeader> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return Ok(None) };
    let [.., command, kind, high, low] = *head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    // Of an address of the system's own kind nothing is told but that it has room.
    let address_bytes = match (command, kind) {
        // What health checks of proxies say: whatever stands behind means nothing.
        (LOCAL, _) | (PROXY, UNSPECIFIED) => 0,
        (PROXY, TCP4) => 12,
        (PROXY, TCP6) => 36,
        (PROXY, UNIX) => 216,
        _ => return Err(NoHeader::Unknown),
    };
    if length < address_bytes {
        return Err(NoHeader::Short);
    }
    if length > BODY_BYTES_MAX {
        return Err(NoHeader::Long);
    }
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let named = match (address_bytes, body.first_chunk(), body.first_chunk()) {
        (12, Some(address), _) => Named::Client(Ipv4Addr::from_octets(*address).into()),
        (36, _, Some(address)) => Named::Client(Ipv6Addr::from_octets(*address).into()),
        _ => Named::Nobody,
    };
    Ok(Some((HEAD_BYTES + length, named)))
}

const WORD: &[u8] = b"PROXY ";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, what is asked, what kind the addresses are of, and how many bytes follow.
const HEAD_BYTES: usize = 16;
/// Version 2 and "this is my own".
const LOCAL: u8 = 0x20;
/// Version 2 and "this is somebody else's".
const PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX: u8 = 0x31;
/// With the end of the line; the specification counts the zero behind it in C, and says 108.
const LINE_BYTES_MAX: usize = 107;
/// Certificates of clients are the longest that proxies tell.
const BODY_BYTES_MAX: usize = 4_096 - HEAD_BYTES;
/// Most headers come whole.
const PEEKED_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn binary(command: u8, kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
        [SIGNATURE, &[command, kind], &length, body].concat()
    }

    fn client(address: &str) -> Result<Option<Named>, NoHeader> {
        Ok(address.parse().ok().map(Named::Client))
    }

    #[track_caller]
    fn check(bytes: impl AsRef<[u8]>, expected: Result<Option<Named>, NoHeader>) {
        let bytes = bytes.as_ref();
        let parsed = parse(bytes);
        assert_eq!(parsed.map(|header| header.map(|(_, named)| named)), expected);
        if let Ok(Some((length, _))) = parsed {
            assert_eq!(length, bytes.len());
        }
    }

    #[test]
    fn a_line_names_the_client_and_nothing_else_does() {
        check("PROXY TCP4 203.0.113.7 127.0.0.1 51000 7700\r\n", client("203.0.113.7"));
        check("PROXY TCP6 2001:db8::7 ::1 0 65535\r\n", client("2001:db8::7"));
        check("PROXY UNKNOWN\r\n", Ok(Some(Named::Nobody)));
        let full = "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535".to_owned();
        let full = full.clone() + &" ".repeat(105 - full.len()) + "\r\n";
        check(&full, Ok(Some(Named::Nobody)));
        check(full.replace("\r\n", " \r\n"), Err(NoHeader::LongLine));
        for wrong in [
            "PROXY  TCP4 203.0.113.7 127.0.0.1 1 2\r\n",
            "PROXY TCP4 203.0.113.7 127.0.0.1 1\r\n",
            "PROXY TCP4 203.0.113.7 127.0.0.1 1 2 \r\n",
            "PROXY TCP4 203.0.113.7 127.0.0.1 01 2\r\n",
            "PROXY TCP4 203.0.113.7 127.0.0.1 +1 2\r\n",
            "PROXY TCP4 203.0.113.7 127.0.0.1 1 65536\r\n",
            "PROXY TCP4 203.0.113.007 127.0.0.1 1 2\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 127.0.0.1 ::1 1 2\r\n",
            "PROXY TCP6 127.0.0.1 127.0.0.1 1 2\r\n",
            "PROXY UDP4 203.0.113.7 127.0.0.1 1 2\r\n",
            "PROXY tcp4 203.0.113.7 127.0.0.1 1 2\r\n",
            "PROXY UNKNOWNED\r\n",
            "PROXY \r\n",
            "PROXY TCP4 203.0.113.7 127.0.0.1 1 2\n\r\n",
        ] {
            check(wrong, Err(NoHeader::Line));
        }
        for other in ["GET / HTTP/1.1\r\n", "PROXX", "proxy ", "\r\n\r\nGET", "\x16\x03\x01", " PROXY "] {
            check(other, Err(NoHeader::Other));
        }
    }

    #[test]
    fn a_binary_header_names_the_client_or_nobody() {
        let four = [203, 0, 113, 7, 127, 0, 0, 1, 199, 56, 30, 20];
        let mut six = [0; 36];
        six[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        six[15] = 7;
        check(binary(PROXY, TCP4, &four), client("203.0.113.7"));
        check(binary(PROXY, TCP4, &[&four[..], &[4, 0, 1, 0]].concat()), client("203.0.113.7"));
        check(binary(PROXY, TCP6, &six), client("2001:db8::7"));
        check(binary(PROXY, TCP6, &[&six[..], &[0; 4_044]].concat()), client("2001:db8::7"));
        check(binary(PROXY, UNIX, &[7; 216]), Ok(Some(Named::Nobody)));
        check(binary(PROXY, UNSPECIFIED, &[]), Ok(Some(Named::Nobody)));
        for kind in [UNSPECIFIED, TCP4, TCP6, 0xff] {
            check(binary(LOCAL, kind, &four), Ok(Some(Named::Nobody)));
        }
        check(binary(PROXY, TCP4, &four[..11]), Err(NoHeader::Short));
        check(binary(PROXY, TCP6, &six[..35]), Err(NoHeader::Short));
        check(binary(PROXY, UNIX, &[7; 215]), Err(NoHeader::Short));
        check(binary(PROXY, TCP4, &[0; 4_081]), Err(NoHeader::Long));
        check(binary(LOCAL, TCP4, &[0; 4_081]), Err(NoHeader::Long));
        for (command, kind) in
            [(0x11, TCP4), (0x22, TCP4), (0x31, TCP4), (PROXY, 0x12), (PROXY, 0x22), (PROXY, 0x41)]
        {
            check(binary(command, kind, &six), Err(NoHeader::Unknown));
        }
    }

    /// Bytes that are a header, nearly one, or none.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let word = prop_oneof![
            Just("TCP4".to_owned()),
            Just("TCP6".to_owned()),
            Just("UNKNOWN".to_owned()),
            any::<Ipv4Addr>().prop_map(|address| address.to_string()),
            any::<Ipv6Addr>().prop_map(|address| address.to_string()),
            any::<u16>().prop_map(|port| port.to_string()),
            "[ -~]{0,9}",
        ];
        let line = vec(word, 0..7).prop_map(|words| format!("PROXY {}\r\n", words.join(" ")).into_bytes());
        let four = (any::<Ipv4Addr>(), any::<u16>())
            .prop_map(|(from, port)| format!("PROXY TCP4 {from} {from} {port} {port}\r\n").into_bytes());
        let command = prop_oneof![Just(LOCAL), Just(PROXY), any::<u8>()];
        let kind = prop_oneof![Just(TCP4), Just(TCP6), Just(UNIX), Just(UNSPECIFIED), any::<u8>()];
        let body = prop_oneof![vec(any::<u8>(), 0..300), vec(any::<u8>(), 4_070..4_100)];
        let binary = (command, kind, body).prop_map(|(command, kind, body)| binary(command, kind, &body));
        prop_oneof![line, four, binary, vec(any::<u8>(), 0..64)]
    }

    proptest! {
        #[test]
        fn a_header_reads_the_same_however_it_comes(mut bytes in bytes(), behind in vec(any::<u8>(), 0..9)) {
            bytes.extend(&behind);
            let whole = parse(&bytes);
            for count in 0..bytes.len() {
                match (parse(&bytes[..count]), whole) {
                    // As long as more is to come, all that has come is a part of it.
                    (Ok(None), Ok(Some((length, _)))) => prop_assert!(count < length),
                    (Ok(None), Ok(None) | Err(_)) => prop_assert!(count < 4_096),
                    (decided, _) => prop_assert_eq!(decided, whole),
                }
            }
            if let Ok(Some((length, _))) = whole {
                prop_assert!(begins(&bytes) && length <= 4_096);
                prop_assert_eq!(parse(&bytes[..length]), whole);
            }
        }
    }
}
