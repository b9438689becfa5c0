//! What survives a restart: metadata (nodes, people, locks) and chunks (bytes).
//!
//! Content is made durable by `chunks` before a transaction of `metadata`
//! names it, and is deleted late, when no transaction names it any more.

pub mod chunks;
pub mod folder;
pub mod metadata;
