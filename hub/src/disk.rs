//! The files of a durable log: commits, each written and synced before it is answered, in segments that are only
//! appended to. What a commit says is the core's; here it is bytes.
//!
//! ```text
//! LOCK                                who has it locked has the directory
//! META                                how the files are written, and the directory's random id
//! HEAD                                the last commit that was answered, and whether the hub stopped in good order
//! REVOKED                             which tokens were revoked, if any (`tokens::remembered` writes it)
//! segments/00000000000000000001.seg   frames of `tidewire_hub_core::frames`
//! ```
//!
//! A directory is [opened](opening::Opening::open), [read](opening::Opening::scan) once from the first commit to the last,
//! and [started](opening::Opening::start); then a [`store::Store`] takes commits, one at a time. Other threads read, remove
//! and [merge](merging::Merging) segments through [`files::Files`], and [find](finding::Finder) messages in them.
//!
//! A directory that a hub has, or none, is read and copied as it is at one moment through a
//! [`Snapshot`](snapshot::Snapshot).
//!
//! What holds: a commit counts when its bytes are synced, and `HEAD` is written before anybody is answered, so that the
//! end of a commit that nobody was answered is told from a lost one that somebody was. A disk that is full is noticed before
//! a commit's first byte is written. After a write or sync that failed nothing is written until the directory is opened anew,
//! and then the last segment is copied, since what the system shows of it may not be on the disk.

pub mod looking;

pub mod backup;

pub mod snapshot;

pub mod opening;

pub mod store;

pub mod finding;

mod segment;

mod survey;

pub mod merging;

mod refusal;

pub mod files;

pub mod report;

pub mod place;

mod head;

mod meta;

mod drive;
