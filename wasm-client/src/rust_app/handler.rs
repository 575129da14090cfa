//! Code of the application that hears of something, again and again.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// A function of the application. Clones are the same function, which lives as long as the last of them.
///
/// Calling it and dropping it runs code that may call the client: do neither while the state is borrowed.
pub(crate) struct Handler<E>(Rc<RefCell<dyn FnMut(E)>>);

impl<E> Handler<E> {
    pub(crate) fn new(function: impl FnMut(E) + 'static) -> Self {
        Self(Rc::new(RefCell::new(function)))
    }

    /// Calls it. The driver calls handlers one after another, so it is not running already.
    pub(crate) fn call(&self, event: E) {
        (self.0.borrow_mut())(event);
    }
}

impl<E> Clone for Handler<E> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<E> fmt::Debug for Handler<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}
