//! What one client may do by HTTP/2, which has many requests on a connection: how long each may take, and what it holds.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::http::Request;

use crate::support::PATIENCE;
use crate::support::http2::{Client, run, whole};
use crate::support::secured::Secured;

#[test]
fn requests_that_are_taken_back_at_once_disturb_nobody() {
    let secured = Secured::start();
    run(async {
        let mut neighbour = Client::connect(&secured).await;
        let mut stream = neighbour.listen("topic=t").await;
        stream.subscribed().await;
        let mut client = Client::connect(&secured).await;
        let mut is_over = false;
        for _ in 0..20_000 {
            let Ok(mut ready) = client.requests.clone().ready().await else {
                is_over = true;
                break;
            };
            let request = Request::builder().uri(format!("https://{}/v1/topics", client.host));
            let Ok((_, mut begun)) = ready.send_request(request.body(()).unwrap(), true) else {
                is_over = true;
                break;
            };
            begun.send_reset(h2::Reason::CANCEL);
            client.requests = ready;
        }
        let number = neighbour.publish("t", 1).await;
        assert_eq!((number, stream.message().await), (Value::from(1), 1));
        // Either it was let go, or each was answered for what it is: a request that was looked at.
        if is_over {
            let over = timeout(PATIENCE, client.over).await.unwrap().unwrap();
            let error = over.unwrap_err();
            assert_eq!(error.reason(), Some(h2::Reason::ENHANCE_YOUR_CALM), "{error}");
        }
    });
}

#[test]
fn connections_without_a_request_end_and_those_with_a_stream_do_not() {
    let secured = Secured::start_with("[limits]\nhttp_ms = 1000\nhandshake_ms = 1000\nheartbeat_ms = 1000\n");
    run(async {
        let (mut idle, mut busy) = (Client::connect(&secured).await, Client::connect(&secured).await);
        idle.publish("t", 0).await;
        let mut stream = busy.listen("topic=t").await;
        stream.subscribed().await;
        let over = timeout(PATIENCE, idle.over).await.unwrap().unwrap();
        assert!(
            over.is_ok()
                || over
                    .unwrap_err()
                    .get_io()
                    .is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
        );
        let mut other = Client::connect(&secured).await;
        other.publish("t", 5).await;
        assert_eq!(stream.message().await, 5);
        drop(stream);
        timeout(PATIENCE, busy.over).await.unwrap().unwrap().ok();
    });
}

#[test]
fn a_request_that_trickles_is_over_in_its_own_time_whatever_else_the_connection_does() {
    let secured = Secured::start_with("[limits]\nhttp_ms = 1000\nhandshake_ms = 1000\n");
    run(async {
        let mut client = Client::connect(&secured).await;
        let mut stream = client.listen("topic=t").await;
        stream.subscribed().await;
        let request = Request::builder().method("POST");
        let request = request.uri(format!("https://{}/v1/topics/t/messages", client.host)).body(()).unwrap();
        let (answer, mut body) = client.requests.send_request(request, false).unwrap();
        let mut answer = Box::pin(answer);
        let told = loop {
            let _ = body.send_data(Bytes::from_static(b"x"), false);
            match timeout(Duration::from_millis(100), &mut answer).await {
                Ok(answered) => break answered.unwrap().status(),
                // Others keep the connection alive.
                Err(_) => client.publish("u", 0).await,
            };
        };
        assert_eq!(told, 408);
        // What waits for what it asked for may do so.
        let waits = client.begin("GET", "/v1/topics/v/messages?from=latest&wait=3s", None).await;
        let answer = waits.await.unwrap();
        assert_eq!(answer.status(), 200);
        client.publish("t", 3).await;
        assert_eq!(stream.message().await, 3);
    });
}

#[test]
fn whoever_is_refused_before_all_was_said_hears_why_and_is_not_cut_off() {
    let secured = Secured::start();
    run(async {
        let mut client = Client::connect(&secured).await;
        for bytes in [2, 60_000, 300_000] {
            let request = Request::builder()
                .method("POST")
                .uri(format!("https://{}/v1/topics/t/messages", client.host));
            let request =
                request.header("content-type", "application/x-www-form-urlencoded").body(()).unwrap();
            client.requests = client.requests.clone().ready().await.unwrap();
            let (answer, mut body) = client.requests.send_request(request, false).unwrap();
            let answer = answer.await.unwrap();
            assert!([413, 415].contains(&answer.status().as_u16()));
            assert!(String::from_utf8(whole(answer).await).unwrap().contains("\"detail\":"));
            // What is said behind the answer is taken, as far as it is not too much.
            body.reserve_capacity(bytes);
            let mut left = bytes;
            while left > 0 {
                let capacity =
                    std::future::poll_fn(|cx| body.poll_capacity(cx)).await.unwrap().unwrap().min(left);
                left -= capacity;
                body.send_data(Bytes::from(vec![b'x'; capacity]), left == 0).unwrap();
            }
            let ended =
                timeout(Duration::from_millis(200), std::future::poll_fn(|cx| body.poll_reset(cx))).await;
            assert!(ended.is_err(), "{bytes}: {ended:?}");
        }
    });
}

