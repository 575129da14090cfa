//! Rules by pattern: who may do what, and what topics keep. Every rule that is written is kept.

use tidewire_hub_core::access::only::{Only, SUB, SubjectIs};
use tidewire_hub_core::access::{Access, AccessRule, Who, Word};
use tidewire_hub_core::names::directory::{Retention, TopicRule};
use tidewire_protocol::name::Pattern;

use crate::config::durability;
use crate::config::problem::{Place, Problem, Warning, Written};
use crate::config::raw::{RawAccess, RawRetention, RawTopics};

/// The access rules, and the place of each.
pub(super) fn access(raw: Vec<RawAccess>, problems: &mut Vec<Problem>) -> (Access, Vec<Place>) {
    let (mut rules, mut places) = (Vec::new(), Vec::new());
    for RawAccess { pattern, publish, subscribe, anonymous, subject, claim } in raw {
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
        let only = Only {
            subject: subject.and_then(|subject| subject_is(subject, problems)),
            claims: claim,
            has_subject_in_pattern: pattern.value.contains(SUB),
        };
        let who = if only == Only::default() {
            match anonymous.map_or(!allows, |anonymous| anonymous.value) {
                true => Who::Everybody,
                false => Who::SignedIn,
            }
        } else {
            if let Some(Written { place, .. }) = anonymous.filter(|anonymous| anonymous.value) {
                problems.push(place.wrong(NAMED));
            }
            Who::Some(Box::new(only))
        };
        if let Some(parsed) = parse(&pattern, problems) {
            rules.push(AccessRule { who, pattern: parsed, publish, subscribe });
            places.push(pattern.place);
        }
    }
    (Access::of(rules), places)
}

/// A subject, or with a last `*` the beginning of some.
fn subject_is(written: Written<String>, problems: &mut Vec<Problem>) -> Option<SubjectIs> {
    let Written { value, place } = written;
    let begin = value.strip_suffix('*');
    let text = begin.unwrap_or(&value);
    if text.is_empty() || text.contains('*') || text.contains(char::is_control) {
        problems.push(place.wrong(SUBJECT));
        return None;
    }
    Some(match begin {
        Some(begin) => SubjectIs::BeginsWith(begin.into()),
        None => SubjectIs::Exactly(value.into()),
    })
}

/// What topics keep and where, the place of each rule, and what is of no use in them.
pub(super) fn topics(
    raw: Vec<RawTopics>,
    has_data_dir: bool,
    problems: &mut Vec<Problem>,
) -> (Vec<TopicRule>, Vec<Place>, Vec<Warning>) {
    let (mut rules, mut places, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    for RawTopics { pattern, retention, durability } in raw {
        let retention = retention.map(|retention| match retention {
            RawRetention::Usual => Retention::default(),
            RawRetention::None => Retention { none: true, ..Retention::ALL },
            RawRetention::Bounds(bounds) => Retention {
                none: false,
                count: bounds.count,
                bytes: bounds.bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
                age_ms: bounds.age_seconds.map(|seconds| seconds.saturating_mul(1_000)),
                latest_per_key: bounds.latest_per_key,
            },
        });
        let log = durability::log_of(durability.as_ref(), has_data_dir, problems);
        if let (Some(parsed), Some(retention)) = (parse(&pattern, problems), retention) {
            let rule = TopicRule { pattern: parsed, retention, log };
            warnings.extend(durability::waits_in_vain(&rule, durability.is_some(), &pattern));
            rules.push(rule);
            places.push(pattern.place);
        }
    }
    (rules, places, warnings)
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

const SUBJECT: &str = "a subject, or the beginning of some and a last `*`, like \"svc-*\"; for all who have signed in, leave it out";
const NAMED: &str = "false: a rule with `subject`, `claim` or `{sub}` is for some who have signed in";
