//! Everything Nuage remembers about nodes, contents, locks and people.
//!
//! An [`Operation`](tx::Operation) is one whole transaction, written once over
//! the trait [`Tx`](tx::Tx). [`MetadataStore`] runs it: writes are gathered into
//! durable group commits, reads see one snapshot.

pub mod accounts;
pub mod backup;
pub mod browse;
pub mod check;
#[cfg(test)]
mod conformance;
pub mod contents;
pub mod copy;
pub mod dialect;
pub mod error;
pub mod feed;
pub mod history;
pub mod jobs;
pub mod locks;
pub mod nodes;
pub mod packs;
#[cfg(test)]
mod plans;
pub mod precondition;
pub mod records;
pub mod redirections;
pub mod sqlite;
pub mod tree;
pub mod tx;
pub mod upload;

use std::future::Future;
use std::path::Path;

use crate::store::metadata::error::StoreResult;
use crate::store::metadata::sqlite::ExpectedWrite;
use crate::store::metadata::sqlite::Sqlite;
use crate::store::metadata::sqlite::SqliteSettings;
use crate::store::metadata::sqlite::Urgency;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;

/// The door to the metadata database.
#[derive(Debug)]
pub struct MetadataStore {
    engine: Sqlite,
}

impl MetadataStore {
    /// Opens (or creates) a SQLite database; blocks for a moment.
    ///
    /// Fails when the file is of a newer schema than this program knows.
    pub fn open_sqlite(path: &Path, settings: SqliteSettings) -> StoreResult<Self> {
        Ok(Self {
            engine: Sqlite::open(path, settings)?,
        })
    }

    /// Returns the database file.
    pub fn path(&self) -> &Path {
        self.engine.path()
    }

    /// Runs an operation durably: when this returns, a power cut cannot undo it.
    ///
    /// The operation is queued at once and goes on if the returned future is dropped.
    pub fn write<O: Operation>(
        &self,
        operation: O,
    ) -> impl Future<Output = StoreResult<O::Output>> + Send + use<O> {
        self.engine.write(operation, Urgency::Foreground)
    }

    /// Runs a background operation: like `write`, but at most one of them joins a commit.
    pub async fn write_in_background<O: Operation>(&self, operation: O) -> StoreResult<O::Output> {
        self.engine.write(operation, Urgency::Background).await
    }

    /// Runs a read-only operation on one snapshot.
    pub async fn read<O: Operation>(&self, operation: O) -> StoreResult<O::Output> {
        self.engine.read(operation).await
    }

    /// Announces that a write follows within a moment, so that it can share a commit.
    pub fn expect_write(&self) -> ExpectedWrite {
        self.engine.expect_write()
    }

    /// Returns how many writes wait for the writer.
    pub fn waiting_writes(&self) -> usize {
        self.engine.waiting_writes()
    }

    /// Returns a number that changes when another process has written.
    pub async fn data_version(&self) -> StoreResult<i64> {
        self.write_in_background(DataVersion).await
    }

    /// Finishes what is queued and folds the write-ahead log back. Blocks.
    pub fn close(&self) {
        self.engine.close();
    }
}

/// Reads, on the writer's connection, the mark of other processes' writes.
struct DataVersion;

impl Operation for DataVersion {
    type Output = i64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<i64> {
        let version = tx
            .row("PRAGMA data_version", &[], |row: &dyn Row| row.int(0))
            .await?;
        Ok(version.unwrap_or(0))
    }
}
