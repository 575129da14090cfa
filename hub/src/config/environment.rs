//! What variables of the environment say of a configuration. Those of others are nobody's business here, whatever
//! bytes they hold.

use std::ffi::OsString;

use crate::config::bounds;
use crate::config::fields::whole_number;
use crate::config::problem::{Place, Problem, Warning, Written, nearest, successor};
use crate::config::raw::RawConfig;

/// Puts what the environment says over what the file says. What nobody will hear is a warning.
pub(super) fn overlay(
    raw: &mut RawConfig,
    env: impl Iterator<Item = (OsString, OsString)>,
    problems: &mut Vec<Problem>,
) -> Vec<Warning> {
    let mut unheard = Vec::new();
    for (variable, value) in env {
        let variable = variable.to_string_lossy();
        let Some(key) = variable.strip_prefix(PREFIX).map(str::to_ascii_lowercase) else { continue };
        let is_secret = SECRET.iter().any(|word| key.contains(word));
        let place = |text: &str| {
            let text = if is_secret { "..." } else { text };
            Place { line: None, key: variable.to_string(), text: format!("\"{text}\"") }
        };
        let limit = key.strip_prefix(LIMITS);
        if !KEYS.contains(&&*key) && limit.is_none_or(|limit| !bounds::NAMES.contains(&limit)) {
            let text = value.to_string_lossy();
            if OF_OTHERS.contains(&&*key) || is_of_an_orchestrator(&key, &text) {
                continue;
            }
            match unknown(&key, place(&text)) {
                Ok(problem) => problems.push(problem),
                Err(warning) => unheard.push(warning),
            }
            continue;
        }
        let Some(text) = value.to_str() else {
            problems.push(place(&value.to_string_lossy()).wrong("UTF-8"));
            continue;
        };
        set(raw, &key, text, &place(text), problems);
    }
    unheard
}

fn set(raw: &mut RawConfig, key: &str, text: &str, place: &Place, problems: &mut Vec<Problem>) {
    let string = || Some(Written { value: text.to_owned(), place: place.clone() });
    let list = || {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let written = |part: &str| Written {
            value: part.to_owned(),
            place: Place { text: format!("\"{part}\""), ..place.clone() },
        };
        Some(parts.map(written).collect())
    };
    match key {
        "listen" => raw.listen = string(),
        "socket_mode" => raw.socket_mode = string(),
        "data_dir" => raw.data_dir = string(),
        "tls_certificate" => raw.tls.certificate = string(),
        "tls_key" => raw.tls.key = string(),
        "tls_acme_names" => raw.tls.acme.names = list(),
        "tls_acme_folder" => raw.tls.acme.folder = string(),
        "tls_acme_contact" => raw.tls.acme.contact = string(),
        "tls_acme_directory" => raw.tls.acme.directory = string(),
        "tls_acme_directory_ca" => raw.tls.acme.directory_ca = string(),
        "tls_acme_agree_to_terms" => {
            let agreed = &mut raw.tls.acme.agree_to_terms;
            *agreed = flag(text, place, problems).or(agreed.take());
        }
        "admin_listen" => raw.admin_listen = string(),
        "log_format" => raw.log_format = string(),
        "log_level" => raw.log_level = string(),
        "admin_hosts" => raw.admin_hosts = list(),
        "api_hosts" => raw.api_hosts = list(),
        "shards" => raw.shards = number(text, place, problems).or(raw.shards.take()),
        "drain_seconds" => raw.drain_seconds = number(text, place, problems).or(raw.drain_seconds.take()),
        "allow_no_origin" => raw.allow_no_origin = flag(text, place, problems).or(raw.allow_no_origin.take()),
        "public_metrics" => raw.public_metrics = flag(text, place, problems).or(raw.public_metrics.take()),
        "proxy_protocol" => raw.proxy_protocol = flag(text, place, problems).or(raw.proxy_protocol.take()),
        "origins" => raw.origins = list(),
        "trusted_proxies" => raw.trusted_proxies = list(),
        _ => {
            let limit = key.strip_prefix(LIMITS).unwrap_or(key);
            raw.limits.extend(number(text, place, problems).map(|number| (limit.to_owned(), number)));
        }
    }
}

fn flag(text: &str, place: &Place, problems: &mut Vec<Problem>) -> Option<Written<bool>> {
    let flag = text.trim().parse();
    if flag.is_err() {
        problems.push(place.wrong("true or false"));
    }
    Some(Written { value: flag.ok()?, place: place.clone() })
}

