//! Tokens that were taken back before they end: some by their names, some by whom they speak of and when they were issued.
//! Bounded: what no token can be any more is forgotten, and beyond the bound no more is taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewire_protocol::code::Code;

use crate::access::caller::Pass;
use crate::clock::Millis;
use crate::credentials::bad_token::Because;
use crate::ledger::{Charge, Kind, Ledger};

/// What is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// One token.
    Token {
        /// Its `jti`.
        id: Box<str>,
        /// When it has ended by itself.
        until: Millis,
    },
    /// All tokens of a subject that were issued before, and those that do not say when they were.
    Subject {
        /// Of whom.
        subject: Box<str>,
        /// Seconds since 1970, by the clock of whoever issues tokens.
        issued_before: u64,
        /// When all these have ended by themselves.
        until: Millis,
    },
    /// The same of everybody.
    All {
        /// Seconds since 1970.
        issued_before: u64,
    },
}

/// All that is taken back.
#[derive(Debug)]
pub(crate) struct Revocations {
    tokens: BTreeMap<Box<str>, Millis>,
    subjects: BTreeMap<Box<str>, (u64, Millis)>,
    issued_before: u64,
    bytes: usize,
    charge: Charge,
}

impl Revocations {
    /// Nothing.
    pub(crate) fn new(ledger: &Arc<Ledger>) -> Self {
        Self {
            tokens: BTreeMap::new(),
            subjects: BTreeMap::new(),
            issued_before: 0,
            bytes: 0,
            charge: Charge::new(&ledger.nobody(), Kind::Tokens),
        }
    }

    /// Takes something back, from now on.
    ///
    /// # Errors
    /// [`Code::TooLarge`] for a name that is longer than any should be, [`Code::LimitReached`] if as much is kept as may be.
    pub(crate) fn add(&mut self, now: Millis, revocation: Revocation) -> Result<(), Code> {
        self.forget(now);
        match revocation {
            Revocation::Token { id, until } => {
                self.make_room(&id, self.tokens.contains_key(&id))?;
                let known = self.tokens.entry(id).or_insert(until);
                *known = until.max(*known);
            }
            Revocation::Subject { subject, issued_before, until } => {
                self.make_room(&subject, self.subjects.contains_key(&subject))?;
                let known = self.subjects.entry(subject).or_insert((issued_before, until));
                *known = (issued_before.max(known.0), until.max(known.1));
            }
            Revocation::All { issued_before } => self.issued_before = issued_before.max(self.issued_before),
        }
        Ok(())
    }

    /// By what a token was taken back; none if it was not.
    pub(crate) fn hold(&self, pass: &Pass) -> Option<Because> {
        if pass.origin.id.as_ref().is_some_and(|id| self.tokens.contains_key(id)) {
            return Some(Because::Meant);
        }
        let of_subject = self.subjects.get(&*pass.subject).map_or(0, |(time, _)| *time);
        match (self.issued_before.max(of_subject), pass.origin.issued_at) {
            (0, _) => None,
            (_, None) => Some(Because::Undated),
            (time, Some(issued)) => (issued < time).then_some(Because::Meant),
        }
    }

    /// How many names are kept.
    pub(crate) fn count(&self) -> usize {
        self.tokens.len() + self.subjects.len()
    }

    fn make_room(&mut self, name: &str, is_known: bool) -> Result<(), Code> {
        if name.len() > NAME_BYTES_MAX {
            return Err(Code::TooLarge);
        }
        let bytes = if is_known { self.bytes } else { self.bytes + bytes_of(name) };
        if bytes > BYTES_MAX {
            return Err(Code::LimitReached);
        }
        self.weigh(bytes);
        Ok(())
    }

    /// Forgets what no token can be any more.
    fn forget(&mut self, now: Millis) {
        let mut left = 0;
        let mut stays = |name: &str, until: Millis| {
            left += if now < until { bytes_of(name) } else { 0 };
            now < until
        };
        self.tokens.retain(|id, until| stays(id, *until));
        self.subjects.retain(|subject, (_, until)| stays(subject, *until));
        self.weigh(left);
    }

    fn weigh(&mut self, bytes: usize) {
        self.bytes = bytes;
        self.charge.set(bytes);
    }
}

/// What a name takes, with its place in a map.
fn bytes_of(name: &str) -> usize {
    name.len() + 64
}

