//! A tree of tokens: names to what stands at them, found by name, by pattern, or as the patterns that match a name.
//!
//! Finding by name or matching a name costs its depth. Listing what a pattern matches goes in steps: it can be
//! interrupted after any node and taken up again at its path, whatever has come or gone meanwhile.

use std::collections::BTreeMap;
use std::ops::Bound;

/// What stands at names, or at patterns; the tree does not care which.
#[derive(Debug)]
pub struct Trie<T> {
    root: Branches<T>,
    nodes: usize,
}

type Branches<T> = BTreeMap<Box<str>, Node<T>>;

#[derive(Debug)]
struct Node<T> {
    value: Option<T>,
    /// Boxed, because most nodes are leaves.
    next: Option<Box<Branches<T>>>,
}

/// A listing of what a pattern matches, as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Progress {
    /// Not begun.
    #[default]
    Start,
    /// Everything up to this path is done, what lies below it is not.
    After(Box<str>),
    /// All of it is done.
    Done,
}

/// What a listing does while it goes.
struct Listing<'a, T, F> {
    each: F,
    steps: usize,
    /// Steps that a value takes besides its node's.
    more: usize,
    path: Vec<&'a str>,
    /// Tokens of the path after which it goes on; empty once it is beyond.
    resume: Vec<&'a str>,
    /// Whether wildcards stand for reserved tokens, too.
    reserved: bool,
    _value: std::marker::PhantomData<&'a T>,
}

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self { root: Branches::new(), nodes: 0 }
    }
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { value: None, next: None }
    }
}

impl<T> Trie<T> {
    /// What stands at a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        let mut tokens = name.split('.');
        let mut node = self.root.get(tokens.next()?)?;
        for token in tokens {
            node = node.next.as_ref()?.get(token)?;
        }
        node.value.as_ref()
    }

    /// Puts something at a name; gives what stood there.
    pub fn insert(&mut self, name: &str, value: T) -> Option<T> {
        let mut branches = &mut self.root;
        let mut tokens = name.split('.').peekable();
        while let Some(token) = tokens.next() {
            if !branches.contains_key(token) {
                self.nodes += 1;
                branches.insert(token.into(), Node::default());
            }
            let node = branches.get_mut(token)?;
            if tokens.peek().is_none() {
                return node.value.replace(value);
            }
            branches = node.next.get_or_insert_default();
        }
        None
    }

    /// Takes away what stands at a name, and the branches that only it needed.
    pub fn remove(&mut self, name: &str) -> Option<T> {
        prune(&mut self.root, name, &mut self.nodes)
    }

    /// Tokens that it holds: what a listing of all looks at.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Calls `each` with what stands at every pattern that matches `name`. Wildcards do not stand for a reserved
    /// first token.
    pub fn matching<'a>(&'a self, name: &str, each: &mut impl FnMut(&'a T)) {
        gather(&self.root, name, name.starts_with('$'), each);
    }

    /// Lists what stands at names that `pattern` matches, in the order of their tokens, for about `steps` nodes.
    pub fn list<'a>(
        &'a self,
        pattern: &str,
        progress: &'a Progress,
        steps: usize,
        each: impl FnMut(&'a T),
    ) -> Progress {
        self.go_on(&pattern.split('.').collect::<Vec<_>>(), false, progress, (steps, 0), each)
    }

    /// Lists all that there is, reserved names too; each name that something stands at takes some steps `more` than one.
    pub fn list_all<'a>(
        &'a self,
        progress: &'a Progress,
        (steps, more): (usize, usize),
        each: impl FnMut(&'a T),
    ) -> Progress {
        self.go_on(&[">"], true, progress, (steps, more), each)
    }

    fn go_on<'a>(
        &'a self,
        pattern: &[&str],
        reserved: bool,
        progress: &'a Progress,
        (steps, more): (usize, usize),
        each: impl FnMut(&'a T),
    ) -> Progress {
        let resume = match progress {
            Progress::Start => Vec::new(),
            Progress::After(path) => path.split('.').collect(),
            Progress::Done => return Progress::Done,
        };
        let mut listing = Listing {
            each,
            steps: steps.max(1),
            more,
            path: Vec::new(),
            resume,
            reserved,
            _value: std::marker::PhantomData::<&T>,
        };
        if listing.visit(&self.root, pattern) {
            Progress::Done
        } else {
            Progress::After(listing.path.join(".").into())
        }
    }
}

impl<'a, T, F: FnMut(&'a T)> Listing<'a, T, F> {
    /// Goes on below `branches`; `false` once its steps are used up, with the path of the last node in `path`.
    fn visit(&mut self, branches: &'a Branches<T>, pattern: &[&str]) -> bool {
        let Some((token, rest)) = pattern.split_first() else { return true };
        if *token != "*" && *token != ">" {
            // Where it was interrupted lies in this branch, or it has not been here.
            let resumed = self.resume.first().is_none_or(|at| at == token);
            if !resumed {
                self.resume.clear();
            }
            return branches
                .get_key_value(*token)
                .is_none_or(|(name, node)| self.enter(name, node, rest, false));
        }
        let from = match self.resume.first() {
            Some(at) => Bound::Included(*at),
            None => Bound::Unbounded,
        };
        let skips_reserved = self.path.is_empty() && !self.reserved;
        for (name, node) in branches.range::<str, _>((from, Bound::Unbounded)) {
            if skips_reserved && name.starts_with('$') {
                continue;
            }
            let all = *token == ">";
            let rest = if all { pattern } else { rest };
            if !self.enter(name, node, rest, all) {
                return false;
            }
        }
        true
    }

    /// Looks at one node, then below it. `all`: whatever lies at it or below matches.
    fn enter(&mut self, name: &'a str, node: &'a Node<T>, rest: &[&str], all: bool) -> bool {
        let resumed = self.resume.first().is_some_and(|at| *at == name);
        if resumed {
            self.resume.remove(0);
        } else {
            self.resume.clear();
        }
        self.path.push(name);
        // The node at which it was interrupted has been looked at; what lies below has not.
        if !resumed {
            if (all || rest.is_empty())
                && let Some(value) = &node.value
            {
                (self.each)(value);
                self.steps = self.steps.saturating_sub(self.more);
            }
            self.steps = self.steps.saturating_sub(1);
            if self.steps == 0 {
                return false;
            }
        }
        let goes_on = match &node.next {
            Some(next) => self.visit(next, rest),
            None => true,
        };
        if goes_on {
            self.path.pop();
            self.resume.clear();
        }
        goes_on
    }
}

