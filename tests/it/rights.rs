//! What tokens and rules allow on the real process.

use serde_json::json;

use crate::support::file::File;
use crate::support::hub::{Hub, tidewire};
use crate::support::keyed::{KEYS, Keyed, SECRET, bearer, by_secret, by_secret_of, claims, refusal};
use crate::support::page::{Folder, block_of};

#[test]
fn a_subject_in_a_pattern_matches_itself_and_nothing_else() {
    let keyed = Keyed::start("");
    let to = keyed.hub.address;
    let allow = json!([{"topics": ["orders.{sub}.>", "{sub}.x", "of-{sub}"], "to": ["subscribe"]}]);
    for (producer, subject) in
        (1_000..).zip(["*", ">", "a.b", "a.*", "a.>", "a b", "a\tb", "a\u{a0}b", "$hub", "{sub}", ".", "a."])
    {
        let mut claims = claims(subject, allow.clone());
        claims.as_object_mut().unwrap().remove("aud");
        assert!(refusal(to, &by_secret(&claims)).contains("`sub`"), "{subject:?}");
        // What stands in no pattern may be called anything.
        claims["tidewire"]["allow"] = json!([]);
        if !subject.contains(char::is_control) {
            drop(bearer(to, producer, &by_secret(&claims)));
        }
    }
    let mut claims = claims("ada|7", allow);
    claims.as_object_mut().unwrap().remove("aud");
    let mut socket = bearer(to, 3, &by_secret(&claims));
    for (name, expected) in [
        ("orders.ada|7.a", "subscribed"),
        ("orders.ada|7.*", "subscribed"),
        ("ada|7.x", "subscribed"),
        ("of-ada|7", "subscribed"),
        ("orders.bob.a", "failed"),
        ("orders.>", "failed"),
        ("orders.*.a", "failed"),
        ("orders.{sub}.a", "failed"),
        ("bob.x", "failed"),
    ] {
        socket.say(json!({"type": "subscribe", "request": 1, "name": name}));
        assert_eq!(socket.hear()["type"], expected, "{name}");
    }
}

#[test]
fn a_pattern_that_reaches_beyond_what_is_allowed_is_refused_whole() {
    let keyed = Keyed::start("[[access]]\npattern = \"a.secret.>\"\npublish = false\nsubscribe = false\n");
    let mut claims = claims(
        "ada",
        json!([{"topics": ["a.>", "b.*"], "to": ["subscribe"]}, {"topics": ["b.*.c"], "to": ["subscribe"]}]),
    );
    claims.as_object_mut().unwrap().remove("aud");
    let mut socket = bearer(keyed.hub.address, 1, &by_secret(&claims));
    for (name, allowed) in [
        ("a.b.*", true),
        ("b.*", true),
        ("b.*.c", true),
        ("a.>", false),
        ("a.*.x", false),
        ("*.b", false),
        (">", false),
        ("b.>", false),
        ("*.*", false),
        ("a", false),
    ] {
        for kind in ["subscribe", "history"] {
            socket.say(json!({"type": kind, "request": 1, "name": name, "from": "latest"}));
            assert_eq!(socket.hear()["type"] != "failed", allowed, "{kind} {name}");
        }
    }
}

#[test]
fn a_subject_that_is_no_single_token_has_no_topics_of_its_own() {
    let keyed = Keyed::start("[[access]]\npattern = \"own.{sub}.>\"\nsubscribe = true\n");
    for (producer, subject) in (1..).zip(["*", ">", "a.b", "a b", "$hub", "{sub}"]) {
        let mut claims = claims(subject, json!([]));
        claims.as_object_mut().unwrap().remove("aud");
        let mut socket = bearer(keyed.hub.address, producer, &by_secret(&claims));
        for name in [
            format!("own.{subject}.x"),
            "own.*.x".into(),
            "own.>".into(),
            "own.{sub}.x".into(),
            "own.a.b.x".into(),
        ] {
            socket.say(json!({"type": "subscribe", "request": 1, "name": name}));
            assert_eq!(socket.hear()["type"], "failed", "{subject} {name}");
        }
    }
}

#[test]
fn a_rule_of_some_that_changes_ends_what_they_have_and_touches_no_other() {
    let secret = File::new(SECRET);
    let rules = "[[access]]\npattern = \"a\"\nsubscribe = true\n";
    let toml = format!(
        "allow_no_origin = true\n[[auth.keys]]\nalgorithm = \"HS256\"\nfile = \"{}\"\n",
        secret.path()
    );
    let file = File::new(&format!("{toml}{rules}"));
    let hub = Hub::start(&["--config", file.path()], &[]);
    let mut sockets: Vec<_> = (1..)
        .zip([("ada", "guest"), ("bob", "user"), ("svc-1", "user")])
        .map(|(producer, (subject, role))| {
            let mut claims = claims(subject, json!([]));
            claims.as_object_mut().unwrap().remove("aud");
            claims["role"] = json!(role);
            let mut socket = bearer(hub.address, producer, &by_secret_of(None, &claims));
            socket.say(json!({"type": "subscribe", "request": 1, "name": "a"}));
            socket.hear_of("subscribed");
            socket
        })
        .collect();
    let denials = "[[access]]\npattern = \"a\"\nclaim = { role = \"guest\" }\n[[access]]\npattern = \"a\"\nsubject = \"svc-*\"\n";
    std::fs::write(file.path(), format!("{toml}{denials}{rules}")).unwrap();
    hub.signal("HUP");
    for at in [0, 2] {
        assert_eq!(sockets[at].hear_of("unsubscribed")["code"], "forbidden");
    }
    sockets[1].say(json!({"type": "heartbeat", "request": 1}));
    assert_eq!(sockets[1].hear()["type"], "heartbeat");
}

