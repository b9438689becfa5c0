//! Transactions on SQLite: one writer thread with group commit, a pool of readers.
//!
//! The writer takes every operation that waits (up to [`BATCH_MAX`]) into one
//! transaction, each under a savepoint of its own, and answers all of them
//! after the one durable COMMIT. An answer, also a refusal, waits for that
//! COMMIT, because it may rest on a neighbour that is not committed yet.
//!
//! # Always true
//!
//! * `synchronous=FULL`: what was answered survives a power cut.
//! * A failed operation leaves nothing behind. Where its failure took the whole
//!   transaction along (a full disk does that in SQLite), the others have not
//!   been answered and run again, one by one.
//! * An error of COMMIT other than a full disk is *unknown*, never *no*; the
//!   connection is then replaced and nothing is repeated blindly.
//! * An operation awaits nothing but its statements, which are always ready
//!   here, so its future is polled exactly once.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::config::DbConfig;
use rusqlite::types::ToSql;
use rusqlite::types::ToSqlOutput;
use rusqlite::types::ValueRef;
use tokio::runtime::RuntimeFlavor;
use tokio::sync::Semaphore;
use tokio::sync::oneshot;

use crate::store::metadata::dialect;
use crate::store::metadata::dialect::Engine;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::tx::Asked;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::tx::Value;
use crate::store::metadata::tx::count_statement;

/// Most operations in one durable commit.
const BATCH_MAX: usize = 256;
/// How long a batch stays open for writes that were announced but have not come.
const GATHER_MAX: Duration = Duration::from_micros(400);
/// How long a writer waits for another process before it looks again.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Readings in a row without another beside them, before the next runs where its request runs.
const ALONE_BEFORE: u32 = 64;
/// The WAL size, in pages, from which a checkpoint copies it back.
const CHECKPOINT_PAGES: i64 = 4_000;
/// The WAL size, in bytes, above which a checkpoint also cuts the file.
const WAL_BYTES_MAX: u64 = 256 << 20;
/// What ANALYZE counted is forgotten: counted while a database is young, it says that an index is
/// worth nothing, and a listing then walks through every node that there is. Without it the
/// planner trusts the indexes, whatever the size, and plans are those that `plans.rs` asserts.
const FORGET_STATISTICS: &str =
    "DROP TABLE IF EXISTS sqlite_stat1; DROP TABLE IF EXISTS sqlite_stat4";

/// How much memory and how many readers a database may use.
#[derive(Debug, Clone, Copy)]
pub struct SqliteSettings {
    /// Reader connections.
    pub readers: usize,
    /// Page cache of all connections together, in bytes.
    pub cache_bytes: u64,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        Self {
            readers: 4,
            cache_bytes: 24 << 20,
        }
    }
}

/// The SQLite engine: a writer thread and reader connections on one file.
#[derive(Debug)]
pub(crate) struct Sqlite {
    path: PathBuf,
    queue: Arc<Queue>,
    readers: Arc<Readers>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

impl Sqlite {
    /// Opens (or creates) the database file and brings its schema up to date.
    pub(crate) fn open(path: &Path, settings: SqliteSettings) -> StoreResult<Self> {
        let share = settings.cache_bytes / (settings.readers as u64 + 1);
        let mut writer = connect(path, share)?;
        migrate(&mut writer)?;
        let connections = (0..settings.readers)
            .map(|_| {
                let connection = connect(path, share)?;
                connection
                    .pragma_update(None, "query_only", true)
                    .map_err(|e| store_error(&e))?;
                Ok(connection)
            })
            .collect::<StoreResult<Vec<_>>>()?;
        let queue = Arc::new(Queue::default());
        let checkpointer = Arc::new(Checkpointer::default());
        let writer_thread = {
            let (queue, checkpointer) = (Arc::clone(&queue), Arc::clone(&checkpointer));
            let path = path.to_owned();
            spawn("nuage-writer", move || {
                Writer {
                    connection: writer,
                    path,
                    share,
                    queue,
                    checkpointer,
                }
                .run();
            })?
        };
        let checkpoint_thread = {
            let connection = connect(path, 1 << 20)?;
            let path = path.to_owned();
            spawn("nuage-checkpoint", move || {
                checkpointer.run(&connection, &path);
            })?
        };
        Ok(Self {
            path: path.to_owned(),
            queue,
            readers: Arc::new(Readers {
                permits: Semaphore::new(settings.readers),
                idle: Mutex::new(connections),
                places: settings.readers,
                alone: AtomicU32::new(0),
            }),
            threads: Mutex::new(vec![writer_thread, checkpoint_thread]),
        })
    }

