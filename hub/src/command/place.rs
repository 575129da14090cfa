//! Where reading starts, as it is written on the command line.

use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use tidewire_client::{Position, Start};
use tidewire_hub::place::{BadStart, span_ms, start};
use tidewire_protocol::number::NUMBER_MAX;

/// A start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// What to ask the hub for.
    pub start: Start,
    /// What was published before this time, in milliseconds since 1970, is not meant.
    not_before_ms: u64,
}

/// The place of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot(pub Position);

/// A time that has come, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since(pub u64);

/// Why a text is no such time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "allowed: 10m (s, m, h or d; 365000d at most) for so long ago, or a time such as 2026-01-02T03:04:05Z"
)]
pub(crate) struct BadSince;

/// Why a text is no spot.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("allowed: EPOCH:OFFSET as --json prints them; OFFSET is 0 to {NUMBER_MAX}")]
pub(crate) struct BadSpot;

/// Why a text is no start.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPlace {
    #[error(
        "allowed: latest, earliest, last:N, since:10m (s, m, h or d), a time such as 2026-01-02T03:04:05Z, or \
         EPOCH:OFFSET as --json prints them"
    )]
    Unknown,
    #[error("this time has not come yet")]
    Future,
    #[error(transparent)]
    TooMuch(BadStart),
}

impl From<BadStart> for BadPlace {
    fn from(bad: BadStart) -> Self {
        match bad {
            BadStart::Unknown => Self::Unknown,
            BadStart::Number | BadStart::Span => Self::TooMuch(bad),
        }
    }
}

impl Place {
    /// Whether a message with this time is meant.
    pub(crate) const fn holds(&self, published_at_ms: u64) -> bool {
        published_at_ms >= self.not_before_ms
    }
}

impl From<Start> for Place {
    fn from(start: Start) -> Self {
        Self { start, not_before_ms: 0 }
    }
}

impl FromStr for Spot {
    type Err = BadSpot;

    fn from_str(text: &str) -> Result<Self, BadSpot> {
        match parse(text, 0).map(|place| place.start) {
            Ok(Start::After(positions)) => positions.first().copied().map(Self).ok_or(BadSpot),
            _ => Err(BadSpot),
        }
    }
}

impl FromStr for Since {
    type Err = BadSince;

    fn from_str(text: &str) -> Result<Self, BadSince> {
        let ago = || span_ms(text).ok().map(|span_ms| now_ms().saturating_sub(span_ms));
        time(text).or_else(ago).map(Self).ok_or(BadSince)
    }
}

impl FromStr for Place {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        parse(text, now_ms())
    }
}

/// What the system's clock says, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Reads a start; `now_ms` is the time since 1970.
fn parse(text: &str, now_ms: u64) -> Result<Place, BadPlace> {
    if let Some(not_before_ms) = time(text) {
        // The hub counts back from its own clock, and from a moment later.
        let span_ms = now_ms.checked_sub(not_before_ms).ok_or(BadPlace::Future)? + CLOCKS_DIFFER_MS_MAX;
        return Ok(Place { start: Start::SinceMs(span_ms), not_before_ms });
    }
    Ok(start(text)?.into())
}

/// A time as RFC 3339 has it, in milliseconds since 1970.
fn time(text: &str) -> Option<u64> {
    let (date, rest) = text.split_once(['T', 't'])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at_checked(zone_at)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if leap { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *lengths.get(usize::try_from(month.checked_sub(1)?).ok()?)?;
    if !(1..=length).contains(&day) || hour > 23 || minute > 59 || second > 60 || year < 1970 {
        return None;
    }
    let zone_minutes = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign, offset) => {
            let [hours, minutes] = numbers(offset, ':', [2, 2])?;
            let ahead = i64::try_from(hours * 60 + minutes).ok().filter(|_| hours <= 23 && minutes <= 59)?;
            if sign == "+" { ahead } else { -ahead }
        }
    };
    let before: u64 = lengths.iter().zip(1..month).map(|(length, _)| *length).sum();
    let years = year - 1;
    let days = years * 365 + years / 4 - years / 100 + years / 400 + before + day - 1 - DAYS_TO_1970;
    let local_ms = (days * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000 + millis(fraction)?;
    local_ms.checked_add_signed(-zone_minutes * 60_000)
}

