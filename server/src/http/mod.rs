//! What every adapter needs: the caller of a request, statuses, bodies, limits. No routes here.
//!
//! A connection comes in at [`serve`](serve::serve), each of its requests goes through
//! [`observe`](observe::Handler) to a [`Handler`](observe::Handler), which asks
//! [`authenticate`](authenticate::authenticate) who is calling and hands the request to an adapter.

mod activity;
pub mod address;
pub mod archive;
pub mod authenticate;
pub mod body;
pub mod compress;
pub mod conditions;
pub mod download;
pub mod escape;
pub mod happening;
pub mod human;
pub mod language;
pub mod observe;
pub mod page;
pub mod places;
pub mod query;
pub mod serve;
pub mod session;
pub mod status;
pub mod tls;
pub mod visit;
pub mod websocket;
mod zip;