    /// Returns the database file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns how many writes wait for the writer.
    pub(crate) fn waiting_writes(&self) -> usize {
        let state = lock(&self.queue.state);
        state.foreground.len() + state.background.len()
    }

    /// Announces a write that will come soon, so that a batch may wait for it.
    pub(crate) fn expect_write(&self) -> ExpectedWrite {
        lock(&self.queue.state).expected += 1;
        ExpectedWrite {
            queue: Some(Arc::clone(&self.queue)),
        }
    }

    /// Queues an operation for the writer at once; the future waits for its durable commit.
    pub(crate) fn write<O: Operation>(
        &self,
        operation: O,
        urgency: Urgency,
    ) -> impl Future<Output = StoreResult<O::Output>> + Send + use<O> {
        let (reply, answer) = oneshot::channel();
        let job = OperationJob {
            operation,
            result: None,
            reply,
        };
        let queued = self.queue.push(Box::new(job), urgency);
        async move {
            queued?;
            answer.await.unwrap_or(Err(StoreError::Closed))
        }
    }

    /// Runs a read-only operation on one snapshot, off the async threads.
    pub(crate) async fn read<O: Operation>(&self, operation: O) -> StoreResult<O::Output> {
        let readers = Arc::clone(&self.readers);
        let permit = readers.permits.acquire().await;
        if permit.is_err() {
            return Err(StoreError::Closed);
        }
        if readers.is_long_alone() {
            return tokio::task::block_in_place(|| readers.run(&operation));
        }
        let pool = Arc::clone(&readers);
        let task = tokio::task::spawn_blocking(move || pool.run(&operation));
        task.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Ends the writer after what is queued, and folds the WAL back. Blocks.
    pub(crate) fn close(&self) {
        lock(&self.queue.state).closed = true;
        self.queue.wake.notify_all();
        for thread in lock(&self.threads).drain(..) {
            drop(thread.join());
        }
        lock(&self.readers.idle).clear();
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close();
    }
}

/// How soon a write must be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Somebody waits for the answer.
    Foreground,
    /// A job's slice of work.
    Background,
}

/// A write that was announced; dropped when it is queued or given up.
#[derive(Debug)]
pub struct ExpectedWrite {
    /// `None`: on another engine, which does not wait for writes.
    queue: Option<Arc<Queue>>,
}

impl ExpectedWrite {
    /// Announces nothing.
    pub(crate) fn ignored() -> Self {
        Self { queue: None }
    }
}

impl Drop for ExpectedWrite {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            lock(&queue.state).expected -= 1;
        }
    }
}

#[derive(Debug)]
struct Readers {
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
    /// How many readings may run at once.
    places: usize,
    /// Readings in a row that nobody else wanted to read beside.
    alone: AtomicU32,
}

impl Readers {
    /// Returns whether the reading that holds a permit, and many before it, had the database to themselves.
    ///
    /// Then it may run where its request runs. To hand it to a thread of its own costs more than a
    /// look-up takes; among many requests it is what keeps them from waiting for one another.
    fn is_long_alone(&self) -> bool {
        if self.permits.available_permits() + 1 < self.places {
            self.alone.store(0, Ordering::Relaxed);
            return false;
        }
        let before = self.alone.load(Ordering::Relaxed);
        self.alone
            .store(before.saturating_add(1), Ordering::Relaxed);
        before >= ALONE_BEFORE
            && tokio::runtime::Handle::try_current()
                .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
    }

    /// Runs a reading. Blocks.
    fn run<O: Operation>(&self, operation: &O) -> StoreResult<O::Output> {
        let Some(mut connection) = lock(&self.idle).pop() else {
            return Err(StoreError::Closed);
        };
        let result = in_snapshot(&mut connection, operation);
        if connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok() {
            lock(&self.idle).push(connection);
        }
        result
    }
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<QueueState>,
    wake: Condvar,
}

