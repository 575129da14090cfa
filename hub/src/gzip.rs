//! Answers made smaller for whoever takes that. It is done at once and whole: what is made is as large as it says, and nothing
//! is kept between two parts of an answer that somebody reads slowly.

use std::io::Write as _;

use axum::http::header::{ACCEPT_ENCODING, HeaderMap};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Some bytes by gzip, if they are worth it.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() < BYTES_MIN {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes).ok()?;
    let mut smaller = encoder.finish().ok()?;
    smaller.shrink_to_fit();
    (smaller.len() < bytes.len()).then_some(smaller)
}

/// Whether whoever asks takes gzip (RFC 9110, section 12.5.3).
#[must_use]
pub fn is_taken(asked: &HeaderMap) -> bool {
    let headers = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|header| header.to_str().ok());
    let (mut named, mut any) = (None, false);
    for entry in headers.flat_map(|header| header.split(',')) {
        let mut parts = entry.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let is_wanted = !parts.any(|part| {
            let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0))
        });
        match name {
            "*" => any = is_wanted,
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                named = Some(is_wanted);
            }
            _ => {}
        }
    }
    named.unwrap_or(any)
}

/// Less fits into a packet or two as it is.
const BYTES_MIN: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn who_takes_gzip_says_so() {
        for (accepted, expected) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5, br", true),
            ("x-gzip", true),
            ("*", true),
            ("br, *;q=0.1", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000, *", false),
            ("*;q=0, gzip", true),
            ("*;q=0", false),
            ("br", false),
            ("gzipped", false),
            ("", false),
        ] {
            let asked = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
            assert_eq!(is_taken(&asked), expected, "{accepted}");
        }
        assert!(!is_taken(&HeaderMap::new()));
    }

    #[test]
    fn what_grows_stays_as_it_is() {
        assert!(gzip(&[b'a'; BYTES_MIN - 1]).is_none());
        assert!(gzip(&[b'a'; BYTES_MIN]).is_some_and(|smaller| smaller.len() < 100));
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(4_096)
        .collect();
        assert!(gzip(&noise).is_none());
    }
}
