//! Seeded bugs. The simulation must catch each of them, or it is no good.
//!
//! Without the feature `mutants` every question is answered with a constant `false` and costs nothing.

/// A bug that a plausible implementation would have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Messages become visible as their storing completes, not in offset order.
    VisibleOutOfOrder,
    /// The mark of a tail is cleared after its blocks were taken.
    MarkClearedAfterLook,
    /// A subscriber that caught up joins the live walk without looking again.
    ReplayToLiveRace,
    /// Retried publishes are stored again.
    DedupOff,
    /// A hub that knows nothing of a producer does not say so.
    WindowRestartedSilently,
    /// A memory log keeps its epoch over a restart.
    EpochKeptOverRestart,
    /// Another frame is written while a block is half written.
    ForeignBytesInHalfBlock,
    /// Messages dropped under a cursor are not told.
    GapNotTold,
    /// A seq that skips ahead is accepted.
    SeqHoleAccepted,
    /// A run of voids is taken whole, and one of it answered.
    RunAnsweredAsOne,
    /// An older incarnation of a producer still publishes.
    FencingOff,
    /// A participant that was attached elsewhere in the same incarnation still publishes where it was.
    MovedNotFenced,
    /// An attach that is read late takes the producer from a connection that came after its own.
    LateAttachTakes,
    /// A topic whose state was dropped is resumed as if nothing had been there.
    ForgottenNotRemembered,
    /// Room is made by dropping any window, also one that a client publishes by.
    WindowEvictedWhileAttached,
    /// A sealed block is charged while the bytes that it was made of still are.
    BytesCountedTwice,
    /// What was read for one pattern's cursor goes to another of the same connection.
    PageJoinedToWrongCursor,
    /// A pattern's cursor that its tail has left behind goes on with what the tail has.
    TailBehindNotRead,
    /// A subscription goes on though the rule that granted it is gone.
    GrantOutlivesItsRule,
    /// Messages get the system's time at once, also where its clock was put back.
    TimeGoesBack,
    /// A page below a place ends one message before it.
    PageMissesNewest,
    /// What is kept goes by the times that messages were given, as if nobody had corrected the clock since.
    AgedByGivenTime,
    /// Of a batch the hub takes what it can.
    BatchTakenInParts,
    /// An id of several logs names the ends of their tails, not where its reader stands.
    IdAheadOfReader,
    /// A call that comes again with its key is a new one.
    KeyedCallAppliedTwice,
    /// Whoever waits for news of a topic is not told of any.
    WaiterNotWoken,
    /// Whoever is connected by a token goes on when it is taken back.
    RevokedBearerKept,
    /// Whoever renews a token loses a subscription, though the later one allows it too.
    RenewalLosesSubscription,
    /// A message is stored without its publisher's window.
    WindowNotStored,
    /// What waits is shown and acknowledged before its commit is stored.
    AckBeforeStored,
    /// A durable log keeps its epoch though something that was acknowledged is lost.
    EpochKeptThoughLost,
    /// What may be stored, or not, is told to be not.
    DoubtToldNotStored,
    /// A commit that is cut is taken as far as it goes.
    CommitTakenInPart,
    /// That a seq is used up by a refusal is told and not stored.
    RefusalNotStored,
    /// The last messages of a pattern are so many of each log.
    LastOfEachLog,
    /// What memory has let go of is told as gone, though it is on the disk.
    AwayToldAsGone,
    /// A reader goes on with what memory has, and passes over what is on the disk.
    AwayPassedOver,
    /// What a disk could not read is taken as not there.
    UnreadTakenAsGone,
    /// A block from which something went begins where it began before.
    ThinnedLeavesHole,
    /// That a key was removed is forgotten while an older value of it may be left in the tail.
    RemovalForgottenEarly,
    /// Whoever reads page by page is not told that removals were forgotten meanwhile.
    PagesNotToldOfRemovals,
    /// A condition sees nothing of what waits to be stored.
    ConditionBlindToWaiting,
    /// Conditions of a batch see nothing of what stands before them there.
    ConditionsJudgedApart,
    /// A value whose time is over is removed, though a newer one waits to be stored.
    RemovedOverNewer,
    /// A value counts as replaced as soon as a newer one waits to be stored.
    ReplacedByWaiting,
    /// A value goes when its time is over, and one that it replaced is left.
    ReplacedStandsAgain,
}

impl Mutant {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::VisibleOutOfOrder,
        Self::MarkClearedAfterLook,
        Self::ReplayToLiveRace,
        Self::DedupOff,
        Self::WindowRestartedSilently,
        Self::EpochKeptOverRestart,
        Self::ForeignBytesInHalfBlock,
        Self::GapNotTold,
        Self::SeqHoleAccepted,
        Self::RunAnsweredAsOne,
        Self::FencingOff,
        Self::MovedNotFenced,
        Self::LateAttachTakes,
        Self::ForgottenNotRemembered,
        Self::WindowEvictedWhileAttached,
        Self::BytesCountedTwice,
        Self::PageJoinedToWrongCursor,
        Self::TailBehindNotRead,
        Self::GrantOutlivesItsRule,
        Self::TimeGoesBack,
        Self::PageMissesNewest,
        Self::AgedByGivenTime,
        Self::BatchTakenInParts,
        Self::IdAheadOfReader,
        Self::KeyedCallAppliedTwice,
        Self::WaiterNotWoken,
        Self::RevokedBearerKept,
        Self::RenewalLosesSubscription,
        Self::WindowNotStored,
        Self::AckBeforeStored,
        Self::EpochKeptThoughLost,
        Self::DoubtToldNotStored,
        Self::CommitTakenInPart,
        Self::RefusalNotStored,
        Self::LastOfEachLog,
        Self::AwayToldAsGone,
        Self::AwayPassedOver,
        Self::UnreadTakenAsGone,
        Self::ThinnedLeavesHole,
        Self::RemovalForgottenEarly,
        Self::PagesNotToldOfRemovals,
        Self::ConditionBlindToWaiting,
        Self::ConditionsJudgedApart,
        Self::RemovedOverNewer,
        Self::ReplacedByWaiting,
        Self::ReplacedStandsAgain,
    ];
}

#[cfg(feature = "mutants")]
mod switch {
    use super::Mutant;
    use std::cell::Cell;

    thread_local! {
        static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Switches a bug on for this thread, or all off.
    pub fn set(mutant: Option<Mutant>) {
        ACTIVE.set(mutant);
    }

    /// Whether this bug is switched on.
    #[must_use]
    pub fn active(mutant: Mutant) -> bool {
        ACTIVE.get() == Some(mutant)
    }
}

#[cfg(feature = "mutants")]
pub use switch::{active, set};

/// Whether this bug is switched on: never.
#[cfg(not(feature = "mutants"))]
#[must_use]
#[inline(always)]
pub const fn active(_: Mutant) -> bool {
    false
}
