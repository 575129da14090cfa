//! What the written values mean.

use std::time::Duration;

use tidewire_hub_core::access::Access;
use tidewire_hub_core::names::directory::TopicRule;
use tidewire_hub_core::topics::Settings;

use crate::config::addresses::Addresses;
use crate::config::bounds::Limits;
use crate::config::problem::{Place, Problem, Warning, Written};
use crate::config::raw::{RawConfig, RawTopics};
use crate::config::{Config, Flags, addresses, auth, certificate, demo, durability, rules, warnings};
use crate::gate::listener::Address;
use crate::gate::origin::{AllowedOrigin, Origins};
use crate::gate::proxies::Proxies;
use crate::logs::Format;

/// Makes a configuration of what is written. What is wrong is told, and a default stands in its place.
pub(super) fn interpret(raw: RawConfig, flags: &Flags, problems: &mut Vec<Problem>) -> Config {
    let Limits { mut gate, core: limits } = Limits::read(&raw.limits, problems);
    let (listen, admin_listen, of_addresses) =
        Addresses { listen: raw.listen, admin_listen: raw.admin_listen, socket_mode: raw.socket_mode }
            .read(flags.dev, problems);
    let public_metrics =
        raw.public_metrics.map_or(flags.dev && admin_listen.is_none(), |public| public.value);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shards = number(raw.shards, cores.saturating_sub(1).max(1) as i64, (1, SHARDS_MAX), problems);
    let drain = number(raw.drain_seconds, DRAIN_SECONDS, (0, DRAIN_SECONDS_MAX), problems);
    let (written, access_places) = rules::access(raw.access, problems);
    if flags.dev {
        // All clients share this machine's address, and thousands of them are a usual test.
        gate.connections_per_address_max = gate.connections_max;
        gate.handshakes_per_address_max = gate.handshakes_max;
    }
    let access = access_of(written, flags);
    let means_keys = raw.auth.means_keys;
    let (keys, key_warnings) = auth::keyring(raw.auth, flags.folder(), false, problems);
    let ((tls, acme), tls_warnings) = certificate::read(raw.tls, flags.folder(), flags, problems);
    let data_dir = raw.data_dir.as_ref().and_then(|written| durability::data_dir(written, problems));
    // One that is wrong is no reason to ask for one.
    let has_data_dir = raw.data_dir.is_some();
    let (topics, topic_places, topic_warnings) = topics_of(raw.topics, has_data_dir, flags, problems);
    let pages = raw.origins.iter().flatten().next().map(|page| page.place.clone());
    let origins = origins(raw.origins, raw.api_hosts, raw.allow_no_origin, flags.dev, problems);
    let is_local = matches!(listen, Address::Unix { .. } | Address::Systemd(_));
    let names_proxies = raw.trusted_proxies.iter().flatten().next().is_some();
    let mut config = Config {
        listen,
        admin_listen,
        admin_hosts: each(raw.admin_hosts, addresses::host, problems),
        public_metrics,
        log_format: one(raw.log_format, log_format, problems).unwrap_or_default(),
        log_levels: one(raw.log_level, str::parse, problems).unwrap_or_default(),
        shards: shards as usize,
        drain: Duration::from_secs(drain as u64),
        demo: flags.demo,
        origins,
        proxies: Proxies {
            trusted: each(raw.trusted_proxies, str::parse, problems),
            say_first: raw.proxy_protocol.as_ref().is_some_and(|flag| flag.value),
        },
        tls,
        acme,
        keys,
        data_dir,
        gate,
        core: Settings { limits, access, rules: topics, boot: 0 },
        access_places: Vec::new(),
        warnings: Vec::new(),
    };
    let said = (flags.dev, means_keys);
    config.warnings = warnings::find(&config, said, &access_places, &topic_places, &raw.limits);
    config
        .warnings
        .extend(topic_warnings.into_iter().chain(key_warnings).chain(tls_warnings).chain(of_addresses));
    let in_memory = raw.data_dir.as_ref().zip(config.data_dir.as_deref());
    config.warnings.extend(in_memory.and_then(|(written, dir)| durability::is_in_memory(dir, written)));
    let of_nobody = raw.proxy_protocol.filter(|flag| flag.value && !(names_proxies || is_local));
    config.warnings.extend(of_nobody.map(|flag| Warning { place: Some(flag.place), says: NO_PROXY.into() }));
    if !flags.dev {
        config.access_places = access_places;
    }
    if let Some(place) = pages.filter(|_| flags.dev) {
        let says = "with --dev only pages of this machine may connect, whatever is listed".into();
        config.warnings.push(Warning { place: Some(place), says });
    }
    config
}

