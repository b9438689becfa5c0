//! What a database must be before operations run on it: safe, and of the right form.
//!
//! Several servers may start at once: the whole migration is one transaction under an
//! advisory lock, so that one does it and the others find it done. Servers of the release
//! before may run meanwhile and start again afterwards: the database says which
//! versions can still work on it (`schema_version.oldest`).

use deadpool_postgres::ClientWrapper;

use crate::store::metadata::dialect;
use crate::store::metadata::dialect::Engine;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::postgres::connect::store_error;

/// The oldest PostgreSQL that the statements are written for.
const OLDEST_MAJOR: i32 = 13;

/// What the database is meant to hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expectation<'s> {
    /// All of an installation; one that is still being filled is refused.
    Complete,
    /// Nothing yet, or a part of this source.
    FilledFrom(&'s str),
}

/// Refuses a server that would lose what it has acknowledged, or cannot run the statements.
pub(super) async fn refuse_unsafe(client: &ClientWrapper) -> StoreResult<()> {
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::int, current_setting('fsync'), \
             current_setting('synchronous_commit'), current_setting('full_page_writes'), \
             current_setting('server_encoding'), current_setting('data_checksums'), \
             pg_is_in_recovery()",
            &[],
        )
        .await
        .map_err(|error| store_error(&error))?;
    let text = |column: usize| row.try_get::<_, String>(column).unwrap_or_default();
    let version: i32 = row.try_get(0).map_err(|error| store_error(&error))?;
    if version / 10_000 < OLDEST_MAJOR {
        return Err(refused(&format!(
            "it is version {}, {OLDEST_MAJOR} is the oldest that works",
            version / 10_000
        )));
    }
    for (column, name) in [
        (1, "fsync"),
        (2, "synchronous_commit"),
        (3, "full_page_writes"),
    ] {
        if text(column) == "off" {
            return Err(refused(&format!(
                "{name} is off, so that it would lose what it has acknowledged"
            )));
        }
    }
    if text(4) != "UTF8" {
        return Err(refused(&format!(
            "the database's encoding is {}, it must be UTF8",
            text(4)
        )));
    }
    if row.try_get(6).unwrap_or(false) {
        return Err(refused("it is a read-only replica"));
    }
    if text(5) == "off" {
        tracing::warn!(
            "PostgreSQL runs without data checksums: a disk's error would not be noticed"
        );
    }
    Ok(())
}

fn refused(reason: &str) -> StoreError {
    StoreError::Database(format!("this PostgreSQL cannot be used: {reason}"))
}

/// Brings the schema to the newest version, or refuses a newer one.
pub(super) async fn migrate(
    client: &ClientWrapper,
    expectation: Expectation<'_>,
) -> StoreResult<()> {
    let migrated = migrate_locked(client, expectation).await;
    let end = if migrated.is_ok() {
        "COMMIT"
    } else {
        "ROLLBACK"
    };
    let ended = client.batch_execute(end).await;
    migrated.and_then(|()| ended.map_err(|error| store_error(&error)))
}

async fn migrate_locked(client: &ClientWrapper, expectation: Expectation<'_>) -> StoreResult<()> {
    let fault = |error: tokio_postgres::Error| store_error(&error);
    // The number is an arbitrary name: "nuage" in ASCII.
    client
        .batch_execute(
            "BEGIN; SELECT pg_advisory_xact_lock(474349627237); \
             CREATE TABLE IF NOT EXISTS schema_version \
             (version BIGINT NOT NULL, filled_from TEXT); \
             ALTER TABLE schema_version ADD COLUMN IF NOT EXISTS oldest BIGINT; \
             INSERT INTO schema_version (version) \
             SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM schema_version)",
        )
        .await
        .map_err(fault)?;
    let row = client
        .query_one(
            "SELECT version, filled_from, oldest FROM schema_version",
            &[],
        )
        .await
        .map_err(fault)?;
    let version: i64 = row.try_get(0).map_err(fault)?;
    let filled_from: Option<String> = row.try_get(1).map_err(fault)?;
    let found = usize::try_from(version).unwrap_or(usize::MAX);
    let newest = dialect::MIGRATIONS.len();
    let oldest: Option<i64> = row.try_get(2).map_err(fault)?;
    refuse_other_content(found, filled_from.as_deref(), expectation)?;
    if found > newest {
        let oldest = oldest.and_then(|oldest| usize::try_from(oldest).ok());
        if oldest.is_some_and(|oldest| oldest <= newest) {
            tracing::info!(found, newest, "a newer server has added to the schema");
            return Ok(());
        }
        return Err(StoreError::NewerSchema {
            found: found as u64,
            known: newest as u64,
        });
    }
    for migration in dialect::MIGRATIONS.iter().skip(found) {
        client
            .batch_execute(&Engine::Postgres.migration(migration.text))
            .await
            .map_err(fault)?;
    }
    let source = match expectation {
        Expectation::Complete => None,
        Expectation::FilledFrom(source) => Some(source),
    };
    client
        .execute(
            "UPDATE schema_version SET version = $1, filled_from = $2, oldest = $3",
            &[
                &i64::try_from(newest).unwrap_or(i64::MAX),
                &source,
                &i64::try_from(dialect::oldest_beside()).unwrap_or(i64::MAX),
            ],
        )
        .await
        .map_err(fault)?;
    Ok(())
}

fn refuse_other_content(
    found: usize,
    filled_from: Option<&str>,
    expectation: Expectation<'_>,
) -> StoreResult<()> {
    match (expectation, filled_from) {
        (Expectation::Complete, None) => Ok(()),
        (Expectation::Complete, Some(_)) => Err(refused(
            "an installation is being moved into it; let nuage-server migrate finish first",
        )),
        (Expectation::FilledFrom(source), Some(other)) if source == other => Ok(()),
        (Expectation::FilledFrom(_), Some(_)) => {
            Err(refused("another installation is being moved into it"))
        }
        (Expectation::FilledFrom(_), None) if found == 0 => Ok(()),
        (Expectation::FilledFrom(_), None) => Err(refused("it holds an installation already")),
    }
}
