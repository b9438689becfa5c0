//! Everything Nuage remembers about nodes, contents, locks and people.

pub mod accounts;
pub mod error;
pub mod records;
pub mod tx;

use crate::store::metadata::error::StoreResult;
use crate::store::metadata::tx::Operation;

/// The door to the metadata database.
#[derive(Debug)]
pub struct MetadataStore {}

impl MetadataStore {
    /// Runs an operation durably: when this returns, a power cut cannot undo it.
    ///
    /// The operation goes on if the returned future is dropped.
    pub async fn write<O: Operation>(&self, _operation: O) -> StoreResult<O::Output> {
        todo!()
    }

    /// Runs a background operation: like `write`, but with a small share of the writer's time.
    pub async fn write_in_background<O: Operation>(&self, _operation: O) -> StoreResult<O::Output> {
        todo!()
    }

    /// Runs a read-only operation on one snapshot.
    pub async fn read<O: Operation>(&self, _operation: O) -> StoreResult<O::Output> {
        todo!()
    }
}
