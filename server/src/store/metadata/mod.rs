//! Everything Nuage remembers about nodes, contents, locks and people.
//!
//! An [`Operation`](tx::Operation) is one whole transaction, written once over
//! the trait [`Tx`](tx::Tx). [`MetadataStore`] runs it: writes are gathered into
//! durable group commits, reads see one snapshot.

pub mod accounts;
mod across;
pub mod activity;
pub mod audience;
pub mod backup;
pub mod browse;
pub mod changes;
pub mod check;
#[cfg(test)]
#[path = "conformance.rs"]
mod conformance_on_postgres;
#[cfg(test)]
#[expect(clippy::duplicate_mod, reason = "one suite, run on each engine")]
#[path = "conformance.rs"]
mod conformance_on_sqlite;
pub mod contents;
pub mod copy;
pub mod deleted;
mod details;
pub mod dialect;
#[cfg(test)]
#[path = "directory_conformance.rs"]
mod directory_on_postgres;
#[cfg(test)]
#[expect(clippy::duplicate_mod, reason = "one suite, run on each engine")]
#[path = "directory_conformance.rs"]
mod directory_on_sqlite;
pub mod ended_locks;
pub mod error;
pub mod feed;
pub mod grants;
pub mod history;
pub mod jobs;
pub mod locks;
pub mod mail;
pub mod marks;
pub mod migrate;
pub mod mounts;
pub mod nodes;
pub mod notices;
pub mod packs;
pub mod parts;
#[cfg(test)]
mod plans;
pub mod postgres;
pub mod precondition;
pub mod records;
pub mod redirections;
pub mod search;
pub mod secret_mark;
pub mod shares;
pub(crate) mod sharing_news;
#[cfg(test)]
#[path = "sign_in_conformance.rs"]
mod sign_in_on_postgres;
#[cfg(test)]
#[expect(clippy::duplicate_mod, reason = "one suite, run on each engine")]
#[path = "sign_in_conformance.rs"]
mod sign_in_on_sqlite;
pub mod sqlite;
#[cfg(test)]
pub(crate) mod testing;
pub mod trash;
pub mod tree;
pub mod turn;
pub mod tx;
pub mod upload;
pub mod versions;
pub(crate) mod walk;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use futures_util::future::Either;

use crate::store::metadata::accounts::ReadAccountMark;
use crate::store::metadata::changes::Changes;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::postgres::Postgres;
use crate::store::metadata::postgres::PostgresSettings;
use crate::store::metadata::sqlite::ExpectedWrite;
use crate::store::metadata::sqlite::Sqlite;
use crate::store::metadata::sqlite::SqliteSettings;
use crate::store::metadata::sqlite::Urgency;
use crate::store::metadata::turn::BeginTurn;
use crate::store::metadata::turn::Duty;
use crate::store::metadata::turn::Fence;
use crate::store::metadata::turn::Fenced;
use crate::store::metadata::turn::Turn;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;

