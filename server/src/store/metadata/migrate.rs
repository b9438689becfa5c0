//! Moves an installation's metadata from a SQLite file into a PostgreSQL database.
//!
//! Every table is copied in pages, in the order of its primary key, each page
//! whole or not at all; so the greatest key in the target tells where a move
//! that was interrupted goes on. Then both sides are read again and compared, row by row.
//!
//! # Always true
//!
//! * The source is read in one transaction that keeps every writer out, commands included, and
//!   that ends with a mark ([`MOVED_TO`]): an installation that has moved is not used again by mistake.
//! * A database that is only partly filled is refused by every server, until the
//!   comparison has succeeded, and takes rows of no other source.
//! * Which tables and columns there are is asked of the source, so none can be forgotten.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::pin_mut;
use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::types::ValueRef;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::ToSql;
use tokio_postgres::types::Type;

use crate::store::metadata::backup::ReadHistoryId;
use crate::store::metadata::dialect;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::postgres::Postgres;
use crate::store::metadata::postgres::PostgresSettings;
use crate::store::metadata::postgres::connect::store_error;
use crate::store::metadata::postgres::transaction::OwnedValue;

/// How long the source is waited for, if somebody writes to it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Rows of one page.
const PAGE_ROWS: usize = 1_000;

/// How far a move has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationProgress {
    /// What is being done.
    pub phase: MigrationPhase,
    /// The table at hand.
    pub table: String,
    /// Rows of all tables that this phase is done with.
    pub rows_done: u64,
    /// Rows of all tables.
    pub rows_total: u64,
}

/// What a move does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationPhase {
    /// Rows go to the target.
    Copying,
    /// Both sides are read and compared.
    Comparing,
}

/// Where an installation has moved: the name of the setting in the database that it left.
pub const MOVED_TO: &str = "moved_to";

/// How a move ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrated {
    /// Every row was copied and compared with its original.
    Now {
        /// How many rows there are.
        rows: u64,
    },
    /// The database holds this installation whole, from a move before.
    Before,
}

/// Moves everything that the SQLite file at `source` holds into the database at `url`.
///
/// The database must be empty or filled, in part or whole, from the same source. Where
/// it went is noted in the source as `moved_to`.
pub async fn migrate_to_postgres(
    source: &Path,
    (url, settings): (&str, &PostgresSettings),
    moved_to: &str,
    report: &mut (dyn FnMut(&MigrationProgress) + Send),
) -> StoreResult<Migrated> {
    let source = Source::open(source.to_owned()).await?;
    let migrated = match Postgres::open_to_fill(url, settings, &source.name).await {
        Ok(target) => Migrated::Now {
            rows: fill(&source, &target, report).await?,
        },
        Err(refused) if holds(url, settings, &source.name).await => {
            tracing::debug!(%refused, "the move was done before and is only noted now");
            Migrated::Before
        }
        Err(refused) => return Err(refused),
    };
    source.note_moved(moved_to.to_owned()).await?;
    Ok(migrated)
}

/// Returns whether a database holds all of a line of history.
async fn holds(url: &str, settings: &PostgresSettings, name: &str) -> bool {
    let Ok(target) = Postgres::open(url, settings).await else {
        return false;
    };
    let held = target.read(ReadHistoryId).await;
    target.close();
    !name.is_empty() && matches!(held, Ok(Some(held)) if held == name)
}

async fn fill(
    source: &Source,
    target: &Postgres,
    report: &mut (dyn FnMut(&MigrationProgress) + Send),
) -> StoreResult<u64> {
    let client = target.connection().await?;
    let mut progress = MigrationProgress {
        phase: MigrationPhase::Copying,
        table: String::new(),
        rows_done: 0,
        rows_total: source.tables.iter().map(|table| table.rows).sum(),
    };
    for table in &source.tables {
        copy(source, table, &client, &mut progress, report).await?;
    }
    progress.phase = MigrationPhase::Comparing;
    progress.rows_done = 0;
    for table in &source.tables {
        compare(source, table, &client, &mut progress, report).await?;
    }
    client
        .batch_execute(
            "SELECT setval(pg_get_serial_sequence('activity', 'id'), \
             (SELECT coalesce(max(id), 0) + 1 FROM activity), false); \
             ANALYZE; UPDATE schema_version SET filled_from = NULL",
        )
        .await
        .map_err(|error| store_error(&error))?;
    drop(client);
    target.close();
    Ok(progress.rows_total)
}

