//! All measurements of one call: rows, and in each row rounds in which every contestant runs once.
//!
//! Contestants take turns, so that a machine that slows down or speeds up does so for all of them, and a ratio is
//! always between two runs of the same round.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::report::{Report, RowResult, document, table};
use crate::row::{Contestant, Row, rows};
use crate::scenario::{self, Trial};
use crate::server::{Places, Server};

/// What was asked for.
#[derive(Debug)]
pub struct Campaign {
    /// All rows.
    pub full: bool,
    /// Rounds of each row.
    pub rounds: usize,
    /// Only rows of these names, or whose names hold these words.
    pub only: Vec<String>,
    /// Only these servers beside ours.
    pub against: Option<Vec<String>>,
    /// Name the rows only.
    pub list: bool,
    /// Where everything measured goes.
    pub json: Option<PathBuf>,
    /// Where the report goes.
    pub document: Option<PathBuf>,
    /// Where programs are.
    pub places: Places,
}

/// Measures and reports.
///
/// # Errors
/// If nothing can be measured, or a report cannot be written. A contestant that fails is reported and left out.
#[allow(clippy::print_stdout)]
pub fn run(campaign: &Campaign) -> Result<()> {
    let chosen = campaign.choose(rows())?;
    if campaign.list {
        for row in &chosen {
            println!("{:20} {}", row.name, row.title);
        }
        return Ok(());
    }
    ensure!(
        Server::Tidewire.is_installed(&campaign.places),
        "{} is not there: `npm run build` builds it",
        campaign.places.hub.display()
    );
    let mut report = Report::new(campaign.full, campaign.rounds);
    report.name_servers(&campaign.places);
    print!("{}", table::head(&report));
    let count = chosen.len();
    for (at, row) in chosen.into_iter().enumerate() {
        let result = campaign.measure(&row, (at + 1, count));
        print!("{}", table::row(&row, &result));
        std::io::stdout().flush()?;
        report.rows.push(result);
        // After each row: a run that is broken off keeps what it has.
        if let Some(path) = &campaign.json {
            let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            serde_json::to_writer_pretty(file, &report)?;
        }
        if let Some(path) = &campaign.document {
            write_document(&report, path)?;
        }
    }
    print!("{}", table::goals(&report));
    Ok(())
}

impl Campaign {
    /// The rows that were asked for: each word stands for the rows of that name, or else for those whose name holds
    /// it.
    fn choose(&self, rows: Vec<Row>) -> Result<Vec<Row>> {
        if self.only.is_empty() {
            return Ok(rows.into_iter().filter(|row| self.full || self.list || !row.full_only).collect());
        }
        let names: BTreeSet<&str> = rows.iter().map(|row| row.name).collect();
        let means = |word: &str, name: &str| match names.contains(word) {
            true => name == word,
            false => name.contains(word),
        };
        for word in &self.only {
            let known = names.iter().any(|name| means(word, name));
            ensure!(known, "no row's name holds {word:?}; --list names them");
        }
        Ok(rows.into_iter().filter(|row| self.only.iter().any(|word| means(word, row.name))).collect())
    }

    fn takes_part(&self, contestant: &Contestant) -> bool {
        let name = contestant.server.name();
        let asked = self.against.as_ref().is_none_or(|names| names.iter().any(|asked| asked == name));
        contestant.server.is_subject() || asked
    }

    fn measure(&self, row: &Row, place: (usize, usize)) -> RowResult {
        let mut result = RowResult::new(row);
        let mut failed: BTreeMap<usize, String> = BTreeMap::new();
        let rounds = if row.goals.is_empty() { self.rounds.min(ROUNDS_WITHOUT_GOAL) } else { self.rounds };
        for round in 0..rounds {
            for (index, contestant) in row.contestants.iter().enumerate() {
                if !self.takes_part(contestant)
                    || !contestant.server.is_installed(&self.places)
                    || failed.contains_key(&index)
                {
                    continue;
                }
                progress(&format!(
                    "[{}/{}] {} round {}/{}: {}",
                    place.0,
                    place.1,
                    row.name,
                    round + 1,
                    rounds,
                    contestant.label
                ));
                let trial = Trial {
                    server: contestant.server,
                    dialect: contestant.dialect,
                    plan: contestant.plan,
                    places: &self.places,
                };
                match scenario::measure(trial, contestant.scenario) {
                    Ok(measured) => result.contestants[index].rounds.push(measured),
                    Err(error) => {
                        failed.insert(index, format!("{error:#}"));
                    }
                }
            }
        }
        for (index, error) in failed {
            result.contestants[index].failed = Some(error);
        }
        result.judge(row);
        progress("");
        result
    }
}

fn write_document(report: &Report, path: &Path) -> Result<()> {
    let old = fs::read_to_string(path).unwrap_or_default();
    let (text, charts) = document::write(report, &old);
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    for (name, svg) in charts {
        let path = path.with_file_name(name);
        fs::create_dir_all(path.with_file_name(""))?;
        fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// One line that is written over, or on something that is no terminal, line after line.
#[allow(clippy::print_stderr)]
fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[2K{text}");
    } else if !text.is_empty() {
        eprintln!("{text}");
    }
}

/// A row that only shows how a cost grows has many points beside it.
const ROUNDS_WITHOUT_GOAL: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[&str], expected: &[&str]) {
        let places = Places { hub: PathBuf::new(), peers: PathBuf::new(), data: PathBuf::new() };
        let campaign = Campaign {
            full: false,
            rounds: 1,
            only: words.iter().map(|word| (*word).to_owned()).collect(),
            against: None,
            list: false,
            json: None,
            document: None,
            places,
        };
        let mut names: Vec<_> =
            campaign.choose(rows()).unwrap_or_default().iter().map(|row| row.name).collect();
        names.dedup();
        assert_eq!(names, expected);
    }

    #[test]
    fn a_word_stands_for_the_row_of_that_name_or_for_those_that_hold_it() {
        check(&["idle"], &["idle"]);
        check(&["pattern-"], &["pattern-join", "pattern-return", "pattern-catch-up"]);
        check(&["storm", "connect"], &["connect", "storm"]);
        check(&["idle", "nothing-of-that-name"], &[]);
    }
}
