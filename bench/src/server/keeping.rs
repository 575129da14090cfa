//! What a hub with a data directory is told: where that is, and what its topics keep.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::folder::Folder;
use crate::open_hub;

/// What topics keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeps {
    /// What they keep unless a rule says otherwise.
    Usual,
    /// All that a run publishes.
    All,
    /// The newest [`NEWEST`] messages each.
    Newest,
    /// The latest message of each key.
    Latest,
}

/// Writes the hub's configuration beside its data directory; returns where it is.
pub(super) fn hub_config(folder: &Folder, keeps: Keeps) -> Result<PathBuf> {
    let data = folder.path("data");
    let data = data.to_str().filter(|path| !path.contains('\'')).context("a path that TOML cannot hold")?;
    let retention = match keeps {
        Keeps::Usual => String::new(),
        Keeps::All => rule("{ bytes = 4294967296, age_seconds = 3600 }"),
        Keeps::Newest => rule(&format!("{{ count = {NEWEST}, age_seconds = 3600 }}")),
        Keeps::Latest => rule("\"latest_per_key\""),
    };
    folder.write("hub.toml", &open_hub::config(&format!("data_dir = '{data}'\n{retention}")))?;
    Ok(folder.path("hub.toml"))
}

fn rule(retention: &str) -> String {
    format!("[[topics]]\npattern = \">\"\nretention = {retention}\n")
}

/// Messages that a topic with a window keeps.
pub const NEWEST: u64 = 500_000;
