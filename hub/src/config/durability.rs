//! Where topics are kept: in memory, or with a data directory in files there unless their rule says otherwise.

use std::path::{Path, PathBuf};

use tidewire_hub_core::names::directory::{Retention, TopicRule};
use tidewire_protocol::name::Pattern;

use crate::config::problem::{Problem, Warning, Written};
use crate::disk::place;
use crate::reactor::logs::{DISK_LOG, MEMORY_LOG};

/// The data directory that is written: a path from the working directory on, as on a command line.
pub(super) fn data_dir(written: &Written<String>, problems: &mut Vec<Problem>) -> Option<PathBuf> {
    let path = Path::new(&written.value);
    if let Some(link) = path.ancestors().find(|part| part.is_symlink() && !part.exists()) {
        let what = format!(
            "a directory, or one that can be made, and {} is a link to what is not there",
            link.display()
        );
        problems.push(written.place.wrong(what));
        return None;
    }
    if written.value.is_empty() || (path.exists() && !path.is_dir()) {
        problems.push(written.place.wrong("the path of a directory, which is made if it is not there"));
        return None;
    }
    Some(path.to_owned())
}

/// Says that a data directory is in memory: nothing of it survives the system.
pub(super) fn is_in_memory(directory: &Path, written: &Written<String>) -> Option<Warning> {
    let says =
        format!("it is {IN_MEMORY}: nothing of it survives a restart of the system; name one on a disk");
    place::is_in_memory(directory).then(|| Warning { place: Some(written.place.clone()), says })
}

/// The log of a rule's topics.
pub(super) fn log_of(
    written: Option<&Written<String>>,
    has_data_dir: bool,
    problems: &mut Vec<Problem>,
) -> u8 {
    let Some(Written { value, place }) = written else { return usual_log(has_data_dir) };
    match (&**value, has_data_dir) {
        ("memory", _) => MEMORY_LOG,
        ("synced", true) => DISK_LOG,
        ("synced", false) => {
            problems.push(place.wrong(NOWHERE));
            MEMORY_LOG
        }
        _ => {
            problems.push(place.wrong("\"memory\" or \"synced\""));
            MEMORY_LOG
        }
    }
}

/// The log of topics that nothing is said of.
pub(super) fn usual_log(has_data_dir: bool) -> u8 {
    if has_data_dir { DISK_LOG } else { MEMORY_LOG }
}

/// Of topics that no rule matches, to stand behind all others. The hub's own names, which begin with `$`, are none of them.
pub(super) fn rest(has_data_dir: bool) -> Option<TopicRule> {
    let all = Pattern::parse(">").ok().filter(|_| has_data_dir)?;
    Some(TopicRule { pattern: all, retention: Retention::default(), log: DISK_LOG })
}

/// Says that publishes wait for the disk where nothing is kept, unless somebody has chosen that.
pub(super) fn waits_in_vain(rule: &TopicRule, chosen: bool, pattern: &Written<String>) -> Option<Warning> {
    let in_vain = rule.log == DISK_LOG && rule.retention.none && !chosen;
    in_vain.then(|| Warning { place: Some(pattern.place.clone()), says: IN_VAIN.into() })
}

