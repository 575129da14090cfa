//! A page written in Rust: notes that every open page sees, and how many others have read each.
//!
//! It shows [`tidewire_wasm::rust_app`] without a framework: typed messages both ways, a handler that publishes,
//! and values of JavaScript in and out. `?hub=ADDRESS` names the hub, `&author=NAME` the visitor.

mod readers;

mod view;

use std::cell::OnceCell;
use std::cell::RefCell;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use tidewire_wasm::rust_app::{Client, Event, PublishError, Start, Status, SubscribeError, SubscribeOptions};
use tidewire_wasm::rust_app::{StatusWatch, Subscription};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};
use wasm_bindgen_futures::spawn_local;

use crate::readers::{NoteKey, Readers};
use crate::view::View;

/// What visitors write.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    author: String,
    text: String,
}

/// A visitor has read a note.
#[derive(Debug, Serialize, Deserialize)]
struct Receipt {
    note: NoteKey,
    reader: String,
}

/// What goes on for as long as the page is open.
#[derive(Debug)]
struct Page {
    client: Client,
    _notes: Subscription,
    _receipts: Subscription,
    _status: StatusWatch,
}

thread_local! {
    static PAGE: OnceCell<Page> = const { OnceCell::new() };
}

#[wasm_bindgen(start)]
fn start() -> Result<(), JsError> {
    let view = Rc::new(View::of_the_page()?);
    let author = view.asked("author").unwrap_or_else(|| "somebody".into());
    let client = Client::connect(&view.asked("hub").unwrap_or_else(|| DEFAULT_HUB.into()))?;

    let shown = Rc::clone(&view);
    let watch = client.watch_status(move |status| shown.say("status", told(status)));
    let readers = Rc::new(RefCell::new(Readers::default()));
    let receipts = hear_receipts(&client, &view, &readers)?;
    let notes = hear_notes(&client, &view, &readers, &author)?;
    write_notes(&client, &view, author);

    let page = Page { client, _notes: notes, _receipts: receipts, _status: watch };
    // The start function runs once.
    PAGE.with(|slot| _ = slot.set(page));
    Ok(())
}

/// Publishes a note that JavaScript made, `{ author, text }`; gives its offset.
///
/// # Errors
/// What the client says.
#[wasm_bindgen]
pub async fn publish(note: JsValue) -> Result<f64, JsError> {
    let publishing = PAGE.with(|page| page.get().map(|page| page.client.publish_js(NOTES, note)));
    let published = publishing.ok_or(PublishError::Closed)?.await?;
    Ok(published.offset.0 as f64)
}

/// Shows notes, and tells their authors that they are read: from inside the handler.
fn hear_notes(
    client: &Client,
    view: &Rc<View>,
    readers: &Rc<RefCell<Readers>>,
    author: &str,
) -> Result<Subscription, SubscribeError> {
    let (view, readers) = (Rc::clone(view), Rc::clone(readers));
    let (publisher, reader) = (client.clone(), author.to_owned());
    client.subscribe::<Note>(NOTES, from_earliest(), move |event| match event {
        Event::Message(message) => {
            let note = NoteKey { epoch: message.epoch.0, offset: message.offset.0 };
            view.show_note(note, &message.data.author, &message.data.text);
            view.show_readers(note, readers.borrow().count(note));
            match message.js() {
                Ok(value) => view.announce(&value),
                Err(error) => view.say("problem", &error.to_string()),
            }
            if message.data.author != reader {
                let publishing = publisher.publish(RECEIPTS, &Receipt { note, reader: reader.clone() });
                let view = Rc::clone(&view);
                spawn_local(async move {
                    if let Err(error) = publishing.await {
                        view.say("problem", &error.to_string());
                    }
                });
            }
        }
        Event::Removed(_) => {}
        Event::BadMessage(bad) => view.say("problem", &format!("no note: {}", bad.error)),
        Event::Ready { gap: Some(gap), .. } | Event::Gap(gap) => view.say("problem", gap.reason.name()),
        Event::Ready { gap: None, .. } => view.say("ready", "yes"),
        Event::Ended(fault) => view.say("problem", fault.name()),
    })
}

fn hear_receipts(
    client: &Client,
    view: &Rc<View>,
    readers: &Rc<RefCell<Readers>>,
) -> Result<Subscription, SubscribeError> {
    let (view, readers) = (Rc::clone(view), Rc::clone(readers));
    client.subscribe::<Receipt>(RECEIPTS, from_earliest(), move |event| {
        if let Event::Message(message) = event {
            let Receipt { note, reader } = message.data;
            let count = readers.borrow_mut().add(note, reader);
            view.show_readers(note, count);
        }
    })
}

/// Publishes what the visitor writes.
fn write_notes(client: &Client, view: &Rc<View>, author: String) {
    let (client, shown) = (client.clone(), Rc::clone(view));
    view.on_write(move |text| {
        let publishing = client.publish(NOTES, &Note { author: author.clone(), text });
        shown.say("outcome", "waiting");
        let shown = Rc::clone(&shown);
        spawn_local(async move {
            match publishing.await {
                Ok(published) => shown.say("outcome", &format!("stored at {}", published.offset)),
                Err(error) => shown.say("outcome", &error.to_string()),
            }
        });
    });
}

fn from_earliest() -> SubscribeOptions {
    SubscribeOptions { from: Start::Earliest, ..SubscribeOptions::default() }
}

const fn told(status: Status) -> &'static str {
    match status {
        Status::Connecting => "connecting",
        Status::Online => "online",
        Status::Offline { .. } => "offline",
        Status::Closed { .. } => "closed",
    }
}

const NOTES: &str = "rust-page.notes";
const RECEIPTS: &str = "rust-page.receipts";
/// Where a hub on this machine listens.
const DEFAULT_HUB: &str = "http://127.0.0.1:7700";
