//! The native client and the command line before a port that speaks TLS, and what they say where that fails.

use std::fs;
use std::process::{Command, Output};

use tidewire_client::{Client, Event, NoConnection, Options, SubscribeOptions};

use crate::command_line::{check_exit, succeed};
use crate::support::file::File;
use crate::support::hub::{Hub, tidewire};
use crate::support::secured::{Authority, Issued, Secured, VALID};
use crate::support::{PATIENCE, eventually};

fn url(secured: &Secured) -> String {
    format!("https://{}", secured.address())
}

#[tokio::test]
async fn the_native_client_publishes_and_subscribes_by_tls() {
    let secured = Secured::start();
    let ca = File::new(&secured.authority.pem());
    let options = || Options { ca: Some(ca.path().into()), ..Options::default() };
    let url = format!("wss://{}", secured.address());
    let subscriber = Client::connect(&url, options()).unwrap();
    let mut messages = subscriber.subscribe::<(u32, String)>("t", SubscribeOptions::default());
    let publisher = Client::connect(&url, options()).unwrap();
    subscriber.connected().await.unwrap();
    let text = "x".repeat(200_000);
    while !matches!(tokio::time::timeout(PATIENCE, messages.next()).await.unwrap(), Some(Event::Ready { .. }))
    {
    }
    let published: Vec<_> = (0..50).map(|n| publisher.publish("t", &(n, &text))).collect();
    for expected in 0..50 {
        match tokio::time::timeout(PATIENCE, messages.next()).await.unwrap() {
            Some(Event::Message(message)) => {
                assert!(message.data == (expected, text.clone()), "message {expected} is another");
            }
            other => panic!("{other:?}"),
        }
    }
    for publishing in published {
        publishing.await.unwrap();
    }
    publisher.close().await;
}

#[tokio::test]
async fn a_client_goes_on_once_the_hub_is_trusted() {
    let secured = Secured::start();
    let stranger = File::new(&Authority::new().pem());
    let options = Options { ca: Some(stranger.path().into()), ..Options::default() };
    let client = Client::connect(&url(&secured), options).unwrap();
    let why = client.connected().await.unwrap_err();
    assert_eq!((why.code(), why.retryable()), ("untrusted", false), "{why}");
    assert!(matches!(why, NoConnection::Untrusted { .. }));
    let publishing = client.publish("t", &1);
    fs::write(stranger.path(), secured.authority.pem()).unwrap();
    client.retry_now();
    tokio::time::timeout(PATIENCE, publishing).await.unwrap().unwrap();
}

/// What `pub` says of an address, where the system trusts what is in a file.
fn publish_to(url: &str, system: &File, more: &[&str]) -> Output {
    let mut publish = tidewire("pub");
    publish.args(["t", "x", "--wait", "1", "--url", url]).args(more);
    on_a_system_that_trusts(&mut publish, system).output().unwrap()
}

fn on_a_system_that_trusts<'a>(command: &'a mut Command, system: &File) -> &'a mut Command {
    command.env_remove("SSL_CERT_DIR").env("SSL_CERT_FILE", system.path())
}

#[test]
fn commands_trust_who_is_named_or_else_whom_the_system_trusts() {
    let secured = Secured::start();
    let (ca, stranger) = (File::new(&secured.authority.pem()), File::new(&Authority::new().pem()));
    let (url, nobody) = (url(&secured), File::new(""));
    succeed(&publish_to(&url, &stranger, &["--ca", ca.path()]));
    succeed(&publish_to(&url, &ca, &[]));
    let mut history = tidewire("history");
    history.args(["t", "--url", &url]).env("TIDEWIRE_CA", ca.path());
    assert_eq!(succeed(&on_a_system_that_trusts(&mut history, &nobody).output().unwrap()), "x\nx\n");
    let unknown = "is not trusted: its certificate is of an authority that is not trusted here; a private one has to be named \
                   (--ca or TIDEWIRE_CA)";
    check_exit(&publish_to(&url, &stranger, &[]), 3, unknown);
    check_exit(&publish_to(&url, &ca, &["--ca", stranger.path()]), 3, unknown);
    check_exit(&publish_to(&url, &nobody, &[]), 3, "this system's authorities cannot be read");
    check_exit(&publish_to(&url, &ca, &["--ca", nobody.path()]), 3, "no certificate in PEM in it");
    check_exit(&publish_to(&url, &ca, &["--ca", "/no/such"]), 2, "--ca or TIDEWIRE_CA: /no/such: No such");
    // Without TLS nobody asks whom to trust.
    let plain = Hub::dev();
    succeed(&publish_to(&plain.url(), &nobody, &["--ca", ca.path()]));
    check_exit(
        &publish_to(&url.replace("https", "http"), &ca, &[]),
        4,
        "this port speaks TLS: connect by https",
    );
    let there = plain.url().replace("http", "https");
    check_exit(&publish_to(&there, &ca, &[]), 3, "is no hub: it speaks no TLS; connect by http or ws");
}

#[test]
fn a_certificate_that_is_not_taken_is_told_why() {
    let secured = Secured::start();
    let ca = File::new(&secured.authority.pem());
    let issued_to = |issued: &Issued, says: &str| {
        secured.write(issued);
        secured.hub.signal("HUP");
        let publish = || publish_to(&url(&secured), &ca, &[]);
        eventually(says, || String::from_utf8_lossy(&publish().stderr).contains(says));
        let output = publish();
        check_exit(&output, 3, says);
        check_exit(&output, 3, &format!("{} is not trusted: ", secured.address()));
    };
    let authority = &secured.authority;
    issued_to(
        &authority.issue("hub.example.com", VALID),
        "not for `127.0.0.1`; the names in it: hub.example.com",
    );
    issued_to(&authority.issue("127.0.0.1", (2000, 2001)), "its certificate has expired");
    issued_to(
        &authority.issue("127.0.0.1", (2090, 2100)),
        "not valid yet, or this machine's clock is behind",
    );
    issued_to(&Authority::new().as_issued(), "an authority's own, and none for a server");
}
