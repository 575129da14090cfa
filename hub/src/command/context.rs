//! `tidewire context`: names for hubs.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use axum::http::Uri;
use clap::{Args, Subcommand};
use tidewire_hub::tls::{self, BadFile};

use crate::command::contexts::{Context, Contexts};
use crate::command::failure::Failure;
use crate::command::hub_address::check_url;
use crate::command::printing::pipe_closed;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Named {
    /// Give a hub a name, or change what one stands for; the first is used from then on
    #[command(after_help = EXIT_CODES)]
    Add(Add),
    /// Use a hub where none is named
    #[command(after_help = EXIT_CODES)]
    Use { name: String },
    /// Print the names, the one that is used with a star
    #[command(after_help = EXIT_CODES)]
    List,
    /// Forget a name
    #[command(after_help = EXIT_CODES)]
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
        check_form(&url)?;
        // It is used from anywhere.
        let whole = |path: PathBuf| {
            let told = path.display().to_string();
            path.canonicalize().map_err(|error| Failure::Unreadable(format!("cannot read {told}: {error}")))
        };
        let (token_file, ca) = (token_file.map(whole).transpose()?, ca.map(whole).transpose()?);
        // What is wrong with an address or a file is found out here, and not by the next command.
        if let Some(path) = &ca {
            tls::chain(path).map_err(|bad| bad_ca(path, &bad))?;
        }
        let context = Context { url, token_file, ca };
        context.token()?;
        all.contexts.insert(name.clone(), context);
        all.current.get_or_insert(name);
        Ok(())
    }
}

/// Refuses what no client connects to.
fn check_form(url: &str) -> Result<(), Failure> {
    let parsed = url.parse::<Uri>().ok();
    let scheme = parsed.as_ref().and_then(Uri::scheme_str).filter(|scheme| SCHEMES.contains(scheme));
    let has_host = parsed.as_ref().and_then(Uri::host).is_some_and(|host| !host.is_empty());
    if scheme.is_some() && has_host {
        return Ok(());
    }
    Err(Failure::Input(format!(
        "URL: {url:?} is no address of a hub; allowed: http://HOST:PORT or https://HOST:PORT, perhaps with a path"
    )))
}

fn bad_ca(path: &Path, bad: &BadFile) -> Failure {
    let path = path.display();
    match bad {
        BadFile::Unreadable(error) => Failure::Unreadable(format!("cannot read {path}: {error}")),
        BadFile::NoCertificate | BadFile::NoKey | BadFile::NoPem(_) => {
            Failure::Input(format!("--ca: there is no certificate in PEM in {path}"))
        }
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
const SCHEMES: [&str; 4] = ["http", "https", "ws", "wss"];

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  a file cannot be read, or that with the names not written
  2  wrong arguments, or there is no such name";
