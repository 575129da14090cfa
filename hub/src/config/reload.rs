//! The access rules of a file and the keys that it names, read again while a hub runs. All else in it waits for the next start,
//! and is not looked at but for being written as a configuration is.

use std::path::{Path, PathBuf};

use tidewire_hub_core::access::Access;

use crate::config::problem::Warning;
use crate::config::raw::RawConfig;
use crate::config::{ConfigError, Flags, auth, demo, rules, text_of, warnings};
use crate::tokens::Keyring;

/// Access rules and keys that may take the place of others, together.
#[derive(Debug)]
pub struct Reread {
    /// They.
    pub access: Access,
    /// How many of the rules are written.
    pub written: usize,
    /// Keys that tokens may be signed with.
    pub keys: Keyring,
    /// What is of no use in all that.
    pub warnings: Vec<Warning>,
}

/// Why rules and keys stay as they are.
#[derive(Debug, thiserror::Error)]
pub enum Kept {
    /// Other rules hold than those of the file.
    #[error("--dev lets everybody do everything, whatever the file says; it was not read again")]
    Dev,
    /// There is no file, or not now.
    #[error("access rules and keys stay as they are: cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It could be read once only, or never ends.
    #[error("access rules and keys stay as they are: {} is no regular file, and is not read again", _0.display())]
    NoFile(PathBuf),
    /// Somebody is about to write it.
    #[error("access rules and keys stay as they are: {} is empty; to let nobody do anything, write a comment", _0.display())]
    Empty(PathBuf),
    /// It says what it may not.
    #[error("access rules and keys stay as they are, for the configuration is wrong: {0}")]
    Wrong(#[source] ConfigError),
}

impl Reread {
    /// Reads them from the file that the flags name; topics have so many tokens at most.
    ///
    /// # Errors
    /// [`Kept`] says why they cannot take the place of others.
    pub fn load(flags: &Flags, depth_max: usize) -> Result<Self, Kept> {
        if flags.dev {
            return Err(Kept::Dev);
        }
        let text = flags.config.as_deref().map_or_else(|| Ok(String::new()), text_again)?;
        let mut problems = Vec::new();
        let raw = RawConfig::read(&text, &mut problems);
        let tokens = raw.auth.means_keys;
        let (access, places) = rules::access(raw.access, &mut problems);
        let mut warnings = warnings::of_access(&access, &places, depth_max, tokens);
        let (keys, key_warnings) = auth::keyring(raw.auth, flags.folder(), true, &mut problems);
        warnings.extend(key_warnings);
        if !problems.is_empty() {
            return Err(Kept::Wrong(ConfigError::wrong(problems, warnings)));
        }
        let written = access.rules.len();
        let access = if flags.demo { demo::behind(access) } else { access };
        Ok(Self { access, written, keys, warnings })
    }
}

fn text_again(path: &Path) -> Result<String, Kept> {
    let unreadable = |source| Kept::Unreadable { path: path.into(), source };
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(Kept::NoFile(path.into()));
    }
    let text = text_of(path).map_err(|error| match error {
        ConfigError::Unreadable { path, source } => Kept::Unreadable { path, source },
        wrong @ ConfigError::Wrong { .. } => Kept::Wrong(wrong),
    })?;
    if text.trim().is_empty() { Err(Kept::Empty(path.into())) } else { Ok(text) }
}
