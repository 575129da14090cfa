//! Tokens on the real process: which are taken, what happens when they end, and that none is ever told.

use std::sync::atomic::{AtomicU64, Ordering};

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::file::File;
use crate::support::hub::{Hub, tidewire};
use crate::support::keyed::{KEYS, Keyed, bearer, by_secret, claims, hello, now, private, refusal, sign};
use crate::support::neighbour::Neighbour;
use crate::support::socket::{RawSocket, Received, client_frame, handshake};

#[test]
fn tokens_by_every_sort_of_key_are_taken_and_say_who_is_there() {
    let keyed = Keyed::start("");
    let claims = claims("ada", json!([{"topics": ["a.{sub}"], "to": ["publish", "subscribe"]}]));
    let mut without = claims.clone();
    without.as_object_mut().unwrap().remove("aud");
    let (rsa, ec) = (private("rsa"), private("ec"));
    let tokens = [
        by_secret(&without),
        sign(Algorithm::RS256, Some("rs"), &EncodingKey::from_rsa_pem(&rsa).unwrap(), &claims),
        sign(Algorithm::PS384, Some("ps"), &EncodingKey::from_rsa_pem(&rsa).unwrap(), &claims),
        sign(Algorithm::ES256, Some("es"), &EncodingKey::from_ec_pem(&ec).unwrap(), &claims),
        sign(Algorithm::EdDSA, Some("ed"), &EncodingKey::from_ed_pem(&private("ed")).unwrap(), &claims),
    ];
    for (producer, token) in (1..).zip(&tokens) {
        let mut socket = hello(keyed.hub.address, producer, token);
        let welcome = socket.hear();
        assert_eq!(welcome["subject"], "ada", "{welcome}");
        let left = welcome["expires_ms"].as_u64().unwrap();
        assert!((1..=600_000).contains(&left), "{left}");
        socket.say(json!({"type": "open", "handle": 1, "topic": "a.ada", "lowest": 1}));
        socket.hear_of("opened");
    }
}

#[test]
fn a_token_that_fails_any_check_is_refused_with_its_name() {
    let keyed = Keyed::start("");
    let to = keyed.hub.address;
    let ec = EncodingKey::from_ec_pem(&private("ec")).unwrap();
    let by_ec = |claims: &Value| sign(Algorithm::ES256, Some("es"), &ec, claims);
    let sound = claims("ada", json!([]));
    let with = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut claims = sound.clone();
        change(claims.as_object_mut().unwrap());
        by_ec(&claims)
    };
    let set = |name: &'static str, value: Value| {
        with(&move |claims| {
            claims.insert(name.into(), value.clone());
        })
    };
    let without = |name: &'static str| {
        with(&move |claims| {
            claims.remove(name);
        })
    };
    let allow = |topics: Value| set("tidewire", json!({"allow": [{"topics": topics, "to": ["subscribe"]}]}));
    let many: Vec<String> = (0..65).map(|n| format!("a.{n}")).collect();
    for (token, says) in [
        (set("exp", json!(now() - 1)), "has expired"),
        (set("exp", json!(-5)), "`exp` is missing or is not"),
        (set("exp", json!("soon")), "`exp` is missing or is not"),
        (without("exp"), "`exp` is missing or is not"),
        (set("nbf", json!(now() + 60)), "not valid yet"),
        (set("nbf", json!("later")), "`nbf` is missing or is not"),
        (set("aud", json!("somebody")), "`aud`"),
        (set("aud", json!(["somebody", "else"])), "`aud`"),
        (without("aud"), "`aud`"),
        (set("iss", json!("https://evil.example.com")), "`iss`"),
        (
            set("iss", json!(["https://evil.example.com", "https://issuer.example.com"])),
            "`iss` is missing or is not",
        ),
        (without("iss"), "`iss`"),
        (without("sub"), "has no `sub`"),
        (set("sub", json!("")), "has no `sub`, or an empty one"),
        (set("sub", json!("x".repeat(256))), "`sub` is longer than 255 bytes"),
        (set("sub", json!("a\nb")), "`sub` has a control character"),
        (set("tidewire", json!({"allow": "all"})), "`tidewire.allow` is missing or is not"),
        (allow(json!(["a", "a..b"])), "`tidewire.allow[0].topics[1]` is missing or is not"),
        (allow(json!(many)), "`tidewire.allow` says more than the hub reads"),
        (set("padding", json!("x".repeat(9_000))), "longer than 8192 bytes"),
        (sign(Algorithm::ES256, Some("no such key"), &ec, &sound), "names no key"),
        (sign(Algorithm::ES256, None, &ec, &sound), "names no key"),
        (sign(Algorithm::ES256, Some("rs"), &ec, &sound), "another algorithm"),
        ("nonsense".into(), "no signed JWT"),
        ("a.b.c".into(), "no signed JWT"),
        ("..".into(), "no signed JWT"),
        (format!("{}.", by_ec(&sound)), "no signed JWT"),
    ] {
        assert!(refusal(to, &token).contains(says), "{says}: {}", refusal(to, &token));
    }
    // Without an audience of its key's, one that names any is for somebody else.
    assert!(refusal(to, &by_secret(&sound)).contains("`aud`"));
    let counted = |check: &str| keyed.hub.metric(&format!("tidewire_bad_tokens_total{{check=\"{check}\"}}"));
    assert_eq!(["aud", "sub", "nbf", "allow", "length"].map(counted), [4, 4, 1, 1, 1]);
    assert_eq!(keyed.hub.metric("tidewire_tokens_waiting"), 0);
}

