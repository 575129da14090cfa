//! The Tidewire hub around its pure core: configuration, HTTP, threads, sockets and clocks.
//!
//! The modules, in the order a message meets them; each uses only those after it:
//! [`server`] (starts and stops a hub), [`config`] (what was written becomes what it means), [`acme`] (a certificate that the hub gets by itself), [`admin`] (health and
//! metrics), [`turned_down`] (what is told of those whom the hub refuses something), [`page`] (what a browser sees), [`http`] (the HTTP API), [`described`] (what can be asked, as OpenAPI), [`gate`] (HTTP and the WebSocket handshake), [`reactor`] (a thread for
//! each shard, and its sockets), [`tokens`] (whether one is sound, and what it says), [`tls`] (the hub's certificate), [`disk`] (the
//! files of a durable log), then leaves.

pub mod server;

pub mod config;

pub mod acme;

pub mod admin;
pub mod page;
pub mod turned_down;

pub mod http;

pub mod described;

pub mod gate;

pub mod reactor;

pub mod tokens;

pub mod tls;

pub mod disk;

pub mod small_file;

pub mod plain_file;

pub mod fetch;

pub mod assets;

pub mod gzip;

pub mod hosts;
pub mod seats;

pub mod place;

pub mod foreign;

pub mod logs;

pub mod report;
