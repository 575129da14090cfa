//! What variables of the environment say of a configuration. Those of others are nobody's business here, whatever
//! bytes they hold.

use std::ffi::OsString;

use crate::config::bounds;
use crate::config::problem::{Place, Problem, Written, nearest};
use crate::config::raw::RawConfig;

/// Puts what the environment says over what the file says.
pub(super) fn overlay(
    raw: &mut RawConfig,
    env: impl Iterator<Item = (OsString, OsString)>,
    problems: &mut Vec<Problem>,
) {
    for (variable, value) in env {
        let variable = variable.to_string_lossy();
        let Some(key) = variable.strip_prefix(PREFIX).map(str::to_ascii_lowercase) else { continue };
        if is_of_an_orchestrator(&key) || OF_OTHERS.contains(&&*key) {
            continue;
        }
        let place = |text: &str| Place { line: None, key: variable.to_string(), text: format!("\"{text}\"") };
        let limit = key.strip_prefix("limits_");
        if !KEYS.contains(&&*key) && limit.is_none_or(|limit| !bounds::NAMES.contains(&limit)) {
            problems.extend(unknown(&key, place(&value.to_string_lossy())));
            continue;
        }
        let Some(text) = value.to_str() else {
            problems.push(place(&value.to_string_lossy()).wrong("UTF-8"));
            continue;
        };
        set(raw, &key, text, &place(text), problems);
    }
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
        "metrics_listen" => raw.metrics_listen = string(),
        "shards" => take(text, place, "a whole number", &mut raw.shards, problems),
        "drain_seconds" => take(text, place, "a whole number", &mut raw.drain_seconds, problems),
        "allow_no_origin" => take(text, place, "true or false", &mut raw.allow_no_origin, problems),
        "origins" => raw.origins = list(),
        "trusted_proxies" => raw.trusted_proxies = list(),
        _ => {
            let mut number = None;
            take(text, place, "a whole number", &mut number, problems);
            let limit = key.strip_prefix("limits_").unwrap_or(key);
            raw.limits.extend(number.map(|number| (limit.to_owned(), number)));
        }
    }
}

fn take<T: std::str::FromStr>(
    text: &str,
    place: &Place,
    allowed: &str,
    to: &mut Option<Written<T>>,
    problems: &mut Vec<Problem>,
) {
    match text.trim().parse() {
        Ok(value) => *to = Some(Written { value, place: place.clone() }),
        Err(_) => problems.push(place.wrong(allowed)),
    }
}

/// A name that is not ours is passed over unless it looks like a slip of the keyboard, or can only be a limit.
fn unknown(key: &str, place: Place) -> Option<Problem> {
    let limits: Vec<String> = bounds::NAMES.iter().map(|limit| format!("limits_{limit}")).collect();
    let ours = KEYS.iter().chain(OF_OTHERS).copied().chain(limits.iter().map(String::as_str));
    let nearest = nearest(key, ours).map(|key| format!("{PREFIX}{}", key.to_ascii_uppercase()));
    let known = bounds::NAMES.iter().map(|limit| format!("{PREFIX}LIMITS_{}", limit.to_ascii_uppercase()));
    let may_be_ours = nearest.is_some() || key.starts_with("limits_");
    may_be_ours.then(|| Problem::Unknown { place, nearest, known: known.collect() })
}

/// Kubernetes and Docker make variables up from the names and ports of services, such as `TIDEWIRE_SERVICE_HOST`,
/// `TIDEWIRE_PORT` and `TIDEWIRE_PORT_7700_TCP_ADDR`.
fn is_of_an_orchestrator(key: &str) -> bool {
    let of_a_port = |rest: &str| {
        rest.is_empty()
            || rest.strip_prefix('_').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    format!("_{key}").split_once("_port").is_some_and(|(_, rest)| of_a_port(rest))
        || format!("_{key}").contains("_service_host")
        || format!("_{key}").contains("_service_port")
}

const PREFIX: &str = "TIDEWIRE_";
const KEYS: &[&str] =
    &["listen", "metrics_listen", "shards", "drain_seconds", "origins", "allow_no_origin", "trusted_proxies"];
/// Variables that the command line reads.
const OF_OTHERS: &[&str] = &["config", "url"];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(variable: &str, problem: Option<&str>) {
        let mut problems = Vec::new();
        let env = [(variable.into(), "1".into())].into_iter();
        overlay(&mut RawConfig::default(), env, &mut problems);
        match problem {
            None => assert_eq!(problems, [], "{variable}"),
            Some(says) => {
                let said = problems.first().map(ToString::to_string).unwrap_or_default();
                assert!(said.contains(variable) && said.contains(says), "{variable}: {said:?}");
            }
        }
    }

    #[test]
    fn a_misspelt_variable_is_named_with_the_nearest() {
        check("TIDEWIRE_LISTNE", Some("`TIDEWIRE_LISTEN`"));
        check("TIDEWIRE_ORIGIN", Some("`TIDEWIRE_ORIGINS`"));
        check("TIDEWIRE_CONFG", Some("`TIDEWIRE_CONFIG`"));
        check("TIDEWIRE_LIMITS_MESSAGE_BYTE_MAX", Some("`TIDEWIRE_LIMITS_MESSAGE_BYTES_MAX`"));
        check("TIDEWIRE_LIMITS_NO_SUCH", Some("TIDEWIRE_LIMITS_HEARTBEAT_MS"));
        check("TIDEWIRE_LIMIT_HEARTBEAT_MS", Some("`TIDEWIRE_LIMITS_HEARTBEAT_MS`"));
    }

    #[test]
    fn variables_that_others_make_up_are_passed_over() {
        for variable in [
            "TIDEWIRE_SERVICE_HOST",
            "TIDEWIRE_SERVICE_PORT",
            "TIDEWIRE_SERVICE_PORT_HTTP",
            "TIDEWIRE_PORT",
            "TIDEWIRE_PORT_7700_TCP",
            "TIDEWIRE_PORT_7700_TCP_ADDR",
            "TIDEWIRE_METRICS_SERVICE_HOST",
            "TIDEWIRE_BIN",
            "TIDEWIRE_CONFIG",
            "TIDEWIRE_URL",
            "TIDEWIRED_LISTNE",
            "LISTNE",
        ] {
            check(variable, None);
        }
    }
}
