//! `tidewire token`, and commands that sign in with a token.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::command_line::{check_exit, check_fails, run, succeed};
use crate::support::file::File;
use crate::support::hub::{Hub, tidewire};
use crate::support::keyed::{KEYS, SECRET, by_secret, by_secret_of, claims, now};

/// A configuration with a secret, and one with a public key.
fn configurations() -> (File, [(File, Vec<String>); 2]) {
    let secret = File::new(SECRET);
    let by_secret = format!(
        "allow_no_origin = true\n[[auth.keys]]\nalgorithm = \"HS256\"\nfile = \"{}\"\naudience = \"hub\"\n",
        secret.path()
    );
    let by_key = format!(
        "allow_no_origin = true\n[[auth.keys]]\nalgorithm = \"ES256\"\nfile = \"{KEYS}/ec.public.pem\"\n\
         kid = \"k\"\nissuer = \"me\"\naudience = \"hub\"\nleeway_seconds = 0\n"
    );
    let private = vec!["--key".to_owned(), format!("{KEYS}/ec.private.pem")];
    (secret, [(File::new(&by_secret), Vec::new()), (File::new(&by_key), private)])
}

fn token(arguments: &[&str]) -> Command {
    let mut command = tidewire("token");
    command.args(arguments);
    command
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap()
}

#[test]
fn a_token_that_is_created_is_taken_and_allows_what_it_was_to() {
    let (_secret, configurations) = configurations();
    for (config, key) in &configurations {
        let mut create = token(&["create", "--config", config.path(), "--sub", "ada", "--expires", "10m"]);
        create
            .args(["--jti", "t7", "--allow", "a.{sub}.>,a.all=publish,subscribe", "--allow", "b=history"])
            .args(key);
        create.args([
            "--limit",
            "subscriptions_max=7",
            "--limit",
            "handles_max=9",
            "--info",
            r#"{"name": "Ada"}"#,
        ]);
        let signed = succeed(&output(&mut create)).trim().to_owned();
        let verified = succeed(&output(&mut token(&["verify", "--config", config.path(), &signed])));
        for says in [
            "\"ada\"",
            // A second may have passed.
            " m",
            "a.ada.>: publish, subscribe\n",
            "a.all: publish, subscribe\n",
            "b: history\n",
            "  subscriptions_max: 7, or what the hub's limit is if that is less\n",
            "  handles_max: 9, or",
            "  operators see: {\"name\":\"Ada\"}\n",
        ] {
            assert!(verified.contains(says), "{says}: {verified}");
        }
        let inspected = succeed(&output(token(&["inspect"]).env("TIDEWIRE_TOKEN", &signed)));
        assert!(inspected.contains("\"a.{sub}.>\"") && inspected.contains("\"aud\": \"hub\""), "{inspected}");
        assert!(inspected.contains("\"jti\": \"t7\""), "{inspected}");
        let hub = Hub::start(&["--config", config.path()], &[]);
        succeed(&run(&hub, &["pub", "a.ada.x", "{}", "--token", &signed], ""));
        let mut by_variable = tidewire("history");
        by_variable.args(["a.ada.*", "--json", "--url", &hub.url()]).env("TIDEWIRE_TOKEN", &signed);
        let history = succeed(&output(&mut by_variable));
        assert!(history.contains("\"sender\":\"ada\""), "{history}");
        check_exit(
            &run(&hub, &["pub", "a.bob.x", "{}", "--token", &signed], ""),
            4,
            "neither a rule nor a token allows this",
        );
        check_exit(&run(&hub, &["history", "a.ada.x"], ""), 4, "neither a rule nor a token allows this");
        check_exit(&run(&hub, &["history", "b", "--token", "nonsense"], ""), 4, "the token is no signed JWT");
    }
}