#[derive(Default)]
struct QueueState {
    foreground: VecDeque<Box<dyn Job>>,
    background: VecDeque<Box<dyn Job>>,
    expected: usize,
    closed: bool,
}

impl std::fmt::Debug for QueueState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueueState")
            .field("foreground", &self.foreground.len())
            .field("background", &self.background.len())
            .finish_non_exhaustive()
    }
}

impl Queue {
    fn push(&self, job: Box<dyn Job>, urgency: Urgency) -> StoreResult<()> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(StoreError::Closed);
        }
        match urgency {
            Urgency::Foreground => state.foreground.push_back(job),
            Urgency::Background => state.background.push_back(job),
        }
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Waits for work; `None` when the queue is closed and empty.
    ///
    /// One background job may join each batch, so that jobs advance under load
    /// without ever delaying a person by more than one of their slices.
    fn next_batch(&self) -> Option<Vec<Box<dyn Job>>> {
        let mut state = lock(&self.state);
        loop {
            let waiting = state.foreground.len().min(BATCH_MAX);
            let mut batch: Vec<_> = state.foreground.drain(..waiting).collect();
            batch.extend(state.background.pop_front());
            if !batch.is_empty() {
                return Some(batch);
            }
            if state.closed {
                return None;
            }
            state = self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns one more job for an open batch, waiting a moment if one was announced.
    fn straggler(&self) -> Option<Box<dyn Job>> {
        let mut state = lock(&self.state);
        if state.foreground.is_empty() && state.expected > 0 {
            let (after, _) = self
                .wake
                .wait_timeout(state, GATHER_MAX)
                .unwrap_or_else(PoisonError::into_inner);
            state = after;
        }
        state.foreground.pop_front()
    }
}

/// An operation in the queue, whatever its type.
trait Job: Send {
    /// Runs the operation's statements; returns whether it succeeded.
    fn attempt(&mut self, connection: &mut Connection) -> bool;
    /// Gives the waiting caller what `attempt` found.
    fn answer(self: Box<Self>);
    /// Gives the waiting caller an error in place of what `attempt` found.
    fn fail(self: Box<Self>, error: StoreError);
}

struct OperationJob<O: Operation> {
    operation: O,
    result: Option<StoreResult<O::Output>>,
    reply: oneshot::Sender<StoreResult<O::Output>>,
}

impl<O: Operation> Job for OperationJob<O> {
    fn attempt(&mut self, connection: &mut Connection) -> bool {
        let result = poll_once(&self.operation, connection);
        let succeeded = result.is_ok();
        self.result = Some(result);
        succeeded
    }

    fn answer(self: Box<Self>) {
        let result = self.result.unwrap_or(Err(StoreError::Closed));
        // The caller may have gone; the commit stands all the same.
        drop(self.reply.send(result));
    }

    fn fail(self: Box<Self>, error: StoreError) {
        drop(self.reply.send(Err(error)));
    }
}

/// Runs an operation's future, which is ready at once on SQLite.
fn poll_once<O: Operation>(operation: &O, connection: &mut Connection) -> StoreResult<O::Output> {
    let mut tx = SqliteTx { connection };
    let polled = catch_unwind(AssertUnwindSafe(|| operation.run(&mut tx).now_or_never()));
    match polled {
        Ok(Some(result)) => result,
        Ok(None) => Err(StoreError::Database(
            "an operation waited for something else".into(),
        )),
        Err(_) => Err(StoreError::Database("an operation panicked".into())),
    }
}

fn in_snapshot<O: Operation>(connection: &mut Connection, operation: &O) -> StoreResult<O::Output> {
    run_cached(connection, "BEGIN DEFERRED")?;
    let result = poll_once(operation, connection);
    run_cached(connection, "COMMIT")?;
    result
}

struct Writer {
    connection: Connection,
    path: PathBuf,
    share: u64,
    queue: Arc<Queue>,
    checkpointer: Arc<Checkpointer>,
}

impl Writer {
    fn run(mut self) {
        while let Some(batch) = self.queue.next_batch() {
            self.run_batch(batch);
            self.checkpointer.poke();
        }
        self.checkpointer.stop();
    }

    /// Runs a batch in one transaction and answers it.
    fn run_batch(&mut self, batch: Vec<Box<dyn Job>>) {
        if let Err(error) = self.begin() {
            let text = error.to_string();
            for job in batch {
                job.fail(StoreError::Database(text.clone()));
            }
            return;
        }
        let mut waiting: VecDeque<_> = batch.into();
        let mut done = Vec::with_capacity(waiting.len());
        loop {
            let next = match waiting.pop_front() {
                None if done.len() < BATCH_MAX => self.queue.straggler(),
                next => next,
            };
            let Some(mut job) = next else { break };
            let alive = self.attempt_under_savepoint(job.as_mut());
            done.push(job);
            if !alive {
                done.extend(waiting);
                return self.run_one_by_one(done);
            }
        }
        match self.commit() {
            Ok(()) => done.into_iter().for_each(Job::answer),
            Err(CommitFault::RolledBack) if done.len() > 1 => self.run_one_by_one(done),
            Err(fault) => done.into_iter().for_each(|job| job.fail(fault.error())),
        }
    }

    /// Runs each job in a transaction of its own, after a shared one was lost.
    fn run_one_by_one(&mut self, jobs: Vec<Box<dyn Job>>) {
        for mut job in jobs {
            if let Err(error) = self.begin() {
                job.fail(error);
                continue;
            }
            if !self.attempt_under_savepoint(job.as_mut()) {
                job.answer();
                continue;
            }
            match self.commit() {
                Ok(()) => job.answer(),
                Err(fault) => job.fail(fault.error()),
            }
        }
    }

    fn begin(&mut self) -> StoreResult<()> {
        if !self.connection.is_autocommit() {
            // What a failed batch left: none of it has been answered.
            drop(self.connection.execute_batch("ROLLBACK"));
        }
        // Another process holds the database only for a moment; a person's
        // write is not refused because of it.
        for _ in 0..5 {
            match self
                .connection
                .prepare_cached("BEGIN IMMEDIATE")
                .and_then(|mut s| s.execute([]))
            {
                Ok(_) => return Ok(()),
                Err(error) if is_busy(&error) => {}
                Err(error) => return Err(store_error(&error)),
            }
        }
        Err(StoreError::Database(
            "another process keeps the database locked".into(),
        ))
    }

    /// Returns whether the transaction is still there afterwards.
    fn attempt_under_savepoint(&mut self, job: &mut dyn Job) -> bool {
        if run_cached(&self.connection, "SAVEPOINT operation").is_err() {
            return false;
        }
        if !job.attempt(&mut self.connection)
            && (self.connection.is_autocommit()
                || run_cached(&self.connection, "ROLLBACK TO operation").is_err())
        {
            return false;
        }
        run_cached(&self.connection, "RELEASE operation").is_ok()
            && !self.connection.is_autocommit()
    }

    fn commit(&mut self) -> Result<(), CommitFault> {
        let Err(error) = self
            .connection
            .prepare_cached("COMMIT")
            .and_then(|mut s| s.execute([]))
        else {
            return Ok(());
        };
        tracing::error!(%error, "COMMIT failed");
        if error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
            if !self.connection.is_autocommit() {
                drop(self.connection.execute_batch("ROLLBACK"));
            }
            return Err(CommitFault::RolledBack);
        }
        self.reconnect();
        Err(CommitFault::Unknown(error.to_string()))
    }

    /// Replaces a connection whose last COMMIT may or may not have happened.
    fn reconnect(&mut self) {
        match connect(&self.path, self.share) {
            Ok(connection) => self.connection = connection,
            Err(error) => tracing::error!(%error, "the database could not be opened again"),
        }
    }
}

