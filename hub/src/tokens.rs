//! Tokens (JWTs, RFC 7519): whether one is sound by the hub's keys, and what it says. A key is for one algorithm and no
//! other; what a token calls its own says only by which key it wants to be checked.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use serde_json::{Map, Value};
use tidewire_hub_core::access::caller::{Origin, Pass};
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::credentials::bad_token::BadSubject;
use tidewire_hub_core::credentials::claim_path::ClaimPath;
use tidewire_hub_core::credentials::{BadToken, TOKEN_BYTES_MAX};

use crate::tokens::claims::Claims;
use crate::tokens::jwks::Source;
use crate::tokens::key::Key;
use crate::tokens::mapping::Mapping;
use crate::tokens::revocation::CLOCKS_SECONDS;

pub mod held;

pub mod jwks;

pub mod key;

pub mod claims;

pub mod own;

pub mod mapping;

pub mod flat;

pub mod remembered;

pub mod revocation;

/// The keys that tokens may be signed with. Without any, no token is taken.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: Vec<Key>,
    /// Where more keys are fetched from.
    pub sources: Vec<Arc<Source>>,
    /// How long tokens may last at most, by what they say themselves.
    pub seconds_max: Option<u64>,
    /// Where in them is what.
    pub mapping: Arc<Mapping>,
}

impl Keyring {
    /// These keys; of those with one name, and of those without, the first counts.
    #[must_use]
    pub fn new(keys: Vec<Key>) -> Self {
        Self { keys, ..Self::default() }
    }

    /// Whether there is none, nor will be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.sources.is_empty()
    }

    /// They.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// These, and those that their sources have now; and of which of these none came, with the reason.
    pub async fn fetch(mut self) -> (Self, Vec<String>) {
        let mut missing = Vec::new();
        for source in self.sources.clone() {
            match source.fetch().await {
                Ok(fetched) => self.keys.extend(fetched.keys),
                Err(why) => missing.push(format!("{}: {why}", source.address)),
            }
        }
        (self, missing)
    }

    /// The key of a name, or that for tokens which name none.
    #[must_use]
    pub fn key(&self, kid: Option<&str>) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid.as_deref() == kid)
    }

    /// What a sound token allows, from now on by the steady clock.
    ///
    /// # Errors
    /// [`BadToken`] is the check that it failed.
    pub fn admit(&self, token: &str, now: Millis) -> Result<Pass, BadToken> {
        let (claims, key) = self.verify(token)?;
        let pass = claims.pass(now, wall_ms(), key.leeway_seconds)?;
        Ok(Pass { origin: Origin { key: key.number, ..pass.origin }, ..pass })
    }

    /// The claims of a sound token, and the key that it is signed with.
    ///
    /// # Errors
    /// [`BadToken`] is the check that it failed.
    pub fn verify(&self, token: &str) -> Result<(Claims, &Key), BadToken> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(BadToken::TooLong);
        }
        let header = decode_header(token).map_err(|error| match error.kind() {
            // `none`, and whatever else is no algorithm that any key can be for.
            ErrorKind::Json(_) if names_another_algorithm(token) => BadToken::Algorithm,
            _ => BadToken::Malformed,
        })?;
        if header.crit.is_some() {
            // It asks not to be taken by whoever does not know these (RFC 7515, section 4.1.11).
            return Err(BadToken::Malformed);
        }
        let key = self.key(header.kid.as_deref()).ok_or(BadToken::UnknownKey)?;
        if header.alg != key.algorithm {
            return Err(BadToken::Algorithm);
        }
        let decoded = decode::<Map<String, Value>>(token, &key.public, &validation(key));
        let decoded = decoded.map_err(|error| match error.kind() {
            ErrorKind::Json(_) => unreadable(token, &self.mapping),
            kind => bad(kind),
        })?;
        let claims = Claims::read(&decoded.claims, &self.mapping)?;
        if let Some(max) = self.seconds_max {
            let lasts = claims.lasts_seconds().ok_or(BadToken::Undated)?;
            if lasts > max {
                return Err(BadToken::Lasting);
            }
        }
        // Else it would be good for longer than it says, and no revocation of what was issued before would mean it.
        let latest = wall_ms() / 1_000 + key.leeway_seconds + CLOCKS_SECONDS;
        if claims.issued_seconds().is_some_and(|issued| issued > latest) {
            return Err(BadToken::Claims(ClaimPath::of(format_args!("iat"))));
        }
        Ok((claims, key))
    }
}

