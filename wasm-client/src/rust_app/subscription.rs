//! What the application holds while it listens.

use std::rc::Rc;

use tidewire_client_core::output::ListenerId;

use crate::rust_app::driver::Driver;

/// A subscription; dropping it ends it, and its handler is not called again.
#[derive(Debug)]
#[must_use = "a subscription ends when it is dropped"]
pub struct Subscription {
    driver: Rc<Driver>,
    listener: ListenerId,
}

impl Subscription {
    pub(crate) const fn new(driver: Rc<Driver>, listener: ListenerId) -> Self {
        Self { driver, listener }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let handler = self.driver.ask(|state| state.unsubscribe(self.listener));
        // What the handler owns may call the client as it is dropped.
        drop(handler);
    }
}

/// Hears how the client stands to its hub, until it is dropped.
#[derive(Debug)]
#[must_use = "a watch ends when it is dropped"]
pub struct StatusWatch {
    driver: Rc<Driver>,
    watcher: u64,
}

impl StatusWatch {
    pub(crate) const fn new(driver: Rc<Driver>, watcher: u64) -> Self {
        Self { driver, watcher }
    }
}

impl Drop for StatusWatch {
    fn drop(&mut self) {
        let handler = self.driver.ask(|state| state.unwatch(self.watcher));
        drop(handler);
    }
}
