//! The shared statements on a PostgreSQL connection: typed parameters, rows, and one flight
//! for many statements.
//!
//! A statement whose result is not needed at once ([`Tx::perform`], BEGIN,
//! savepoints) is sent and left under way; the next question travels behind it.
//! Results are looked at in order, so the first failure is the one that is
//! reported, and none is overlooked.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::task::Poll;

use bytes::BytesMut;
use deadpool_postgres::ClientWrapper;
use futures_util::FutureExt;
use futures_util::TryStreamExt;
use tokio_postgres::Error;
use tokio_postgres::Statement;
use tokio_postgres::types::FromSql;
use tokio_postgres::types::IsNull;
use tokio_postgres::types::ToSql;
use tokio_postgres::types::Type;
use tokio_postgres::types::to_sql_checked;

use crate::store::metadata::dialect;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::postgres::Shared;
use crate::store::metadata::postgres::connect::is_lost;
use crate::store::metadata::postgres::connect::is_worth_repeating;
use crate::store::metadata::postgres::connect::store_error;
use crate::store::metadata::tx::Asked;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::tx::Value;
use crate::store::metadata::tx::count_statement;

/// Statements under way at once; their answers are small.
const UNDER_WAY_MAX: usize = 128;

/// Why a statement of a transaction failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Because of a neighbour: the operation may run again.
    Again,
    /// The connection is gone, and all that was not committed: it may run again on another.
    Lost,
    /// For a reason of its own.
    Own,
}

/// The types of each statement's parameters, as they were when it first ran.
///
/// Left to itself PostgreSQL guesses them from the text, as 32 bits or not at all.
#[derive(Debug, Default)]
pub(super) struct StatementTypes {
    known: Mutex<HashMap<&'static str, Arc<[Type]>>>,
}

impl StatementTypes {
    fn of(&self, sql: &'static str, params: &[Value<'_>]) -> Arc<[Type]> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let types = known.entry(sql).or_insert_with(|| {
            debug_assert!(dialect::has_ascending_parameters(sql), "{sql}");
            params.iter().map(type_of).collect()
        });
        Arc::clone(types)
    }
}

fn type_of(value: &Value<'_>) -> Type {
    match value {
        // The column that it goes to tells.
        Value::Null => Type::UNKNOWN,
        Value::Int(_) => Type::INT8,
        Value::Text(_) => Type::TEXT,
        Value::Blob(_) => Type::BYTEA,
    }
}

type UnderWay<'c> = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send + 'c>>;

/// A transaction on one connection. One that is dropped before its end is rolled back.
pub(super) struct PostgresTx<'c> {
    client: &'c ClientWrapper,
    shared: &'c Shared,
    under_way: Vec<UnderWay<'c>>,
    fault: Option<Fault>,
    is_open: bool,
    /// Whether something was sent since the last wait: waiting for it is a round trip.
    has_sent: bool,
}

impl<'c> PostgresTx<'c> {
    pub(super) fn new(client: &'c ClientWrapper, shared: &'c Shared) -> Self {
        Self {
            client,
            shared,
            under_way: Vec::new(),
            fault: None,
            is_open: false,
            has_sent: false,
        }
    }

