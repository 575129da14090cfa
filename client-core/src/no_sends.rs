//! What stands for [`Sends`] in a client that sends nothing: the code for it weighs on those that browsers download.

use alloc::vec::Vec;

use tidewire_protocol::hub_frame::{Refused, Welcome};
use tidewire_protocol::number::Request;

use crate::allowance::Allowance;
use crate::input::{Millis, NEVER};
use crate::outputs::Outputs;
use crate::request::Requests;

/// None, ever.
#[derive(Debug)]
pub(crate) struct Sends;

impl Sends {
    pub(crate) const fn new() -> Self {
        Self
    }

    pub(crate) const fn wake_at(&self) -> Millis {
        NEVER
    }

    pub(crate) const fn welcomed(&mut self, _: &Welcome<'_>) {}

    pub(crate) const fn echoed(&mut self, _: Request) {}

    pub(crate) const fn refused(&mut self, _: Millis, _: &Refused<'_>, _: &mut Outputs) {}

    pub(crate) const fn drive(&mut self, _: Millis, _: bool, _: bool, _: &mut Requests, _: &mut Outputs) {}

    pub(crate) const fn fill(&mut self, _: &mut Vec<u8>, _: &Allowance) {}

    pub(crate) const fn reset(&mut self) {}

    pub(crate) const fn end(&mut self) {}
}
