//! What a browser tells of its network and its pages. Workers hear less of it, and need less.

use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{Document, EventTarget, VisibilityState};

/// Something that the browser tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visibility {
    /// The network is back, or the page is seen again.
    Shown,
    /// The page goes into the back-forward cache, or for good: its socket would be dead when it came back.
    Hidden,
}

/// Hears the browser until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    listeners: Vec<Listener>,
}

#[derive(Debug)]
struct Listener {
    target: EventTarget,
    kind: &'static str,
    callback: Closure<dyn Fn()>,
}

impl Watch {
    /// Tells `tell` from now on.
    pub(crate) fn start(tell: impl Fn(Visibility) + Clone + 'static) -> Self {
        let global: EventTarget = js_sys::global().unchecked_into();
        let mut watch = Self { listeners: Vec::new() };
        for (kind, visibility) in EVENTS {
            let tell = tell.clone();
            watch.listen(&global, kind, move || tell(*visibility));
        }
        let document = js_sys::Reflect::get(&global, &JsValue::from_str("document")).unwrap_or_default();
        if let Ok(document) = document.dyn_into::<Document>() {
            let target = document.clone();
            watch.listen(&target, "visibilitychange", move || {
                if document.visibility_state() == VisibilityState::Visible {
                    tell(Visibility::Shown);
                }
            });
        }
        watch
    }

    fn listen(&mut self, target: &EventTarget, kind: &'static str, tell: impl Fn() + 'static) {
        let callback = Closure::<dyn Fn()>::new(tell);
        let function = callback.as_ref().unchecked_ref();
        // What cannot be listened to tells nothing, and the client does without.
        if target.add_event_listener_with_callback(kind, function).is_ok() {
            self.listeners.push(Listener { target: target.clone(), kind, callback });
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let function = self.callback.as_ref().unchecked_ref();
        let _ = self.target.remove_event_listener_with_callback(self.kind, function);
    }
}

const EVENTS: &[(&str, Visibility)] =
    &[("online", Visibility::Shown), ("pageshow", Visibility::Shown), ("pagehide", Visibility::Hidden)];
