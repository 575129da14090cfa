//! Frame reader lives in `websocket`.

pub mod websocket;
