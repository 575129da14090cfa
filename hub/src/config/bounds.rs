//! The section `[limits]`: every bound of the gate and of the core by its field's name. Defaults and their reasons
//! stand on the fields.

use std::collections::BTreeMap;

use tidewire_hub_core::limits as core;
use tidewire_hub_core::limits::agreement::Contradiction;

use crate::config::problem::{Problem, Written};
use crate::gate::limits as gate;

/// Both structs.
#[derive(Debug, Clone, Default)]
pub(super) struct Limits {
    pub(super) gate: gate::Limits,
    pub(super) core: core::Limits,
}

/// Lists the fields of both structs, completely, with the values that each may have.
macro_rules! bounds {
    (gate { $($gate:ident: $gate_range:expr,)* } core { $($core:ident: $core_range:expr,)* }) => {
        /// Every limit that there is.
        pub(super) const NAMES: &[&str] = &[$(stringify!($gate),)* $(stringify!($core),)*];

        /// The values that a limit may have.
        fn range(name: &str) -> Option<(u64, u64)> {
            Some(match name {
                $(stringify!($gate) => $gate_range,)*
                $(stringify!($core) => $core_range,)*
                _ => return None,
            })
        }

        impl Limits {
            /// A limit by its name.
            pub(super) fn named(&self, name: &str) -> Option<u64> {
                Some(match name {
                    $(stringify!($gate) => self.gate.$gate as u64,)*
                    $(stringify!($core) => self.core.$core as u64,)*
                    _ => return None,
                })
            }

            fn set(&mut self, name: &str, value: u64) {
                match name {
                    $(stringify!($gate) => self.gate.$gate = value as _,)*
                    $(stringify!($core) => self.core.$core = value as _,)*
                    _ => {}
                }
            }
        }

        /// A limit that cannot be set does not compile.
        #[allow(dead_code)]
        fn complete(gate: gate::Limits, core: core::Limits) {
            let gate::Limits { $($gate: _,)* } = gate;
            let core::Limits { $($core: _,)* } = core;
        }
    };
}

/// Above these, numbers are slips of the keyboard.
const COUNT: (u64, u64) = (1, 100_000_000);
const BYTES: (u64, u64) = (1, 1 << 32);
/// Six times this is still a size that a frame may have.
const MESSAGE_BYTES: (u64, u64) = (1, 128 << 20);
/// What clients gather into one WebSocket message, whatever its messages' sizes, and the last of them.
const FRAME_BYTES: (u64, u64) = (32 << 10, 1 << 32);
/// A sign-in, with a token.
const FIRST_BYTES: (u64, u64) = (1 << 10, 1 << 20);
/// The answers to one WebSocket message of small questions.
const OUTBOX_BYTES: (u64, u64) = (64 << 10, 1 << 32);
/// Several of the messages that clients gather into one WebSocket message: a batch alone is no reason to lose any.
const TAIL_BYTES: (u64, u64) = (64 << 10, 1 << 32);
const NODE_BYTES: (u64, u64) = (1 << 20, 1 << 44);
const MS: (u64, u64) = (1, 30 * 86_400_000);
/// What takes a journey to the client and back, or two.
const JOURNEY_MS: (u64, u64) = (100, 30 * 86_400_000);

bounds! {
    gate {
        connections_max: COUNT,
        connections_per_address_max: COUNT,
        handshakes_max: (1, 1_000_000),
        handshakes_per_address_max: (1, 1_000_000),
        refusals_max: (1, 1_000_000),
        handshake_ms: JOURNEY_MS,
        http_ms: JOURNEY_MS,
        header_bytes_max: (1_024, 1 << 20),
        headers_max: (24, 1_000),
    }
    core {
        message_bytes_max: MESSAGE_BYTES,
        frame_bytes_max: FRAME_BYTES,
        first_message_bytes_max: FIRST_BYTES,
        fragments_max: (1_024, u32::MAX as u64),
        sign_in_ms: JOURNEY_MS,
        heartbeat_ms: (100, 3_600_000),
        outbox_bytes_max: OUTBOX_BYTES,
        subscriptions_max: COUNT,
        patterns_max: COUNT,
        pattern_shapes_max: COUNT,
        participants_max: COUNT,
        handles_max: COUNT,
        handles_bytes_max: NODE_BYTES,
        in_flight_max: COUNT,
        publishes_per_second_max: (0, 100_000_000),
        publishes_per_second_per_address_max: (0, 100_000_000),
        topic_depth_max: (1, 128),
        topics_max: COUNT,
        windows_bytes_max: NODE_BYTES,
        producers_bytes_max: NODE_BYTES,
        window_ms: MS,
        removals_ms: MS,
        reading_bytes_max: NODE_BYTES,
        node_bytes_max: NODE_BYTES,
        block_bytes: (256, 1 << 20),
        pattern_tail_bytes: TAIL_BYTES,
        bare_tail_bytes: TAIL_BYTES,
        page_bytes_max: BYTES,
        lag_bytes_max: TAIL_BYTES,
        pinned_bytes_max: NODE_BYTES,
        unread_bytes_max: NODE_BYTES,
        half_received_bytes_max: NODE_BYTES,
        slice_sends: (1, 100_000),
        write_bytes: (1, 1 << 30),
        pending_bytes_max: NODE_BYTES,
        close_ms: JOURNEY_MS,
    }
}

