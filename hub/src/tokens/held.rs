//! The keys that a hub has now, which may become others while it runs. Each has a number that no other ever gets, so that
//! tokens are known by their keys after these have gone.

use std::sync::{Arc, Mutex, PoisonError};

use tidewire_hub_core::access::caller::KeyNumber;

use crate::tokens::Keyring;
use crate::tokens::key::Key;

/// The keys of a hub.
#[derive(Debug, Default)]
pub struct Held(Mutex<Numbered>);

#[derive(Debug, Default)]
struct Numbered {
    now: Arc<Keyring>,
    /// The highest number that was given.
    last: u64,
    has_begun: bool,
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

    /// From now on it has these, where `keep` is told their numbers before any token is checked by them: whoever hears of one
    /// later has been told.
    pub fn change(&self, ring: Keyring, keep: impl FnOnce(Vec<KeyNumber>)) -> KeyChange {
        let mut numbered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = Arc::clone(&numbered.now);
        let (mut ring, mut added) = (ring, Vec::new());
        if numbered.has_begun {
            // What was revoked is forgotten by this bound, so that it stays as it was at the start.
            ring.seconds_max = before.seconds_max;
        }
        numbered.has_begun = true;
        for key in &mut ring.keys {
            key.number = before.keys.iter().find(|known| known.is(key)).map_or_else(
                || {
                    numbered.last += 1;
                    added.push(key.name());
                    KeyNumber(numbered.last)
                },
                |known| known.number,
            );
        }
        let is_gone = |key: &&Key| !ring.keys.iter().any(|now| now.number == key.number);
        let gone = before.keys.iter().filter(is_gone).map(Key::name).collect();
        keep(ring.keys.iter().map(|key| key.number).collect());
        numbered.now = Arc::new(ring);
        KeyChange { added, gone }
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
        let other = Key { audience: Some("x".into()), ..key("a", 1) };
        check(&held, vec![other], &[4], (&["a"], &["b", "a"]));
        check(&held, vec![], &[], (&[], &["a"]));
        check(&held, vec![key("a", 1)], &[5], (&["a"], &[]));
    }
}
