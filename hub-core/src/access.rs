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
    /// The rule's place among those of its [`Access`].
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

    /// Grants to publish to a topic.
    ///
    /// # Errors
    /// [`Code::Forbidden`] if no rule allows it.
    pub fn publish(&self, to: TopicName) -> Result<Granted<TopicName>, Code> {
        let grant = self.publish_rule(&to).ok_or(Code::Forbidden)?;
        Ok(Granted { to, grant })
    }

    /// Grants to read a topic, or all that a pattern matches.
    ///
    /// # Errors
    /// [`Code::Forbidden`] if no rule allows it whole.
    pub fn subscribe(&self, to: Selector) -> Result<Granted<Selector>, Code> {
        let grant = self.subscribe_rule(&to).ok_or(Code::Forbidden)?;
        Ok(Granted { to, grant })
    }

    /// Whether a topic may be published to. Reserved topics are the hub's own.
    #[must_use]
    pub fn may_publish(&self, topic: &TopicName) -> bool {
        self.publish_rule(topic).is_some()
    }

    /// Whether a topic, or a pattern as a whole, may be read. One rule must cover a pattern whole, and no
    /// earlier rule may take a part of it away.
    #[must_use]
    pub fn may_subscribe(&self, selector: &Selector) -> bool {
        self.subscribe_rule(selector).is_some()
    }

    fn publish_rule(&self, topic: &TopicName) -> Option<Grant> {
        let mut deciding = self.rules().filter(|(_, rule)| rule.decides(rule.publish));
        let (grant, rule) = deciding.find(|(_, rule)| rule.pattern.matches(topic))?;
        (rule.publish && !topic.is_reserved()).then_some(grant)
    }

    fn subscribe_rule(&self, selector: &Selector) -> Option<Grant> {
        let mut deciding = self.rules().filter(|(_, rule)| rule.decides(rule.subscribe));
        let (grant, rule) = deciding.find(|(_, rule)| match selector {
            Selector::Topic(topic) => rule.pattern.matches(topic),
            // The first rule that either grants all of it or takes a part of it away.
            Selector::Pattern(pattern) if rule.subscribe => rule.pattern.covers(pattern),
            Selector::Pattern(pattern) => rule.pattern.overlaps(pattern),
        })?;
        rule.subscribe.then_some(grant)
    }

    fn rules(&self) -> impl Iterator<Item = (Grant, &AccessRule)> {
        (0..).map(|rule| Grant { rule }).zip(&self.rules)
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
