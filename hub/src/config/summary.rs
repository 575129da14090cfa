//! A configuration in words, for whoever wants to see what the hub has understood.

use std::fmt::Write as _;

use tidewire_hub_core::access::only::{Only, SubjectIs};
use tidewire_hub_core::access::{AccessRule, Who, Word};

use crate::config::Config;
use crate::config::bounds::Limits;
use crate::config::durability;
use crate::disk::place;
use crate::gate::listener::Address;
use crate::reactor::logs::MEMORY_LOG;
use crate::tls::Tls;
use crate::tokens::key::Key;
use crate::tokens::mapping::Mapping;

impl Config {
    /// Where the hub listens, who may connect, who may do what in the order in which it is asked, and which limits
    /// are not the defaults. One thing a line.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut out = String::new();
        let _ = match &self.tls {
            Some(tls) if self.acme.is_some() => self.tell_of_authority(&mut out, tls),
            Some(tls) => writeln!(
                out,
                "clients connect to {} by TLS, with the certificate in {}",
                self.listen,
                tls.files().certificate.display()
            ),
            None => writeln!(out, "clients connect to {}", self.listen),
        };
        let _ = match &self.admin_listen {
            Some(address) => writeln!(out, "operators ask at {address}"),
            None => writeln!(out, "operators have no address of their own (`admin_listen`)"),
        };
        if self.public_metrics {
            let _ = writeln!(out, "everybody reads /metrics where clients connect");
        }
        let mut pages: Vec<String> = self.origins.allowed.iter().map(ToString::to_string).collect();
        if self.origins.loopback {
            pages.push("those of this machine".into());
        }
        let _ = writeln!(out, "pages that may connect: {}", list(&pages));
        let programs = if self.origins.absent { "may connect" } else { "may not connect" };
        let _ = writeln!(out, "programs, which name no origin: {programs}");
        let mut proxies: Vec<String> = self.proxies.trusted.iter().map(ToString::to_string).collect();
        if matches!(self.listen, Address::Unix { .. }) {
            proxies.push("the proxy at the socket".into());
        }
        let by = if self.proxies.say_first { ", by the PROXY header that they begin with" } else { "" };
        let _ =
            writeln!(out, "proxies that are believed whose connection they pass on{by}: {}", list(&proxies));
        out.push_str(&self.told_of_durability());
        self.tell_of_tokens(&mut out);
        let _ = writeln!(out, "who may do what, of which the first match counts:");
        let patterns = self.core.access.rules.iter().map(|rule| rule.pattern.as_str());
        let width = patterns.clone().map(str::len).chain([OTHERS.len()]).max().unwrap_or_default();
        for rule in &self.core.access.rules {
            let _ =
                writeln!(out, "  {:width$}  {}", rule.pattern.as_str(), said(rule, !self.keys.is_empty()));
        }
        let others = if self.keys.is_empty() { "nobody does anything" } else { "what tokens allow" };
        let _ = writeln!(out, "  {OTHERS:width$}  {others}");
        let limits = Limits { gate: self.gate.clone(), core: self.core.limits.clone() };
        for (at, (name, value, default)) in limits.changed().enumerate() {
            if at == 0 {
                let _ = writeln!(out, "limits that are not the defaults:");
            }
            let _ = writeln!(out, "  {name} = {value} instead of {default}");
        }
        out
    }

    /// Where the certificate comes from that the hub gets by itself.
    fn tell_of_authority(&self, out: &mut String, tls: &Tls) -> std::fmt::Result {
        let Some(plan) = &self.acme else { return Ok(()) };
        let (names, path) = (plan.names.join(", "), tls.files().certificate.display());
        let is_there = if tls.is_there() { "" } else { " and is not there yet" };
        writeln!(
            out,
            "clients connect to {} by TLS, with a certificate for {names} that comes from {}, is kept in {path}{is_there}; \
             for that, port 443 of each name leads here",
            self.listen, plan.directory
        )
    }

    /// Where topics are kept, and what of them survives the hub. One thing a line.
    #[must_use]
    pub fn told_of_durability(&self) -> String {
        let Some(dir) = &self.data_dir else {
            return format!("{IN_MEMORY}\n");
        };
        let mut out = if place::is_in_memory(dir) {
            format!("topics are kept in {}, {}, {IN_SHORT}\n", dir.display(), durability::IN_MEMORY)
        } else {
            format!("topics are kept in {}, {ON_DISK}\n", dir.display())
        };
        let in_memory = self.core.rules.iter().filter(|rule| rule.log == MEMORY_LOG);
        let patterns: Vec<String> = in_memory.map(|rule| rule.pattern.to_string()).collect();
        if !patterns.is_empty() {
            let _ = writeln!(out, "topics of these rules are in memory only: {}", list(&patterns));
        }
        out
    }

    /// Which tokens are taken, and what of them is read.
    fn tell_of_tokens(&self, out: &mut String) {
        for key in self.keys.keys() {
            let _ = writeln!(out, "{}", said_of_key(key));
        }
        for source in &self.keys.sources {
            let of = |name: &str, whom: &Option<String>| {
                whom.as_ref().map(|whom| format!(", {name} `{whom}`")).unwrap_or_default()
            };
            let (from, to) = (of("from", &source.issuer), of("for", &any(&source.audience)));
            let _ = writeln!(out, "tokens are taken by the keys of {}{from}{to}", source.address);
        }
        let mapping = &self.keys.mapping;
        if **mapping != Mapping::default() {
            let _ = writeln!(out, "who somebody is stands in their tokens as `{}`", mapping.subject);
        }
        for (scope, allow) in &mapping.scopes {
            let allowed = allow.iter().map(|it| format!("{} ({})", it.topics.join(", "), it.to.join(", ")));
            let allowed = allowed.collect::<Vec<_>>().join("; ");
            let _ = writeln!(out, "`{scope}` in `{}` of a token allows {allowed}", mapping.scope);
        }
        if let Some(seconds) = self.keys.seconds_max {
            let _ = writeln!(out, "tokens that last longer than {seconds} s are not taken");
        }
    }
}

