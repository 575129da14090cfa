//! Topic names and patterns that are none, with the rule that they break.

use tidewire_client::Code;
use tidewire_protocol::name::{NAME_BYTES_MAX, NameError, Selector, TopicName, is_pattern};

/// What is wrong with a topic that the hub, or this side, calls a bad name.
pub(crate) fn bad_topic(name: &str) -> String {
    let rule = match TopicName::parse(name) {
        Err(NameError::BadCharacter) if is_pattern(name) => {
            "a message goes to one topic, and `*` and `>` stand for many".into()
        }
        parsed => broken_rule(name, parsed.err()),
    };
    format!("{}: {rule}", Code::BadName.sentence())
}

/// The same for a topic or pattern to read.
pub(crate) fn bad_selector(name: &str) -> String {
    format!("{}: {}", Code::BadName.sentence(), broken_rule(name, Selector::parse(name).err()))
}

fn broken_rule(name: &str, error: Option<NameError>) -> String {
    match error {
        Some(NameError::TooLong) => {
            format!("it has {} bytes, and a name has at most {NAME_BYTES_MAX}", name.len())
        }
        Some(error @ (NameError::Empty | NameError::BadCharacter)) => error.to_string(),
        // A name that is right everywhere else.
        None => {
            let tokens = name.split('.').count();
            format!(
                "it has {tokens} tokens between dots, and the hub takes fewer (its `limits.topic_depth_max`)"
            )
        }
    }
}