#[test]
fn a_command_ends_with_its_token_and_says_so() {
    let (_secret, [_, (config, key)]) = configurations();
    let mut create = token(&["create", "--config", config.path(), "--sub", "ada", "--expires", "2s"]);
    let signed = succeed(&output(create.args(["--allow", "a=subscribe"]).args(&key))).trim().to_owned();
    let hub = Hub::start(&["--config", config.path()], &[]);
    check_exit(&run(&hub, &["sub", "a", "--token", &signed], ""), 4, "the token has expired");
    let mut verify = token(&["verify", "--config", config.path(), "-"]);
    let mut child =
        verify.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{signed}").unwrap();
    check_exit(&child.wait_with_output().unwrap(), 4, "the token has expired");
}

#[test]
fn what_is_wrong_with_a_token_to_be_is_told_without_its_key() {
    let (_secret, [(by_secret, _), (by_key, _)]) = configurations();
    let create = |config: &File, more: &[&str]| {
        output(token(&["create", "--config", config.path(), "--sub", "ada"]).args(more))
    };
    let private = format!("{KEYS}/ec.private.pem");
    let rsa = format!("{KEYS}/rsa.private.pem");
    let long = json!({ "a": "x".repeat(1_024) }).to_string();
    for (made, says) in [
        (create(&by_key, &[]), "--key is missing"),
        (create(&by_key, &["--key", &rsa]), "holds no private key that ES256"),
        (create(&by_key, &["--key", "/no/such"]), "cannot read /no/such"),
        (create(&by_key, &["--kid", "x", "--key", &private]), "no key `x`; there are k"),
        (create(&by_secret, &["--allow", "a"]), "TOPICS=RIGHTS"),
        (create(&by_secret, &["--allow", "a=read"]), "there is no right `read`"),
        (create(&by_secret, &["--allow", "a..b=publish"]), "no topic or pattern"),
        (create(&by_secret, &["--expires", "soon"]), "such as 10m"),
        (create(&by_secret, &["--expires", "-5m"]), "allowed: a number from 1 on and s, m, h or d"),
        (create(&by_secret, &["--expires", "400000d"]), "a span is 365000 days at most"),
        (create(&by_secret, &["--jti", ""]), "--jti is empty"),
        (create(&by_secret, &["--jti", &"x".repeat(1_025)]), "the token's `jti` is longer than 1024 bytes"),
        (create(&by_secret, &["--limit", "handles_max"]), "allowed: NAME=N"),
        (create(&by_secret, &["--limit", "handles_max=0"]), "a whole number, 1 to 9007199254740991"),
        (
            create(&by_secret, &["--limit", "node_bytes_max=1"]),
            "no token sets a limit `node_bytes_max`; there are",
        ),
        (create(&by_secret, &["--info", "Ada"]), "--info is a JSON object"),
        (create(&by_secret, &["--info", &long]), "`tidewire.info` says more than the hub reads"),
        (create(&by_secret, &["--algorithm", "HS256", "--key", &private]), "leave out --algorithm"),
        (create(&by_secret, &["--kid", "x"]), "its key has no `kid`"),
    ] {
        check_fails(&made, says);
    }
    let empty = File::new("# Nothing.\n");
    for (made, says) in [
        (create(&empty, &[]), "has no [[auth.keys]]"),
        (create(&empty, &["--algorithm", "none", "--key", &private]), "none of HS256"),
        (create(&empty, &["--algorithm", "HS256", "--key", &private]), "is no secret"),
        (create(&empty, &["--algorithm", "HS256", "--key", "/dev/zero"]), "more than 65536 bytes"),
    ] {
        check_fails(&made, says);
    }
    let old = File::new("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n");
    check_fails(&create(&by_key, &["--key", old.path()]), "openssl pkcs8 -topk8");
    check_fails(&output(&mut token(&["verify", "--config", empty.path(), "x"])), "would take no token");
    check_fails(&output(&mut token(&["inspect", "CANARY.x.y"])), "its header is no JSON");
    for command in
        [&["inspect", "CANARY"][..], &["verify", "--config", by_key.path(), "CANARY.CANARY.CANARY"]]
    {
        let refused = output(&mut token(command));
        assert!(!refused.status.success() && !format!("{refused:?}").contains("CANARY"), "{refused:?}");
    }
}

