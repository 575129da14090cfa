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
    /// Its subject is missing, or cannot stand in a topic's name where the token wants it to.
    Subject,
    /// Its key is none of the hub's any more.
    KeyGone,
    /// It was taken back.
    Revoked,
    /// It lasts longer than any is taken for, or does not say since when it does.
    Lasting,
}

impl BadToken {
    /// All of them.
    pub const ALL: [Self; 16] = [
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
        Self::Subject,
        Self::KeyGone,
        Self::Revoked,
        Self::Lasting,
        Self::UnknownLimit(ClaimPath::NONE),
    ];

    /// Its number, from 1 on, among what is counted.
    #[must_use]
    pub fn number(self) -> u64 {
        let is_it = |other: &Self| std::mem::discriminant(other) == std::mem::discriminant(&self);
        Self::ALL.iter().position(is_it).map_or(0, |at| at as u64 + 1)
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
            Self::Subject => "sub",
            Self::KeyGone => "key",
            Self::Revoked => "revoked",
            Self::Lasting => "lasting",
            Self::UnknownLimit(_) => "limits",
        }
    }

    /// Says it to people, and names the claim that is at fault, if it is one.
    #[must_use]
    pub fn sentence(self) -> Cow<'static, str> {
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

    /// The same without a name.
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
            Self::Subject => "the token's `sub` is missing, too long, or cannot stand for `{sub}` in a topic",
            Self::KeyGone => "the hub has no longer the key that the token is signed with",
            Self::Revoked => "the token was revoked",
            Self::Lasting => "the token lasts longer, from its `iat` to its `exp`, than the hub takes",
            Self::UnknownLimit(_) => "the token sets a limit that the hub does not know",
        }
    }
}
