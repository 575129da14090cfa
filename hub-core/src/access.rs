//! Who may do what: rules by pattern, first match wins, and beside them what a caller's token allows. Rules may change
//! while the hub runs.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use tidewire_protocol::code::Code;
use tidewire_protocol::name::{Pattern, Selector, TopicName};

use crate::access::caller::{Caller, PassEdition, Right, covers, meets};
use crate::access::only::Only;
use crate::sync::{AtomicU32, Mutex, Ordering, lock};

pub mod only;

pub mod caller;

/// The access rules of a hub.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// In the order in which they are asked.
    pub rules: Vec<AccessRule>,
    edition: Edition,
}

/// Tells rules from those that held before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edition(pub u32);

/// The rules that hold now.
#[derive(Debug)]
pub struct InForce {
    access: Mutex<Arc<Access>>,
    /// The edition of those in there, for all who only want to know whether others hold by now.
    edition: AtomicU32,
}

/// What may be done with the topics that a pattern matches. Whatever a rule does not allow is settled all the same, for
/// everybody, whoever the rule speaks of: whoever forgets to say it has not opened a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// Whom it allows something.
    pub who: Who,
    /// Which topics.
    pub pattern: Pattern,
    /// Whether they may be published to.
    pub publish: Word,
    /// Whether they may be read: live, by history, in any way.
    pub subscribe: Word,
}

/// What a rule says of a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Whom it speaks of has the right.
    Allows,
    /// Nobody has, whatever a token says.
    Denies,
    /// No rule behind it gives it. A token may.
    LeavesOut,
}

/// Whom a rule speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// All clients, those that have not signed in among them.
    Everybody,
    /// Clients that have signed in by a token.
    SignedIn,
    /// Some of these. Such a rule says nothing of any other, be it that it allows, denies or leaves out.
    Some(Box<Only>),
}

/// What decides a question, by its place among the rules or among what a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A rule allows it.
    Allowed {
        /// Which.
        rule: usize,
    },
    /// A rule denies it, or a part of it.
    Denied {
        /// Which.
        rule: usize,
    },
    /// The token allows what no rule settles.
    ByToken {
        /// Which of its allowances.
        allowance: usize,
    },
    /// Nothing allows it.
    Nothing {
        /// A rule that left it to tokens, behind which no rule could allow it.
        left_out: Option<usize>,
    },
    /// The topic is the hub's own, and nobody publishes there.
    Reserved,
}

impl Decision {
    /// Whether it is allowed.
    #[must_use]
    pub const fn allows(self) -> bool {
        matches!(self, Self::Allowed { .. } | Self::ByToken { .. })
    }
}

/// A topic or selector that its holder may use. Only [`Access`] makes it, and topics take nothing else: who has one
/// was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted<T> {
    to: T,
    grant: Grant,
}

/// What the rules of an edition said of something. It stays with what was granted, and is asked for anew when other rules
/// hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Of which rules.
    pub edition: Edition,
    /// Of which of the caller's passes.
    pub pass: PassEdition,
    /// Whether they allow it.
    pub holds: bool,
}

impl Grant {
    /// Whether the same would be said now, of this caller.
    #[must_use]
    pub fn is_current(&self, rules: Edition, caller: &Caller) -> bool {
        self.edition == rules && self.pass == caller.edition()
    }
}

impl<T> Granted<T> {
    /// What the rules said of it.
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
    /// Its pattern as it is for a caller; none if it says nothing of that one.
    fn pattern_for(&self, caller: &Caller) -> Option<Cow<'_, Pattern>> {
        match &self.who {
            Who::Everybody | Who::SignedIn => Some(Cow::Borrowed(&self.pattern)),
            Who::Some(only) => only.pattern(&self.pattern, caller),
        }
    }

    /// What it says of a right.
    #[must_use]
    pub fn word(&self, right: Right) -> Word {
        match right {
            Right::Publish => self.publish,
            Right::Subscribe | Right::History => self.subscribe,
        }
    }

    /// Whether it allows anything.
    #[must_use]
    pub fn allows_something(&self) -> bool {
        self.publish == Word::Allows || self.subscribe == Word::Allows
    }
}

impl Access {
    /// Everybody may do everything: `--dev`.
    #[must_use]
    pub fn open() -> Self {
        let everything = Pattern::parse(">").ok();
        let rule = |pattern| AccessRule {
            who: Who::Everybody,
            pattern,
            publish: Word::Allows,
            subscribe: Word::Allows,
        };
        Self::of(everything.into_iter().map(rule).collect())
    }