    /// Notes that an answer to what was sent is waited for.
    fn note_wait(&mut self) {
        if std::mem::take(&mut self.has_sent) {
            self.shared.round_trips.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Begins; the statement travels with the first question.
    pub(super) fn begin(&mut self, sql: &'static str) {
        self.is_open = true;
        self.control(sql);
    }

    /// Sends a statement that begins or ends something and has no parameters.
    pub(super) fn control(&mut self, sql: &'static str) {
        let client = self.client;
        self.send(Box::pin(async move {
            client.batch_execute(sql).await.map(|()| 0)
        }));
    }

    /// Returns why a statement failed, if one did since [`forget_fault`](Self::forget_fault).
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Goes on after a savepoint was rolled back to.
    pub(super) fn forget_fault(&mut self) {
        self.fault = None;
    }

    /// Waits for all that is under way; returns the first failure.
    pub(super) async fn settle(&mut self) -> StoreResult<()> {
        self.settle_counting().await.map(drop)
    }

    /// Commits what was done.
    pub(super) async fn commit(&mut self) -> Result<(), CommitFault> {
        if self.fault.is_some() {
            return Err(CommitFault::RolledBack(swallowed()));
        }
        let client = self.client;
        let mut commit = Box::pin(client.batch_execute("COMMIT"));
        let early = poll_fn(|context| Poll::Ready(commit.as_mut().poll(context))).await;
        self.has_sent = true;
        // PostgreSQL answers COMMIT with ROLLBACK, and no error, when one of these failed.
        let before = self.settle().await;
        let answer = match early {
            Poll::Ready(answer) => answer,
            Poll::Pending => commit.await,
        };
        self.is_open = false;
        if let Err(error) = before {
            // A failure of the connection says nothing about the COMMIT behind it.
            return Err(match self.fault {
                Some(Fault::Lost) => CommitFault::Unknown(error.to_string()),
                _ => CommitFault::RolledBack(error),
            });
        }
        match answer {
            Ok(()) => Ok(()),
            Err(error) if error.code().is_some() && !is_lost(&error) => {
                Err(CommitFault::RolledBack(self.failed(&error)))
            }
            Err(error) => Err(CommitFault::Unknown(store_error(&error).to_string())),
        }
    }

    /// Sends a statement and leaves it under way.
    fn send(&mut self, mut statement: UnderWay<'c>) {
        self.has_sent = true;
        // The first poll hands it to the connection.
        match statement.as_mut().now_or_never() {
            Some(result) => self.under_way.push(Box::pin(std::future::ready(result))),
            None => self.under_way.push(statement),
        }
    }

    async fn settle_counting(&mut self) -> StoreResult<u64> {
        self.note_wait();
        let mut first_failure = None;
        let mut count = 0;
        for statement in std::mem::take(&mut self.under_way) {
            match statement.await {
                Ok(changed) => count = changed,
                Err(error) if first_failure.is_none() => {
                    first_failure = Some(self.failed(&error));
                }
                Err(_) => {}
            }
        }
        first_failure.map_or(Ok(count), Err)
    }

    fn failed(&mut self, error: &Error) -> StoreError {
        if self.fault.is_none() {
            self.fault = Some(if is_lost(error) {
                Fault::Lost
            } else if is_worth_repeating(error) {
                Fault::Again
            } else {
                Fault::Own
            });
        }
        store_error(error)
    }

    /// Returns the prepared statement of this connection; makes it at the first use.
    async fn prepared(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
    ) -> StoreResult<Statement> {
        if self.fault.is_some() {
            return Err(swallowed());
        }
        count_statement();
        let types = self.shared.types.of(sql, params);
        let mut prepare = Box::pin(self.client.prepare_typed_cached(sql, &types));
        let early = poll_fn(|context| Poll::Ready(prepare.as_mut().poll(context))).await;
        match early {
            Poll::Ready(Ok(statement)) => Ok(statement),
            Poll::Ready(Err(error)) => {
                self.settle().await?;
                Err(self.failed(&error))
            }
            Poll::Pending => {
                self.has_sent = true;
                let before = self.settle().await;
                let statement = prepare.await;
                before?;
                statement.map_err(|error| self.failed(&error))
            }
        }
    }

    async fn send_with(&mut self, sql: &'static str, params: &[Value<'_>]) -> StoreResult<()> {
        if self.under_way.len() >= UNDER_WAY_MAX {
            self.settle().await?;
        }
        let statement = self.prepared(sql, params).await?;
        let client = self.client;
        let params: Vec<_> = params.iter().map(OwnedValue::from).collect();
        self.send(Box::pin(async move {
            client.execute_raw(&statement, params).await
        }));
        Ok(())
    }

    async fn query(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
    ) -> StoreResult<Vec<tokio_postgres::Row>> {
        let statement = self.prepared(sql, params).await?;
        let client = self.client;
        let mut answer = Box::pin(async {
            let rows = client.query_raw(&statement, params.iter().copied()).await?;
            rows.try_collect::<Vec<_>>().await
        });
        let early = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
        self.has_sent = true;
        let before = self.settle().await;
        let rows = match early {
            Poll::Ready(rows) => rows,
            Poll::Pending => answer.await,
        };
        before?;
        rows.map_err(|error| self.failed(&error))
    }
}

impl Drop for PostgresTx<'_> {
    fn drop(&mut self) {
        if self.is_open {
            // Sent by its first poll; whoever uses the connection next travels behind it.
            drop(self.client.batch_execute("ROLLBACK").now_or_never());
        }
    }
}

