//! `tidewire check`: reads a configuration as `serve` would, and says what is wrong with it, or what it means.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Args;
use tidewire_hub::config::{Config, Flags};

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
  1  it is wrong, or cannot be read
  2  wrong arguments";
