//! Does the server say to clients of the Nextcloud family what they expect?

mod direct;
mod previews;
