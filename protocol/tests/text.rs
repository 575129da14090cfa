//! `docs/PROTOCOL.md` says what the code does, where a machine can tell.
#![allow(clippy::unwrap_used)]

use tidewire_protocol::client_frame::{self as client, ClientFrame};
use tidewire_protocol::code::{Code, Content, Durability, GapReason, Outcome, WhenSlow};
use tidewire_protocol::{block, hub_frame as hub, json};

fn text() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/PROTOCOL.md")).unwrap()
}

#[track_caller]
fn check_says(text: &str, line_start: &str) {
    assert!(text.lines().any(|line| line.starts_with(line_start)), "no line begins with {line_start}");
}

#[test]
fn every_code_is_in_the_table() {
    let text = text();
    for code in Code::ALL {
        let (number, name, close) = (code.number(), code.name(), code.close_code());
        let retryable = if code.retryable() { "yes" } else { "no" };
        check_says(&text, &format!("| {number} | `{name}` | {close} | {retryable} | "));
    }
}

#[test]
fn every_choice_is_in_the_table() {
    let text = text();
    macro_rules! check {
        ($title:literal, $codes:ident) => {
            let row = text.lines().find(|line| line.starts_with($title)).unwrap();
            for code in $codes::ALL {
                assert!(row.contains(&format!("{} `{}`", code.number(), code.name())), "{code} in {row}");
            }
        };
    }
    check!("| `content` |", Content);
    check!("| `durability` |", Durability);
    check!("| `outcome` |", Outcome);
    check!("| gap `reason` |", GapReason);
    check!("| `when_slow` |", WhenSlow);
}

#[test]
fn every_kind_is_in_the_table() {
    let text = text();
    for (kind, name) in [
        (client::Hello::KIND, "hello"),
        (client::Attach::KIND, "attach"),
        (client::Detach::KIND, "detach"),
        (client::Open::KIND, "open"),
        (client::Publish::KIND, "publish"),
        (client::Shut::KIND, "shut"),
        (client::Subscribe::KIND, "subscribe"),
        (client::Unsubscribe::KIND, "unsubscribe"),
        (client::History::KIND, "history"),
        (client::Heartbeat::KIND, "heartbeat"),
        (client::Send::KIND, "send"),
        (client::SignIn::KIND, "sign_in"),
        (client::Batch::KIND, "batch"),
        (hub::Welcome::KIND, "welcome"),
        (hub::Attached::KIND, "attached"),
        (hub::Detached::KIND, "detached"),
        (hub::Opened::KIND, "opened"),
        (hub::Acked::KIND, "acked"),
        (hub::Refused::KIND, "refused"),
        (hub::Subscribed::KIND, "subscribed"),
        (hub::Unsubscribed::KIND, "unsubscribed"),
        (hub::Missing::KIND, "missing"),
        (hub::Progress::KIND, "progress"),
        (hub::Page::KIND, "page"),
        (hub::Heartbeat::KIND, "heartbeat"),
        (hub::Failed::KIND, "failed"),
        (hub::Goodbye::KIND, "goodbye"),
        (hub::SignedIn::KIND, "signed_in"),
        (block::Block::KIND, "block"),
    ] {
        check_says(&text, &format!("| {kind} | `{name}` | "));
    }
}

/// What the client says in the worked session can be said, and every line is JSON.
#[test]
fn the_session_is_sound() {
    let text = text();
    let (_, session) = text.split_once("\n## A session\n").unwrap();
    let (session, _) = session.split_once("\n## ").unwrap();
    let mut said = Vec::new();
    let mut messages: Vec<(bool, String)> = Vec::new();
    for line in session.split("```").skip(1).step_by(2).flat_map(|code| code.lines().skip(1)) {
        match line.split_at_checked(2) {
            Some((">" | "> ", rest)) => messages.push((true, rest.into())),
            Some(("<" | "< ", rest)) => messages.push((false, rest.into())),
            Some((_, rest)) => messages.last_mut().unwrap().1.push_str(rest),
            None => {}
        }
    }
    for (from_client, message) in &messages {
        serde_json::from_str::<serde_json::Value>(message).unwrap();
        if *from_client {
            said.extend(
                json::frames(message)
                    .unwrap()
                    .into_iter()
                    .map(|frame| json::take_client(frame).unwrap().unwrap()),
            );
        }
    }
    let publishes = said.iter().filter(|frame| matches!(frame, ClientFrame::Publish(_)));
    assert_eq!((messages.len(), said.len(), publishes.count()), (19, 11, 4));
}
