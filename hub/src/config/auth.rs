//! Keys that tokens may be signed with: where each is, and what holds for its tokens. What a key file holds is told nobody.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use jsonwebtoken::Algorithm;

use crate::config::problem::{Problem, Warning, Written};
use crate::config::raw::auth::{RawAuth, RawJwks, RawKey, RawTokens};
use crate::config::secret_file::{open_to_all, show};
use crate::fetch::Address;
use crate::tokens::Keyring;
use crate::tokens::jwks::Source;
use crate::tokens::key::{self, ALGORITHMS, Key};
use crate::tokens::revocation::LEEWAY_SECONDS_MAX;

mod claims;

/// Reads whose tokens are taken, perhaps `again`; files are named from `folder` on.
pub(super) fn keyring(
    raw: RawAuth,
    folder: &Path,
    again: bool,
    problems: &mut Vec<Problem>,
) -> (Keyring, Vec<Warning>) {
    let (keys, mut warnings) = keys(raw.keys, folder, again, problems);
    let (sources, more) = sources(raw.jwks, problems);
    warnings.extend(more);
    let mapping = claims::mapping(raw.subject, raw.scope, raw.scopes, problems, &mut warnings);
    let seconds_max = raw.token_seconds_max.and_then(|written| seconds_max(written, problems));
    let mut ring = Keyring::new(keys);
    (ring.sources, ring.seconds_max, ring.mapping) = (sources, seconds_max, Arc::new(mapping));
    (ring, warnings)
}

fn keys(
    raw: Vec<RawKey>,
    folder: &Path,
    again: bool,
    problems: &mut Vec<Problem>,
) -> (Vec<Key>, Vec<Warning>) {
    let (mut keys, mut warnings) = (Vec::<Key>::new(), Vec::new());
    for mut raw in raw {
        show(&mut raw.file, folder);
        let path = folder.join(&raw.file.value);
        let place = raw.file.place.clone();
        let kid = raw.kid.clone();
        let Some(key) = key(raw, &path, again, problems) else { continue };
        if keys.iter().any(|other| other.kid == key.kid) {
            problems.push(match kid {
                Some(Written { place, .. }) => place.wrong("a name that no other key has"),
                None => Problem::Missing {
                    at: place.line,
                    key: place.key.replace("file", "kid"),
                    allowed: "a name for each key but one: only that is meant by tokens that name none"
                        .into(),
                },
            });
            continue;
        }
        let says = match key.secret() {
            Some(_) => open_to_all(&path).map(|mode| {
                format!(
                    "everybody on this machine may read it (mode {mode:04o}), and who has read it can make tokens: `chmod o= {}`",
                    path.display()
                )
            }),
            None if key.audience.is_empty() => Some(FOR_ANYBODY.into()),
            None => None,
        };
        warnings.extend(says.map(|says| Warning { place: Some(place), says }));
        keys.push(key);
    }
    (keys, warnings)
}

/// What holds for tokens of a key, or of a set of keys.
struct Tokens {
    issuer: Option<String>,
    audience: Vec<String>,
    leeway_seconds: Option<u64>,
}

fn tokens(raw: RawTokens, problems: &mut Vec<Problem>) -> Tokens {
    let issuer = said(raw.issuer, problems);
    let audience = raw.audience.into_iter().flatten();
    let audience = audience.filter_map(|one| said(Some(one), problems)).collect();
    let leeway_seconds = number(raw.leeway_seconds, LEEWAY_SECONDS, 0..=LEEWAY_SECONDS_MAX, problems);
    Tokens { issuer, audience, leeway_seconds }
}

/// A text that is not empty where it is written.
fn said(written: Option<Written<String>>, problems: &mut Vec<Problem>) -> Option<String> {
    let Written { value, place } = written?;
    if value.is_empty() {
        problems.push(place.wrong("a text that is not empty, or no such key"));
    }
    Some(value)
}

/// A number that is allowed, or the default; none if it is wrong.
fn number(
    written: Option<Written<i64>>,
    default: u64,
    allowed: RangeInclusive<u64>,
    problems: &mut Vec<Problem>,
) -> Option<u64> {
    let Some(Written { value, place }) = written else { return Some(default) };
    let number = u64::try_from(value).ok().filter(|number| allowed.contains(number));
    if number.is_none() {
        problems.push(place.wrong(format!("{} to {}", allowed.start(), allowed.end())));
    }
    number
}

