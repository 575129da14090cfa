//! Moves bytes, time and events between the core, the browser and the application.
//!
//! The state is borrowed only while the core works. What it wants of link and timer is done at once; what the
//! application is to hear is queued, and said after the borrow has ended. So handlers may call the client, and
//! what they ask for is done behind them, in a microtask: all publishes of one turn share WebSocket messages.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use tidewire_client_core::input::{Input, Millis};
use tidewire_client_core::output::{Output, Status};

use crate::rust_app::event::Event;
use crate::rust_app::global;
use crate::rust_app::link::{ABNORMAL, Link, LinkEvent};
use crate::rust_app::state::{State, Told};
use crate::rust_app::timer::Timer;
use crate::rust_app::visibility::{Visibility, Watch};

/// One running client. It ends when its last handle and its last subscription are dropped.
#[derive(Debug)]
pub(crate) struct Driver {
    url: String,
    state: RefCell<State>,
    /// Whether the application is being told things, further down the stack.
    telling: Cell<bool>,
    /// Callbacks of the browser must not keep the client alive.
    own: Weak<Self>,
    _visibility: Watch,
}

impl Driver {
    /// Starts connecting to a WebSocket address.
    pub(crate) fn start(url: String) -> Rc<Self> {
        let driver = Rc::new_cyclic(|own: &Weak<Self>| {
            let hearing = own.clone();
            let visibility = Watch::start(move |visibility| {
                if let Some(driver) = hearing.upgrade() {
                    driver.seen(visibility);
                }
            });
            Self {
                url,
                state: RefCell::new(State::new()),
                telling: Cell::new(false),
                own: own.clone(),
                _visibility: visibility,
            }
        });
        driver.ask(|state| state.core.connect(global::now()));
        driver
    }

    /// Calls the core on behalf of the application, whose code may be running; what follows from it comes later
    /// in this turn.
    pub(crate) fn ask<R>(&self, call: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.borrow_mut();
        let result = call(&mut state);
        self.drain_soon(&mut state);
        result
    }

    /// How the client stands to its hub.
    pub(crate) fn status(&self) -> Status {
        self.state.borrow().status
    }

    fn drain_soon(&self, state: &mut State) {
        if state.drain_due {
            return;
        }
        state.drain_due = true;
        // Whatever was asked for before the last handle is dropped is still done.
        if let Some(driver) = self.own.upgrade() {
            global::soon(move || driver.happened(|_, _| {}));
        }
    }

    /// Tells the core of something that happened outside, and does all that follows from it.
    fn happened(&self, call: impl FnOnce(&mut State, Millis)) {
        self.happened_in(&Rc::from([]), call);
    }

    fn happened_in(&self, received: &Rc<[u8]>, call: impl FnOnce(&mut State, Millis)) {
        {
            let state = &mut *self.state.borrow_mut();
            state.drain_due = false;
            call(state, global::now());
            self.drain(state, received);
        }
        self.tell();
    }

    /// Does what the core wants of link and timer, and queues what the application is to hear.
    fn drain(&self, state: &mut State, received: &Rc<[u8]>) {
        while let Some(output) = state.core.poll_output() {
            match output {
                Output::OpenLink => self.open_link(state),
                Output::CloseLink { code } => {
                    if let Some(link) = state.link.take() {
                        link.close(code);
                    }
                }
                Output::Send(packet) => {
                    let message = state.splice(&packet);
                    if let Some(link) = &state.link {
                        link.send(&message);
                    }
                }
                // There are no tokens yet.
                Output::NeedToken { .. } => state.core.token_failed(global::now(), true),
                Output::Event(event) => state.event(event, received),
            }
        }
        self.set_timer(state);
    }

    fn open_link(&self, state: &mut State) {
        let own = self.own.clone();
        state.link = Link::open(&self.url, move |event| {
            if let Some(driver) = own.upgrade() {
                driver.link_event(event);
            }
        });
        if state.link.is_none() {
            state.core.handle(global::now(), Input::LinkClosed { code: ABNORMAL });
        }
    }

    fn link_event(&self, event: LinkEvent) {
        match event {
            LinkEvent::Opened => self.happened(|state, now| state.core.handle(now, Input::LinkOpened)),
            LinkEvent::Received(bytes) => self.happened_in(&bytes, |state, now| {
                state.core.handle(now, Input::Received(&bytes));
            }),
            LinkEvent::Closed(code) => self.happened(|state, now| {
                state.link = None;
                state.core.handle(now, Input::LinkClosed { code });
            }),
        }
    }

    fn set_timer(&self, state: &mut State) {
        let deadline = state.core.deadline();
        if state.timer.as_ref().map(Timer::at) == deadline {
            return;
        }
        state.timer = deadline.map(|at| {
            let own = self.own.clone();
            Timer::start(at, move || {
                if let Some(driver) = own.upgrade() {
                    driver.happened(|state, now| {
                        state.timer = None;
                        state.core.handle(now, Input::Timeout);
                    });
                }
            })
        });
    }

    fn seen(&self, visibility: Visibility) {
        self.happened(|state, now| {
            let input = match visibility {
                Visibility::Shown => Input::Online,
                Visibility::Hidden => Input::Suspend,
            };
            state.core.handle(now, input);
        });
    }

    /// Says to the application what is queued, one word after another, the state free each time.
    fn tell(&self) {
        if self.telling.replace(true) {
            return;
        }
        // Each borrow ends with its own statement, before the application's code runs.
        loop {
            let told = self.state.borrow_mut().next_told();
            match told {
                None => break,
                Some(Told::Outcome(promise, outcome)) => promise.settle(outcome),
                Some(Told::Status(status)) => {
                    let watchers = self.state.borrow().watchers();
                    watchers.iter().for_each(|watcher| watcher.call(status));
                }
                Some(Told::Event(listener, event)) => {
                    let reader = self.state.borrow_mut().reader_of(listener, &event);
                    let Some(reader) = reader else { continue };
                    let bytes = if let Event::Message(message) = &event {
                        Some(message.payload().len())
                    } else {
                        None
                    };
                    reader.call(event);
                    if let Some(bytes) = bytes {
                        self.state.borrow_mut().settled(listener, bytes);
                    }
                }
            }
        }
        self.telling.set(false);
        let state = &mut *self.state.borrow_mut();
        if state.settle() {
            self.drain_soon(state);
        }
    }
}
