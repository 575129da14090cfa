//! What was written (file, environment, flags) becomes what it means, here and nowhere else. Whatever is wrong is named
//! at once, with its place and what is allowed; what is allowed and of no use is a warning that says why.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidewire_hub_core::topics::Settings;

use crate::acme::Plan;
use crate::config::problem::{Place, Problem, Warning, Written};
use crate::config::raw::RawConfig;
use crate::gate;
use crate::gate::listener::Address;
use crate::gate::origin::Origins;
use crate::gate::proxies::Proxies;
use crate::logs;
use crate::tls::Tls;
use crate::tokens::Keyring;

mod reload;

mod environment;

mod meaning;

mod addresses;

mod demo;

mod warnings;

mod rules;

mod auth;

mod certificate;

mod acme;

mod secret_file;

mod raw;

mod fields;

mod summary;

mod durability;

mod bounds;

pub mod problem;

pub use reload::{Kept, Reread};

/// How a hub is to run. Made by [`Config::load`].
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens. 127.0.0.1:7700 by default: to be reachable from elsewhere is a decision.
    pub listen: Address,
    /// Where operators ask. Nowhere by default.
    pub admin_listen: Option<Address>,
    /// Names that they may ask there by, beside its addresses and `localhost`.
    pub admin_hosts: Vec<String>,
    /// Whether `/metrics` is where clients connect. With `--dev` it is, unless operators have an address of their own.
    pub public_metrics: bool,
    /// How the log is written.
    pub log_format: logs::Format,
    /// How much of it.
    pub log_levels: logs::Levels,
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
    /// Proxies that are believed whose connection they pass on. None by default.
    pub proxies: Proxies,
    /// The certificate where clients connect. Without one they connect without TLS.
    pub tls: Option<Arc<Tls>>,
    /// How the hub gets its certificate, if it does so by itself.
    pub acme: Option<Plan>,
    /// Keys that tokens may be signed with. Without any, everybody is anonymous.
    pub keys: Keyring,
    /// Where topics are kept that are to survive the hub. Without it all of them are in memory.
    pub data_dir: Option<PathBuf>,
    /// Bounds before and at the handshake.
    pub gate: gate::limits::Limits,
    /// Bounds afterwards, access rules and what topics keep.
    pub core: Settings,
    /// Where the access rules are written, in their order; behind them may be some that are not.
    pub access_places: Vec<Place>,
    /// What is of no use in it, or does something else than it seems to.
    pub warnings: Vec<Warning>,
}

/// What the command line says of a configuration.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// A configuration file.
    pub config: Option<PathBuf>,
    /// Where to listen; stronger than file and environment.
    pub listen: Option<String>,
    /// Where to keep topics; stronger than both, too.
    pub data_dir: Option<String>,
    /// Everybody may do everything, on loopback.
    pub dev: bool,
    /// Serve the demo's page.
    pub demo: bool,
}

impl Flags {
    /// Where the files are that the configuration names.
    fn folder(&self) -> &Path {
        self.config.as_deref().and_then(Path::parent).unwrap_or(Path::new(""))
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Some of it is wrong.
    #[error("{}", lines(problems, warnings))]
    Wrong {
        /// What is wrong.
        problems: Vec<Problem>,
        /// What is of no use in the rest.
        warnings: Vec<Warning>,
    },
}

impl Config {
    /// Reads the file that the flags name, then the environment, then the flags themselves; later ones win.
    ///
    /// # Errors
    /// [`ConfigError`] names everything that is wrong.
    pub fn load(flags: &Flags, env: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, ConfigError> {
        let text = flags.config.as_deref().map_or_else(|| Ok(String::new()), text_of)?;
        Self::read(&text, flags, env)
    }

    fn read(
        text: &str,
        flags: &Flags,
        env: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut raw = RawConfig::read(text, &mut problems);
        let unheard = environment::overlay(&mut raw, env, &mut problems);
        let flag = |name: &str, value: &Option<String>| {
            let value = value.clone()?;
            let place = Place { line: None, key: name.into(), text: format!("\"{value}\"") };
            Some(Written { value, place })
        };
        raw.listen = flag("--listen", &flags.listen).or(raw.listen);
        raw.data_dir = flag("--data-dir", &flags.data_dir).or(raw.data_dir);
        let mut config = meaning::interpret(raw, flags, &mut problems);
        config.warnings.extend(unheard);
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::wrong(problems, config.warnings)) }
    }

