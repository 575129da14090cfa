//! The report as part of a Markdown file, and its charts as files beside it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::goal::Metric;
use crate::report::chart::Chart;
use crate::report::table::{columns, ratio_to};
use crate::report::{ContestantResult, Report, RowResult, short};
use crate::row::metric_of;

/// The results stand between these two lines; what people wrote around them stays.
const BEGIN: &str = "<!-- results: written by `npm run bench -- --document docs/BENCHMARKS.md` -->\n";
const END: &str = "<!-- end of results -->\n";

/// The Markdown file's new text for `old`, and the charts: paths relative to the file, and their texts.
#[must_use]
pub fn write(report: &Report, old: &str) -> (String, Vec<(PathBuf, String)>) {
    let charts = charts(report);
    let (before, after) = match (old.split_once(BEGIN), old.split_once(END)) {
        (Some((before, _)), Some((_, after))) => (before, after),
        _ => (old, ""),
    };
    let text = format!("{before}{BEGIN}\n{}\n{END}{after}", results(report, &charts));
    (text, charts.into_iter().map(|(name, _, svg)| (Path::new(FOLDER).join(name), svg)).collect())
}

fn results(report: &Report, charts: &[(String, String, String)]) -> String {
    let full = if report.full { " -- --full" } else { "" };
    let mut out = format!(
        "## Last run\n\n{}, `npm run bench{full}`, medians of {} rounds (rows without a goal: 3 at most).\n{}.\n\n",
        date(report.at),
        report.rounds,
        report.machine
    );
    for (name, version) in report.versions.iter().filter(|(_, version)| !version.is_empty()) {
        let _ = writeln!(out, "- {name}: {version}");
    }
    if !report.not_installed.is_empty() {
        let _ = writeln!(out, "- not installed, so not measured: {}", report.not_installed.join(", "));
    }
    out.push_str(&goals(report));
    for (name, title, _) in charts {
        let _ = write!(out, "\n![{title}]({FOLDER}/{name})\n");
    }
    for row in &report.rows {
        out.push_str(&table(row));
    }
    out
}

fn goals(report: &Report) -> String {
    let mut out =
        "\n### Goals\n\n5 % beyond a goal counts as reached: one unchanged program ranges by more.\n\n\
                   | row | goal | reached | |\n|---|---|---:|---|\n"
            .to_owned();
    for row in &report.rows {
        for verdict in &row.verdicts {
            let [reached, kept] = verdict.words("**missed**");
            let _ = writeln!(out, "| {} | {} | {reached} | {kept} |", row.name, verdict.goal);
        }
    }
    out
}

fn table(row: &RowResult) -> String {
    let metric = metric_of(&row.name);
    let columns = columns(metric, row);
    let names: Vec<_> = columns.iter().map(|column| column.name).collect();
    let mut out =
        format!("\n### {}: {}\n\n| | {} | ours over it |\n", row.name, row.title, names.join(" | "));
    let _ = writeln!(out, "|---|{}---|", "---:|".repeat(columns.len()));
    for contestant in &row.contestants {
        if let Some(error) = &contestant.failed {
            let _ = writeln!(out, "| {} | failed: {error} |", contestant.label);
        }
        if contestant.rounds.is_empty() {
            continue;
        }
        let figures: Vec<_> = columns
            .iter()
            .map(|column| contestant.median_of(column.figure).map_or_else(String::new, short))
            .collect();
        let ratio = ratio_to(metric, contestant, row);
        let _ = writeln!(out, "| {} | {} | {ratio} |", contestant.label, figures.join(" | "));
    }
    out
}

/// File name, title and SVG of each chart that the report has points for.
fn charts(report: &Report) -> Vec<(String, String, String)> {
    type Across = fn(&ContestantResult) -> usize;
    let kinds: [(&str, &str, &str, Across); 3] = [
        ("by-subscribers", "CPU per delivery as the audience grows", "subscribers of one topic", |one| {
            one.subscribers
        }),
        (
            "by-topics",
            "CPU per delivery as topics grow, 10,000 messages/s",
            "topics, one subscriber each",
            |one| one.topics,
        ),
        ("by-payload", "CPU per delivery as payloads grow", "bytes of a payload", |one| one.payload_bytes),
    ];
    let chart = |(name, title, x, across): (&str, &str, &'static str, Across)| {
        let lines = lines(report, name, across);
        let chart = Chart { title: title.to_owned(), x, y: "us", lines };
        Some((format!("{name}.svg"), title.to_owned(), chart.svg()?))
    };
    kinds.into_iter().filter_map(chart).collect()
}

/// One line for each contestant of the rows of a name.
fn lines(
    report: &Report,
    name: &str,
    across: fn(&ContestantResult) -> usize,
) -> Vec<(String, Vec<(f64, f64)>)> {
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for contestant in report.rows.iter().filter(|row| row.name == name).flat_map(|row| &row.contestants) {
        let Some(cpu) = contestant.median(Metric::Cpu) else { continue };
        let point = (across(contestant) as f64, cpu);
        match lines.iter_mut().find(|(label, _)| *label == contestant.label) {
            Some((_, points)) => points.push(point),
            None => lines.push((contestant.label.clone(), vec![point])),
        }
    }
    lines
}

/// The day of a time, by the civil calendar (Howard Hinnant's `civil_from_days`).
fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

/// Beside the Markdown file.
const FOLDER: &str = "benchmarks";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        assert_eq!([0, 951_782_400, 1_709_164_800].map(date), ["1970-01-01", "2000-02-29", "2024-02-29"]);
    }

    #[test]
    fn results_are_replaced_and_the_rest_stays() {
        let report = Report::new(false, 3);
        let (first, _) = write(&report, &format!("# Title\n\n{BEGIN}old\n{END}\nlast words\n"));
        assert!(
            first.starts_with("# Title\n\n") && first.ends_with("\nlast words\n") && !first.contains("old")
        );
        assert_eq!(write(&report, &first).0, first);
    }
}