    /// These rules, in the order in which they are asked.
    #[must_use]
    pub fn of(rules: Vec<AccessRule>) -> Self {
        Self { rules, edition: Edition::default() }
    }

    /// Which rules these are.
    #[must_use]
    pub fn edition(&self) -> Edition {
        self.edition
    }

    /// Grants to publish to a topic.
    ///
    /// # Errors
    /// [`Code::Forbidden`] if nothing allows it.
    pub fn publish(&self, caller: &Caller, to: TopicName) -> Result<Granted<TopicName>, Code> {
        let grant = self.publish_grant(caller, &to);
        grant.holds.then_some(Granted { to, grant }).ok_or(Code::Forbidden)
    }

    /// Grants to read a topic, or all that a pattern matches, by a right.
    ///
    /// # Errors
    /// [`Code::Forbidden`] if nothing allows it whole.
    pub fn read(&self, caller: &Caller, right: Right, to: Selector) -> Result<Granted<Selector>, Code> {
        let grant = self.grant(caller, self.may(caller, right, &to));
        grant.holds.then_some(Granted { to, grant }).ok_or(Code::Forbidden)
    }

    /// Grants the hub itself to publish to a reserved topic, and to read it; nothing for any other.
    #[must_use]
    pub fn own(&self, topic: &TopicName) -> Option<(Granted<TopicName>, Granted<Selector>)> {
        let grant = self.grant(&Caller::default(), topic.is_reserved());
        let (to, selector) = (topic.clone(), Selector::Topic(topic.clone()));
        grant.holds.then_some((Granted { to, grant }, Granted { to: selector, grant }))
    }

    /// What is to be said of publishing to a topic.
    #[must_use]
    pub fn publish_grant(&self, caller: &Caller, topic: &TopicName) -> Grant {
        self.grant(caller, self.may(caller, Right::Publish, &Selector::Topic(topic.clone())))
    }

    /// Whether a caller may do something with a topic, or with all that a pattern matches.
    #[must_use]
    pub fn may(&self, caller: &Caller, right: Right, what: &Selector) -> bool {
        self.decide(caller, right, what).allows()
    }

    /// What decides whether it may. One decision for all: rules go first, in their order, and one that denies a part denies the
    /// whole; what none of them settles a token may allow. Nobody publishes to reserved topics, which are the hub's own.
    #[must_use]
    pub fn decide(&self, caller: &Caller, right: Right, what: &Selector) -> Decision {
        if right == Right::Publish && is_reserved(what) {
            return Decision::Reserved;
        }
        let mut left_out = None;
        for (at, rule) in self.rules.iter().enumerate() {
            let Some(pattern) = rule.pattern_for(caller) else { continue };
            match rule.word(right) {
                Word::Allows if left_out.is_some() || !rule.who.means(caller) => {}
                Word::Allows if covers(&pattern, what) => return Decision::Allowed { rule: at },
                Word::Allows => {}
                Word::Denies if meets(&pattern, what) => return Decision::Denied { rule: at },
                Word::Denies => {}
                Word::LeavesOut if meets(&pattern, what) => left_out = left_out.or(Some(at)),
                Word::LeavesOut => {}
            }
            if left_out.is_some() && !caller.has_signed_in() {
                break;
            }
        }
        match caller.allowance(right, what) {
            Some(allowance) => Decision::ByToken { allowance },
            None => Decision::Nothing { left_out },
        }
    }

    fn grant(&self, caller: &Caller, holds: bool) -> Grant {
        Grant { edition: self.edition, pass: caller.edition(), holds }
    }
}

impl Who {
    fn means(&self, caller: &Caller) -> bool {
        match self {
            Self::Everybody => true,
            Self::SignedIn | Self::Some(_) => caller.has_signed_in(),
        }
    }
}

fn is_reserved(what: &Selector) -> bool {
    match what {
        Selector::Topic(topic) => topic.is_reserved(),
        Selector::Pattern(pattern) => pattern.as_str().starts_with('$'),
    }
}

impl InForce {
    /// The first.
    #[must_use]
    pub fn new(access: Access) -> Self {
        Self { edition: AtomicU32::new(access.edition.0), access: Mutex::new(Arc::new(access)) }
    }

