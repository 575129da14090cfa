//! Where topics are kept, for the commands that start a hub or tell what it would do.

use clap::Args;

/// The option that they have.
#[derive(Debug, Args)]
pub(crate) struct DataDir {
    /// Keep topics in this directory, so that they survive restarts; it is made if it is not there [default: in memory]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
}

impl DataDir {
    /// The directory, if one is named.
    pub(crate) fn path(self) -> Option<String> {
        self.data_dir
    }
}