#[test]
fn a_body_that_is_cut_off_is_no_message_however_it_is_cut() {
    let secured = Secured::start();
    run(async {
        let mut client = Client::connect(&secured).await;
        for reason in [h2::Reason::NO_ERROR, h2::Reason::CANCEL] {
            let uri = format!("https://{}/v1/topics/t/messages", client.host);
            let request = Request::builder().method("POST").uri(uri).header("content-length", "20");
            client.requests = client.requests.clone().ready().await.unwrap();
            let (answer, mut body) = client.requests.send_request(request.body(()).unwrap(), false).unwrap();
            body.send_data(Bytes::from_static(b"10000000"), false).unwrap();
            // It is there before the rest is taken back.
            client.publish("u", 0).await;
            body.send_reset(reason);
            assert!(answer.await.is_err());
        }
        client.publish("t", 1).await;
        let (_, page) = client.ask("GET", "/v1/topics/t/messages", None).await;
        assert_eq!(page["messages"].as_array().unwrap().len(), 1, "{page}");
    });
}

#[test]
fn what_holds_of_heads_and_silence_holds_by_this_version_too() {
    let secured = Secured::start_with("[limits]\nhandshake_ms = 500\nheaders_max = 30\n");
    run(async {
        let silent = Client::connect(&secured).await;
        let mut client = Client::connect(&secured).await;
        let ask = |count: usize| {
            let mut request = Request::builder().uri(format!("https://{}/v1/topics", client.host));
            for at in 0..count {
                request = request.header(format!("x-{at}"), "x");
            }
            request.body(()).unwrap()
        };
        for (count, status) in [(30, 200), (31, 431)] {
            let (answer, _) = client.requests.send_request(ask(count), true).unwrap();
            assert_eq!(answer.await.unwrap().status(), status, "{count}");
        }
        // Neither a refusal nor another's silence ends it.
        let (status, _) = client.ask("GET", "/v1/ws", None).await;
        assert_eq!(status, 426);
        let _ = timeout(PATIENCE, silent.over).await.unwrap().unwrap();
        client.publish("t", 1).await;
    });
}

#[test]
fn requests_that_never_end_are_their_senders_and_bounded() {
    // Each counts as a connection would that had it alone.
    let secured = Secured::start_with("[limits]\nconnections_per_address_max = 120\n");
    run(async {
        let value = "x".repeat(3_700);
        let (mut clients, mut refused) = (Vec::new(), 0);
        while refused == 0 {
            let mut client = Client::connect(&secured).await;
            let mut begun = Vec::new();
            for _ in 0..90 {
                let mut request = Request::builder().method("POST");
                for at in 0..4 {
                    request = request.header(format!("x-{at}"), &value);
                }
                let request = request.uri(format!("https://{}/v1/topics/t/messages", client.host));
                client.requests = client.requests.clone().ready().await.unwrap();
                begun.push(client.requests.send_request(request.body(()).unwrap(), false).unwrap());
            }
            // Once this is answered the hub has seen all of them, however busy the machine is.
            client.ask("GET", "/v1/ws", None).await;
            for (answer, body) in begun {
                match timeout(Duration::from_millis(20), answer).await {
                    Ok(answer) => {
                        assert_eq!(answer.unwrap().status(), 503);
                        refused += 1;
                    }
                    Err(_) => clients.push(body),
                }
            }
            assert!(clients.len() <= 120, "{} requests are taken in", clients.len());
        }
        assert!(clients.len() > 100);
        drop(clients);
        // What they held is there again; who only waits holds it as well, and nobody's messages.
        let mut client = Client::connect(&secured).await;
        let is_free = async {
            while client.ask("POST", "/v1/topics/t/messages", Some("1")).await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, is_free).await.unwrap();
        let held = secured.hub.metric("tidewire_held_bytes{kind=\"half_received\"}");
        let mut waiting = Vec::new();
        for _ in 0..50 {
            waiting.push(client.begin("GET", "/v1/topics/u/messages?from=latest&wait=30s", None).await);
        }
        client.publish("v", 1).await;
        assert_eq!(secured.hub.metric("tidewire_held_bytes{kind=\"half_received\"}"), held);
    });
}