fn number(text: &str, place: &Place, problems: &mut Vec<Problem>) -> Option<Written<i64>> {
    let number = whole_number(text.trim(), 10);
    if number.is_none() {
        problems.push(place.wrong("a whole number"));
    }
    Some(Written { value: number?, place: place.clone() })
}

/// A name that is none of ours: an error if it looks like one or can only be a limit, else a warning.
fn unknown(key: &str, place: Place) -> Result<Problem, Warning> {
    let written = key.strip_prefix(LIMITS).map_or_else(|| key.to_owned(), |limit| format!("limits.{limit}"));
    if let Some(instead) = successor(&written) {
        return Ok(Problem::Gone { place, instead });
    }
    let limits: Vec<String> = bounds::NAMES.iter().map(|limit| format!("{LIMITS}{limit}")).collect();
    let ours = || KEYS.iter().chain(OF_OTHERS).copied().chain(limits.iter().map(String::as_str));
    let variable = |key: &str| format!("{PREFIX}{}", key.to_ascii_uppercase());
    let meant = nearest(key, ours()).or_else(|| shortened(key, ours())).map(variable);
    if meant.is_some() || key.starts_with(LIMITS) {
        let known = limits.iter().map(|limit| variable(limit)).collect();
        return Ok(Problem::Unknown { place, nearest: meant, known });
    }
    let ours: Vec<String> = KEYS.iter().chain(OF_OTHERS).map(|key| variable(key)).collect();
    let says = format!(
        "it means nothing to the hub; there are {}, and {PREFIX}LIMITS_ with a limit's name",
        ours.join(", ")
    );
    Err(Warning { place: Some(place), says })
}

/// The one name that begins or ends with this one, such as `drain_seconds` for `drain`.
fn shortened<'a>(key: &str, mut known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (head, tail) = (format!("{key}_"), format!("_{key}"));
    let is_longer = |known: &&str| !key.is_empty() && (known.starts_with(&head) || known.ends_with(&tail));
    let found = known.by_ref().find(is_longer)?;
    known.find(is_longer).is_none().then_some(found)
}

/// Kubernetes and Docker make variables up from the names and ports of services, such as `TIDEWIRE_SERVICE_HOST`,
/// `TIDEWIRE_PORT=tcp://10.0.0.1:7700` and `TIDEWIRE_PORT_7700_TCP_ADDR`.
fn is_of_an_orchestrator(key: &str, value: &str) -> bool {
    let of_a_port = |rest: &str| match rest.strip_prefix('_') {
        Some(number) => number.starts_with(|c: char| c.is_ascii_digit()),
        None => rest.is_empty() && value.contains("://"),
    };
    let key = format!("_{key}");
    key.split_once("_port").is_some_and(|(_, rest)| of_a_port(rest))
        || key.contains("_service_host")
        || key.contains("_service_port")
}

