//! The rows of the table: who is measured doing what, and what is to be reached.

use crate::dialect::Dialect;
use crate::goal::{Goal, Metric};
use crate::load::{Pacing, Plan};
use crate::scenario::Scenario;
use crate::server::Server;

mod asking;
mod durable;
mod growth;
mod joins;
mod memory;
mod neighbours;
mod patterns;
mod rates;
mod saturation;
mod tokens;

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    /// Short name, for `--only` and JSON.
    pub name: &'static str,
    /// What is done, in a line.
    pub title: String,
    /// The first is compared with each other one.
    pub contestants: Vec<Contestant>,
    /// The figure that stands for the row.
    pub metric: Metric,
    /// What is to be reached.
    pub goals: Vec<Goal>,
    /// Left out unless all rows are wanted.
    pub full_only: bool,
}

/// A server in a role.
#[derive(Debug, Clone)]
pub struct Contestant {
    /// What the table calls it.
    pub label: String,
    /// The server.
    pub server: Server,
    /// What is spoken to it.
    pub dialect: Dialect,
    /// Who takes part.
    pub plan: Plan,
    /// What is done.
    pub scenario: Scenario,
}

/// All rows, in the order of the table.
#[must_use]
pub fn rows() -> Vec<Row> {
    [
        saturation::rows(),
        rates::rows(),
        asking::rows(),
        memory::rows(),
        neighbours::rows(),
        joins::rows(),
        tokens::rows(),
        patterns::rows(),
        durable::rows(),
        growth::rows(),
    ]
    .concat()
}

/// The figure that stands for the rows of a name.
#[must_use]
pub fn metric_of(name: &str) -> Metric {
    rows().into_iter().find(|row| row.name == name).map_or(Metric::Cpu, |row| row.metric)
}

const SATURATED: Scenario = Scenario::FanOut { pacing: Pacing::InFlight(64), seconds: 3.0 };

const fn rate(per_second: f64) -> Scenario {
    Scenario::FanOut { pacing: Pacing::Rate(per_second), seconds: 4.0 }
}

/// A row in which every server does the same.
fn row(name: &'static str, title: impl Into<String>, servers: &[Server], what: (Plan, Scenario)) -> Row {
    let (plan, scenario) = what;
    let contestant = |server: &Server| Contestant {
        label: server.name().to_owned(),
        server: *server,
        dialect: server.dialect(),
        plan,
        scenario,
    };
    Row {
        name,
        title: title.into(),
        contestants: servers.iter().map(contestant).collect(),
        metric: Metric::Cpu,
        goals: Vec::new(),
        full_only: false,
    }
}

impl Row {
    /// The first contestant's server once more, doing something else.
    fn beside(self, label: &str, plan: Plan, scenario: Scenario) -> Self {
        let server = self.contestants.first().map_or(Server::Tidewire, |first| first.server);
        self.and(Contestant { label: label.to_owned(), server, dialect: server.dialect(), plan, scenario })
    }

    fn and(mut self, contestant: Contestant) -> Self {
        self.contestants.push(contestant);
        self
    }

    /// The first contestant is spoken to in this dialect.
    fn speaking(mut self, dialect: Dialect) -> Self {
        self.contestants.iter_mut().take(1).for_each(|first| first.dialect = dialect);
        self
    }

    const fn of(mut self, metric: Metric) -> Self {
        self.metric = metric;
        self
    }

    fn reach(mut self, goal: Goal) -> Self {
        self.goals.push(goal);
        self
    }

    const fn in_full(mut self) -> Self {
        self.full_only = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_goal_is_measured_against_somebody_in_its_row() {
        for row in rows() {
            for of in row.goals.iter().filter_map(|goal| goal.of) {
                assert!(row.contestants.iter().any(|one| one.label == of), "{}: who is {of}?", row.name);
            }
        }
    }

    #[test]
    fn the_first_of_each_row_is_ours_and_no_two_have_one_label() {
        for row in rows() {
            assert!(row.contestants[0].server.is_subject(), "{}", row.name);
            let mut labels: Vec<_> = row.contestants.iter().map(|one| &one.label).collect();
            labels.sort();
            labels.dedup();
            assert_eq!(labels.len(), row.contestants.len(), "{}", row.name);
        }
    }
}
