//! Transactions on PostgreSQL: a pool of connections, and commits shared by writers of one space.
//!
//! Writers of one space take turns on its row, so here they wait in a queue of
//! their own instead of each holding a connection: whoever waits when a commit
//! ends goes into the next one, each under a savepoint. Spaces do not wait for
//! each other; their commits share the server's own flush.
//!
//! # Always true
//!
//! * An operation that was begun goes on when its caller is dropped: it runs in a task.
//! * Writes run at READ COMMITTED, because what they read they read after they
//!   hold the space's row; reads run on one snapshot.
//! * What failed because of a neighbour (a deadlock, a row that appeared
//!   meanwhile) or of a lost connection runs again, a bounded number of times. A
//!   connection that is lost during COMMIT is *unknown*, and never repeated.
//! * A COMMIT counts only when every statement before it succeeded: after a
//!   failed one PostgreSQL answers COMMIT without an error, by rolling back.
//! * A background operation holds at most one connection, and readers always
//!   find one that no writer may take.
//!
//! # What surprises
//!
//! Numbers of rows come from the table `counter`, as on SQLite, but by a short
//! transaction of its own and many at once: a counter that is part of the
//! writer's transaction would make all writers of the installation take turns.

pub(crate) mod connect;
mod numbers;
mod schema;
#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;
pub(crate) mod transaction;
pub mod url;
mod writers;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use deadpool_postgres::ClientWrapper;
use deadpool_postgres::Pool;
use futures_util::FutureExt;

use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::postgres::connect::Server;
use crate::store::metadata::postgres::connect::store_error;
use crate::store::metadata::postgres::numbers::Numbers;
use crate::store::metadata::postgres::schema::Expectation;
use crate::store::metadata::postgres::transaction::Fault;
use crate::store::metadata::postgres::transaction::PostgresTx;
use crate::store::metadata::postgres::transaction::StatementTypes;
use crate::store::metadata::postgres::url::DatabasePassword;
use crate::store::metadata::postgres::writers::Writers;
use crate::store::metadata::sqlite::Urgency;
use crate::store::metadata::tx::Operation;

/// How often a read whose connection was lost is tried in all.
const READ_ATTEMPTS_MAX: usize = 3;

/// How a server uses PostgreSQL.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// Connections of this server; a quarter of them is kept for reading.
    pub connections: usize,
    /// Operations on one space that may share a commit.
    pub commit_operations: usize,
    /// Certificates (PEM) that may vouch for the database; `None`: the system's.
    pub root_certificates: Option<PathBuf>,
    /// In place of one in the URL.
    pub password: Option<DatabasePassword>,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self {
            connections: 16,
            commit_operations: 32,
            root_certificates: None,
            password: None,
        }
    }
}

/// What every transaction of this server shares.
#[derive(Debug)]
struct Shared {
    pool: Pool,
    types: StatementTypes,
    numbers: Numbers,
    /// How often a transaction waited for answers.
    round_trips: AtomicU64,
}

/// The PostgreSQL engine.
#[derive(Debug)]
pub(crate) struct Postgres {
    shared: Arc<Shared>,
    writers: Arc<Writers>,
}

impl Postgres {
    /// Connects, tests that the server keeps what it acknowledges, and brings the schema up to date.
    pub(crate) async fn open(url: &str, settings: &PostgresSettings) -> StoreResult<Self> {
        Self::open_expecting(url, settings, Expectation::Complete).await
    }

    /// Connects to a database that is to receive, or is receiving, another database's rows.
    pub(crate) async fn open_to_fill(
        url: &str,
        settings: &PostgresSettings,
        source: &str,
    ) -> StoreResult<Self> {
        Self::open_expecting(url, settings, Expectation::FilledFrom(source)).await
    }