/// Where keys are fetched from.
fn sources(raw: Vec<RawJwks>, problems: &mut Vec<Problem>) -> (Vec<Arc<Source>>, Vec<Warning>) {
    let (mut sources, mut warnings) = (Vec::<Arc<Source>>::new(), Vec::new());
    for RawJwks { url, refresh_seconds, tokens: raw } in raw {
        let Written { value, place } = url;
        let address = value.parse::<Address>();
        if let Err(bad) = address {
            problems.push(place.wrong(bad.to_string()));
        }
        let Tokens { issuer, audience, leeway_seconds } = tokens(raw, problems);
        let refresh =
            number(refresh_seconds, REFRESH_SECONDS, REFRESH_SECONDS_MIN..=REFRESH_SECONDS_MAX, problems);
        let (Ok(address), Some(leeway_seconds), Some(refresh_seconds)) = (address, leeway_seconds, refresh)
        else {
            continue;
        };
        let mut warn = |says: &str| warnings.push(Warning { place: Some(place.clone()), says: says.into() });
        if address.is_open_to_others() {
            warn("whoever is on the way can put keys of their own in its place: use https");
        }
        if audience.is_empty() {
            warn(FOR_ANYBODY);
        }
        if sources.iter().any(|other| other.address == address) {
            problems.push(place.wrong("an address that is named once"));
        }
        sources.push(Arc::new(Source { address, issuer, audience, leeway_seconds, refresh_seconds }));
    }
    (sources, warnings)
}

/// How many seconds tokens may last.
fn seconds_max(written: Written<i64>, problems: &mut Vec<Problem>) -> Option<u64> {
    number(Some(written), 0, 1..=TOKEN_SECONDS_MAX, problems)
}

fn key(raw: RawKey, path: &Path, again: bool, problems: &mut Vec<Problem>) -> Option<Key> {
    let algorithm = raw.algorithm.value.parse::<Algorithm>();
    if algorithm.is_err() {
        problems.push(raw.algorithm.place.wrong(ALGORITHMS));
    }
    let content = content(&raw.file, path, again, problems);
    let kid = said(raw.kid, problems);
    let Tokens { issuer, audience, leeway_seconds } = tokens(raw.tokens, problems);
    match Key::read(algorithm.ok()?, &content?) {
        Ok(mut key) => {
            (key.kid, key.issuer, key.audience) = (kid, issuer, audience);
            key.leeway_seconds = leeway_seconds?;
            Some(key)
        }
        Err(bad) => {
            problems.push(raw.file.place.wrong(bad.to_string()));
            None
        }
    }
}

fn content(file: &Written<String>, path: &Path, again: bool, problems: &mut Vec<Problem>) -> Option<Vec<u8>> {
    if again && std::fs::metadata(path).is_ok_and(|file| !file.is_file()) {
        // A pipe could be read once only, or never ends.
        problems.push(file.place.wrong("a regular file, which can be read again"));
        return None;
    }
    let read = key::content(path);
    read.map_err(|why| {
        problems.push(file.place.wrong(format!("a file that can be read, which it cannot: {why}")))
    })
    .ok()
}

/// Clocks that are kept differ by less, and nobody is let in for much longer than was meant.
const LEEWAY_SECONDS: u64 = 5;
/// Issuers publish a key for longer before they sign with it.
const REFRESH_SECONDS: u64 = 300;
const REFRESH_SECONDS_MIN: u64 = 5;
const REFRESH_SECONDS_MAX: u64 = 86_400;
/// Ten years: whoever means more means no bound.
const TOKEN_SECONDS_MAX: u64 = 315_360_000;
const FOR_ANYBODY: &str =
    "without an `audience` beside it, tokens that its issuer signs for anybody are taken here too";
