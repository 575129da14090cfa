//! Tidewire's bench: a load generator, servers to compare with, and the rows of the table.
//!
//! The modules, in the order a measurement meets them: [`command`] starts a [`campaign`], which takes each [`row`]
//! through its [`scenario`]s, holds it against its [`goal`]s and hands what they show to [`report`]. A scenario starts a [`server`] and brings a
//! [`load`], which speaks the server's [`dialect`] and books what arrives in a [`ledger`].

pub mod command;

pub mod campaign;
pub mod report;
pub mod row;

pub mod goal;
pub mod scenario;

pub mod server;

pub mod load;

pub mod dialect;
pub mod ledger;

pub mod event_stream;
pub mod tls;
pub mod tokens;
pub mod websocket;

pub mod folder;
pub mod open_hub;

pub mod histogram;
pub mod process;
pub mod stamp;
