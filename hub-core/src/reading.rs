//! Reading what lies behind the newest: where a reader starts, and what a pattern's topics hold, merged.
//!
//! A topic is read from its tail, at once, but for what is on the disk only. What a pattern's own tail does not have is found
//! by listing its topics. Both take steps, done one at a time by whoever lends a thread, while the reader's cursor waits.

pub mod reads;

pub mod job;

pub mod question;

pub mod merge;

pub mod fetch;

pub mod gather;

pub mod start;

pub mod most;
