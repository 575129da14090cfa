//! Helpers of the integration tests live in `it/`; this library is empty so that cargo has a target.