    /// Whether anybody who can connect may do anything: by a rule, or by a token that allows it.
    #[must_use]
    pub fn lets_anybody_in(&self) -> bool {
        !self.keys.is_empty() || self.core.access.rules.iter().any(rules::is_of_use)
    }
}

impl ConfigError {
    /// What is wrong, as it is told.
    fn wrong(mut problems: Vec<Problem>, mut warnings: Vec<Warning>) -> Self {
        let broken: Vec<_> =
            problems.iter().filter(|problem| problem.is_syntax()).map(Problem::line).collect();
        // What stands on a line that cannot be read is not what its writer meant.
        problems.retain(|problem| problem.is_syntax() || !broken.contains(&problem.line()));
        problems.sort_by_key(|problem| problem.line().unwrap_or(usize::MAX));
        // What is wrong may be what would let somebody in.
        if problems.iter().any(Problem::may_be_about_access) {
            warnings.retain(|warning| warning.place.is_some());
        }
        Self::Wrong { problems, warnings }
    }
}

fn text_of(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.into(), source })
}

fn lines(problems: &[Problem], warnings: &[Warning]) -> String {
    let warnings = warnings.iter().map(|warning| format!("warning: {warning}"));
    problems.iter().map(ToString::to_string).chain(warnings).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tidewire_hub_core::access::Who;
    use tidewire_hub_core::limits::ATTRIBUTES_BYTES_MAX;

    fn read(toml: &str, env: &[(&str, &str)], flags: &Flags) -> Result<Config, ConfigError> {
        let env = env.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Config::read(toml, flags, env)
    }

    #[track_caller]
    fn right(toml: &str) -> Config {
        read(toml, &[], &Flags::default()).unwrap()
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
        check_wrong("listen = \"nowhere\"", &["`listen`", "\"nowhere\"", "HOST:PORT, like"]);
        let nowhere = format!("{}:7700", "x".repeat(64));
        check_wrong(&format!("listen = \"{nowhere}\""), &["`listen`", "x` does not resolve: "]);
        check_wrong(&format!("admin_listen = \"{nowhere}\""), &["x` does not resolve: "]);
        check_wrong("shards = 0", &["`shards` is 0", "1 to 1024"]);
        check_wrong("shards = \"two\"", &["`shards` is \"two\"", "a whole number"]);
        check_wrong("origins = [\"app.example.com\"]", &["`origins`", "\"app.example.com\"", "https://"]);
        check_wrong("[limits]\nmessage_byte_max = 1", &["limits.message_byte_max", "message_bytes_max"]);
        check_wrong("[limits]\nmessage_bytes_max = 0", &["`limits.message_bytes_max` is 0", "1 to"]);
        check_wrong("[limits]\nmessage_bytes_max = \"1 MB\"", &["\"1 MB\"", "a whole number"]);
        check_wrong("[[access]]\npattern = \"a..b\"\nsubscribe = true", &["`access[0].pattern`", "\"a..b\""]);
        check_wrong(
            "[[topics]]\npattern = \">\"\nretention = \"all\"",
            &["`topics[0].retention`", "\"none\""],
        );
        check_wrong("[[topics]]\npattern = \">\"\nretention = { count = 0 }", &["count` is 0", "1 to"]);
        check_wrong(
            "[[topics]]\npattern = \">\"\nretention = {}",
            &["`topics[0].retention.count` is missing"],
        );
        check_wrong("[[topics]]\npattern = \">\"", &["`topics[0].retention` is missing"]);
        check_wrong("access = 1\nlimits = 2", &["[[access]]", "[limits]"]);
        check_wrong("admin_listen = \"127.0.0.1:7700\"", &["another address"]);
        check_wrong(
            "metrics_listen = \"127.0.0.1:7701\"",
            &["line 1: there is no `metrics_listen` any more; ", "`admin_listen`"],
        );
        check_wrong("admin_hosts = [\"hub:7701\"]", &["\"hub:7701\"", "without a port"]);
        let everywhere = "listen = \"0.0.0.0:7850\"\nadmin_listen = ";
        for overlapping in ["127.0.0.1:7850", "0.0.0.0:7850", "[::]:7850"] {
            check_wrong(&format!("{everywhere}\"{overlapping}\""), &["another address than `listen`"]);
        }
        right(&format!("{everywhere}\"127.0.0.1:7851\""));
        check_wrong("log_format = \"xml\"", &["\"xml\"", "\"text\" or \"json\""]);
        check_wrong("log_level = \"hyper=trace\"", &["\"hyper=trace\"", "parts are server, "]);
        check_wrong("trusted_proxies = [\"localhost\"]", &["10.0.0.0/8"]);
    }

    #[test]
    fn limits_that_are_not_written_make_room_for_those_that_are() {
        let limits = right("[limits]\nmessage_bytes_max = 4_000_000").core.limits;
        assert!(limits.frame_bytes_max >= 24_000_000 && limits.pinned_bytes_max >= 28_000_000);
        assert_eq!(limits.check(), []);
        check_wrong(
            "[limits]\nmessage_bytes_max = 4_000_000\nframe_bytes_max = 5_000_000\npending_bytes_max = 2_000_000",
            &[
                "`limits.frame_bytes_max` is 5000000",
                "at least 24030202",
                "`message_bytes_max` to at most 828299",
                "`limits.pending_bytes_max` is 2000000",
            ],
        );
    }

    #[test]
    fn the_largest_message_can_come_in_whatever_else_is_not_written() {
        let limits = right("[limits]\nmessage_bytes_max = 134_217_728").core.limits;
        assert!(limits.half_received_fit() >= 4 * 134_217_728, "{limits:?}");
        for more in ["", "pinned_bytes_max = 2_097_152"] {
            let small = right(&format!("[limits]\nnode_bytes_max = 8_388_608\n{more}")).core.limits;
            assert_eq!(small.message_bytes_max, 256 << 10, "as it was");
            assert!(small.pinned_fit() < 8_388_608 / 4, "{small:?}");
        }
        let written = "[limits]\nmessage_bytes_max = 20_000_000\n";
        check_wrong(
            &format!("{written}half_received_bytes_max = 67_108_864"),
            &["`half_received_bytes_max` to at least 24"],
        );
        check_wrong(
            &format!("{written}node_bytes_max = 1_073_741_824"),
            &["`node_bytes_max` to at least 1280000000"],
        );
    }

    /// Limits that have to do with how large something may be.
    const SIZES: &[&str] = &[
        "message_bytes_max",
        "frame_bytes_max",
        "first_message_bytes_max",
        "pending_bytes_max",
        "pinned_bytes_max",
        "half_received_bytes_max",
        "unread_bytes_max",
        "page_bytes_max",
        "node_bytes_max",
    ];

    proptest::proptest! {
        #[test]
        fn an_idle_hub_has_room_for_the_largest_whatever_check_accepts(
            written in proptest::collection::btree_map(0..SIZES.len(), (10..34_u32, 0..1_000_u64), 0..6)
        ) {
            let line = |(name, (magnitude, part)): (&usize, &(u32, u64))| {
                format!("{} = {}\n", SIZES[*name], (1_u64 << magnitude) / 1_000 * (1_000 + part))
            };
            let toml: String = written.iter().map(line).collect();
            if let Ok(config) = read(&format!("[limits]\n{toml}"), &[], &Flags::default()) {
                let limits = config.core.limits;
                // A frame that comes may have all of it, a body half.
                assert!(limits.half_received_fit() / 2 >= limits.frame_bytes_max, "{limits:?}");
                let escaped = 6 * (limits.message_bytes_max + ATTRIBUTES_BYTES_MAX);
                assert!(limits.frame_bytes_max > escaped, "{limits:?}");
                let bytes = limits.message_bytes_max + ATTRIBUTES_BYTES_MAX;
                assert!(limits.pending_bytes_max > bytes, "{limits:?}");
                // What an answer is written into may have twice its bytes.
                let answer = 6 * limits.page_bytes_max.max(limits.message_bytes_max + ATTRIBUTES_BYTES_MAX);
                assert!(limits.unread_fit() > 2 * answer, "{limits:?}");
                // While it waits, and is in a topic and a pattern's tail.
                assert!(limits.node_bytes_max > 4 * limits.frame_bytes_max, "{limits:?}");
            }
        }
    }

    #[test]
    fn what_contradicts_is_told_of_those_that_are_written() {
        let error = read(
            "[limits]\nmessage_bytes_max = 20_000_000\nhalf_received_bytes_max = 67_108_864",
            &[],
            &Flags::default(),
        );
        let error = error.unwrap_err().to_string();
        // Not that a frame, which nobody has written, is too large.
        assert!(!error.contains("frame_bytes_max"), "{error}");
        check_wrong(
            "[limits]\nframe_bytes_max = 50_000_000\nhalf_received_bytes_max = 67_108_864\nnode_bytes_max = 200_000_000",
            &[
                "`half_received_bytes_max` to at least 100000000, or lower `frame_bytes_max` to at most 33554432",
                "`node_bytes_max` to at least 250000000, or lower `frame_bytes_max` to at most 40000000",
            ],
        );
    }

    #[test]
    fn what_no_commit_holds_is_warned_of_where_there_is_one() {
        let said = |toml: &str| {
            let warnings = right(toml).warnings;
            warnings
                .iter()
                .map(ToString::to_string)
                .filter(|it| it.contains("one commit"))
                .collect::<Vec<_>>()
        };
        let large = "[limits]\nmessage_bytes_max = 70_000_000";
        assert_eq!(said(large), Vec::<String>::new());
        let told = said(&format!("data_dir = \"data\"\n{large}"));
        assert!(told.len() == 1 && told[0].starts_with("line 3: `limits.message_bytes_max`"), "{told:?}");
        let told = said("data_dir = \"data\"\n[limits]\nmessage_bytes_max = 14_000_000");
        assert!(told.len() == 1 && told[0].contains("a batch to durable topics"), "{told:?}");
        assert_eq!(said("data_dir = \"data\""), Vec::<String>::new());
        let in_memory = |pattern: &str| {
            said(&format!(
                "data_dir = \"data\"\n{large}\n[[topics]]\npattern = \"{pattern}\"\ndurability = \"memory\""
            ))
        };
        assert_eq!((in_memory(">").len(), in_memory("a.>").len()), (0, 1));
    }

    #[test]
    fn numbers_beyond_all_numbers_are_told_what_is_allowed() {
        let huge = "9".repeat(60);
        let sections = [
            ("shards", ""),
            ("drain_seconds", ""),
            ("heartbeat_ms", "[limits]\n"),
            ("count", "[[topics]]\npattern = \">\"\n[topics.retention]\n"),
        ];
        for (key, head) in sections {
            for number in [huge.clone(), format!("-{huge}")] {
                check_wrong(&format!("{head}{key} = {number}"), &[" to ", &number]);
            }
        }
        for name in ["TIDEWIRE_SHARDS", "TIDEWIRE_DRAIN_SECONDS", "TIDEWIRE_LIMITS_HEARTBEAT_MS"] {
            let said = read("", &[(name, &huge)], &Flags::default()).unwrap_err().to_string();
            assert!(said.contains(name) && said.contains(" to "), "{said}");
        }
    }

    #[test]
    fn a_limit_that_is_wrong_contradicts_no_other() {
        for wrong in ["0", "\"x\"", "999_999_999_999"] {
            for (key, right) in [
                ("frame_bytes_max", "message_bytes_max = 4_000_000"),
                ("message_bytes_max", "node_bytes_max = 1_048_576"),
            ] {
                let toml = format!("[limits]\n{key} = {wrong}\n{right}\n");
                let said = read(&toml, &[], &Flags::default()).unwrap_err().to_string();
                let others = said.lines().filter(|line| line.contains(key)).count();
                assert_eq!((others, said.contains("line 2: ")), (1, true), "{said}");
            }
        }
        let env = [("TIDEWIRE_LIMITS_FRAME_BYTES_MAX", "many")];
        let said = read("[limits]\nmessage_bytes_max = 4_000_000", &env, &Flags::default()).unwrap_err();
        assert!(!said.to_string().contains("too small"), "{said}");
    }

    #[test]
    fn a_key_for_tokens_that_is_wrong_is_no_reason_to_ask_for_one() {
        let rest = "[[access]]\npattern = \"a\"\nsubscribe = true\n";
        for wrong in [
            "[[auth.keys]]\nalgorithm = \"ES256\"\nfile = \"no.such.pem\"\n",
            "[[auth.keys]]\nalgorithm = \"ES256\"\n",
            "[[auth.key]]\nalgorithm = \"ES256\"\n",
            "[auth]\nkeys = 1\n",
        ] {
            let toml = format!("allow_no_origin = true\n{wrong}{rest}");
            let said = read(&toml, &[], &Flags::default()).unwrap_err().to_string();
            assert!(said.contains("auth.key") && !said.contains("warning: "), "{said}");
        }
        let said = right(&format!("allow_no_origin = true\n{rest}")).warnings;
        assert_eq!(said.len(), 2, "{said:?}");
    }

    #[test]
    fn a_key_that_is_gone_is_told_its_successor() {
        check_wrong(
            "[limits]\nwindows_max = 5",
            &["line 2: there is no `limits.windows_max` any more; ", "`limits.windows_bytes_max`"],
        );
    }

    #[test]
    fn a_contradiction_names_its_places() {
        let toml = "[limits]\nfrag = 1\nmessage_bytes_max = 4_000_000\nframe_bytes_max = 5_000_000";
        check_wrong(toml, &["line 4 and line 3: `limits.frame_bytes_max` is 5000000"]);
        let env = [("TIDEWIRE_LIMITS_FRAME_BYTES_MAX", "5000000")];
        let toml = "[limits]\nmessage_bytes_max = 4_000_000";
        let said = read(toml, &env, &Flags::default()).unwrap_err().to_string();
        let places = "`TIDEWIRE_LIMITS_FRAME_BYTES_MAX` and line 2: `limits.frame_bytes_max`";
        assert!(said.contains(places), "{said}");
    }

    #[test]
    fn an_error_hides_no_warning_and_causes_none() {
        let rule = "[[access]]\npattern = \"chat/#\"\nsubscribe = true\nanonymous = true\n";
        check_wrong(
            &format!("shards = 0\n{rule}"),
            &["`shards` is 0", "warning: nobody can connect", "warning: line 3: `access[0].pattern`"],
        );
        for wrong in ["allow_no_origin = 1\n", "origns = []\n", "shards = = 1\n"] {
            let said = read(&format!("{wrong}{rule}"), &[], &Flags::default()).unwrap_err().to_string();
            assert!(said.contains("chat.>") && !said.contains("nobody can connect"), "{said}");
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once_with_its_line() {
        let toml = "listne = \"a\"\nshards = 0\ndrain_seconds = \"x\"\norigins = [\"b\", 1]\n\
                    [[access]]\npatern = \"a\"\n[[topics]]\npattern = \"a b\"\nretention = { cuont = 1 }\n\
                    [limits]\nheartbeat = 5\nmessage_bytes_max = -1\n";
        let said = read(toml, &[("TIDEWIRE_SHARD", "1")], &Flags::default()).unwrap_err().to_string();
        for part in [
            "line 1: there is no `listne`; did you mean `listen`?",
            "line 2: `shards` is 0",
            "line 3: `drain_seconds` is \"x\"; allowed: a whole number",
            "line 4: `origins` is \"b\"",
            "line 4: `origins` is 1",
            "line 5: `access[0].pattern` is missing",
            "line 6: there is no `access[0].patern`; did you mean `pattern`?",
            "line 8: `topics[0].pattern` is \"a b\"",
            "line 9: there is no `topics[0].retention.cuont`; did you mean `count`?",
            "line 11: there is no `limits.heartbeat`",
            "line 12: `limits.message_bytes_max` is -1; allowed: 1 to",
            "there is no `TIDEWIRE_SHARD`; did you mean `TIDEWIRE_SHARDS`?",
        ] {
            assert!(said.contains(part), "{part:?} is not in:\n{said}");
        }
        assert_eq!(said.lines().count(), 12, "{said}");
    }

    #[test]
    fn a_line_that_is_no_toml_hides_no_other() {
        let said = read("shards = = 2\nlisten = \ndrain_seconds = -1\nlistne = 1", &[], &Flags::default());
        let said = said.unwrap_err().to_string();
        for part in
            ["line 1: this is no TOML", "line 2: this is no TOML", "line 3: `drain_seconds`", "line 4: "]
        {
            assert!(said.contains(part), "{part:?} is not in:\n{said}");
        }
        assert_eq!(said.lines().count(), 4, "{said}");
    }

    const ALL: &str = "[[access]]\npattern = \">\"\nsubscribe = true\nanonymous = true\n";

    #[track_caller]
    fn check_warned(toml: &str, parts: &[&str]) {
        let open = "allow_no_origin = true\n";
        let warnings: Vec<String> =
            right(&format!("{open}{toml}")).warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings.len(), parts.len(), "{warnings:?}");
        for (warning, part) in warnings.iter().zip(parts) {
            assert!(warning.contains(part), "{part:?} is not in {warning:?}");
        }
    }

    #[test]
    fn what_nobody_can_use_is_a_warning_that_says_why() {
        let rule = |pattern: &str, more: &str| format!("[[access]]\npattern = \"{pattern}\"\n{more}\n");
        let open = "subscribe = true\nanonymous = true";
        let all = rule(">", open);
        check_warned(&all, &[]);
        check_warned("", &["no access rule"]);
        check_warned(&rule("a", "subscribe = true"), &["no access rule", "nobody can without [[auth.keys]]"]);
        check_warned(
            &format!("{all}{}", rule("a.b", open)),
            &["`access[1].pattern` is \"a.b\": it is never asked"],
        );
        check_warned(&format!("{}{all}", rule("a.b", "")), &["`>` cannot be subscribed to as a whole"]);
        check_warned(
            &format!("{}{all}", rule("a.b", "anonymous = false")),
            &["denies to everybody", "cannot be subscribed to as a whole"],
        );
        check_warned(&format!("{}{all}", rule(">", "subscribe = true")), &["nobody can without"]);
        check_warned(&format!("{}{all}", rule(">", "")), &["it is never asked"]);
        let part = |before: &str, line: usize| {
            check_warned(
                &format!("{before}{}", rule("a.>", open)),
                &[&format!(
                    "`a.>` cannot be subscribed to as a whole, because line {line} denies a part of it"
                )],
            );
        };
        part(&rule("a.secret.>", ""), 3);
        part(&rule("*.secret", "publish = true\nanonymous = true"), 3);
        check_warned(&format!("{}{}", rule("a.b", ""), rule("a.c", open)), &[]);
        check_warned(
            &format!("{}{}{}", rule("a.*", open), rule("a.b", ""), rule("a.c", open)),
            &["never asked", "never asked"],
        );
        check_warned(
            &format!("{}{}", rule("a.>", "publish = true\nanonymous = true"), rule("a.b", open)),
            &["never asked"],
        );
    }

    #[test]
    fn patterns_of_other_brokers_are_told_in_ours() {
        let rule = |pattern: &str| {
            format!("[[access]]\npattern = \"{pattern}\"\nsubscribe = true\nanonymous = true\n")
        };
        for (foreign, ours) in [
            ("chat/#", "`chat.>`"),
            ("chat/+/x", "`chat.*.x`"),
            ("chat.#", "`chat.>`"),
            ("a/b", "`a.b`"),
            ("#", "`>`"),
        ] {
            check_warned(&rule(foreign), &[ours]);
        }
        let secret = "[[auth.keys]]\nalgorithm = \"ES256\"\nfile = \"../tests/it/keys/ec.public.pem\"\naudience = \"a\"\n";
        let scope = |topic: &str| {
            format!(
                "{secret}[[auth.scopes]]\nscope = \"x\"\ntopics = [\"a.>\", \"{topic}\"]\nto = [\"publish\"]\n"
            )
        };
        check_warned(&scope("chat/+"), &["\"chat/+\": `/`, `+` and `#` are letters"]);
        check_warned(&scope("chat.*"), &[]);
        let own = |more: &str| format!("{secret}[[access]]\npattern = \"a.{{sub}}.>\"\n{more}");
        check_warned(&own("subscribe = true"), &[]);
        check_warned(&own(""), &["no single token of a name, such as `a.b`"]);
        check_warned(&own("subject = \"svc-*\"\npublish = false\nsubscribe = true"), &["no single token"]);
        check_warned(&rule("$sys.>"), &["the hub's own"]);
        check_warned(&rule("c#.v1"), &[]);
        check_warned(&rule(&format!("{}b", "a.".repeat(15))), &[]);
        check_warned(&rule(&format!("{}b", "a.".repeat(16))), &["17 tokens"]);
        let topics = "[[topics]]\npattern = \"a.>\"\nretention = \"none\"\n[[topics]]\npattern = \"a.b\"\nretention = \"none\"\n";
        check_warned(
            &format!("{}{topics}", rule(">")),
            &["`topics[1].pattern` is \"a.b\": it is never asked"],
        );
    }

    #[test]
    fn a_hub_that_lets_no_page_and_no_program_in_warns() {
        let closed = right("[[access]]\npattern = \">\"\nsubscribe = true\nanonymous = true");
        assert!(closed.warnings.iter().any(|warning| warning.says.contains("allow_no_origin")));
        let lopsided = "[limits]\nconnections_max = 100\n";
        check_warned(&format!("{ALL}{lopsided}"), &["`connections_max` is 100: one address may take all"]);
        let lopsided =
            format!("{lopsided}connections_per_address_max = 200\nhandshakes_per_address_max = 9000\n");
        check_warned(
            &format!("{ALL}{lopsided}"),
            &["`limits.connections_per_address_max` is 200", "`limits.handshakes_per_address_max` is 9000"],
        );
        let trusting = right("allow_no_origin = true\ntrusted_proxies = [\"0.0.0.0/0\"]");
        assert!(trusting.warnings.iter().any(|warning| warning.says.contains("trusted_proxies")));
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
        assert_eq!(
            (&*config.listen.to_string(), config.shards, config.core.limits.heartbeat_ms),
            ("127.0.0.1:3", 3, 9_000)
        );
    }

    #[test]
    fn a_wrong_variable_is_named_as_such() {
        for (name, value) in
            [("TIDEWIRE_SHARDS", "many"), ("TIDEWIRE_SHARDS", "0"), ("TIDEWIRE_LIMITS_NO_SUCH", "1")]
        {
            let error = read("", &[(name, value)], &Flags::default()).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_variables_of_ours_have_to_be_utf_8() {
        use std::os::unix::ffi::OsStringExt as _;
        let read = |name: &str| {
            let value = std::ffi::OsString::from_vec(b"/srv/caf\xe9".to_vec());
            Config::read("", &Flags::default(), [(name.into(), value)].into_iter())
        };
        assert!(read("SOME_PATH").is_ok());
        let error = read("TIDEWIRE_LISTEN").unwrap_err().to_string();
        assert!(error.contains("TIDEWIRE_LISTEN") && error.contains("UTF-8"), "{error}");
        let name = std::ffi::OsString::from_vec(b"CAF\xe9".to_vec());
        assert!(Config::read("", &Flags::default(), [(name, "x".into())].into_iter()).is_ok());
    }

    #[test]
    fn dev_stays_on_this_machine() {
        let dev = Flags { dev: true, ..Flags::default() };
        assert!(read("", &[], &dev).unwrap().lets_anybody_in());
        for key in ["listen", "admin_listen"] {
            let error = read(&format!("{key} = \"0.0.0.0:7900\""), &[], &dev).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains("with --dev"), "{error}");
        }
        let page = ("TIDEWIRE_ORIGINS", "https://app.example.com");
        let config = read("allow_no_origin = false", &[page], &dev).unwrap();
        assert_eq!(config.origins, Origins { loopback: true, absent: true, ..Origins::default() });
        assert!(config.warnings.iter().any(|warning| warning.says.contains("--dev")));
        assert!(read("", &[("TIDEWIRE_ORIGINS", "app")], &dev).is_err());
    }

    #[test]
    fn rules_are_kept_in_order() {
        let toml = "[[access]]\npattern = \"a.>\"\nsubscribe = true\nanonymous = true\n\
                    [[access]]\npattern = \">\"\npublish = true\n\
                    [[topics]]\npattern = \"a.>\"\nretention = { count = 5, age_seconds = 2 }";
        let config = read(toml, &[], &Flags::default()).unwrap();
        let who: Vec<_> = config.core.access.rules.iter().map(|rule| rule.who.clone()).collect();
        assert_eq!(who, [Who::Everybody, Who::SignedIn]);
        let kept = config.core.rules[0].retention;
        assert_eq!((kept.count, kept.bytes, kept.age_ms), (Some(5), None, Some(2_000)));
    }
}
