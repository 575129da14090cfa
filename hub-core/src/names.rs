//! The names that a hub knows, whatever log their messages are in: topics, patterns that are listened to, and names
//! that went.

pub mod directory;

pub mod producers;

pub mod follow;

pub mod forgotten;