#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::raw::RawConfig;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    /// Public keys, and one private, for the tests of the whole.
    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/it/keys");

    fn read(toml: &str, folder: &Path) -> (Keyring, Vec<String>, usize) {
        let mut problems = Vec::new();
        let raw = RawConfig::read(toml, &mut problems);
        let (keys, warnings) = keyring(raw.auth, folder, false, &mut problems);
        (keys, problems.iter().map(ToString::to_string).collect(), warnings.len())
    }

    fn key(algorithm: &str, file: &str) -> String {
        format!("[[auth.keys]]\nalgorithm = \"{algorithm}\"\nfile = \"{file}\"\naudience = \"hub\"\n")
    }

    #[track_caller]
    fn check_wrong(toml: &str, says: &str) {
        let (keys, problems, _) = read(toml, Path::new(FOLDER));
        assert!(keys.is_empty() && problems.len() == 1 && problems[0].contains(says), "{problems:?}");
    }

    /// A folder that ends with its test, with a file of this content named `key`.
    struct Folder(std::path::PathBuf);

    impl Folder {
        fn with(content: &[u8]) -> Self {
            let name = format!("tidewire-keys-{}-{:?}", std::process::id(), std::thread::current().id());
            let folder = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("key"), content).unwrap();
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[track_caller]
    fn check_content(algorithm: &str, content: &[u8], says: Option<&str>) {
        let folder = Folder::with(content);
        let (keys, problems, _) = read(&key(algorithm, "key"), &folder.0);
        match says {
            None => assert!(keys.keys().len() == 1 && problems.is_empty(), "{algorithm}: {problems:?}"),
            Some(says) => {
                assert!(problems.len() == 1 && problems[0].contains(says), "{algorithm}: {problems:?}");
            }
        }
    }

    #[test]
    fn public_keys_are_read_for_their_algorithms_only() {
        let families = [
            ("rsa", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].as_slice()),
            ("ec", &["ES256"]),
            ("p384", &["ES384"]),
            ("ed", &["EdDSA"]),
        ];
        for (file, own) in families {
            for (_, algorithms) in families {
                for algorithm in algorithms {
                    let (keys, problems, warned) =
                        read(&key(algorithm, &format!("{file}.public.pem")), Path::new(FOLDER));
                    let fits = own.contains(algorithm);
                    assert_eq!((keys.keys().len(), problems.is_empty()), (usize::from(fits), fits), "{file}");
                    assert_eq!(warned, 0);
                }
            }
            for algorithm in ["HS256", "HS384", "HS512"] {
                check_wrong(&key(algorithm, &format!("{file}.public.pem")), "is no secret");
            }
            check_wrong(&key(own[0], &format!("{file}.private.pem")), "a private key");
        }
        check_wrong(&key("RS256", "rsa1024.public.pem"), "2048 bits");
    }

    #[test]
    fn secrets_are_long_enough_and_end_before_the_end_of_the_line() {
        for (algorithm, bytes) in [("HS256", 32), ("HS384", 48), ("HS512", 64)] {
            let secret = "x".repeat(bytes);
            check_content(algorithm, secret.as_bytes(), None);
            check_content(algorithm, format!("{secret}\r\n").as_bytes(), None);
            let short = format!("{}\n", &secret[1..]);
            check_content(algorithm, short.as_bytes(), Some(&format!("at least {bytes} bytes")));
        }
    }

    #[test]
    fn keys_may_be_written_as_jwk() {
        let pem = std::fs::read_to_string(format!("{FOLDER}/ec.public.pem")).unwrap();
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(der).unwrap();
        let point = &der[der.len() - 64..];
        let [x, y] = [&point[..32], &point[32..]].map(|number| URL_SAFE_NO_PAD.encode(number));
        let ec =
            |more: &str| format!("{{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"{x}\",\"y\":\"{y}\"{more}}}");
        check_content("ES256", ec("").as_bytes(), None);
        check_content("ES256", ec(",\"alg\":\"ES256\",\"use\":\"sig\"").as_bytes(), None);
        check_content("ES256", ec(",\"alg\":\"ES384\"").as_bytes(), Some("something else"));
        check_content("ES256", ec(",\"use\":\"enc\"").as_bytes(), Some("something else"));
        check_content("ES256", ec(",\"d\":\"AAAA\"").as_bytes(), Some("private key"));
        check_content("ES384", ec("").as_bytes(), Some("P-384"));
        check_content("RS256", ec("").as_bytes(), Some("RSA"));
        check_content("EdDSA", ec("").as_bytes(), Some("Ed25519"));
        check_content("HS256", ec("").as_bytes(), Some("the secret itself"));
        let secret = URL_SAFE_NO_PAD.encode([7; 32]);
        let oct = format!("{{\"kty\":\"oct\",\"k\":\"{secret}\"}}");
        check_content("HS256", oct.as_bytes(), None);
        check_content("HS512", oct.as_bytes(), Some("at least 64"));
        check_content("ES256", oct.as_bytes(), Some("P-256"));
        check_content("ES256", b"{}", Some("P-256"));
        check_content("ES256", b"nonsense", Some("P-256"));
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_that_everybody_may_read_is_told_and_a_public_key_is_not() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = Folder::with(&[b'x'; 32]);
        for (mode, count) in [(0o644, 1), (0o604, 1), (0o640, 0), (0o400, 0)] {
            let file = folder.0.join("key");
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let mut problems = Vec::new();
            let raw = RawConfig::read(&key("HS256", "key"), &mut problems);
            let (_, warnings) = keyring(raw.auth, &folder.0, false, &mut problems);
            assert_eq!((problems.len(), warnings.len()), (0, count), "{warnings:?}");
            let expected = format!(
                "line 3: `auth.keys[0].file` is \"key\": everybody on this machine may read it (mode {mode:04o})"
            );
            assert!(
                warnings.iter().all(|warning| warning.to_string().starts_with(&expected)),
                "{warnings:?}"
            );
        }
        assert_eq!(read(&key("ES256", "ec.public.pem"), Path::new(FOLDER)).2, 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_without_an_end_is_not_read_to_it() {
        check_wrong(
            &key("HS256", "/dev/zero"),
            "is \"/dev/zero\"; allowed: a file that can be read, which it cannot",
        );
        check_wrong(&key("HS256", "/dev/zero"), "more than 65536 bytes");
    }

    #[test]
    fn what_is_wrong_with_a_key_is_told_with_its_place_and_not_with_its_secret() {
        check_wrong(
            "[[auth.keys]]\nalgorithm = \"HS257\"\nfile = \"ec.public.pem\"\n",
            "line 2: `auth.keys[0].algorithm` is \"HS257\"; allowed: HS256, ",
        );
        check_wrong("[[auth.keys]]\nfile = \"x\"\n", "`auth.keys[0].algorithm` is missing");
        check_wrong("[[auth.keys]]\nalgorithm = \"ES256\"\n", "`auth.keys[0].file` is missing");
        let missing = key("ES256", "no.such.file");
        check_wrong(&missing, "line 3: `auth.keys[0].file` is \"...\" (not shown");
        check_wrong(&missing, "allowed: a file that can be read");
        for name in ["no.such.pem", "no.such.secret", concat!(env!("CARGO_MANIFEST_DIR"), "/no-such")] {
            check_wrong(&key("ES256", name), &format!("`auth.keys[0].file` is \"{name}\"; allowed: a file"));
        }
        for secret in ["/CANARYcanary", "CANARY/canary+", "CANARY.canary"] {
            check_wrong(&key("HS256", secret), "`auth.keys[0].file` is \"...\" (not shown");
        }
        check_wrong(
            &format!("{}leeway_seconds = 301\n", key("ES256", "ec.public.pem")),
            "is 301; allowed: 0 to 300",
        );
        check_wrong("[[auth.key]]\nfile = \"x\"\n", "there is no `auth.key`; did you mean `keys`?");
        check_wrong("auth = 1\n", "tables, each headed [[auth.keys]]");
        let (_, problems, _) = read(&key("ES256", "ec.public.pem").repeat(2), Path::new(FOLDER));
        assert!(problems.len() == 1 && problems[0].contains("`auth.keys[1].kid` is missing"), "{problems:?}");
        let named = format!("{}kid = \"a\"\n", key("ES256", "ec.public.pem"));
        let (_, problems, _) = read(&named.repeat(2), Path::new(FOLDER));
        assert!(problems.len() == 1 && problems[0].contains("a name that no other key has"), "{problems:?}");
        let bare = key("ES256", "ec.public.pem").replace("audience = \"hub\"\n", "");
        assert_eq!(read(&bare, Path::new(FOLDER)).2, 1, "whoever it is for");
    }
}
