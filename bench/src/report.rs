//! What was measured, as medians and ratios.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::goal::Metric;
use crate::row::Row;
use crate::scenario::Measured;
use crate::server::{Places, Server};

pub mod chart;
pub mod document;
pub mod machine;
pub mod table;

/// Everything that one call measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Seconds since 1970.
    pub at: u64,
    /// Whether all rows were wanted.
    pub full: bool,
    /// Rounds of each row.
    pub rounds: usize,
    /// Cores, memory, kernel.
    pub machine: String,
    /// Servers that took part, with their versions.
    pub versions: Vec<(String, String)>,
    /// Servers that are not installed.
    pub not_installed: Vec<String>,
    /// The rows.
    pub rows: Vec<RowResult>,
}

/// What a row has shown.
#[derive(Debug, Serialize)]
pub struct RowResult {
    /// Its name.
    pub name: String,
    /// What was done.
    pub title: String,
    /// In the row's order; one that did not take part has no rounds.
    pub contestants: Vec<ContestantResult>,
    /// Its goals.
    pub verdicts: Vec<Verdict>,
}

/// What a contestant has shown.
#[derive(Debug, Serialize)]
pub struct ContestantResult {
    /// What the table calls it.
    pub label: String,
    /// Subscribers of the run.
    pub subscribers: usize,
    /// Topics of the run.
    pub topics: usize,
    /// Payload bytes of the run.
    pub payload_bytes: usize,
    /// One measurement a round.
    pub rounds: Vec<Measured>,
    /// Why there are no more.
    pub failed: Option<String>,
}

/// Whether a goal was reached.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// The goal in words.
    pub goal: String,
    /// The figure, or the ratio; none if one of the two was not measured.
    pub reached: Option<f64>,
    /// Whether it is within the goal, or at most 5 % beyond it.
    pub kept: bool,
}

impl Report {
    /// An empty one.
    #[must_use]
    pub fn new(full: bool, rounds: usize) -> Self {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let machine = machine::describe();
        Self { at, full, rounds, machine, versions: Vec::new(), not_installed: Vec::new(), rows: Vec::new() }
    }

    /// Notes which servers are here, and their versions.
    pub fn name_servers(&mut self, places: &Places) {
        for server in Server::ALL {
            match server.is_installed(places) {
                true => self.versions.push((server.name().to_owned(), server.version(places))),
                false => self.not_installed.push(server.name().to_owned()),
            }
        }
    }
}

impl RowResult {
    /// A row that has not been measured.
    #[must_use]
    pub fn new(row: &Row) -> Self {
        let contestants = row.contestants.iter().map(|contestant| ContestantResult {
            label: contestant.label.clone(),
            subscribers: contestant.plan.subscribers,
            topics: contestant.plan.topics,
            payload_bytes: contestant.plan.payload_bytes,
            rounds: Vec::new(),
            failed: None,
        });
        Self {
            name: row.name.to_owned(),
            title: row.title.clone(),
            contestants: contestants.collect(),
            verdicts: Vec::new(),
        }
    }

    /// Judges the row's goals by what was measured: by medians, but what was lost in any round is lost.
    pub fn judge(&mut self, row: &Row) {
        for goal in &row.goals {
            let reached = match goal.of {
                Some(other) => self.ratio(goal.metric, other),
                None if goal.metric == Metric::Lost => self.contestants[0].most(goal.metric),
                None => self.contestants[0].median(goal.metric),
            };
            let kept = reached.is_some_and(|reached| goal.bound.holds(reached));
            self.verdicts.push(Verdict { goal: goal.words(short), reached, kept });
        }
    }

    /// The first contestant's figure over another's, as the median of the rounds' ratios.
    #[must_use]
    pub fn ratio(&self, metric: Metric, other: &str) -> Option<f64> {
        let (ours, others) =
            (self.contestants.first()?, self.contestants.iter().find(|one| one.label == other)?);
        let ratios = ours.rounds.iter().zip(&others.rounds).filter_map(|(ours, theirs)| {
            let (ours, theirs) = (metric.of(ours)?, metric.of(theirs)?);
            (theirs > 0.0).then_some(ours / theirs)
        });
        median(ratios.collect())
    }
}

impl Verdict {
    /// What the table says of it; `missed` is how it says that.
    #[must_use]
    pub fn words(&self, missed: &'static str) -> [String; 2] {
        match self.reached {
            Some(reached) => [short(reached), if self.kept { "reached" } else { missed }.to_owned()],
            None => [String::new(), "not measured".to_owned()],
        }
    }
}

impl ContestantResult {
    /// The median of a figure.
    #[must_use]
    pub fn median(&self, metric: Metric) -> Option<f64> {
        self.median_of(|measured| metric.of(measured))
    }

    /// The greatest of a figure.
    #[must_use]
    pub fn most(&self, metric: Metric) -> Option<f64> {
        self.rounds.iter().filter_map(|measured| metric.of(measured)).reduce(f64::max)
    }

    /// The median of what `figure` reads.
    #[must_use]
    pub fn median_of(&self, figure: impl Fn(&Measured) -> Option<f64>) -> Option<f64> {
        median(self.rounds.iter().filter_map(figure).collect())
    }
}

/// The middle one; of two, their mean.
#[must_use]
pub fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => None,
        len if len % 2 == 1 => Some(figures[middle]),
        _ => Some(f64::midpoint(figures[middle - 1], figures[middle])),
    }
}

/// A number with three digits that count.
#[must_use]
pub fn short(number: f64) -> String {
    match number.abs() {
        size if size >= 1e6 => format!("{:.2} M", number / 1e6),
        size if size >= 1e4 => format!("{:.0}k", number / 1e3),
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 1.0 || size == 0.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.1234, 1.234, 12.34, 123.4, 12_345.0, 8_123_456.0].map(short);
        assert_eq!(texts, ["0.123", "1.23", "12.3", "123", "12k", "8.12 M"]);
    }
}
