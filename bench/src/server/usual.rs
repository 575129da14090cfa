//! `usual`: what one writes with axum by its documentation. A task for each subscriber, which waits for a
//! `broadcast` channel and its socket, or which a stream of events waits for.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{any, get};
use futures_util::stream::{self, Stream};
use tokio::net::TcpListener;
use tokio::sync::broadcast::{self, Sender, error::RecvError};

type Topics = Arc<Mutex<HashMap<String, Sender<Message>>>>;

/// Serves until the process ends.
///
/// # Errors
/// If it cannot listen.
#[allow(clippy::print_stdout)]
pub fn serve() -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("listening on http://{}", listener.local_addr()?);
        let router = Router::new()
            .route("/", any(upgrade))
            .route("/events", get(events))
            .with_state(Topics::default());
        Ok(axum::serve(listener, router).await?)
    })
}

async fn upgrade(
    socket: WebSocketUpgrade,
    Query(query): Query<HashMap<String, String>>,
    State(topics): State<Topics>,
) -> Response {
    match query.get("topic") {
        Some(topic) => {
            let messages = sender(&topics, topic).subscribe();
            socket.on_upgrade(move |socket| subscriber(socket, messages))
        }
        None => socket.on_upgrade(move |socket| publisher(socket, topics)),
    }
}

async fn events(
    Query(query): Query<HashMap<String, String>>,
    State(topics): State<Topics>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let messages = sender(&topics, query.get("topic").map_or("", |topic| topic)).subscribe();
    let events = stream::unfold(messages, async |mut messages| {
        loop {
            match messages.recv().await {
                Ok(message) => {
                    let text = String::from_utf8_lossy(&message.into_data()).into_owned();
                    return Some((Ok(Event::default().data(text)), messages));
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

async fn subscriber(mut socket: WebSocket, mut messages: broadcast::Receiver<Message>) {
    loop {
        tokio::select! {
            message = messages.recv() => match message {
                Ok(message) => if socket.send(message).await.is_err() { return },
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            heard = socket.recv() => if !matches!(heard, Some(Ok(_))) { return },
        }
    }
}

async fn publisher(mut socket: WebSocket, topics: Topics) {
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Binary(payload) = &message else { continue };
        let Some(topic) = payload.get(..8).and_then(|name| std::str::from_utf8(name).ok()) else { continue };
        // Nobody subscribes: nothing to do.
        sender(&topics, topic).send(message.clone()).ok();
    }
}

fn sender(topics: &Topics, topic: &str) -> Sender<Message> {
    let mut topics = topics.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sender) = topics.get(topic) {
        return sender.clone();
    }
    topics.entry(topic.to_owned()).or_insert_with(|| broadcast::channel(CHANNEL_MESSAGES).0).clone()
}

const CHANNEL_MESSAGES: usize = 1_024;
