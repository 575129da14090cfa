//! Sets of keys as their issuers publish them (JWKS, RFC 7517): which of them the hub takes, each for one algorithm.

use std::time::Duration;

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use serde::Deserialize;
use serde_json::Value;

use crate::fetch::{Address, FetchError};
use crate::tokens::key::Key;

/// Where a set of keys is, and what holds for tokens that are signed with one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it is fetched from.
    pub address: Address,
    /// Who has to have issued the tokens.
    pub issuer: Option<String>,
    /// Whom they have to be for: one of these at least.
    pub audience: Vec<String>,
    /// By how much the clocks of issuer and hub may differ.
    pub leeway_seconds: u64,
    /// How often it is fetched again.
    pub refresh_seconds: u64,
}

/// The keys of a set that the hub takes.
#[derive(Debug)]
pub struct Fetched {
    /// They.
    pub keys: Vec<Key>,
    /// Those that it does not take, and why.
    pub passed_over: Vec<String>,
}

/// Why there are no keys in something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoKeys {
    /// It is no set.
    #[error("it is no set of keys: that is a JSON object with a list `keys` (RFC 7517, section 5)")]
    NoSet,
    /// It has none, or none that could be taken.
    #[error("it has no key that the hub takes")]
    None,
}

/// Why keys are not fetched.
#[derive(Debug, thiserror::Error)]
pub enum NotFetched {
    /// Nothing comes.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What comes has none.
    #[error(transparent)]
    NoKeys(#[from] NoKeys),
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl Source {
    /// Whether it is the same, and its keys take the same tokens but for how long they may have expired.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let of = |source: &'_ Self| (source.address.clone(), source.issuer.clone(), source.audience.clone());
        of(self) == of(other)
    }

    /// Fetches the keys that are there now.
    ///
    /// # Errors
    /// Why they are not.
    pub async fn fetch(&self) -> Result<Fetched, NotFetched> {
        let content = self.address.fetch(SET_BYTES_MAX, PATIENCE).await?;
        Ok(self.keys_of(&content)?)
    }

    /// The keys of a set.
    ///
    /// # Errors
    /// [`NoKeys`] if there are none: whoever has keys keeps those, since nobody means to have none.
    pub fn keys_of(&self, content: &[u8]) -> Result<Fetched, NoKeys> {
        let set: Set = serde_json::from_slice(content).map_err(|_| NoKeys::NoSet)?;
        let mut fetched = Fetched { keys: Vec::new(), passed_over: Vec::new() };
        for (at, key) in set.keys.iter().enumerate() {
            match self.key(key) {
                _ if fetched.keys.len() == KEYS_MAX => {
                    fetched.passed_over.push(format!("those behind the first {KEYS_MAX}"));
                    break;
                }
                Ok(key) if fetched.keys.iter().any(|other| other.kid == key.kid) => {
                    fetched.passed_over.push(format!("{} (another has its name)", named(&set.keys[at], at)));
                }
                Ok(key) => fetched.keys.push(key),
                Err(why) => fetched.passed_over.push(format!("{} ({why})", named(key, at))),
            }
        }
        if fetched.keys.is_empty() { Err(NoKeys::None) } else { Ok(fetched) }
    }

    fn key(&self, jwk: &Value) -> Result<Key, String> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let algorithm = match (text("alg"), text("kty"), text("crv")) {
            (_, Some("oct"), _) => return Err("a secret, which nobody publishes".into()),
            (Some(alg), _, _) => alg.parse().ok(),
            // The one that RFC 7518 recommends, and that is used where none is named.
            (None, Some("RSA"), _) => Some(Algorithm::RS256),
            (None, Some("EC"), Some("P-256")) => Some(Algorithm::ES256),
            (None, Some("EC"), Some("P-384")) => Some(Algorithm::ES384),
            (None, Some("OKP"), Some("Ed25519")) => Some(Algorithm::EdDSA),
            _ => None,
        };
        let algorithm = algorithm.filter(|algorithm| algorithm.family() != AlgorithmFamily::Hmac);
        let algorithm = algorithm.ok_or("of a kind or for an algorithm that is not taken")?;
        let kid = text("kid").map(str::to_owned);
        if kid.as_ref().is_some_and(|kid| kid.is_empty() || kid.len() > KID_BYTES_MAX) {
            return Err("its name is empty or very long".into());
        }
        let key =
            Key::read(algorithm, jwk.to_string().as_bytes()).map_err(|bad| format!("allowed: {bad}"))?;
        Ok(Key {
            kid,
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            leeway_seconds: self.leeway_seconds,
            ..key
        })
    }
}