/// Everything that is checked of the claims that are the same for all tokens. The library's defaults leave some of it out.
fn validation(key: &Key) -> Validation {
    let mut validation = Validation::new(key.algorithm);
    validation.leeway = key.leeway_seconds;
    validation.validate_exp = true;
    validation.validate_nbf = true;
    // Without an audience of ours, a token that names any is for somebody else.
    validation.validate_aud = true;
    let mut required = vec!["exp"];
    if let Some(issuer) = &key.issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    if !key.audience.is_empty() {
        validation.set_audience(&key.audience);
        required.push("aud");
    }
    validation.set_required_spec_claims(&required);
    validation
}

/// Which check failed, in the hub's words.
fn bad(kind: &ErrorKind) -> BadToken {
    match kind {
        ErrorKind::InvalidSignature => BadToken::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => BadToken::Algorithm,
        ErrorKind::ExpiredSignature => BadToken::Expired,
        ErrorKind::ImmatureSignature => BadToken::NotYet,
        ErrorKind::InvalidIssuer => BadToken::Issuer,
        ErrorKind::InvalidAudience => BadToken::Audience,
        ErrorKind::InvalidSubject => BadToken::Subject(BadSubject::Missing),
        ErrorKind::MissingRequiredClaim(claim) => match claim.as_str() {
            "sub" => BadToken::Subject(BadSubject::Missing),
            "iss" => BadToken::Issuer,
            "aud" => BadToken::Audience,
            other => BadToken::Claims(ClaimPath::of(format_args!("{other}"))),
        },
        ErrorKind::InvalidClaimFormat(claim) => BadToken::Claims(ClaimPath::of(format_args!("{claim}"))),
        _ => BadToken::Malformed,
    }
}

/// Which claim it is that the library cannot read. It has checked the header and the signature by then.
fn unreadable(token: &str, mapping: &Mapping) -> BadToken {
    let claims = part(token, 1).and_then(|claims| Claims::read(claims.as_object()?, mapping).err());
    claims.unwrap_or(BadToken::Claims(ClaimPath::NONE))
}

/// What a part of a token says.
fn part(token: &str, at: usize) -> Option<Value> {
    let part = URL_SAFE_NO_PAD.decode(token.split('.').nth(at)?).ok()?;
    serde_json::from_slice(&part).ok()
}

/// Whether the header of a token is sound but for its `alg`.
fn names_another_algorithm(token: &str) -> bool {
    let header = part(token, 0);
    let named = header.as_ref().and_then(|header| header.get("alg")?.as_str());
    named.is_some_and(|alg| alg.parse::<jsonwebtoken::Algorithm>().is_err())
}

/// Milliseconds since 1970 by the system's clock, which is what tokens go by.
#[must_use]
pub fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::claims::{ALLOWANCES_MAX, RIGHTS};
    use crate::tokens::own::INFO_BYTES_MAX;
    use tidewire_hub_core::credentials::bad_token::UNDATED;
    use tidewire_hub_core::limits::of_bearer::Bound;

    #[test]
    fn the_page_has_every_sentence_every_right_and_the_bounds() {
        let page = include_str!("../../docs/ACCESS.md");
        for bad in BadToken::ALL {
            assert!(page.contains(&format!("\n| {} | `{}` |", bad.bare_sentence(), bad.check())), "{bad:?}");
        }
        for says in BadSubject::ALL.map(BadSubject::sentence).into_iter().chain([UNDATED]) {
            assert!(page.contains(&format!("\n| {says} | ")), "{says}");
        }
        for right in RIGHTS {
            assert!(page.contains(&format!("`{right}`")), "{right}");
        }
        assert!(page.contains(&format!("at most {TOKEN_BYTES_MAX} bytes")));
        assert!(page.contains(&format!("at most {ALLOWANCES_MAX} topics and patterns")));
        assert!(page.contains(&format!("a JSON object of at most {INFO_BYTES_MAX} bytes")));
        let limits = include_str!("../../docs/CONFIGURATION.md");
        for bound in Bound::ALL {
            assert!(page.contains(&format!("`{}`", bound.name())), "{bound:?}");
            assert!(limits.contains(&format!("\n| `{}` | ", bound.name())), "{bound:?}");
        }
    }

    #[test]
    fn whatever_is_brought_as_a_token_is_refused_without_a_panic() {
        let key = Key::read(jsonwebtoken::Algorithm::HS256, &[7; 32]).map(|key| Keyring::new(vec![key]));
        let keys = key.unwrap_or_default();
        let mut random = 1_u64;
        for length in 0..2_000 {
            let letters = (0..length % 300).map(|_| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(b"eyJ.AB_-{}\"=\x00\xc3"[(random >> 40) as usize % 14])
            });
            let text: String = letters.collect();
            assert!(keys.admit(&text, Millis(0)).is_err());
            assert!(keys.admit(&format!("eyJhbGciOiJIUzI1NiJ9.{text}.{text}"), Millis(0)).is_err());
        }
    }
}
