//! `tidewire context`: names for hubs.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::command::contexts::{Context, Contexts};
use crate::command::failure::Failure;
use crate::command::hub_address::check_url;
use crate::command::printing::pipe_closed;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Named {
    /// Give a hub a name, or change what one stands for; the first is used from then on
    Add(Add),
    /// Use a hub where none is named
    Use { name: String },
    /// Print the names, the one that is used with a star
    List,
    /// Forget a name
    Remove { name: String },
}

/// The options of `context add`.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// What it is called: letters, digits, `-`, `_` and `.`
    name: String,
    /// The hub's address
    url: String,
    /// A file with the token to sign in with, which is read each time; the token itself is kept nowhere
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A file with the certificates, in PEM, of the authorities to trust where TLS is spoken
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Named {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut all = Contexts::load()?;
        match self {
            Self::Add(add) => add.to(&mut all)?,
            Self::Use { name } if all.contexts.contains_key(&name) => all.current = Some(name),
            Self::Remove { name } if all.contexts.contains_key(&name) => {
                all.contexts.remove(&name);
                all.current = all.current.filter(|current| *current != name);
            }
            Self::Use { name } | Self::Remove { name } => return Err(all.unknown(&name).into()),
            Self::List => {
                io::stdout().lock().write_all(told(&all).as_bytes()).or_else(pipe_closed)?;
                return Ok(ExitCode::SUCCESS);
            }
        }
        all.save()?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Add {
    fn to(self, all: &mut Contexts) -> Result<(), Failure> {
        let Self { name, url, token_file, ca } = self;
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_plain) {
            let says =
                format!("{name:?} is no name for a context; allowed: letters, digits, `-`, `_` and `.`");
            return Err(Failure::Input(says));
        }
        check_url(&url, "URL")?;
        // It is used from anywhere.
        let whole = |path: PathBuf| {
            let told = path.display().to_string();
            path.canonicalize().map_err(|error| Failure::Unreadable(format!("cannot read {told}: {error}")))
        };
        let (token_file, ca) = (token_file.map(whole).transpose()?, ca.map(whole).transpose()?);
        let context = Context { url, token_file, ca };
        // A file that holds no token is found out here, and not by the next command.
        context.token()?;
        all.contexts.insert(name.clone(), context);
        all.current.get_or_insert(name);
        Ok(())
    }
}

fn told(all: &Contexts) -> String {
    let width = all.contexts.keys().map(String::len).max().unwrap_or_default();
    let mut told = String::new();
    for (name, Context { url, token_file, .. }) in &all.contexts {
        let star = if all.current.as_ref() == Some(name) { "*" } else { " " };
        let token = token_file.as_ref().map(|path| format!("  (token from {})", path.display()));
        let _ = writeln!(told, "{star} {name:width$}  {url}{}", token.unwrap_or_default());
    }
    told
}

const NAME_BYTES_MAX: usize = 64;