fn said(rule: &AccessRule, tokens: bool) -> String {
    let who = match &rule.who {
        Who::Everybody => "everybody".into(),
        Who::SignedIn => "whoever has signed in".into(),
        Who::Some(only) => some(only),
    };
    // Only a token may allow what a rule leaves out.
    let nobody = |word| match (word, &rule.who) {
        (Word::LeavesOut, _) if tokens => "who has a token for it",
        (_, Who::Some(_)) => "none of them",
        _ => "nobody",
    };
    match (rule.publish, rule.subscribe) {
        (Word::Allows, Word::Allows) => format!("{who} publishes and subscribes"),
        (Word::Allows, subscribe) => format!("{who} publishes; {} subscribes", nobody(subscribe)),
        (publish, Word::Allows) => format!("{who} subscribes; {} publishes", nobody(publish)),
        (Word::Denies | Word::LeavesOut, Word::Denies | Word::LeavesOut) => match rule.who {
            Who::Some(_) => format!("{who} does nothing"),
            Who::Everybody | Who::SignedIn => "nobody does anything".into(),
        },
    }
}

/// Whom a rule speaks of.
fn some(only: &Only) -> String {
    let mut said = match &only.subject {
        Some(SubjectIs::Exactly(subject)) => format!("`{subject}`"),
        Some(SubjectIs::BeginsWith(begin)) => format!("whoever is called `{begin}...`"),
        None => "whoever has signed in".into(),
    };
    for (at, (path, value)) in only.claims.iter().enumerate() {
        let joined = if at == 0 { ", by a token that says" } else { " and" };
        let _ = write!(said, "{joined} `{path}` is {value}");
    }
    if !only.claims.is_empty() {
        said.push(',');
    }
    said
}

/// Any of some names.
fn any(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| names.join("` or `"))
}

fn said_of_key(key: &Key) -> String {
    let named = key.kid.as_ref().map_or_else(|| "no key".into(), |kid| format!("the key `{kid}`"));
    let of = |what: &str, whom: &Option<String>, not: &str| {
        whom.as_ref().map_or_else(|| not.to_owned(), |whom| format!("{what} `{whom}`"))
    };
    let issuer = of("from", &key.issuer, "from anybody who has it");
    let audience = of("for", &any(&key.audience), "for nobody in particular");
    format!(
        "tokens that name {named} are taken by {:?}, {issuer}, {audience}, {} s after they expire",
        key.algorithm, key.leeway_seconds
    )
}

fn list(things: &[String]) -> String {
    if things.is_empty() { "none".into() } else { things.join(", ") }
}

const OTHERS: &str = "anything else";
const IN_MEMORY: &str = "topics are kept in memory, so that a restart empties them; with a data directory (--data-dir, `data_dir`) they survive it";
const IN_SHORT: &str = "and what was acknowledged survives restarts of the hub alone";
const ON_DISK: &str = "and what was acknowledged survives restarts and losses of power";
