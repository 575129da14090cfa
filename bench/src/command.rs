//! The command line.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::campaign::{self, Campaign};
use crate::server::{Places, floor, floor_append, floor_blocks, usual};

/// Measures Tidewire beside others in one run
#[derive(Debug, Parser)]
#[command(version)]
pub struct CommandLine {
    #[command(subcommand)]
    serve: Option<Serve>,
    /// All rows, and charts; takes most of an hour
    #[arg(long)]
    full: bool,
    /// Rounds of each row, 3 at most for rows without a goal; each server runs once a round [default: 3; 5 with --full]
    #[arg(long, value_name = "N")]
    pairs: Option<usize>,
    /// Only rows of this name, or whose name holds this word; --list names them
    #[arg(long, value_name = "WORD", value_delimiter = ',')]
    only: Vec<String>,
    /// Only these servers beside Tidewire
    #[arg(long, value_name = "SERVER", value_delimiter = ',')]
    against: Option<Vec<String>>,
    /// Write everything that was measured to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report and its charts to this Markdown file
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
    /// Name the rows and end
    #[arg(long)]
    list: bool,
    /// The hub's program [default: `tidewire` beside this one]
    #[arg(long, value_name = "FILE", env = "TIDEWIRE_BIN")]
    hub: Option<PathBuf>,
    /// Where the others are installed [default: `bench-peers` beside this program's folder]
    #[arg(long, value_name = "DIR", env = "TIDEWIRE_BENCH_PEERS")]
    peers: Option<PathBuf>,
    /// Where servers store what they store, on the disk that is to be measured [default: `bench-data` beside this program's folder]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Serve {
    /// Run the bare epoll loop that others are compared with
    #[command(name = "serve-floor")]
    Floor,
    /// Run the bare epoll loop that writes blocks
    #[command(name = "serve-floor-blocks")]
    FloorBlocks,
    /// Run the bare loop that appends to a file and syncs it
    #[command(name = "serve-floor-append")]
    FloorAppend {
        /// The file
        file: PathBuf,
    },
    /// Run the usual axum server that others are compared with
    #[command(name = "serve-usual")]
    Usual,
}

impl CommandLine {
    /// Does what was asked for.
    ///
    /// # Errors
    /// If a measurement cannot be made.
    pub fn run(self) -> Result<()> {
        match self.serve {
            Some(Serve::Floor) => return floor::serve(),
            Some(Serve::FloorBlocks) => return floor_blocks::serve(),
            Some(Serve::FloorAppend { file }) => return floor_append::serve(&file),
            Some(Serve::Usual) => return usual::serve(),
            None => {}
        }
        let program = std::env::current_exe()?;
        let folder = program.parent().context("this program lies nowhere")?;
        let places = Places {
            hub: self.hub.unwrap_or_else(|| folder.join("tidewire")),
            peers: self.peers.unwrap_or_else(|| folder.with_file_name("bench-peers")),
            data: self.data.unwrap_or_else(|| folder.with_file_name("bench-data")),
        };
        campaign::run(&Campaign {
            full: self.full,
            rounds: self.pairs.unwrap_or(if self.full { 5 } else { 3 }).max(1),
            only: self.only,
            against: self.against,
            list: self.list,
            json: self.json,
            document: self.document,
            places,
        })
    }
}