enum CommitFault {
    /// Nothing of the transaction remains.
    RolledBack,
    /// It may have happened.
    Unknown(String),
}

impl CommitFault {
    fn error(&self) -> StoreError {
        match self {
            Self::RolledBack => StoreError::DiskFull,
            Self::Unknown(text) => StoreError::Unknown(text.clone()),
        }
    }
}

/// Copies the WAL back into the database on a thread of its own, so that
/// nobody's COMMIT has to.
#[derive(Debug, Default)]
struct Checkpointer {
    state: Mutex<(bool, bool)>,
    wake: Condvar,
}

impl Checkpointer {
    fn poke(&self) {
        lock(&self.state).0 = true;
        self.wake.notify_one();
    }

    fn stop(&self) {
        lock(&self.state).1 = true;
        self.wake.notify_one();
    }

    fn run(&self, connection: &Connection, path: &Path) {
        loop {
            let mut state = lock(&self.state);
            while !state.0 && !state.1 {
                state = self
                    .wake
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            let stop = state.1;
            state.0 = false;
            drop(state);
            checkpoint(connection, path, stop);
            if stop {
                return;
            }
        }
    }
}

fn checkpoint(connection: &Connection, path: &Path, last: bool) {
    let wal_bytes = std::fs::metadata(wal_path(path)).map_or(0, |wal| wal.len());
    metrics::gauge!("nuage_wal_mebibytes").set(f64::from(
        u32::try_from(wal_bytes >> 20).unwrap_or(u32::MAX),
    ));
    let page_bytes = 4_096;
    let pragma = if last || wal_bytes > WAL_BYTES_MAX {
        "PRAGMA wal_checkpoint(TRUNCATE)"
    } else if wal_bytes > CHECKPOINT_PAGES.unsigned_abs() * page_bytes {
        "PRAGMA wal_checkpoint(PASSIVE)"
    } else {
        return;
    };
    if let Err(error) = connection.query_row(pragma, [], |_| Ok(())) {
        tracing::warn!(%error, "the write-ahead log could not be checkpointed");
    }
}

fn wal_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> StoreResult<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| StoreError::Database(format!("cannot start {name}: {error}")))
}

