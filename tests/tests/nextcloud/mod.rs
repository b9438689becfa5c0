//! What clients of the Nextcloud family rely on beside plain WebDAV, by requests written by hand.

mod favorites;
mod locks;
mod properties;
mod trash;
mod versions;
