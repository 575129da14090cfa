//! Whether a certificate's time has come, and has not passed.

use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};

/// How a time lies to that of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    /// Within it, or nobody can say.
    Valid,
    /// So long before it.
    NotYet(Duration),
    /// So long after it.
    Over(Duration),
}

/// From when to when a certificate is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Its first second.
    pub from: u64,
    /// Its last.
    pub to: u64,
}

impl Time {
    /// That of the first certificate, if it can be read.
    pub(super) fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let at = |second| look(chain, UnixTime::since_unix_epoch(Duration::from_secs(second)));
        // Nothing is valid at the beginning and at the end of all times.
        match (at(0)?, at(END_OF_TIMES)?) {
            (
                CertificateError::NotValidYetContext { not_before, .. },
                CertificateError::ExpiredContext { not_after, .. },
            ) => Some(Self { from: not_before.as_secs(), to: not_after.as_secs() }),
            _ => None,
        }
    }
}

/// What a verifier has against the first certificate at a time.
fn look(chain: &[CertificateDer<'_>], now: UnixTime) -> Option<CertificateError> {
    let parsed = ParsedCertificate::try_from(chain.first()?).ok()?;
    let algorithms = default_provider().signature_verification_algorithms.all;
    // Nobody is trusted: what is asked is what a verifier looks at before it looks for whom it trusts.
    let roots = RootCertStore::empty();
    match verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], now, algorithms) {
        Err(Error::InvalidCertificate(error)) => Some(error),
        _ => None,
    }
}

impl Validity {
    /// How the hub's certificate, the first of these, stands now.
    pub(super) fn now(chain: &[CertificateDer<'_>]) -> Self {
        Self::at(chain, UnixTime::now())
    }

    fn at(chain: &[CertificateDer<'_>], now: UnixTime) -> Self {
        let lasts =
            |from: UnixTime, to: UnixTime| Duration::from_secs(to.as_secs().saturating_sub(from.as_secs()));
        match look(chain, now) {
            Some(CertificateError::NotValidYetContext { not_before, .. }) => {
                Self::NotYet(lasts(now, not_before))
            }
            Some(CertificateError::ExpiredContext { not_after, .. }) => Self::Over(lasts(not_after, now)),
            _ => Self::Valid,
        }
    }

    /// What is to be said of it, as a clause.
    pub(super) fn complaint(self) -> Option<String> {
        match self {
            Self::Valid => None,
            Self::NotYet(wait) => Some(format!(
                "the certificate becomes valid in {}; clients refuse it until then",
                rough(wait)
            )),
            Self::Over(since) => {
                Some(format!("the certificate expired {} ago; clients refuse it", rough(since)))
            }
        }
    }
}

/// A length of time in the largest unit that it has two of.
fn rough(time: Duration) -> String {
    let seconds = time.as_secs();
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

/// Later than any certificate's.
const END_OF_TIMES: u64 = 253_402_300_799 + 1;
