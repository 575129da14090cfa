//! The table: what was done, and what the neighbour noticed of it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::hostile::attacks::Attack;
use crate::hostile::neighbour::{Account, Delays};

/// What came of an attack.
#[derive(Default)]
pub(crate) struct Row {
    name: &'static str,
    does: &'static str,
    /// Acknowledgements: 50th and 99th percentile in peace, then under attack.
    acks: [Duration; 4],
    delivered_p99: Duration,
    lost: usize,
    published: usize,
    newcomers: u64,
    /// Connections that the attacker made, and bytes that it sent.
    pub(crate) done: (u64, u64),
    /// The hub's, before and at its peak, bytes.
    pub(crate) memory: (u64, u64),
    /// Times that were missed.
    pub(crate) late: Vec<String>,
    /// Everything else that was not right.
    pub(crate) wrong: Vec<String>,
}

impl Row {
    pub(crate) fn new(
        attack: &Attack,
        quiet: &Delays,
        under_attack: &Delays,
        account: &Account,
        memory: (u64, u64),
    ) -> Self {
        let both = |delays: &Delays| [Delays::p50(&delays.acks), Delays::p99(&delays.acks)];
        let ([a, b], [c, d]) = (both(quiet), both(under_attack));
        Self {
            name: attack.name,
            does: attack.does,
            acks: [a, b, c, d],
            delivered_p99: Delays::p99(&under_attack.deliveries),
            lost: account.unacknowledged.max(account.undelivered).max(account.not_kept),
            published: account.published,
            newcomers: account.newcomers,
            done: (0, 0),
            memory,
            late: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// A row of one that could not be carried out.
    pub(crate) fn broken(attack: &Attack, why: String) -> Self {
        Self { name: attack.name, does: attack.does, wrong: vec![why], ..Self::default() }
    }

    /// Whether nothing but times was missed.
    pub(crate) fn only_late(&self) -> bool {
        self.wrong.is_empty() && !self.late.is_empty()
    }

    pub(crate) fn is_right(&self) -> bool {
        self.wrong.is_empty() && self.late.is_empty()
    }

    /// A line for people who wait.
    pub(crate) fn verdict(&self) -> String {
        let what = [&self.wrong[..], &self.late[..]].concat().join("; ");
        match self.is_right() {
            true => format!("ok    {}", self.name),
            false => format!("FAIL  {}: {}", self.name, what.chars().take(400).collect::<String>()),
        }
    }
}

/// All rows, in Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| attack | what it does | connections, MB sent | ack p50 / p99, quiet (ms) | under attack | delivery p99 | lost of | hub before -> peak (MiB) | holds |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let [a, b, c, d] = row.acks.map(ms);
        let (before, peak) = (row.memory.0 >> 20, row.memory.1 >> 20);
        let holds = if row.is_right() { "yes" } else { "**no**" };
        let _ = writeln!(
            table,
            "| `{}` | {} | {}, {} | {a} / {b} | {c} / {d} | {} | {} of {} | {before} -> {peak} | {holds} |",
            row.name,
            row.does,
            row.done.0,
            row.done.1 / 1_000_000,
            ms(row.delivered_p99),
            row.lost,
            row.published,
        );
    }
    let newcomers: u64 = rows.iter().map(|row| row.newcomers).sum();
    let _ = writeln!(table, "\n{newcomers} newcomers came by meanwhile.");
    table
}

/// Puts the table between the marks of a document.
pub(crate) fn write_into(path: &Path, rows: &[Row]) {
    let text = fs::read_to_string(path).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    fs::write(path, format!("{head}{BEGIN}\n{}{END}{tail}", table(rows))).unwrap();
}

fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

const BEGIN: &str = "<!-- hostile: begin -->";
const END: &str = "<!-- hostile: end -->";
