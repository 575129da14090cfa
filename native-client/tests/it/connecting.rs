//! Connecting: who is not there, who refuses, and who is no hub are told apart.

use std::time::Duration;

use tidewire_client::{Client, Code, NoConnection, Options, Status};
use tidewire_protocol::hub_frame::{Goodbye, HubFrame, Welcome};
use tidewire_protocol::{SUBPROTOCOL_BINARY, feature};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};

use crate::far_end::{FarEnd, Frame, in_time};

/// What the client says of a far end that answers a handshake with these bytes, in parts.
async fn met(parts: &'static [&'static str]) -> NoConnection {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request).await;
            for part in parts {
                let _ = stream.write_all(part.as_bytes()).await;
                tokio::task::yield_now().await;
            }
        }
    });
    let client = Client::connect(&url, Options::default()).unwrap();
    in_time(client.connected()).await.unwrap_err()
}

#[track_caller]
fn check(why: &NoConnection, code: &str, retryable: bool, words: &str) {
    assert_eq!((why.code(), why.retryable()), (code, retryable), "{why}");
    assert!(why.to_string().contains(words), "{words:?} is not in {why}");
}

#[tokio::test]
async fn refusals_carry_their_status_and_the_hubs_words() {
    let why = met(&[
        "HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 23\r\n\r\n",
        "no such origin",
        " here\x1b[0\n",
    ])
    .await;
    check(&why, "handshake_forbidden", false, "no such origin here[0 (HTTP 403)");
    let why = met(&[
        "HTTP/1.1 503 Busy\r\nretry-after: 5\r\n",
        "content-type: text/plain\r\ncontent-length: 8\r\n\r\nno room\n",
    ])
    .await;
    let after = Some(Duration::from_secs(5));
    assert_eq!(why, NoConnection::Refused { status: 503, text: "no room".into(), retry_after: after });
    check(&why, "hub_unavailable", true, "no room (HTTP 503)");
    let why = met(&["HTTP/1.1 503 Busy\r\nretry-after: 18446744073709551615\r\n\r\n"]).await;
    let NoConnection::Refused { retry_after, .. } = why else { panic!("{why:?}") };
    assert_eq!(retry_after, Some(Duration::from_secs(365 * 86_400)));
    let why =
        met(&["HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 3\r\n\r\n<p>"]).await;
    check(&why, "wrong_path", false, "there is no hub at this path (HTTP 404)");
    let why = met(&["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]).await;
    check(&why, "no_hub", false, "is no hub (HTTP 200)");
    let why = met(&["HTTP/1.1 418 Teapot\r\ncontent-length: 0\r\n\r\n"]).await;
    check(&why, "handshake_refused", false, "(HTTP 418)");
}

#[tokio::test]
async fn who_speaks_no_http_is_no_hub() {
    check(&met(&["SSH-2.0-OpenSSH_9.2\r\n"]).await, "no_hub", false, "is no hub");
    check(&met(&[]).await, "unreachable", true, "cannot be reached");
}

#[tokio::test]
async fn who_is_not_there_is_told_by_the_reason() {
    // Kept, and nobody listens.
    let kept = TcpSocket::new_v4().unwrap();
    kept.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let free = kept.local_addr().unwrap();
    let client = Client::connect(&format!("http://{free}"), Options::default()).unwrap();
    let why = in_time(client.connected()).await.unwrap_err();
    assert_eq!(why, NoConnection::ConnectionRefused { address: free.to_string() });
    check(&why, "connection_refused", true, "nothing listens at 127.0.0.1:");
    // A label of more than 63 bytes is no name, and no server is asked for it.
    let client = Client::connect(&format!("http://{}", "x".repeat(64)), Options::default()).unwrap();
    let why = in_time(client.connected()).await.unwrap_err();
    check(&why, "name_not_resolved", true, "does not resolve");
}

#[tokio::test]
async fn a_far_end_that_speaks_something_else_is_fatal() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let _link = hub.accept(None).await;
    let mut status = client.status();
    let closed = in_time(status.wait_for(|status| matches!(status, Status::Closed { .. }))).await.unwrap();
    let Status::Closed { why: Some(why) } = closed.clone() else { panic!("{closed:?}") };
    check(&why, "no_hub", false, "tidewire.v1");
}

#[tokio::test]
async fn one_that_waits_connects_at_once_when_told_to() {
    let hub = FarEnd::new().await;
    let client = Client::connect(&hub.url, Options::default()).unwrap();
    let mut link = hub.welcome().await;
    in_time(client.connected()).await.unwrap();
    let text = "back in an hour".into();
    let goodbye = Goodbye { code: Code::Draining, reconnect_after_ms: 3_600_000, message: text };
    link.say(HubFrame::Goodbye(goodbye)).await;
    link.close(Code::Draining.close_code()).await;
    let mut status = client.status();
    let offline = in_time(status.wait_for(|status| matches!(status, Status::Offline { .. }))).await.unwrap();
    let hour = Duration::from_secs(3_600);
    let (code, text) = (Code::Draining, "back in an hour".into());
    let why = NoConnection::Goodbye { code, text, back_in: Some(hour) };
    assert_eq!(*offline, Status::Offline { why, retry_in: hour });
    drop(offline);
    client.retry_now();
    let _link = hub.accept(Some(SUBPROTOCOL_BINARY)).await;
}

#[tokio::test]
async fn a_token_that_the_hub_has_not_judged_yet_is_tried_when_the_old_one_ends() {
    let hub = FarEnd::new().await;
    let options = Options { token: Some("old".into()), ..Options::default() };
    let client = Client::connect(&hub.url, options).unwrap();
    let mut link = hub.accept(Some(SUBPROTOCOL_BINARY)).await;
    assert_eq!(link.next().await, Frame::Hello { token: "old".into() });
    client.set_token("new");
    let features = feature::BEFORE | feature::SIGN_IN;
    link.say(HubFrame::Welcome(Welcome { features, heartbeat_ms: 10_000, ..Welcome::default() })).await;
    assert_eq!(link.next().await, Frame::Other, "the next token");
    link.say(HubFrame::Goodbye(Goodbye { code: Code::BadToken, ..Goodbye::default() })).await;
    link.close(Code::BadToken.close_code()).await;
    let mut link = hub.accept(Some(SUBPROTOCOL_BINARY)).await;
    assert_eq!(link.next().await, Frame::Hello { token: "new".into() });
}
