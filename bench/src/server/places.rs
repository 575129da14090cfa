//! Where what is measured lies on this machine.

use std::path::PathBuf;

/// Where programs are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The hub's program.
    pub hub: PathBuf,
    /// The folder into which `npm run bench` installs peers.
    pub peers: PathBuf,
    /// The folder for what servers store, on a disk.
    pub data: PathBuf,
}

impl Places {
    pub(super) fn bun(&self) -> PathBuf {
        self.peers.join("node_modules/.bin/bun")
    }

    pub(super) fn nats(&self) -> PathBuf {
        self.peers.join("venv/bin/nats-server")
    }

    pub(super) fn centrifuge(&self) -> PathBuf {
        self.peers.join("centrifuge/server")
    }
}