const PREFIX: &str = "TIDEWIRE_";
/// What stands before a limit's name.
const LIMITS: &str = "limits_";
const KEYS: &[&str] = &[
    "listen",
    "admin_listen",
    "admin_hosts",
    "api_hosts",
    "socket_mode",
    "data_dir",
    "public_metrics",
    "log_format",
    "log_level",
    "shards",
    "drain_seconds",
    "origins",
    "allow_no_origin",
    "trusted_proxies",
    "proxy_protocol",
    "tls_certificate",
    "tls_key",
    "tls_acme_names",
    "tls_acme_folder",
    "tls_acme_contact",
    "tls_acme_directory",
    "tls_acme_directory_ca",
    "tls_acme_agree_to_terms",
];
/// Variables that the command line reads.
const OF_OTHERS: &[&str] = &["config", "url", "token", "ca", "context"];
/// What a variable's name holds whose value may be a secret, which is told nobody.
const SECRET: &[&str] = &["token", "secret", "key", "password"];

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a variable; what is wrong with it, and what it is warned of.
    fn read(variable: &str, value: &str) -> (String, String) {
        let mut problems = Vec::new();
        let env = [(variable.into(), value.into())].into_iter();
        let warnings = overlay(&mut RawConfig::default(), env, &mut problems);
        let first = |said: Option<String>| said.unwrap_or_default();
        (first(problems.first().map(ToString::to_string)), first(warnings.first().map(ToString::to_string)))
    }

    #[track_caller]
    fn check(variable: &str, says: &str) {
        let (said, _) = read(variable, "1");
        assert!(said.contains(variable) && said.contains(says), "{variable}: {said:?}");
    }

    #[track_caller]
    fn check_unheard(variable: &str, value: &str) {
        let (said, warning) = read(variable, value);
        assert_eq!(said, "", "{variable}");
        let names = [variable, "TIDEWIRE_LISTEN", "TIDEWIRE_LIMITS_"];
        assert!(names.iter().all(|name| warning.contains(name)), "{variable}: {warning:?}");
    }

    #[test]
    fn every_variable_is_documented() {
        let page = include_str!("../../../docs/CONFIGURATION.md");
        for key in KEYS {
            let variable = format!("`{PREFIX}{}`", key.to_ascii_uppercase());
            assert!(page.contains(&variable), "{variable}");
        }
    }

    #[test]
    fn a_misspelt_variable_is_named_with_the_nearest() {
        check("TIDEWIRE_LISTNE", "`TIDEWIRE_LISTEN`");
        check("TIDEWIRE_ORIGIN", "`TIDEWIRE_ORIGINS`");
        check("TIDEWIRE_CONFG", "`TIDEWIRE_CONFIG`");
        check("TIDEWIRE_LIMITS_MESSAGE_BYTE_MAX", "`TIDEWIRE_LIMITS_MESSAGE_BYTES_MAX`");
        check("TIDEWIRE_LIMITS_NO_SUCH", "TIDEWIRE_LIMITS_HEARTBEAT_MS");
        check("TIDEWIRE_LIMITS_PORT", "TIDEWIRE_LIMITS_HEARTBEAT_MS");
        check("TIDEWIRE_LIMIT_HEARTBEAT_MS", "`TIDEWIRE_LIMITS_HEARTBEAT_MS`");
        check("TIDEWIRE_HEARTBEAT_MS", "`TIDEWIRE_LIMITS_HEARTBEAT_MS`");
        check("TIDEWIRE_LIMITS_WINDOWS_MAX", "any more; producers' windows are bounded by memory");
        check("TIDEWIRE_PROXIES", "`TIDEWIRE_TRUSTED_PROXIES`");
        check("TIDEWIRE_DRAIN", "`TIDEWIRE_DRAIN_SECONDS`");
    }

    #[test]
    fn a_variable_that_means_nothing_is_a_warning() {
        for variable in ["TIDEWIRE_HOST", "TIDEWIRE_PORT", "TIDEWIRE_BIN", "TIDEWIRE_", "TIDEWIRE_MAX"] {
            check_unheard(variable, "7700");
        }
    }

    #[test]
    fn a_variable_that_may_hold_a_secret_is_not_told() {
        for variable in ["TIDEWIRE_TOKENS", "TIDEWIRE_SIGNING_KEY", "TIDEWIRE_MY_SECRET_THING"] {
            let (said, warning) = read(variable, "CANARY");
            assert!(format!("{said}{warning}").contains(variable), "{variable}");
            assert!(!format!("{said}{warning}").contains("CANARY"), "{variable}");
        }
    }

    #[test]
    fn variables_that_others_make_up_are_passed_over() {
        for (variable, value) in [
            ("TIDEWIRE_SERVICE_HOST", "10.0.0.1"),
            ("TIDEWIRE_SERVICE_PORT", "7700"),
            ("TIDEWIRE_SERVICE_PORT_HTTP", "7700"),
            ("TIDEWIRE_PORT", "tcp://10.0.0.1:7700"),
            ("TIDEWIRE_PORT_7700_TCP", "tcp://10.0.0.1:7700"),
            ("TIDEWIRE_PORT_7700_TCP_ADDR", "10.0.0.1"),
            ("TIDEWIRE_METRICS_PORT", "tcp://10.0.0.1:7701"),
            ("TIDEWIRE_METRICS_SERVICE_HOST", "10.0.0.1"),
            ("TIDEWIRE_CONFIG", "hub.toml"),
            ("TIDEWIRE_URL", "http://hub"),
            ("TIDEWIRE_TOKEN", "a.b.c"),
            ("TIDEWIRED_LISTNE", "1"),
            ("LISTNE", "1"),
        ] {
            assert_eq!(read(variable, value), (String::new(), String::new()), "{variable}");
        }
    }
}
