//! Who may do what: rules by pattern, first match wins.

use std::ops::Deref;

use tidewire_protocol::code::Code;
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

/// A topic or selector that its holder may use. Only [`Access`] makes it, and topics take nothing else: who has one
/// was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted<T> {
    to: T,
    grant: Grant,
}

/// Which rule granted something: stays with what was granted, so that it can be ended with the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The rule's place in [`Access::rules`].
    pub rule: u32,
}

impl<T> Granted<T> {
    /// Which rule granted it.
    #[must_use]
    pub fn grant(&self) -> Grant {
        self.grant
    }
}

impl<T> Deref for Granted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.to
    }
}

impl Access {
    /// Everybody may do everything: `--dev`.
    #[must_use]
    pub fn open() -> Self {
        let everything = Pattern::parse(">").ok();
        let rule = |pattern| AccessRule { pattern, publish: true, subscribe: true };
        Self { rules: everything.into_iter().map(rule).collect() }
    }

    /// Grants to publish to a topic.
    ///
    /// # Errors
    /// [`Code::Forbidden`] if no rule allows it.
    pub fn publish(&self, to: TopicName) -> Result<Granted<TopicName>, Code> {
        let rule = self.rules.iter().position(|rule| rule.pattern.matches(&to));
        let rule = rule.filter(|_| self.may_publish(&to)).ok_or(Code::Forbidden)?;
        Ok(Granted { to, grant: Grant { rule: rule as u32 } })
    }

    /// Grants to read a topic, or all that a pattern matches.
    ///
    /// # Errors
    /// [`Code::Forbidden`] if no rule allows it whole.
    pub fn subscribe(&self, to: Selector) -> Result<Granted<Selector>, Code> {
        let rule = self.rules.iter().position(|rule| match &to {
            Selector::Topic(topic) => rule.pattern.matches(topic),
            Selector::Pattern(pattern) => rule.pattern.covers(pattern),
        });
        let rule = rule.filter(|_| self.may_subscribe(&to)).ok_or(Code::Forbidden)?;
        Ok(Granted { to, grant: Grant { rule: rule as u32 } })
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
    fn what_is_granted_names_its_rule() {
        let access = access(&[("a.secret", false), ("a.*", true), ("a.>", true)]);
        let read =
            |wanted: &str| access.subscribe(Selector::parse(wanted).unwrap()).map(|it| it.grant().rule);
        assert_eq!((read("a.b"), read("a.b.*"), read("a.secret")), (Ok(1), Ok(2), Err(Code::Forbidden)));
        let write =
            |wanted: &str| access.publish(TopicName::parse(wanted).unwrap()).map(|it| it.grant().rule);
        assert_eq!(
            (write("a.b"), write("a.secret"), write("b")),
            (Ok(1), Err(Code::Forbidden), Err(Code::Forbidden))
        );
    }

    #[test]
    fn reserved_topics_are_never_published_to() {
        let access = access(&[("$x.>", true), (">", true)]);
        assert!(!access.may_publish(&TopicName::parse("$x.a").unwrap()));
        assert!(access.may_publish(&TopicName::parse("x.a").unwrap()));
    }
}
