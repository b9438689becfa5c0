//! The harness: starts the real `nuage-server`, speaks HTTP to it byte by byte, breaks it on purpose.
//!
//! A test says [`TestServer::start`], asks it for a [`User`], and sends requests
//! through it. Everything blocks; nothing here knows the server's own code, so
//! that a mistake in it cannot hide behind the same mistake in the harness.
//!
//! * [`server`]: the process: its data folder, settings, clock, signals, memory and log.
//! * [`shape`]: on SQLite and a folder, or on PostgreSQL and S3 ([`postgres`], [`object_store`]).
//! * [`command`]: running `nuage-server user add …` and other programs.
//! * [`http`]: HTTP/1.1 by hand, also such as no decent client would send.
//! * [`user`]: requests of one signed-in person, in ten words.
//! * [`browser`]: pages, cookies and forms, as somebody with a browser would use them.
//! * [`multistatus`]: what a 207 says.
//! * [`front`]: an address that outlives the server behind it, for sync clients.
//! * [`mail_server`]: a real server of mail that keeps what it takes.
//! * [`data`]: bytes that can be made again from a seed; random choices that can be repeated.
//!
//! *Always true:* a server is killed when its test ends, and a test whose server
//! panicked fails even if every answer looked right.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "this is test code: a failed assumption must end the test there"
)]

pub mod browser;
pub mod command;
pub mod data;
pub mod front;
pub mod http;
mod keeper;
pub mod mail_server;
pub mod multistatus;
pub mod object_store;
pub mod postgres;
pub mod server;
pub mod shape;
pub mod user;
pub mod wait;

pub use server::TestServer;
pub use user::User;
