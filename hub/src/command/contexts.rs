//! Hubs that have names, so that a hub is named once: in a file of the user's own, which nobody else may read. It holds the names
//! of files with tokens, and no token.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::command::failure::Failure;

/// All contexts of a user.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one that is meant where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// They.
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

/// A hub, and how to sign in there.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// Its address.
    pub(crate) url: String,
    /// A file with the token, which is read each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    /// Authorities to trust where TLS is spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
}

impl Contexts {
    /// Those in the user's file; none if there is no file, or no place for one.
    pub(crate) fn load() -> Result<Self, Failure> {
        let Some(path) = path() else { return Ok(Self::default()) };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(unreadable(&path, &error)),
        };
        toml::from_str(&text).map_err(|error| {
            let says = error.message().to_owned();
            Failure::Unreadable(format!("{} is none of our making: {says}", path.display()))
        })
    }

    /// Writes them, whole or not at all.
    pub(crate) fn save(&self) -> Result<(), Failure> {
        let path = path().ok_or_else(|| Failure::Unreadable(NOWHERE.into()))?;
        let text = toml::to_string(self).map_err(|error| Failure::Input(error.to_string()))?;
        write(&path, &text)
            .map_err(|error| Failure::Unreadable(format!("cannot write {}: {error}", path.display())))
    }

    /// The one of a name, or the current one.
    pub(crate) fn choose(&self, name: Option<&str>) -> Result<Option<&Context>, Failure> {
        let Some(name) = name.or(self.current.as_deref()) else { return Ok(None) };
        self.contexts.get(name).map(Some).ok_or_else(|| self.unknown(name))
    }

    /// Says that there is none of a name.
    pub(crate) fn unknown(&self, name: &str) -> Failure {
        let names: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
        let names = if names.is_empty() {
            "none yet: `tidewire context add NAME URL`".into()
        } else {
            names.join(", ")
        };
        Failure::Input(format!("there is no context {name:?}; there are {names}"))
    }
}

impl Context {
    /// The token, if there is a file for one. What it holds is told nobody.
    pub(crate) fn token(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let mut text = String::new();
        let read = fs::File::open(path).and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut text));
        read.map_err(|error| unreadable(path, &error))?;
        match text.trim() {
            "" => Err(Failure::Input(format!("{} is empty; allowed: a token", path.display()))),
            token => Ok(Some(token.to_owned())),
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::Unreadable(format!("cannot read {}: {error}", path.display()))
}

/// Where the file is: below the folder that XDG names for configurations, or the system's own for that.
fn path() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let own = || {
        if cfg!(windows) { variable("APPDATA") } else { variable("HOME").map(|home| home.join(".config")) }
    };
    Some(variable("XDG_CONFIG_HOME").or_else(own)?.join("tidewire").join("contexts.toml"))
}

/// Writes a file that its owner alone may read, beside the one whose place it takes.
fn write(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let written = options.open(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&beside, path)).inspect_err(|_| drop(fs::remove_file(&beside)))
}

/// More is no token.
const TOKEN_BYTES_MAX: u64 = 65_536;
const NOWHERE: &str = "there is no place for contexts: neither XDG_CONFIG_HOME nor HOME is set";
