//! What the thread that stores does, for those who ask.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64};

use tokio::sync::oneshot;

/// What a durable log does.
#[derive(Debug, Default)]
pub(super) struct Storing {
    /// A write failed: it takes nothing more.
    pub(super) has_failed: AtomicBool,
    /// The disk is nearly full: it takes no messages.
    pub(super) is_full: AtomicBool,
    pub(super) commits: AtomicU64,
    pub(super) commit_bytes: AtomicU64,
    pub(super) commit_micros: AtomicU64,
    /// Reads of history.
    pub(super) reads: AtomicU64,
    /// Those that the disk refused.
    pub(super) failed_reads: AtomicU64,
    /// Whoever waits for it to end in good order.
    pub(super) closing: Mutex<Option<oneshot::Sender<()>>>,
}
