//! What can be wrong with a token, by the check that it fails, in words for people and in names for operators. Tells nothing of
//! what a token says.

use std::borrow::Cow;

use crate::credentials::claim_path::ClaimPath;

/// What is wrong with a token: the check that it failed, and of what it says no more than which claim is at fault. That is
/// known of sound signatures only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadToken {
    /// It is no signed token.
    Malformed,
    /// It is longer than any is read.
    TooLong,
    /// It names no key that the hub has.
    UnknownKey,
    /// It is signed by another algorithm than its key is for.
    Algorithm,
    /// The signature does not fit.
    Signature,
    /// Its issuer is not that of the key.
    Issuer,
    /// It is for somebody else.
    Audience,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYet,
    /// A claim is missing or is not what it has to be.
    Claims(ClaimPath),
    /// It says more than is read.
    TooMuch(ClaimPath),
    /// It sets a limit that nobody could hold its bearer to.
    UnknownLimit(ClaimPath),
    /// Its subject is missing, or cannot be one.
    Subject(BadSubject),
    /// Its key is none of the hub's any more.
    KeyGone,
    /// It was taken back.
    Revoked(Because),
    /// It lasts longer than any is taken for.
    Lasting,
    /// It does not say when it was issued, where that has to be known.
    Undated,
    /// Its name is longer than any by which one is taken back.
    LongId,
}

/// What is wrong with a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadSubject {
    /// There is none.
    Missing,
    /// It is longer than any is taken.
    TooLong,
    /// It has a control character.
    Control,
    /// It cannot stand in a topic's name where the token wants it to.
    NoName,
}

/// By what a token was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// It is named, or was issued before a time.
    Meant,
    /// It may have been issued before a time, since it does not say when it was.
    Undated,
}

impl BadToken {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Malformed,
        Self::TooLong,
        Self::UnknownKey,
        Self::Algorithm,
        Self::Signature,
        Self::Issuer,
        Self::Audience,
        Self::Expired,
        Self::NotYet,
        Self::Claims(ClaimPath::NONE),
        Self::TooMuch(ClaimPath::NONE),
        Self::Subject(BadSubject::Missing),
        Self::KeyGone,
        Self::Revoked(Because::Meant),
        Self::Lasting,
        Self::UnknownLimit(ClaimPath::NONE),
        Self::Undated,
        Self::LongId,
    ];

    /// Its number, from 1 on, among what is counted.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Malformed => 1,
            Self::TooLong => 2,
            Self::UnknownKey => 3,
            Self::Algorithm => 4,
            Self::Signature => 5,
            Self::Issuer => 6,
            Self::Audience => 7,
            Self::Expired => 8,
            Self::NotYet => 9,
            Self::Claims(_) => 10,
            Self::TooMuch(_) => 11,
            Self::Subject(_) => 12,
            Self::KeyGone => 13,
            Self::Revoked(_) => 14,
            Self::Lasting => 15,
            Self::UnknownLimit(_) => 16,
            Self::Undated => 17,
            Self::LongId => 18,
        }
    }

    /// The check that it failed, to operators.
    #[must_use]
    pub const fn check(self) -> &'static str {
        match self {
            Self::Malformed => "format",
            Self::TooLong => "length",
            Self::UnknownKey => "kid",
            Self::Algorithm => "algorithm",
            Self::Signature => "signature",
            Self::Issuer => "iss",
            Self::Audience => "aud",
            Self::Expired => "exp",
            Self::NotYet => "nbf",
            Self::Claims(_) => "claims",
            Self::TooMuch(_) => "allow",
            Self::Subject(_) => "sub",
            Self::KeyGone => "key",
            Self::Revoked(_) => "revoked",
            Self::Lasting => "lasting",
            Self::Undated => "iat",
            Self::LongId => "jti",
            Self::UnknownLimit(_) => "limits",
        }
    }

    /// Says it to people, and names the claim that is at fault, if it is one.
    #[must_use]
    pub fn sentence(self) -> Cow<'static, str> {
        if let Self::Subject(bad) = self {
            return bad.sentence().into();
        }
        if self == Self::Revoked(Because::Undated) {
            return UNDATED.into();
        }
        let (Self::Claims(claim) | Self::TooMuch(claim) | Self::UnknownLimit(claim)) = self else {
            return self.bare_sentence().into();
        };
        match (self, claim.as_str()) {
            (_, "") => self.bare_sentence().into(),
            (Self::TooMuch(_), claim) => format!("the token's `{claim}` says more than the hub reads").into(),
            (Self::UnknownLimit(_), claim) => {
                format!("the token's `{claim}` is a limit that the hub does not know").into()
            }
            (_, claim) => format!("the token's `{claim}` is missing or is not what it may be").into(),
        }
    }

    /// The same of all that fail this check.
    #[must_use]
    pub const fn bare_sentence(self) -> &'static str {
        match self {
            Self::Malformed => "the token is no signed JWT",
            Self::TooLong => "the token is longer than 8192 bytes",
            Self::UnknownKey => "the token names no key of the hub in its `kid`",
            Self::Algorithm => "the token is signed by another algorithm than its key is for",
            Self::Signature => "the token's signature does not fit its key",
            Self::Issuer => "the token's `iss` is not the issuer that its key is for",
            Self::Audience => "the token's `aud` does not name this hub",
            Self::Expired => "the token has expired",
            Self::NotYet => "the token is not valid yet by its `nbf`",
            Self::Claims(_) => "a claim of the token is missing or has a wrong form",
            Self::TooMuch(_) => "the token says more than the hub reads",
            Self::Subject(_) => "the token's `sub` is missing, or is none that can be taken",
            Self::KeyGone => "the hub has no longer the key that the token is signed with",
            Self::Revoked(_) => "the token was revoked",
            Self::Lasting => "the token lasts longer, from its `iat` to its `exp`, than the hub takes",
            Self::Undated => "the token has no `iat`, which `token_seconds_max` needs",
            Self::LongId => "the token's `jti` is longer than 1024 bytes",
            Self::UnknownLimit(_) => "the token sets a limit that the hub does not know",
        }
    }
}

impl BadSubject {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Missing, Self::TooLong, Self::Control, Self::NoName];

    /// Says it to people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Missing => "the token has no `sub`, or an empty one",
            Self::TooLong => "the token's `sub` is longer than 255 bytes",
            Self::Control => "the token's `sub` has a control character in it",
            Self::NoName => {
                "the token's `sub` cannot stand for `{sub}` in a topic: it has one of `.`, `*`, `>`, `{`, `}` or white space in it, or `$` in front"
            }
        }
    }
}

/// What whoever is refused for it needs to know: the next token will be refused as well.
pub const UNDATED: &str = "the token was revoked: it has no `iat`, and counts as issued before";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_number_of_its_own_among_all() {
        let numbers: Vec<_> = BadToken::ALL.iter().map(|bad| bad.number()).collect();
        assert_eq!(numbers, (1..=BadToken::ALL.len() as u64).collect::<Vec<_>>());
    }
}