fn gather<'a, T>(branches: &'a Branches<T>, name: &str, reserved: bool, each: &mut impl FnMut(&'a T)) {
    let (token, rest) = name.split_once('.').map_or((name, None), |(token, rest)| (token, Some(rest)));
    if !reserved && let Some(all) = branches.get(">").and_then(|node| node.value.as_ref()) {
        each(all);
    }
    let star = if reserved { None } else { branches.get("*") };
    for node in [branches.get(token), star].into_iter().flatten() {
        match (rest, &node.next) {
            (Some(rest), Some(next)) => gather(next, rest, false, each),
            (Some(_), None) => {}
            (None, _) => node.value.iter().for_each(&mut *each),
        }
    }
}

fn prune<T>(branches: &mut Branches<T>, name: &str, nodes: &mut usize) -> Option<T> {
    let (token, rest) = name.split_once('.').map_or((name, None), |(token, rest)| (token, Some(rest)));
    let node = branches.get_mut(token)?;
    let value = match rest {
        None => node.value.take(),
        Some(rest) => {
            let next = node.next.as_mut()?;
            let value = prune(next, rest, nodes);
            if next.is_empty() {
                node.next = None;
            }
            value
        }
    };
    if node.value.is_none() && node.next.is_none() {
        branches.remove(token);
        *nodes -= 1;
    }
    value
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use tidewire_protocol::name::{Pattern, TopicName};

    fn tree(names: &[String]) -> Trie<String> {
        let mut tree = Trie::default();
        for name in names {
            assert_eq!(tree.insert(name, name.clone()), None);
        }
        tree
    }

    fn listed(tree: &Trie<String>, pattern: &str, steps: usize) -> Vec<String> {
        let mut found = Vec::new();
        let mut progress = Progress::Start;
        while progress != Progress::Done {
            progress = tree.list(pattern, &progress, steps, |name| found.push(name.clone()));
        }
        found
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_matching_one_by_one_finds(
            patterns in prop::collection::btree_set("(a|b|[*]|[$]c)([.](a|b|[*])){0,3}([.]>)?", 0..30),
            names in prop::collection::btree_set("(a|b|[$]c|aa)([.](a|b|aa)){0,3}", 1..30),
            removed in any::<prop::sample::Index>(),
            steps in 1usize..9,
        ) {
            let mut kept: Vec<String> = patterns.into_iter().collect();
            let mut tree_of_patterns = tree(&kept);
            if !kept.is_empty() {
                let gone = kept.remove(removed.index(kept.len()));
                prop_assert_eq!(tree_of_patterns.remove(&gone), Some(gone.clone()));
                prop_assert!(tree_of_patterns.get(&gone).is_none());
            }
            let names: Vec<String> = names.into_iter().collect();
            let mut tree_of_names = tree(&names);
            for name in &names {
                let topic = TopicName::parse(name).unwrap();
                let expected: Vec<_> =
                    kept.iter().filter(|p| Pattern::parse(p).unwrap().matches(&topic)).cloned().collect();
                let mut found = Vec::new();
                tree_of_patterns.matching(name, &mut |pattern| found.push(pattern.clone()));
                found.sort();
                prop_assert_eq!(found, expected);
            }
            for pattern in &kept {
                let parsed = Pattern::parse(pattern).unwrap();
                let expected: Vec<_> =
                    names.iter().filter(|name| parsed.matches(&TopicName::parse(name).unwrap())).cloned().collect();
                let mut found = listed(&tree_of_names, pattern, steps);
                found.sort();
                prop_assert_eq!(found, expected, "{} in steps of {}", pattern, steps);
            }
            names.iter().for_each(|name| drop(tree_of_names.remove(name)));
            prop_assert_eq!(tree_of_names.nodes(), 0);
        }
    }

    #[test]
    fn a_listing_goes_on_where_it_was_though_names_come_and_go() {
        let mut tree = tree(&["a.a", "a.b", "a.c", "a.d"].map(String::from));
        let mut found = Vec::new();
        let first = tree.list("a.*", &Progress::Start, 3, |name| found.push(name.clone()));
        assert_eq!((first.clone(), found.len()), (Progress::After("a.b".into()), 2));
        tree.remove("a.b");
        tree.insert("a.aa", "a.aa".into());
        tree.insert("a.bb", "a.bb".into());
        assert_eq!(tree.list("a.*", &first, 99, |name| found.push(name.clone())), Progress::Done);
        assert_eq!(found, ["a.a", "a.b", "a.bb", "a.c", "a.d"]);
    }
}
