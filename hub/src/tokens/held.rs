//! The keys that a hub has now, which may become others while it runs. Each has a number that no other ever gets, so that
//! tokens are known by their keys after these have gone.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tidewire_hub_core::access::caller::KeyNumber;

use crate::tokens::Keyring;
use crate::tokens::jwks::Source;
use crate::tokens::key::Key;
use crate::tokens::mapping::Mapping;

/// The keys of a hub.
#[derive(Debug, Default)]
pub struct Held(Mutex<Numbered>);

#[derive(Debug, Default)]
struct Numbered {
    now: Arc<Keyring>,
    /// Those of them that the configuration names.
    written: Vec<Key>,
    /// Those that were fetched, by where from.
    fetched: Vec<(Arc<Source>, Vec<Key>)>,
    /// The highest number that was given.
    last: u64,
    /// How long tokens may last and where in them is what, as the first configuration says it.
    fixed: Option<(Option<u64>, Arc<Mapping>)>,
}

/// Which keys a hub has that it had not, and the other way round, as they are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyChange {
    /// New ones.
    pub added: Vec<String>,
    /// Those that are gone.
    pub gone: Vec<String>,
}

impl Held {
    /// Which they are.
    #[must_use]
    pub fn now(&self) -> Arc<Keyring> {
        let numbered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&numbered.now)
    }

    /// From now on it has these, and of those that were fetched the ones whose sources are still named. `keep` is told their
    /// numbers before any token is checked by them: whoever hears of one later has been told.
    pub fn change(&self, ring: Keyring, keep: impl FnOnce(Vec<KeyNumber>)) -> KeyChange {
        let mut numbered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let had = |source: &Arc<Source>| {
            let known = numbered.fetched.iter().find(|(known, _)| known.is(source));
            let mut keys = known.map(|(_, keys)| keys.clone()).unwrap_or_default();
            keys.iter_mut().for_each(|key| key.leeway_seconds = source.leeway_seconds);
            (Arc::clone(source), keys)
        };
        numbered.fetched = ring.sources.iter().map(had).collect();
        // What was revoked is forgotten by this bound, and bearers keep what their tokens were read to say, so that both stay as
        // they were at the start.
        numbered.fixed.get_or_insert((ring.seconds_max, ring.mapping));
        numbered.written = ring.keys;
        numbered.renew(keep)
    }

    /// From now on it has these of a source; none if that is not named any more.
    pub fn fetch(
        &self,
        source: &Source,
        keys: Vec<Key>,
        keep: impl FnOnce(Vec<KeyNumber>),
    ) -> Option<KeyChange> {
        let mut numbered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, had) = numbered.fetched.iter_mut().find(|(known, _)| **known == *source)?;
        *had = keys;
        Some(numbered.renew(keep))
    }
}

impl Numbered {
    fn renew(&mut self, keep: impl FnOnce(Vec<KeyNumber>)) -> KeyChange {
        let before = Arc::clone(&self.now);
        let fetched = self.fetched.iter().flat_map(|(_, keys)| keys);
        let mut keys: Vec<Key> = self.written.iter().chain(fetched).cloned().collect();
        let mut added = Vec::new();
        for key in &mut keys {
            key.number = before.keys.iter().find(|known| known.is(key)).map_or_else(
                || {
                    self.last += 1;
                    added.push(key.name());
                    KeyNumber(self.last)
                },
                |known| known.number,
            );
        }
        let is_gone = |key: &&Key| !keys.iter().any(|now| now.number == key.number);
        let gone = before.keys.iter().filter(is_gone).map(Key::name).collect();
        keep(keys.iter().map(|key| key.number).collect());
        let sources = self.fetched.iter().map(|(source, _)| Arc::clone(source)).collect();
        let (seconds_max, mapping) = self.fixed.clone().unwrap_or_default();
        self.now = Arc::new(Keyring { keys, sources, seconds_max, mapping });
        KeyChange { added, gone }
    }
}

impl fmt::Display for KeyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |keys: &[String]| keys.join(", ");
        match (&self.added[..], &self.gone[..]) {
            ([], []) => f.write_str("the keys for tokens are the same"),
            (added, []) => write!(f, "new keys for tokens: {}", list(added)),
            ([], gone) => write!(f, "keys that are gone, with whoever signed in by them: {}", list(gone)),
            (added, gone) => write!(
                f,
                "new keys for tokens: {}; gone, with whoever signed in by them: {}",
                list(added),
                list(gone)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use jsonwebtoken::Algorithm;

    fn key(kid: &str, secret: u8) -> Key {
        let key = Key::read(Algorithm::HS256, &[secret; 32]).unwrap();
        Key { kid: Some(kid.into()), ..key }
    }

    #[track_caller]
    fn check(held: &Held, keys: Vec<Key>, numbers: &[u64], (added, gone): (&[&str], &[&str])) {
        let mut kept = Vec::new();
        let change = held.change(Keyring::new(keys), |numbers| {
            kept = numbers;
            assert!(held.0.try_lock().is_err(), "nobody asks before that");
        });
        assert_eq!(kept, numbers.iter().map(|number| KeyNumber(*number)).collect::<Vec<_>>());
        let named = |kids: &[&str]| kids.iter().map(|kid| format!("`{kid}` (HS256)")).collect::<Vec<_>>();
        assert_eq!(change, KeyChange { added: named(added), gone: named(gone) });
    }

    #[test]
    fn a_key_keeps_its_number_while_it_is_the_same_and_no_other_gets_it() {
        let held = Held::default();
        check(&held, vec![key("a", 1), key("b", 2)], &[1, 2], (&["a", "b"], &[]));
        check(&held, vec![key("b", 2), key("a", 1)], &[2, 1], (&[], &[]));
        let lenient = Key { leeway_seconds: 9, ..key("a", 1) };
        check(&held, vec![key("b", 3), lenient], &[3, 1], (&["b"], &["b"]));
        let other = Key { audience: vec!["x".into()], ..key("a", 1) };
        check(&held, vec![other], &[4], (&["a"], &["b", "a"]));
        check(&held, vec![], &[], (&[], &["a"]));
        check(&held, vec![key("a", 1)], &[5], (&["a"], &[]));
    }
}