#[test]
fn a_claim_of_the_wrong_sort_is_refused_whatever_its_key_asks_for() {
    let keyed = Keyed::start("");
    let to = keyed.hub.address;
    let sound = claims("ada", json!([]));
    for wrong in [json!(5), json!({}), json!(null), json!(true), json!([1]), json!([["tidewire"]])] {
        for name in ["aud", "iss", "nbf", "sub", "exp", "tidewire"] {
            let mut claims = sound.clone();
            claims.as_object_mut().unwrap().remove("aud");
            claims[name] = wrong.clone();
            let is_right = wrong == json!(5) && matches!(name, "nbf" | "exp")
                || wrong == json!({}) && name == "tidewire";
            if !is_right {
                let told = refusal(to, &by_secret(&claims));
                let says = format!("the token's `{name}` is missing or is not what it may be");
                assert_eq!(told, says, "{claims}");
                // Whoever cannot sign is told nothing of it.
                let forged = EncodingKey::from_secret(b"another secret of more than thirty-two bytes");
                let forged = sign(Algorithm::HS256, Some("hs"), &forged, &claims);
                assert_eq!(refusal(to, &forged), "the token's signature does not fit its key");
            }
        }
    }
}

#[test]
fn the_part_of_a_claim_that_is_wrong_is_named() {
    let keyed = Keyed::start("");
    let sound = claims("ada", json!([]));
    for (name, value, says) in [
        ("jti", json!(["a"]), "jti"),
        ("iat", json!("now"), "iat"),
        ("iat", json!(now() + 600), "iat"),
        ("tidewire", json!({"allow": null}), "tidewire.allow"),
        ("tidewire", json!({"allow": [{"topics": ["a"], "to": []}, 5]}), "tidewire.allow[1]"),
        ("tidewire", json!({"allow": [{"topics": ["a"]}]}), "tidewire.allow[0].to"),
        ("tidewire", json!({"allow": [{"topics": "a", "to": []}]}), "tidewire.allow[0].topics"),
        ("tidewire", json!({"allow": [{"topics": ["a"], "to": ["publish", 1]}]}), "tidewire.allow[0].to[1]"),
        ("tidewire", json!({"allow": [{"topics": ["a", "."], "to": []}]}), "tidewire.allow[0].topics[1]"),
    ] {
        let mut claims = sound.clone();
        claims.as_object_mut().unwrap().remove("aud");
        claims[name] = value;
        let told = refusal(keyed.hub.address, &by_secret(&claims));
        assert_eq!(told, format!("the token's `{says}` is missing or is not what it may be"), "{claims}");
    }
}

#[test]
fn whoever_has_only_what_is_public_makes_no_token() {
    let keyed = Keyed::start("");
    let to = keyed.hub.address;
    let sound = claims("ada", json!([{"topics": [">"], "to": ["publish"]}]));
    let base64 = |value: &Value| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string())
    };
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        for kid in ["rs", "hs", "es", "ed"] {
            let head = base64(&json!({"alg": alg, "typ": "JWT", "kid": kid}));
            let unsigned = format!("{head}.{}", base64(&sound));
            assert!(refusal(to, &format!("{unsigned}.")).contains("algorithm"), "{alg}");
            assert!(refusal(to, &unsigned).contains("no signed JWT"), "{alg}");
        }
    }
    // What anybody may read, taken for a secret.
    for (kid, file) in [("rs", "rsa"), ("ps", "rsa"), ("es", "ec"), ("ed", "ed")] {
        let public = std::fs::read(format!("{KEYS}/{file}.public.pem")).unwrap();
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let token = sign(algorithm, Some(kid), &EncodingKey::from_secret(&public), &sound);
            assert!(refusal(to, &token).contains("another algorithm"), "{kid} {algorithm:?}");
        }
    }
    // Another algorithm of the same family, and another key of the same algorithm.
    let rsa = EncodingKey::from_rsa_pem(&private("rsa")).unwrap();
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        assert!(refusal(to, &sign(algorithm, Some("rs"), &rsa, &sound)).contains("another algorithm"));
    }
    let token = sign(Algorithm::HS256, Some("hs"), &EncodingKey::from_secret(&[b'x'; 32]), &sound);
    assert!(refusal(to, &token).contains("signature"));
    // A key that a token brings along counts for nothing.
    let header =
        json!({"alg": "HS256", "kid": "hs", "jwk": {"kty": "oct", "k": "eHg"}, "jku": "http://127.0.0.1:1/"});
    let (_, rest) = token.split_once('.').unwrap();
    assert!(refusal(to, &format!("{}.{rest}", base64(&header))).contains("signature"));
    let header = json!({"alg": "HS256", "kid": "hs", "crit": ["exp"]});
    assert!(refusal(to, &format!("{}.{rest}", base64(&header))).contains("no signed JWT"));
}