#[test]
fn a_key_of_another_name_is_found_by_what_it_signs() {
    let (ec, p384) = (format!("{KEYS}/ec.private.pem"), format!("{KEYS}/p384.private.pem"));
    let key = |kid: &str, algorithm: &str, file: &str| {
        format!("[[auth.keys]]\n{kid}algorithm = \"{algorithm}\"\nfile = \"{KEYS}/{file}.public.pem\"\n")
    };
    let new = key("kid = \"new\"\n", "ES256", "ec");
    let of = |first: String| File::new(&format!("{first}{new}"));
    let (named, unnamed) = (of(key("kid = \"old\"\n", "ES384", "p384")), of(key("", "ES384", "p384")));
    let create = |config: &File, more: &[&str]| {
        output(token(&["create", "--config", config.path(), "--sub", "ada"]).args(more))
    };
    for config in [&named, &unnamed] {
        check_fails(&create(config, &["--key", &ec]), "that is the key `new`: add --kid new");
        succeed(&create(config, &["--key", &ec, "--kid", "new"]));
    }
    check_fails(&create(&named, &["--key", &ec, "--kid", "old"]), "that is the key `new`: add --kid new");
    check_fails(&create(&unnamed, &["--key", &p384, "--kid", "new"]), "leave out --kid");
}

#[test]
fn the_secret_of_a_jwk_is_what_it_holds_and_not_its_text() {
    let jwk = File::new(&format!("{{\"kty\":\"oct\",\"k\":\"{}\"}}", "QUJD".repeat(12)));
    let config = File::new(&format!("[[auth.keys]]\nalgorithm = \"HS256\"\nfile = \"{}\"\n", jwk.path()));
    for key in [&["--config", config.path()][..], &["--algorithm", "HS256", "--key", jwk.path()]] {
        let signed = succeed(&output(token(&["create", "--sub", "ada"]).args(key))).trim().to_owned();
        let verify = output(&mut token(&["verify", "--config", config.path(), &signed]));
        assert!(succeed(&verify).contains("\"ada\""), "{key:?}");
    }
}

#[test]
fn no_token_is_printed_that_no_hub_takes() {
    let (_secret, [(by_secret, _), (by_key, _)]) = configurations();
    let (empty, other) = (File::new("# Nothing.\n"), File::new(&"x".repeat(40)));
    let (private, rsa) = (format!("{KEYS}/ec.private.pem"), format!("{KEYS}/rsa.private.pem"));
    let long = "x".repeat(256);
    let many: Vec<String> = (0..60).map(|at| format!("--allow={}.{at}=publish", "a".repeat(150))).collect();
    for key in [
        &["--config", by_secret.path()][..],
        &["--config", by_key.path(), "--key", &private],
        &["--config", empty.path(), "--algorithm", "HS256", "--key", other.path()],
        &["--config", empty.path(), "--algorithm", "RS256", "--key", &rsa],
    ] {
        for (subject, more, says) in [
            ("", &[][..], "no `sub`"),
            ("a\nb", &[], "a control character"),
            (&long, &[], "longer than 255 bytes"),
            ("a.b", &["--allow=x.{sub}=publish".to_owned()], "one of `.`, `*`"),
            ("ada", &many, "8192 bytes"),
        ] {
            let made = output(token(&["create", "--sub", subject]).args(key).args(more));
            assert!(made.stdout.is_empty(), "{made:?}");
            check_fails(&made, says);
        }
    }
    let create = |config: &File, more: &[&str]| {
        output(token(&["create", "--config", config.path(), "--sub", "ada"]).args(more))
    };
    check_fails(&create(&by_secret, &["--key", other.path()]), "does not belong to the key");
    check_fails(&create(&by_secret, &["--audience", "other"]), "`aud`");
    check_fails(&create(&by_key, &["--key", &private, "--issuer", "other"]), "`iss`");
}

#[test]
fn a_token_that_is_empty_is_a_slip_and_no_wish_to_be_anonymous() {
    let hub = Hub::start(&["--dev"], &[]);
    for command in [&["pub", "a", "{}"][..], &["sub", "a"], &["history", "a"]] {
        check_exit(&run(&hub, &[command, &["--token", " "]].concat(), ""), 2, "TIDEWIRE_TOKEN is empty");
    }
    for command in ["inspect", "verify"] {
        check_exit(&output(token(&[command]).env("TIDEWIRE_TOKEN", "")), 2, "TIDEWIRE_TOKEN, is empty");
    }
}

