//! What of a configuration is read again while a hub runs: access rules, keys, origins, and limits, of which some can change. All
//! else in it waits for the next start, and is not looked at but for being written as a configuration is.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tidewire_hub_core::access::Access;
use tidewire_hub_core::limits as core;
use tidewire_hub_core::limits::rates::Rates;

use crate::config::bounds::Limits;
use crate::config::problem::Warning;
use crate::config::raw::RawConfig;
use crate::config::{ConfigError, Flags, auth, demo, environment, meaning, rules, text_of, warnings};
use crate::gate::limits as gate;
use crate::gate::origin::Origins;
use crate::tokens::Keyring;

/// What may take the place of other rules, keys, origins and limits, together.
#[derive(Debug)]
pub struct Reread {
    /// They.
    pub access: Access,
    /// How many of the rules are written.
    pub written: usize,
    /// Keys that tokens may be signed with.
    pub keys: Keyring,
    /// Which pages and programs may come.
    pub origins: Origins,
    /// Limits; only some can change.
    limits: Limits,
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
    #[error("access rules, keys, origins and limits stay as they are: cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It could be read once only, or never ends.
    #[error("access rules, keys, origins and limits stay as they are: {} is no regular file, and is not read again", _0.display())]
    NoFile(PathBuf),
    /// Somebody is about to write it.
    #[error("access rules, keys, origins and limits stay as they are: {} is empty; to let nobody do anything, write a comment", _0.display())]
    Empty(PathBuf),
    /// It says what it may not.
    #[error("access rules, keys, origins and limits stay as they are, for the configuration is wrong: {0}")]
    Wrong(#[source] ConfigError),
}

impl Reread {
    /// Reads them from the file that the flags name; topics have so many tokens at most.
    ///
    /// # Errors
    /// [`Kept`] says why they cannot take the place of others.
    pub fn load(
        flags: &Flags,
        env: impl Iterator<Item = (OsString, OsString)>,
        depth_max: usize,
    ) -> Result<Self, Kept> {
        if flags.dev {
            return Err(Kept::Dev);
        }
        let text = flags.config.as_deref().map_or_else(|| Ok(String::new()), text_again)?;
        let mut problems = Vec::new();
        let mut raw = RawConfig::read(&text, &mut problems);
        // What it does not know was told at the start.
        environment::overlay(&mut raw, env, &mut problems);
        let limits = Limits::read(&raw.limits, &mut problems);
        let origins = meaning::origins(raw.origins, raw.api_hosts, raw.allow_no_origin, false, &mut problems);
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
        Ok(Self { access, written, keys, origins, limits, warnings })
    }

    /// The gate's limits, of which those are as they are that wait for the next start.
    #[must_use]
    pub fn gate_limits(&self, now: &gate::Limits) -> gate::Limits {
        gate::Limits {
            handshakes_max: now.handshakes_max,
            refusals_max: now.refusals_max,
            // All others hold for whoever comes next.
            ..self.limits.gate.clone()
        }
    }

    /// The core's limits, of which only rates may take the place of others.
    #[must_use]
    pub fn core_limits(&self) -> &core::Limits {
        &self.limits.core
    }

    /// Which limits are other than those that a hub was started with or holds to now, as what follows a list: those that
    /// change, and those that wait for the next start.
    #[must_use]
    pub fn told_of_limits(&self, gate: &gate::Limits, core: &core::Limits) -> String {
        let held = Limits { gate: self.gate_limits(gate), core: Rates::of(&self.limits.core).within(core) };
        let now = Limits { gate: gate.clone(), core: core.clone() };
        let (mut changed, mut waiting) = (String::new(), String::new());
        for (name, value, before) in self.limits.differing(now) {
            let shown = |value: u64| match value {
                0 if RATES.contains(&name) => "no limit".to_owned(),
                value => value.to_string(),
            };
            let _ = if held.named(name) == Some(value) {
                write!(changed, "; `{name}` is {} instead of {}", shown(value), shown(before))
            } else {
                write!(waiting, "{}`{name}`", if waiting.is_empty() { "" } else { ", " })
            };
        }
        if !waiting.is_empty() {
            let _ = write!(changed, "; {waiting} in its new value waits for the next start");
        }
        changed
    }
}

/// Those of them of which 0 is none.
const RATES: [&str; 2] = ["publishes_per_second_max", "publishes_per_second_per_address_max"];

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
