//! `tidewire token verify`: whether a hub would take a token, and what that allows.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Args;
use tidewire_hub::report::report;
use tidewire_hub::tokens::claims::{RIGHTS, SUB, right};
use tidewire_hub::tokens::wall_ms;
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::limits::of_bearer::Bound;

use crate::command::config_file::ConfigFile;
use crate::command::failure::{EXIT_CODES, Failure};
use crate::command::printing::{pipe_closed, plain};
use crate::command::token::{Given, duration, keys, warn_of_millis, warn_of_pattern};

/// The options of `token verify`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Verify {
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    config: ConfigFile,
}

impl Verify {
    /// Ends with 4 if a hub would refuse it.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let token = self.given.read()?;
        let keys = keys(self.config)?;
        if keys.is_empty() {
            let says = "the configuration has no [[auth.keys]]: a hub would take no token, and everybody is anonymous";
            return Err(Failure::Input(says.into()).into());
        }
        let refused =
            |bad: tidewire_hub_core::credentials::BadToken| Failure::Refused(bad.sentence().into_owned());
        let (claims, key) = keys.verify(&token).map_err(refused)?;
        claims.pass(Millis(0), wall_ms(), key.leeway_seconds).map_err(refused)?;
        let (now, exp) = (wall_ms() / 1_000, claims.exp_seconds().unwrap_or_default());
        warn_of_millis("exp", exp);
        if claims.issued_seconds().is_none() {
            report(UNDATED);
        }
        let mut told = format!("a hub takes it as {:?}, for another ", claims.sub);
        told.push_str(&match exp.checked_sub(now).filter(|left| *left > 0) {
            Some(left) => format!("{}\n", duration(left)),
            None => {
                let left = exp.saturating_add(key.leeway_seconds).saturating_sub(now);
                format!("{}: it has expired, and clocks may differ (`leeway_seconds`)\n", duration(left))
            }
        });
        for allow in claims.allow() {
            let known = allow.to.iter().filter(|name| right(name).is_some());
            for unknown in allow.to.iter().filter(|name| !RIGHTS.contains(&name.as_str())) {
                report(format_args!("warning: there is no right {unknown:?}: it allows nothing"));
            }
            let rights = known.map(String::as_str).collect::<Vec<_>>().join(", ");
            for topic in &allow.topics {
                warn_of_pattern(topic);
                let topic = topic.replace(SUB, &claims.sub);
                let rights = if rights.is_empty() { "nothing yet" } else { &rights };
                told.push_str(&format!("  {topic}: {rights}\n"));
            }
        }
        for (bound, most) in Bound::ALL.iter().filter_map(|it| Some((it, claims.tidewire.limits.get(*it)?))) {
            told.push_str(&format!(
                "  {}: {most}, or what the hub's limit is if that is less\n",
                bound.name()
            ));
        }
        if let Some(info) = &claims.tidewire.info {
            told.push_str(&format!("  operators see: {info}\n"));
        }
        told.push_str("beside what its rules say, of which a denial goes first\n");
        io::stdout().lock().write_all(plain(&told).as_bytes()).or_else(pipe_closed)?;
        Ok(ExitCode::SUCCESS)
    }
}

const UNDATED: &str = "warning: it has no `iat`: once tokens of its subject are revoked, it counts as issued before, and so does any other without one";
