//! `tidewire check`: reads a configuration as `serve` would, and says what is wrong with it, or what it means.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use tidewire_hub::config::{Config, Flags};
use tidewire_hub::disk::looking::Looking;
use tidewire_hub::disk::opening::{OpenError, is_free};
use tidewire_hub::tokens::remembered::Remembered;

use crate::command::config_file::ConfigFile;
use crate::command::data_dir::DataDir;
use crate::command::printing::pipe_closed;

/// The options of `check`.
#[derive(Debug, Args)]
#[command(after_help = CHECK_EXIT_CODES)]
pub(crate) struct Check {
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    data: DataDir,
}

impl Check {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let data_dir = self.data.path();
        let flags = Flags { config: self.config.path()?, data_dir, ..Flags::default() };
        match Config::load(&flags, std::env::vars_os()) {
            Ok(config) => {
                if let Some(directory) = &config.data_dir {
                    look_into(directory)?;
                }
                say(&config).or_else(pipe_closed)?;
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                writeln!(io::stderr().lock(), "{:#}", anyhow::Error::new(error))?;
                Ok(ExitCode::FAILURE)
            }
        }
    }
}

/// Looks whether a hub could begin with what is in its data directory, as far as that is seen at once, and changes nothing.
fn look_into(directory: &Path) -> anyhow::Result<()> {
    match Looking::at(directory) {
        // The hub that has it could begin with it.
        Ok(_) | Err(OpenError::InUse(_)) => {}
        Err(OpenError::NoLog(_)) if is_free(directory)? => return Ok(()),
        Err(OpenError::NoLog(directory)) => return Err(OpenError::NotOurs(directory).into()),
        Err(error) => return Err(error.into()),
    }
    Remembered::open(directory)?;
    Ok(())
}

fn say(config: &Config) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "the configuration is right; a hub would listen on {}", config.listen)?;
    write!(out, "{}", config.summary())?;
    for warning in &config.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

const CHECK_EXIT_CODES: &str = "\
Exit codes:
  0  it is right, with warnings or without
  1  it is wrong, or cannot be read, or a hub could not begin with what is in the data directory
  2  wrong arguments";
