//! Claims as rules ask for them: each value by its path, `realm_access.roles`, whatever lies around it.

use std::sync::Arc;

use serde_json::{Map, Value};
use tidewire_hub_core::access::caller::Claims;
use tidewire_hub_core::credentials::BadToken;
use tidewire_hub_core::credentials::claim_path::ClaimPath;

/// All claims of a token but those that only tell it from others.
///
/// # Errors
/// [`BadToken::TooMuch`] if they are very many.
pub fn claims(token: &Map<String, Value>) -> Result<Claims, BadToken> {
    let mut flat = Flat { claims: Vec::new(), bytes: 0 };
    for (name, value) in token.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        flat.add(name, value)?;
    }
    Ok(Claims(flat.claims))
}

/// A value as it is compared: JSON, in which a number has no more digits than it needs. None for what is not compared.
#[must_use]
pub fn written(value: &Value) -> Option<Box<str>> {
    match value {
        Value::String(_) | Value::Bool(_) => Some(value.to_string().into()),
        Value::Number(number) => {
            let whole = number.as_f64().filter(|it| it.fract() == 0.0 && it.abs() < WHOLE_MAX);
            let text = match (number.is_f64(), whole) {
                (true, Some(whole)) => (whole as i64).to_string(),
                _ => number.to_string(),
            };
            Some(text.into())
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

struct Flat {
    claims: Vec<(Arc<str>, Box<str>)>,
    bytes: usize,
}

impl Flat {
    fn add(&mut self, path: &str, value: &Value) -> Result<(), BadToken> {
        match value {
            Value::Object(members) => {
                members.iter().try_for_each(|(name, value)| self.add(&format!("{path}.{name}"), value))
            }
            Value::Array(values) => {
                let path = Arc::<str>::from(path);
                values.iter().filter_map(written).try_for_each(|value| self.push(&path, value))
            }
            value => written(value).map_or(Ok(()), |value| self.push(&path.into(), value)),
        }
    }

    fn push(&mut self, path: &Arc<str>, value: Box<str>) -> Result<(), BadToken> {
        self.bytes += path.len() + value.len();
        if self.bytes > BYTES_MAX || self.claims.len() == COUNT_MAX {
            return Err(BadToken::TooMuch(ClaimPath::NONE));
        }
        self.claims.push((Arc::clone(path), value));
        Ok(())
    }
}

/// What differs from token to token, or is the hub's own.
const OWN: [&str; 7] = ["exp", "nbf", "iat", "jti", "sub", "tidewire", "auth_time"];
/// Claims of a token; a list counts for each of its values.
const COUNT_MAX: usize = 1_024;
/// Bytes of their paths and values: twice a longest token.
const BYTES_MAX: usize = 16_384;
/// Numbers below are exact.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn read(token: &Value) -> Result<Claims, BadToken> {
        claims(token.as_object().unwrap())
    }

    #[test]
    fn each_value_has_its_path() {
        let token = json!({
            "sub": "ada", "exp": 5, "iat": 1, "jti": "x", "tidewire": {"allow": []},
            "role": "admin", "level": 3.0, "ratio": 0.5, "verified": true, "none": null,
            "realm_access": {"roles": ["a", "b", ["c"], {"d": 1}], "deep": {"er": 1}},
            "https://example.com/team": "x",
        });
        let flat = read(&token).unwrap();
        for (path, value) in [
            ("role", "\"admin\""),
            ("level", "3"),
            ("ratio", "0.5"),
            ("verified", "true"),
            ("realm_access.roles", "\"a\""),
            ("realm_access.roles", "\"b\""),
            ("realm_access.deep.er", "1"),
            ("https://example.com/team", "\"x\""),
        ] {
            assert!(flat.say(path, value), "{path} {value}: {flat:?}");
        }
        assert_eq!(flat.0.len(), 8, "{flat:?}");
    }

    #[test]
    fn however_a_token_is_built_what_is_kept_of_it_has_an_end() {
        let deep =
            (0..100).fold(json!({"a": 1, "b": 2}), |inner, _| json!({ "x".repeat(70): inner, "y": 1 }));
        for token in [
            json!({ "many": vec![1; 1_025] }),
            json!({ "x".repeat(8_000): ["a".repeat(100), "b".repeat(400)] }),
            deep,
        ] {
            let bad = read(&token).unwrap_err();
            assert_eq!(bad, BadToken::TooMuch(ClaimPath::NONE));
        }
        assert!(read(&json!({ "groups": vec!["0123456789abcdef0123456789abcdef0123"; 200] })).is_ok());
    }
}
