//! Slow work: what time ends, collection, audit, backup, moves.
//!
//! [`schedule`] runs inside a server; a command without one calls the same work itself.
//! [`requests`] carries work from a command to the server that holds the packs.

pub mod backup;
pub mod housekeeping;
pub mod maintenance;
pub mod moving;
pub mod requests;
pub mod schedule;