fn connect(path: &Path, cache_bytes: u64) -> StoreResult<Connection> {
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(256);
        // One plan for each statement, whatever is bound: without this a statement is parsed and
        // planned anew at almost every use, because its values might deserve another plan.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(
            None,
            "cache_size",
            -(i64::try_from(cache_bytes / 1024).unwrap_or(4_096)),
        )?;
        // The checkpointer's thread does it.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        connection.execute_batch(&Engine::Sqlite.scratch())?;
        Ok(connection)
    };
    open().map_err(|error| store_error(&error))
}

/// Brings the schema to the newest version, or refuses a newer one.
fn migrate(connection: &mut Connection) -> StoreResult<()> {
    let newest = dialect::MIGRATIONS.len();
    connection
        .execute_batch("BEGIN IMMEDIATE")
        .map_err(|e| store_error(&e))?;
    let found: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|e| store_error(&e))?;
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    if found > newest {
        drop(connection.execute_batch("ROLLBACK"));
        return Err(StoreError::NewerSchema {
            found: found as u64,
            known: newest as u64,
        });
    }
    for migration in dialect::MIGRATIONS.iter().skip(found) {
        connection
            .execute_batch(&Engine::Sqlite.migration(migration.text))
            .map_err(|e| store_error(&e))?;
    }
    connection
        .execute_batch(FORGET_STATISTICS)
        .map_err(|e| store_error(&e))?;
    connection
        .pragma_update(
            None,
            "user_version",
            i64::try_from(newest).unwrap_or(i64::MAX),
        )
        .and_then(|()| connection.execute_batch("COMMIT"))
        .map_err(|e| store_error(&e))
}

fn run_cached(connection: &Connection, sql: &'static str) -> StoreResult<()> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute([]))
        .map(|_| ())
        .map_err(|error| store_error(&error))
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

fn store_error(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Corrupt(error.to_string())
        }
        Some(_) | None => StoreError::Database(error.to_string()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A transaction on one connection.
struct SqliteTx<'c> {
    connection: &'c mut Connection,
}

impl Tx for SqliteTx<'_> {
    fn execute(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
    ) -> impl Future<Output = StoreResult<u64>> + Send {
        std::future::ready(self.execute_now(sql, params))
    }

    fn rows<R: Send>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        read: impl FnMut(&dyn Row) -> StoreResult<R> + Send,
    ) -> impl Future<Output = StoreResult<Vec<R>>> + Send {
        std::future::ready(self.rows_now(sql, params, read))
    }

    fn ask<R: Send + 'static>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        read: impl FnMut(&dyn Row) -> StoreResult<R> + Send + 'static,
    ) -> impl Future<Output = StoreResult<Asked<R>>> + Send {
        let asked = Asked::new();
        asked.put(self.rows_now(sql, params, read));
        std::future::ready(Ok(asked))
    }

    fn answer<R: Send>(
        &mut self,
        asked: Asked<R>,
    ) -> impl Future<Output = StoreResult<Vec<R>>> + Send {
        std::future::ready(asked.take().unwrap_or_else(|| Ok(Vec::new())))
    }

    fn reserve_ids(
        &mut self,
        name: &'static str,
        count: i64,
    ) -> impl Future<Output = StoreResult<i64>> + Send {
        std::future::ready(self.reserve_ids_now(name, count))
    }
}

