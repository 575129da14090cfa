//! Hubs that have names, on the command line.

use std::path::PathBuf;
use std::process::Output;

use serde_json::json;

use crate::command_line::{check_exit, succeed};
use crate::support::file::File;
use crate::support::hub::{Hub, tidewire};
use crate::support::keyed::{Keyed, by_secret, claims};

/// A user's folder for configurations, which ends with its test.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tidewire-contexts-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("tidewire/contexts.toml")
    }

    fn run(&self, arguments: &[&str], env: &[(&str, &str)]) -> Output {
        let mut command = tidewire(arguments[0]);
        command.args(&arguments[1..]).env("XDG_CONFIG_HOME", &self.0).envs(env.iter().copied());
        command.output().unwrap()
    }

    #[track_caller]
    fn context(&self, arguments: &[&str]) -> String {
        succeed(&self.run(&[&["context"], arguments].concat(), &[]))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_hub_that_has_a_name_is_used_by_it() {
    let home = Home::new("used");
    let (first, second) = (Keyed::start(""), Hub::dev());
    let mut claims = claims("ada", json!([{"topics": ["a"], "to": ["publish", "subscribe"]}]));
    claims.as_object_mut().unwrap().remove("aud");
    let token = File::new(&format!("{}\n", by_secret(&claims)));
    home.context(&["add", "closed", &first.hub.url(), "--token-file", token.path()]);
    home.context(&["add", "open", &second.url()]);
    succeed(&home.run(&["pub", "a", "1"], &[]));
    let history =
        |more: &[&str], env: &[(&str, &str)]| home.run(&[&["history", "a", "--json"], more].concat(), env);
    for environment in [&[][..], &[("TIDEWIRE_TOKEN", "CANARY.of.another")]] {
        let told = succeed(&history(&[], environment));
        assert!(told.contains("\"sender\":\"ada\""), "the first is used, with its token: {told}");
    }
    check_exit(&history(&["--token", "CANARY.of.another"], &[]), 4, "the token is no signed JWT");
    for (more, env) in [
        (&["--context", "open"][..], &[][..]),
        (&[], &[("TIDEWIRE_CONTEXT", "open")]),
        (&["--url", &second.url()], &[]),
        (&[], &[("TIDEWIRE_URL", &second.url())]),
    ] {
        assert_eq!(succeed(&history(more, env)), "", "{more:?} {env:?}");
    }
    // The token of a context goes nowhere else.
    check_exit(&history(&["--url", &first.hub.url()], &[]), 4, "neither a rule nor a token allows this");
    check_exit(&history(&["--url", &second.url(), "--context", "open"], &[]), 2, "leave out one of them");
    check_exit(
        &history(&["--context", "other"], &[]),
        2,
        "there is no context \"other\"; there are closed, open",
    );
    home.context(&["use", "open"]);
    assert_eq!(succeed(&history(&[], &[])), "");
    let listed = home.context(&["list"]);
    let lines: Vec<_> = listed.lines().collect();
    assert!(
        lines[0].starts_with("  closed  http://127.0.0.1:") && lines[0].contains("(token from "),
        "{listed}"
    );
    assert!(lines[1].starts_with("* open    http://") && lines.len() == 2, "{listed}");
    home.context(&["remove", "open"]);
    assert!(!home.context(&["list"]).contains("open"));
}

#[test]
fn contexts_hold_no_token_and_are_their_users_alone() {
    let home = Home::new("own");
    let token = File::new("CANARY.canary.token");
    home.context(&["add", "a", "https://hub.example.com", "--token-file", token.path()]);
    let told = format!("{}{}", home.context(&["list"]), std::fs::read_to_string(home.file()).unwrap());
    assert!(told.contains(token.path()) && !told.contains("CANARY"), "{told}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(home.file()).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let empty = File::new(" \n");
    for (arguments, code, says) in [
        (&["add", "a b", "https://hub.example.com"][..], 2, "is no name for a context"),
        (&["add", "b", "https://hub.example.com?x"], 2, "URL: a query"),
        (
            &["add", "b", "hub.example.com"],
            2,
            "\"hub.example.com\" is no address of a hub; allowed: http://HOST",
        ),
        (&["add", "b", "ftp://hub.example.com"], 2, "is no address of a hub"),
        (&["add", "b", "https://"], 2, "is no address of a hub"),
        (
            &["add", "b", "https://hub.example.com", "--ca", empty.path()],
            2,
            "--ca: there is no certificate in PEM in",
        ),
        (&["add", "b", "https://ada:CANARY@hub.example.com"], 2, "URL: a name or password"),
        (&["add", "b", "https://hub.example.com", "--token-file", "/no/such"], 1, "cannot read /no/such"),
        (
            &["add", "b", "https://hub.example.com", "--token-file", empty.path()],
            2,
            "is empty; allowed: a token",
        ),
        (&["use", "b"], 2, "there is no context \"b\"; there are a"),
        (&["remove", "b"], 2, "there is no context \"b\""),
    ] {
        let said = home.run(&[&["context"], arguments].concat(), &[]);
        assert!(!format!("{said:?}").contains("CANARY"), "{said:?}");
        check_exit(&said, code, says);
    }
    assert_eq!(home.context(&["list"]).lines().count(), 1, "what is wrong changes nothing");
    std::fs::write(home.file(), "nonsense").unwrap();
    check_exit(&home.run(&["context", "list"], &[]), 1, "is none of our making");
    let left = std::fs::read_dir(home.file().parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "no half of a file stays");
}
