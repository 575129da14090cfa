//! Where in a token the hub finds what it needs, so that tokens of others are taken as they are: who somebody is, and which
//! scopes stand for which rights.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use tidewire_hub_core::credentials::BadToken;
use tidewire_hub_core::credentials::claim_path::ClaimPath;

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The path of the claim that says who it is.
    pub subject: String,
    /// The path of the one that holds scopes: a text with blanks between them (RFC 8693, section 4.2), or a list.
    pub scope: String,
    /// What each scope allows. Others allow nothing.
    pub scopes: BTreeMap<String, Vec<Allow>>,
}

/// Some rights to some topics.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Allow {
    /// Names and patterns, in which `{sub}` stands for the subject.
    pub topics: Vec<String>,
    /// The names of rights. Those that this hub does not know allow nothing.
    pub to: Vec<String>,
}

impl Default for Mapping {
    fn default() -> Self {
        Self { subject: "sub".into(), scope: "scope".into(), scopes: BTreeMap::new() }
    }
}

impl Mapping {
    /// Who a token speaks of; empty if it does not say so.
    ///
    /// # Errors
    /// [`BadToken::Claims`] if that is no text.
    pub fn subject(&self, token: &Map<String, Value>) -> Result<String, BadToken> {
        match at(token, &self.subject) {
            None => Ok(String::new()),
            Some(subject) => subject.as_str().map(str::to_owned).ok_or_else(|| wrong(&self.subject)),
        }
    }

    /// What a token's scopes allow.
    ///
    /// # Errors
    /// [`BadToken::Claims`] if they are no scopes.
    pub fn allowed(&self, token: &Map<String, Value>) -> Result<Vec<Allow>, BadToken> {
        let scopes: Vec<&str> = match at(token, &self.scope).filter(|_| !self.scopes.is_empty()) {
            None => Vec::new(),
            Some(Value::String(text)) => text.split_ascii_whitespace().collect(),
            Some(Value::Array(list)) => {
                let texts = list.iter().map(Value::as_str).collect::<Option<_>>();
                texts.ok_or_else(|| wrong(&self.scope))?
            }
            Some(_) => return Err(wrong(&self.scope)),
        };
        let allowed = self.scopes.iter().filter(|(name, _)| scopes.contains(&name.as_str()));
        Ok(allowed.flat_map(|(_, allow)| allow.iter().cloned()).collect())
    }
}

/// The claim at a path is not what it has to be.
fn wrong(path: &str) -> BadToken {
    BadToken::Claims(ClaimPath::of(format_args!("{path}")))
}

/// The claim at a path, be the dots in it between names or in one.
fn at<'a>(token: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let below = |(dot, _): (usize, &str)| at(token.get(&path[..dot])?.as_object()?, &path[dot + 1..]);
    token.get(path).or_else(|| path.match_indices('.').find_map(below))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn mapping() -> Mapping {
        let allow = |topic: &str| vec![Allow { topics: vec![topic.into()], to: vec!["subscribe".into()] }];
        let scopes = [("a:read", allow("a.>")), ("b:read", allow("b.>"))];
        Mapping {
            subject: "user.name".into(),
            scope: "scp".into(),
            scopes: scopes.map(|(name, allow)| (name.into(), allow)).into(),
        }
    }

    #[track_caller]
    fn check(token: &Value, subject: Result<&str, BadToken>, topics: Result<&[&str], BadToken>) {
        let (mapping, token) = (mapping(), token.as_object().unwrap());
        assert_eq!(mapping.subject(token), subject.map(str::to_owned), "{token:?}");
        let allowed = mapping.allowed(token);
        let allowed = allowed.map(|allowed| allowed.into_iter().flat_map(|it| it.topics).collect::<Vec<_>>());
        assert_eq!(
            allowed,
            topics.map(|topics| topics.iter().map(|it| (*it).to_owned()).collect()),
            "{token:?}"
        );
    }

    #[test]
    fn what_is_mapped_is_found_wherever_it_is() {
        check(&json!({"user": {"name": "ada"}, "scp": "x a:read"}), Ok("ada"), Ok(&["a.>"]));
        check(
            &json!({"user.name": "ada", "scp": ["a:read", "b:read", "a:read"]}),
            Ok("ada"),
            Ok(&["a.>", "b.>"]),
        );
        check(&json!({"sub": "ada", "user": {}, "scope": "a:read"}), Ok(""), Ok(&[]));
        check(&json!({"user": "x", "scp": "a:rea"}), Ok(""), Ok(&[]));
        check(&json!({"user": {"name": 5}, "scp": 5}), Err(wrong("user.name")), Err(wrong("scp")));
        check(
            &json!({"user": {"name": null}, "scp": ["a:read", 1]}),
            Err(wrong("user.name")),
            Err(wrong("scp")),
        );
    }
}
