//! The transaction that every operation is written over, once for all engines.
//!
//! SQL text is shared by SQLite and PostgreSQL. Parameters are written `$1`,
//! `$2`, … and appear for the first time in ascending order, because SQLite
//! numbers them by first appearance.
//!
//! An operation can run twice (a batch that failed, a deadlock): it owns its
//! inputs, draws no random numbers, reads no clock, and nothing but database
//! work may be awaited in it. On SQLite its future is polled exactly once.

use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::SpaceId;

/// A parameter of a statement.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// NULL of any type.
    Null,
    /// A 64-bit integer.
    Int(i64),
    /// Text in UTF-8.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Self::Null, Self::Int)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(value: Option<&'a str>) -> Self {
        value.map_or(Self::Null, Self::Text)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Blob(value)
    }
}

/// One row of an answer; columns are counted from 0.
///
/// A column of another type than asked for is `StoreError::Corrupt`.
pub trait Row {
    /// Returns an integer that is not NULL.
    fn int(&self, column: usize) -> StoreResult<i64>;
    /// Returns an integer or `None` for NULL.
    fn opt_int(&self, column: usize) -> StoreResult<Option<i64>>;
    /// Returns text that is not NULL.
    fn text(&self, column: usize) -> StoreResult<String>;
    /// Returns text or `None` for NULL.
    fn opt_text(&self, column: usize) -> StoreResult<Option<String>>;
    /// Returns bytes that are not NULL.
    fn blob(&self, column: usize) -> StoreResult<Vec<u8>>;
    /// Returns bytes or `None` for NULL.
    fn opt_blob(&self, column: usize) -> StoreResult<Option<Vec<u8>>>;
}

/// Rows that were asked for and not looked at yet; see [`Tx::ask`].
#[derive(Debug)]
pub struct Asked<R>(Arc<Mutex<Option<StoreResult<Vec<R>>>>>);

impl<R> Asked<R> {
    /// A question without an answer yet.
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// A question that need not be asked: its answer is no row.
    pub(crate) fn nothing() -> Self {
        let asked = Self::new();
        asked.put(Ok(Vec::new()));
        asked
    }

    /// Returns the place where the answer goes.
    pub(crate) fn slot(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// Puts the answer in its place.
    pub(crate) fn put(&self, answer: StoreResult<Vec<R>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }

    /// Takes the answer; `None`: there is none yet.
    pub(crate) fn take(&self) -> Option<StoreResult<Vec<R>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Statements that this process has run, of all engines and connections.
static STATEMENTS: AtomicU64 = AtomicU64::new(0);

/// Counts a statement that is about to run.
pub(crate) fn count_statement() {
    STATEMENTS.fetch_add(1, Ordering::Relaxed);
}

/// Returns how many statements of operations this process has run since it started.
pub fn statements() -> u64 {
    STATEMENTS.load(Ordering::Relaxed)
}

/// A transaction in progress on one of the engines.
pub trait Tx: Send {
    /// Runs a statement and returns how many rows it changed.
    fn execute(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
    ) -> impl Future<Output = StoreResult<u64>> + Send;

    /// Runs a statement whose count nobody asks for.
    ///
    /// Where the database is behind a network it travels with the next question, and its
    /// failure shows there, at the latest before the commit.
    fn perform(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
    ) -> impl Future<Output = StoreResult<()>> + Send {
        async move { self.execute(sql, params).await.map(drop) }
    }

    /// Runs a query and returns each row as `read` understands it.
    fn rows<R: Send>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        read: impl FnMut(&dyn Row) -> StoreResult<R> + Send,
    ) -> impl Future<Output = StoreResult<Vec<R>>> + Send;

    /// Asks for rows that are needed later: where the database is behind a network, several
    /// questions travel together, until [`answer`](Self::answer) waits for them.
    fn ask<R: Send + 'static>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        read: impl FnMut(&dyn Row) -> StoreResult<R> + Send + 'static,
    ) -> impl Future<Output = StoreResult<Asked<R>>> + Send;

    /// Returns the rows of a question of this transaction.
    fn answer<R: Send>(
        &mut self,
        asked: Asked<R>,
    ) -> impl Future<Output = StoreResult<Vec<R>>> + Send;

    /// Returns the row of a question that yields at most one.
    fn answer_one<R: Send>(
        &mut self,
        asked: Asked<R>,
    ) -> impl Future<Output = StoreResult<Option<R>>> + Send {
        async move { Ok(self.answer(asked).await?.into_iter().next()) }
    }

    /// Runs a query that yields at most one row.
    fn row<R: Send>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        read: impl FnMut(&dyn Row) -> StoreResult<R> + Send,
    ) -> impl Future<Output = StoreResult<Option<R>>> + Send {
        async move { Ok(self.rows(sql, params, read).await?.into_iter().next()) }
    }

    /// Reserves `count` numbers of the sequence `name`, in a row, and returns the first.
    ///
    /// Sequences: `account`, `token`, `team`, `space`, `node`, `content`, `pack`, `job`, `upload`,
    /// `letter`, `share`.
    fn reserve_ids(
        &mut self,
        name: &'static str,
        count: i64,
    ) -> impl Future<Output = StoreResult<i64>> + Send;
}

/// A whole transaction: it happens entirely or not at all.
///
/// Returning an error rolls everything of this operation back.
pub trait Operation: Send + Sync + 'static {
    /// What the transaction yields.
    type Output: Send + 'static;

    /// Returns the space whose row it locks first, where it writes to that space alone.
    ///
    /// Operations that wait for the same space may share a commit.
    fn space(&self) -> Option<SpaceId> {
        None
    }

    /// Returns whether it changes who sees what: then nobody rests on what was read before.
    fn changes_sharing(&self) -> bool {
        false
    }

    /// Runs the transaction's statements.
    fn run<T: Tx>(&self, tx: &mut T) -> impl Future<Output = StoreResult<Self::Output>> + Send;
}
