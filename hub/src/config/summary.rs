//! A configuration in words, for whoever wants to see what the hub has understood.

use std::fmt::Write as _;

use tidewire_hub_core::access::{AccessRule, Who};

use crate::config::Config;
use crate::config::bounds::Limits;

impl Config {
    /// Where the hub listens, who may connect, who may do what in the order in which it is asked, and which limits
    /// are not the defaults. One thing a line.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "clients connect to {}", self.listen);
        let _ = match self.metrics_listen {
            Some(address) => writeln!(out, "operators read /metrics at {address} only"),
            None => writeln!(out, "operators, and everybody else, read /metrics there too"),
        };
        let mut pages: Vec<String> = self.origins.allowed.iter().map(ToString::to_string).collect();
        if self.origins.loopback {
            pages.push("those of this machine".into());
        }
        let _ = writeln!(out, "pages that may connect: {}", list(&pages));
        let programs = if self.origins.absent { "may connect" } else { "may not connect" };
        let _ = writeln!(out, "programs, which name no origin: {programs}");
        let proxies: Vec<String> = self.proxies.0.iter().map(ToString::to_string).collect();
        let _ = writeln!(out, "proxies that are believed whose connection they pass on: {}", list(&proxies));
        let _ = writeln!(out, "who may do what, of which the first match counts:");
        let patterns = self.core.access.rules.iter().map(|rule| rule.pattern.as_str());
        let width = patterns.clone().map(str::len).chain([OTHERS.len()]).max().unwrap_or_default();
        for rule in &self.core.access.rules {
            let _ = writeln!(out, "  {:width$}  {}", rule.pattern.as_str(), said(rule));
        }
        let _ = writeln!(out, "  {OTHERS:width$}  nobody does anything");
        let limits = Limits { gate: self.gate.clone(), core: self.core.limits.clone() };
        for (at, (name, value, default)) in limits.changed().enumerate() {
            if at == 0 {
                let _ = writeln!(out, "limits that are not the defaults:");
            }
            let _ = writeln!(out, "  {name} = {value} instead of {default}");
        }
        out
    }
}

fn said(rule: &AccessRule) -> String {
    let who = match rule.who {
        Who::Everybody => "everybody",
        Who::SignedIn => "whoever has signed in",
    };
    match (rule.publish, rule.subscribe) {
        (true, true) => format!("{who} publishes and subscribes"),
        (true, false) => format!("{who} publishes; nobody subscribes"),
        (false, true) => format!("{who} subscribes; nobody publishes"),
        (false, false) => "nobody does anything".into(),
    }
}

fn list(things: &[String]) -> String {
    if things.is_empty() { "none".into() } else { things.join(", ") }
}

const OTHERS: &str = "anything else";
