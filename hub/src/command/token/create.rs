//! `tidewire token create`: signs a token with a key of a configuration, or with a private key.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, Header};
use serde_json::{Map, Value, json};
use tidewire_hub::place::{BadStart, span_ms};
use tidewire_hub::tokens::claims::{ALLOWANCES_MAX, Claims, RIGHTS, SUB};
use tidewire_hub::tokens::key::{self, ALGORITHMS, Key};
use tidewire_hub::tokens::{Keyring, wall_ms};
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::credentials::{BadToken, TOKEN_BYTES_MAX};
use tidewire_hub_core::limits::of_bearer::Bound;
use tidewire_protocol::name::Pattern;

use crate::command::config_file::ConfigFile;
use crate::command::failure::{EXIT_CODES, Failure};
use crate::command::number::count;
use crate::command::token::{keys, warn_of_pattern};

/// The options of `token create`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Create {
    #[command(flatten)]
    config: ConfigFile,
    /// The key of that configuration to sign with, by its `kid`; without it, the one that has none, or the only one. It
    /// says which algorithm, issuer and audience
    #[arg(long)]
    kid: Option<String>,
    /// The private key in PEM, or the secret, to sign with; a secret of the configuration need not be named
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The algorithm, where no configuration says it
    #[arg(long)]
    algorithm: Option<String>,
    /// The issuer (`iss`), where no configuration says it
    #[arg(long)]
    issuer: Option<String>,
    /// The audience (`aud`), where no configuration says it: a hub refuses tokens for an audience that its key has not
    #[arg(long)]
    audience: Option<String>,
    /// Whom the token speaks of
    #[arg(long = "sub", value_name = "SUBJECT")]
    subject: String,
    /// For how long it is good, from now on: 90s, 10m, 12h, 7d
    #[arg(long, value_name = "SPAN", default_value = "1h", allow_hyphen_values = true, value_parser = seconds)]
    expires: u64,
    /// What it is called (`jti`), so that it alone can be taken back
    #[arg(long, value_name = "ID")]
    jti: Option<String>,
    /// What it allows: topics or patterns, `=`, and rights, each separated by commas, such as
    /// orders.{sub}.>=publish,subscribe. May be given several times
    #[arg(long, value_name = "TOPICS=RIGHTS")]
    allow: Vec<String>,
    /// A limit of the hub's that is narrower for its bearer, such as subscriptions_max=10. May be given several times
    #[arg(long = "limit", value_name = "NAME=N")]
    limits: Vec<String>,
    /// What its bearer is to be known by to operators: a JSON object of at most 1,024 bytes
    #[arg(long, value_name = "JSON")]
    info: Option<String>,
}

/// What a token is signed with, and what it has to say because of that.
struct Signing {
    algorithm: Algorithm,
    key: EncodingKey,
    kid: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
    /// What it is checked with by whoever is to take it; none if no configuration says that.
    keys: Keyring,
}

