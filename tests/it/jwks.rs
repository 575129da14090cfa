//! Keys that are fetched: from a server of the test's own that goes down, is slow, sends what is no set of keys, and changes them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::file::File;
use crate::support::hub::{Hub, tidewire};
use crate::support::keyed::{KEYS, bearer, claims, hello, private, refusal, sign};
use crate::support::socket::{RawSocket, Received};

/// What a server answers.
#[derive(Clone)]
enum Says {
    /// This, with this status.
    Answer(u16, Vec<u8>),
    /// The same, in a while.
    Late(Vec<u8>),
    /// That what is wanted is at another address.
    Elsewhere(String),
    /// A byte of an answer, and no more.
    Nothing,
    /// It hangs up.
    Down,
}

/// A server of keys.
struct Issuer {
    address: SocketAddr,
    state: Arc<Mutex<(Says, usize)>>,
}

impl Issuer {
    fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new((says, 0)));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let says = {
                    let mut state = shared.lock().unwrap();
                    state.1 += 1;
                    state.0.clone()
                };
                thread::spawn(move || answer(stream, says));
            }
        });
        Self { address, state }
    }

    fn says(&self, says: Says) {
        self.state.lock().unwrap().0 = says;
    }

    /// How often it was asked.
    fn asked(&self) -> usize {
        self.state.lock().unwrap().1
    }
}

