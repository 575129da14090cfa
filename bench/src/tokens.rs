//! Tokens for a hub: a key pair of this run's own, whose public half the hub reads, and what is signed with the other.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::KeyPair;
use serde_json::json;

use crate::folder::Folder;
use crate::open_hub;

/// Who signs, and the folder that the hub reads, which ends with it.
#[derive(Debug)]
pub struct Signer {
    key: EncodingKey,
    folder: Folder,
}

impl Signer {
    /// One whose key nobody has had before.
    ///
    /// # Errors
    /// If the key cannot be made or written.
    pub fn make() -> Result<Self> {
        let pair = KeyPair::generate()?;
        let folder = Folder::make()?;
        folder.write(KEY, &pair.public_key_pem())?;
        folder.write(HUB, &open_hub::config(TAKEN))?;
        Ok(Self { key: private(&pair)?, folder })
    }

    /// What a hub that takes its tokens reads, and lets everybody do everything by: a token costs it something, and
    /// allows nobody more.
    #[must_use]
    pub fn hub_config(&self) -> PathBuf {
        self.folder.path(HUB)
    }

    /// The token of a client, which lasts so long from now on.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub fn token(&self, client: usize, seconds: u64) -> Result<Box<str>> {
        sign(&self.key, client, seconds)
    }
}

/// A token as any other but for its signature, which is by a key that no hub has.
///
/// # Errors
/// If it cannot be signed.
pub fn forged(client: usize) -> Result<Box<str>> {
    sign(&private(&KeyPair::generate()?)?, client, FORGED_SECONDS)
}

/// As back ends make them: by ES256, with what each may do besides what the hub's rules say.
fn sign(key: &EncodingKey, client: usize, seconds: u64) -> Result<Box<str>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = json!({
        "sub": format!("client-{client}"),
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + seconds,
        "tidewire": { "allow": [{ "topics": ["bench.{sub}.>"], "to": ["publish", "subscribe"] }] },
    });
    Ok(encode(&Header::new(Algorithm::ES256), &claims, key)?.into())
}

/// `rcgen` makes keys for ES256 unless told otherwise.
fn private(pair: &KeyPair) -> Result<EncodingKey> {
    Ok(EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes())?)
}

const AUDIENCE: &str = "tidewire-bench";
const FORGED_SECONDS: u64 = 3_600;
const KEY: &str = "tokens.public.pem";
const HUB: &str = "hub.toml";
/// Without leeway a token ends when it says so, and whoever has brought no other is cut off then.
const TAKEN: &str = r#"[[auth.keys]]
algorithm = "ES256"
file = "tokens.public.pem"
audience = "tidewire-bench"
leeway_seconds = 0
"#;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use jsonwebtoken::errors::ErrorKind;
    use jsonwebtoken::{DecodingKey, Validation, decode};
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_hub_s_key_fits_a_token_and_no_forged_one() {
        let signer = Signer::make().unwrap();
        let public = fs::read(signer.folder.path(KEY)).unwrap();
        let key = DecodingKey::from_ec_pem(&public).unwrap();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[AUDIENCE]);
        let read = |token: &str| decode::<Value>(token, &key, &validation);
        let claims = read(&signer.token(7, 60).unwrap()).unwrap().claims;
        assert_eq!((&claims["sub"], &claims["aud"]), (&json!("client-7"), &json!(AUDIENCE)));
        assert_eq!(claims["exp"].as_u64().unwrap(), claims["iat"].as_u64().unwrap() + 60);
        let refused = read(&forged(7).unwrap()).unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::InvalidSignature), "{refused}");
    }

    #[test]
    fn the_hub_reads_the_key_from_the_folder_which_ends_with_the_signer() {
        assert!(TAKEN.contains(KEY) && TAKEN.contains(AUDIENCE));
        let signer = Signer::make().unwrap();
        let config = signer.hub_config();
        assert!(fs::read_to_string(&config).unwrap().contains(TAKEN));
        drop(signer);
        assert!(!config.exists());
    }
}