impl Create {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let allow = self.allow.iter().map(|text| allowance(text)).collect::<Result<Vec<_>, _>>()?;
        let topics = allow.iter().filter_map(|entry| Some(entry["topics"].as_array()?.len())).sum::<usize>();
        if topics > ALLOWANCES_MAX {
            let says = format!("--allow names {topics} topics; a hub reads {ALLOWANCES_MAX}");
            return Err(Failure::Input(says).into());
        }
        let own = self.own(allow)?;
        let (subject, expires, jti) = (self.subject.clone(), self.expires, self.jti.clone());
        if jti.as_deref() == Some("") {
            return Err(Failure::Input("--jti is empty; allowed: a name, or leave it out".into()).into());
        }
        let Signing { algorithm, key, kid, issuer, audience, keys } = self.signing()?;
        let now = wall_ms() / 1_000;
        let mut claims = json!({ "iat": now, "exp": now + expires });
        claims[&*keys.mapping.subject] = subject.into();
        let named = [("iss", issuer), ("aud", audience), ("jti", jti)];
        for (name, value) in named.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            claims[name] = value.into();
        }
        if !own.is_empty() {
            claims["tidewire"] = own.into();
        }
        let header = Header { kid, ..Header::new(algorithm) };
        let token = jsonwebtoken::encode(&header, &claims, &key);
        let token = token.map_err(|_| Failure::Input(unfit(algorithm)))?;
        check(&token, &claims, &keys).map_err(|bad| Failure::Input(untaken(bad)))?;
        writeln!(io::stdout().lock(), "{token}")?;
        Ok(ExitCode::SUCCESS)
    }

    /// What the claim `tidewire` says.
    fn own(&self, allow: Vec<Value>) -> Result<Map<String, Value>, Failure> {
        let limits = self.limits.iter().map(|text| limit(text)).collect::<Result<Map<_, _>, _>>()?;
        let wrong = || Failure::Input("--info is a JSON object, such as {\"name\": \"Ada\"}".into());
        let info =
            self.info.as_ref().map(|text| serde_json::from_str::<Map<_, _>>(text).map_err(|_| wrong()));
        let parts = [
            ("allow", (!allow.is_empty()).then(|| allow.into())),
            ("limits", (!limits.is_empty()).then(|| limits.into())),
            ("info", info.transpose()?.map(Value::Object)),
        ];
        Ok(parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), part?))).collect())
    }

    fn signing(self) -> anyhow::Result<Signing> {
        let Self { config, kid, key, algorithm, issuer, audience, .. } = self;
        let keys = keys(config)?;
        if algorithm.is_some() && !keys.is_empty() {
            return Err(Failure::Input(TWICE.into()).into());
        }
        let content = key.map(|path| content(&path)).transpose()?;
        let known = match &algorithm {
            Some(_) => None,
            None => Some(choose(&keys, kid.as_deref(), content.as_deref())?),
        };
        let algorithm = match (&algorithm, known) {
            (Some(name), _) => {
                name.parse().map_err(|_| Failure::Input(format!("--algorithm is none of {ALGORITHMS}")))?
            }
            (None, Some(known)) => known.algorithm,
            (None, None) => Algorithm::default(),
        };
        let key = match (content, known.and_then(Key::secret)) {
            (Some(content), _) => signer(algorithm, &content)?,
            (None, Some(secret)) => EncodingKey::from_secret(secret),
            (None, None) => {
                let says =
                    "--key is missing: a hub has no private keys; name the file of the one to sign with";
                return Err(Failure::Input(says.into()).into());
            }
        };
        Ok(Signing {
            algorithm,
            key,
            kid: known.map_or(kid, |known| known.kid.clone()),
            issuer: issuer.or_else(|| known?.issuer.clone()),
            audience: audience.or_else(|| known?.audience.first().cloned()),
            keys,
        })
    }
}

/// The key that is meant of those that a hub has, for which a file may hold the private part.
fn choose<'a>(keys: &'a Keyring, kid: Option<&str>, content: Option<&[u8]>) -> Result<&'a Key, Failure> {
    let named = || keys.keys().iter().filter_map(|key| key.kid.as_deref()).collect::<Vec<_>>().join(", ");
    let only = || keys.keys().first().filter(|_| keys.keys().len() == 1 && kid.is_none());
    let meant = keys.key(kid).or_else(only);
    let owner = content.and_then(|content| owner(keys, content));
    if let Some(owner) = owner.filter(|owner| meant.map_or(kid.is_none(), |meant| meant.kid != owner.kid)) {
        return Err(Failure::Input(match &owner.kid {
            Some(kid) => format!("--key: that is the key `{kid}`: add --kid {kid}"),
            None => "--key: that is the key without a `kid`: leave out --kid".into(),
        }));
    }
    meant.ok_or_else(|| {
        Failure::Input(match kid {
            _ if keys.is_empty() => {
                "the configuration has no [[auth.keys]]; name one by --config, or --algorithm and --key"
                    .into()
            }
            Some(kid) if named().is_empty() => {
                format!("the configuration has no key `{kid}`: its key has no `kid`; leave out --kid")
            }
            Some(kid) => format!("the configuration has no key `{kid}`; there are {}", named()),
            None => format!("the configuration has several keys; choose one by --kid: {}", named()),
        })
    })
}

/// The key of a hub that takes what is signed by what a file holds.
fn owner<'a>(keys: &'a Keyring, content: &[u8]) -> Option<&'a Key> {
    keys.keys().iter().find(|key| {
        let Ok(signer) = signer(key.algorithm, content) else { return false };
        let header = Header { kid: key.kid.clone(), ..Header::new(key.algorithm) };
        // It is no token that anybody is given: what it says is not asked for.
        let signed = jsonwebtoken::encode(&header, &json!({}), &signer);
        signed.is_ok_and(|signed| !matches!(keys.verify(&signed), Err(BadToken::Signature)))
    })
}

