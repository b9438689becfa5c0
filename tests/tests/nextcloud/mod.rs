//! What sync clients of the Nextcloud family do, by requests written by hand.

mod uploads;
