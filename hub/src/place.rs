//! Where reading starts, as people write it: on the command line and in addresses.

use std::str::FromStr as _;

use tidewire_protocol::number::{Epoch, NUMBER_MAX};
use tidewire_protocol::position::{Position, Start};

/// Why a text is no start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadStart {
    /// It is of none of the forms.
    #[error("allowed: latest, earliest, last:N, since:10m (s, m, h or d), or EPOCH:OFFSET")]
    Unknown,
    /// A number is too large.
    #[error("N is 0 to {NUMBER_MAX} in last:N, and so is OFFSET in EPOCH:OFFSET")]
    Number,
    /// A span is too long.
    #[error("a span is 365000 days at most")]
    Span,
}

/// Reads a start.
///
/// # Errors
/// [`BadStart`] says what is allowed.
pub fn start(text: &str) -> Result<Start, BadStart> {
    match (text, text.split_once(':')) {
        ("latest", _) => Ok(Start::Latest),
        ("earliest", _) => Ok(Start::Earliest),
        (_, Some(("last", count))) => Ok(Start::Last(number(count)?)),
        (_, Some(("since", span))) => Ok(Start::SinceMs(span_ms(span)?)),
        (_, Some((epoch, offset))) => {
            let is_place = Epoch::from_str(epoch).is_ok();
            let place = Position::from_str(text).map_err(|_| match number(offset) {
                Err(bad) if is_place => bad,
                Ok(_) | Err(_) => BadStart::Unknown,
            })?;
            Ok(Start::After(vec![place]))
        }
        (_, None) => Err(BadStart::Unknown),
    }
}

/// A duration such as `10m`.
///
/// # Errors
/// [`BadStart`] says what is allowed.
pub fn span_ms(text: &str) -> Result<u64, BadStart> {
    let units = [("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", DAY_MS)];
    let (count, unit_ms) = units
        .into_iter()
        .find_map(|(unit, unit_ms)| Some((text.strip_suffix(unit)?, unit_ms)))
        .ok_or(BadStart::Unknown)?;
    let count = number(count).map_err(|bad| if bad == BadStart::Number { BadStart::Span } else { bad })?;
    count.checked_mul(unit_ms).filter(|ms| *ms <= SPAN_MS_MAX).ok_or(BadStart::Span)
}

/// A number that may travel, or what is wrong with the text.
fn number(text: &str) -> Result<u64, BadStart> {
    let is_number = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    let wrong = if is_number { BadStart::Number } else { BadStart::Unknown };
    text.parse().ok().filter(|number| is_number && *number <= NUMBER_MAX).ok_or(wrong)
}

const DAY_MS: u64 = 86_400_000;
/// A thousand years, which any hub's clock can count back.
pub const SPAN_MS_MAX: u64 = 365_000 * DAY_MS;
