//! What was written (file, environment, flags) becomes what it means, here and nowhere else. A wrong key or value
//! is an error that names the key, the value and what is allowed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use tidewire_hub_core::access::{Access, AccessRule};
use tidewire_hub_core::names::directory::{Retention, TopicRule};
use tidewire_hub_core::topics::Settings;
use tidewire_protocol::name::Pattern;

use crate::config::raw::{RawAccess, RawConfig, RawRetention, RawTopics};
use crate::gate;
use crate::gate::origin::{AllowedOrigin, Origins};

mod bounds;
mod demo;
mod raw;

/// How a hub is to run. Made by [`Config::load`].
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens. 127.0.0.1:7700 by default: to be reachable from elsewhere is a decision.
    pub listen: SocketAddr,
    /// Threads that own connections. One fewer than cores, and one at least: handshakes, engines and the kernel's
    /// part of networking need a core as well, and shards that have to share theirs send smaller batches.
    pub shards: usize,
    /// How long clients get to leave when the hub stops. 10 s: enough to spread the return of 10,000 clients, and
    /// below the 30 s after which orchestrators kill.
    pub drain: Duration,
    /// Whether the demo's page is served.
    pub demo: bool,
    /// Which web pages may connect. None by default.
    pub origins: Origins,
    /// Bounds before and at the handshake.
    pub gate: gate::limits::Limits,
    /// Bounds afterwards, access rules and what topics keep.
    pub core: Settings,
}

/// What the command line says of a configuration.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// A configuration file.
    pub config: Option<PathBuf>,
    /// Where to listen; stronger than file and environment.
    pub listen: Option<String>,
    /// Everybody may do everything, on loopback.
    pub dev: bool,
    /// Serve the demo's page.
    pub demo: bool,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no TOML, or has keys or kinds of values that do not exist.
    #[error("{}: {source}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// Some values are not allowed.
    #[error("{}", lines(_0))]
    Wrong(Vec<Problem>),
}

/// One wrong key or value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key as it stands in the file, the variable's name, or the flag.
    pub key: String,
    /// What was written.
    pub value: String,
    /// What may be written.
    pub allowed: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}; allowed: {}", self.key, self.value, self.allowed)
    }
}

impl Config {
    /// Reads the file that the flags name, then the environment, then the flags themselves; later ones win.
    ///
    /// # Errors
    /// [`ConfigError`] names everything that is wrong.
    pub fn load(flags: &Flags, env: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let raw = match &flags.config {
            Some(path) => raw::read_file(path)?,
            None => RawConfig::default(),
        };
        Self::read(raw, flags, env)
    }

    fn read(
        mut raw: RawConfig,
        flags: &Flags,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut reading = Reading::default();
        reading.overlay(&mut raw, env);
        if let Some(listen) = &flags.listen {
            raw.listen = Some(listen.clone());
            reading.origin_of.insert("listen".into(), "--listen".into());
        }
        let config = reading.interpret(raw, flags);
        if reading.problems.is_empty() { Ok(config) } else { Err(ConfigError::Wrong(reading.problems)) }
    }

    /// Whether any rule lets anybody do anything.
    #[must_use]
    pub fn lets_anybody_in(&self) -> bool {
        self.core.access.rules.iter().any(|rule| rule.publish || rule.subscribe)
    }
}

/// Gathers problems instead of stopping at the first.
#[derive(Debug, Default)]
struct Reading {
    problems: Vec<Problem>,
    /// Variables and flags that stand for a key of the file.
    origin_of: BTreeMap<String, String>,
}

impl Reading {
    fn wrong(&mut self, key: &str, value: impl fmt::Display, allowed: impl Into<String>) {
        let key = self.origin_of.get(key).cloned().unwrap_or_else(|| key.to_owned());
        self.problems.push(Problem { key, value: value.to_string(), allowed: allowed.into() });
    }