#[test]
fn what_a_token_says_and_nobody_may_mean_is_told() {
    let (_secret, [(config, _), _]) = configurations();
    let mut create = token(&["create", "--config", config.path(), "--sub", "ada"]);
    let made = output(create.args(["--allow", "a.{user}.{sub}=publish"]));
    let says = "`a.{user}.{sub}` only `{sub}` stands for something";
    assert!(String::from_utf8_lossy(&made.stderr).contains(says), "{made:?}");
    let signed = succeed(&made).trim().to_owned();
    let verified = output(&mut token(&["verify", "--config", config.path(), &signed]));
    let told = String::from_utf8_lossy(&verified.stderr);
    assert!(told.contains(says) && !told.contains("`iat`"), "{told}");
    let mut millis = claims("ada", json!([]));
    (millis["exp"], millis["aud"]) = (json!((now() + 600) * 1_000), json!("hub"));
    let millis = by_secret_of(None, &millis);
    for command in [&["verify", "--config", config.path(), &millis][..], &["inspect", &millis]] {
        let said = output(&mut token(command));
        let told = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success() && told.contains("`exp` counts seconds"), "{told}");
    }
    let mut late = claims("ada", json!([]));
    late["exp"] = json!(now() - 100);
    late["aud"] = json!("hub");
    let late = by_secret_of(None, &late);
    let lenient =
        File::new(&format!("{}leeway_seconds = 300\n", std::fs::read_to_string(config.path()).unwrap()));
    let verified = output(&mut token(&["verify", "--config", lenient.path(), &late]));
    assert!(String::from_utf8_lossy(&verified.stderr).contains("warning: it has no `iat`"), "{verified:?}");
    let verified = succeed(&verified);
    assert!(verified.contains("for another 3 m") && verified.contains("it has expired"), "{verified}");
}

#[test]
fn inspecting_tells_times_and_names_rights_that_no_hub_has() {
    let mut claims = claims("ada", json!([{"topics": ["a"], "to": ["manage", "read"]}]));
    claims["exp"] = json!(now() + 86_400 * 3 + 5);
    claims["nbf"] = json!(1);
    claims["tidewire"]["limits"] = json!({"handles_max": 1, "topics_max": 1});
    claims["tidewire"]["info"] = json!({"name": "A\u{9b}2J\u{202e}da \u{fc}"});
    let said = output(&mut token(&["inspect", &by_secret(&claims)]));
    // What nobody has checked does nothing to a terminal.
    assert!(String::from_utf8_lossy(&said.stdout).contains(r"A\u009b2J\u202eda ü"), "{said:?}");
    let told = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && told.contains("there is no right \"read\""), "{told}");
    assert!(told.contains("it expires in 3 d 0 h") && !told.contains("\"manage\""), "{told}");
    assert!(told.contains(" d ") && told.contains(" h ago"), "{told}");
    let secret = File::new(SECRET);
    let config = File::new(&format!(
        "allow_no_origin = true\n[[auth.keys]]\nalgorithm = \"HS256\"\nfile = \"{}\"\nkid = \"hs\"\n",
        secret.path()
    ));
    let mut taken = claims.clone();
    taken.as_object_mut().unwrap().remove("aud");
    taken["tidewire"] = json!({"allow": [{"topics": ["chat/#"], "to": ["manage", "read"]}]});
    let verified = output(&mut token(&["verify", "--config", config.path(), &by_secret(&taken)]));
    let warned = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && warned.contains("did you mean `chat.>`?"), "{warned}");
    assert!(warned.contains("there is no right \"read\"") && !warned.contains("manage"), "{warned}");
    assert!(told.contains("there is no limit \"topics_max\"") && !told.contains("\"handles_max\""), "{told}");
}

