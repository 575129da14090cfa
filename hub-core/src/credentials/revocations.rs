//! Tokens that were taken back before they end: some by their names, some by whom they speak of and when they were issued.
//! Bounded: what no token can be any more is forgotten, and beyond the bound no more is taken.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use tidewire_protocol::code::Code;

use crate::access::caller::Pass;
use crate::clock::{Millis, NEVER};
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

/// What a revocation is about: of each there is one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// Everybody.
    All,
    /// This subject.
    Subject(Box<str>),
    /// The token of this `jti`.
    Token(Box<str>),
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

    /// Gives back what was taken, if there is such a revocation, and where a time is named if it is by that: no later one that
    /// whoever asks has not heard of. Whether it did.
    pub(crate) fn remove(&mut self, now: Millis, about: &About, issued_before: Option<u64>) -> bool {
        self.forget(now);
        let known = self.find(now, about);
        let is_meant =
            known.is_some_and(|known| issued_before.is_none() || known.issued_before() == issued_before);
        if !is_meant {
            return false;
        }
        let name = match about {
            About::All => return std::mem::take(&mut self.issued_before) > 0,
            About::Subject(name) => self.subjects.remove(name).map(|_| name),
            About::Token(name) => self.tokens.remove(name).map(|_| name),
        };
        self.weigh(self.bytes - name.map_or(0, |name| bytes_of(name)));
        name.is_some()
    }

    /// The one about that; none if there is none.
    pub(crate) fn find(&self, now: Millis, about: &About) -> Option<Revocation> {
        match about {
            About::All => Some(self.issued_before).filter(|time| *time > 0).map(of_all),
            About::Subject(name) => self.subjects.get(name).map(|known| of_subject(name, *known)),
            About::Token(name) => self.tokens.get(name).map(|until| of_token(name, *until)),
        }
        .filter(|found| found.stands(now))
    }

    /// So many of them after one, or from the first on, in the order of [`About`].
    pub(crate) fn list(&self, now: Millis, after: Option<&About>, count: usize) -> Vec<Revocation> {
        let all = Some(self.issued_before).filter(|time| *time > 0 && after.is_none()).map(of_all);
        let behind = |name: &str| (Bound::Excluded(Box::from(name)), Bound::Unbounded);
        let whole = (Bound::Unbounded, Bound::Unbounded);
        let (subjects, tokens) = match after {
            None | Some(About::All) => (Some(whole.clone()), whole),
            Some(About::Subject(name)) => (Some(behind(name)), whole),
            Some(About::Token(name)) => (None, behind(name)),
        };
        let subjects = subjects
            .into_iter()
            .flat_map(|range| self.subjects.range(range))
            .map(|(name, known)| of_subject(name, *known));
        let tokens = self.tokens.range(tokens).map(|(name, until)| of_token(name, *until));
        let all = all.into_iter().chain(subjects).chain(tokens);
        all.filter(|found| found.stands(now)).take(count).collect()
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

    /// How many there are.
    pub(crate) fn count(&self, now: Millis) -> usize {
        let ends = self.tokens.values().chain(self.subjects.values().map(|(_, until)| until));
        ends.filter(|until| now < **until).count() + usize::from(self.issued_before > 0)
    }

    fn make_room(&mut self, name: &str, is_known: bool) -> Result<(), Code> {
        if name.len() > JTI_BYTES_MAX {
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

impl Revocation {
    /// What it is about.
    #[must_use]
    pub fn about(&self) -> About {
        match self {
            Self::Token { id, .. } => About::Token(id.clone()),
            Self::Subject { subject, .. } => About::Subject(subject.clone()),
            Self::All { .. } => About::All,
        }
    }

    /// Seconds since 1970 before which a token has to be issued to be meant; none if it is about one token.
    #[must_use]
    pub const fn issued_before(&self) -> Option<u64> {
        match self {
            Self::Token { .. } => None,
            Self::Subject { issued_before, .. } | Self::All { issued_before } => Some(*issued_before),
        }
    }

    /// When all tokens that are meant have ended by themselves.
    #[must_use]
    pub const fn until(&self) -> Millis {
        match self {
            Self::Token { until, .. } | Self::Subject { until, .. } => *until,
            Self::All { .. } => NEVER,
        }
    }

    fn stands(&self, now: Millis) -> bool {
        now < self.until()
    }
}

fn of_token(id: &str, until: Millis) -> Revocation {
    Revocation::Token { id: id.into(), until }
}

fn of_subject(subject: &str, (issued_before, until): (u64, Millis)) -> Revocation {
    Revocation::Subject { subject: subject.into(), issued_before, until }
}

const fn of_all(issued_before: u64) -> Revocation {
    Revocation::All { issued_before }
}

/// What a name takes, with its place in a map.
fn bytes_of(name: &str) -> usize {
    name.len() + 64
}

/// Bytes of a `jti`, and more than a subject has.
pub const JTI_BYTES_MAX: usize = 1_024;
/// Some 80,000 names of usual length.
const BYTES_MAX: usize = 8 << 20;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::access::caller::Origin;

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
        assert_eq!((revocations.count(Millis(899)), revocations.list(Millis(899), None, 9).len()), (4, 4));
        assert_eq!((revocations.count(Millis(900)), revocations.list(Millis(900), None, 9).len()), (2, 2));
        revocations.add(Millis(900), token("8", 1_000)).unwrap();
        assert_eq!((revocations.count(Millis(900)), revocations.charge.bytes()), (2, bytes_of("8")));
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
        assert_eq!((revocations.count(Millis(100)), revocations.charge.bytes()), (3, 1_064 + 65));
    }

    fn of(subject: &str, issued_before: u64, until: u64) -> Revocation {
        Revocation::Subject { subject: subject.into(), issued_before, until: Millis(until) }
    }

    #[test]
    fn what_is_given_back_is_that_and_nothing_else() {
        let all =
            [Revocation::All { issued_before: 10 }, of("7", 100, 900), of("ada", 100, 900), token("7", 900)];
        let mut revocations = with(&all);
        for given in &all {
            let (about, time) = (given.about(), given.issued_before());
            assert!(!with(&all).remove(Millis(1), &about, Some(11)), "{given:?} is by another time");
            let is_over = given.until() != NEVER;
            assert_eq!(with(&all).remove(Millis(900), &about, None), !is_over, "{given:?}");
            let (bytes, count) = (revocations.charge.bytes(), revocations.count(Millis(1)));
            assert!(revocations.remove(Millis(1), &about, time));
            assert!(!revocations.remove(Millis(1), &about, None), "{given:?} is there once");
            let name = match &about {
                About::All => 0,
                About::Subject(name) | About::Token(name) => bytes_of(name),
            };
            assert_eq!(revocations.charge.bytes(), bytes - name);
            assert_eq!(revocations.count(Millis(1)), count - 1);
            assert_eq!(revocations.find(Millis(1), &about), None);
        }
        assert_eq!(revocations.hold(&pass("ada", Some("7"), None)), None);
        let mut revocations = with(&all);
        assert!(revocations.remove(Millis(1), &About::Subject("ada".into()), None));
        assert_eq!(revocations.hold(&pass("ada", None, Some(50))), None);
        assert_eq!(revocations.hold(&pass("7", None, Some(50))), MEANT);
        assert_eq!(revocations.hold(&pass("ada", Some("7"), Some(50))), MEANT);
        assert_eq!(revocations.hold(&pass("ada", None, Some(9))), MEANT);
    }

    fn with(all: &[Revocation]) -> Revocations {
        let mut revocations = empty();
        all.iter().for_each(|one| revocations.add(Millis(1), one.clone()).unwrap());
        revocations
    }

    #[test]
    fn pages_have_each_that_stands_once_and_in_order() {
        let all = [
            Revocation::All { issued_before: 10 },
            of("", 3, 900),
            of("ada", 100, 900),
            of("bob", 3, 500),
            token("", 900),
            token("7", 500),
            token("8", 900),
        ];
        let revocations = with(&all);
        for (now, expected) in [(1, &all[..]), (500, &[&all[..3], &all[4..5], &all[6..]].concat())] {
            for count in 1..=all.len() {
                let (mut found, mut after) = (Vec::new(), None);
                loop {
                    let page = revocations.list(Millis(now), after.as_ref(), count);
                    assert!(page.len() <= count);
                    let Some(last) = page.last() else { break };
                    after = Some(last.about());
                    found.extend(page);
                }
                assert_eq!(found, expected, "{count} at a time");
            }
            for one in &all {
                let found = revocations.find(Millis(now), &one.about());
                assert_eq!(found.as_ref(), Some(one).filter(|one| expected.contains(one)));
            }
        }
    }
}