fn answer(mut stream: TcpStream, says: Says) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
        head.push(byte[0]);
    }
    match says {
        Says::Answer(status, body) => {
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
        Says::Late(body) => {
            thread::sleep(Duration::from_secs(1));
            let _ = write!(stream, "HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&body);
        }
        Says::Elsewhere(to) => {
            let _ = write!(stream, "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
        }
        Says::Nothing => {
            let _ = stream.write_all(b"H");
            // Until the hub gives up.
            let _ = stream.read(&mut byte);
        }
        Says::Down => {}
    }
}

/// Keys of the tests as an issuer publishes them, by kid and file.
fn set(keys: &[(&str, &str)]) -> Says {
    let jwk = |(kid, file): &(&str, &str)| {
        let pem = std::fs::read_to_string(format!("{KEYS}/{file}.public.pem")).unwrap();
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(der).unwrap();
        let part = |from_end: usize| URL_SAFE_NO_PAD.encode(&der[der.len() - from_end..][..32]);
        match *file {
            "ec" => {
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": part(64), "y": part(32), "use": "sig"})
            }
            _ => json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": part(32), "alg": "EdDSA"}),
        }
    };
    let mut keys: Vec<Value> = keys.iter().map(jwk).collect();
    keys.push(json!({"kty": "oct", "kid": "secret", "k": "QUJD".repeat(12)}));
    Says::Answer(200, json!({ "keys": keys }).to_string().into_bytes())
}

fn token(kid: &str) -> String {
    let claims = claims("ada", json!([{"topics": ["a"], "to": ["subscribe"]}]));
    sign(Algorithm::ES256, Some(kid), &EncodingKey::from_ec_pem(&private("ec")).unwrap(), &claims)
}

fn toml(address: SocketAddr, refresh_seconds: u64) -> String {
    format!(
        "allow_no_origin = true\n[[auth.jwks]]\nurl = \"http://{address}/keys\"\nissuer = \"https://issuer.example.com\"\n\
         audience = \"tidewire\"\nrefresh_seconds = {refresh_seconds}\n"
    )
}

fn start(issuer: &Issuer, refresh_seconds: u64) -> (Hub, File) {
    let file = File::new(&toml(issuer.address, refresh_seconds));
    (Hub::start(&["--config", file.path()], &[]), file)
}

#[track_caller]
fn is_there(socket: &mut RawSocket) {
    socket.say(json!({"type": "heartbeat", "request": 1}));
    socket.hear_of("heartbeat");
}

#[test]
fn tokens_are_taken_by_keys_that_are_fetched_and_those_of_new_keys_wait_for_them() {
    let issuer = Issuer::start(set(&[("one", "ec"), ("ed", "ed")]));
    let (hub, _file) = start(&issuer, 86_400);
    let mut first = bearer(hub.address, 1, &token("one"));
    hub.says("these are passed over: \"secret\" (a secret, which nobody publishes)");
    hub.says("new keys for tokens: `one` (ES256), `ed` (EdDSA)");
    // However many name a key that is not there, it is not asked for again and again.
    for _ in 0..20 {
        assert!(refusal(hub.address, &token("two")).contains("`kid`"));
    }
    assert!(issuer.asked() <= 2, "{}", issuer.asked());
    // A secret that was published is none.
    let secret = EncodingKey::from_secret("ABC".repeat(12).as_bytes());
    let forged = sign(Algorithm::HS256, Some("secret"), &secret, &claims("ada", json!([])));
    assert!(refusal(hub.address, &forged).contains("`kid`"));
    // The key changes, and nobody told the hub.
    issuer.says(set(&[("two", "ec"), ("ed", "ed")]));
    eventually("the new key is there", || hello(hub.address, 2, &token("two")).hear()["type"] == "welcome");
    assert_eq!(
        first.hear_of("goodbye")["message"],
        "the hub has no longer the key that the token is signed with"
    );
    assert_eq!(first.receive(), Received::Close(4004));
    assert!(issuer.asked() <= 4, "{}", issuer.asked());
}

#[test]
fn the_first_token_waits_for_the_first_keys() {
    let issuer = Issuer::start(Says::Nothing);
    let (hub, _file) = start(&issuer, 86_400);
    let mut early = hello(hub.address, 1, &token("one"));
    eventually("it was asked for keys", || issuer.asked() == 1);
    eventually("the token waits", || hub.metric("tidewire_tokens_waiting") == 1);
    // Others do not.
    let nobody = RawSocket::signed_in(hub.address);
    drop(nobody);
    // The source does not answer, so nobody knows: it is told to come back.
    let goodbye = early.hear();
    assert_eq!((&goodbye["type"], &goodbye["code"]), (&json!("goodbye"), &json!("overloaded")), "{goodbye}");
    hub.says("cannot be fetched, and those that were stay: it did not come within 3 s");
    issuer.says(set(&[("one", "ec")]));
    eventually("it is back", || hello(hub.address, 2, &token("one")).hear()["type"] == "welcome");
    hub.says("1 keys were fetched from http://");
}

#[test]
fn a_token_waits_for_the_keys_of_a_slow_source_beside_a_fast_one() {
    let fast = Issuer::start(set(&[("one", "ed")]));
    let Says::Answer(_, keys) = set(&[("two", "ec")]) else { unreachable!() };
    let slow = Issuer::start(Says::Late(keys));
    let both =
        toml(fast.address, 300) + toml(slow.address, 300).trim_start_matches("allow_no_origin = true\n");
    let file = File::new(&both);
    let hub = Hub::start(&["--config", file.path()], &[]);
    drop(bearer(hub.address, 1, &token("two")));
}

#[test]
fn while_a_source_is_down_or_sends_nonsense_the_keys_that_were_there_stay() {
    let mut large = b"{\"keys\":[\"".to_vec();
    large.resize(10 << 20, b'x');
    let other = Issuer::start(set(&[("one", "ed")]));
    let cases = [
        (Says::Down, "what comes is no answer of HTTP/1.1"),
        (Says::Answer(200, b"nonsense".to_vec()), "it is no set of keys"),
        (Says::Answer(200, b"{\"keys\":[]}".to_vec()), "it has no key that the hub takes"),
        (Says::Answer(200, large), "it has more than 262144 bytes"),
        (Says::Answer(500, Vec::new()), "the answer is 500"),
        (
            Says::Elsewhere(format!("http://{}/keys", other.address)),
            "the answer is 302, which leads elsewhere",
        ),
    ];
    // At once, since each waits for the next time that keys are fetched.
    thread::scope(|scope| {
        for (says, why) in cases {
            scope.spawn(move || {
                let issuer = Issuer::start(set(&[("one", "ec")]));
                let (hub, _file) = start(&issuer, 5);
                let mut first = bearer(hub.address, 1, &token("one"));
                issuer.says(says);
                hub.says(why);
                is_there(&mut first);
                drop(bearer(hub.address, 2, &token("one")));
                issuer.says(set(&[("one", "ec")]));
                eventually("it is back", || hub.errors().matches("1 keys were fetched from ").count() == 2);
                is_there(&mut first);
            });
        }
    });
    assert_eq!(other.asked(), 0);
}

#[test]
fn sources_are_read_again_on_a_hangup_and_one_that_stays_goes_on() {
    let issuer = Issuer::start(set(&[("one", "ec")]));
    let other = Issuer::start(set(&[("one", "ed")]));
    let (hub, file) = start(&issuer, 86_400);
    let mut first = bearer(hub.address, 1, &token("one"));
    let rule = "[[access]]\npattern = \"b\"\nsubscribe = true\n";
    std::fs::write(file.path(), format!("{}{rule}", toml(issuer.address, 86_400))).unwrap();
    hub.signal("HUP");
    hub.says("1 access rule was read");
    is_there(&mut first);
    assert_eq!(issuer.asked(), 1);
    issuer.says(Says::Down);
    std::fs::write(file.path(), format!("{}leeway_seconds = 7\n", toml(issuer.address, 300))).unwrap();
    hub.signal("HUP");
    eventually("it is asked again", || issuer.asked() > 1);
    is_there(&mut first);
    drop(bearer(hub.address, 2, &token("one")));
    std::fs::write(file.path(), toml(other.address, 86_400)).unwrap();
    hub.signal("HUP");
    assert_eq!(first.hear_of("goodbye")["code"], "bad_token");
    assert_eq!(first.receive(), Received::Close(4004));
    eventually("the other is asked", || other.asked() > 0);
}

#[test]
fn the_commands_look_at_keys_that_are_fetched_too() {
    let issuer = Issuer::start(set(&[("one", "ec")]));
    let file = File::new(&toml(issuer.address, 300));
    let verify =
        || tidewire("token").args(["verify", "--config", file.path(), &token("one")]).output().unwrap();
    let said = verify();
    assert!(said.status.success() && String::from_utf8_lossy(&said.stdout).contains("\"ada\""), "{said:?}");
    issuer.says(Says::Answer(503, Vec::new()));
    let said = verify();
    let told = String::from_utf8_lossy(&said.stderr);
    assert!(!said.status.success() && told.contains("/keys: the answer is 503"), "{told}");
}

#[test]
fn a_source_that_is_wrong_is_told_with_its_place() {
    let check = |toml: &str| {
        let file = File::new(toml);
        let output = tidewire("check").args(["--config", file.path()]).output().unwrap();
        (output.status.success(), format!("{output:?}"))
    };
    let jwks = |url: &str, more: &str| format!("[[auth.jwks]]\nurl = \"{url}\"\naudience = \"a\"\n{more}\n");
    for (toml, says) in [
        (jwks("file:///etc/keys.json", ""), "line 2: `auth.jwks[0].url` is"),
        (jwks("https://user@host/", ""), "goes nowhere"),
        (jwks("https://a/", "refresh_seconds = 1"), "is 1; allowed: 5 to 86400"),
        (jwks("https://a/", "kid = \"x\""), "there is no `auth.jwks[0].kid`"),
        (jwks("https://a/", "").repeat(2), "an address that is named once"),
        ("[[auth.jwks]]\naudience = \"a\"\n".into(), "`auth.jwks[0].url` is missing"),
    ] {
        let (is_right, said) = check(&toml);
        assert!(!is_right && said.contains(says), "{said}");
    }
    let (is_right, said) = check(&jwks("http://issuer.example.com/keys", ""));
    assert!(is_right && said.contains("whoever is on the way can put keys of their own"), "{said}");
    let (is_right, said) = check(&jwks("https://issuer.example.com/keys", "issuer = \"me\""));
    assert!(
        is_right && said.contains("by the keys of https://issuer.example.com/keys, from `me`, for `a`"),
        "{said}"
    );
}
