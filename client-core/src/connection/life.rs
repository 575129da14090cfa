//! Whether the hub is there: what is done when somebody wants to know now, and what counts as a sign of life.

use tidewire_protocol::number::Request;

use crate::connection::{Change, Connection, State};
use crate::input::{Millis, NEVER};
use crate::limits::{PROBE_BYTES_PER_MS, PROBE_MS_MAX, STABLE_MS, UNANSWERED_MS_MAX};
use crate::mutant::{self, Mutant};
use crate::options::Options;
use crate::outputs::Outputs;

impl Connection {
    /// Somebody wants it now: no reason to wait any longer.
    pub(crate) fn retry_now(&mut self, now: Millis, options: &Options, out: &mut Outputs) -> Change {
        match &mut self.state {
            State::Idle | State::Waiting { .. } | State::Suspended => self.begin(now, options, out),
            // What was begun before may never come about; what begins now would by then.
            State::Opening { until } | State::SigningIn { until } => {
                *until = (*until).min(now + PROBE_MS_MAX)
            }
            State::Online { .. } => return Change::Doubt,
            State::Fetching { .. } | State::Leaving { .. } | State::Closed => {}
        }
        Change::None
    }

    /// The network is back, or a suspension ends. A hub that asked to stay away is still left alone.
    pub(crate) fn online(&mut self, now: Millis, options: &Options, out: &mut Outputs) -> Change {
        match self.state {
            State::Idle | State::Waiting { asked: true, .. } => Change::None,
            _ => self.retry_now(now, options, out),
        }
    }

    /// The hub is asked for a heartbeat, behind so many bytes that are on their way; whether it is to be. A number `doubt`
    /// is that of the question if the link may be dead.
    pub(crate) fn probe(&mut self, now: Millis, flying: u64, doubt: Request) -> bool {
        let State::Online { silent_at, probe_at, is_probed, doubt: doubted, silence_ms, .. } =
            &mut self.state
        else {
            return false;
        };
        let is_asked = if doubt.0 == 0 { *is_probed } else { doubted.0 > 0 };
        if is_asked {
            return false;
        }
        *doubted = doubt.max(*doubted);
        (*probe_at, *is_probed) = (NEVER, true);
        let until = now + PROBE_MS_MAX + flying / PROBE_BYTES_PER_MS;
        // Only what is heard is a sign of life.
        *silent_at =
            if mutant::active(Mutant::ProbeCountsAsLife) { now + *silence_ms } else { until.min(*silent_at) };
        true
    }

    /// Whether there is a link that may be dead.
    pub(crate) const fn is_doubted(&self) -> bool {
        matches!(self.state, State::Online { doubt: Request(1..), .. })
    }

    /// A question is answered. One that was asked before the doubt says nothing of it.
    pub(crate) fn echoed(&mut self, request: Request) {
        if let State::Online { doubt, .. } = &mut self.state
            && request >= *doubt
        {
            *doubt = Request(0);
        }
    }

    /// Something was sent that the hub will say something to.
    pub(crate) fn sent(&mut self, now: Millis) {
        if let State::Online { probe_at, is_probed: false, .. } = &mut self.state {
            *probe_at = (*probe_at).min(now + UNANSWERED_MS_MAX);
        }
    }

    /// Something was heard. `awaits` if there is more to come. It may have been on its way before the link went dead: a
    /// doubt stays, and wants to hear more.
    pub(crate) fn heard(&mut self, now: Millis, awaits: bool) {
        if let State::Online { silent_at, silence_ms, probe_at, is_probed, doubt, .. } = &mut self.state {
            *is_probed = doubt.0 > 0;
            if *is_probed {
                *silent_at = (now + PROBE_MS_MAX).max(*silent_at);
                return;
            }
            *silent_at = now + *silence_ms;
            *probe_at = if awaits { now + UNANSWERED_MS_MAX } else { NEVER };
        }
    }

    /// A link that lasted was a good one.
    pub(super) fn note_stable(&mut self, now: Millis) {
        if let State::Online { since, .. } = self.state
            && now >= since + STABLE_MS
        {
            self.failures = 0;
            self.blames = 0;
        }
    }
}
