//! What the demo's topics keep and who may read them, unless the configuration has rules of its own for them.

use tidewire_hub_core::access::{Access, AccessRule, Who, Word};
use tidewire_hub_core::names::directory::{Retention, TopicRule};
use tidewire_protocol::name::Pattern;

use crate::reactor::logs::MEMORY_LOG;

/// The demo's rules, to stand behind those that are written: the first match counts. What they keep is in `log`.
pub(super) fn rules(log: u8) -> impl Iterator<Item = TopicRule> {
    let none = Retention { none: true, ..Retention::ALL };
    let kept = Retention::ALL;
    let rules = [
        // Ten minutes of seconds.
        ("demo.host", Retention { count: Some(600), ..kept }, log),
        // More changes than a board of sixty notes sees in a day; four megabytes bound what strangers can leave.
        ("demo.board", Retention { count: Some(5_000), bytes: Some(4 << 20), ..kept }, log),
        // Where pointers were is nobody's business later.
        ("demo.cursors", none, MEMORY_LOG),
        ("demo.ping.*", none, MEMORY_LOG),
    ];
    let rule =
        |(name, retention, log)| Some(TopicRule { pattern: Pattern::parse(name).ok()?, retention, log });
    rules.into_iter().filter_map(rule)
}

/// These access rules, and behind them one that lets everybody read the demo's topics. Who may write to them is for those
/// that are written.
pub(super) fn behind(mut access: Access) -> Access {
    let rule = |pattern| AccessRule {
        who: Who::Everybody,
        pattern,
        publish: Word::LeavesOut,
        subscribe: Word::Allows,
    };
    access.rules.extend(Pattern::parse(TOPICS).ok().map(rule));
    access
}

/// All topics of the demo.
const TOPICS: &str = "demo.>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_pattern() {
        assert_eq!(rules(MEMORY_LOG).count(), 4);
        assert_eq!(behind(Access::default()).rules.len(), 1);
    }
}