#[test]
fn a_token_of_which_anything_is_changed_is_refused() {
    let keyed = Keyed::start("");
    let token = sign(
        Algorithm::ES256,
        Some("es"),
        &EncodingKey::from_ec_pem(&private("ec")).unwrap(),
        &claims("ada", json!([])),
    );
    drop(bearer(keyed.hub.address, 1, &token));
    for at in (0..token.len()).step_by(5) {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        refusal(keyed.hub.address, std::str::from_utf8(&bytes).unwrap());
    }
}

#[test]
fn a_connection_ends_with_its_token_unless_it_brings_another_in_time() {
    let keyed = Keyed::start("");
    let key = EncodingKey::from_ec_pem(&private("ec")).unwrap();
    let token = |subject: &str, seconds: u64| {
        let mut claims = claims(subject, json!([{"topics": ["a.{sub}"], "to": ["publish", "subscribe"]}]));
        claims["exp"] = json!(now() + seconds);
        sign(Algorithm::ES256, Some("es"), &key, &claims)
    };
    let mut ends = bearer(keyed.hub.address, 1, &token("ada", 3));
    let mut stays = bearer(keyed.hub.address, 2, &token("bob", 3));
    stays.say(json!({"type": "sign_in", "request": 1, "token": token("ada", 600)}));
    let refused = stays.hear();
    assert_eq!((&refused["type"], &refused["code"]), (&json!("failed"), &json!("identity_mismatch")));
    stays.say(json!({"type": "sign_in", "request": 2, "token": token("bob", 600)}));
    let signed_in = stays.hear_of("signed_in");
    assert_eq!((&signed_in["request"], &signed_in["subject"]), (&json!(2), &json!("bob")));
    assert!(signed_in["expires_ms"].as_u64().unwrap() > 500_000);
    let goodbye = ends.hear_of("goodbye");
    assert_eq!(
        (&goodbye["code"], &goodbye["message"]),
        (&json!("bad_token"), &json!("the token has expired"))
    );
    assert_eq!(ends.receive(), Received::Close(4004));
    stays.say(json!({"type": "open", "handle": 1, "topic": "a.bob", "lowest": 1}));
    stays.hear_of("opened");
    stays.say(json!({"type": "publish", "handle": 1, "seq": 1, "data": 1}));
    stays.hear_of("acked");
}

#[test]
fn a_producer_is_its_subjects_and_messages_bear_whose_they_are() {
    let keyed = Keyed::start("");
    let token = |subject: &str| {
        let mut claims = claims(subject, json!([{"topics": ["a"], "to": ["publish", "subscribe"]}]));
        claims.as_object_mut().unwrap().remove("aud");
        by_secret(&claims)
    };
    let mut ada = bearer(keyed.hub.address, 1, &token("ada"));
    let mut bob = bearer(keyed.hub.address, 2, &token("bob"));
    bob.say(json!({"type": "subscribe", "request": 1, "name": "a"}));
    bob.hear_of("subscribed");
    ada.say(json!({"type": "open", "handle": 1, "topic": "a", "lowest": 1}));
    ada.hear_of("opened");
    ada.say(json!({"type": "publish", "handle": 1, "seq": 1, "data": 1}));
    assert_eq!(bob.hear_of("block")["messages"][0]["sender"], "ada");
    for token in [token("bob"), String::new()] {
        let mut thief = hello(keyed.hub.address, 1, &token);
        assert_eq!(thief.hear()["code"], "identity_mismatch");
    }
}

