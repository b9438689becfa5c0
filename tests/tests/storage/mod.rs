//! What was acknowledged is there: after crashes, full and failing disks, damage, backups and collections.

mod backup;
mod commands;
mod crash;
mod damage;
mod growth;
pub(crate) mod ledger;
mod old_data;
mod refusing_disk;
