//! The hub's steady clock: starts at the system's time and then goes at the pace of the monotonic clock. Beside it, the
//! system's, which people and programs correct.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tidewire_hub_core::clock::Millis;

/// Tells the time. Copies tell the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: Instant,
    started_at_ms: u64,
}

impl Clock {
    /// A clock that has the system's time now.
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), started_at_ms: Self::system().0 }
    }

    /// So many milliseconds pass.
    #[cfg(test)]
    pub(super) const fn pass(&mut self, ms: u64) {
        self.started_at_ms += ms;
    }

    /// What the system's clock says.
    pub(super) fn system() -> Millis {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(since_1970.as_millis() as u64)
    }

    /// The steady time.
    pub(super) fn now(self) -> Millis {
        Millis(self.started_at_ms + self.started.elapsed().as_millis() as u64)
    }
}
