//! Slow work: what time ends, collection, audit, backup.
//!
//! [`schedule`](schedule::Schedule) runs inside a server; a command without one calls the
//! same work itself. [`requests`](requests) carries work from a command to the server
//! that holds the packs.

pub mod backup;
pub mod housekeeping;
