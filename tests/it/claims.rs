//! Tokens of others, taken as they are: where in them is what, on the real process.

use serde_json::{Value, json};

use crate::command_line::succeed;
use crate::support::file::File;
use crate::support::hub::{Hub, tidewire};
use crate::support::keyed::{SECRET, bearer, by_secret_of, now, refusal};
use crate::support::socket::RawSocket;

fn toml(secret: &File, auth: &str) -> String {
    format!(
        "allow_no_origin = true\n[[auth.keys]]\nalgorithm = \"HS256\"\nfile = \"{}\"\naudience = [\"hub\", \"account\"]\n{auth}",
        secret.path()
    )
}

const MAPPED: &str = "[auth.claims]\nsubject = \"user.name\"\nscope = \"scp\"\n\
    [[auth.scopes]]\nscope = \"orders:read\"\ntopics = [\"orders.>\", \"of.{sub}.>\"]\nto = [\"subscribe\"]\n\
    [[auth.scopes]]\nscope = \"orders:write\"\ntopics = \"orders.>\"\nto = \"publish\"\n";

/// What an identity provider signs, with what is said here.
fn token(more: Value) -> String {
    let mut claims = json!({
        "iss": "https://login.example.com", "aud": "account", "exp": now() + 600, "iat": now(), "auth_time": 1,
        "sub": "8d1c.7", "azp": "web", "realm_access": {"roles": ["user"]}, "user": {"name": "ada"},
    });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    by_secret_of(None, &claims)
}

#[track_caller]
fn check(socket: &mut RawSocket, frame: Value, expected: &str) {
    socket.say(frame.clone());
    assert_eq!(socket.hear()["type"], expected, "{frame}");
}

#[test]
fn tokens_of_an_identity_provider_are_taken_as_they_are() {
    let secret = File::new(SECRET);
    let file = File::new(&toml(&secret, MAPPED));
    let hub = Hub::start(&["--config", file.path()], &[]);
    let subscribe = |name: &str| json!({"type": "subscribe", "request": 1, "name": name});
    let publish = json!({"type": "open", "handle": 1, "topic": "orders.1", "lowest": 1});
    for (producer, scopes, reads, writes) in [
        (1, json!("openid orders:read"), true, false),
        (2, json!(["orders:write", "orders:read"]), true, true),
        (3, json!("orders:writes orders"), false, false),
        (4, json!([]), false, false),
    ] {
        let mut socket = bearer(hub.address, producer, &token(json!({"scp": scopes, "aud": ["x", "hub"]})));
        for (name, may) in [("orders.1", reads), ("of.ada.1", reads), ("of.bob.1", false), ("others", false)]
        {
            check(&mut socket, subscribe(name), if may { "subscribed" } else { "failed" });
        }
        check(&mut socket, publish.clone(), if writes { "opened" } else { "refused" });
    }
    for (wrong, says) in [
        (json!({"aud": "other"}), "`aud`"),
        (json!({"user": {}}), "`sub`"),
        (json!({"user": {"name": 5}}), "`user.name`"),
        (json!({"scp": 5}), "`scp`"),
        (json!({"iat": now() + 600}), "`iat`"),
        (json!({"user": {"name": "a.b"}, "scp": "orders:read"}), "`sub`"),
    ] {
        assert!(refusal(hub.address, &token(wrong)).contains(says), "{says}");
    }
}

#[test]
fn the_commands_know_where_in_tokens_is_what() {
    let secret = File::new(SECRET);
    let file = File::new(&toml(&secret, MAPPED));
    let token_command = |arguments: &[&str]| {
        tidewire("token")
            .args(&arguments[..1])
            .args(["--config", file.path()])
            .args(&arguments[1..])
            .output()
            .unwrap()
    };
    let said = succeed(&token_command(&["verify", &token(json!({"scp": "orders:read"}))]));
    assert!(said.contains("takes it as \"ada\"") && said.contains("of.ada.>: subscribe"), "{said}");
    let made = succeed(&token_command(&["create", "--sub", "bob"]));
    let said = succeed(&token_command(&["verify", made.trim()]));
    assert!(said.contains("takes it as \"bob\""), "{said}");
}

#[test]
fn what_is_wrong_with_a_mapping_is_told_with_its_place() {
    let secret = File::new(SECRET);
    let check = |auth: &str| {
        let file = File::new(&toml(&secret, auth));
        let output = tidewire("check").args(["--config", file.path()]).output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (is_right, said) = check(MAPPED);
    for part in [
        "for `hub` or `account`",
        "stands in their tokens as `user.name`",
        "`orders:write` in `scp` of a token allows orders.> (publish)",
    ] {
        assert!(is_right && said.contains(part), "{said}");
    }
    let scope = |rest: &str| format!("[[auth.scopes]]\nscope = \"a\"\n{rest}");
    for (auth, says) in [
        ("[auth.claims]\nsubject = \"\"\n".into(), "`auth.claims.subject` is \"\"; allowed: the path"),
        ("[auth.claims]\nsub = \"x\"\n".into(), "there is no `auth.claims.sub`; there are `subject`"),
        (scope("topics = [\"a\"]\n"), "`auth.scopes[0].to` is missing"),
        (scope("to = [\"publish\"]\n"), "`auth.scopes[0].topics` is missing"),
        (scope("topics = [\"a\"]\nto = [\"read\"]\n"), "`auth.scopes[0].to` is \"read\"; allowed: publish, "),
        (scope("topics = [\"a..b\"]\nto = [\"publish\"]\n"), "`auth.scopes[0].topics` is \"a..b\""),
        (scope("topics = [\"a\"]\nto = [\"publish\"]\n").replace("\"a\"\n", "\"a b\"\n"), "without blanks"),
    ] {
        let (is_right, said) = check(&auth);
        assert!(!is_right && said.contains(says), "{said}");
    }
}