    async fn open_expecting(
        url: &str,
        settings: &PostgresSettings,
        expectation: Expectation<'_>,
    ) -> StoreResult<Self> {
        let server = Server::parse(url, settings)?;
        let connections = settings.connections.max(4);
        let pool = server.pool(connections)?;
        let client = connection(&pool).await?;
        schema::refuse_unsafe(&client).await?;
        schema::migrate(&client, expectation).await?;
        drop(client);
        let shared = Arc::new(Shared {
            pool,
            types: StatementTypes::default(),
            numbers: Numbers::new(server.numbers_pool()?),
            round_trips: AtomicU64::new(0),
        });
        let writers = Writers::new(
            Arc::clone(&shared),
            connections - connections / 4,
            settings.commit_operations.max(1),
        );
        Ok(Self { shared, writers })
    }

    /// Queues an operation at once; the future waits for its durable commit.
    pub(crate) fn write<O: Operation>(
        &self,
        operation: O,
        urgency: Urgency,
    ) -> impl Future<Output = StoreResult<O::Output>> + Send + use<O> {
        self.writers.write(operation, urgency)
    }

    /// Runs a read-only operation on one snapshot.
    pub(crate) async fn read<O: Operation>(&self, operation: O) -> StoreResult<O::Output> {
        let mut attempts = 1;
        loop {
            let (result, fault) = self.read_once(&operation).await?;
            match fault {
                Some(Fault::Lost | Fault::Again) if attempts < READ_ATTEMPTS_MAX => attempts += 1,
                Some(_) | None => return result,
            }
        }
    }

    async fn read_once<O: Operation>(
        &self,
        operation: &O,
    ) -> StoreResult<(StoreResult<O::Output>, Option<Fault>)> {
        let client = connection(&self.shared.pool).await?;
        let mut tx = PostgresTx::new(&client, &self.shared);
        tx.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        let result = AssertUnwindSafe(operation.run(&mut tx))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(StoreError::Database("an operation panicked".into())));
        let settled = tx.settle().await;
        Ok((
            result.and_then(|output| settled.map(|()| output)),
            tx.fault(),
        ))
    }

    /// Returns how many writes wait for a commit to end.
    pub(crate) fn waiting_writes(&self) -> usize {
        self.writers.waiting()
    }

    /// Returns how often transactions waited for answers since the start.
    pub(crate) fn round_trips(&self) -> u64 {
        self.shared.round_trips.load(Ordering::Relaxed)
    }

    /// Returns a connection for what is no operation.
    pub(crate) async fn connection(&self) -> StoreResult<deadpool_postgres::Object> {
        connection(&self.shared.pool).await
    }

    /// Takes an advisory lock with a session of its own; `None`: another session has it.
    ///
    /// The session is none of the pool's any more; the lock goes with it.
    pub(crate) async fn lock_session(&self, number: i64) -> StoreResult<Option<ClientWrapper>> {
        let session = deadpool_postgres::Object::take(self.connection().await?);
        let row = session
            .query_one("SELECT pg_try_advisory_lock($1)", &[&number])
            .await
            .map_err(|error| store_error(&error))?;
        let is_ours: bool = row.try_get(0).map_err(|error| store_error(&error))?;
        Ok(is_ours.then_some(session))
    }

    /// Finishes what was begun and closes the connections. Blocks, for some seconds at most.
    pub(crate) fn close(&self) {
        self.writers.close();
        self.shared.pool.close();
        self.shared.numbers.close();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.close();
    }
}

/// Takes a connection from the pool; fails when none is free for a while, or none can be made.
async fn connection(pool: &Pool) -> StoreResult<deadpool_postgres::Object> {
    use deadpool_postgres::HookError;
    use deadpool_postgres::PoolError;
    pool.get().await.map_err(|error| match error {
        PoolError::Closed => StoreError::Closed,
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
            match store_error(&error) {
                StoreError::Database(text) => StoreError::Unavailable(text),
                other => other,
            }
        }
        other => StoreError::Unavailable(other.to_string()),
    })
}