/// Whether Ada's token is brought, a topic, and what decides to publish, to subscribe and to read history.
const EXPLAINED: [(bool, &str, [&str; 3]); 8] = [
    (
        true,
        "a.b",
        ["yes: NO_RULE the token allows it with `a.>`", "yes: SECOND allows it", "yes: SECOND allows it"],
    ),
    (false, "a.b", ["no: SECOND leaves it to tokens, and there is no token", "yes: SECOND ", "yes: SECOND "]),
    (
        true,
        "a.secret",
        ["no: FIRST denies it, whatever a token says", "no: FIRST denies", "no: FIRST denies"],
    ),
    (
        true,
        "b.ada",
        [
            "no: NO_RULE the token does not allow it",
            "no: NO_RULE the token does",
            "yes: NO_RULE the token allows it with `b.ada`",
        ],
    ),
    (true, "of.ada.1", ["yes: THIRD allows it", "yes: THIRD allows it", "yes: THIRD allows it"]),
    (
        true,
        "of.*.1",
        [
            "no: a pattern cannot",
            "no: NO_RULE the token does not allow it; of rules and tokens",
            "no: NO_RULE",
        ],
    ),
    (
        true,
        "a.*",
        [
            "no: a pattern cannot be published to",
            "no: FIRST denies it or a part of it",
            "no: FIRST denies it or",
        ],
    ),
    (true, "$x", ["no: names that begin with `$` are the hub's own", "no: NO_RULE", "no: NO_RULE"]),
];

#[test]
fn what_decides_a_right_is_explained_with_its_place() {
    let secret = File::new(SECRET);
    let file = File::new(&format!(
        "[[access]]\npattern = \"a.secret\"\n[[access]]\npattern = \"a.>\"\nsubscribe = true\nanonymous = true\n\
         [[access]]\npattern = \"of.{{sub}}.>\"\npublish = true\nsubscribe = true\n\
         [[auth.keys]]\nalgorithm = \"HS256\"\nfile = \"{}\"\naudience = \"hub\"\n",
        secret.path()
    ));
    let allow = json!([{"topics": ["b.{sub}"], "to": ["history"]}, {"topics": ["a.>"], "to": ["publish"]}]);
    let mut claims = claims("ada", allow);
    claims["aud"] = json!("hub");
    let token = by_secret_of(None, &claims);
    let explain = |token: Option<&str>, topic: &str| {
        let mut command = tidewire("access");
        command.args(["explain", "--config", file.path(), topic]);
        command.envs(token.map(|token| ("TIDEWIRE_TOKEN", token)));
        output(&mut command)
    };
    let names = [
        ("FIRST", "the rule of line 2: `access[0].pattern` is \"a.secret\""),
        ("SECOND", "the rule of line 4: `access[1].pattern` is \"a.>\""),
        ("THIRD", "the rule of line 8: `access[2].pattern` is \"of.{sub}.>\""),
        ("NO_RULE", "no rule decides it, and"),
    ];
    for (is_ada, topic, decisions) in EXPLAINED {
        let said = succeed(&explain(is_ada.then_some(&token), topic));
        let who = if is_ada { "\"ada\", who has signed in by this token:" } else { "whoever has no token:" };
        assert!(said.starts_with(who), "{said}");
        for (right, decision) in ["publish", "subscribe", "history"].iter().zip(decisions) {
            let decision = names.iter().fold(decision.to_owned(), |text, (name, is)| text.replace(name, is));
            assert!(said.contains(&format!("\n  {right}: {decision}")), "{right}: {decision}: {said}");
        }
    }
    claims["sub"] = json!("a.b");
    claims["tidewire"] = json!({});
    let dotted = succeed(&explain(Some(&by_secret_of(None, &claims)), "of.a.b"));
    let over = "the rule of `of.{sub}.>` passes \"a.b\" over: that is no single token of a name\n";
    assert!(dotted.ends_with(over), "{dotted}");
    check_exit(&explain(Some("CANARY.x.y"), "a"), 4, "the token is no signed JWT");
    check_exit(&explain(Some(" "), "a"), 2, "TIDEWIRE_TOKEN, is empty");
    check_exit(&explain(None, "a..b"), 2, "is no topic or pattern");
    assert!(!format!("{:?}", explain(Some("CANARY.CANARY.CANARY"), "a")).contains("CANARY"));
}
