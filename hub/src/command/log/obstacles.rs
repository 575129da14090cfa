//! What keeps every hub from starting with a directory, though its files are there and whole.

use std::path::Path;
use std::process::ExitCode;

use tidewire_hub::disk::opening::OpenError;
use tidewire_hub::report::report;
use tidewire_hub::tokens::remembered::{Remembered, Unreadable};
use tidewire_hub_core::log::rows::legible::Legible;

use crate::command::log::LACKS;

/// Sentences, none if a hub could start.
pub(super) fn of(directory: &Path, legible: &Legible) -> Vec<String> {
    let commit = legible.illegible().map(|(first, others)| {
        let others = if others > 0 { format!(", nor {others} others") } else { String::new() };
        format!(
            "Commit {first} is whole, and this version cannot read it{others}, so it starts no hub with this directory: use the \
             release that wrote it."
        )
    });
    let revoked = Remembered::open(directory).err().map(|error| format!("A hub would not start: {error}."));
    commit.into_iter().chain(revoked).collect()
}

/// Refuses what this user may not read of that: whether a hub could start is not known then.
pub(super) fn check_readable(directory: &Path) -> Result<(), OpenError> {
    match Remembered::open(directory) {
        Err(Unreadable::NoPermission(error)) => Err(error),
        Err(Unreadable::Spoilt { .. }) | Ok(_) => Ok(()),
    }
}

/// Tells them, and which exit code that costs.
pub(super) fn told(directory: &Path, legible: &Legible) -> ExitCode {
    let obstacles = of(directory, legible);
    obstacles.iter().for_each(report);
    if obstacles.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(LACKS) }
}
