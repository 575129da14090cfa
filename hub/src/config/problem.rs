//! What is wrong with a configuration, or of no use in it, and where that is written.

use std::fmt;
use std::path::{Path, PathBuf};

use tidewire_hub_core::limits::agreement::Contradiction;

/// A value with the place where it was written.
#[derive(Debug, Clone)]
pub(super) struct Written<T> {
    /// The value.
    pub(super) value: T,
    /// Where.
    pub(super) place: Place,
}

impl Written<String> {
    /// The file or folder that it names: from the file's `folder` on, or from the working directory where a variable names it, as on a
    /// command line.
    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        self.base(folder).join(&self.value)
    }

    /// From where on.
    pub(super) fn base<'a>(&self, folder: &'a Path) -> &'a Path {
        if self.place.line.is_some() { folder } else { Path::new("") }
    }
}

/// Where something is written, and how it reads there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The line of the file; none for variables and flags.
    pub line: Option<usize>,
    /// The key as it stands in the file, the variable's name, or the flag.
    pub key: String,
    /// What was written.
    pub text: String,
}

/// One thing that keeps a hub from starting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A value that is not allowed.
    #[error("{place}; allowed: {allowed}")]
    Wrong {
        /// Which.
        place: Place,
        /// What may be written.
        allowed: String,
    },
    /// A key or variable that does not exist.
    #[error("{}there is no `{}`{}", line(place.line), place.key, hint(nearest.as_deref(), known))]
    Unknown {
        /// Which.
        place: Place,
        /// The name that is most like it.
        nearest: Option<String>,
        /// Names that exist in this place.
        known: Vec<String>,
    },
    /// A key or variable that there was once.
    #[error("{}there is no `{}` any more; {instead}", line(place.line), place.key)]
    Gone {
        /// Which.
        place: Place,
        /// What has taken its place.
        instead: &'static str,
    },
    /// Something that must be written.
    #[error("{}`{key}` is missing; allowed: {allowed}", line(*at))]
    Missing {
        /// The line of what it belongs to.
        at: Option<usize>,
        /// Which.
        key: String,
        /// What may be written.
        allowed: String,
    },
    /// The file is no TOML.
    #[error("{}this is no TOML: {says}", line(*at))]
    Syntax {
        /// The line.
        at: Option<usize>,
        /// What the parser says.
        says: String,
    },
    /// Values that are right one by one and break together.
    #[error("{}{found}", places(written))]
    Contradiction {
        /// Where those of the two are written that are.
        written: Vec<Place>,
        /// Which, and what to change.
        found: Contradiction,
    },
}

/// Something that is allowed and of no use, or does something else than it seems to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where it is written, if it is.
    pub place: Option<Place>,
    /// What is the matter and what to do, as a clause.
    pub says: String,
}

impl Place {
    /// The problem that this value is none of the allowed ones.
    pub(super) fn wrong(&self, allowed: impl Into<String>) -> Problem {
        Problem::Wrong { place: self.clone(), allowed: allowed.into() }
    }
}

impl Problem {
    /// Whether the file cannot be read there.
    pub(super) fn is_syntax(&self) -> bool {
        matches!(self, Self::Syntax { .. })
    }

    /// The line of the file that it is about.
    pub(super) fn line(&self) -> Option<usize> {
        match self {
            Self::Wrong { place, .. } | Self::Unknown { place, .. } | Self::Gone { place, .. } => place.line,
            Self::Missing { at, .. } | Self::Syntax { at, .. } => *at,
            Self::Contradiction { written, .. } => written.iter().find_map(|place| place.line),
        }
    }

    /// Whether the value of a limit is wrong, in the file or in the environment.
    pub(super) fn is_about_limit(&self, name: &str) -> bool {
        let Self::Wrong { place, .. } = self else { return false };
        let key = place.key.to_ascii_lowercase();
        key.strip_suffix(name).is_some_and(|head| head == "limits." || head == "tidewire_limits_")
    }

    /// Whether what it spoils may be what lets anybody in: then nobody can say that nobody is.
    pub(super) fn may_be_about_access(&self) -> bool {
        let is_about = |key: &str| {
            let key = key.to_ascii_lowercase();
            key.contains("access") || key.contains("origin")
        };
        match self {
            Self::Syntax { .. } => true,
            Self::Unknown { place, .. } => !place.key.contains('.') || is_about(&place.key),
            Self::Wrong { place, .. } => is_about(&place.key),
            Self::Missing { key, .. } => is_about(key),
            Self::Gone { .. } | Self::Contradiction { .. } => false,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}`{}` is {}", line(self.line), self.key, self.text)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.says),
            None => f.write_str(&self.says),
        }
    }
}

/// What there is instead of a key that is gone.
pub(super) fn successor(key: &str) -> Option<&'static str> {
    GONE.iter().find(|(gone, _)| *gone == key).map(|(_, instead)| *instead)
}

/// Keys that older versions had, as they are written in a file.
const GONE: &[(&str, &str)] = &[
    (
        "limits.windows_max",
        "producers' windows are bounded by memory: `limits.windows_bytes_max`, and `limits.producers_bytes_max` for producers that nobody uses",
    ),
    (
        "metrics_listen",
        "the address for operators is `admin_listen`, and has more than metrics; without one `/metrics` is nowhere, unless `public_metrics = true`",
    ),
];

fn line(number: Option<usize>) -> String {
    number.map_or_else(String::new, |number| format!("line {number}: "))
}

/// Variables by their names, since they have no line.
fn places(written: &[Place]) -> String {
    let name = |place: &Place| match place.line {
        Some(line) => format!("line {line}"),
        None => format!("`{}`", place.key),
    };
    let names: Vec<String> = written.iter().map(name).collect();
    if names.is_empty() { String::new() } else { format!("{}: ", names.join(" and ")) }
}

fn hint(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(name) => format!("; did you mean `{name}`?"),
        None => format!("; there are {}", known.join(", ")),
    }
}

/// The name that a misspelt one is most likely to stand for: a third of its letters may differ.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().map(|known| (distance(name, known), known));
    let (distance, known) = near.min_by_key(|(distance, _)| *distance)?;
    (distance <= name.len().min(known.len()) / 3).then_some(known)
}

/// Letters to change, add, leave out or swap with their neighbour until one word is the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut next = vec![i];
        for j in 1..=b.len() {
            let changed = row[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(row[j] + 1).min(next[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keyboard_is_near_and_another_word_is_not() {
        let known = ["listen", "shards", "origins", "limits_message_bytes_max"];
        let check = |name, expected| assert_eq!(nearest(name, known), expected, "{name}");
        check("listne", Some("listen"));
        check("liste", Some("listen"));
        check("origin", Some("origins"));
        check("limits_message_byte_max", Some("limits_message_bytes_max"));
        check("port", None);
        check("service_host", None);
        check("bin", None);
        check("", None);
    }
}
