//! What a token says to this hub in the claim `tidewire`, which is nobody else's.

use serde_json::{Map, Value};
use tidewire_hub_core::credentials::BadToken;
use tidewire_hub_core::credentials::claim_path::ClaimPath;

use crate::tokens::mapping::Allow;

/// The claim `tidewire`.
#[derive(Debug, Clone, Default)]
pub struct Tidewire {
    /// What is allowed.
    pub allow: Vec<Allow>,
}

impl Tidewire {
    /// What the claim says.
    ///
    /// # Errors
    /// [`BadToken`] names the part of it that cannot be read.
    pub fn read(claim: &Value) -> Result<Self, BadToken> {
        let claim = claim.as_object().ok_or_else(|| wrong(format_args!("tidewire")))?;
        Ok(Self { allow: allow(claim)? })
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

fn wrong(path: std::fmt::Arguments<'_>) -> BadToken {
    BadToken::Claims(ClaimPath::of(path))
}
