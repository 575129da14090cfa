//! A key, as it is read from a file: a secret, a public key in PEM, or either as a JWK. It is for one algorithm.

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use tidewire_hub_core::access::caller::KeyNumber;

use crate::small_file;

/// A key that tokens may be signed with, and what else holds for those that are.
#[derive(Debug, Clone)]
pub struct Key {
    /// What tokens call it; `None` for the one that is meant by those that name none.
    pub kid: Option<String>,
    /// By which algorithm they are signed.
    pub algorithm: Algorithm,
    /// Who has to have issued them.
    pub issuer: Option<String>,
    /// Whom they have to be for: one of these at least.
    pub audience: Vec<String>,
    /// By how much the clocks of issuer and hub may differ.
    pub leeway_seconds: u64,
    /// Tells it from all others that a hub has, or had.
    pub(super) number: KeyNumber,
    /// What their signatures are checked with. It prints nothing of itself.
    pub(super) public: DecodingKey,
}

/// Why a file holds no key for an algorithm. Says nothing of what it does hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// A key of the wrong sort, or whoever had it could sign tokens.
    #[error("the secret itself, or a JWK with \"kty\": \"oct\": it holds a key in PEM, which is no secret")]
    NoSecret,
    /// Too short to be safe.
    #[error(
        "a secret of at least {0} bytes, as long as what the algorithm makes of it (RFC 7518, section 3.2)"
    )]
    ShortSecret(usize),
    /// A private key.
    #[error("the public key only: it holds a private key, which has no business in a hub")]
    Private,
    /// A key of another sort.
    #[error("{0}")]
    NoPublicKey(&'static str),
    /// Made for something else.
    #[error("a JWK for this algorithm: its `alg`, `use` or `key_ops` says that it is for something else")]
    MeantForOther,
    /// Too short to be safe.
    #[error("an RSA key of at least 2048 bits")]
    ShortRsa,
}

/// The algorithms that a key may be for, in the order in which they are told.
pub const ALGORITHMS: &str =
    "HS256, HS384, HS512, ES256, ES384, EdDSA, RS256, RS384, RS512, PS256, PS384 or PS512";

impl Key {
    /// A key of what a file holds, with nothing else to hold for its tokens.
    ///
    /// # Errors
    /// [`BadKey`] says what the file has to hold.
    pub fn read(algorithm: Algorithm, content: &[u8]) -> Result<Self, BadKey> {
        let public = match algorithm.family() {
            AlgorithmFamily::Hmac => secret(algorithm, content)?,
            family => public_key(algorithm, family, content)?,
        };
        let number = KeyNumber::default();
        Ok(Self {
            kid: None,
            algorithm,
            issuer: None,
            audience: Vec::new(),
            leeway_seconds: 0,
            number,
            public,
        })
    }

    /// Whether it is the same, and takes the same tokens but for how long they may have expired.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let of = |key: &'_ Self| (key.kid.clone(), key.algorithm, key.issuer.clone(), key.audience.clone());
        of(self) == of(other) && parts(&self.public) == parts(&other.public)
    }

    /// What it is called where one is told of it.
    #[must_use]
    pub fn name(&self) -> String {
        let kid =
            self.kid.as_ref().map_or_else(|| "without a `kid`".into(), |kid| format!("`{}`", shown(kid)));
        format!("{kid} ({:?})", self.algorithm)
    }

    /// The secret that it is, if it is one: who checks by it can sign by it.
    #[must_use]
    pub fn secret(&self) -> Option<&[u8]> {
        let is_secret = self.algorithm.family() == AlgorithmFamily::Hmac;
        self.public.try_get_as_bytes().ok().filter(|_| is_secret)
    }
}

/// What somebody else calls a key, as it may be told.
fn shown(kid: &str) -> String {
    kid.chars().take(KID_CHARS_MAX).flat_map(char::escape_debug).collect()
}

/// What the file of a key holds, as far as that may be one.
///
/// # Errors
/// What the system says, or that it is too much.
pub fn content(path: &Path) -> io::Result<Vec<u8>> {
    small_file::content(path, FILE_BYTES_MAX)
}

/// The secret that a file holds, as it is but for one end of line, which editors and `echo` add.
fn secret_of(content: &[u8]) -> &[u8] {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.strip_suffix(b"\r").unwrap_or(content)
}

fn secret(algorithm: Algorithm, content: &[u8]) -> Result<DecodingKey, BadKey> {
    if is_pem(content) {
        return Err(BadKey::NoSecret);
    }
    let key = match jwk(content) {
        Some(jwk) => {
            let jwk = jwk.ok().filter(|jwk| matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_)));
            let jwk = jwk.ok_or(BadKey::NoSecret)?;
            check_use(&jwk, algorithm)?;
            DecodingKey::from_jwk(&jwk).map_err(|_| BadKey::NoSecret)?
        }
        None => DecodingKey::from_secret(secret_of(content)),
    };
    let least = match algorithm {
        Algorithm::HS384 => 48,
        Algorithm::HS512 => 64,
        _ => 32,
    };
    if length(&key) < least { Err(BadKey::ShortSecret(least)) } else { Ok(key) }
}

