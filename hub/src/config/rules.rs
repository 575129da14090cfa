//! Rules by pattern: who may do what, and what topics keep. Every rule that is written is kept.

use tidewire_hub_core::access::{Access, AccessRule, Who, Word};
use tidewire_hub_core::names::directory::{Retention, TopicRule};
use tidewire_protocol::name::Pattern;

use crate::config::problem::{Place, Problem, Written};
use crate::config::raw::{RawAccess, RawRetention, RawTopics};

/// The access rules, and the place of each.
pub(super) fn access(raw: Vec<RawAccess>, problems: &mut Vec<Problem>) -> (Access, Vec<Place>) {
    let (mut rules, mut places) = (Vec::new(), Vec::new());
    for RawAccess { pattern, publish, subscribe, anonymous } in raw {
        // What a rule allows is for those who sign in unless it says otherwise; what it denies, for everybody.
        let allows = publish == Some(true) || subscribe == Some(true);
        let word = |written| match written {
            Some(true) => Word::Allows,
            Some(false) => Word::Denies,
            // A rule that allows nothing is there to deny.
            None if allows => Word::LeavesOut,
            None => Word::Denies,
        };
        let (publish, subscribe) = (word(publish), word(subscribe));
        let who = if anonymous.unwrap_or(!allows) { Who::Everybody } else { Who::SignedIn };
        if let Some(parsed) = parse(&pattern, problems) {
            rules.push(AccessRule { who, pattern: parsed, publish, subscribe });
            places.push(pattern.place);
        }
    }
    (Access::of(rules), places)
}

/// What topics keep, and the place of each rule.
pub(super) fn topics(raw: Vec<RawTopics>, problems: &mut Vec<Problem>) -> (Vec<TopicRule>, Vec<Place>) {
    let (mut rules, mut places) = (Vec::new(), Vec::new());
    for RawTopics { pattern, retention } in raw {
        let retention = retention.map(|retention| match retention {
            RawRetention::None => Retention { none: true, count: None, bytes: None, age_ms: None },
            RawRetention::Bounds(bounds) => Retention {
                none: false,
                count: bounds.count,
                bytes: bounds.bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
                age_ms: bounds.age_seconds.map(|seconds| seconds.saturating_mul(1_000)),
            },
        });
        if let (Some(parsed), Some(retention)) = (parse(&pattern, problems), retention) {
            rules.push(TopicRule { pattern: parsed, retention, log: 0 });
            places.push(pattern.place);
        }
    }
    (rules, places)
}

/// Whether a rule lets anybody do anything who has no token.
pub(super) fn is_of_use(rule: &AccessRule) -> bool {
    rule.who == Who::Everybody && rule.allows_something()
}

fn parse(pattern: &Written<String>, problems: &mut Vec<Problem>) -> Option<Pattern> {
    let parsed = Pattern::parse(&pattern.value);
    if let Err(error) = parsed {
        let allowed =
            format!("a topic name, in which `*` stands for one token and a last `>` for the rest; {error}");
        problems.push(pattern.place.wrong(allowed));
    }
    parsed.ok()
}