/// What became of a COMMIT that did not succeed.
#[derive(Debug)]
pub(super) enum CommitFault {
    /// Nothing of the transaction remains.
    RolledBack(StoreError),
    /// It may have happened.
    Unknown(String),
}

/// The error of an operation that went on after one of its statements had failed.
pub(super) fn swallowed() -> StoreError {
    StoreError::Database("an operation went on after a statement had failed".into())
}

impl Tx for PostgresTx<'_> {
    async fn execute(&mut self, sql: &'static str, params: &[Value<'_>]) -> StoreResult<u64> {
        self.send_with(sql, params).await?;
        self.settle_counting().await
    }

    async fn perform(&mut self, sql: &'static str, params: &[Value<'_>]) -> StoreResult<()> {
        self.send_with(sql, params).await
    }

    async fn rows<R: Send>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        mut read: impl FnMut(&dyn Row) -> StoreResult<R> + Send,
    ) -> StoreResult<Vec<R>> {
        let rows = self.query(sql, params).await?;
        rows.iter().map(|row| read(row)).collect()
    }

    async fn ask<R: Send + 'static>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        mut read: impl FnMut(&dyn Row) -> StoreResult<R> + Send + 'static,
    ) -> StoreResult<Asked<R>> {
        if self.under_way.len() >= UNDER_WAY_MAX {
            self.settle().await?;
        }
        let statement = self.prepared(sql, params).await?;
        let client = self.client;
        let params: Vec<_> = params.iter().map(OwnedValue::from).collect();
        let asked = Asked::new();
        let slot = asked.slot();
        self.send(Box::pin(async move {
            let rows = client.query_raw(&statement, params).await?;
            let rows: Vec<tokio_postgres::Row> = rows.try_collect().await?;
            slot.put(rows.iter().map(|row| read(row)).collect());
            Ok(rows.len() as u64)
        }));
        Ok(asked)
    }

    async fn answer<R: Send>(&mut self, asked: Asked<R>) -> StoreResult<Vec<R>> {
        if let Some(answer) = asked.take() {
            return answer;
        }
        self.settle().await?;
        asked.take().unwrap_or_else(|| Err(swallowed()))
    }

    async fn reserve_ids(&mut self, name: &'static str, count: i64) -> StoreResult<i64> {
        self.shared.numbers.reserve(name, count).await
    }
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match *self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) if *ty == Type::INT4 => i32::try_from(value)?.to_sql(ty, out),
            Self::Int(value) if *ty == Type::INT8 => value.to_sql(ty, out),
            Self::Text(value) if *ty == Type::TEXT => value.to_sql(ty, out),
            Self::Blob(value) if *ty == Type::BYTEA => value.to_sql(ty, out),
            Self::Int(_) | Self::Text(_) | Self::Blob(_) => {
                Err(format!("a parameter of another kind than {ty}").into())
            }
        }
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT4 | Type::INT8 | Type::TEXT | Type::BYTEA)
    }

    to_sql_checked!();
}

/// A value that lives by itself: a parameter of a statement that is still under way when its
/// operation goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OwnedValue {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl OwnedValue {
    /// Returns it as a statement takes it.
    pub(crate) fn borrowed(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Int(value) => Value::Int(*value),
            Self::Text(value) => Value::Text(value),
            Self::Blob(value) => Value::Blob(value),
        }
    }
}

impl From<&Value<'_>> for OwnedValue {
    fn from(value: &Value<'_>) -> Self {
        match *value {
            Value::Null => Self::Null,
            Value::Int(value) => Self::Int(value),
            Value::Text(value) => Self::Text(value.to_owned()),
            Value::Blob(value) => Self::Blob(value.to_owned()),
        }
    }
}

