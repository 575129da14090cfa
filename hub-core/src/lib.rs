//! Frame reader lives in `websocket`.
