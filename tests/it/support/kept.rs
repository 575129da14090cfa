//! A hub with a data directory, which outlives its process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::hub::{Hub, tidewire};
use crate::support::page::Folder;

/// The hub and its directory, which both end with their test.
pub(crate) struct Kept {
    hub: Option<Hub>,
    /// Removed with it.
    #[expect(dead_code)]
    folder: Folder,
    data: PathBuf,
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
        Self::start_at(command, folder, data, more)
    }

    /// The same, with a directory of the test's choice.
    pub(crate) fn start_at(command: Command, folder: Folder, data: PathBuf, more: &str) -> Self {
        let toml = format!("shards = 2\ndrain_seconds = 1\ndata_dir = \"{}\"\n{more}", data.display());
        let config = folder.write("hub.toml", &toml);
        let hub = Hub::start_by(command, &flags(&config), &[]);
        Self { hub: Some(hub), folder, data, config }
    }

    pub(crate) fn hub(&mut self) -> &mut Hub {
        self.hub.as_mut().unwrap()
    }

    /// The data directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.data
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
        self.hub = Some(hub.start_again(tidewire("serve"), &flags(&self.config), &[]));
    }

    /// Starts one, and ends it so much later, wherever it is in its start. The one before has ended.
    pub(crate) fn start_and_kill(&mut self, later: Duration) {
        let mut serve = tidewire("serve");
        serve.args(flags(&self.config)).args(["--listen", &self.hub().address.to_string()]);
        let mut process = serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(later);
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Changes what a file of the directory holds.
    pub(crate) fn change(&self, file: impl AsRef<Path>, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.directory().join(file);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
    }
}

fn flags(config: &str) -> [&str; 3] {
    ["--dev", "--config", config]
}