    /// Which they are.
    #[must_use]
    pub fn now(&self) -> Arc<Access> {
        Arc::clone(&*lock(&self.access))
    }

    /// Tells them from those that held before.
    #[must_use]
    pub fn edition(&self) -> Edition {
        Edition(self.edition.load(Ordering::Acquire))
    }

    /// From now on others hold.
    pub fn change(&self, access: Access) {
        let mut now = lock(&self.access);
        let edition = Edition(now.edition.0.wrapping_add(1));
        *now = Arc::new(Access { edition, ..access });
        self.edition.store(edition.0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::access::caller::{Allowance, Claims, Pass, Rights};
    use crate::access::only::SubjectIs;
    use crate::clock::NEVER;
    use crate::ledger::{AccountKey, Ledger};

    fn rule(who: Who, pattern: &str, publish: Word, subscribe: Word) -> AccessRule {
        AccessRule { who, pattern: Pattern::parse(pattern).unwrap(), publish, subscribe }
    }

    fn access(rules: &[(&str, bool)]) -> Access {
        let word = |allows: bool| if allows { Word::Allows } else { Word::Denies };
        let rule =
            |(pattern, allows): &(&str, bool)| rule(Who::Everybody, pattern, word(*allows), word(*allows));
        Access::of(rules.iter().map(rule).collect())
    }

    fn topic(name: &str) -> TopicName {
        TopicName::parse(name).unwrap()
    }

    fn may(access: &Access, caller: &Caller, right: Right, name: &str) -> bool {
        access.may(caller, right, &Selector::parse(name).unwrap())
    }

    /// Ada, whose token allows this.
    fn ada(allow: &[(&str, &[Right])]) -> Caller {
        let account = Arc::new(Ledger::default()).account(AccountKey(1));
        Caller::new(pass("ada", allow), &account).unwrap()
    }

    fn pass(subject: &str, allow: &[(&str, &[Right])]) -> Pass {
        let allowance = |(pattern, to): &(&str, &[Right])| Allowance {
            pattern: Pattern::parse(pattern).unwrap(),
            to: to.iter().fold(Rights::NONE, |rights, right| rights.with(*right)),
        };
        let allow = allow.iter().map(allowance).collect();
        Pass { subject: subject.into(), allow, expires_at: NEVER, ends_at: NEVER, ..Pass::default() }
    }

    #[track_caller]
    fn check(rules: &[(&str, bool)], wanted: &str, expected: bool) {
        let anonymous = Caller::default();
        assert_eq!(may(&access(rules), &anonymous, Right::Subscribe, wanted), expected, "{wanted}");
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
    fn what_is_granted_tells_of_which_rules() {
        let anonymous = Caller::default();
        let rules = InForce::new(access(&[("a.>", true)]));
        let granted = rules.now().publish(&anonymous, topic("a.b")).unwrap();
        assert!(granted.grant().holds && granted.grant().is_current(rules.edition(), &anonymous));
        rules.change(access(&[("a.b", false), ("a.>", true)]));
        assert!(!granted.grant().is_current(rules.edition(), &anonymous));
        let now = rules.now().publish_grant(&anonymous, &granted);
        assert!(!now.holds && now.is_current(rules.edition(), &anonymous));
        assert_eq!(rules.now().publish(&anonymous, topic("a.b")), Err(Code::Forbidden));
    }

    #[test]
    fn an_allowance_is_for_whom_it_speaks_of_and_a_denial_for_everybody() {
        let mut access = access(&[("a.secret.>", false), ("a.team.>", true), ("a.>", true)]);
        let (anonymous, ada) = (Caller::default(), ada(&[]));
        let may_both = |access: &Access, caller: &Caller, name: &str| {
            let subscribe = may(access, caller, Right::Subscribe, name);
            assert_eq!(subscribe, may(access, caller, Right::Publish, name), "{name}");
            subscribe
        };
        for rule in &mut access.rules[..2] {
            rule.who = Who::SignedIn;
        }
        for caller in [&anonymous, &ada] {
            assert!(!may_both(&access, caller, "a.secret.b") && may_both(&access, caller, "a.b"));
            assert!(may_both(&access, caller, "a.team.b"));
            assert!(!may(&access, caller, Right::Subscribe, "a.>"));
            assert!(!may(&access, caller, Right::Subscribe, "a.*.b"));
            assert!(may(&access, caller, Right::Subscribe, "a.team.*"));
        }
        access.rules.truncate(2);
        assert!(!may_both(&access, &anonymous, "a.team.b"), "only those who sign in");
        assert!(may_both(&access, &ada, "a.team.b"));
    }

    #[test]
    fn reserved_topics_are_never_published_to() {
        let access = access(&[("$x.>", true), (">", true)]);
        for caller in [Caller::default(), ada(&[("$x.>", &[Right::Publish]), ("$x.a", &[Right::Publish])])] {
            assert!(!may(&access, &caller, Right::Publish, "$x.a"));
            assert!(may(&access, &caller, Right::Publish, "x.a"));
        }
        assert!(access.own(&topic("$x.a")).is_some() && access.own(&topic("x.a")).is_none());
    }

    #[test]
    fn a_token_allows_what_no_rule_settles() {
        let ada = ada(&[("a.>", &[Right::Publish, Right::Subscribe]), ("kept.>", &[Right::History])]);
        let none = Access::default();
        assert!(may(&none, &ada, Right::Publish, "a.b") && may(&none, &ada, Right::Subscribe, "a.b.*"));
        assert!(may(&none, &ada, Right::History, "a.>"), "to subscribe is to read in any way");
        assert!(may(&none, &ada, Right::History, "kept.a"));
        for (right, name) in [
            (Right::Subscribe, "kept.a"),
            (Right::Publish, "kept.a"),
            (Right::Subscribe, "a"),
            (Right::Subscribe, ">"),
            (Right::Subscribe, "*.b"),
            (Right::History, "$a.b"),
        ] {
            assert!(!may(&none, &ada, right, name), "{right:?} {name}");
        }
        let denied = access(&[("a.secret.>", false)]);
        for (name, expected) in [("a.secret.b", false), ("a.>", false), ("a.*.b", false), ("a.b", true)] {
            assert_eq!(may(&denied, &ada, Right::Subscribe, name), expected, "{name}");
        }
    }

    #[test]
    fn what_a_rule_leaves_out_only_a_token_allows_and_no_later_rule() {
        let rules = Access::of(vec![
            rule(Who::Everybody, "a.>", Word::LeavesOut, Word::Allows),
            rule(Who::Everybody, "a.secret", Word::Denies, Word::Denies),
            rule(Who::Everybody, ">", Word::Allows, Word::Allows),
        ]);
        let (anonymous, bare) = (Caller::default(), ada(&[]));
        let writer = ada(&[("a.>", &[Right::Publish])]);
        for caller in [&anonymous, &bare] {
            assert!(may(&rules, caller, Right::Subscribe, "a.b") && may(&rules, caller, Right::Publish, "b"));
            assert!(!may(&rules, caller, Right::Publish, "a.b"));
        }
        assert!(may(&rules, &writer, Right::Publish, "a.b"));
        assert!(!may(&rules, &writer, Right::Publish, "a.secret"), "a denial goes before a token");
    }

    #[test]
    fn a_pass_is_renewed_for_its_subject_only_and_tells_when_it_allows_something_else() {
        let mut caller = ada(&[("a", &[Right::Publish])]);
        let granted = Access::default().publish(&caller, topic("a")).unwrap().grant();
        assert_eq!(caller.renew(pass("ada", &[("a", &[Right::Publish])])), Ok(false));
        assert!(granted.is_current(Edition::default(), &caller));
        assert_eq!(caller.renew(pass("bob", &[])), Err(Code::IdentityMismatch));
        assert_eq!(caller.renew(pass("ada", &[("b", &[Right::Publish])])), Ok(true));
        assert!(!granted.is_current(Edition::default(), &caller));
        assert_eq!(Access::default().publish(&caller, topic("a")), Err(Code::Forbidden));
        assert_eq!(Caller::default().renew(pass("ada", &[])), Err(Code::IdentityMismatch));
    }

    fn some(only: Only, pattern: &str, publish: Word, subscribe: Word) -> AccessRule {
        rule(Who::Some(Box::new(only)), pattern, publish, subscribe)
    }

    /// Whether Ada may read a topic, whose token says this and allows nothing; and somebody else.
    #[track_caller]
    fn check_some(rules: Vec<AccessRule>, name: &str, ada_may: bool, others_may: bool) {
        let claims = [("role", "\"admin\""), ("role", "\"user\""), ("realm.level", "3")];
        let claims = Claims(claims.map(|(path, value)| (path.into(), value.into())).to_vec());
        let account = Arc::new(Ledger::default()).account(AccountKey(1));
        let svc =
            |subject: &str, claims| Caller::new(Pass { claims, ..pass(subject, &[]) }, &account).unwrap();
        let rules = Access::of(rules);
        assert_eq!(may(&rules, &svc("svc-ada", claims), Right::Subscribe, name), ada_may, "{name}");
        for other in [Caller::default(), svc("bob", Claims::default()), svc("a.b", Claims::default())] {
            assert_eq!(may(&rules, &other, Right::Subscribe, name), others_may, "{name} {other:?}");
        }
    }

    #[test]
    fn a_rule_of_some_says_nothing_of_others() {
        let subject = |is| Only { subject: Some(is), ..Only::default() };
        let claim =
            |path: &str, value: &str| Only { claims: vec![(path.into(), value.into())], ..Only::default() };
        let both = Only { subject: Some(SubjectIs::Exactly("svc-ada".into())), ..claim("role", "\"other\"") };
        for (only, is_ada) in [
            (subject(SubjectIs::Exactly("svc-ada".into())), true),
            (subject(SubjectIs::Exactly("svc-".into())), false),
            (subject(SubjectIs::BeginsWith("svc-".into())), true),
            (subject(SubjectIs::BeginsWith("svc-ada-".into())), false),
            (claim("role", "\"user\""), true),
            (claim("role", "\"admin\""), true),
            (claim("role", "admin"), false),
            (claim("realm.level", "3"), true),
            (claim("realm.level", "\"3\""), false),
            (claim("realm", "3"), false),
            (both, false),
        ] {
            let everybody = || rule(Who::Everybody, ">", Word::Allows, Word::Allows);
            let allows = some(only.clone(), "a.>", Word::LeavesOut, Word::Allows);
            check_some(vec![allows], "a.b", is_ada, false);
            let denies = some(only.clone(), "a.>", Word::Denies, Word::Denies);
            check_some(vec![denies, everybody()], "a.*", !is_ada, true);
            let leaves_out = some(only, "a.>", Word::Allows, Word::LeavesOut);
            check_some(vec![leaves_out, everybody()], "a.b", !is_ada, true);
        }
    }

    #[test]
    fn the_subject_in_a_rules_pattern_is_each_bearers_own() {
        let own = || Only { has_subject_in_pattern: true, ..Only::default() };
        let allows = || vec![some(own(), "of.{sub}.>", Word::LeavesOut, Word::Allows)];
        check_some(allows(), "of.svc-ada.x", true, false);
        for name in ["of.*.x", "of.>", "of.a.b.x", "of.{sub}.x"] {
            check_some(allows(), name, false, false);
        }
        let everybody = rule(Who::Everybody, ">", Word::Allows, Word::Allows);
        let denies = some(own(), "of.{sub}.>", Word::Denies, Word::Denies);
        let rules = vec![denies, everybody];
        check_some(rules.clone(), "of.svc-ada.x", false, true);
        check_some(rules, "of.nobody.x", true, true);
    }

    #[test]
    fn what_decides_is_told() {
        let rules = Access::of(vec![
            rule(Who::Everybody, "a.secret", Word::Denies, Word::Denies),
            rule(Who::Everybody, "a.>", Word::LeavesOut, Word::Allows),
        ]);
        let ada = ada(&[("x", &[Right::History]), ("a.>", &[Right::Publish])]);
        for (right, name, expected) in [
            (Right::Subscribe, "a.secret", Decision::Denied { rule: 0 }),
            (Right::Subscribe, "a.b", Decision::Allowed { rule: 1 }),
            (Right::Publish, "a.b", Decision::ByToken { allowance: 1 }),
            (Right::History, "x", Decision::ByToken { allowance: 0 }),
            (Right::Subscribe, "x", Decision::Nothing { left_out: None }),
            (Right::Publish, "$x", Decision::Reserved),
        ] {
            let what = Selector::parse(name).unwrap();
            assert_eq!(rules.decide(&ada, right, &what), expected, "{name}");
            assert_eq!(rules.may(&ada, right, &what), expected.allows());
        }
        let nobody = rules.decide(&Caller::default(), Right::Publish, &Selector::parse("a.b").unwrap());
        assert_eq!(nobody, Decision::Nothing { left_out: Some(1) });
    }
}
