//! Who may do what: rules by pattern, first match wins.

use tidewire_protocol::name::{Pattern, Selector, TopicName};

/// The access rules of a hub.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// In the order in which they are asked.
    pub rules: Vec<AccessRule>,
}

/// What may be done with the topics that a pattern matches. Until there is sign-in by token everybody is
/// anonymous, so every rule speaks of everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// Which topics.
    pub pattern: Pattern,
    /// Whether they may be published to.
    pub publish: bool,
    /// Whether they may be read: live, by history, in any way.
    pub subscribe: bool,
}

impl Access {
    /// Everybody may do everything: `--dev`.
    #[must_use]
    pub fn open() -> Self {
        let everything = Pattern::parse(">").ok();
        let rule = |pattern| AccessRule { pattern, publish: true, subscribe: true };
        Self { rules: everything.into_iter().map(rule).collect() }
    }

    /// Whether a topic may be published to. Reserved topics are the hub's own.
    #[must_use]
    pub fn may_publish(&self, topic: &TopicName) -> bool {
        let rule = self.rules.iter().find(|rule| rule.pattern.matches(topic));
        !topic.is_reserved() && rule.is_some_and(|rule| rule.publish)
    }

    /// Whether a topic, or a pattern as a whole, may be read. One rule must cover a pattern whole, and no
    /// earlier rule may take a part of it away.
    #[must_use]
    pub fn may_subscribe(&self, selector: &Selector) -> bool {
        match selector {
            Selector::Topic(topic) => {
                self.rules.iter().find(|rule| rule.pattern.matches(topic)).is_some_and(|rule| rule.subscribe)
            }
            Selector::Pattern(pattern) => {
                let covering = self.rules.iter().position(|rule| rule.pattern.covers(pattern));
                covering.is_some_and(|at| {
                    let earlier = self.rules[..at].iter();
                    let denied =
                        earlier.filter(|rule| !rule.subscribe).any(|rule| rule.pattern.overlaps(pattern));
                    self.rules[at].subscribe && !denied
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn access(rules: &[(&str, bool)]) -> Access {
        let rule = |(pattern, subscribe): &(&str, bool)| AccessRule {
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
    fn reserved_topics_are_never_published_to() {
        let access = access(&[("$x.>", true), (">", true)]);
        assert!(!access.may_publish(&TopicName::parse("$x.a").unwrap()));
        assert!(access.may_publish(&TopicName::parse("x.a").unwrap()));
    }
}
