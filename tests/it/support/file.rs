//! Files that end with their test.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// A configuration file.
pub(crate) struct File(PathBuf);

impl File {
    pub(crate) fn new(toml: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = std::env::temp_dir().join(format!("tidewire-{}-{number}.toml", std::process::id()));
        std::fs::write(&file, toml).unwrap();
        Self(file)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Everybody may do everything, programs among them.
pub(crate) const OPEN: &str = "allow_no_origin = true\n\
    [[access]]\npattern = \">\"\nsubscribe = true\npublish = true\nanonymous = true\n";