impl Limits {
    /// Puts what is written over the defaults. A limit that is not written makes room for those that are; if it
    /// cannot, or if two that are written contradict each other, that is a problem, unless one of them is wrong already.
    pub(super) fn read(written: &BTreeMap<String, Written<i64>>, problems: &mut Vec<Problem>) -> Self {
        let mut limits = Self::default();
        for (name, Written { value, place }) in written {
            let Some((min, max)) = range(name) else { continue };
            match u64::try_from(*value) {
                Ok(value) if (min..=max).contains(&value) => limits.set(name, value),
                Ok(_) | Err(_) => problems.push(place.wrong(format!("{min} to {max}"))),
            }
        }
        loop {
            let contradictions = limits.check();
            let gives_way = |found: &&Contradiction| {
                let most = range(found.small).map_or(0, |(_, max)| max);
                !written.contains_key(found.small) && found.least <= most
            };
            match contradictions.iter().find(gives_way) {
                Some(found) => limits.set(found.small, found.least),
                None => {
                    let is_wrong = |name| problems.iter().any(|problem| problem.is_about_limit(name));
                    // One that is not written and has only made room asks for no more than what it did that for.
                    let is_told = |found: &&Contradiction| {
                        let of_written = |other: &Contradiction| {
                            other.small == found.small
                                && other.least >= found.least
                                && written.contains_key(other.large)
                        };
                        written.contains_key(found.large) || !contradictions.iter().any(of_written)
                    };
                    let contradictions: Vec<_> = contradictions
                        .iter()
                        .filter(is_told)
                        .filter(|found| !is_wrong(found.small) && !is_wrong(found.large))
                        .cloned()
                        .collect();
                    let place = |name| Some(written.get(name)?.place.clone());
                    problems.extend(contradictions.into_iter().map(|found| {
                        let written = [found.small, found.large].into_iter().filter_map(place).collect();
                        Problem::Contradiction { written, found }
                    }));
                    return limits;
                }
            }
        }
    }

    /// Every limit that has another value than by default: its name, its value and the default.
    pub(super) fn changed(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        self.differing(Self::default())
    }

    /// Every limit that has another value than there: its name, its value and the other.
    pub(super) fn differing(&self, other: Self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        NAMES.iter().filter_map(move |name| {
            let (value, other) = (self.named(name)?, other.named(name)?);
            (value != other).then_some((*name, value, other))
        })
    }

    fn check(&self) -> Vec<Contradiction> {
        let mut found = self.gate.check();
        found.extend(self.core.check());
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_default_is_allowed() {
        let limits = Limits::default();
        for name in NAMES {
            let (value, (min, max)) = (limits.named(name).unwrap(), range(name).unwrap());
            assert!((min..=max).contains(&value), "{name} is {value}");
        }
        assert_eq!(limits.check(), []);
    }

    #[test]
    fn every_limit_is_documented_with_its_default() {
        let page = include_str!("../../../docs/CONFIGURATION.md");
        for name in NAMES {
            let row = page.lines().find_map(|line| line.strip_prefix(&format!("| `{name}` | ")));
            let default = row.expect(name).split(" |").next().unwrap();
            let number = default.split(" (").next().unwrap().replace(',', "");
            assert_eq!(number.parse(), Ok(Limits::default().named(name).unwrap()), "{name}: {default}");
        }
    }
}
