//! A configuration as it is written: kinds of values are right, their meaning is not looked at.

use std::collections::BTreeMap;

use crate::config::bounds;
use crate::config::fields::Fields;
use crate::config::problem::{Place, Problem, Written};
use crate::config::raw::auth::RawAuth;
use crate::config::raw::tls::RawTls;

pub(super) mod auth;

pub(super) mod tls;

/// The file, or what the environment puts in its place.
#[derive(Debug, Default)]
pub(super) struct RawConfig {
    /// HOST:PORT or `unix:` and a path.
    pub(super) listen: Option<Written<String>>,
    /// The same for operators.
    pub(super) admin_listen: Option<Written<String>>,
    /// Names that operators ask there by.
    pub(super) admin_hosts: Option<Vec<Written<String>>>,
    /// Names by which programs ask by HTTP.
    pub(super) api_hosts: Option<Vec<Written<String>>>,
    /// Permissions of sockets in the file system.
    pub(super) socket_mode: Option<Written<String>>,
    /// Whether `/metrics` is where clients connect.
    pub(super) public_metrics: Option<Written<bool>>,
    /// `text` or `json`.
    pub(super) log_format: Option<Written<String>>,
    /// How much each part tells.
    pub(super) log_level: Option<Written<String>>,
    /// Threads that own connections.
    pub(super) shards: Option<Written<i64>>,
    /// Seconds clients get to leave when the hub stops.
    pub(super) drain_seconds: Option<Written<i64>>,
    /// Web pages that may connect.
    pub(super) origins: Option<Vec<Written<String>>>,
    /// Whether programs may connect, which name no origin.
    pub(super) allow_no_origin: Option<Written<bool>>,
    /// Addresses and networks of proxies that are believed whom they speak for.
    pub(super) trusted_proxies: Option<Vec<Written<String>>>,
    /// Whether they begin each connection with a PROXY header.
    pub(super) proxy_protocol: Option<Written<bool>>,
    /// The hub's certificate.
    pub(super) tls: RawTls,
    /// Where topics are kept that are to survive the hub.
    pub(super) data_dir: Option<Written<String>>,
    /// Whose tokens are taken.
    pub(super) auth: RawAuth,
    /// Who may do what; the first match counts.
    pub(super) access: Vec<RawAccess>,
    /// What topics keep; the first match counts.
    pub(super) topics: Vec<RawTopics>,
    /// Bounds by name.
    pub(super) limits: BTreeMap<String, Written<i64>>,
}

/// `[[access]]`
#[derive(Debug)]
pub(super) struct RawAccess {
    /// Which topics.
    pub(super) pattern: Written<String>,
    /// Whether they may be published to; none if that is not written.
    pub(super) publish: Option<bool>,
    /// Whether they may be read.
    pub(super) subscribe: Option<bool>,
    /// Whether the rule speaks of clients that have not signed in.
    pub(super) anonymous: Option<Written<bool>>,
    /// Whom of those who have.
    pub(super) subject: Option<Written<String>>,
    /// What their tokens have to say besides, by path and as JSON.
    pub(super) claim: Vec<(Box<str>, Box<str>)>,
}

/// `[[topics]]`
#[derive(Debug)]
pub(super) struct RawTopics {
    /// Which topics.
    pub(super) pattern: Written<String>,
    /// What they keep, unless that is wrong.
    pub(super) retention: Option<RawRetention>,
    /// `memory` or `synced`.
    pub(super) durability: Option<Written<String>>,
}

/// `"none"`, `"latest_per_key"` or `{ count, bytes, age_seconds, latest_per_key }`
#[derive(Debug)]
pub(super) enum RawRetention {
    /// What topics keep that no rule matches.
    Usual,
    /// Nothing.
    None,
    /// Bounds that hold together.
    Bounds(RawBounds),
}

/// Bounds of retention.
#[derive(Debug, Default)]
pub(super) struct RawBounds {
    /// Newest messages.
    pub(super) count: Option<u64>,
    /// Bytes.
    pub(super) bytes: Option<u64>,
    /// Seconds.
    pub(super) age_seconds: Option<u64>,
    /// Only the latest message of each key.
    pub(super) latest_per_key: bool,
}

impl RawConfig {
    /// Reads the text of a file.
    pub(super) fn read(text: &str, problems: &mut Vec<Problem>) -> Self {
        let mut file = Fields::of_file(text, problems);
        let auth = RawAuth::read(&mut file, problems);
        let tls = RawTls::read(&mut file, problems);
        let raw = Self {
            listen: file.string("listen", problems),
            admin_listen: file.string("admin_listen", problems),
            admin_hosts: file.strings("admin_hosts", problems),
            api_hosts: file.strings("api_hosts", problems),
            socket_mode: file.string("socket_mode", problems),
            public_metrics: file.flag("public_metrics", problems),
            log_format: file.string("log_format", problems),
            log_level: file.string("log_level", problems),
            shards: file.number("shards", problems),
            drain_seconds: file.number("drain_seconds", problems),
            origins: file.strings("origins", problems),
            allow_no_origin: file.flag("allow_no_origin", problems),
            trusted_proxies: file.strings("trusted_proxies", problems),
            proxy_protocol: file.flag("proxy_protocol", problems),
            data_dir: file.string("data_dir", problems),
            tls,
            auth,
            access: access(file.tables("access", problems), problems),
            topics: topics(file.tables("topics", problems), problems),
            limits: limits(&mut file, problems),
        };
        file.end(problems);
        raw
    }
}

