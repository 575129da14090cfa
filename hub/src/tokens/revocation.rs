//! What an operator takes back, as it is written: one token by its `jti`, all of a subject, or all that were issued before a
//! time. Times are in seconds since 1970, as in tokens.

use serde::{Deserialize, Serialize};
use tidewire_hub_core::clock::{Millis, NEVER};
use tidewire_hub_core::credentials::revocations::{About, JTI_BYTES_MAX, Revocation};
use utoipa::ToSchema;

use crate::tokens::wall_ms;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// The name of one token.
    #[schema(min_length = 1, max_length = 1024)]
    pub jti: Option<String>,
    /// When that token ends by itself, if that is known: it is remembered for so long.
    #[schema(maximum = 253402300799_u64)]
    pub exp: Option<u64>,
    /// Whose tokens.
    #[schema(min_length = 1, max_length = 255)]
    pub sub: Option<String>,
    /// Those that were issued before; by default all that are issued by now.
    pub issued_before: Option<u64>,
}

/// What became of it: what stands now, which an earlier revocation of the same may have made more.
#[derive(Debug, Serialize, ToSchema)]
pub struct Revoked {
    /// Tokens that were issued before are taken no more; none if it is about one token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_before: Option<u64>,
    /// Until when it is remembered; none if that is as long as the hub runs, and over its restarts where it has a data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Whether it holds after a restart: where there is a data directory.
    pub survives_restart: bool,
}

/// Some of what is taken back.
#[derive(Debug, Serialize, ToSchema)]
pub struct Revocations {
    /// First that of everybody's tokens, then those of subjects, then those of single tokens, each by their names.
    pub revocations: Vec<Kept>,
    /// What to ask for `after` to get more; absent where these were the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One of them. Without `jti` and `sub` it is about everybody.
#[derive(Debug, Serialize, ToSchema)]
pub struct Kept {
    /// The name of the token that is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// Whose tokens are meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// Those that were issued before; none if it is about one token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_before: Option<u64>,
    /// Until when it is remembered; none if that is as long as the hub runs, and over its restarts where it has a data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// Why it is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// Nothing is named, or too much.
    #[error(
        "allowed: {{\"jti\": …}}, perhaps with \"exp\"; {{\"sub\": …}}, perhaps with \"issued_before\"; or {{\"issued_before\": …}} for everybody's tokens"
    )]
    What,
    /// Two names.
    #[error("one of `jti` and `sub`, and not both")]
    Both,
    /// An empty name.
    #[error("a `jti` or `sub` is never empty")]
    Empty,
    /// No token has that name.
    #[error("a `jti` has at most {JTI_BYTES_MAX} bytes, and a `sub` {SUBJECT_BYTES_MAX}")]
    TooLong,
    /// A time that tokens are not issued in yet: nobody could sign in until then.
    #[error("`issued_before` is in seconds since 1970, and not more than a minute from now")]
    Later,
    /// No token ends as late.
    #[error("`exp` is in seconds since 1970, and before the year 10000")]
    NoTime,
    /// A token that nobody takes any more.
    #[error("the token with this `exp`, in seconds since 1970, has ended")]
    Over,
    /// The same of all that were issued before a time.
    #[error(
        "all tokens that were issued before that have ended, since none lasts longer than `token_seconds_max`"
    )]
    AllOver,
}

impl Revoke {
    /// What it means by a steady clock that says `now`, if no token lasts longer than so many seconds.
    ///
    /// # Errors
    /// [`Unclear`] says what may be asked.
    pub fn read(self, now: Millis, seconds_max: Option<u64>) -> Result<(Revocation, Revoked), Unclear> {
        let wall = wall_ms() / 1_000;
        let Self { jti, exp, sub, issued_before } = self;
        if [&jti, &sub].into_iter().flatten().any(String::is_empty) {
            return Err(Unclear::Empty);
        }
        let is_longer = |name: &Option<String>, max| name.as_ref().is_some_and(|name| name.len() > max);
        if is_longer(&jti, JTI_BYTES_MAX) || is_longer(&sub, SUBJECT_BYTES_MAX) {
            return Err(Unclear::TooLong);
        }
        if issued_before.is_some_and(|time| time > wall + CLOCKS_SECONDS) {
            return Err(Unclear::Later);
        }
        if exp.is_some_and(|time| time > TIME_MAX) {
            return Err(Unclear::NoTime);
        }
        // A token is taken for a while after it has ended, and clocks of issuers differ.
        let remembered = |end: Option<u64>| {
            let end = end?.saturating_add(CLOCKS_SECONDS + LEEWAY_SECONDS_MAX);
            Some((now.plus(end.saturating_sub(wall).saturating_mul(1_000)), end))
        };
        let ended = |issued: u64| seconds_max.map(|seconds| issued.saturating_add(seconds));
        let (revocation, issued_before, until) = match (jti, exp, sub, issued_before) {
            (Some(_), Some(exp), None, None) if exp.saturating_add(LEEWAY_SECONDS_MAX) <= wall => {
                return Err(Unclear::Over);
            }
            (Some(jti), exp, None, None) => {
                let until = remembered(exp.or(ended(wall)));
                let at = until.map_or(NEVER, |(at, _)| at);
                (Revocation::Token { id: jti.into(), until: at }, None, until)
            }
            (None, None, Some(sub), before) => {
                // Of two in the same second nobody knows which was first.
                let issued_before = before.unwrap_or(wall + 1);
                let until = remembered(ended(issued_before));
                if until.is_some_and(|(_, end)| end <= wall) {
                    return Err(Unclear::AllOver);
                }
                let at = until.map_or(NEVER, |(at, _)| at);
                (
                    Revocation::Subject { subject: sub.into(), issued_before, until: at },
                    Some(issued_before),
                    until,
                )
            }
            (None, None, None, Some(issued_before)) => {
                (Revocation::All { issued_before }, Some(issued_before), None)
            }
            _ => return Err(Unclear::What),
        };
        let until = until.map(|(_, end)| end);
        Ok((revocation, Revoked { issued_before, until, survives_restart: false }))
    }
}