    fn interpret(&mut self, raw: RawConfig, flags: &Flags) -> Config {
        let (mut gate, limits) = self.limits(&raw.limits);
        let listen = self.listen(raw.listen.as_deref().unwrap_or(LISTEN), flags.dev);
        let access = if flags.dev {
            // All clients share this machine's address, and thousands of them are a usual test.
            gate.connections_per_address_max = gate.connections_max;
            gate.handshakes_per_address_max = gate.handshakes_max;
            Access::open()
        } else {
            self.access(raw.access)
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = raw.shards.unwrap_or(cores.saturating_sub(1).max(1) as i64);
        if !(1..=SHARDS_MAX).contains(&shards) {
            self.wrong("shards", shards, format!("1 to {SHARDS_MAX}"));
        }
        let drain_seconds = raw.drain_seconds.unwrap_or(DRAIN_SECONDS);
        if !(0..=DRAIN_SECONDS_MAX).contains(&drain_seconds) {
            self.wrong("drain_seconds", drain_seconds, format!("0 to {DRAIN_SECONDS_MAX}"));
        }
        let mut rules = self.topic_rules(raw.topics);
        if flags.demo {
            rules.extend(demo::rules());
        }
        Config {
            listen,
            shards: shards.clamp(1, SHARDS_MAX) as usize,
            drain: Duration::from_secs(drain_seconds.clamp(0, DRAIN_SECONDS_MAX) as u64),
            demo: flags.demo,
            origins: Origins {
                allowed: self.origins(&raw.origins.unwrap_or_default()),
                loopback: flags.dev,
                absent: raw.allow_no_origin.unwrap_or(flags.dev),
            },
            gate,
            core: Settings { limits, access, rules },
        }
    }

    fn listen(&mut self, text: &str, dev: bool) -> SocketAddr {
        let fallback = SocketAddr::from(([127, 0, 0, 1], 0));
        let Some(address) = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next()) else {
            self.wrong(
                "listen",
                format!("\"{text}\""),
                "HOST:PORT, like 127.0.0.1:7700; port 0 takes a free one",
            );
            return fallback;
        };
        if dev && !address.ip().is_loopback() {
            let allowed = "with --dev an address of this machine only, like 127.0.0.1:7700, because everybody may do everything";
            self.wrong("listen", format!("\"{text}\""), allowed);
        }
        address
    }

    fn origins(&mut self, texts: &[String]) -> Vec<AllowedOrigin> {
        let mut origins = Vec::new();
        for text in texts {
            match AllowedOrigin::parse(text) {
                Ok(origin) => origins.push(origin),
                Err(error) => self.wrong("origins", format!("\"{text}\""), error.to_string()),
            }
        }
        origins
    }

    fn access(&mut self, rules: Vec<RawAccess>) -> Access {
        let mut access = Access::default();
        for (at, rule) in rules.into_iter().enumerate() {
            let pattern = self.pattern(&format!("access[{at}].pattern"), &rule.pattern);
            // Nobody can sign in yet, so a rule that does not speak of anonymous clients speaks of nobody.
            if let (Some(pattern), true) = (pattern, rule.anonymous) {
                access.rules.push(AccessRule { pattern, publish: rule.publish, subscribe: rule.subscribe });
            }
        }
        access
    }

    fn topic_rules(&mut self, rules: Vec<RawTopics>) -> Vec<TopicRule> {
        let mut result = Vec::new();
        for (at, rule) in rules.into_iter().enumerate() {
            let pattern = self.pattern(&format!("topics[{at}].pattern"), &rule.pattern);
            let retention = self.retention(&format!("topics[{at}].retention"), rule.retention);
            if let (Some(pattern), Some(retention)) = (pattern, retention) {
                result.push(TopicRule { pattern, retention, log: 0 });
            }
        }
        result
    }

