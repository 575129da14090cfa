//! A shop that publishes an order and a kitchen that hears it: `cargo run --example orders http://127.0.0.1:7700`.
#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub)] // That is what it is for.

use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use tidewire_client::{Client, Event, Options, Start, SubscribeOptions};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u32,
    state: String,
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:7700".into());
    match run(&url).await {
        Ok(id) => println!("heard order {id}"),
        // An error that `main` returns would be shown as programs are written, and not in a sentence.
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Publishes an order and gives the number of the order that was heard.
pub async fn run(url: &str) -> Result<u32, AnyError> {
    let client = Client::connect(url, Options::default())?;
    client.connected().await?;

    let order = Order { id: 4711, state: "paid".into() };
    let done = client.publish("orders.eu", &order).await?;
    println!("stored at {}:{}", done.epoch, done.offset);

    let options = SubscribeOptions { from: Start::Last(1), ..SubscribeOptions::default() };
    let mut orders = client.subscribe::<Order>("orders.*", options);
    while let Some(event) = orders.next().await {
        match event {
            Event::Ready { outcome, .. } => println!("{outcome}"),
            Event::Message(message) => {
                println!("{}: {:?}", message.topic(), message.data);
                client.close().await;
                return Ok(message.data.id);
            }
            Event::BadMessage(bad) => eprintln!("{}: {}", bad.message.topic(), bad.error),
            Event::Removed(message) => println!("{:?} is gone", message.key()),
            Event::Gap(gap) => eprintln!("{} to {} are gone: {}", gap.from, gap.to, gap.reason),
            Event::CaughtUp => {} // comes to who asks by `catch_up`
            Event::Ended(fault) => return Err(tidewire_client::sentence(fault).into()),
        }
    }
    Err("the client was closed".into())
}