impl Revoked {
    /// What stands now that this was done: what stood before may say more.
    #[must_use]
    pub fn as_it_stands(
        self,
        asked: &Revocation,
        standing: Option<Revocation>,
        now: Millis,
        wall_ms: u64,
    ) -> Self {
        // Whoever gave it back meanwhile was later.
        let Some(standing) = standing.filter(|standing| standing != asked) else { return self };
        let Kept { issued_before, until, .. } = Kept::new(standing, now, wall_ms);
        Self { issued_before, until, ..self }
    }
}

impl Kept {
    /// One as it is told, where a steady clock and the system's say this.
    pub fn new(revocation: Revocation, now: Millis, wall_ms: u64) -> Self {
        let (issued_before, until) = (revocation.issued_before(), revocation.until());
        let until = (until != NEVER).then(|| wall_ms.saturating_add(until.since(now)) / 1_000);
        let (jti, sub) = match revocation {
            Revocation::Token { id, .. } => (Some(id.into()), None),
            Revocation::Subject { subject, .. } => (None, Some(subject.into())),
            Revocation::All { .. } => (None, None),
        };
        Self { jti, sub, issued_before, until }
    }
}

/// What a revocation is about by its names, of which one may be given.
///
/// # Errors
/// [`Unclear`] says what may be asked.
pub fn about(jti: Option<&str>, sub: Option<&str>) -> Result<About, Unclear> {
    match (jti, sub) {
        (Some(""), _) | (_, Some("")) => Err(Unclear::Empty),
        (Some(jti), None) => Ok(About::Token(jti.into())),
        (None, Some(sub)) => Ok(About::Subject(sub.into())),
        (None, None) => Ok(About::All),
        (Some(_), Some(_)) => Err(Unclear::Both),
    }
}

/// Where a list goes on after one, as it is written.
#[must_use]
pub fn written(about: &About) -> String {
    match about {
        About::All => "all".to_owned(),
        About::Subject(subject) => format!("sub:{subject}"),
        About::Token(id) => format!("jti:{id}"),
    }
}

/// The same as it is read; none if nobody has written that.
#[must_use]
pub fn read(text: &str) -> Option<About> {
    match text.split_once(':') {
        Some(("sub", subject)) => Some(About::Subject(subject.into())),
        Some(("jti", id)) => Some(About::Token(id.into())),
        _ => (text == "all").then_some(About::All),
    }
}

