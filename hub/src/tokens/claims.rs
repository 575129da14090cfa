//! What a token says, and what that allows. A token is read by whoever has a key, so its claims are wrong at most, and not
//! hostile; what its subject is called may be anybody's choice all the same.

use serde_json::{Map, Number, Value};
use tidewire_hub_core::access::caller::{Allowance, Claims as Rest, Origin, Pass, Right, Rights};
use tidewire_hub_core::access::only::with_subject;
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::credentials::BadToken;
use tidewire_hub_core::credentials::bad_token::BadSubject;
use tidewire_hub_core::credentials::claim_path::ClaimPath;
use tidewire_hub_core::credentials::revocations::JTI_BYTES_MAX;
use tidewire_protocol::name::Pattern;

use crate::tokens::flat;
use crate::tokens::mapping::{Allow, Mapping};
use crate::tokens::own::Tidewire;

pub use crate::tokens::revocation::SUBJECT_BYTES_MAX;
pub use tidewire_hub_core::access::only::SUB;

/// The claims that mean something to the hub.
#[derive(Debug, Clone)]
pub struct Claims {
    /// Whom it speaks of.
    pub sub: String,
    /// Seconds since 1970; it may have a fraction.
    pub exp: Number,
    /// When it was issued.
    pub iat: Option<Number>,
    /// What it is called.
    pub jti: Option<String>,
    /// What is the hub's own.
    pub tidewire: Tidewire,
    /// What scopes allow besides.
    pub scoped: Vec<Allow>,
    /// All others, for rules to ask.
    pub rest: Rest,
}

impl Claims {
    /// Those of a token, in which they are where the mapping says. What the library checks is read here as well, so that it is
    /// named where it is wrong.
    ///
    /// # Errors
    /// [`BadToken`] if something of it cannot be read.
    pub fn read(token: &Map<String, Value>, mapping: &Mapping) -> Result<Self, BadToken> {
        let number = |name: &str| match token.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number.clone())),
            Some(_) => Err(wrong(name)),
        };
        let text = |name: &str| match token.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(name)),
        };
        let exp = number("exp")?.ok_or_else(|| wrong("exp"))?;
        number("nbf")?;
        text("iss")?;
        if let Some(aud) = token.get("aud")
            && !aud.is_string()
            && !aud.as_array().is_some_and(|list| list.iter().all(Value::is_string))
        {
            return Err(wrong("aud"));
        }
        Ok(Self {
            sub: mapping.subject(token)?,
            exp,
            iat: number("iat")?,
            jti: match text("jti")? {
                // What nobody can take back alone is not let in.
                Some(jti) if jti.len() > JTI_BYTES_MAX => return Err(BadToken::LongId),
                jti => jti,
            },
            tidewire: token.get("tidewire").map_or_else(|| Ok(Tidewire::default()), Tidewire::read)?,
            scoped: mapping.allowed(token)?,
            rest: flat::claims(token)?,
        })
    }

    /// What they allow. `now` is the steady clock's, `wall_ms` the system's; the token is taken somewhat longer than it says.
    ///
    /// # Errors
    /// [`BadToken`] if something of it cannot be read.
    pub fn pass(&self, now: Millis, wall_ms: u64, leeway_seconds: u64) -> Result<Pass, BadToken> {
        let subject = self.subject().map_err(BadToken::Subject)?;
        let exp_ms = self.exp_seconds().ok_or_else(|| wrong("exp"))?.saturating_mul(1_000);
        let ends_ms = exp_ms.saturating_add(leeway_seconds * 1_000);
        if ends_ms <= wall_ms {
            // Within its last second the library still takes it.
            return Err(BadToken::Expired);
        }
        let at = |ms: u64| now.plus(ms.saturating_sub(wall_ms).min(SPAN_MS_MAX));
        Ok(Pass {
            subject: subject.into(),
            allow: self.allowances()?,
            expires_at: at(exp_ms),
            ends_at: at(ends_ms),
            origin: Origin {
                id: self.jti.as_deref().map(Into::into),
                issued_at: self.iat.as_ref().and_then(seconds),
                ..Origin::default()
            },
            claims: self.rest.clone(),
            limits: self.tidewire.limits.clone(),
            info: self.tidewire.info.clone(),
        })
    }

    fn subject(&self) -> Result<&str, BadSubject> {
        match self.sub.as_str() {
            "" => Err(BadSubject::Missing),
            subject if subject.len() > SUBJECT_BYTES_MAX => Err(BadSubject::TooLong),
            subject if subject.contains(char::is_control) => Err(BadSubject::Control),
            subject => Ok(subject),
        }
    }

    /// Seconds since 1970 when it expires.
    #[must_use]
    pub fn exp_seconds(&self) -> Option<u64> {
        seconds(&self.exp)
    }

    /// When it was issued, if it says so.
    #[must_use]
    pub fn issued_seconds(&self) -> Option<u64> {
        self.iat.as_ref().and_then(seconds)
    }

    /// For how long it is good, if it says since when.
    #[must_use]
    pub fn lasts_seconds(&self) -> Option<u64> {
        Some(self.exp_seconds()?.saturating_sub(self.issued_seconds()?))
    }

    /// All that is allowed, by itself and by scopes.
    pub fn allow(&self) -> impl Iterator<Item = &Allow> {
        self.tidewire.allow.iter().chain(&self.scoped)
    }

    fn allowances(&self) -> Result<Vec<Allowance>, BadToken> {
        let mut allowances = Vec::new();
        for (entry, Allow { topics, to }) in self.allow().enumerate() {
            let to = to.iter().filter_map(|name| right(name)).fold(Rights::NONE, Rights::with);
            for (at, topic) in topics.iter().enumerate() {
                if allowances.len() == ALLOWANCES_MAX {
                    return Err(BadToken::TooMuch(ClaimPath::of(format_args!("tidewire.allow"))));
                }
                let is_own = entry < self.tidewire.allow.len();
                let path = || ClaimPath::of(format_args!("tidewire.allow[{entry}].topics[{at}]"));
                let path = || if is_own { path() } else { ClaimPath::NONE };
                allowances.push(Allowance { pattern: pattern(topic, &self.sub, path)?, to });
            }
        }
        Ok(allowances)
    }
}