type Client = deadpool_postgres::Object;
type Line = Vec<OwnedValue>;

/// A table of the source.
#[derive(Debug, Clone)]
struct Table {
    name: String,
    columns: Vec<Column>,
    /// Positions of the primary key's columns, in its order.
    key: Vec<usize>,
    rows: u64,
}

#[derive(Debug, Clone)]
struct Column {
    name: String,
    kind: Type,
}

impl Table {
    fn column_names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| &*column.name).collect();
        names.join(", ")
    }

    fn key_names(&self, suffix: &str) -> String {
        let names: Vec<_> = self
            .key
            .iter()
            .filter_map(|position| self.columns.get(*position))
            .map(|column| format!("{}{suffix}", column.name))
            .collect();
        names.join(", ")
    }

    /// The statement that reads a page, behind a key or from the beginning.
    fn page(&self, behind_a_key: bool) -> String {
        let (columns, name, key) = (self.column_names(), &self.name, self.key_names(""));
        let behind = if behind_a_key {
            let marks: Vec<_> = (1..=self.key.len()).map(|at| format!("${at}")).collect();
            format!("WHERE ({key}) > ({})", marks.join(", "))
        } else {
            String::new()
        };
        format!("SELECT {columns} FROM {name} {behind} ORDER BY {key} LIMIT {PAGE_ROWS}")
    }

    fn key_of(&self, line: &Line) -> Line {
        self.key
            .iter()
            .filter_map(|position| line.get(*position).cloned())
            .collect()
    }

    fn fault(&self, text: &str) -> StoreError {
        StoreError::Corrupt(format!("table {}: {text}", self.name))
    }
}

async fn copy(
    source: &Source,
    table: &Table,
    client: &Client,
    progress: &mut MigrationProgress,
    report: &mut (dyn FnMut(&MigrationProgress) + Send),
) -> StoreResult<()> {
    progress.table.clone_from(&table.name);
    let (count, mut behind) = filled(table, client).await?;
    progress.rows_done += count;
    loop {
        report(progress);
        let page = source.page(table, behind).await?;
        behind = page.last().map(|line| table.key_of(line));
        if page.is_empty() {
            return Ok(());
        }
        insert(table, client, &page).await?;
        progress.rows_done += page.len() as u64;
    }
}