fn access(tables: Vec<Fields<'_>>, problems: &mut Vec<Problem>) -> Vec<RawAccess> {
    let mut rules = Vec::new();
    for mut table in tables {
        let pattern = pattern(&mut table, problems);
        let mut flag = |name| table.flag(name, problems).map(|flag| flag.value);
        let (publish, subscribe) = (flag("publish"), flag("subscribe"));
        let anonymous = table.flag("anonymous", problems);
        let subject = table.string("subject", problems);
        let claim = match table.table("claim") {
            Some(Ok(fields)) => fields.flat(CLAIM, problems),
            Some(Err(Written { place, .. })) => {
                problems.push(place.wrong(CLAIM));
                Vec::new()
            }
            None => Vec::new(),
        };
        table.end(problems);
        if let Some(pattern) = pattern {
            rules.push(RawAccess { pattern, publish, subscribe, anonymous, subject, claim });
        }
    }
    rules
}

fn topics(tables: Vec<Fields<'_>>, problems: &mut Vec<Problem>) -> Vec<RawTopics> {
    let mut rules = Vec::new();
    for mut table in tables {
        let pattern = pattern(&mut table, problems);
        let is_durable = table.has("durability");
        let durability = table.string("durability", problems);
        let retention = match table.table("retention") {
            Some(Ok(fields)) => retained(fields, problems),
            Some(Err(Written { value: Some(word), .. })) if word == "none" => Some(RawRetention::None),
            Some(Err(Written { value: Some(word), .. })) if word == "latest_per_key" => {
                Some(RawRetention::Bounds(RawBounds { latest_per_key: true, ..RawBounds::default() }))
            }
            Some(Err(Written { place, .. })) => {
                problems.push(place.wrong(RETENTION));
                None
            }
            None if is_durable => Some(RawRetention::Usual),
            None => {
                let (at, key) = (table.line(), table.key("retention"));
                problems.push(Problem::Missing { at, key, allowed: RETENTION.into() });
                None
            }
        };
        table.end(problems);
        rules.extend(pattern.map(|pattern| RawTopics { pattern, retention, durability }));
    }
    rules
}

fn pattern(table: &mut Fields<'_>, problems: &mut Vec<Problem>) -> Option<Written<String>> {
    required(table, "pattern", "a topic name or pattern", problems)
}

pub(super) fn required(
    table: &mut Fields<'_>,
    name: &'static str,
    allowed: &str,
    problems: &mut Vec<Problem>,
) -> Option<Written<String>> {
    let before = problems.len();
    let text = table.string(name, problems);
    if text.is_none() && problems.len() == before {
        let (at, key) = (table.line(), table.key(name));
        problems.push(Problem::Missing { at, key, allowed: allowed.into() });
    }
    text
}

fn retained(mut fields: Fields<'_>, problems: &mut Vec<Problem>) -> Option<RawRetention> {
    let (at, key, before) = (fields.line(), fields.key("count"), problems.len());
    let latest_per_key = fields.flag("latest_per_key", problems).is_some_and(|flag| flag.value);
    let mut bound = |name, counts_all| {
        let Written { value, place } = fields.number(name, problems)?;
        let bound = u64::try_from(value).ok().filter(|bound| (1..=RETAINED_MAX).contains(bound));
        if latest_per_key && counts_all {
            problems.push(place.wrong(BESIDE_LATEST));
        } else if bound.is_none() {
            problems.push(place.wrong(format!("1 to {RETAINED_MAX}")));
        }
        bound
    };
    let (count, bytes, age_seconds) =
        (bound("count", true), bound("bytes", true), bound("age_seconds", false));
    let bounds = RawBounds { count, bytes, age_seconds, latest_per_key };
    fields.end(problems);
    let none = !latest_per_key && count.or(bytes).or(age_seconds).is_none();
    if none && problems.len() == before {
        problems.push(Problem::Missing { at, key, allowed: RETENTION.into() });
    }
    (!none).then_some(RawRetention::Bounds(bounds))
}

fn limits(file: &mut Fields<'_>, problems: &mut Vec<Problem>) -> BTreeMap<String, Written<i64>> {
    match file.table("limits") {
        Some(Ok(fields)) => fields.numbers(bounds::NAMES, problems).into_iter().collect(),
        Some(Err(Written { place, .. })) => {
            problems.push(Place { key: "limits".into(), ..place }.wrong("a table headed [limits]"));
            BTreeMap::new()
        }
        None => BTreeMap::new(),
    }
}

/// What is said of more messages, bytes or seconds than that is a slip of the keyboard.
const RETAINED_MAX: u64 = 1_000_000_000_000_000;
const CLAIM: &str = "a table like { role = \"admin\" }, of texts, whole numbers, true or false; one at least";
const BESIDE_LATEST: &str = "nothing beside `latest_per_key`: it would count what was replaced as well; `age_seconds` may stand there";
const RETENTION: &str = "\"none\", \"latest_per_key\", or one or more of { count, bytes, age_seconds, latest_per_key }, each number at least 1";
