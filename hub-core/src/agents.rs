//! What clients call themselves, for operators: each name is kept once, however many bear it, and there is an end to names.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::sync::{Mutex, lock};

/// The names that connections bear.
#[derive(Debug, Default)]
pub struct Agents(Mutex<BTreeSet<Arc<str>>>);

impl Agents {
    /// The name of a client, cut where it is long; `None` for none, one that cannot be told, and where there are very many.
    pub fn note(&self, agent: &str) -> Option<Arc<str>> {
        let end =
            agent.char_indices().map(|(at, _)| at).find(|at| *at >= AGENT_BYTES_MAX).unwrap_or(agent.len());
        let agent =
            agent.get(..end).filter(|agent| !agent.is_empty() && !agent.chars().any(char::is_control))?;
        let mut names = lock(&self.0);
        if let Some(known) = names.get(agent) {
            return Some(Arc::clone(known));
        }
        if names.len() >= AGENTS_MAX {
            names.retain(|name| Arc::strong_count(name) > 1);
        }
        let name: Arc<str> = agent.into();
        (names.len() < AGENTS_MAX && names.insert(Arc::clone(&name))).then_some(name)
    }
}

/// Names that are kept at once. There are versions of a few clients; the rest is somebody's game.
const AGENTS_MAX: usize = 256;
/// Longer ones are cut behind the character that reaches this.
const AGENT_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_there_is_an_end_to_names() {
        let agents = Agents::default();
        let first = agents.note("tidewire-js/1").unwrap();
        assert!(Arc::ptr_eq(&first, &agents.note("tidewire-js/1").unwrap()));
        let held: Vec<_> = (1..AGENTS_MAX).map(|n| agents.note(&format!("x/{n}")).unwrap()).collect();
        assert!(agents.note("one more").is_none() && agents.note("tidewire-js/1").is_some());
        drop(held);
        assert!(agents.note("one more").is_some());
        assert_eq!(lock(&agents.0).len(), 2, "those that nobody bears any more are gone");
    }

    #[test]
    fn what_cannot_be_told_is_no_name() {
        let agents = Agents::default();
        for wrong in ["", "a\nb", "\u{7f}"] {
            assert!(agents.note(wrong).is_none(), "{wrong:?}");
        }
        let long = agents.note(&"é".repeat(100)).unwrap();
        assert_eq!(&*long, "é".repeat(32));
    }
}
