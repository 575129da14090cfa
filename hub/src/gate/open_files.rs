//! Open files, shared out: what the hub needs for itself, then connections that speak HTTP, then WebSockets. With few
//! of them the hub stays reachable and holds fewer clients.

use crate::gate::limits::Limits;

/// What there is room for, where that is less than the limits say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// Open files of the process.
    pub files: usize,
    /// WebSockets that fit.
    pub connections: usize,
    /// WebSockets that were wanted.
    pub wanted: usize,
}

/// How many open files there are, and who has them beside connections.
#[derive(Debug, Clone, Copy)]
pub struct OpenFiles {
    /// Of the process.
    pub files: usize,
    /// Threads that own connections.
    pub shards: usize,
    /// Connections of operators.
    pub operators: usize,
}

impl OpenFiles {
    /// Lowers limits so that all connections they allow together fit, beside those of the shards and of operators; tells if that
    /// cost WebSockets.
    pub fn fit(&self, limits: &mut Limits) -> Option<Shortage> {
        let own = OWN_FILES + FILES_PER_SHARD * self.shards + self.operators;
        let room = self.files.saturating_sub(own);
        limits.refusals_max = limits.refusals_max.min(room / 16).max(1);
        let handshakes = limits.handshakes_max.min(room / 8).max(1);
        // One address must not get all of what is left unless it might have had all before. A quarter is no more than it may.
        let of_one = limits.handshakes_per_address_max.min(limits.handshakes_max);
        let scaled = of_one as u128 * handshakes as u128 / limits.handshakes_max.max(1) as u128;
        let scaled = usize::try_from(scaled).unwrap_or(usize::MAX).max(handshakes / 4).max(1);
        limits.handshakes_per_address_max = of_one.min(scaled);
        limits.handshakes_max = handshakes;
        let connections = room.saturating_sub(limits.handshakes_max + limits.refusals_max).max(1);
        let wanted = limits.connections_max;
        limits.connections_max = wanted.min(connections);
        (connections < wanted).then_some(Shortage { files: self.files, connections, wanted })
    }
}

/// Listeners, standard streams, what the runtime and the system's libraries hold, and what `/metrics` reads.
const OWN_FILES: usize = 64;
/// A poll, its waker, and one to spare.
const FILES_PER_SHARD: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: usize, limits: &Limits) -> Limits {
        let mut fitted = limits.clone();
        let shortage = OpenFiles { files, shards: 2, operators: 0 }.fit(&mut fitted);
        let all = fitted.connections_max + fitted.handshakes_max + fitted.refusals_max;
        assert!(all + OWN_FILES + 6 <= files.max(OWN_FILES + 9), "{files} files: {fitted:?}");
        assert_eq!(shortage.is_some(), fitted.connections_max < limits.connections_max, "{files} files");
        fitted
    }

    #[test]
    fn everything_fits_and_one_address_does_not_get_all() {
        for files in [0, 64, 100, 256, 600, 1_024, 65_536] {
            let limits = check(files, &Limits::default());
            assert!(limits.handshakes_per_address_max <= limits.handshakes_max.div_ceil(2), "{files} files");
        }
        assert!(check(600, &Limits::default()).connections_max > 400);
    }

    #[test]
    fn nothing_changes_where_there_is_room() {
        assert_eq!(check(1 << 20, &Limits::default()), Limits::default());
    }

    #[test]
    fn a_bound_that_leaves_room_stays_as_it_was_set() {
        let few = Limits { handshakes_per_address_max: 2, ..Limits::default() };
        assert_eq!(check(20_000, &few).handshakes_per_address_max, 2);
    }

    #[test]
    fn one_address_that_may_have_all_still_may() {
        let all = Limits { handshakes_per_address_max: 4_096, ..Limits::default() };
        let limits = check(600, &all);
        assert_eq!(limits.handshakes_per_address_max, limits.handshakes_max);
    }
}
