//! What the written values mean.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use tidewire_hub_core::access::Access;
use tidewire_hub_core::topics::Settings;

use crate::config::bounds::Limits;
use crate::config::problem::{Problem, Warning, Written};
use crate::config::raw::RawConfig;
use crate::config::{Config, Flags, auth, certificate, demo, rules, warnings};
use crate::gate::origin::{AllowedOrigin, Origins};
use crate::gate::proxies::Proxies;

/// Makes a configuration of what is written. What is wrong is told, and a default stands in its place.
pub(super) fn interpret(raw: RawConfig, flags: &Flags, problems: &mut Vec<Problem>) -> Config {
    let Limits { mut gate, core: limits } = Limits::read(&raw.limits, problems);
    let listen = listen(raw.listen, flags.dev, problems);
    let metrics_listen = metrics_listen(raw.metrics_listen, listen, flags.dev, problems);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shards = number(raw.shards, cores.saturating_sub(1).max(1) as i64, (1, SHARDS_MAX), problems);
    let drain = number(raw.drain_seconds, DRAIN_SECONDS, (0, DRAIN_SECONDS_MAX), problems);
    let (written, access_places) = rules::access(raw.access, problems);
    let access = if flags.dev {
        // All clients share this machine's address, and thousands of them are a usual test.
        gate.connections_per_address_max = gate.connections_max;
        gate.handshakes_per_address_max = gate.handshakes_max;
        Access::open()
    } else if flags.demo {
        demo::behind(written)
    } else {
        written
    };
    let folder = flags.config.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let (keys, key_warnings) = auth::keys(raw.keys, folder, problems);
    let (tls, tls_warnings) = certificate::read(raw.tls_certificate, raw.tls_key, folder, flags, problems);
    let (mut topics, topic_places) = rules::topics(raw.topics, problems);
    if flags.demo {
        topics.extend(demo::rules());
    }
    let pages = raw.origins.iter().flatten().next().map(|page| page.place.clone());
    let origins = origins(raw.origins, raw.allow_no_origin, flags.dev, problems);
    let mut config = Config {
        listen,
        metrics_listen,
        shards: shards as usize,
        drain: Duration::from_secs(drain as u64),
        demo: flags.demo,
        origins,
        proxies: Proxies(each(raw.trusted_proxies, str::parse, problems)),
        tls,
        keys,
        gate,
        core: Settings { limits, access, rules: topics },
        warnings: Vec::new(),
    };
    let said = (flags.dev, raw.means_keys);
    config.warnings = warnings::find(&config, said, &access_places, &topic_places, &raw.limits);
    config.warnings.extend(key_warnings);
    config.warnings.extend(tls_warnings);
    if let Some(place) = pages.filter(|_| flags.dev) {
        let says = "with --dev only pages of this machine may connect, whatever is listed".into();
        config.warnings.push(Warning { place: Some(place), says });
    }
    config
}

/// Who may connect: with `--dev` whoever is on this machine, whatever is written.
fn origins(
    pages: Option<Vec<Written<String>>>,
    programs: Option<Written<bool>>,
    dev: bool,
    problems: &mut Vec<Problem>,
) -> Origins {
    let allowed = each(pages, AllowedOrigin::parse, problems);
    if dev {
        return Origins { allowed: Vec::new(), loopback: true, absent: true };
    }
    Origins { allowed, loopback: false, absent: programs.is_some_and(|allow| allow.value) }
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

fn listen(written: Option<Written<String>>, dev: bool, problems: &mut Vec<Problem>) -> SocketAddr {
    let Some(Written { value, place }) = written else { return LISTEN };
    match address(&value, dev) {
        Err(allowed) => problems.push(place.wrong(allowed)),
        Ok(address) => return address,
    }
    LISTEN
}

fn metrics_listen(
    written: Option<Written<String>>,
    listen: SocketAddr,
    dev: bool,
    problems: &mut Vec<Problem>,
) -> Option<SocketAddr> {
    let Written { value, place } = written?;
    match address(&value, dev) {
        Err(allowed) => problems.push(place.wrong(allowed)),
        Ok(address) if overlap(address, listen) => {
            problems
                .push(place.wrong(format!("another address than `listen`, {listen}, where clients connect")));
        }
        Ok(address) => return Some(address),
    }
    None
}

/// Whether nobody can listen at both: a host that is none in particular stands for every host of its port.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let hosts = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    hosts && a.port() == b.port() && a.port() != 0
}

/// The address that a text names, or what is allowed instead.
fn address(text: &str, dev: bool) -> Result<SocketAddr, String> {
    let why = match text.to_socket_addrs() {
        Ok(mut found) => match found.next() {
            Some(address) if dev && !address.ip().is_loopback() => return Err(DEV_ADDRESS.to_owned()),
            Some(address) => return Ok(address),
            None => "it has no address".to_owned(),
        },
        Err(error) => error.to_string(),
    };
    Err(match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            format!("HOST:PORT with a host of this machine, and the name `{host}` does not resolve: {why}")
        }
        Some(_) | None => ADDRESS.to_owned(),
    })
}

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7_700);
const ADDRESS: &str = "HOST:PORT, like 127.0.0.1:7700; port 0 takes a free one";
const DEV_ADDRESS: &str =
    "with --dev an address of this machine only, like 127.0.0.1:7700, because everybody may do everything";
const DRAIN_SECONDS: i64 = 10;
const DRAIN_SECONDS_MAX: i64 = 3_600;
/// More threads than any machine has cores are a slip of the keyboard.
const SHARDS_MAX: i64 = 1_024;