/// Returns how many rows of a table are there already, and the key of the last.
async fn filled(table: &Table, client: &Client) -> StoreResult<(u64, Option<Line>)> {
    let fault = |error: tokio_postgres::Error| store_error(&error);
    let count = format!("SELECT count(*) FROM {}", table.name);
    let count: i64 = client
        .query_one(&count, &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(fault)?;
    let last = format!(
        "SELECT {} FROM {} ORDER BY {} LIMIT 1",
        table.column_names(),
        table.name,
        table.key_names(" DESC")
    );
    let last = client.query_opt(&last, &[]).await.map_err(fault)?;
    let last = last.map(|row| read_line(table, &row)).transpose()?;
    let key = last.map(|line| table.key_of(&line));
    Ok((count.unsigned_abs(), key))
}

/// Writes a page, whole or not at all.
async fn insert(table: &Table, client: &Client, page: &[Line]) -> StoreResult<()> {
    let fault = |error: tokio_postgres::Error| store_error(&error);
    let copy = format!(
        "COPY {} ({}) FROM STDIN BINARY",
        table.name,
        table.column_names()
    );
    let kinds: Vec<_> = table
        .columns
        .iter()
        .map(|column| column.kind.clone())
        .collect();
    let sink = client.copy_in(&copy).await.map_err(fault)?;
    let writer = BinaryCopyInWriter::new(sink, &kinds);
    pin_mut!(writer);
    for line in page {
        let cells: Vec<&(dyn ToSql + Sync)> = line.iter().map(|cell| cell as _).collect();
        writer.as_mut().write(&cells).await.map_err(fault)?;
    }
    let written = writer.finish().await.map_err(fault)?;
    if written == page.len() as u64 {
        Ok(())
    } else {
        Err(table.fault("a page was not written whole"))
    }
}

async fn compare(
    source: &Source,
    table: &Table,
    client: &Client,
    progress: &mut MigrationProgress,
    report: &mut (dyn FnMut(&MigrationProgress) + Send),
) -> StoreResult<()> {
    progress.table.clone_from(&table.name);
    let mut behind: Option<Line> = None;
    loop {
        report(progress);
        let copied = target_page(table, client, behind.as_deref()).await?;
        let page = source.page(table, behind).await?;
        if page != copied {
            return Err(table.fault("the copy differs from its original"));
        }
        behind = page.last().map(|line| table.key_of(line));
        if page.is_empty() {
            return Ok(());
        }
        progress.rows_done += page.len() as u64;
    }
}

async fn target_page(
    table: &Table,
    client: &Client,
    behind: Option<&[OwnedValue]>,
) -> StoreResult<Vec<Line>> {
    let fault = |error: tokio_postgres::Error| store_error(&error);
    let statement = client
        .prepare_cached(&table.page(behind.is_some()))
        .await
        .map_err(fault)?;
    let rows = client
        .query_raw(&statement, behind.unwrap_or_default())
        .await
        .map_err(fault)?;
    let rows: Vec<_> = rows.try_collect().await.map_err(fault)?;
    rows.iter().map(|row| read_line(table, row)).collect()
}

fn read_line(table: &Table, row: &tokio_postgres::Row) -> StoreResult<Line> {
    let fault = |error: tokio_postgres::Error| store_error(&error);
    let cell = |(position, column): (usize, &Column)| match column.kind {
        Type::INT8 => row
            .try_get::<_, Option<i64>>(position)
            .map(|value| value.map_or(OwnedValue::Null, OwnedValue::Int)),
        Type::TEXT => row
            .try_get::<_, Option<String>>(position)
            .map(|value| value.map_or(OwnedValue::Null, OwnedValue::Text)),
        _ => row
            .try_get::<_, Option<Vec<u8>>>(position)
            .map(|value| value.map_or(OwnedValue::Null, OwnedValue::Blob)),
    };
    let cells = table.columns.iter().enumerate().map(cell);
    cells.collect::<Result<_, _>>().map_err(fault)
}

/// The SQLite file, in one transaction that keeps writers out.
#[derive(Debug)]
struct Source {
    connection: Arc<Mutex<Connection>>,
    tables: Vec<Table>,
    /// What tells this source from another.
    name: String,
}

impl Source {
    async fn open(file: std::path::PathBuf) -> StoreResult<Self> {
        on_a_thread(move || {
            let fault = |error: rusqlite::Error| StoreError::Database(error.to_string());
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
            let connection = Connection::open_with_flags(&file, flags).map_err(fault)?;
            connection.busy_timeout(BUSY_TIMEOUT).map_err(fault)?;
            connection.execute_batch("BEGIN IMMEDIATE").map_err(fault)?;
            let version: i64 = connection
                .query_row("PRAGMA user_version", [], |row| row.get(0))
                .map_err(fault)?;
            if usize::try_from(version).ok() != Some(dialect::MIGRATIONS.len()) {
                return Err(StoreError::Database(format!(
                    "the data has schema version {version}: start this version of the server on it once"
                )));
            }
            let name = connection
                .query_row(
                    "SELECT coalesce((SELECT value FROM setting WHERE name = 'history_id'), '')",
                    [],
                    |row| row.get(0),
                )
                .map_err(fault)?;
            let tables = read_tables(&connection).map_err(fault)?;
            for table in &tables {
                if table.key.is_empty() {
                    return Err(table.fault("it has no primary key"));
                }
            }
            Ok(Self {
                connection: Arc::new(Mutex::new(connection)),
                tables,
                name,
            })
        })
        .await
    }

    /// Writes down that the installation is elsewhere now, and lets writers in again.
    async fn note_moved(&self, to: String) -> StoreResult<()> {
        let connection = Arc::clone(&self.connection);
        on_a_thread(move || {
            let fault = |error: rusqlite::Error| StoreError::Database(error.to_string());
            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            connection
                .execute(
                    "INSERT INTO setting (name, value) VALUES ($1, $2) \
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    [MOVED_TO, &to],
                )
                .map_err(fault)?;
            connection.execute_batch("COMMIT").map_err(fault)
        })
        .await
    }

    async fn page(&self, table: &Table, behind: Option<Line>) -> StoreResult<Vec<Line>> {
        let connection = Arc::clone(&self.connection);
        let table = table.clone();
        on_a_thread(move || {
            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            read_page(&connection, &table, behind.as_deref())
        })
        .await
    }
}

async fn on_a_thread<R: Send + 'static>(
    work: impl FnOnce() -> StoreResult<R> + Send + 'static,
) -> StoreResult<R> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(StoreError::Closed))
}