fn content(path: &Path) -> Result<Vec<u8>, Failure> {
    key::content(path)
        .map_err(|error| Failure::Unreadable(format!("cannot read {}: {error}", path.display())))
}

/// Whether a hub takes what was signed. Without its keys that is a matter of what it says.
fn check(token: &str, claims: &Value, keys: &Keyring) -> Result<(), BadToken> {
    if !keys.is_empty() {
        return keys.admit(token, Millis(0)).map(drop);
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(BadToken::TooLong);
    }
    let claims = Claims::read(claims.as_object().ok_or(BadToken::Malformed)?, &keys.mapping)?;
    claims.pass(Millis(0), wall_ms(), 0).map(drop)
}

fn untaken(bad: BadToken) -> String {
    match bad {
        BadToken::Signature => {
            "--key does not belong to the key of the configuration, which takes no token that it signs".into()
        }
        bad => format!("no hub takes such a token: {}", bad.sentence()),
    }
}

fn signer(algorithm: Algorithm, content: &[u8]) -> Result<EncodingKey, Failure> {
    let key = match algorithm.family() {
        AlgorithmFamily::Hmac => {
            let key = Key::read(algorithm, content)
                .map_err(|bad| Failure::Input(format!("--key has to name {bad}")))?;
            // Of a JWK that is what it holds, and not its text.
            return key
                .secret()
                .map(EncodingKey::from_secret)
                .ok_or_else(|| Failure::Input(unfit(algorithm)));
        }
        AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(content),
        AlgorithmFamily::Ec => EncodingKey::from_ec_pem(content),
        AlgorithmFamily::Ed => EncodingKey::from_ed_pem(content),
    };
    key.map_err(|_| {
        let more = if key::holds(content, "PRIVATE KEY-----") { OTHERWISE } else { "" };
        Failure::Input(format!("{}{more}", unfit(algorithm)))
    })
}

fn unfit(algorithm: Algorithm) -> String {
    format!(
        "--key holds no private key that {algorithm:?} signs with, in PEM (`BEGIN PRIVATE KEY`, as openssl genpkey writes it)"
    )
}

/// An entry of `allow`, as it stands in a token.
fn allowance(text: &str) -> Result<serde_json::Value, Failure> {
    let wrong = |why: String| Failure::Input(format!("--allow {text}: {why}"));
    let (topics, rights) = text
        .rsplit_once('=')
        .ok_or_else(|| wrong(format!("allowed: TOPICS=RIGHTS, such as orders.{SUB}.>=publish,subscribe")))?;
    let (topics, rights) = (topics.split(',').collect::<Vec<_>>(), rights.split(',').collect::<Vec<_>>());
    if let Some(unknown) = rights.iter().find(|right| !RIGHTS.contains(right)) {
        return Err(wrong(format!("there is no right `{unknown}`; there are {}", RIGHTS.join(", "))));
    }
    for topic in &topics {
        Pattern::parse(topic).map_err(|error| wrong(format!("`{topic}` is no topic or pattern; {error}")))?;
        warn_of_pattern(topic);
    }
    Ok(json!({ "topics": topics, "to": rights }))
}

/// One of `limits`, as it stands in a token.
fn limit(text: &str) -> Result<(String, Value), Failure> {
    let wrong = |why: String| Failure::Input(format!("--limit {text}: {why}"));
    let (name, most) =
        text.split_once('=').ok_or_else(|| wrong("allowed: NAME=N, such as subscriptions_max=10".into()))?;
    if Bound::named(name).is_none() {
        let names = Bound::ALL.map(Bound::name).join(", ");
        return Err(wrong(format!("no token sets a limit `{name}`; there are {names}")));
    }
    let most = count(most).map_err(wrong)?;
    Ok((name.to_owned(), most.into()))
}

/// A span of at least a second.
fn seconds(text: &str) -> Result<u64, String> {
    match span_ms(text) {
        Ok(ms) if ms >= 1_000 => Ok(ms / 1_000),
        Err(bad @ BadStart::Span) => Err(format!("{bad}, such as 10m")),
        Ok(_) | Err(BadStart::Unknown | BadStart::Number) => {
            Err("allowed: a number from 1 on and s, m, h or d, such as 10m".into())
        }
    }
}

const TWICE: &str = "the configuration says the algorithm, and which issuer and audience: leave out --algorithm (--kid chooses a key), or --config and TIDEWIRE_CONFIG";
const OTHERWISE: &str =
    "; if it is for this algorithm, `openssl pkcs8 -topk8 -nocrypt -in FILE` writes it so";
