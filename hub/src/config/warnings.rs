//! What a configuration may say and nobody can use, with the reason.

use std::collections::BTreeMap;

use tidewire_hub_core::access::{Access, AccessRule, Who, Word};
use tidewire_hub_core::frames::BODY_BYTES_MAX;
use tidewire_hub_core::limits::ATTRIBUTES_BYTES_MAX;
use tidewire_protocol::name::Pattern;

use crate::config::problem::{Place, Warning, Written};
use crate::config::{Config, rules};
use crate::foreign;
use crate::gate::limits::Limits;
use crate::reactor::logs::DISK_LOG;

/// Finds all of it; with `tokens` somebody can sign in, or could if no key were wrong.
pub(super) fn find(
    config: &Config,
    (dev, tokens): (bool, bool),
    access: &[Place],
    topics: &[Place],
    limits: &BTreeMap<String, Written<i64>>,
) -> Vec<Warning> {
    let mut found = Warnings { found: Vec::new(), depth_max: config.core.limits.topic_depth_max, tokens };
    if config.origins.allowed.is_empty() && !config.origins.loopback && !config.origins.absent {
        found.tell(
            None,
            "nobody can connect: list the web pages that may in `origins`, and set `allow_no_origin = true` for programs",
        );
    }
    if !tokens && !config.lets_anybody_in() {
        found.tell(None, NOBODY);
    }
    if config.proxies.trust_everybody() {
        found.tell(None, "`trusted_proxies` trusts everybody: each client can name any address as its own");
    }
    if !dev {
        found.lopsided(&config.gate, limits);
    }
    found.beyond_a_commit(config, limits);
    // With --dev other rules hold than those that are written.
    if !dev {
        found.rules(&config.core.access, access);
    }
    for (at, (rule, place)) in config.core.rules.iter().zip(topics).enumerate() {
        found.pattern(&rule.pattern, place);
        let before = config.core.rules[..at].iter().position(|before| before.pattern.covers(&rule.pattern));
        found.behind(place, before.map(|before| &topics[before]));
    }
    found.found
}

/// Finds what is of no use in access rules alone.
pub(super) fn of_access(access: &Access, places: &[Place], depth_max: usize, tokens: bool) -> Vec<Warning> {
    let mut found = Warnings { found: Vec::new(), depth_max, tokens };
    if !tokens && !access.rules.iter().any(rules::is_of_use) {
        found.tell(None, NOBODY);
    }
    found.rules(access, places);
    found.found
}

struct Warnings {
    found: Vec<Warning>,
    depth_max: usize,
    /// Whether anybody can sign in.
    tokens: bool,
}

impl Warnings {
    fn tell(&mut self, place: Option<&Place>, says: impl Into<String>) {
        self.found.push(Warning { place: place.cloned(), says: says.into() });
    }

    /// Bounds on one address that leave nothing for others, where somebody has chosen one of the two.
    fn lopsided(&mut self, gate: &Limits, written: &BTreeMap<String, Written<i64>>) {
        for (of_one, one_max, of_all, all_max) in [
            (
                "connections_per_address_max",
                gate.connections_per_address_max,
                "connections_max",
                gate.connections_max,
            ),
            (
                "handshakes_per_address_max",
                gate.handshakes_per_address_max,
                "handshakes_max",
                gate.handshakes_max,
            ),
        ] {
            let chosen = written.get(of_one).or_else(|| written.get(of_all));
            if let Some(Written { place, .. }) = chosen.filter(|_| one_max > all_max) {
                let says = format!(
                    "`{of_one}` is {one_max} and `{of_all}` is {all_max}: one address may take all of them; lower the first below the second"
                );
                self.tell(Some(place), says);
            }
        }
    }

    /// Limits that let in what no commit holds.
    fn beyond_a_commit(&mut self, config: &Config, written: &BTreeMap<String, Written<i64>>) {
        let limits = &config.core.limits;
        if !stores_something(config) {
            return;
        }
        let place = |name: &str| written.get(name).map(|Written { place, .. }| place.clone());
        let (message, frame) = ("message_bytes_max", "frame_bytes_max");
        let holds = BODY_BYTES_MAX - BESIDE_A_MESSAGE;
        if limits.message_bytes_max > holds {
            let says = format!(
                "what is published to a durable topic is stored in one commit, which holds {holds} bytes of a message whatever it has \
                 besides: larger ones may be refused (`too_large`); lower `{message}`, or keep such topics in memory (`durability = \"memory\"`)"
            );
            self.tell(place(message).as_ref(), says);
        } else if limits.frame_bytes_max > holds {
            let says = format!(
                "`{frame}` is {}, and a batch to durable topics is stored in one commit, which holds {BODY_BYTES_MAX} bytes: one \
                 whose messages have more together is refused (`too_large`)",
                limits.frame_bytes_max
            );
            self.tell(place(frame).or_else(|| place(message)).as_ref(), says);
        }
    }

    fn rules(&mut self, access: &Access, places: &[Place]) {
        let rules = &access.rules;
        for (at, (rule, place)) in rules.iter().zip(places).enumerate() {
            self.access(rule, place, &rules[..at], places);
        }
        if rules.len() > COMPARED_MAX {
            let says = format!(
                "of {} access rules only the first {COMPARED_MAX} are compared with those behind",
                rules.len()
            );
            self.tell(None, says);
        }
    }

