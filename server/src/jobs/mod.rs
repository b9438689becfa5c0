//! Slow work: what time ends, collection, audit, backup.

pub mod housekeeping;