pub(super) const IN_MEMORY: &str = "on a file system that is in memory";
const NOWHERE: &str = "\"memory\", as there is no data directory; for \"synced\" name one by --data-dir DIR, TIDEWIRE_DATA_DIR or `data_dir`";
const IN_VAIN: &str = "its topics keep nothing, and each publish to them waits for the disk all the same: add `durability = \"memory\"`, or \"synced\" if retries are to land once also after a restart";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{Config, ConfigError, Flags};

    fn read(toml: &str, flags: &Flags, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let env = env.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Config::read(&format!("allow_no_origin = true\n{toml}"), flags, env)
    }

    /// The logs of rules that are written thus, in a hub with a data directory or without.
    #[track_caller]
    fn logs(rules: &str, dir: Option<&str>) -> Vec<(String, u8)> {
        let flags = Flags { data_dir: dir.map(str::to_owned), ..Flags::default() };
        let config = read(rules, &flags, &[]).unwrap();
        config.core.rules.iter().map(|rule| (rule.pattern.to_string(), rule.log)).collect()
    }

    #[track_caller]
    fn check_wrong(toml: &str, parts: &[&str]) {
        let said = read(toml, &Flags::default(), &[]).unwrap_err().to_string();
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        assert_eq!(said.lines().filter(|line| !line.starts_with("warning")).count(), 1, "{said}");
    }

    fn rule(pattern: &str, more: &str) -> String {
        format!("[[topics]]\npattern = \"{pattern}\"\n{more}\n")
    }

    #[test]
    fn with_a_data_directory_topics_are_there_unless_their_rule_says_otherwise() {
        let rules = [
            rule("a.>", "retention = { count = 5 }\ndurability = \"memory\""),
            rule("b.>", "retention = { count = 5 }"),
            rule("c.>", "durability = \"synced\""),
        ]
        .concat();
        let there = |name: &str, log| (name.to_owned(), log);
        let all = [there("a.>", MEMORY_LOG), there("b.>", DISK_LOG), there("c.>", DISK_LOG)];
        assert_eq!(logs(&rules, Some("data")), [&all[..], &[there(">", DISK_LOG)]].concat());
        let memory = rule("a.>", "durability = \"memory\"") + &rule("b.>", "retention = \"none\"");
        assert_eq!(logs(&memory, None), [there("a.>", MEMORY_LOG), there("b.>", MEMORY_LOG)]);
    }

    #[test]
    fn a_rule_that_says_only_where_keeps_what_topics_without_one_do() {
        let config = read(&rule("a", "durability = \"memory\""), &Flags::default(), &[]).unwrap();
        assert_eq!(config.core.rules[0].retention, Retention::default());
        check_wrong(&rule("a", ""), &["`topics[0].retention` is missing"]);
        check_wrong(&rule("a", "durability = 1"), &["`topics[0].durability` is 1", "a text in quotes"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_directory_in_memory_is_warned_of() {
        let said = |dir: &str| {
            let config = read(&format!("data_dir = \"{dir}\""), &Flags::default(), &[]).unwrap();
            let warnings = config.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            (warnings.contains("`data_dir`") && warnings.contains(IN_MEMORY), config.told_of_durability())
        };
        let (is_warned, told) = said("/dev/shm/tidewire/is/not/there");
        assert!(is_warned && told.contains(IN_MEMORY) && !told.contains("power"), "{told}");
        // Unless all that is built here is in memory, too.
        if !place::is_in_memory(std::path::Path::new("src")) {
            let (is_warned, told) = said("src");
            assert!(!is_warned && told.contains("losses of power"), "{told}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nothing_is_no_directory() {
        let link = std::env::temp_dir().join(format!("tidewire-link-{}", std::process::id()));
        std::os::unix::fs::symlink("is/not/there", &link).unwrap();
        for more in ["", "/below"] {
            let dir = format!("{}{more}", link.display());
            check_wrong(&format!("data_dir = \"{dir}\""), &[&dir, "is a link to what is not there"]);
        }
        std::fs::remove_file(link).unwrap();
    }

    #[test]
    fn what_is_to_be_on_disk_needs_a_directory() {
        let synced = rule("a", "durability = \"synced\"");
        check_wrong(&synced, &["line 4: `topics[0].durability` is \"synced\"", "--data-dir", "`data_dir`"]);
        check_wrong(&rule("a", "durability = \"disk\""), &["\"disk\"", "\"memory\" or \"synced\""]);
        check_wrong(&format!("data_dir = \"\"\n{synced}"), &["line 2: `data_dir` is \"\"", "a directory"]);
        check_wrong(&format!("data_dir = \"Cargo.toml\"\n{synced}"), &["`data_dir` is \"Cargo.toml\""]);
        check_wrong("data_dir = 7", &["`data_dir` is 7"]);
    }

    #[test]
    fn the_directory_is_named_by_the_file_the_environment_or_the_command_line() {
        let flags = Flags { data_dir: Some("of/flag".into()), ..Flags::default() };
        let (file, env) = ("data_dir = \"of/file\"", [("TIDEWIRE_DATA_DIR", "of/env")]);
        let dir = |flags: &Flags, env: &[_]| read(file, flags, env).unwrap().data_dir.unwrap();
        assert_eq!(dir(&Flags::default(), &[]), Path::new("of/file"));
        assert_eq!(dir(&Flags::default(), &env), Path::new("of/env"));
        assert_eq!(dir(&flags, &env), Path::new("of/flag"));
        assert_eq!(read("", &Flags::default(), &[]).unwrap().data_dir, None);
    }

    #[test]
    fn what_waits_for_the_disk_and_keeps_nothing_is_warned_of() {
        let warned = |more: &str, dir: &str| {
            let rules = rule("a.cursors", &format!("retention = \"none\"\n{more}"));
            let config = read(&format!("{dir}\n{rules}"), &Flags::default(), &[]).unwrap();
            config
                .warnings
                .iter()
                .any(|warning| warning.to_string().contains("\"a.cursors\": its topics keep"))
        };
        let dir = "data_dir = \"data\"";
        assert!(warned("", dir) && !warned("", ""));
        assert!(!warned("durability = \"memory\"", dir) && !warned("durability = \"synced\"", dir));
    }

    #[test]
    fn the_demo_keeps_its_board_and_nothing_that_moves() {
        let flags = Flags { demo: true, data_dir: Some("data".into()), ..Flags::default() };
        let config = read("", &flags, &[]).unwrap();
        let in_memory: Vec<_> = config.core.rules.iter().filter(|rule| rule.log == MEMORY_LOG).collect();
        assert!(in_memory.iter().all(|rule| rule.retention.none) && in_memory.len() == 2);
        let kept = "topics are kept in data, and what was acknowledged survives restarts and losses of power\n\
                    topics of these rules are in memory only: demo.cursors, demo.ping.*\n";
        assert!(config.summary().contains(kept), "{}", config.summary());
        let summary = read("", &Flags::default(), &[]).unwrap().summary();
        assert!(summary.contains("topics are kept in memory, so that a restart empties them"), "{summary}");
    }
}