/// Whole seconds of a time.
fn seconds(time: &Number) -> Option<u64> {
    let fraction = || time.as_f64().filter(|time| (0.0..1e18).contains(time)).map(|time| time as u64);
    time.as_u64().or_else(fraction)
}

/// The right of a name, if this hub has it.
#[must_use]
pub fn right(name: &str) -> Option<Right> {
    match name {
        "publish" => Some(Right::Publish),
        "subscribe" => Some(Right::Subscribe),
        "history" => Some(Right::History),
        _ => None,
    }
}

/// A pattern with the subject in the place of `{sub}`. The subject is one token of a name there, or a part of one: whatever
/// could make the pattern match more than its writer meant is refused.
fn pattern(text: &str, subject: &str, path: impl Fn() -> ClaimPath) -> Result<Pattern, BadToken> {
    if !text.contains(SUB) {
        return Pattern::parse(text).map_err(|_| BadToken::Claims(path()));
    }
    match with_subject(text, subject) {
        Some(pattern) => Ok(pattern),
        None if with_subject(SUB, subject).is_none() => Err(BadToken::Subject(BadSubject::NoName)),
        None => Err(BadToken::Claims(path())),
    }
}

/// A claim that is missing, or is not what it has to be.
fn wrong(path: &str) -> BadToken {
    BadToken::Claims(ClaimPath::of(format_args!("{path}")))
}

/// The rights that a token may name; those behind the third are kept for later versions, and allow nothing yet.
pub const RIGHTS: [&str; 8] =
    ["publish", "subscribe", "history", "presence", "consume", "request", "respond", "manage"];
/// Names and patterns of a token: each question may look at all of them.
pub const ALLOWANCES_MAX: usize = 64;
/// A token that is good for longer is told to be good for so long: ten years.
const SPAN_MS_MAX: u64 = 10 * 365 * 86_400_000;
