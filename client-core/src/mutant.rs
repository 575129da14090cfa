//! Seeded bugs: the simulation must catch each of them, or it proves nothing.
//!
//! Without the feature `mutants` every question is answered `false` at compile time.

/// A bug that can be switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Messages at or below the cursor are given again.
    SkipDuplicateDrop,
    /// A listener that read history goes live without looking where the live flow is.
    JoinWithoutOffset,
    /// Gaps are not told.
    ForgetGap,
    /// What was sent before is sent again before the hub has said what it knows of it.
    SendBeforeOpened,
    /// What is sent again to a hub that forgot is not marked.
    MaybeDuplicateUnmarked,
    /// A listener's cursor moves past a message that it had no room for.
    CursorBeforeMessage,
    /// A message that is withdrawn leaves no void, and those behind it move up.
    CancelMovesSeqs,
    /// A link on which the hub was asked for a heartbeat counts as one on which it answered.
    ProbeCountsAsLife,
    /// A page that was read back is followed by one that lacks the message next to it.
    PagePassesOne,
    /// What becomes of a party's messages is told to another.
    OutcomeOfAnother,
    /// Of a batch is sent what can be sent at once.
    BatchSentHalfReady,
    /// A listener has caught up once it has all that there was in one of its logs.
    CaughtUpInOneLog,
    /// What is sent again goes without what it has besides its payload.
    ExtraSentOnce,
}

impl Mutant {
    /// Every mutant.
    pub const ALL: &[Self] = &[
        Self::SkipDuplicateDrop,
        Self::JoinWithoutOffset,
        Self::ForgetGap,
        Self::SendBeforeOpened,
        Self::MaybeDuplicateUnmarked,
        Self::CursorBeforeMessage,
        Self::CancelMovesSeqs,
        Self::ProbeCountsAsLife,
        Self::PagePassesOne,
        Self::OutcomeOfAnother,
        Self::BatchSentHalfReady,
        Self::CaughtUpInOneLog,
        Self::ExtraSentOnce,
    ];
}

#[cfg(feature = "mutants")]
std::thread_local! {
    static ACTIVE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Switches one bug on for this thread, or all off.
#[cfg(feature = "mutants")]
pub fn set(mutant: Option<Mutant>) {
    ACTIVE.set(mutant);
}

/// Whether this bug is switched on.
#[cfg(feature = "mutants")]
#[must_use]
pub fn active(mutant: Mutant) -> bool {
    ACTIVE.get() == Some(mutant)
}

/// Whether this bug is switched on.
#[cfg(not(feature = "mutants"))]
#[must_use]
pub const fn active(_: Mutant) -> bool {
    false
}
