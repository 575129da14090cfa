//! The section `[limits]`: every bound of the gate and of the core by its field's name. Defaults and their reasons
//! stand on the fields.

use std::collections::BTreeMap;

use tidewire_hub_core::limits as core;

use crate::config::Reading;
use crate::gate::limits as gate;

/// Lists the fields of both structs, completely, with the values that each may have.
macro_rules! bounds {
    (gate { $($gate:ident: $gate_range:expr,)* } core { $($core:ident: $core_range:expr,)* }) => {
        /// Sets one limit. `None` if there is none of this name; else the values that it may have.
        fn set(gate: &mut gate::Limits, core: &mut core::Limits, name: &str, value: u64) -> Option<(u64, u64)> {
            let (min, max) = match name {
                $(stringify!($gate) => $gate_range,)*
                $(stringify!($core) => $core_range,)*
                _ => return None,
            };
            if (min..=max).contains(&value) {
                match name {
                    $(stringify!($gate) => gate.$gate = value as _,)*
                    $(stringify!($core) => core.$core = value as _,)*
                    _ => {}
                }
            }
            Some((min, max))
        }

        const NAMES: &[&str] = &[$(stringify!($gate),)* $(stringify!($core),)*];

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
const BYTES: (u64, u64) = (1, 1 << 30);
const NODE_BYTES: (u64, u64) = (1 << 20, 1 << 44);
const MS: (u64, u64) = (1, 30 * 86_400_000);

bounds! {
    gate {
        connections_max: COUNT,
        connections_per_address_max: COUNT,
        handshakes_max: (1, 1_000_000),
        handshakes_per_address_max: (1, 1_000_000),
        handshake_ms: MS,
        http_ms: MS,
        header_bytes_max: (1_024, 1 << 20),
        headers_max: (8, 1_000),
    }
    core {
        message_bytes_max: BYTES,
        frame_bytes_max: BYTES,
        first_message_bytes_max: BYTES,
        fragments_max: (1, u32::MAX as u64),
        sign_in_ms: MS,
        heartbeat_ms: (100, 3_600_000),
        outbox_bytes_max: BYTES,
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
        reading_bytes_max: NODE_BYTES,
        node_bytes_max: NODE_BYTES,
        block_bytes: (256, 1 << 20),
        pattern_tail_bytes: BYTES,
        bare_tail_bytes: BYTES,
        page_bytes_max: BYTES,
        lag_bytes_max: BYTES,
        pinned_bytes_max: NODE_BYTES,
        unread_bytes_max: NODE_BYTES,
        half_received_bytes_max: NODE_BYTES,
        slice_sends: (1, 100_000),
        write_bytes: (1, 1 << 30),
        pending_bytes_max: NODE_BYTES,
        close_ms: MS,
    }
}

impl Reading {
    /// Puts what is written over the defaults.
    pub(super) fn limits(&mut self, written: &BTreeMap<String, toml::Value>) -> (gate::Limits, core::Limits) {
        let (mut gate, mut core) = (gate::Limits::default(), core::Limits::default());
        for (name, value) in written {
            let key = format!("limits.{name}");
            // A number below zero is below every range too.
            let number = value.as_integer();
            let in_question = number.and_then(|number| u64::try_from(number).ok()).unwrap_or(u64::MAX);
            match (set(&mut gate, &mut core, name, in_question), number) {
                (None, _) => {
                    self.wrong(&key, value, format!("in `limits` only the keys {}", NAMES.join(", ")))
                }
                (Some((min, max)), None) => {
                    self.wrong(&key, value, format!("a whole number, {min} to {max}"))
                }
                (Some((min, max)), Some(_)) if !(min..=max).contains(&in_question) => {
                    self.wrong(&key, value, format!("{min} to {max}"));
                }
                (Some(_), Some(_)) => {}
            }
        }
        if core.frame_bytes_max < core.message_bytes_max {
            let allowed = format!("at least message_bytes_max, which is {}", core.message_bytes_max);
            self.wrong("limits.frame_bytes_max", core.frame_bytes_max, allowed);
        }
        if core.page_bytes_max > core.outbox_bytes_max / 2 {
            // A page counts as an answer: a client that asked for one would be sent away as too slow.
            let allowed = format!("at most half of outbox_bytes_max, which is {}", core.outbox_bytes_max);
            self.wrong("limits.page_bytes_max", core.page_bytes_max, allowed);
        }
        (gate, core)
    }
}
