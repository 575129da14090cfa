//! Vectors of Wycheproof, which gathers what verifiers have got wrong: signatures and MACs against keys as the hub reads
//! them, and whole tokens and sets of keys on the way that a client's take.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use jsonwebtoken::crypto;
use serde_json::{Value, json};
use tidewire_hub_core::credentials::BadToken;
use wycheproof::{ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

use crate::tokens::Keyring;
use crate::tokens::jwks::Source;
use crate::tokens::key::Key;

/// What became of the vectors of a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    taken: usize,
    refused: usize,
    /// Their keys are none to the hub.
    without_key: usize,
    /// Of those that a verifier may take or not.
    either: usize,
}

/// Checks the vectors of a set by an algorithm. `fits` is whether the valid ones of a group are such as tokens have.
fn play(name: &str, set: &str, algorithm: Algorithm, fits: impl Fn(&Value) -> bool) -> Tally {
    let set: Value = serde_json::from_str(set).unwrap();
    let mut tally = Tally::default();
    for group in set["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let keys: Vec<_> =
                written(group, test).iter().map(|key| Key::read(algorithm, key.as_bytes())).collect();
            assert!(!keys.is_empty(), "{name} {}", test["tcId"]);
            if keys.iter().all(Result::is_err) {
                tally.without_key += 1;
                continue;
            }
            let signature = bytes(test.get("sig").unwrap_or(&test["tag"]));
            let signature = URL_SAFE_NO_PAD.encode(signature);
            let verify = |key: &Key| crypto::verify(&signature, &bytes(&test["msg"]), &key.public, algorithm);
            // However the key is written, the same holds.
            let is_sound: Vec<bool> =
                keys.iter().map(|key| verify(key.as_ref().unwrap()).unwrap_or(false)).collect();
            assert!(is_sound.iter().all(|other| *other == is_sound[0]), "{name} {}", test["tcId"]);
            match test["result"].as_str().unwrap() {
                "acceptable" => tally.either += 1,
                result => {
                    let expected = result == "valid" && fits(group);
                    assert_eq!(is_sound[0], expected, "{name} {}: {}", test["tcId"], test["comment"]);
                    *(if expected { &mut tally.taken } else { &mut tally.refused }) += 1;
                }
            }
        }
    }
    tally
}

/// The key of a test in every form in which it may stand in a file.
fn written(group: &Value, test: &Value) -> Vec<String> {
    if let Some(secret) = test.get("key") {
        let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(bytes(secret))});
        return vec![jwk.to_string()];
    }
    let jwk = group.get("publicKeyJwk").or(group.get("keyJwk")).map(|jwk| {
        // Theirs may be for another algorithm of the same keys.
        let mut jwk = jwk.clone();
        jwk.as_object_mut().unwrap().remove("alg");
        jwk.to_string()
    });
    let pem = group["publicKeyPem"].as_str().map(str::to_owned);
    pem.into_iter().chain(jwk).collect()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[track_caller]
fn check(tally: Tally, taken: usize, refused: usize, without_key: usize, either: usize) {
    assert_eq!(tally, Tally { taken, refused, without_key, either });
}

#[test]
fn signatures_of_elliptic_curves() {
    use ecdsa::TestName::{EcdsaSecp256r1Sha256P1363, EcdsaSecp384r1Sha384P1363};
    let fits = |_: &Value| true;
    check(play("P-256", EcdsaSecp256r1Sha256P1363.json_data(), Algorithm::ES256, fits), 173, 89, 0, 0);
    check(play("P-384", EcdsaSecp384r1Sha384P1363.json_data(), Algorithm::ES384, fits), 193, 87, 0, 0);
    check(play("Ed25519", eddsa::TestName::Ed25519.json_data(), Algorithm::EdDSA, fits), 88, 63, 0, 0);
    // DER is no form of a token's signature (RFC 7518, section 3.4), and a point of another curve no key.
    let other = ecdsa::TestName::EcdsaSecp256r1Sha256.json_data();
    check(play("DER", other, Algorithm::ES256, |_| false), 0, 484, 0, 0);
    let other = ecdsa::TestName::EcdsaSecp256k1Sha256P1363.json_data();
    check(play("secp256k1", other, Algorithm::ES256, fits), 0, 0, 252, 0);
}

