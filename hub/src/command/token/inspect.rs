//! `tidewire token inspect`: what a token says, whoever signed it.

use std::io::{self, Write as _};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use serde_json::Value;
use tidewire_hub::report::report;
use tidewire_hub::tokens::claims::RIGHTS;
use tidewire_hub::tokens::wall_ms;
use tidewire_hub_core::limits::of_bearer::Bound;

use crate::command::failure::{EXIT_CODES, Failure};
use crate::command::printing::{pipe_closed, plain};
use crate::command::token::{Given, duration, warn_of_millis};

/// The options of `token inspect`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Inspect {
    #[command(flatten)]
    given: Given,
}

impl Inspect {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let token = self.given.read()?;
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, _] = parts[..] else {
            return Err(Failure::Input(
                "the token is no signed JWT: that has three parts between dots".into(),
            )
            .into());
        };
        let (header, claims) = (part(header, "header")?, part(claims, "claims")?);
        report("nothing of this was checked; `tidewire token verify` does that");
        for (name, says) in [("exp", "expires"), ("nbf", "is valid"), ("iat", "was issued")] {
            if let Some(seconds) = claims[name].as_u64() {
                report(format_args!("it {says} {}", when(seconds)));
                warn_of_millis(name, seconds);
            }
        }
        let entries = claims["tidewire"]["allow"].as_array();
        let rights = entries.into_iter().flatten().filter_map(|entry| entry["to"].as_array()).flatten();
        for right in rights.filter_map(Value::as_str).filter(|right| !RIGHTS.contains(right)) {
            report(format_args!(
                "there is no right {right:?}: it allows nothing; there are {}",
                RIGHTS.join(", ")
            ));
        }
        let limits = claims["tidewire"]["limits"].as_object().into_iter().flat_map(|limits| limits.keys());
        for name in limits.filter(|name| Bound::named(name).is_none()) {
            report(format_args!("no hub takes it: there is no limit {name:?}"));
        }
        let mut out = io::stdout().lock();
        writeln!(out, "{}", plain(&format!("{header:#}\n{claims:#}"))).or_else(pipe_closed)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn part(text: &str, what: &str) -> Result<Value, Failure> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or_else(|| {
        Failure::Input(format!("the token is no signed JWT: its {what} is no JSON in base64url"))
    })
}

fn when(seconds: u64) -> String {
    let now = wall_ms() / 1_000;
    if seconds > now {
        format!("in {}", duration(seconds - now))
    } else {
        format!("{} ago", duration(now - seconds))
    }
}
