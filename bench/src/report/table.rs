//! The report for a terminal.

use std::fmt::Write as _;

use crate::goal::Metric;
use crate::report::{ContestantResult, Report, RowResult, Verdict, short};
use crate::row::Row;
use crate::scenario::Measured;

/// Machine, versions, and who is missing.
#[must_use]
pub fn head(report: &Report) -> String {
    let mut out = format!("{}; medians of {} rounds\n", report.machine, report.rounds);
    for (name, version) in &report.versions {
        if !version.is_empty() {
            let _ = writeln!(out, "  {name}: {version}");
        }
    }
    if !report.not_installed.is_empty() {
        let _ = writeln!(out, "  not installed, so skipped: {}", report.not_installed.join(", "));
    }
    out
}

/// One row: a line for each contestant, and one for each goal.
#[must_use]
pub fn row(row: &Row, result: &RowResult) -> String {
    let columns = columns(row.metric, result);
    let mut lines = vec![cells("", &columns, |column| column.name.to_owned(), "ratio")];
    for contestant in &result.contestants {
        if let Some(error) = &contestant.failed {
            lines.push(vec![contestant.label.clone(), format!("failed: {error}")]);
        }
        if contestant.rounds.is_empty() {
            continue;
        }
        let figure = |column: &Column| contestant.median_of(column.figure).map_or_else(String::new, short);
        let ratio = ratio_to(row.metric, contestant, result);
        lines.push(cells(&contestant.label, &columns, figure, &ratio));
    }
    let goals = result.verdicts.iter().map(|verdict| goal("goal:", verdict));
    let goals = aligned(&goals.collect::<Vec<_>>());
    format!("\n{}: {}\n{}{goals}", result.name, result.title, aligned(&lines))
}

fn goal(first: &str, verdict: &Verdict) -> Vec<String> {
    let [reached, kept] = verdict.words("MISSED");
    vec![first.to_owned(), verdict.goal.clone(), reached, kept]
}

/// Every goal.
#[must_use]
pub fn goals(report: &Report) -> String {
    let mut lines = Vec::new();
    for row in &report.rows {
        lines.extend(row.verdicts.iter().map(|verdict| goal(&row.name, verdict)));
    }
    if lines.is_empty() {
        String::new()
    } else {
        format!("\ngoals (5 % beyond counts as reached)\n{}", aligned(&lines))
    }
}

/// A figure with a column of its own.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) figure: fn(&Measured) -> Option<f64>,
}

/// Those columns in which somebody has something to say.
pub(crate) fn columns(metric: Metric, result: &RowResult) -> Vec<Column> {
    let mut columns = vec![
        Column { name: "deliveries/s", figure: |measured| measured.per_second },
        Column { name: "CPU us each", figure: |measured| measured.cpu_us },
        Column { name: "cores", figure: |measured| measured.cores },
        Column { name: "p50 us", figure: |measured| measured.latency.map(|latency| latency.p50) },
        Column { name: "p99 us", figure: |measured| measured.latency.map(|latency| latency.p99) },
        Column { name: "p99.9 us", figure: |measured| measured.latency.map(|latency| latency.p999) },
        Column { name: "max us", figure: |measured| measured.latency.map(|latency| latency.max) },
        Column { name: "wire bytes", figure: |measured| measured.wire_bytes },
        Column { name: "MB/s", figure: |measured| measured.megabytes_per_second },
        Column { name: "publishes/s", figure: |measured| measured.publishes_per_second },
        Column { name: "refused/s", figure: |measured| measured.refusals_per_second },
        Column { name: "joins/s", figure: |measured| measured.joins_per_second },
        Column { name: "start s", figure: |measured| measured.start_seconds },
        Column { name: "disk at rest", figure: |measured| measured.disk_at_rest },
        Column { name: "disk at peak", figure: |measured| measured.disk_at_peak },
        Column { name: "bytes each", figure: |measured| measured.bytes_each },
        Column { name: "memory MiB", figure: |measured| measured.memory_mib },
        Column { name: "grown MiB", figure: |measured| measured.grown_mib },
        Column { name: "behind", figure: |measured| Some(measured.behind as f64).filter(|many| *many > 0.0) },
        Column { name: "kernel KiB each", figure: |measured| measured.kernel_kib_each },
        Column { name: "lost", figure: |measured| Some(measured.lost as f64).filter(|lost| *lost > 0.0) },
        Column {
            name: "repeated",
            figure: |measured| Some(measured.repeated as f64).filter(|many| *many > 0.0),
        },
        Column { name: "gaps", figure: |measured| Some(measured.gaps as f64).filter(|gaps| *gaps > 0.0) },
    ];
    if matches!(metric, Metric::AckP90 | Metric::AckP99 | Metric::AckMax) || shows_acks(result) {
        columns.insert(3, Column { name: "ack p50", figure: |measured| measured.ack.map(|ack| ack.p50) });
        columns.insert(4, Column { name: "ack p90", figure: |measured| measured.ack.map(|ack| ack.p90) });
        columns.insert(5, Column { name: "ack p99", figure: |measured| measured.ack.map(|ack| ack.p99) });
    }
    if metric == Metric::AckMax {
        columns.insert(6, Column { name: "ack p99.9", figure: |measured| measured.ack.map(|ack| ack.p999) });
        columns.insert(7, Column { name: "ack max", figure: |measured| measured.ack.map(|ack| ack.max) });
    }
    let said = |column: &Column| result.contestants.iter().any(|one| one.median_of(column.figure).is_some());
    columns.retain(said);
    columns
}

/// Whether acks are timed and nothing is delivered.
fn shows_acks(result: &RowResult) -> bool {
    let of_acks = |measured: &Measured| measured.ack.filter(|_| measured.per_second.is_none());
    result.contestants.iter().flat_map(|one| &one.rounds).any(|measured| of_acks(measured).is_some())
}

/// The first contestant's figure over this one's, in words.
pub(crate) fn ratio_to(metric: Metric, contestant: &ContestantResult, result: &RowResult) -> String {
    let first = result.contestants.first().is_some_and(|first| first.label == contestant.label);
    match result.ratio(metric, &contestant.label) {
        Some(ratio) if !first => format!("{} x {}", short(ratio), metric.name()),
        _ => String::new(),
    }
}

fn cells(label: &str, columns: &[Column], cell: impl Fn(&Column) -> String, last: &str) -> Vec<String> {
    let middle = columns.iter().map(cell);
    std::iter::once(label.to_owned()).chain(middle).chain(std::iter::once(last.to_owned())).collect()
}

/// Columns as wide as their widest cell, numbers to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let count = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter(|line| line.len() > 2).filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut out = String::new();
    for line in lines {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            let number = cell.starts_with(|first: char| first.is_ascii_digit());
            let _ = if number { write!(text, "  {cell:>width$}") } else { write!(text, "  {cell:width$}") };
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
    out
}
