//! What a command has asked the hub for, and how long nothing came of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// Questions and messages on their way, counted.
#[derive(Debug, Default)]
pub(crate) struct Asked(Mutex<Out>);

#[derive(Debug, Default)]
struct Out {
    count: u64,
    /// When the first of them went out, or the last that is done was.
    moved: Option<Instant>,
}

impl Asked {
    /// One more is on its way.
    pub(crate) fn begin(&self) {
        let mut out = self.out();
        if out.count == 0 {
            out.moved = Some(Instant::now());
        }
        out.count += 1;
    }

    /// One is done, whatever came of it.
    pub(crate) fn end(&self) {
        let mut out = self.out();
        out.count = out.count.saturating_sub(1);
        out.moved = Some(Instant::now());
    }

    /// Asks for something, and waits for what comes of it.
    pub(crate) async fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.begin();
        let answer = answer.await;
        self.end();
        answer
    }

    /// Since when nothing has come of what is on its way, if anything is.
    pub(crate) fn since(&self) -> Option<Instant> {
        let out = self.out();
        out.moved.filter(|_| out.count > 0)
    }

    /// Nothing can fail half-way under this lock, so a poisoned one is as good as any.
    fn out(&self) -> MutexGuard<'_, Out> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