#[test]
fn rules_of_some_are_told_and_what_is_wrong_with_them_too() {
    let check = |rule: &str| {
        let key = format!("{KEYS}/ec.public.pem");
        let toml = format!(
            "allow_no_origin = true\n[[access]]\n{rule}\n[[auth.keys]]\nalgorithm = \"ES256\"\nfile = \"{key}\"\naudience = \"a\"\n"
        );
        let file = File::new(&toml);
        let output = tidewire("check").args(["--config", file.path()]).output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    for (rule, says) in [
        ("subject = \"svc-*\"\nsubscribe = true", "whoever is called `svc-...` subscribes"),
        ("subject = \"svc\"\npublish = true\nsubscribe = true", "`svc` publishes and subscribes"),
        (
            "claim = { role = \"x\", a.b = 3 }\nsubscribe = true",
            "by a token that says `a.b` is 3 and `role` is \"x\", subscribes",
        ),
        ("subject = \"mallory\"", "`mallory` does nothing"),
    ] {
        let (is_right, said) = check(&format!("pattern = \"a.>\"\n{rule}"));
        assert!(is_right && said.contains(says) && !said.contains("warning"), "{said}");
    }
    for (rule, says) in [
        (
            "pattern = \"a\"\nsubject = \"*\"",
            "`access[0].subject` is \"*\"; allowed: a subject, or the beginning",
        ),
        ("pattern = \"a\"\nsubject = \"a*b\"", "`access[0].subject` is"),
        ("pattern = \"a\"\nsubject = \"\"", "`access[0].subject` is"),
        ("pattern = \"a\"\nclaim = {}", "`access[0].claim` is empty; allowed: a table like"),
        ("pattern = \"a\"\nclaim = \"x\"", "`access[0].claim` is \"x\""),
        ("pattern = \"a\"\nclaim = { role = 0.5 }", "`access[0].claim.role` is 0.5"),
        (
            "pattern = \"a.{sub}\"\nsubscribe = true\nanonymous = true",
            "`access[0].anonymous` is true; allowed: false",
        ),
    ] {
        let (is_right, said) = check(rule);
        assert!(!is_right && said.contains(says), "{said}");
    }
}

#[test]
fn the_way_of_the_page_leads_from_nothing_to_a_token() {
    let page = include_str!("../../docs/ACCESS.md");
    let folder = Folder::new();
    folder.run("sh", &["-e", "-c", block_of(page, "sh")]);
    let (toml, module) = (block_of(page, "toml"), block_of(page, "js"));
    let (_, other) = page.split_once("\n### A secret instead of two keys\n").unwrap();
    folder.run("sh", &["-e", "-c", block_of(other, "sh")]);
    let (head, rest) = toml.split_once("[[auth.keys]]").unwrap();
    let (_, rules) = rest.split_once("\n\n").unwrap();
    let with_secret = format!("{head}{}\n{rules}", block_of(other, "toml"));
    let mut with_hmac = module.replace("ES256", "HS256");
    for line in block_of(other, "js").lines() {
        // The line that begins in the same way, or brings something from the same module.
        let is_its_like = |known: &&str| match line.rsplit_once(" from ") {
            Some((_, from)) => known.ends_with(from),
            None => known.split_once(" = ").is_some_and(|(name, _)| line.starts_with(&format!("{name} = "))),
        };
        let known = with_hmac.lines().find(is_its_like).unwrap().to_owned();
        with_hmac = with_hmac.replace(&known, line);
    }
    for (toml, module) in [(toml, module), (with_secret.as_str(), with_hmac.as_str())] {
        folder.write("hub.toml", toml);
        folder.write("tokens.mjs", module);
        check_way(&folder);
    }
    assert_eq!(page.matches("await fetch(").count(), page.matches("if (!response.ok) throw ").count());
}

/// The hub and the back end in this folder know each other, and pages may come.
fn check_way(folder: &Folder) {
    let checked =
        folder.run(tidewire("").get_program().to_str().unwrap(), &["check", "--config", "hub.toml"]);
    assert!(checked.contains("pages that may connect: https://"), "{checked}");
    assert!(!checked.contains("warning: "), "{checked}");
    let print = "import('./tokens.mjs').then(({ tokenFor }) => process.stdout.write(tokenFor('ada')))";
    let token = folder.run("node", &["-e", print]);
    let hub = Hub::start(&["--config", folder.0.join("hub.toml").to_str().unwrap()], &[]);
    let mut ada = bearer(hub.address, 1, &token);
    for (name, answer) in
        [("orders.ada.1", "subscribed"), ("news.today", "subscribed"), ("orders.bob.1", "failed")]
    {
        ada.say(json!({"type": "subscribe", "request": 1, "name": name}));
        assert_eq!(ada.hear()["type"], answer, "{name}");
    }
}