fn public_key(algorithm: Algorithm, family: AlgorithmFamily, content: &[u8]) -> Result<DecodingKey, BadKey> {
    let wanted = BadKey::NoPublicKey(match family {
        AlgorithmFamily::Rsa => {
            "an RSA public key in PEM (`BEGIN PUBLIC KEY`), or a JWK with \"kty\": \"RSA\""
        }
        AlgorithmFamily::Ec if algorithm == Algorithm::ES384 => {
            "a public key of the curve P-384 in PEM (`BEGIN PUBLIC KEY`), or a JWK with \"crv\": \"P-384\""
        }
        AlgorithmFamily::Ec => {
            "a public key of the curve P-256 in PEM (`BEGIN PUBLIC KEY`), or a JWK with \"crv\": \"P-256\""
        }
        _ => "an Ed25519 public key in PEM (`BEGIN PUBLIC KEY`), or a JWK with \"crv\": \"Ed25519\"",
    });
    if is_private(content) {
        return Err(BadKey::Private);
    }
    let key = match jwk(content) {
        Some(jwk) => {
            let jwk = jwk.map_err(|_| wanted)?;
            check_use(&jwk, algorithm)?;
            if !has_curve_of(&jwk, algorithm) {
                return Err(wanted);
            }
            DecodingKey::from_jwk(&jwk)
        }
        None if !is_pem(content) || holds(content, "CERTIFICATE") => return Err(wanted),
        None => match family {
            AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(content),
            AlgorithmFamily::Ec if !is_on_curve_of(content, algorithm) => return Err(wanted),
            AlgorithmFamily::Ec => DecodingKey::from_ec_pem(content),
            _ => DecodingKey::from_ed_pem(content),
        },
    };
    let key = key.ok().filter(|key| key.family() == family).ok_or(wanted)?;
    let length = length(&key);
    let fits = match algorithm {
        // An uncompressed point: two coordinates and a byte before them.
        Algorithm::ES256 => length == 1 + 2 * 32,
        Algorithm::ES384 => length == 1 + 2 * 48,
        Algorithm::EdDSA => length == 32,
        _ => true,
    };
    if family == AlgorithmFamily::Rsa && length < RSA_BYTES_MIN {
        return Err(BadKey::ShortRsa);
    }
    fits.then_some(key).ok_or(wanted)
}

/// A JWK, if the file holds JSON.
fn jwk(content: &[u8]) -> Option<Result<Jwk, serde_json::Error>> {
    content.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(content))
}

/// A JWK says itself what it is for.
fn check_use(jwk: &Jwk, algorithm: Algorithm) -> Result<(), BadKey> {
    let alg = jwk.common.key_algorithm.as_ref().map(ToString::to_string);
    let is_other = alg.is_some_and(|alg| alg != format!("{algorithm:?}"));
    let encrypts = matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption));
    let operations = jwk.common.key_operations.as_ref();
    let verifies = operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    if is_other || encrypts || !verifies { Err(BadKey::MeantForOther) } else { Ok(()) }
}

/// Whether a JWK names the curve of an algorithm, if that has one. How long its coordinates are does not say it.
fn has_curve_of(jwk: &Jwk, algorithm: Algorithm) -> bool {
    let curve = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(key) => Some(&key.curve),
        AlgorithmParameters::OctetKeyPair(key) => Some(&key.curve),
        _ => None,
    };
    match algorithm {
        Algorithm::ES256 => curve == Some(&EllipticCurve::P256),
        Algorithm::ES384 => curve == Some(&EllipticCurve::P384),
        Algorithm::EdDSA => curve == Some(&EllipticCurve::Ed25519),
        _ => true,
    }
}

/// The same of a key of an elliptic curve in PEM, where the curve's number stands before the point (RFC 5480, section 2.1.1).
fn is_on_curve_of(pem: &[u8], algorithm: Algorithm) -> bool {
    let text = String::from_utf8_lossy(pem);
    let body: String = text.split("-----").nth(2).unwrap_or_default().split_whitespace().collect();
    let der = STANDARD.decode(body).unwrap_or_default();
    let number: &[u8] = match algorithm {
        Algorithm::ES384 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22],
        _ => &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
    };
    der.windows(number.len()).any(|window| window == number)
}

/// What it is checked with.
fn parts(key: &DecodingKey) -> (&[u8], &[u8]) {
    use jsonwebtoken::DecodingKeyKind;
    match key.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => (bytes, &[]),
        DecodingKeyKind::RsaModulusExponent { n, e } => (n, e),
    }
}

/// Bytes of what is checked with: a secret, a point, or a modulus.
fn length(key: &DecodingKey) -> usize {
    use jsonwebtoken::DecodingKeyKind;
    match key.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => bytes.len(),
        DecodingKeyKind::RsaModulusExponent { n, .. } => n.len(),
    }
}

fn is_pem(content: &[u8]) -> bool {
    holds(content, "-----BEGIN ")
}

fn is_private(content: &[u8]) -> bool {
    let names = serde_json::from_slice::<serde_json::Value>(content).unwrap_or_default();
    holds(content, "PRIVATE KEY-----") || names.get("d").is_some()
}

/// Whether a text stands somewhere in it.
#[must_use]
pub fn holds(content: &[u8], text: &str) -> bool {
    content.windows(text.len()).any(|window| window == text.as_bytes())
}

/// More is no key.
const FILE_BYTES_MAX: u64 = 65_536;
/// A modulus of 2,048 bits.
const RSA_BYTES_MIN: usize = 256;

/// Of a key's name so much is told.
const KID_CHARS_MAX: usize = 80;