fn read_tables(connection: &Connection) -> rusqlite::Result<Vec<Table>> {
    let names: Vec<String> = connection
        .prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' \
             ORDER BY name",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let table = |name: String| {
        let mut key = Vec::new();
        let columns = connection
            .prepare("SELECT name, type, pk FROM pragma_table_info($1) ORDER BY cid")?
            .query_map([&name], |row| {
                let kind = match row.get_ref(1)?.as_str()? {
                    "INTEGER" => Type::INT8,
                    "TEXT" => Type::TEXT,
                    _ => Type::BYTEA,
                };
                let place: i64 = row.get(2)?;
                key.push(place);
                Ok(Column {
                    name: row.get(0)?,
                    kind,
                })
            })?
            .collect::<Result<Vec<_>, _>>()?;
        let mut placed: Vec<_> = key
            .into_iter()
            .enumerate()
            .filter(|(_, place)| *place > 0)
            .collect();
        placed.sort_by_key(|(_, place)| *place);
        let count = format!("SELECT count(*) FROM {name}");
        let rows: i64 = connection.query_row(&count, [], |row| row.get(0))?;
        Ok(Table {
            columns,
            key: placed.into_iter().map(|(position, _)| position).collect(),
            rows: rows.unsigned_abs(),
            name,
        })
    };
    names.into_iter().map(table).collect()
}

fn read_page(
    connection: &Connection,
    table: &Table,
    behind: Option<&[OwnedValue]>,
) -> StoreResult<Vec<Line>> {
    let fault = |error: rusqlite::Error| StoreError::Database(error.to_string());
    let mut statement = connection
        .prepare_cached(&table.page(behind.is_some()))
        .map_err(fault)?;
    let behind = behind.unwrap_or_default().iter().map(OwnedValue::borrowed);
    let mut rows = statement
        .query(rusqlite::params_from_iter(behind))
        .map_err(fault)?;
    let mut page = Vec::new();
    while let Some(row) = rows.next().map_err(fault)? {
        let cell = |(position, column): (usize, &Column)| {
            let value = row.get_ref(position).map_err(fault)?;
            match (value, &column.kind) {
                (ValueRef::Null, _) => Ok(OwnedValue::Null),
                (ValueRef::Integer(value), &Type::INT8) => Ok(OwnedValue::Int(value)),
                (ValueRef::Text(value), &Type::TEXT) => std::str::from_utf8(value)
                    .map(|text| OwnedValue::Text(text.to_owned()))
                    .map_err(|_cause| table.fault("a text is not UTF-8")),
                (ValueRef::Blob(value), &Type::BYTEA) => Ok(OwnedValue::Blob(value.to_owned())),
                _ => Err(table.fault(&format!("{} is not of its type", column.name))),
            }
        };
        let line: StoreResult<Line> = table.columns.iter().enumerate().map(cell).collect();
        page.push(line?);
    }
    Ok(page)
}
