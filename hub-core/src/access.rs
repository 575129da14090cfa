//! Who may do what: rules by pattern, first match wins.

use tidewire_protocol::name::{Pattern, Selector, TopicName};

/// The access rules of a hub.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// In the order in which they are asked.
    pub rules: Vec<AccessRule>,
}

/// What may be done with the topics that a pattern matches. What a rule does not allow it denies, and a denial holds
/// for everybody, whoever the rule speaks of: whoever forgets to say it has not opened a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// Whom it allows something.
    pub who: Who,
    /// Which topics.
    pub pattern: Pattern,
    /// Whether they may be published to.
    pub publish: bool,
    /// Whether they may be read: live, by history, in any way.
    pub subscribe: bool,
}

/// Whom a rule speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// All clients, those that have not signed in among them.
    Everybody,
    /// Clients that have signed in by a token. Nobody can yet.
    SignedIn,
}

impl AccessRule {
    /// Whether the rule decides, for an anonymous client, something that it allows or denies.
    fn decides(&self, allows: bool) -> bool {
        !allows || self.who == Who::Everybody
    }
}

impl Access {
    /// Everybody may do everything: `--dev`.
    #[must_use]
    pub fn open() -> Self {
        let everything = Pattern::parse(">").ok();
        let rule = |pattern| AccessRule { who: Who::Everybody, pattern, publish: true, subscribe: true };
        Self { rules: everything.into_iter().map(rule).collect() }
    }

    /// Whether a topic may be published to. Reserved topics are the hub's own.
    #[must_use]
    pub fn may_publish(&self, topic: &TopicName) -> bool {
        let rule = self.rules.iter().find(|rule| rule.decides(rule.publish) && rule.pattern.matches(topic));
        !topic.is_reserved() && rule.is_some_and(|rule| rule.publish)
    }

    /// Whether a topic, or a pattern as a whole, may be read. One rule must cover a pattern whole, and no
    /// earlier rule may take a part of it away.
    #[must_use]
    pub fn may_subscribe(&self, selector: &Selector) -> bool {
        let mut deciding = self.rules.iter().filter(|rule| rule.decides(rule.subscribe));
        match selector {
            Selector::Topic(topic) => {
                deciding.find(|rule| rule.pattern.matches(topic)).is_some_and(|rule| rule.subscribe)
            }
            // The first rule that either grants all of it or takes a part of it away.
            Selector::Pattern(pattern) => deciding
                .find(|rule| match rule.subscribe {
                    true => rule.pattern.covers(pattern),
                    false => rule.pattern.overlaps(pattern),
                })
                .is_some_and(|rule| rule.subscribe),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn access(rules: &[(&str, bool)]) -> Access {
        let rule = |(pattern, subscribe): &(&str, bool)| AccessRule {
            who: Who::Everybody,
            pattern: Pattern::parse(pattern).unwrap(),
            publish: *subscribe,
            subscribe: *subscribe,
        };
        Access { rules: rules.iter().map(rule).collect() }
    }

    #[track_caller]
    fn check(rules: &[(&str, bool)], wanted: &str, expected: bool) {
        assert_eq!(access(rules).may_subscribe(&Selector::parse(wanted).unwrap()), expected, "{wanted}");
    }

    #[test]
    fn a_pattern_must_be_granted_whole() {
        check(&[("a.>", true)], "a.*", true);
        check(&[("a.*", true)], "a.>", false);
        check(&[("a.secret", false), ("a.>", true)], "a.*", false);
        check(&[("a.secret", false), ("a.>", true)], "a.b.*", true);
        check(&[("*.secret.>", false), ("a.>", true)], "a.>", false);
        check(&[("a.>", true)], "a.b", true);
        check(&[], "a", false);
        check(&[(">", true)], "$presence.a", false);
    }

    #[test]
    fn an_allowance_is_for_whom_it_speaks_of_and_a_denial_for_everybody() {
        let mut access = access(&[("a.secret.>", false), ("a.team.>", true), ("a.>", true)]);
        let may = |access: &Access, name: &str| {
            let subscribe = access.may_subscribe(&Selector::parse(name).unwrap());
            assert_eq!(subscribe, access.may_publish(&TopicName::parse(name).unwrap()), "{name}");
            subscribe
        };
        for rule in &mut access.rules[..2] {
            rule.who = Who::SignedIn;
        }
        assert!(!may(&access, "a.secret.b") && may(&access, "a.team.b") && may(&access, "a.b"));
        assert!(!access.may_subscribe(&Selector::parse("a.>").unwrap()));
        assert!(!access.may_subscribe(&Selector::parse("a.*.b").unwrap()));
        assert!(access.may_subscribe(&Selector::parse("a.team.*").unwrap()));
        access.rules.truncate(2);
        assert!(!may(&access, "a.team.b"), "only those who sign in");
    }

    #[test]
    fn reserved_topics_are_never_published_to() {
        let access = access(&[("$x.>", true), (">", true)]);
        assert!(!access.may_publish(&TopicName::parse("$x.a").unwrap()));
        assert!(access.may_publish(&TopicName::parse("x.a").unwrap()));
    }
}
