//! One WebSocket, which knows no frame. What it says after it was given up is not heard.

use std::rc::Rc;

use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{BinaryType, CloseEvent, MessageEvent, Url, WebSocket};

use tidewire_protocol::SUBPROTOCOL_BINARY;

use crate::rust_app::global;

/// What comes from a link.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// It is up.
    Opened,
    /// A binary message.
    Received(Rc<[u8]>),
    /// It is gone, with this close code.
    Closed(u16),
}

/// A WebSocket's near end. Dropping it closes the socket and ends its events.
#[derive(Debug)]
pub(crate) struct Link {
    socket: WebSocket,
    /// JavaScript calls them, and does not keep them alive.
    _on_open: Closure<dyn Fn()>,
    _on_message: Closure<dyn Fn(MessageEvent)>,
    _on_close: Closure<dyn Fn(CloseEvent)>,
}

impl Link {
    /// Starts connecting. Nothing if the browser will not have this address.
    pub(crate) fn open(url: &str, tell: impl Fn(LinkEvent) + Clone + 'static) -> Option<Self> {
        let socket = WebSocket::new_with_str(url, SUBPROTOCOL_BINARY).ok()?;
        socket.set_binary_type(BinaryType::Arraybuffer);
        let (told, received) = (tell.clone(), tell.clone());
        let on_open = Closure::<dyn Fn()>::new(move || told(LinkEvent::Opened));
        let on_message = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            // The hub sends no text.
            if let Ok(buffer) = event.data().dyn_into::<ArrayBuffer>() {
                received(LinkEvent::Received(Uint8Array::new(&buffer).to_vec().into()));
            }
        });
        // An error tells nothing that the close after it does not.
        let on_close = Closure::<dyn Fn(CloseEvent)>::new(move |event: CloseEvent| {
            tell(LinkEvent::Closed(event.code()))
        });
        socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        Some(Self { socket, _on_open: on_open, _on_message: on_message, _on_close: on_close })
    }

    /// Sends one binary message.
    pub(crate) fn send(&self, message: &[u8]) {
        // A link that is gone says so by its last event.
        let _ = self.socket.send_with_u8_array(message);
    }

    /// Closes the link.
    pub(crate) fn close(self, code: u16) {
        let _ = self.socket.close_with_code(code);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        // Closing again what was closed does nothing.
        let _ = self.socket.close();
    }
}

/// The address of a hub's WebSocket: the path may be left out, and http stands for ws.
pub(crate) fn socket_url(address: &str) -> Option<String> {
    let url = match global::location() {
        Some(base) => Url::new_with_base(address, &base),
        None => Url::new(address),
    };
    let url = url.ok()?;
    match url.protocol().as_str() {
        "http:" => url.set_protocol("ws:"),
        "https:" => url.set_protocol("wss:"),
        "ws:" | "wss:" => {}
        _ => return None,
    }
    if url.pathname() == "/" {
        url.set_pathname("/v1/ws");
    }
    Some(url.href())
}

/// The close code of a link that ended without one (RFC 6455, 7.1.5).
pub(crate) const ABNORMAL: u16 = 1006;