impl SqliteTx<'_> {
    fn execute_now(&mut self, sql: &'static str, params: &[Value<'_>]) -> StoreResult<u64> {
        debug_assert!(dialect::has_ascending_parameters(sql), "{sql}");
        count_statement();
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(rusqlite::params_from_iter(params)))
            .map(|changed| changed as u64)
            .map_err(|error| store_error(&error))
    }

    fn rows_now<R>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        mut read: impl FnMut(&dyn Row) -> StoreResult<R>,
    ) -> StoreResult<Vec<R>> {
        debug_assert!(dialect::has_ascending_parameters(sql), "{sql}");
        count_statement();
        let mut statement = self
            .connection
            .prepare_cached(sql)
            .map_err(|error| store_error(&error))?;
        let mut rows = statement
            .query(rusqlite::params_from_iter(params))
            .map_err(|error| store_error(&error))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|error| store_error(&error))? {
            found.push(read(row)?);
        }
        Ok(found)
    }

    fn reserve_ids_now(&mut self, name: &'static str, count: i64) -> StoreResult<i64> {
        self.execute_now(
            "INSERT INTO counter (name, next) VALUES ($1, 1) ON CONFLICT (name) DO NOTHING",
            &[name.into()],
        )?;
        let after = self.rows_now(
            "UPDATE counter SET next = next + $1 WHERE name = $2 RETURNING next",
            &[count.into(), name.into()],
            |row| row.int(0),
        )?;
        let after = after
            .first()
            .ok_or_else(|| StoreError::Corrupt("counter".into()))?;
        Ok(after - count)
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Blob(value) => ValueRef::Blob(value),
        }))
    }
}

impl Row for rusqlite::Row<'_> {
    fn int(&self, column: usize) -> StoreResult<i64> {
        self.opt_int(column)?.ok_or_else(|| wrong_type(column))
    }

    fn opt_int(&self, column: usize) -> StoreResult<Option<i64>> {
        match self.get_ref(column) {
            Ok(ValueRef::Integer(value)) => Ok(Some(value)),
            Ok(ValueRef::Null) => Ok(None),
            Ok(_) | Err(_) => Err(wrong_type(column)),
        }
    }

    fn text(&self, column: usize) -> StoreResult<String> {
        self.opt_text(column)?.ok_or_else(|| wrong_type(column))
    }

    fn opt_text(&self, column: usize) -> StoreResult<Option<String>> {
        match self.get_ref(column) {
            Ok(ValueRef::Text(value)) => match std::str::from_utf8(value) {
                Ok(text) => Ok(Some(text.to_owned())),
                Err(_) => Err(wrong_type(column)),
            },
            Ok(ValueRef::Null) => Ok(None),
            Ok(_) | Err(_) => Err(wrong_type(column)),
        }
    }

    fn blob(&self, column: usize) -> StoreResult<Vec<u8>> {
        self.opt_blob(column)?.ok_or_else(|| wrong_type(column))
    }

    fn opt_blob(&self, column: usize) -> StoreResult<Option<Vec<u8>>> {
        match self.get_ref(column) {
            Ok(ValueRef::Blob(value)) => Ok(Some(value.to_vec())),
            Ok(ValueRef::Null) => Ok(None),
            Ok(_) | Err(_) => Err(wrong_type(column)),
        }
    }
}

fn wrong_type(column: usize) -> StoreError {
    StoreError::Corrupt(format!("column {column} is not of the expected type"))
}
