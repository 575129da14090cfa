//! The topics that worlds speak of, and who hears of which.

use std::sync::OnceLock;

use tidewire_protocol::name::{Pattern, Selector, TopicName};

/// A topic, by its place in [`NAMES`].
pub type TopicIndex = u8;
/// A topic or pattern, by its place in [`NAMES`].
pub type SelectorIndex = u8;

/// Topics, then patterns.
pub const NAMES: [&str; SELECTORS] =
    ["a", "a.b", "a.c", "b", "b.x", "b.x.y", "c.x.y", "d", "m", "a.*", "b.>", "*.x.*", ">"];
/// How many of them are topics.
pub const TOPICS: usize = 9;
/// How many topics take messages in every world, whether they have a key or not.
pub const PLAIN: usize = 8;
/// The topic that keeps the latest of each key, where one does.
pub const KEYED: TopicIndex = 8;
/// How many there are.
pub const SELECTORS: usize = 13;
/// The pattern that matches everything.
pub const EVERYTHING: SelectorIndex = 12;

/// A topic that only those name who keep no rule; nobody listens to it but by the pattern for everything.
pub const FOREIGN: TopicIndex = TopicIndex::MAX;

/// The topic of this name.
#[must_use]
pub fn topic_named(name: &str) -> Option<TopicIndex> {
    NAMES[..TOPICS].iter().position(|known| *known == name).map(|index| index as TopicIndex)
}

/// The topic or pattern of this name.
#[must_use]
pub fn selector_named(name: &str) -> Option<SelectorIndex> {
    NAMES.iter().position(|known| *known == name).map(|index| index as SelectorIndex)
}

/// The selectors that a topic's messages go to.
#[must_use]
pub fn audience_of(topic: TopicIndex) -> &'static [SelectorIndex] {
    static TABLE: OnceLock<Vec<Vec<SelectorIndex>>> = OnceLock::new();
    let table = TABLE.get_or_init(|| NAMES[..TOPICS].iter().map(|topic| matching(topic)).collect());
    table.get(usize::from(topic)).map_or(&[EVERYTHING], Vec::as_slice)
}

fn matching(topic: &str) -> Vec<SelectorIndex> {
    let hears = |name: &str| match (Selector::parse(name), TopicName::parse(topic)) {
        (Ok(Selector::Topic(name)), Ok(topic)) => name == topic,
        (Ok(Selector::Pattern(pattern)), Ok(topic)) => pattern.matches(&topic),
        (Err(_), _) | (_, Err(_)) => false,
    };
    (0..SELECTORS).filter(|index| hears(NAMES[*index])).map(|index| index as SelectorIndex).collect()
}

/// The pattern that matches everything.
///
/// # Panics
/// Never: `>` is a pattern.
#[must_use]
pub fn everything() -> Selector {
    Selector::Pattern(Pattern::parse(NAMES[usize::from(EVERYTHING)]).expect("`>` is a pattern"))
}
