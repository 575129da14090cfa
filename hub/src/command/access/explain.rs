//! `tidewire access explain`: which rule, or what of a token, decides each right to a topic.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tidewire_hub::config::{Config, Flags};
use tidewire_hub_core::access::caller::{Caller, Right};
use tidewire_hub_core::access::only::{SUB, with_subject};
use tidewire_hub_core::access::{AccessRule, Decision};
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::ledger::{AccountKey, Ledger};
use tidewire_protocol::name::Selector;

use crate::command::config_file::ConfigFile;
use crate::command::failure::{EXIT_CODES, Failure};
use crate::command::hub_address::TOKEN;
use crate::command::printing::pipe_closed;
use crate::command::token::{Given, fetched};

/// The options of `access explain`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Explain {
    #[command(flatten)]
    config: ConfigFile,
    /// The token of whoever it is about; without one, whoever has none. - reads it from the standard input. Others on this
    /// machine may see arguments: TIDEWIRE_TOKEN is safer
    #[arg(long, env = TOKEN, hide_env_values = true)]
    token: Option<String>,
    /// A topic, or a pattern that is to be read as a whole
    topic: String,
}

impl Explain {
    /// Ends with 4 if a hub would refuse the token.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let what = Selector::parse(&self.topic)
            .map_err(|error| Failure::Input(format!("`{}` is no topic or pattern; {error}", self.topic)))?;
        let token = self.token.map(|token| Given { token }.read()).transpose()?;
        let flags = Flags { config: self.config.path()?, ..Flags::default() };
        let config = Config::load(&flags, std::env::vars_os())?;
        let caller = caller(&config, token.as_deref())?;
        let told = told(&config, &caller, &what);
        io::stdout().lock().write_all(told.as_bytes()).or_else(pipe_closed)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Who a hub with this configuration would take the bearer of a token for.
fn caller(config: &Config, token: Option<&str>) -> anyhow::Result<Caller> {
    // Without keys a hub looks at no token.
    let Some(token) = token.filter(|_| !config.keys.is_empty()) else { return Ok(Caller::default()) };
    let keys = fetched(config.keys.clone())?;
    let pass = keys.admit(token, Millis(0)).map_err(|bad| Failure::Refused(bad.sentence().into_owned()))?;
    let account = Arc::new(Ledger::default()).account(AccountKey::default());
    Caller::new(pass, &account).map_err(|code| Failure::Refused(code.sentence().into()).into())
}

fn told(config: &Config, caller: &Caller, what: &Selector) -> String {
    let mut told = match caller.subject() {
        Some(subject) => format!("{subject:?}, who has signed in by this token:\n"),
        None => "whoever has no token:\n".into(),
    };
    let rights = [("publish", Right::Publish), ("subscribe", Right::Subscribe), ("history", Right::History)];
    for (name, right) in rights {
        let says = match what {
            Selector::Pattern(_) if right == Right::Publish => "no: a pattern cannot be published to".into(),
            what => why(config, caller, right, what),
        };
        let _ = writeln!(told, "  {name}: {says}");
    }
    told.push_str(&passed_over(config, caller));
    told
}

/// That rules with `{sub}` say nothing of somebody: who reads them would look for the reason elsewhere.
fn passed_over(config: &Config, caller: &Caller) -> String {
    let Some(subject) = caller.subject().filter(|subject| with_subject(SUB, subject).is_none()) else {
        return String::new();
    };
    let is_theirs = |rule: &&AccessRule| rule.pattern.as_str().contains(SUB);
    let patterns = config.core.access.rules.iter().filter(is_theirs).map(|rule| rule.pattern.as_str());
    let tell = |pattern| {
        format!("the rule of `{pattern}` passes {subject:?} over: that is no single token of a name\n")
    };
    patterns.map(tell).collect()
}

/// What decides, in words.
fn why(config: &Config, caller: &Caller, right: Right, what: &Selector) -> String {
    let rule = |at: usize| match config.access_places.get(at) {
        Some(place) => format!("the rule of {place}"),
        None => "a rule that is not written".to_owned(),
    };
    let is_pattern = matches!(what, Selector::Pattern(_));
    match config.core.access.decide(caller, right, what) {
        Decision::Allowed { rule: at } => format!("yes: {} allows it", rule(at)),
        Decision::Denied { rule: at } if is_pattern => {
            format!(
                "no: {} denies it or a part of it, and a pattern is read as a whole or not at all",
                rule(at)
            )
        }
        Decision::Denied { rule: at } => format!("no: {} denies it, whatever a token says", rule(at)),
        Decision::ByToken { allowance } => {
            let allowed = caller.pass().and_then(|pass| pass.allow.get(allowance));
            let pattern = allowed.map_or("it", |allowed| allowed.pattern.as_str());
            format!("yes: no rule decides it, and the token allows it with `{pattern}`")
        }
        Decision::Nothing { left_out } => {
            let begin = match left_out {
                Some(at) => format!("{} leaves it to tokens, and", rule(at)),
                None => "no rule decides it, and".into(),
            };
            let token =
                if caller.has_signed_in() { "the token does not allow it" } else { "there is no token" };
            let whole =
                if is_pattern { "; of rules and tokens one has to cover a pattern as a whole" } else { "" };
            format!("no: {begin} {token}{whole}")
        }
        Decision::Reserved => "no: names that begin with `$` are the hub's own".into(),
    }
}