/// What topics keep and where, the places of the rules that are written, and what is of no use in them.
fn topics_of(
    written: Vec<RawTopics>,
    has_data_dir: bool,
    flags: &Flags,
    problems: &mut Vec<Problem>,
) -> (Vec<TopicRule>, Vec<Place>, Vec<Warning>) {
    let (mut topics, places, warnings) = rules::topics(written, has_data_dir, problems);
    if flags.demo {
        topics.extend(demo::rules(durability::usual_log(has_data_dir)));
    }
    topics.extend(durability::rest(has_data_dir));
    (topics, places, warnings)
}

/// Who may do what, with these flags.
fn access_of(written: Access, flags: &Flags) -> Access {
    match flags {
        Flags { dev: true, .. } => Access::open(),
        Flags { demo: true, .. } => demo::behind(written),
        _ => written,
    }
}

/// Who may connect: with `--dev` whoever is on this machine, whatever is written.
pub(super) fn origins(
    pages: Option<Vec<Written<String>>>,
    hosts: Option<Vec<Written<String>>>,
    programs: Option<Written<bool>>,
    dev: bool,
    problems: &mut Vec<Problem>,
) -> Origins {
    let allowed = each(pages, AllowedOrigin::parse, problems);
    let hosts = each(hosts, addresses::host, problems);
    if dev {
        return Origins { hosts, loopback: true, absent: true, ..Origins::default() };
    }
    let absent = programs.is_some_and(|allow| allow.value);
    Origins { allowed, absent, hosts, ..Origins::default() }
}

fn number(
    written: Option<Written<i64>>,
    default: i64,
    (min, max): (i64, i64),
    problems: &mut Vec<Problem>,
) -> i64 {
    match written {
        Some(Written { value, .. }) if (min..=max).contains(&value) => value,
        Some(Written { place, .. }) => {
            problems.push(place.wrong(format!("{min} to {max}")));
            min
        }
        None => default.clamp(min, max),
    }
}

fn one<T, E: std::fmt::Display>(
    written: Option<Written<String>>,
    parse: impl Fn(&str) -> Result<T, E>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    each(written.map(|one| vec![one]), parse, problems).pop()
}

fn log_format(text: &str) -> Result<Format, &'static str> {
    match text {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err("\"text\" or \"json\""),
    }
}

fn each<T, E: std::fmt::Display>(
    written: Option<Vec<Written<String>>>,
    parse: impl Fn(&str) -> Result<T, E>,
    problems: &mut Vec<Problem>,
) -> Vec<T> {
    let mut parsed = Vec::new();
    for Written { value, place } in written.unwrap_or_default() {
        match parse(&value) {
            Ok(value) => parsed.push(value),
            Err(error) => problems.push(place.wrong(error.to_string())),
        }
    }
    parsed
}

const NO_PROXY: &str = "a PROXY header is read from `trusted_proxies` only, and none is named";
const DRAIN_SECONDS: i64 = 10;
const DRAIN_SECONDS_MAX: i64 = 3_600;
/// More threads than any machine has cores are a slip of the keyboard.
const SHARDS_MAX: i64 = 1_024;