#[test]
fn signatures_by_rsa() {
    use rsa_pkcs1_verify::TestName as Pkcs1;
    use rsa_pss_verify::TestName as Pss;
    let fits = |_: &Value| true;
    let mut sum = Tally::default();
    for (set, algorithm) in [
        (Pkcs1::Rsa2048Sha256, Algorithm::RS256),
        (Pkcs1::Rsa2048Sha384, Algorithm::RS384),
        (Pkcs1::Rsa2048Sha512, Algorithm::RS512),
        (Pkcs1::Rsa3072Sha256, Algorithm::RS256),
        (Pkcs1::Rsa3072Sha384, Algorithm::RS384),
        (Pkcs1::Rsa3072Sha512, Algorithm::RS512),
        (Pkcs1::Rsa4096Sha256, Algorithm::RS256),
        (Pkcs1::Rsa4096Sha384, Algorithm::RS384),
        (Pkcs1::Rsa4096Sha512, Algorithm::RS512),
        (Pkcs1::Rsa8192Sha256, Algorithm::RS256),
    ] {
        add(&mut sum, play(&format!("{set:?}"), set.json_data(), algorithm, fits));
    }
    check(sum, 75, 2_503, 0, 10);
    let mut sum = Tally::default();
    for (set, algorithm) in [
        (Pss::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::PS256),
        (Pss::RsaPss2048Sha384Mgf1SaltLen48, Algorithm::PS384),
        (Pss::RsaPss3072Sha256Mgf1SaltLen32, Algorithm::PS256),
        (Pss::RsaPss4096Sha256Mgf1SaltLen32, Algorithm::PS256),
        (Pss::RsaPss4096Sha384Mgf1SaltLen48, Algorithm::PS384),
        (Pss::RsaPss4096Sha512Mgf1SaltLen64, Algorithm::PS512),
    ] {
        add(&mut sum, play(&format!("{set:?}"), set.json_data(), algorithm, fits));
    }
    check(sum, 511, 274, 0, 0);
    // With another hash, or a salt that is not as long as the hash (RFC 7518, section 3.5), it is another algorithm.
    let mut sum = Tally::default();
    for (set, algorithm) in [
        (Pss::RsaPss2048Sha256Mgf1Sha1_20, Algorithm::PS256),
        (Pss::RsaPss2048Sha1Mgf1SaltLen20, Algorithm::PS256),
    ] {
        add(&mut sum, play(&format!("{set:?}"), set.json_data(), algorithm, |_| false));
    }
    check(sum, 0, 196, 0, 0);
}

fn add(sum: &mut Tally, other: Tally) {
    sum.taken += other.taken;
    sum.refused += other.refused;
    sum.without_key += other.without_key;
    sum.either += other.either;
}

#[test]
fn secrets() {
    for (set, algorithm, bits) in [
        (mac::TestName::HmacSha256, Algorithm::HS256, 256),
        (mac::TestName::HmacSha384, Algorithm::HS384, 384),
        (mac::TestName::HmacSha512, Algorithm::HS512, 512),
    ] {
        // A part of a MAC is none.
        let played = play(&format!("{set:?}"), set.json_data(), algorithm, |group| group["tagSize"] == bits);
        check(played, 30, 138, 6, 0);
    }
}

/// The keys of a line of the file, by which a hub that has them in its configuration checks.
fn keyring(keys: &Value) -> Keyring {
    let is_secret = |key: &Value| key["kty"] == "oct";
    let (secrets, public): (Vec<_>, Vec<_>) = keys.as_array().unwrap().iter().cloned().partition(is_secret);
    let secrets = secrets.iter().filter_map(|jwk| {
        let algorithm = jwk["alg"].as_str()?.parse().ok()?;
        let key = Key::read(algorithm, jwk.to_string().as_bytes()).ok()?;
        Some(Key { kid: jwk["kid"].as_str().map(str::to_owned), ..key })
    });
    let source = Source {
        address: "https://issuer.example.com/keys".parse().unwrap(),
        issuer: None,
        audience: Vec::new(),
        leeway_seconds: 0,
        refresh_seconds: 300,
    };
    let fetched = source.keys_of(json!({ "keys": public }).to_string().as_bytes());
    let fetched = fetched.map(|fetched| fetched.keys).unwrap_or_default();
    Keyring::new(secrets.chain(fetched).collect())
}

#[test]
fn tokens_and_sets_of_keys() {
    let lines = include_str!("../../../../tests/golden/jws.jsonl").lines().skip(1);
    let mut keys = Keyring::default();
    let (mut of, mut counts, mut unlike) = (String::new(), BTreeMap::new(), Vec::new());
    for line in lines {
        let line: Value = serde_json::from_str(line).unwrap();
        let Some(token) = line.as_array() else {
            (keys, of) = (keyring(&line["keys"]), line["of"].as_str().unwrap().to_owned());
            continue;
        };
        let [result, comment, token] = [0, 1, 2].map(|at| token[at].as_str().unwrap());
        // What is signed is no claims, and that is told once the signature was found sound.
        let verdict = keys.verify(token).map(|_| ()).unwrap_err();
        let (is_valid, is_taken) = (result == "valid", matches!(verdict, BadToken::Claims(_)));
        counts.entry(is_valid).or_insert([0, 0])[usize::from(is_taken)] += 1;
        if is_valid != is_taken {
            unlike.push(format!("{of} {comment}: {}", verdict.check()));
        }
    }
    let expected = [
        // They are signed by other algorithms than their keys say, and one of these the hub does not have.
        "rfc7520 Figure20: algorithm",
        "rfc7520 Figure27: algorithm",
        "rfc7520WithKeyOps Figure20: algorithm",
        "rfc7520WithKeyOps Figure27: algorithm",
        // The padding that they are named for is not there: each is the valid token, to the letter.
        "base64 invalidBase64Padding: claims",
        "base64 invalidBase64PaddingInPayload: claims",
        // A lenient reader may pass over what is no base64url. This one does not.
        "base64 InvalidCharacterInsertedInHeader: format",
        "base64 InvalidCharacterInsertedInPayload: signature",
        // Each key is for one algorithm, so that it does no harm that a secret lies beside a public key,
        "jws_mixedSymmetryKeyset rejectsValid: claims",
        // and of two with one name the first counts, and the other is told of.
        "jws_duplicate_kid rejectsDuplicateKid: claims",
        // Which generator made a key is not looked for.
        "jws_rsa_roca_key rejectsKeyWithRocaVulnerability: claims",
    ];
    assert_eq!(unlike, expected);
    // Of valid and invalid ones: those that are refused, and those that are taken.
    assert_eq!(counts, BTreeMap::from([(true, [6, 45]), (false, [371, 5])]));
}
