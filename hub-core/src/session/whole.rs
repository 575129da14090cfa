//! A batch of publishes while it comes in: all of them are taken, or none.

use tidewire_protocol::client_frame::Batch;
use tidewire_protocol::code::Code;

use crate::session::telling::Refusal;

/// What has come of the batch that a connection is sending, if it is.
#[derive(Debug, Default)]
pub struct Whole {
    /// Publishes that are still to come.
    left: u64,
    /// Publishes that the rates have yet to allow.
    unpaid: u64,
    refusal: Option<Refusal>,
}

impl Whole {
    /// So many publishes belong together.
    ///
    /// # Errors
    /// [`Code::BadFrame`] if they are none, or too many.
    pub fn begin(&mut self, batch: &Batch) -> Result<(), Code> {
        if batch.count == 0 || batch.count > Batch::COUNT_MAX {
            return Err(Code::BadFrame);
        }
        *self = Self { left: batch.count, unpaid: batch.count, refusal: None };
        Ok(())
    }

    /// Whether more of a batch is to come.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.left > 0
    }

    /// How many publishes the next one is to be counted as: the first of a batch as all of them.
    pub const fn to_pay(&mut self) -> u64 {
        if self.left == 0 { 1 } else { std::mem::replace(&mut self.unpaid, 0) }
    }

    /// Why none of the batch is taken.
    #[must_use]
    pub const fn refusal(&self) -> Option<Refusal> {
        if self.left == 0 { None } else { self.refusal }
    }

    /// One was refused; gives what others of its batch are refused for.
    pub fn refuse(&mut self, refusal: Refusal) -> Refusal {
        let others = refusal.of_others();
        self.refusal = self.is_open().then_some(others);
        others
    }

    /// A publish came. Whether it was the last of a batch.
    pub const fn one_came(&mut self) -> bool {
        let was_open = self.left > 0;
        self.left = self.left.saturating_sub(1);
        was_open && self.left == 0
    }
}
