//! What pages and workers have in common, called by its global name.

use js_sys::{Function, Reflect};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};

use tidewire_client_core::input::Millis;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = queueMicrotask)]
    fn queue_microtask(task: &Function);

    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;

    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn fill_with_random(bytes: &mut [u8]);

    /// Runs a function later; gives its number.
    #[wasm_bindgen(js_name = setTimeout)]
    pub(crate) fn set_timeout(task: &Function, wait_ms: f64) -> f64;

    /// Forgets a function that was to run later.
    #[wasm_bindgen(js_name = clearTimeout)]
    pub(crate) fn clear_timeout(number: f64);
}

/// Milliseconds on a clock that never goes back.
pub(crate) fn now() -> Millis {
    performance_now() as Millis
}

/// Runs something when the turn's own code is through, before the next event.
pub(crate) fn soon(task: impl FnOnce() + 'static) {
    queue_microtask(Closure::once_into_js(task).unchecked_ref());
}

/// Random bytes, fit for secrets.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill_with_random(&mut bytes);
    bytes
}

/// The address of the page or worker, which addresses may be relative to.
pub(crate) fn location() -> Option<String> {
    let location = Reflect::get(&js_sys::global(), &JsValue::from_str("location")).ok()?;
    Reflect::get(&location, &JsValue::from_str("href")).ok()?.as_string()
}
