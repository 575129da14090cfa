//! A hub with a data directory, which outlives its process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::hub::{Hub, tidewire};
use crate::support::page::Folder;

/// The hub and its directory, which both end with their test.
pub(crate) struct Kept {
    hub: Option<Hub>,
    folder: Folder,
    config: String,
}

impl Kept {
    /// A hub where everybody may do everything, with an empty directory.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// The same, with more in its configuration.
    pub(crate) fn start_with(more: &str) -> Self {
        Self::start_by(tidewire("serve"), more)
    }

    /// The same, by a command that runs it.
    pub(crate) fn start_by(command: Command, more: &str) -> Self {
        let folder = Folder::new();
        let data = folder.0.join("data");
        let toml = format!("shards = 2\ndrain_seconds = 1\ndata_dir = \"{}\"\n{more}", data.display());
        let config = folder.write("hub.toml", &toml);
        let mut kept = Self { hub: None, folder, config };
        let hub = Hub::start_by(command, &kept.flags(), &[]);
        kept.hub = Some(hub);
        kept
    }

    pub(crate) fn hub(&mut self) -> &mut Hub {
        self.hub.as_mut().unwrap()
    }

    /// The data directory.
    pub(crate) fn directory(&self) -> PathBuf {
        self.folder.0.join("data")
    }

    /// Ends the hub at once, and starts another on the same port and directory.
    pub(crate) fn kill_and_restart(&mut self) {
        self.hub().kill();
        self.start_again();
    }

    /// Has it end in good order.
    pub(crate) fn stop(&mut self) {
        self.hub().signal("TERM");
        assert!(self.hub().wait().success(), "{}", self.hub().errors());
    }

    /// Starts another on the same port and directory, once it has ended.
    pub(crate) fn start_again(&mut self) {
        let hub = self.hub.take().unwrap();
        self.hub = Some(hub.start_again(tidewire("serve"), &self.flags(), &[]));
    }

    /// What another hub would be told to have the same directory.
    pub(crate) fn flags(&self) -> Vec<&str> {
        vec!["--dev", "--config", &self.config]
    }

    /// Changes what a file of the directory holds.
    pub(crate) fn change(&self, file: impl AsRef<Path>, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.directory().join(file);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
    }
}