/// Numbers of so many digits each, between separators.
fn numbers<const N: usize>(text: &str, separator: char, lens: [usize; N]) -> Option<[u64; N]> {
    let mut found = [0; N];
    let mut parts = text.split(separator);
    for (place, len) in found.iter_mut().zip(lens) {
        *place = digits(parts.next().filter(|part| part.len() == len)?)?;
    }
    parts.next().is_none().then_some(found)
}

/// The first three places behind the point.
fn millis(fraction: &str) -> Option<u64> {
    digits(fraction)?;
    digits(&format!("{fraction:0<3}")[..3])
}

/// A number without a sign.
fn digits(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Our clock and the hub's may be so far apart, and a question on its way so long.
const CLOCKS_DIFFER_MS_MAX: u64 = 600_000;
/// From the first day of the year 1 to that of 1970.
const DAYS_TO_1970: u64 = 719_162;

#[cfg(test)]
mod tests {
    use super::*;
    use tidewire_client::{Epoch, Offset};

    const NOW: u64 = 1_800_000_000_000;

    #[track_caller]
    fn check(text: &str, expected: Start) {
        assert_eq!(parse(text, NOW), Ok(expected.into()), "{text}");
    }

    #[track_caller]
    fn check_time(text: &str, not_before_ms: u64) {
        let start = Start::SinceMs(NOW - not_before_ms + CLOCKS_DIFFER_MS_MAX);
        assert_eq!(parse(text, NOW), Ok(Place { start, not_before_ms }), "{text}");
    }

    #[test]
    fn places_to_start_are_read() {
        check("latest", Start::Latest);
        check("earliest", Start::Earliest);
        check("last:5", Start::Last(5));
        check("since:90s", Start::SinceMs(90_000));
        check("since:2d", Start::SinceMs(172_800_000));
        let after = Position { epoch: Epoch(0x3115_4360_0d01_64c3), offset: Offset(7) };
        check("311543600d0164c3:7", Start::After(vec![after]));
        for wrong in [
            "", "first", "last:", "last:-1", "xyz:1", "0:", "since:", "since:m", "since:10", "since:1y",
            "since:é", "last:+1",
        ] {
            assert_eq!(parse(wrong, NOW), Err(BadPlace::Unknown), "{wrong}");
        }
        for (far, range) in [
            ("last:9007199254740992", BadPlace::TooMuch(BadStart::Number)),
            ("last:99999999999999999999999", BadPlace::TooMuch(BadStart::Number)),
            ("311543600d0164c3:9007199254740992", BadPlace::TooMuch(BadStart::Number)),
            ("since:365001d", BadPlace::TooMuch(BadStart::Span)),
            ("since:99999999999999999999s", BadPlace::TooMuch(BadStart::Span)),
        ] {
            assert_eq!(parse(far, NOW), Err(range), "{far}");
        }
        check("last:9007199254740991", Start::Last(NUMBER_MAX));
    }

    #[test]
    fn a_spot_is_that_of_a_message_and_no_other_start() {
        let spot = Spot(Position { epoch: Epoch(0x3115_4360_0d01_64c3), offset: Offset(7) });
        assert_eq!("311543600d0164c3:7".parse(), Ok(spot));
        for wrong in
            ["latest", "last:5", "since:1d", "7", "311543600d0164c3:", "311543600d0164c3:9007199254740992"]
        {
            assert_eq!(wrong.parse::<Spot>(), Err(BadSpot), "{wrong}");
        }
    }

    #[test]
    fn times_are_read() {
        // `date -u -d @1800000000` says 2027-01-15T08:00:00Z.
        check_time("2027-01-15T08:00:00Z", NOW);
        check_time("2027-01-15T07:59:59.25Z", NOW - 750);
        check_time("2027-01-15T09:30:00+02:00", NOW - 1_800_000);
        check_time("2027-01-15t03:00:00.1234567-04:59", NOW - 59_877);
        check_time("1970-01-01T00:00:00Z", 0);
        // `date -u -d 2024-02-29T12:00:00Z +%s` says 1709208000.
        check_time("2024-02-29T12:00:00Z", 1_709_208_000_000);
        assert_eq!(parse("2027-01-15T08:00:01Z", NOW), Err(BadPlace::Future));
        let wrong =
            ["2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-02T24:00:00Z", "2026-01-02T03:04:05"];
        for wrong in
            wrong.into_iter().chain(["2026-1-02T03:04:05Z", "2026-01-02", "2026-01-02T03:04Z", "T", "1T+é"])
        {
            assert_eq!(parse(wrong, NOW), Err(BadPlace::Unknown), "{wrong}");
        }
    }
}