/// The door to the metadata database.
#[derive(Debug)]
pub struct MetadataStore {
    engine: Engine,
    changes: Arc<Changes>,
    /// Rises whenever this process, or another on the same SQLite file, may have changed who sees what.
    sharing: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl MetadataStore {
    /// Opens (or creates) a SQLite database; blocks for a moment.
    ///
    /// Fails when the file is of a newer schema than this program knows.
    pub fn open_sqlite(path: &Path, settings: SqliteSettings) -> StoreResult<Self> {
        Ok(Self {
            engine: Engine::Sqlite(Sqlite::open(path, settings)?),
            changes: Arc::default(),
            sharing: Arc::default(),
        })
    }

    /// Connects to a PostgreSQL database by its URL, `postgres://…`, and brings its schema up to date.
    ///
    /// Fails when the server would lose what it acknowledges (`fsync`,
    /// `synchronous_commit` or `full_page_writes` off), is too old, or holds a newer schema.
    /// Any number of servers may use one database; operations run in tasks of the present runtime.
    pub async fn open_postgres(url: &str, settings: &PostgresSettings) -> StoreResult<Self> {
        Ok(Self {
            engine: Engine::Postgres(Postgres::open(url, settings).await?),
            changes: Arc::default(),
            sharing: Arc::default(),
        })
    }

    /// Returns the database file; `None`: the database is a server's.
    pub fn path(&self) -> Option<&Path> {
        match &self.engine {
            Engine::Sqlite(engine) => Some(engine.path()),
            Engine::Postgres(_) => None,
        }
    }

    /// Runs an operation durably: when this returns, a power cut cannot undo it.
    ///
    /// The operation is queued at once and goes on if the returned future is dropped.
    pub fn write<O: Operation>(
        &self,
        operation: O,
    ) -> impl Future<Output = StoreResult<O::Output>> + Send + use<O> {
        self.write_as(operation, Urgency::Foreground)
    }

    fn write_as<O: Operation>(
        &self,
        operation: O,
        urgency: Urgency,
    ) -> impl Future<Output = StoreResult<O::Output>> + Send + use<O> {
        match Fence::present() {
            None => Either::Left(self.hand_over(operation, urgency)),
            Some(fence) => Either::Right(self.hand_over(Fenced { fence, operation }, urgency)),
        }
    }

    fn hand_over<O: Operation>(
        &self,
        operation: O,
        urgency: Urgency,
    ) -> impl Future<Output = StoreResult<O::Output>> + Send + use<O> {
        let changes = Arc::clone(&self.changes);
        let sharing = operation
            .changes_sharing()
            .then(|| Arc::clone(&self.sharing));
        let space = operation.space();
        let written = match &self.engine {
            Engine::Sqlite(engine) => Either::Left(engine.write(operation, urgency)),
            Engine::Postgres(engine) => Either::Right(engine.write(operation, urgency)),
        };
        async move {
            let outcome = written.await;
            if let Some(sharing) = sharing {
                sharing.fetch_add(1, Ordering::Release);
                changes.note_sharing();
            }
            if let (Some(space), true) = (space, outcome.is_ok()) {
                changes.note(space);
            }
            outcome
        }
    }

    /// Returns who watches which space.
    fn changes(&self) -> &Arc<Changes> {
        &self.changes
    }

    /// Takes a duty that one process has at a time; `None`: another one has it.
    ///
    /// On SQLite the caller must hold the data folder, and every turn before ends.
    pub async fn take_turn(&self, duty: Duty) -> StoreResult<Option<Turn>> {
        let session = match &self.engine {
            Engine::Sqlite(_) => None,
            Engine::Postgres(engine) => {
                let Some(session) = engine.lock_session(duty.lock_number()).await? else {
                    return Ok(None);
                };
                Some(session)
            }
        };
        let number = self.write(BeginTurn(duty)).await?;
        Ok(Some(Turn::new(duty, number, session)))
    }

    /// Runs a background operation: like `write`, but at most one of them joins a commit.
    pub async fn write_in_background<O: Operation>(&self, operation: O) -> StoreResult<O::Output> {
        self.write_as(operation, Urgency::Background).await
    }

    /// Runs a read-only operation on one snapshot.
    pub async fn read<O: Operation>(&self, operation: O) -> StoreResult<O::Output> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.read(operation).await,
            Engine::Postgres(engine) => engine.read(operation).await,
        }
    }

    /// Announces that a write follows within a moment, so that it can share a commit.
    pub fn expect_write(&self) -> ExpectedWrite {
        match &self.engine {
            Engine::Sqlite(engine) => engine.expect_write(),
            Engine::Postgres(_) => ExpectedWrite::ignored(),
        }
    }

    /// Returns how many writes wait for the writer.
    pub fn waiting_writes(&self) -> usize {
        match &self.engine {
            Engine::Sqlite(engine) => engine.waiting_writes(),
            Engine::Postgres(engine) => engine.waiting_writes(),
        }
    }

    /// Returns how often transactions waited for a database server since the start; `None`: it is none.
    pub fn round_trips(&self) -> Option<u64> {
        match &self.engine {
            Engine::Sqlite(_) => None,
            Engine::Postgres(engine) => Some(engine.round_trips()),
        }
    }

    /// Returns a number that changes when another process has changed accounts or tokens.
    ///
    /// On SQLite it also changes with other writes of other processes, on PostgreSQL with
    /// this process's own changes of accounts.
    pub async fn data_version(&self) -> StoreResult<i64> {
        match &self.engine {
            Engine::Sqlite(_) => self.write_in_background(DataVersion).await,
            Engine::Postgres(engine) => engine.read(ReadAccountMark).await,
        }
    }

    /// Returns a number that is another one whenever who sees what may have changed since; `None`: other
    /// servers may change it at any time.
    pub fn sharing_version(&self) -> Option<u64> {
        match &self.engine {
            Engine::Sqlite(_) => Some(self.sharing.load(Ordering::Acquire)),
            Engine::Postgres(_) => None,
        }
    }

    /// Says that another process may have changed who sees what.
    pub fn note_sharing(&self) {
        self.sharing.fetch_add(1, Ordering::Release);
    }

    /// Finishes what is queued and folds the write-ahead log back. Blocks.
    pub fn close(&self) {
        match &self.engine {
            Engine::Sqlite(engine) => engine.close(),
            Engine::Postgres(engine) => engine.close(),
        }
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