    fn access(&mut self, rule: &AccessRule, place: &Place, before: &[AccessRule], places: &[Place]) {
        self.pattern(&rule.pattern, place);
        if let Some(says) = foreign::braces(rule.pattern.as_str()) {
            self.tell(Some(place), says);
        }
        let allows = rule.allows_something();
        if allows && rule.who != Who::Everybody && !self.tokens {
            self.tell(
                Some(place),
                "it is for clients that have signed in, and nobody can without [[auth.keys]]: add `anonymous = true` if everybody may",
            );
        } else if !allows && rule.who == Who::SignedIn {
            self.tell(Some(place), "it allows nothing, and what a rule denies it denies to everybody");
        }
        if let Who::Some(only) = &rule.who
            && only.has_subject_in_pattern
            && [rule.publish, rule.subscribe].contains(&Word::Denies)
        {
            self.tell(Some(place), PASSED_OVER);
        }
        let before = &before[..before.len().min(COMPARED_MAX)];
        let behind = before.iter().position(|before| leaves_nothing(before, rule, self.tokens));
        self.behind(place, behind.map(|before| &places[before]));
        if behind.is_none() && rule.subscribe == Word::Allows {
            self.denied(rule, place, before, places);
        }
    }

    /// A pattern is read whole or not at all, so that one denial of a part is one of all to whoever asks for it.
    fn denied(&mut self, rule: &AccessRule, place: &Place, before: &[AccessRule], places: &[Place]) {
        let pattern = &rule.pattern;
        // The first that either grants all of it or takes a part of it away.
        let decides = |before: &AccessRule| match before.subscribe {
            // Whoever it is not of is not denied by it.
            _ if matches!(before.who, Who::Some(_)) => false,
            Word::Allows => {
                before.pattern.covers(pattern) && (before.who == Who::Everybody || before.who == rule.who)
            }
            Word::Denies | Word::LeavesOut => before.pattern.overlaps(pattern),
        };
        let Some(at) = before.iter().position(decides).filter(|at| before[*at].subscribe != Word::Allows)
        else {
            return;
        };
        let (text, denying) = (pattern.as_str(), &before[at].pattern);
        let line =
            places[at].line.map_or_else(|| "an earlier rule".to_owned(), |line| format!("line {line}"));
        let says = if denying.covers(pattern) {
            format!("`{text}` cannot be subscribed to, because {line} denies it, `{denying}`")
        } else {
            format!(
                "`{text}` cannot be subscribed to as a whole, because {line} denies a part of it, `{denying}`; its other topics can, by their names and by patterns that leave that part out"
            )
        };
        self.tell(Some(place), says);
    }

    fn behind(&mut self, place: &Place, before: Option<&Place>) {
        if let Some(Place { line, key, text }) = before {
            let line = line.map_or_else(String::new, |line| format!(" in line {line}"));
            let says = format!(
                "it is never asked: the first match counts, and `{key}`{line}, {text}, covers it; put the narrower rule first"
            );
            self.tell(Some(place), says);
        }
    }

    /// What holds for any pattern.
    fn pattern(&mut self, pattern: &Pattern, place: &Place) {
        let text = pattern.as_str();
        if let Some(says) = foreign::warning(text) {
            self.tell(Some(place), says);
        }
        if text.starts_with('$') {
            let says = "names that begin with `$` are the hub's own: nobody publishes to them, and so far it does not either";
            self.tell(Some(place), says);
        }
        let tokens = text.split('.').count();
        if tokens > self.depth_max {
            let depth_max = self.depth_max;
            let says = format!(
                "it matches nothing: it has {tokens} tokens, and `limits.topic_depth_max` is {depth_max}"
            );
            self.tell(Some(place), says);
        }
    }
}

const NOBODY: &str = "no access rule lets anybody do anything; add [[access]] rules with `anonymous = true`, or [[auth.keys]] for those who have tokens, or use --dev on your own machine";

/// Whether a rule decides everything that a later one could.
fn leaves_nothing(before: &AccessRule, rule: &AccessRule, tokens: bool) -> bool {
    // A denial is for everybody, an allowance for whom its rule speaks of.
    let is_for = |rule: &AccessRule, word| match (word, &rule.who) {
        (Word::Allows, Who::SignedIn) | (_, Who::Some(_)) => Who::SignedIn,
        _ => Who::Everybody,
    };
    let decides = |first, then| {
        // What is left out a token may allow, unless a later rule denies it.
        let may_deny = tokens && first == Word::LeavesOut && then == Word::Denies;
        let (first, then) = (is_for(before, first), is_for(rule, then));
        !may_deny && (first == Who::Everybody || then == Who::SignedIn)
    };
    // Of some only: others ask the later one.
    let is_of_some = matches!(before.who, Who::Some(_)) && before.who != rule.who;
    !is_of_some
        && before.pattern.covers(&rule.pattern)
        && decides(before.publish, rule.publish)
        && decides(before.subscribe, rule.subscribe)
}

const PASSED_OVER: &str = "it denies nothing to whoever's subject is no single token of a name, such as `a.b`: a rule with `{sub}` says nothing of those; to deny it to all of them, too, add a rule with `*` in the place of `{sub}`";

/// Whether a topic may be on disk: a rule that says so is behind none that takes all of its topics.
fn stores_something(config: &Config) -> bool {
    let rules = &config.core.rules;
    let is_reached = |at: usize| !rules[..at].iter().any(|rule| rule.pattern.covers(&rules[at].pattern));
    (0..rules.len()).any(|at| rules[at].log == DISK_LOG && is_reached(at))
}

/// What a commit says of a message besides its payload: who published it, where, and all that it has.
const BESIDE_A_MESSAGE: usize = (64 << 10) + ATTRIBUTES_BYTES_MAX;

/// Rules that each other is compared with: all of very many would take as long as their square.
const COMPARED_MAX: usize = 1_000;