    fn pattern(&mut self, key: &str, text: &str) -> Option<Pattern> {
        match Pattern::parse(text) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let allowed = format!(
                    "a topic name, in which `*` stands for one token and a last `>` for the rest; {error}"
                );
                self.wrong(key, format!("\"{text}\""), allowed);
                None
            }
        }
    }

    fn retention(&mut self, key: &str, raw: RawRetention) -> Option<Retention> {
        const ALLOWED: &str = "\"none\", or one or more of { count, bytes, age_seconds }, each at least 1";
        match raw {
            RawRetention::Word(word) if word == "none" => {
                Some(Retention { none: true, count: None, bytes: None, age_ms: None })
            }
            RawRetention::Word(word) => {
                self.wrong(key, format!("\"{word}\""), ALLOWED);
                None
            }
            RawRetention::Bounds(bounds) => {
                let given = [bounds.count, bounds.bytes, bounds.age_seconds];
                if given.iter().all(Option::is_none) || given.contains(&Some(0)) {
                    self.wrong(key, bounds, ALLOWED);
                    return None;
                }
                Some(Retention {
                    none: false,
                    count: bounds.count,
                    bytes: bounds.bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
                    age_ms: bounds.age_seconds.map(|seconds| seconds.saturating_mul(1_000)),
                })
            }
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

const LISTEN: &str = "127.0.0.1:7700";
const DRAIN_SECONDS: i64 = 10;
const DRAIN_SECONDS_MAX: i64 = 3_600;
/// More threads than any machine has cores are a slip of the keyboard.
const SHARDS_MAX: i64 = 1_024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(toml: &str, env: &[(&str, &str)], flags: &Flags) -> Result<Config, ConfigError> {
        let raw = raw::read_text(toml, "tidewire.toml".as_ref())?;
        let env = env.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Config::read(raw, flags, env)
    }

    #[track_caller]
    fn check_wrong(toml: &str, parts: &[&str]) {
        let error = read(toml, &[], &Flags::default()).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
    }

    #[test]
    fn nothing_written_lets_nobody_in() {
        let config = read("", &[], &Flags::default()).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:7700");
        assert!(!config.lets_anybody_in());
        assert!(!config.origins.absent && !config.origins.loopback);
    }

    #[test]
    fn wrong_keys_and_values_are_named_with_what_is_allowed() {
        check_wrong("listne = \"a\"", &["listne", "listen"]);
        check_wrong("listen = \"nowhere\"", &["`listen`", "\"nowhere\"", "HOST:PORT"]);
        check_wrong("shards = 0", &["`shards` is 0", "1 to 1024"]);
        check_wrong("shards = \"two\"", &["shards = \"two\""]);
        check_wrong("origins = [\"app.example.com\"]", &["`origins`", "\"app.example.com\"", "https://"]);
        check_wrong("[limits]\nmessage_byte_max = 1", &["limits.message_byte_max", "message_bytes_max"]);
        check_wrong("[limits]\nmessage_bytes_max = 0", &["`limits.message_bytes_max` is 0", "1 to"]);
        check_wrong("[limits]\nmessage_bytes_max = \"1 MB\"", &["\"1 MB\"", "a whole number"]);
        check_wrong("[[access]]\npattern = \"a..b\"\nsubscribe = true", &["`access[0].pattern`", "\"a..b\""]);
        check_wrong(
            "[[topics]]\npattern = \">\"\nretention = \"all\"",
            &["`topics[0].retention`", "\"none\""],
        );
        check_wrong("[[topics]]\npattern = \">\"\nretention = { count = 0 }", &["count = 0", "at least 1"]);
    }

    #[test]
    fn a_page_must_fit_among_the_answers() {
        let limits = |page: usize| format!("[limits]\noutbox_bytes_max = 1000\npage_bytes_max = {page}");
        assert!(read(&limits(500), &[], &Flags::default()).is_ok());
        let error = read(&limits(501), &[], &Flags::default()).unwrap_err().to_string();
        assert!(error.contains("limits.page_bytes_max"), "{error}");
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let error = read("shards = 0\ndrain_seconds = -1", &[], &Flags::default()).unwrap_err();
        assert!(matches!(error, ConfigError::Wrong(problems) if problems.len() == 2));
    }

    #[test]
    fn the_environment_is_stronger_than_the_file_and_weaker_than_flags() {
        let flags = Flags { listen: Some("127.0.0.1:3".into()), ..Flags::default() };
        let env = [
            ("TIDEWIRE_LISTEN", "127.0.0.1:2"),
            ("TIDEWIRE_SHARDS", "3"),
            ("TIDEWIRE_LIMITS_HEARTBEAT_MS", "9000"),
        ];
        let config = read("listen = \"127.0.0.1:1\"\nshards = 7", &env, &flags).unwrap();
        assert_eq!((config.listen.port(), config.shards, config.core.limits.heartbeat_ms), (3, 3, 9_000));
    }

    #[test]
    fn a_wrong_variable_is_named_as_such() {
        for (name, value) in
            [("TIDEWIRE_SHARDS", "many"), ("TIDEWIRE_SHARDS", "0"), ("TIDEWIRE_LIMITS_NO_SUCH", "1")]
        {
            let error = read("", &[(name, value)], &Flags::default()).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        // Orchestrators set variables such as this one by themselves.
        assert!(read("", &[("TIDEWIRE_SERVICE_HOST", "10.0.0.1")], &Flags::default()).is_ok());
    }

    #[test]
    fn dev_stays_on_this_machine() {
        let dev = Flags { dev: true, ..Flags::default() };
        assert!(read("", &[], &dev).unwrap().lets_anybody_in());
        let error = read("listen = \"0.0.0.0:7700\"", &[], &dev).unwrap_err().to_string();
        assert!(error.contains("--dev"), "{error}");
    }

    #[test]
    fn rules_are_kept_in_order() {
        let toml = "[[access]]\npattern = \"a.>\"\nsubscribe = true\nanonymous = true\n\
                    [[access]]\npattern = \">\"\npublish = true\n\
                    [[topics]]\npattern = \"a.>\"\nretention = { count = 5, age_seconds = 2 }";
        let config = read(toml, &[], &Flags::default()).unwrap();
        assert_eq!(config.core.access.rules.len(), 1, "the second speaks of nobody");
        let kept = config.core.rules[0].retention;
        assert_eq!((kept.count, kept.bytes, kept.age_ms), (Some(5), None, Some(2_000)));
    }
}
