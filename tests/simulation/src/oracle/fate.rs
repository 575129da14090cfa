//! What became of a publish, as far as its publisher knows.

/// What a publisher was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing yet.
    Waiting,
    /// It is in the log.
    Done,
    /// It was withdrawn, and so must not be seen from then on.
    Withdrawn,
    /// It failed; whether it is in the log is not known.
    Failed,
    /// It failed, and is not in any log.
    Refused,
    /// Nobody cares: it is of one who keeps no rule.
    Hostile,
}

/// What could make a publish fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// It is too large for the hub.
    pub too_large: bool,
    /// The hub has begun anew since it was published, or its client has.
    pub anew: bool,
    /// Its client's producer was taken over, so its handles are gone.
    pub taken_over: bool,
    /// The hub may have forgotten what its client did, other than by a restart.
    pub forgets: bool,
    /// Its durable log has lost something since.
    pub damaged: bool,
    /// Its client's token may have been refused for good.
    pub refused: bool,
}
