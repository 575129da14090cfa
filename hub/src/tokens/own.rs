//! What a token says to this hub in the claim `tidewire`, which is nobody else's.

use std::sync::Arc;

use serde_json::{Map, Value};
use tidewire_hub_core::credentials::BadToken;
use tidewire_hub_core::credentials::claim_path::ClaimPath;
use tidewire_hub_core::limits::of_bearer::{Bound, Bounds};

use crate::tokens::mapping::Allow;

/// The claim `tidewire`.
#[derive(Debug, Clone, Default)]
pub struct Tidewire {
    /// What is allowed.
    pub allow: Vec<Allow>,
    /// Which of the hub's limits are narrower for its bearer.
    pub limits: Bounds,
    /// What its bearer is to be known by, a JSON object.
    pub info: Option<Arc<str>>,
}

impl Tidewire {
    /// What the claim says.
    ///
    /// # Errors
    /// [`BadToken`] names the part of it that cannot be read.
    pub fn read(claim: &Value) -> Result<Self, BadToken> {
        let claim = claim.as_object().ok_or_else(|| wrong(format_args!("tidewire")))?;
        Ok(Self { allow: allow(claim)?, limits: limits(claim)?, info: info(claim)? })
    }
}

fn allow(claim: &Map<String, Value>) -> Result<Vec<Allow>, BadToken> {
    let Some(entries) = claim.get("allow") else { return Ok(Vec::new()) };
    let entries = entries.as_array().ok_or_else(|| wrong(format_args!("tidewire.allow")))?;
    let entry = |(at, entry): (usize, &Value)| {
        let entry = entry.as_object().ok_or_else(|| wrong(format_args!("tidewire.allow[{at}]")))?;
        let texts = |name: &str| {
            let list = entry.get(name).and_then(Value::as_array);
            let list = list.ok_or_else(|| wrong(format_args!("tidewire.allow[{at}].{name}")))?;
            let text = |(index, text): (usize, &Value)| {
                let text = text.as_str().map(str::to_owned);
                text.ok_or_else(|| wrong(format_args!("tidewire.allow[{at}].{name}[{index}]")))
            };
            list.iter().enumerate().map(text).collect::<Result<Vec<_>, _>>()
        };
        Ok(Allow { topics: texts("topics")?, to: texts("to")? })
    };
    entries.iter().enumerate().map(entry).collect()
}

/// One that the hub does not know is nothing to be passed over: its bearer would be held to nothing.
fn limits(claim: &Map<String, Value>) -> Result<Bounds, BadToken> {
    let Some(limits) = claim.get("limits") else { return Ok(Bounds::default()) };
    let limits = limits.as_object().ok_or_else(|| wrong(format_args!("tidewire.limits")))?;
    let bound = |(name, most): (&String, &Value)| {
        let unknown = || BadToken::UnknownLimit(ClaimPath::of(format_args!("tidewire.limits.{name}")));
        let bound = Bound::named(name).ok_or_else(unknown)?;
        // None is 0, which in the configuration stands for no limit: who is to do nothing is not allowed to.
        let most = most.as_u64().filter(|most| *most > 0);
        most.map(|most| (bound, most)).ok_or_else(|| wrong(format_args!("tidewire.limits.{name}")))
    };
    limits.iter().map(bound).collect()
}

fn info(claim: &Map<String, Value>) -> Result<Option<Arc<str>>, BadToken> {
    let Some(info) = claim.get("info") else { return Ok(None) };
    if !info.is_object() {
        return Err(wrong(format_args!("tidewire.info")));
    }
    let text = info.to_string();
    if text.len() > INFO_BYTES_MAX || depth(info) > INFO_DEPTH_MAX {
        return Err(BadToken::TooMuch(ClaimPath::of(format_args!("tidewire.info"))));
    }
    Ok(Some(text.into()))
}

/// How many objects and lists lie in each other. What is parsed has an end.
fn depth(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn wrong(path: std::fmt::Arguments<'_>) -> BadToken {
    BadToken::Claims(ClaimPath::of(path))
}

/// Bytes of `info`, as the hub writes it: it is kept with each connection.
pub const INFO_BYTES_MAX: usize = 1_024;
/// Whatever shows it goes through all of it.
const INFO_DEPTH_MAX: usize = 8;
