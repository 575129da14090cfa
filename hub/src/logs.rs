//! What the hub tells its operator, on standard error: one line each, as text or as JSON, and how much of it. What a client
//! has chosen is in none of them unless it cannot be anything but what it looks like, as an address or a well-formed origin,
//! or is cut and escaped; what is secret is in none.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::{self, Debug};
#[cfg(unix)]
use std::fs::File;
use std::io::{self, Write};
#[cfg(unix)]
use std::os::fd::AsFd as _;
use std::str::FromStr;
use std::sync::OnceLock;
use std::{panic, thread};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber, error};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, layer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::logs::outlet::Outlet;

mod outlet;

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// As people read it.
    #[default]
    Text,
    /// An object a line, with the time, the level and the part that tells it.
    Json,
}

/// How much each part tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels([LevelFilter; PARTS.len()]);

/// What does not say how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a level (off, error, warn, info, debug, trace), and levels of parts behind it, like \"info,gate=debug\"; parts are {}",
    PARTS.join(", ")
)]
pub struct BadLevels;

/// The parts that tell something.
const PARTS: [&str; 7] = ["server", "http", "gate", "reactor", "storage", "tokens", "demo"];

/// Where the hub's lines go.
static OUTLET: OnceLock<Outlet> = OnceLock::new();

/// From now on whatever the hub tells is written like this, and that a thread panicked, too. Only the first call of a process
/// counts.
///
/// # Errors
/// No thread can be started that writes.
pub fn begin(format: Format, levels: &Levels) -> io::Result<()> {
    // What libraries tell is not for operators, and nobody here has looked for secrets in it.
    let told = Targets::new().with_targets(PARTS.into_iter().zip(levels.0.iter().copied()));
    let note = match format {
        Format::Text => left_out_in_text,
        Format::Json => left_out_in_json,
    };
    let outlet = Outlet::begin(standard_error()?, note)?;
    let outlet = OUTLET.get_or_init(|| outlet).clone();
    let lines = layer().with_writer(move || outlet.clone()).with_ansi(false).log_internal_errors(false);
    let lines = match format {
        Format::Text => lines.event_format(Plain).boxed(),
        Format::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    let _ = tracing_subscriber::registry().with(lines.with_filter(told)).try_init();
    panic::set_hook(Box::new(|panicked| {
        let thread = thread::current();
        let (name, trace) = (thread.name().unwrap_or("a thread"), Backtrace::capture());
        let told = panicked.to_string().replace('\n', " ");
        match trace.status() {
            BacktraceStatus::Captured => error!(target: "server", "{name} {told}\n{trace}"),
            _ => error!(target: "server", "{name} {told}"),
        }
        // The main thread's panic ends the process, whatever others have not written yet.
        if thread.name() == Some("main") {
            flush();
        }
    }));
    Ok(())
}

/// Waits until what was told so far is written, but not for long: whether it is, or nothing was to be. To be called before the
/// process ends, and before it says anything beside its log.
pub fn flush() -> bool {
    OUTLET.get().is_none_or(Outlet::flush)
}

/// Without its lock, which everybody else would wait for who writes there.
#[cfg(unix)]
fn standard_error() -> io::Result<impl Write + Send> {
    Ok(File::from(io::stderr().as_fd().try_clone_to_owned()?))
}

#[cfg(not(unix))]
fn standard_error() -> io::Result<impl Write + Send> {
    Ok(io::stderr())
}

fn left_out_in_text(count: u64) -> String {
    format!("tidewire: warning: {}\n", left_out(count))
}

/// As the layer writes all others.
fn left_out_in_json(count: u64) -> String {
    let mut timestamp = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let message = left_out(count);
    let line = serde_json::json!({ "timestamp": timestamp, "level": "WARN", "message": message, "target": "server" });
    format!("{line}\n")
}

fn left_out(count: u64) -> String {
    format!(
        "{count} lines are missing here: standard error was not read in time, and the hub waits no longer for that"
    )
}

impl Default for Levels {
    fn default() -> Self {
        Self([LevelFilter::INFO; PARTS.len()])
    }
}

impl FromStr for Levels {
    type Err = BadLevels;

    fn from_str(text: &str) -> Result<Self, BadLevels> {
        let mut levels = Self::default();
        let mut known = [false; PARTS.len()];
        for entry in text.split(',').map(str::trim) {
            match entry.split_once('=') {
                Some((part, level)) => {
                    let part = PARTS.iter().position(|known| *known == part.trim()).ok_or(BadLevels)?;
                    (levels.0[part], known[part]) = (level_of(level)?, true);
                }
                None => {
                    let level = level_of(entry)?;
                    let others = levels.0.iter_mut().zip(known).filter(|(_, known)| !known);
                    others.for_each(|(other, _)| *other = level);
                }
            }
        }
        Ok(levels)
    }
}

fn level_of(text: &str) -> Result<LevelFilter, BadLevels> {
    Ok(match text.trim() {
        "off" => LevelFilter::OFF,
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => return Err(BadLevels),
    })
}

/// The message behind the program's name, and whether it is a warning or an error.
#[derive(Debug)]
struct Plain;

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static> FormatEvent<S, N>
    for Plain
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        to.write_str(match *event.metadata().level() {
            Level::ERROR => "tidewire: error: ",
            Level::WARN => "tidewire: warning: ",
            _ => "tidewire: ",
        })?;
        let mut told = Told { to: &mut to, result: Ok(()) };
        event.record(&mut told);
        told.result?;
        to.write_char('\n')
    }
}

struct Told<'a, 'b> {
    to: &'a mut Writer<'b>,
    result: fmt::Result,
}

impl Visit for Told<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.result = self.result.and_then(|()| match field.name() {
            "message" => write!(self.to, "{value:?}"),
            name => write!(self.to, " {name}={value:?}"),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_of_all_and_of_parts_in_any_order() {
        let of = |text: &str| text.parse::<Levels>().map(|levels| levels.0);
        let mut expected = [LevelFilter::WARN; PARTS.len()];
        expected[2] = LevelFilter::DEBUG;
        assert_eq!(of("warn,gate=debug"), Ok(expected));
        assert_eq!(of(" gate = debug , warn"), Ok(expected));
        assert_eq!(of("info"), Ok(Levels::default().0));
        for wrong in ["", "loud", "gate", "gate=", "gate=loud", "hyper=trace", "info,,", "info gate=debug"] {
            assert_eq!(of(wrong), Err(BadLevels), "{wrong}");
        }
    }

    #[test]
    fn every_part_that_tells_something_is_named_and_no_other() {
        // Whatever has another target is told nobody.
        let mut told = std::collections::BTreeSet::new();
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(path).unwrap_or_default();
                for level in ["error", "warn", "info", "debug", "trace"] {
                    for call in text.split(&format!(" {level}!(")).skip(1) {
                        let target = call
                            .trim_start()
                            .strip_prefix("target: \"")
                            .and_then(|rest| rest.split('"').next());
                        told.insert(target.unwrap_or("a call without a target").to_owned());
                    }
                }
            }
        }
        assert_eq!(told.iter().map(String::as_str).collect::<Vec<_>>(), {
            let mut parts = PARTS;
            parts.sort_unstable();
            parts
        });
    }
}
