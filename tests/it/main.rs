//! One integration binary: a real hub in a process of its own, real sockets, literal bytes.

// A test may fail where it stands, say why, and take `json!` values as they are made.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::needless_pass_by_value)]

mod jwks;
mod layers;

mod acme;
mod activation;
mod admin;
mod attributes;
mod beyond_memory;
mod claims;
mod command_attributes;
mod command_line;
mod command_values;
mod configuration;
mod contexts;
mod described;
mod durable;
mod durable_damage;
mod durable_refusals;
mod events;
mod frames;
mod handshakes;
mod history;
mod http;
mod http2;
mod http2_bounds;
mod http_callers;
mod largest;
mod live_map;
mod log_command;
mod log_copies;
mod log_obstacles;
mod logs;
mod native_client;
mod operator;
mod proxy;
mod proxy_protocol;
mod recipes;
mod refusals;
mod reload;
mod revocations;
mod rights;
mod signals;
mod silence;
mod socket_file;
mod subscribers;
mod tls;
mod tls_clients;
mod token_command;
mod token_limits;
mod tokens;
mod under_load;
mod updates;
mod ways;

mod support;
