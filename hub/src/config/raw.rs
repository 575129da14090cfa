//! A configuration as it is written: kinds of values are right, their meaning is not looked at.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;

use crate::config::{ConfigError, Reading};

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    /// HOST:PORT.
    pub(super) listen: Option<String>,
    /// Threads that own connections.
    pub(super) shards: Option<i64>,
    /// Seconds clients get to leave when the hub stops.
    pub(super) drain_seconds: Option<i64>,
    /// Web pages that may connect.
    pub(super) origins: Option<Vec<String>>,
    /// Whether programs may connect, which name no origin.
    pub(super) allow_no_origin: Option<bool>,
    /// Who may do what; the first match counts.
    #[serde(default)]
    pub(super) access: Vec<RawAccess>,
    /// What topics keep; the first match counts.
    #[serde(default)]
    pub(super) topics: Vec<RawTopics>,
    /// Bounds by name.
    #[serde(default)]
    pub(super) limits: BTreeMap<String, toml::Value>,
}

/// `[[access]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAccess {
    /// Which topics.
    pub(super) pattern: String,
    /// Whether they may be published to.
    #[serde(default)]
    pub(super) publish: bool,
    /// Whether they may be read.
    #[serde(default)]
    pub(super) subscribe: bool,
    /// Whether the rule speaks of clients that have not signed in.
    #[serde(default)]
    pub(super) anonymous: bool,
}

/// `[[topics]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTopics {
    /// Which topics.
    pub(super) pattern: String,
    /// What they keep.
    pub(super) retention: RawRetention,
}

/// `"none"` or `{ count, bytes, age_seconds }`
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "retention is \"none\" or a table with count, bytes or age_seconds")]
pub(super) enum RawRetention {
    /// A word.
    Word(String),
    /// Bounds that hold together.
    Bounds(RawBounds),
}

/// Bounds of retention.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBounds {
    /// Newest messages.
    pub(super) count: Option<u64>,
    /// Bytes.
    pub(super) bytes: Option<u64>,
    /// Seconds.
    pub(super) age_seconds: Option<u64>,
}

impl fmt::Display for RawBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds = [("count", self.count), ("bytes", self.bytes), ("age_seconds", self.age_seconds)];
        let given = bounds.iter().filter_map(|(name, bound)| bound.map(|bound| format!("{name} = {bound}")));
        write!(f, "{{ {} }}", given.collect::<Vec<_>>().join(", "))
    }
}

/// Reads a file.
pub(super) fn read_file(path: &Path) -> Result<RawConfig, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    read_text(&text, path)
}

/// Reads the text of a file.
pub(super) fn read_text(text: &str, path: &Path) -> Result<RawConfig, ConfigError> {
    toml::from_str(text)
        .map_err(|source| ConfigError::Malformed { path: path.to_owned(), source: Box::new(source) })
}

impl Reading {
    /// Puts what the environment says over what the file says. Other variables that begin with `TIDEWIRE_` are
    /// left alone: orchestrators make some up from the names of services.
    pub(super) fn overlay(&mut self, raw: &mut RawConfig, env: impl Iterator<Item = (String, String)>) {
        for (variable, value) in env {
            let Some(key) = variable.strip_prefix("TIDEWIRE_").map(str::to_ascii_lowercase) else { continue };
            let known = match key.as_str() {
                "listen" => {
                    raw.listen = Some(value.clone());
                    true
                }
                "shards" => self.take(&variable, &value, "a whole number", &mut raw.shards),
                "drain_seconds" => self.take(&variable, &value, "a whole number", &mut raw.drain_seconds),
                "allow_no_origin" => self.take(&variable, &value, "true or false", &mut raw.allow_no_origin),
                "origins" => {
                    let origins = value.split(',').map(str::trim).filter(|origin| !origin.is_empty());
                    raw.origins = Some(origins.map(str::to_owned).collect());
                    true
                }
                _ => false,
            };
            if known {
                self.origin_of.insert(key, variable);
            } else if let Some(limit) = key.strip_prefix("limits_") {
                self.origin_of.insert(format!("limits.{limit}"), variable);
                let value = value.parse().map_or(toml::Value::String(value), toml::Value::Integer);
                raw.limits.insert(limit.to_owned(), value);
            }
        }
    }

    fn take<T: std::str::FromStr>(
        &mut self,
        variable: &str,
        value: &str,
        allowed: &str,
        to: &mut Option<T>,
    ) -> bool {
        match value.trim().parse() {
            Ok(value) => *to = Some(value),
            Err(_) => self.wrong(variable, format!("\"{value}\""), allowed),
        }
        true
    }
}
