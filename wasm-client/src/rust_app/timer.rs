//! One call, later.

use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;

use tidewire_client_core::input::Millis;

use crate::rust_app::global;

/// A function that will run; dropping it, also from inside the function, forgets it.
#[derive(Debug)]
pub(crate) struct Timer {
    at: Millis,
    number: f64,
    /// JavaScript calls it, and does not keep it alive.
    _task: Closure<dyn Fn()>,
}

impl Timer {
    /// Runs `task` at a time, or a day from now if that is later: JavaScript counts no further than 24 of them.
    pub(crate) fn start(at: Millis, task: impl Fn() + 'static) -> Self {
        let task = Closure::<dyn Fn()>::new(task);
        let wait_ms = at.saturating_sub(global::now()).min(WAIT_MS_MAX);
        // The clock is read in whole milliseconds: one more, lest it wakes too early.
        let number = global::set_timeout(task.as_ref().unchecked_ref(), wait_ms as f64 + 1.0);
        Self { at, number, _task: task }
    }

    /// The time asked for.
    pub(crate) const fn at(&self) -> Millis {
        self.at
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        global::clear_timeout(self.number);
    }
}

/// A day.
const WAIT_MS_MAX: Millis = 24 * 60 * 60 * 1_000;
