//! Sessions of browsers: somebody signed in once, and the browser shows a random text since.
//!
//! Only a keyed hash of the text is stored. The rows of an account go with each new
//! password, when it is disabled and when it is deleted.

use crate::clock::Timestamp;
use crate::store::metadata::accounts::Account;
use crate::store::metadata::accounts::must_change;
use crate::store::metadata::accounts::read_account;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::UserId;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// A session that was found, with whose it is.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// The account.
    pub account: Account,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to some minutes.
    pub used_at: Timestamp,
    /// When it ends unless it is used.
    pub until: Timestamp,
}

/// Begins a session.
#[derive(Debug, Clone)]
pub struct BeginSession {
    /// The keyed hash of its text.
    pub hash: [u8; 32],
    /// Whose it is.
    pub account: UserId,
    /// What its `changed_at` was when its password was found right.
    pub changed_at: Timestamp,
    /// What the browser calls itself.
    pub agent: String,
    /// The present moment.
    pub now: Timestamp,
    /// When it ends unless it is used.
    pub until: Timestamp,
}

impl Operation for BeginSession {
    type Output = ();

    /// Refuses with `NotFound` when the account may not sign in, or has changed since.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        // Locked, so that a new password either comes before, or ends this session.
        let rows = tx
            .execute(
                "UPDATE account SET state = state WHERE id = $1 AND state = 0 AND changed_at = $2",
                &[self.account.0.into(), self.changed_at.0.into()],
            )
            .await?;
        must_change(rows)?;
        tx.perform(
            "INSERT INTO session (hash, account_id, agent, created_at, used_at, until) \
             VALUES ($1, $2, $3, $4, $4, $5)",
            &[
                self.hash.as_slice().into(),
                self.account.0.into(),
                self.agent.as_str().into(),
                self.now.0.into(),
                self.until.0.into(),
            ],
        )
        .await
    }
}

/// Finds a session with its account, whatever the state of either.
#[derive(Debug, Clone)]
pub struct FindSession {
    /// The keyed hash of its text.
    pub hash: [u8; 32],
}

impl Operation for FindSession {
    type Output = Option<SessionRow>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<SessionRow>> {
        tx.row(
            "SELECT a.id, a.name, a.display_name, a.email, a.is_admin, a.state, a.home_space, \
             a.created_at, a.changed_at, a.purge_at, s.used, s.files, s.kept, s.quota, a.fold, \
             e.created_at, e.used_at, e.until FROM session e JOIN account a ON a.id = e.account_id \
             JOIN space s ON s.id = a.home_space WHERE e.hash = $1",
            &[self.hash.as_slice().into()],
            |row| {
                Ok(SessionRow {
                    account: read_account(row)?,
                    created_at: Timestamp(row.int(15)?),
                    used_at: Timestamp(row.int(16)?),
                    until: Timestamp(row.int(17)?),
                })
            },
        )
        .await
    }
}

/// Notes that a session is in use, and when it ends now.
#[derive(Debug, Clone)]
pub struct TouchSession {
    /// The keyed hash of its text.
    pub hash: [u8; 32],
    /// The present moment.
    pub now: Timestamp,
    /// When it ends unless it is used.
    pub until: Timestamp,
}

impl Operation for TouchSession {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.perform(
            "UPDATE session SET used_at = $1, until = $2 WHERE hash = $3",
            &[
                self.now.0.into(),
                self.until.0.into(),
                self.hash.as_slice().into(),
            ],
        )
        .await
    }
}

/// Ends a session; one that is over already changes nothing.
#[derive(Debug, Clone)]
pub struct EndSession {
    /// The keyed hash of its text.
    pub hash: [u8; 32],
}

impl Operation for EndSession {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let sql = "DELETE FROM session WHERE hash = $1";
        tx.perform(sql, &[self.hash.as_slice().into()]).await
    }
}

/// A session as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSession {
    /// The keyed hash of its text.
    pub hash: Vec<u8>,
    /// What the browser calls itself.
    pub agent: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to some minutes.
    pub used_at: Timestamp,
}

/// Lists the sessions of an account that hold, the last used first.
#[derive(Debug, Clone)]
pub struct ListSessions {
    /// Whose.
    pub account: UserId,
    /// The present moment.
    pub now: Timestamp,
    /// The most.
    pub limit: i64,
}

impl Operation for ListSessions {
    type Output = Vec<ListedSession>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<ListedSession>> {
        tx.rows(
            "SELECT hash, agent, created_at, used_at FROM session \
             WHERE account_id = $1 AND until > $2 ORDER BY used_at DESC, hash LIMIT $3",
            &[self.account.0.into(), self.now.0.into(), self.limit.into()],
            |row| {
                Ok(ListedSession {
                    hash: row.blob(0)?,
                    agent: row.text(1)?,
                    created_at: Timestamp(row.int(2)?),
                    used_at: Timestamp(row.int(3)?),
                })
            },
        )
        .await
    }
}

/// Ends a session of an account.
#[derive(Debug, Clone)]
pub struct EndSessionOf {
    /// Whose.
    pub account: UserId,
    /// The keyed hash of its text.
    pub hash: Vec<u8>,
}

impl Operation for EndSessionOf {
    /// Whether there was one.
    type Output = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<bool> {
        let sql = "DELETE FROM session WHERE hash = $1 AND account_id = $2";
        let ended = tx
            .execute(sql, &[self.hash.as_slice().into(), self.account.0.into()])
            .await?;
        Ok(ended > 0)
    }
}

/// Ends all sessions of an account, and what waits for a device of it.
pub(super) async fn end_all<T: Tx>(tx: &mut T, account: UserId) -> StoreResult<()> {
    let whose: &[_] = &[account.0.into()];
    tx.perform("DELETE FROM session WHERE account_id = $1", whose)
        .await?;
    tx.perform("DELETE FROM device_login WHERE account_id = $1", whose)
        .await
}

/// Deletes sessions and waiting devices whose time is over; a background job.
#[derive(Debug, Clone)]
pub struct SweepSignIns {
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for SweepSignIns {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let now: &[_] = &[self.now.0.into()];
        tx.perform("DELETE FROM session WHERE until <= $1", now)
            .await?;
        tx.perform("DELETE FROM device_login WHERE until <= $1", now)
            .await
    }
}
