//! A consistent copy of the database, and the beginning of a new history after a restore.
//!
//! A restored database does not know what happened after the copy was made.
//! Clients do: they hold numbers of changes, ETags and node numbers of that lost
//! future. So a restore jumps every counter far ahead, and no number is ever
//! used for two different things.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::backup::Backup;
use rusqlite::backup::StepResult;

use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// How far a restore moves every counter: more than any lost future can have used.
const JUMP: i64 = 1 << 32;

/// Copies a database, also while a server writes to it, as of one moment. Blocks.
///
/// `to` must not exist. The copy is one read transaction: writers go on, and the
/// write-ahead log grows meanwhile.
pub fn copy_database(from: &Path, to: &Path) -> StoreResult<()> {
    let fault = |error: rusqlite::Error| StoreError::Database(error.to_string());
    let source =
        Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(fault)?;
    source
        .busy_timeout(std::time::Duration::from_secs(30))
        .map_err(fault)?;
    let mut copy = Connection::open(to).map_err(fault)?;
    let backup = Backup::new(&source, &mut copy).map_err(fault)?;
    // One step for all pages: with several, each write of the server would begin it anew.
    match backup.step(-1).map_err(fault)? {
        StepResult::Done => {}
        other => {
            return Err(StoreError::Database(format!(
                "the copy stopped early: {other:?}"
            )));
        }
    }
    drop(backup);
    copy.close().map_err(|(_, error)| fault(error))
}

/// Reads the name of the present line of history; empty before the first start.
#[derive(Debug)]
pub struct ReadHistoryId;

impl Operation for ReadHistoryId {
    type Output = Option<String>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<String>> {
        tx.row(
            "SELECT value FROM setting WHERE name = 'history_id'",
            &[],
            |row| row.text(0),
        )
        .await
    }
}

/// Reads the mark by which sync clients see that data was restored; `None`: it never was.
#[derive(Debug)]
pub struct ReadFingerprint;

impl Operation for ReadFingerprint {
    type Output = Option<String>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<String>> {
        tx.row(
            "SELECT value FROM setting WHERE name = 'data_fingerprint'",
            &[],
            |row| row.text(0),
        )
        .await
    }
}

/// Gives a database its first name of history; keeps the one that it has.
#[derive(Debug)]
pub struct NameHistory {
    /// A random name, used if there is none yet.
    pub history_id: String,
}

impl Operation for NameHistory {
    type Output = String;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<String> {
        tx.perform(
            "INSERT INTO setting (name, value) VALUES ('history_id', $1) \
             ON CONFLICT (name) DO NOTHING",
            &[self.history_id.as_str().into()],
        )
        .await?;
        let found = tx
            .row(
                "SELECT value FROM setting WHERE name = 'history_id'",
                &[],
                |row| row.text(0),
            )
            .await?;
        found.ok_or_else(|| StoreError::Corrupt("setting history_id".into()))
    }
}

/// Begins a new line of history in a database that was restored from a copy.
///
/// Every space's feed jumps and forgets its tombstones, so that each cursor of
/// the lost future is told to read anew; every counter jumps, so that no number
/// of a node, content, pack or account is handed out twice. Leases, jobs and
/// letters of the old server end. Sync clients see another fingerprint, and keep both sides' files where they differ.
#[derive(Debug)]
pub struct BeginNewHistory {
    /// A random name.
    pub history_id: String,
}

impl Operation for BeginNewHistory {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.perform(
            "UPDATE space SET seq = seq + $1, floor = seq + $1",
            &[JUMP.into()],
        )
        .await?;
        tx.perform("UPDATE counter SET next = next + $1", &[JUMP.into()])
            .await?;
        for statement in [
            "DELETE FROM tomb",
            "DELETE FROM lease_content",
            "DELETE FROM lease",
            "DELETE FROM job",
            // The old server has sent them.
            "DELETE FROM mail_queue",
        ] {
            tx.perform(statement, &[]).await?;
        }
        tx.perform(
            "INSERT INTO setting (name, value) VALUES ('data_fingerprint', $1) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            &[self.history_id.as_str().into()],
        )
        .await?;
        tx.perform(
            "INSERT INTO setting (name, value) VALUES ('history_id', $1) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            &[self.history_id.as_str().into()],
        )
        .await?;
        Ok(())
    }
}
