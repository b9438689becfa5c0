//! What clients of the Nextcloud family rely on beside plain WebDAV, by requests written by hand.

mod locks;
mod properties;
mod search;
mod tags;
mod trash;
mod versions;
