//! The table: what was done how often, and what came of it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::torture::suite::Kind;

/// What came of a kind.
#[derive(Default)]
pub(crate) struct Row {
    pub(crate) times: usize,
    /// Messages that were acknowledged meanwhile.
    pub(crate) acknowledged: usize,
    /// The longest that it took until a hub listened again.
    pub(crate) longest: Duration,
    /// What was not right.
    pub(crate) wrong: Vec<String>,
    /// Why it cannot be done here.
    pub(crate) skipped: Option<String>,
    /// What else is to be told.
    pub(crate) also: String,
}

impl Row {
    pub(crate) fn skipped(why: String) -> Self {
        Self { skipped: Some(why), ..Self::default() }
    }

    pub(crate) fn broken(why: &str) -> Self {
        Self { wrong: vec![why.to_owned()], ..Self::default() }
    }

    /// Takes another's into this one.
    pub(crate) fn add(&mut self, other: Self) {
        self.times += other.times;
        self.acknowledged += other.acknowledged;
        self.longest = self.longest.max(other.longest);
        self.wrong.extend(other.wrong);
    }

    pub(crate) fn holds(&self) -> bool {
        self.wrong.is_empty()
    }

    /// In a line or some.
    pub(crate) fn verdict(&self, kind: &Kind) -> String {
        let Self { times, acknowledged, longest, wrong, skipped, also } = self;
        let name = kind.name;
        if let Some(why) = skipped {
            return format!("{name}: skipped: {why}");
        }
        let mut out = format!(
            "{name}: {times} times, {acknowledged} acknowledged, ready again within {longest:?}{also}"
        );
        for wrong in wrong.iter().take(WRONG_MAX) {
            let _ = write!(out, "\n  WRONG: {wrong}");
        }
        out
    }
}

/// All rows, in Markdown.
pub(crate) fn table(rows: &[(&Kind, Row)]) -> String {
    let mut table = String::from(
        "| kind | what is done | times | acknowledged meanwhile | ready again within | lost, twice, out of order, or not told |\n\
         |---|---|---:|---:|---:|---|\n",
    );
    for (kind, row) in rows {
        let result = match (&row.skipped, row.holds()) {
            (Some(_), _) => "not tested here".to_owned(),
            (None, true) => format!("none{}", row.also),
            (None, false) => format!("**{}**", row.wrong.len()),
        };
        let longest = format!("{} ms", row.longest.as_millis());
        let longest = if row.longest.is_zero() { "" } else { &longest };
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {} | {longest} | {result} |",
            kind.name, kind.does, row.times, row.acknowledged
        );
    }
    table
}

/// Puts the table between the marks of a document.
pub(crate) fn write_into(path: &Path, rows: &[(&Kind, Row)]) {
    let text = fs::read_to_string(path).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    fs::write(path, format!("{head}{BEGIN}\n{}{END}{tail}", table(rows))).unwrap();
}

const WRONG_MAX: usize = 5;
const BEGIN: &str = "<!-- torture: begin -->";
const END: &str = "<!-- torture: end -->";