/// Bytes of a subject, which stands in each of its messages.
pub const SUBJECT_BYTES_MAX: usize = 255;
/// The last second that dates can name.
const TIME_MAX: u64 = 253_402_300_799;
/// Clocks of issuers that are kept differ by less.
pub const CLOCKS_SECONDS: u64 = 60;
/// A token is taken for so long at most after it has ended.
pub const LEEWAY_SECONDS_MAX: u64 = 300;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(json: &str, seconds_max: Option<u64>) -> Result<(Revocation, Revoked), Unclear> {
        serde_json::from_str::<Revoke>(json).unwrap().read(Millis(1_000_000), seconds_max)
    }

    #[test]
    fn what_is_unclear_is_not_done() {
        for json in [
            "{}",
            r#"{"jti":"a","sub":"b"}"#,
            r#"{"jti":"a","issued_before":5}"#,
            r#"{"exp":5}"#,
            r#"{"sub":"a","exp":5}"#,
        ] {
            assert_eq!(read(json, None).unwrap_err(), Unclear::What, "{json}");
        }
        assert_eq!(read(r#"{"sub":""}"#, None).unwrap_err(), Unclear::Empty);
        let millis = format!(r#"{{"issued_before":{}}}"#, wall_ms());
        assert_eq!(read(&millis, None).unwrap_err(), Unclear::Later);
        for (ended, is_over) in [(LEEWAY_SECONDS_MAX + 1, true), (LEEWAY_SECONDS_MAX - 60, false)] {
            let json = format!(r#"{{"jti":"a","exp":{}}}"#, wall_ms() / 1_000 - ended);
            assert_eq!(read(&json, None).is_err_and(|error| error == Unclear::Over), is_over, "{ended} s");
        }
        for (name, most) in [("jti", JTI_BYTES_MAX), ("sub", SUBJECT_BYTES_MAX)] {
            let of = |bytes| read(&format!(r#"{{"{name}":"{}"}}"#, "x".repeat(bytes)), None);
            assert!(of(most).is_ok());
            assert_eq!(of(most + 1).unwrap_err(), Unclear::TooLong);
        }
        for (ago, is_over) in [(100 + 360, true), (100 + 300, false)] {
            let json = format!(r#"{{"sub":"a","issued_before":{}}}"#, wall_ms() / 1_000 - ago);
            assert_eq!(
                read(&json, Some(100)).is_err_and(|error| error == Unclear::AllOver),
                is_over,
                "{ago} s"
            );
            assert!(read(&json, None).is_ok());
        }
        assert!(serde_json::from_str::<Revoke>(r#"{"subject":"a"}"#).is_err());
    }

    #[test]
    fn what_stands_is_told_where_it_is_more_than_was_asked() {
        let (now, wall) = (Millis(1_000_000), wall_ms() / 1_000);
        let (asked, told) = read(&format!(r#"{{"sub":"a","issued_before":{wall}}}"#), Some(50)).unwrap();
        let said = |standing| {
            let (_, told) = read(&format!(r#"{{"sub":"a","issued_before":{wall}}}"#), Some(50)).unwrap();
            let told = told.as_it_stands(&asked, standing, now, wall * 1_000);
            (told.issued_before, told.until)
        };
        assert_eq!(
            (said(None), said(Some(asked.clone()))),
            ((Some(wall), told.until), (Some(wall), told.until))
        );
        let later = Revocation::Subject { subject: "a".into(), issued_before: wall + 9, until: NEVER };
        assert_eq!(said(Some(later)), (Some(wall + 9), None));
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for about in [
            About::All,
            About::Subject("a:b".into()),
            About::Subject("jti:7".into()),
            About::Token("".into()),
            About::Token("sub:ada".into()),
        ] {
            assert_eq!(super::read(&written(&about)), Some(about));
        }
        for text in ["", "al", "ada", "all:", "Sub:ada"] {
            assert_eq!(super::read(text), None, "{text}");
        }
        let about = |jti: &'static str, sub: &'static str| {
            let given = |name: &'static str| Some(name).filter(|name| *name != "-");
            super::about(given(jti), given(sub))
        };
        assert_eq!(about("7", "-"), Ok(About::Token("7".into())));
        assert_eq!(about("-", "7"), Ok(About::Subject("7".into())));
        assert_eq!((about("-", "-"), about("7", "8")), (Ok(About::All), Err(Unclear::Both)));
        assert_eq!((about("", "-"), about("-", "")), (Err(Unclear::Empty), Err(Unclear::Empty)));
    }

    #[test]
    fn it_is_remembered_until_no_such_token_is_taken_any_more() {
        let wall = wall_ms() / 1_000;
        let at = |json: &str, seconds_max| match read(json, seconds_max).unwrap() {
            (Revocation::Token { until, .. } | Revocation::Subject { until, .. }, told) => {
                (until, told.until)
            }
            (Revocation::All { .. }, told) => (NEVER, told.until),
        };
        assert_eq!(at(r#"{"jti":"a"}"#, None), (NEVER, None));
        assert_eq!(at(r#"{"sub":"a"}"#, None), (NEVER, None));
        let (until, told) = at(&format!(r#"{{"jti":"a","exp":{}}}"#, wall + 100), None);
        assert_eq!(told, Some(wall + 460));
        assert!((Millis(1_000_000 + 458_000)..=Millis(1_000_000 + 460_000)).contains(&until), "{until:?}");
        let (_, told) = at(&format!(r#"{{"sub":"a","issued_before":{wall}}}"#), Some(1_000));
        assert_eq!(told, Some(wall + 1_360));
        assert!(at(r#"{"jti":"a"}"#, Some(1_000)).1.unwrap() >= wall + 1_360);
        assert_eq!(at(r#"{"issued_before":1}"#, Some(1_000)), (NEVER, None));
    }
}