impl ToSql for OwnedValue {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        self.borrowed().to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        <Value<'_> as ToSql>::accepts(ty)
    }

    to_sql_checked!();
}

/// An integer of whatever type PostgreSQL makes of an expression: a sum of `BIGINT` is
/// `NUMERIC`, a literal has 32 bits, a test is `BOOLEAN`.
struct Integer(i64);

impl<'a> FromSql<'a> for Integer {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        let value = match *ty {
            Type::INT8 => i64::from_sql(ty, raw)?,
            Type::INT4 => i32::from_sql(ty, raw)?.into(),
            Type::BOOL => bool::from_sql(ty, raw)?.into(),
            _ => whole_number(raw).ok_or("a number that is not whole or too large")?,
        };
        Ok(Self(value))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4 | Type::BOOL | Type::NUMERIC)
    }
}

/// Reads a NUMERIC as it travels: 16-bit words for the number of digits, the weight of the
/// first, the sign, the scale, and the digits to the base 10 000.
fn whole_number(raw: &[u8]) -> Option<i64> {
    let mut words = raw
        .chunks_exact(2)
        .filter_map(|word| word.try_into().ok().map(u16::from_be_bytes));
    let digits = words.next()?;
    let weight = i16::from_be_bytes(words.next()?.to_be_bytes());
    let sign = words.next()?;
    words.next()?;
    let mut value: i128 = 0;
    for position in 0..=weight.max(-1) {
        let digit = match u16::try_from(position) {
            Ok(position) if position < digits => words.next()?,
            Ok(_) | Err(_) => 0,
        };
        value = value.checked_mul(10_000)?.checked_add(digit.into())?;
    }
    if words.any(|digit| digit != 0) {
        return None;
    }
    match sign {
        0x0000 => i64::try_from(value).ok(),
        0x4000 => i64::try_from(-value).ok(),
        _ => None,
    }
}

impl Row for tokio_postgres::Row {
    fn int(&self, column: usize) -> StoreResult<i64> {
        self.opt_int(column)?.ok_or_else(|| wrong_type(column))
    }

    fn opt_int(&self, column: usize) -> StoreResult<Option<i64>> {
        let value: Option<Integer> = read_column(self, column)?;
        Ok(value.map(|Integer(value)| value))
    }

    fn text(&self, column: usize) -> StoreResult<String> {
        read_column(self, column)
    }

    fn opt_text(&self, column: usize) -> StoreResult<Option<String>> {
        read_column(self, column)
    }

    fn blob(&self, column: usize) -> StoreResult<Vec<u8>> {
        read_column(self, column)
    }

    fn opt_blob(&self, column: usize) -> StoreResult<Option<Vec<u8>>> {
        read_column(self, column)
    }
}

fn read_column<'r, V: FromSql<'r>>(row: &'r tokio_postgres::Row, column: usize) -> StoreResult<V> {
    row.try_get(column).map_err(|_cause| wrong_type(column))
}

fn wrong_type(column: usize) -> StoreError {
    StoreError::Corrupt(format!("column {column} is not of the expected type"))
}

#[cfg(test)]
mod tests {
    use super::whole_number;

    fn numeric(digits: &[u16], weight: i16, sign: u16) -> Vec<u8> {
        let mut words = vec![u16::try_from(digits.len()).unwrap()];
        words.extend([weight.cast_unsigned(), sign, 0]);
        words.extend(digits);
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn a_sum_is_read_whole_or_not_at_all() {
        assert_eq!(whole_number(&numeric(&[], 0, 0)), Some(0));
        assert_eq!(whole_number(&numeric(&[1, 2345], 1, 0)), Some(12_345));
        assert_eq!(whole_number(&numeric(&[5], 2, 0x4000)), Some(-500_000_000));
        assert_eq!(whole_number(&numeric(&[5], -1, 0)), None);
        assert_eq!(whole_number(&numeric(&[1], 9, 0)), None);
        assert_eq!(whole_number(&numeric(&[1], i16::MAX, 0)), None);
        assert_eq!(whole_number(&numeric(&[], 0, 0xC000)), None);
        assert_eq!(whole_number(&[0, 1]), None);
    }
}
