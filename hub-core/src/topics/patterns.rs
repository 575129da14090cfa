//! Which patterns match a topic: a tree of tokens, so that the answer costs the topic's depth and not the
//! number of patterns.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::tail::Tail;

/// The patterns that somebody listens to, and their tails.
#[derive(Debug, Default)]
pub struct Patterns {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    /// The tail of the pattern that ends here.
    tail: Option<Arc<Tail>>,
    /// Next tokens, `*` and `>` among them.
    next: BTreeMap<Box<str>, Node>,
}

impl Patterns {
    /// The tail of exactly this pattern.
    #[must_use]
    pub fn find(&self, pattern: &str) -> Option<&Arc<Tail>> {
        let mut node = &self.root;
        for token in pattern.split('.') {
            node = node.next.get(token)?;
        }
        node.tail.as_ref()
    }

    /// Adds a pattern.
    pub fn insert(&mut self, pattern: &str, tail: Arc<Tail>) {
        let mut node = &mut self.root;
        for token in pattern.split('.') {
            node = node.next.entry(token.into()).or_default();
        }
        node.tail = Some(tail);
    }

    /// Removes a pattern, and the branches that only it needed.
    pub fn remove(&mut self, pattern: &str) {
        fn prune(node: &mut Node, pattern: Option<&str>) {
            let Some(pattern) = pattern else {
                node.tail = None;
                return;
            };
            let (token, rest) =
                pattern.split_once('.').map_or((pattern, None), |(token, rest)| (token, Some(rest)));
            if let Some(next) = node.next.get_mut(token) {
                prune(next, rest);
                if next.tail.is_none() && next.next.is_empty() {
                    node.next.remove(token);
                }
            }
        }
        prune(&mut self.root, Some(pattern));
    }

    /// The tails of all patterns that match a topic.
    #[must_use]
    pub fn matching(&self, topic: &str) -> Vec<Arc<Tail>> {
        let mut found = Vec::new();
        gather(&self.root, topic, topic.starts_with('$'), &mut found);
        found
    }

    /// Every pattern's tail.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Tail>> {
        fn walk(node: &Node, found: &mut Vec<Arc<Tail>>) {
            found.extend(node.tail.clone());
            for next in node.next.values() {
                walk(next, found);
            }
        }
        let mut found = Vec::new();
        walk(&self.root, &mut found);
        found
    }
}

/// Follows `topic` down the tree; wildcards do not stand for a reserved first token.
fn gather(node: &Node, topic: &str, reserved: bool, found: &mut Vec<Arc<Tail>>) {
    let (token, rest) = topic.split_once('.').map_or((topic, None), |(token, rest)| (token, Some(rest)));
    if !reserved && let Some(all) = node.next.get(">") {
        found.extend(all.tail.clone());
    }
    let star = if reserved { None } else { node.next.get("*") };
    for next in [node.next.get(token), star].into_iter().flatten() {
        match rest {
            Some(rest) => gather(next, rest, false, found),
            None => found.extend(next.tail.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::metrics::Metrics;
    use crate::tail::{Keep, Source, Terms};
    use proptest::prelude::*;
    use tidewire_protocol::name::{Pattern, TopicName};
    use tidewire_protocol::number::{Offset, TailNumber};

    fn tail(pattern: &str) -> Arc<Tail> {
        let keep = Keep { count: 1, bytes: 1, age_ms: 1, readable: false, block_bytes: 1 };
        let source = Source::Pattern(Pattern::parse(pattern).unwrap());
        let terms = Arc::new(Terms { keep, shards: 1, metrics: Arc::default() });
        Arc::new(Tail::new(TailNumber(1), source, &terms, Offset(0)))
    }

    fn texts(tails: &[Arc<Tail>]) -> Vec<String> {
        let text = |tail: &Arc<Tail>| match &tail.source {
            Source::Pattern(pattern) => pattern.as_str().to_owned(),
            Source::Topic => String::new(),
        };
        let mut texts: Vec<_> = tails.iter().map(text).collect();
        texts.sort();
        texts
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_matching_one_by_one_finds(
            patterns in prop::collection::btree_set("(a|b|[*]|[$]c)([.](a|b|[*])){0,3}([.]>)?", 0..30),
            topics in prop::collection::vec("(a|b|[$]c)([.](a|b)){0,3}", 1..10),
            removed in any::<prop::sample::Index>(),
        ) {
            let _ = Metrics::default();
            let mut tree = Patterns::default();
            let mut kept: Vec<String> = patterns.into_iter().collect();
            for pattern in &kept {
                tree.insert(pattern, tail(pattern));
            }
            if !kept.is_empty() {
                let gone = kept.remove(removed.index(kept.len()));
                tree.remove(&gone);
                prop_assert!(tree.find(&gone).is_none());
            }
            prop_assert_eq!(texts(&tree.all()), kept.clone());
            for topic in topics {
                let name = TopicName::parse(&topic).unwrap();
                let expected: Vec<_> =
                    kept.iter().filter(|p| Pattern::parse(p).unwrap().matches(&name)).cloned().collect();
                prop_assert_eq!(texts(&tree.matching(&topic)), expected);
            }
        }
    }
}