#[test]
fn whoever_brings_bad_tokens_leaves_nothing_behind_and_a_neighbour_goes_on() {
    let keyed = Keyed::start(
        "[[access]]\npattern = \"neighbour\"\npublish = true\nsubscribe = true\nanonymous = true\n",
    );
    let hub = &keyed.hub;
    let neighbour = Neighbour::of(hub);
    let other = EncodingKey::from_ec_pem(&private("ec")).unwrap();
    // As costly as a good one until the very end: it bears the signature of another.
    let [bad, good] =
        ["ada", "bob"].map(|sub| sign(Algorithm::ES256, Some("es"), &other, &claims(sub, json!([]))));
    let (head, signature) = (bad.rsplit_once('.').unwrap().0, good.rsplit_once('.').unwrap().1);
    let bad = format!("{head}.{signature}");
    let heard = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (bad, heard) = (&bad, &heard);
            scope.spawn(move || {
                for round in 0..150 {
                    let mut socket = RawSocket::connect_from([127, 0, 1, 1 + worker].into(), hub.address);
                    if !socket.ask(&handshake("")).starts_with("HTTP/1.1 101 ") {
                        continue;
                    }
                    let hello = json!({"type": "hello", "token": bad}).to_string();
                    socket.send(&client_frame(0x81, hello.as_bytes()));
                    // Some wait for the answer, some leave.
                    if round % 2 == 0 {
                        assert_eq!(socket.hear()["code"], "bad_token");
                        heard.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let mut again = bearer(hub.address, 9, "");
    again.say(json!({"type": "heartbeat", "request": 1}));
    again.hear_of("heartbeat");
    eventually("all have gone", || hub.metric("tidewire_connections") == 2);
    eventually("all were checked, or dropped", || hub.metric("tidewire_tokens_waiting") == 0);
    for kind in ["reading", "tokens", "half_received"] {
        eventually(kind, || hub.metric(&format!("tidewire_held_bytes{{kind=\"{kind}\"}}")) == 0);
    }
    let failed = hub.metric("tidewire_bad_tokens_total{check=\"signature\"}");
    assert!((heard.into_inner()..=600).contains(&failed), "{failed}");
    neighbour.went_on();
}

#[test]
fn no_token_and_no_secret_is_ever_told() {
    let canary = "CANARY-in-a-secret-of-more-than-thirty-two-bytes";
    let secret = File::new(canary);
    let file = File::new(&format!(
        "allow_no_origin = true\n[[auth.keys]]\nalgorithm = \"HS256\"\nfile = \"{}\"\n",
        secret.path()
    ));
    let hub = Hub::start(&["--config", file.path()], &[("TIDEWIRE_TOKEN", "CANARY.in.environment")]);
    let key = EncodingKey::from_secret(canary.as_bytes());
    let mut claims = claims("CANARYsubject", json!([{"topics": ["a"], "to": ["publish"]}]));
    claims.as_object_mut().unwrap().remove("aud");
    let good = sign(Algorithm::HS256, None, &key, &claims);
    claims["exp"] = json!(1);
    let expired = sign(Algorithm::HS256, None, &key, &claims);
    let parts: Vec<String> =
        [&good, &expired].iter().flat_map(|token| token.split('.').map(str::to_owned)).collect();
    let mut told = String::new();
    let mut socket = bearer(hub.address, 1, &good);
    socket.say(json!({"type": "sign_in", "request": 1, "token": expired}));
    told.push_str(&socket.hear().to_string());
    for token in [expired.as_str(), "CANARY", "CANARY.CANARY.CANARY"] {
        told.push_str(&refusal(hub.address, token));
    }
    // Twice the time after which the hub tells sums is too long: it tells them when it stops, too.
    told.push_str(&hub.get("/metrics"));
    let mut hub = hub;
    hub.signal("TERM");
    hub.wait();
    hub.says("failed the check `format` (");
    told.push_str(&hub.errors());
    assert!(told.contains("bad_token"), "{told}");
    assert!(!told.contains("CANARY"), "{told}");
    assert!(parts.iter().all(|part| part.len() < 30 || !told.contains(part)), "{told}");
    for inline in [
        format!("[[auth.keys]]\nalgorithm = \"HS256\"\nfile = \"{canary}\"\n"),
        format!("[[auth.keys]]\nalgorithm = \"HS256\"\nsecret = \"{canary}\"\n"),
        format!("[auth]\nkeys = \"{canary}\"\n"),
        format!("auth = \"{canary}\"\n"),
    ] {
        let wrong = File::new(&inline);
        let output = tidewire("check").args(["--config", wrong.path()]).output().unwrap();
        let said = format!("{output:?}");
        assert!(!output.status.success() && said.contains("auth"), "{said}");
        assert!(!said.contains("CANARY"), "{said}");
    }
}
