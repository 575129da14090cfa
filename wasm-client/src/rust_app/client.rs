//! The handle that front ends hold.

use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;

use tidewire_client_core::fault::Fault;
use tidewire_client_core::options::SubscribeOptions;
use tidewire_client_core::output::Status;

use crate::rust_app::besides::Besides;
use crate::rust_app::driver::Driver;
use crate::rust_app::event::Event;
use crate::rust_app::global;
use crate::rust_app::handler::Handler;
use crate::rust_app::link::socket_url;
use crate::rust_app::publishing::{PublishError, Publishing};
use crate::rust_app::subscription::{StatusWatch, Subscription};

/// A client of one hub. Clones share it; it ends when the last one and the last subscription are dropped.
#[derive(Debug, Clone)]
pub struct Client {
    driver: Rc<Driver>,
}

/// Why an address cannot be connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// It is no address of a hub.
    #[error("`{0}` is no address of the form https://host")]
    NoUrl(String),
}

/// Why a name cannot be subscribed to: it is none, or the client is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot subscribe: {}", .0.name())]
pub struct SubscribeError(pub Fault);

impl Client {
    /// Starts a client of the hub at `https://host`, or at `/` for the host that the page came from. Being offline
    /// is no error: it keeps trying.
    ///
    /// # Errors
    /// [`ConnectError`] if the address cannot be connected to at all.
    pub fn connect(url: &str) -> Result<Self, ConnectError> {
        let url = socket_url(url).ok_or_else(|| ConnectError::NoUrl(url.into()))?;
        Ok(Self { driver: Driver::start(url) })
    }

    /// Publishes data as JSON, behind all that was published before it. It is in the outbox when this returns; the
    /// future says what becomes of it.
    pub fn publish<T: Serialize + ?Sized>(&self, topic: &str, data: &T) -> Publishing {
        self.publish_with(topic, data, &Besides::default())
    }

    /// As [`Self::publish`], with what the message has besides, and on these terms.
    pub fn publish_with<T: Serialize + ?Sized>(
        &self,
        topic: &str,
        data: &T,
        besides: &Besides,
    ) -> Publishing {
        match serde_json::to_vec(data) {
            Ok(payload) => self.publish_payload(topic, payload, besides, false),
            Err(error) => Publishing::failed(error.into()),
        }
    }

    /// Publishes that a key, which is the message's, has no value any more.
    pub fn remove(&self, topic: &str, besides: &Besides) -> Publishing {
        self.publish_payload(topic, Vec::new(), besides, true)
    }

    /// As [`Self::publish`], with data that JavaScript gave.
    pub fn publish_js(&self, topic: &str, data: JsValue) -> Publishing {
        match serde_wasm_bindgen::from_value::<serde_json::Value>(data) {
            Ok(data) => self.publish(topic, &data),
            Err(error) => Publishing::failed(PublishError::NoJsonValue(error)),
        }
    }

    fn publish_payload(&self, topic: &str, payload: Vec<u8>, besides: &Besides, removes: bool) -> Publishing {
        let besides = match besides.read(removes) {
            Ok(besides) => besides,
            Err(error) => return Publishing::failed(error),
        };
        let (promise, publishing) = Publishing::pending();
        self.driver.ask(|state| state.publish(topic, payload, besides, promise));
        publishing
    }

    /// Listens to a topic or pattern, whose messages are `T` in JSON.
    ///
    /// The handler is called after this has returned, and never while it is running: it may use the client as it
    /// likes. A message counts as settled when the handler returns.
    ///
    /// # Errors
    /// [`SubscribeError`]. What the hub refuses is told to the handler, as [`Event::Ended`].
    pub fn subscribe<T: DeserializeOwned>(
        &self,
        name: &str,
        options: SubscribeOptions,
        mut handler: impl FnMut(Event<T>) + 'static,
    ) -> Result<Subscription, SubscribeError> {
        let handler = Handler::new(move |event: Event<()>| handler(event.decoded()));
        // The clone is dropped outside should the name be refused: it may own what calls the client.
        let listener = self.driver.ask(|state| state.subscribe(name, options, handler.clone()));
        Ok(Subscription::new(Rc::clone(&self.driver), listener.map_err(SubscribeError)?))
    }

    /// How the client stands to its hub.
    #[must_use]
    pub fn status(&self) -> Status {
        self.driver.status()
    }

    /// Calls a handler with each change of [`Self::status`].
    pub fn watch_status(&self, handler: impl FnMut(Status) + 'static) -> StatusWatch {
        let handler = Handler::new(handler);
        let watcher = self.driver.ask(|state| state.watch(handler));
        StatusWatch::new(Rc::clone(&self.driver), watcher)
    }

    /// Ends the client. What waits in the outbox fails, and subscriptions hear [`Event::Ended`].
    pub fn close(&self) {
        self.driver.ask(|state| state.core.close(global::now()));
    }
}
