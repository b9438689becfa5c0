//! The Nuage server: storage core, rules, and the protocols on top.

pub mod clock;
pub mod dav;
pub mod files;
pub mod http;
pub mod identity;
pub mod jobs;
pub mod size;
pub mod store;
