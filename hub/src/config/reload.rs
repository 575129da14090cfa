//! The access rules of a file, read again while a hub runs. All else in it waits for the next start, and is not looked at
//! but for being written as a configuration is.

use tidewire_hub_core::access::Access;

use crate::config::problem::Warning;
use crate::config::raw::RawConfig;
use crate::config::{ConfigError, Flags, demo, rules, text_of, warnings};

/// Access rules that may take the place of others.
#[derive(Debug)]
pub struct Reread {
    /// They.
    pub access: Access,
    /// How many of them are written.
    pub written: usize,
    /// What is of no use in them.
    pub warnings: Vec<Warning>,
}

impl Reread {
    /// Reads them from the file that the flags name; topics have so many tokens at most.
    ///
    /// # Errors
    /// [`ConfigError`] names what is wrong with the rules, and with how the rest is written.
    pub fn load(flags: &Flags, depth_max: usize) -> Result<Self, ConfigError> {
        let text = flags.config.as_deref().map_or_else(|| Ok(String::new()), text_of)?;
        let mut problems = Vec::new();
        let raw = RawConfig::read(&text, &mut problems);
        let (access, places) = rules::access(raw.access, &mut problems);
        let warnings = warnings::of_access(&access, &places, depth_max);
        if !problems.is_empty() {
            return Err(ConfigError::wrong(problems, warnings));
        }
        let written = access.rules.len();
        let access = if flags.demo { demo::behind(access) } else { access };
        Ok(Self { access, written, warnings })
    }
}
