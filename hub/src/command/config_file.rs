//! Which configuration is meant, for the commands that read one.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::command::failure::Failure;

/// The option that they have.
#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// Configuration in TOML; without it, the environment alone. `tidewire check` says whether it is right
    #[arg(long = "config", value_name = "FILE", env = "TIDEWIRE_CONFIG", value_parser = clap::value_parser!(OsString))]
    path: Option<OsString>,
}

impl ConfigFile {
    /// The file, if one is named. A name that is empty is a slip, and no wish for none.
    pub(crate) fn path(self) -> Result<Option<PathBuf>, Failure> {
        match self.path {
            Some(path) if path.is_empty() => Err(Failure::Input(
                "--config or TIDEWIRE_CONFIG is empty; allowed: the path of a file, or neither of them"
                    .into(),
            )),
            path => Ok(path.map(PathBuf::from)),
        }
    }
}