/// What a key is called where one is told of it.
fn named(key: &Value, at: usize) -> String {
    let kid = key.get("kid").and_then(Value::as_str).filter(|kid| kid.len() <= 64);
    kid.map_or_else(|| format!("number {}", at + 1), |kid| format!("{kid:?}"))
}

/// Less than clients get to sign in.
const PATIENCE: Duration = Duration::from_secs(3);
/// More is no set of keys.
const SET_BYTES_MAX: usize = 256 << 10;
/// Keys of one set; issuers have a handful.
const KEYS_MAX: usize = 64;
/// Bytes of a key's name.
const KID_BYTES_MAX: usize = 1_024;

#[cfg(test)]
mod vectors;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn source() -> Source {
        Source {
            address: "https://issuer.example.com/keys".parse().unwrap(),
            issuer: Some("me".into()),
            audience: Vec::new(),
            leeway_seconds: 3,
            refresh_seconds: 300,
        }
    }

    fn ed(kid: &str) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    /// A point of the curve P-256, which RFC 7515 has in its appendix A.3.
    const P256: [&str; 2] =
        ["f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"];

    #[track_caller]
    fn check(keys: &[Value], taken: &[&str], passed_over: usize) {
        let fetched = source().keys_of(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        let kids: Vec<_> = fetched.keys.iter().map(|key| key.kid.as_deref().unwrap_or_default()).collect();
        assert_eq!((&kids[..], fetched.passed_over.len()), (taken, passed_over), "{:?}", fetched.passed_over);
        assert!(
            fetched.keys.iter().all(|key| key.issuer.as_deref() == Some("me") && key.leeway_seconds == 3)
        );
    }

    #[test]
    fn what_can_be_taken_is_and_the_rest_is_told() {
        let with = |name: &str, value: &str| {
            let mut key = ed("x");
            key[name] = value.into();
            key
        };
        check(&[ed("a"), ed("b")], &["a", "b"], 0);
        check(&[ed("a"), ed("a")], &["a"], 1);
        for other in [
            json!({"kty": "oct", "kid": "x", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
            json!({"kty": "EC", "crv": "P-521", "kid": "x", "x": "AA", "y": "AA"}),
            json!({"kty": "EC", "crv": "secp256k1", "kid": "x", "x": "AA", "y": "AA"}),
            json!({"kty": "RSA", "kid": "x", "n": "AQAB", "e": "AQAB"}),
            json!("x"),
            json!({}),
            with("alg", "HS256"),
            with("alg", "RS256"),
            with("alg", "none"),
            with("use", "enc"),
            with("crv", "P-256"),
            json!({"kty": "EC", "crv": "P-384", "kid": "x", "alg": "ES256", "x": P256[0], "y": P256[1]}),
            {
                let mut key = ed("x");
                key["key_ops"] = json!(["sign", "encrypt"]);
                key
            },
            with("d", "AAAA"),
            with("kid", ""),
        ] {
            check(&[other, ed("a")], &["a"], 1);
        }
        let mut verifies = ed("v");
        verifies["key_ops"] = json!(["verify"]);
        let curve = json!({"kty": "EC", "crv": "P-256", "kid": "e", "x": P256[0], "y": P256[1]});
        check(&[verifies, curve], &["v", "e"], 0);
        let many: Vec<_> = (0..100).map(|at| ed(&at.to_string())).collect();
        let fetched = source().keys_of(json!({ "keys": many }).to_string().as_bytes()).unwrap();
        assert_eq!((fetched.keys.len(), fetched.passed_over.len()), (64, 1));
    }

    #[test]
    fn what_has_no_keys_is_no_set_of_them() {
        for (text, why) in [
            ("", NoKeys::NoSet),
            ("nonsense", NoKeys::NoSet),
            ("[]", NoKeys::NoSet),
            ("{}", NoKeys::NoSet),
            ("{\"keys\":{}}", NoKeys::NoSet),
            ("{\"keys\":[]}", NoKeys::None),
            ("{\"keys\":[1]}", NoKeys::None),
        ] {
            assert_eq!(source().keys_of(text.as_bytes()).unwrap_err(), why, "{text}");
        }
    }
}
