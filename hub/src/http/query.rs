//! What stands behind the question mark: each parameter is known and comes once, or the request is refused by its name.

use std::time::Duration;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use tidewire_protocol::events::places;
use tidewire_protocol::number::NUMBER_MAX;
use tidewire_protocol::position::{Position, Start};

use crate::http::problem::Problem;
use crate::place;

/// The topic in the path of a request.
#[derive(Debug)]
pub struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name)).map_err(|_| Problem::bad_request("the path is no UTF-8 text"))
    }
}

/// Whether a name is a pattern.
pub(super) fn is_pattern(name: &str) -> bool {
    name.split('.').any(|token| ["*", ">"].contains(&token))
}

/// The parameters of a request, of those that a call knows.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads them.
    ///
    /// # Errors
    /// One is unknown, or comes twice and not `many` times.
    pub fn read(query: Option<&str>, known: &[&str], many: &[&str]) -> Result<Self, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) && !many.contains(&&*name) {
                let all = [known, many].concat().join("`, `");
                return Err(Problem::bad_request(format!(
                    "`{}` is no parameter here; there are `{all}`",
                    shown(&name)
                )));
            }
            if !many.contains(&&*name) && pairs.iter().any(|(other, _)| *other == name) {
                return Err(Problem::bad_request(format!("`{name}` comes twice")));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of one that may come often.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| &**value)
    }

    /// A number within bounds.
    ///
    /// # Errors
    /// It is none, or out of them.
    pub fn number(&self, name: &str, default: u64, max: u64) -> Result<u64, Problem> {
        let Some(text) = self.get(name) else { return Ok(default) };
        let number = digits(text).filter(|number| (1..=max).contains(number));
        number.ok_or_else(|| Problem::bad_request(format!("`{name}` is a number from 1 to {max}")))
    }

    /// A time in seconds since 1970.
    ///
    /// # Errors
    /// It is no number.
    pub fn time(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let wrong = || Problem::bad_request(format!("`{name}` is in seconds since 1970"));
        digits(text).map(Some).ok_or_else(wrong)
    }

    /// A span of time such as `10s`, or a number of seconds.
    ///
    /// # Errors
    /// It is none, or too long.
    pub fn span(&self, name: &str, max: Duration) -> Result<Option<Duration>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let span = span_or_seconds(text).filter(|span| *span <= max);
        let wrong = || {
            let most = max.as_secs();
            Problem::bad_request(format!("`{name}` is a span such as 10s, or seconds, {most} s at most"))
        };
        span.map(Some).ok_or_else(wrong)
    }

    /// Where reading starts.
    ///
    /// # Errors
    /// It is no start.
    pub fn start(&self, name: &str) -> Result<Option<Start>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let wrong = || {
            Problem::bad_request(format!(
                "`{name}` is earliest, latest, last:N, since:10m (s, m, h or d), or EPOCH:OFFSET as answers have it"
            ))
        };
        start(text).map(Some).ok_or_else(wrong)
    }

    /// Places as answers have them.
    ///
    /// # Errors
    /// It is none.
    pub fn places(&self, name: &str) -> Result<Option<Vec<Position>>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let wrong = || Problem::bad_request(format!("`{name}` is EPOCH:OFFSET as answers have it"));
        few(text).map(Some).ok_or_else(wrong)
    }
}

/// Where reading starts, as it is written.
fn start(text: &str) -> Option<Start> {
    place::start(text).ok().or_else(|| few(text).map(Start::After))
}

/// A place in each log, and perhaps in some that are gone.
fn few(text: &str) -> Option<Vec<Position>> {
    places(text).filter(|places| places.len() <= PLACES_MAX)
}

/// Places as they are written.
pub fn written(places: &[Position]) -> String {
    let written: Vec<_> = places.iter().map(Position::to_string).collect();
    written.join(",")
}

/// A span of time such as `10s`, or a number of seconds.
pub(super) fn span_or_seconds(text: &str) -> Option<Duration> {
    match digits(text) {
        Some(seconds) => span_of(seconds, 1_000),
        None => span(text),
    }
}

fn span(text: &str) -> Option<Duration> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let (count, unit) =
        units.into_iter().find_map(|(unit, ms)| Some((digits(text.strip_suffix(unit)?)?, ms)))?;
    span_of(count, unit)
}

fn span_of(count: u64, unit_ms: u64) -> Option<Duration> {
    count.checked_mul(unit_ms).filter(|ms| *ms <= DAYS_MAX * 86_400_000).map(Duration::from_millis)
}

/// A number of the protocol, in digits and nothing else.
fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && *number <= NUMBER_MAX)
}

/// A name that somebody else wrote, short enough to be told.
pub fn shown(name: &str) -> String {
    name.chars().take(40).flat_map(char::escape_default).collect()
}

/// Days of the longest span: a thousand years.
pub(super) const DAYS_MAX: u64 = 365_000;

const PLACES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tidewire_protocol::number::{Epoch, Offset};

    #[test]
    fn starts_are_read_as_they_are_written() {
        let position = Position { epoch: Epoch(255), offset: Offset(7) };
        for (text, expected) in [
            ("latest", Start::Latest),
            ("earliest", Start::Earliest),
            ("last:20", Start::Last(20)),
            ("since:10m", Start::SinceMs(600_000)),
            (&*written(&[position]), Start::After(vec![position])),
        ] {
            assert_eq!(start(text), Some(expected), "{text}");
        }
        for text in ["", "last:", "last:-1", "last:+1", "since:10", "since:10y", "now", "1:", ":1", "a:b,"] {
            assert_eq!(start(text), None, "{text}");
        }
    }

    #[test]
    fn parameters_are_known_and_come_once() {
        let read = |query: &str| Query::read(Some(query), &["from", "limit"], &["topic"]);
        let query = read("topic=a&from=last%3A2&topic=b").unwrap();
        assert_eq!((query.get("from"), query.all("topic").count()), (Some("last:2"), 2));
        assert!(read("from=a&from=b").is_err() && read("form=a").is_err());
        assert_eq!(query.number("limit", 10, 20).unwrap(), 10);
        for limit in ["0", "21", "x", "%2B1"] {
            let query = format!("limit={limit}");
            assert!(read(&query).unwrap().number("limit", 10, 20).is_err(), "{limit}");
        }
    }
}
