//! The page's elements.

use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsError, JsValue};
use web_sys::{CustomEvent, CustomEventInit, Document, Element, Event, HtmlInputElement, UrlSearchParams};

use crate::readers::NoteKey;

/// The page as visitors see it.
#[derive(Debug)]
pub(crate) struct View {
    document: Document,
    query: UrlSearchParams,
}

impl View {
    /// The page that this code was loaded by.
    pub(crate) fn of_the_page() -> Result<Self, JsError> {
        let window = web_sys::window().ok_or_else(|| JsError::new("there is no page"))?;
        let document = window.document().ok_or_else(|| JsError::new("there is no document"))?;
        let search = window.location().search().unwrap_or_default();
        let query = UrlSearchParams::new_with_str(&search).map_err(|_| JsError::new("bad query"))?;
        Ok(Self { document, query })
    }

    /// What the page's address asks for.
    pub(crate) fn asked(&self, name: &str) -> Option<String> {
        self.query.get(name)
    }

    /// Puts a text into the element of an id.
    pub(crate) fn say(&self, id: &str, text: &str) {
        if let Some(element) = self.document.get_element_by_id(id) {
            element.set_text_content(Some(text));
        }
    }

    /// Appends a note.
    pub(crate) fn show_note(&self, note: NoteKey, author: &str, text: &str) {
        let (Some(list), Ok(item)) =
            (self.document.get_element_by_id("notes"), self.note(note, author, text))
        else {
            return;
        };
        // A list takes every element.
        let _ = list.append_child(&item);
    }

    /// Says how many have read a note, if it is shown.
    pub(crate) fn show_readers(&self, note: NoteKey, count: usize) {
        if count > 0 {
            self.say(&readers_id(note), &format!("read by {count}"));
        }
    }

    /// Tells other code of the page of a note, as the event `note`.
    pub(crate) fn announce(&self, note: &JsValue) {
        let init = CustomEventInit::new();
        init.set_detail(note);
        if let Ok(event) = CustomEvent::new_with_event_init_dict("note", &init) {
            let _ = self.document.dispatch_event(&event);
        }
    }

    /// Calls `write` with every text that the visitor sends.
    pub(crate) fn on_write(&self, write: impl Fn(String) + 'static) {
        let (Some(form), Some(input)) =
            (self.document.get_element_by_id("write"), self.document.get_element_by_id("text"))
        else {
            return;
        };
        let input: HtmlInputElement = input.unchecked_into();
        let on_submit = Closure::<dyn Fn(Event)>::new(move |event: Event| {
            event.prevent_default();
            write(input.value());
            input.set_value("");
        });
        // The form outlives everything else here; its listener is JavaScript's to free.
        let _ = form.add_event_listener_with_callback("submit", on_submit.into_js_value().unchecked_ref());
    }

    fn note(&self, note: NoteKey, author: &str, text: &str) -> Result<Element, JsValue> {
        let item = self.document.create_element("li")?;
        for (tag, text) in [("b", author), ("span", text), ("small", "")] {
            let part = self.document.create_element(tag)?;
            part.set_text_content(Some(text));
            if tag == "small" {
                part.set_id(&readers_id(note));
            }
            item.append_child(&part)?;
        }
        Ok(item)
    }
}

fn readers_id(NoteKey { epoch, offset }: NoteKey) -> String {
    format!("readers-{epoch:x}-{offset}")
}