/// Bytes of a `jti` or a subject.
const NAME_BYTES_MAX: usize = 1_024;
/// Some 80,000 names of usual length.
const BYTES_MAX: usize = 8 << 20;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::access::caller::Origin;
    use crate::clock::NEVER;

    fn pass(subject: &str, id: Option<&str>, issued_at: Option<u64>) -> Pass {
        let origin = Origin { id: id.map(Into::into), issued_at, ..Origin::default() };
        Pass {
            subject: subject.into(),
            allow: Vec::new(),
            expires_at: NEVER,
            ends_at: NEVER,
            origin,
            ..Pass::default()
        }
    }

    fn empty() -> Revocations {
        Revocations::new(&Arc::new(Ledger::default()))
    }

    fn token(id: &str, until: u64) -> Revocation {
        Revocation::Token { id: id.into(), until: Millis(until) }
    }

    /// A subject, a `jti`, an `iat`, and by what such a token was taken back.
    type Case<'a> = (&'a str, Option<&'a str>, Option<u64>, Option<Because>);

    const MEANT: Option<Because> = Some(Because::Meant);
    const UNDATED: Option<Because> = Some(Because::Undated);

    #[track_caller]
    fn check(revocation: Revocation, passes: &[Case<'_>]) {
        let mut revocations = empty();
        revocations.add(Millis(1), revocation).unwrap();
        for (subject, id, issued_at, expected) in passes {
            assert_eq!(
                revocations.hold(&pass(subject, *id, *issued_at)),
                *expected,
                "{subject} {id:?} {issued_at:?}"
            );
        }
    }

    #[test]
    fn what_is_taken_back_is_that_and_nothing_else() {
        check(
            token("7", 9),
            &[("ada", Some("7"), None, MEANT), ("ada", Some("8"), None, None), ("7", None, None, None)],
        );
        let subject = "ada".into();
        check(
            Revocation::Subject { subject, issued_before: 100, until: NEVER },
            &[
                ("ada", None, Some(99), MEANT),
                ("ada", Some("x"), None, UNDATED),
                ("ada", None, Some(100), None),
                ("bob", None, Some(1), None),
                ("bob", Some("ada"), None, None),
            ],
        );
        check(
            Revocation::All { issued_before: 100 },
            &[("ada", None, Some(99), MEANT), ("bob", None, None, UNDATED), ("bob", None, Some(100), None)],
        );
        assert_eq!(empty().hold(&pass("ada", Some("7"), None)), None);
    }

    #[test]
    fn what_was_taken_back_twice_stays_so_for_the_longer_and_from_the_later_on() {
        let mut revocations = empty();
        for (issued_before, until) in [(50, 900), (100, 500), (20, 20)] {
            let subject = "ada".into();
            let until = Millis(until);
            revocations.add(Millis(1), Revocation::Subject { subject, issued_before, until }).unwrap();
            revocations.add(Millis(1), Revocation::Token { id: "7".into(), until }).unwrap();
            revocations.add(Millis(1), Revocation::All { issued_before }).unwrap();
        }
        assert!(
            revocations.hold(&pass("bob", None, Some(99))).is_some()
                && revocations.hold(&pass("bob", None, Some(100))).is_none()
        );
        revocations.add(Millis(899), token("8", 1_000)).unwrap();
        assert_eq!(revocations.count(), 3);
        revocations.add(Millis(900), token("8", 1_000)).unwrap();
        assert_eq!(revocations.count(), 1);
    }

    #[test]
    fn what_is_kept_has_an_end_and_what_no_token_can_be_any_more_makes_room() {
        let mut revocations = empty();
        assert_eq!(revocations.add(Millis(1), token(&"x".repeat(1_025), 9)), Err(Code::TooLarge));
        let long = |at: usize| format!("{at:0>1000}");
        let taken = (0..).take_while(|at| revocations.add(Millis(1), token(&long(*at), 100)).is_ok()).count();
        assert_eq!(taken, BYTES_MAX / 1_064);
        assert_eq!(revocations.charge.bytes(), taken * 1_064);
        assert_eq!(revocations.add(Millis(99), token("y", 200)), Err(Code::LimitReached));
        assert_eq!(revocations.add(Millis(99), token(&long(0), 200)), Ok(()), "it is known");
        assert_eq!(
            revocations.add(Millis(99), Revocation::All { issued_before: 1 }),
            Ok(()),
            "it takes nothing"
        );
        assert_eq!(revocations.add(Millis(100), token("y", 200)), Ok(()));
        assert_eq!((revocations.count(), revocations.charge.bytes()), (2, 1_064 + 65));
    }
}
