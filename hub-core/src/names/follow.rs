//! Patterns that somebody listens to: for each a tail in every log, found by its text.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use tidewire_protocol::name::Pattern;

use crate::ledger::{Account, AccountKey, Kind};
use crate::tail::Tail;

/// A pattern that somebody listens to.
#[derive(Debug)]
pub struct Followed {
    /// The pattern.
    pub pattern: Pattern,
    /// Its tails, one in each log.
    pub tails: Vec<Arc<Tail>>,
    account: Arc<Account>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Following {
    by_text: BTreeMap<Box<str>, Arc<Followed>>,
    shapes: BTreeMap<Box<str>, Shape>,
    shapes_of: BTreeMap<AccountKey, usize>,
}

/// Patterns whose wildcards stand at the same places. A topic matches one of each shape at most, so the number of
/// shapes bounds the work that patterns add to a publish.
#[derive(Debug)]
struct Shape {
    patterns: usize,
    account: AccountKey,
}

impl Followed {
    /// A pattern that `account` was the first to listen to.
    #[must_use]
    pub fn new(pattern: Pattern, tails: Vec<Arc<Tail>>, account: &Arc<Account>) -> Self {
        account.charge(Kind::Names, FOLLOWED_BYTES);
        Self { pattern, tails, account: Arc::clone(account) }
    }

    /// Whether anybody listens.
    #[must_use]
    pub fn watched(&self) -> bool {
        self.tails.iter().any(|tail| tail.marks.watched())
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.account.release(Kind::Names, FOLLOWED_BYTES);
    }
}

impl Following {
    /// The tails of exactly this pattern.
    #[must_use]
    pub fn find(&self, pattern: &Pattern) -> Option<&Arc<Followed>> {
        self.by_text.get(pattern.as_str())
    }

    /// Whether `account` may bring one more shape, if this pattern's is new. Of the room that is left, as much may be
    /// its own as stays free for others.
    #[must_use]
    pub fn has_room(&self, pattern: &Pattern, account: &Account, shapes_max: usize) -> bool {
        let theirs = self.shapes_of.get(&account.key()).copied().unwrap_or(0);
        self.shapes.contains_key(&shape(pattern)) || theirs < shapes_max.saturating_sub(self.shapes.len())
    }

    /// Adds one.
    pub fn insert(&mut self, followed: Arc<Followed>) {
        let account = followed.account.key();
        let shape = self.shapes.entry(shape(&followed.pattern)).or_insert_with(|| {
            *self.shapes_of.entry(account).or_default() += 1;
            Shape { patterns: 0, account }
        });
        shape.patterns += 1;
        self.by_text.insert(followed.pattern.as_str().into(), followed);
    }

    /// Takes away those that nobody listens to among the next few after a text; gives also the others, and the last that
    /// was looked at, if there are more.
    #[expect(clippy::type_complexity)]
    pub fn take_idle(
        &mut self,
        after: Option<&str>,
    ) -> (Vec<Arc<Followed>>, Vec<Arc<Followed>>, Option<Box<str>>) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut next = self.by_text.range::<str, _>((from, Bound::Unbounded));
        let (mut idle, mut watched, mut last) = (Vec::new(), Vec::new(), None);
        for (text, followed) in next.by_ref().take(STEP_PATTERNS) {
            last = Some(text);
            let kind = if followed.watched() { &mut watched } else { &mut idle };
            kind.push(Arc::clone(followed));
        }
        let last = last.filter(|_| next.next().is_some()).cloned();
        for followed in &idle {
            self.remove(&followed.pattern);
        }
        (idle, watched, last)
    }

    fn remove(&mut self, pattern: &Pattern) {
        self.by_text.remove(pattern.as_str());
        let key = shape(pattern);
        let Some(of) = self.shapes.get_mut(&key) else { return };
        of.patterns -= 1;
        if of.patterns > 0 {
            return;
        }
        let account = of.account;
        self.shapes.remove(&key);
        if let Some(count) = self.shapes_of.get_mut(&account) {
            *count -= 1;
            if *count == 0 {
                self.shapes_of.remove(&account);
            }
        }
    }
}

/// Where a pattern has its wildcards: other tokens are left out.
fn shape(pattern: &Pattern) -> Box<str> {
    let tokens = pattern.as_str().split('.').map(|token| if matches!(token, "*" | ">") { token } else { "" });
    tokens.collect::<Vec<_>>().join(".").into()
}

/// Patterns looked at in one step, while names wait.
const STEP_PATTERNS: usize = 256;
/// What a pattern takes in the hub besides the messages in its tails, about.
pub const FOLLOWED_BYTES: usize = 2_048;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ledger::Ledger;

    fn followed(text: &str, account: &Arc<Account>) -> Arc<Followed> {
        Arc::new(Followed::new(Pattern::parse(text).unwrap(), Vec::new(), account))
    }

    #[test]
    fn shapes_are_bounded_and_not_the_patterns_of_one_shape() {
        let ledger = Arc::new(Ledger::default());
        let (one, two) = (ledger.account(AccountKey(1)), ledger.account(AccountKey(2)));
        let mut following = Following::default();
        let may = |following: &Following, text: &str, account: &Arc<Account>| {
            following.has_room(&Pattern::parse(text).unwrap(), account, 3)
        };
        for text in ["a.*", "b.*", "c.*", "*.d"] {
            assert!(may(&following, text, &one), "{text}");
            following.insert(followed(text, &one));
        }
        assert!(!may(&following, "e.>", &one), "half is for others");
        assert!(may(&following, "e.>", &two));
        following.insert(followed("e.>", &two));
        assert!(!may(&following, "*.*", &two));
        assert!(may(&following, "f.>", &one), "of a shape that there is");
        assert_eq!(following.take_idle(None).0.len(), 5);
        assert!(following.shapes.is_empty() && following.shapes_of.is_empty());
    }
}
