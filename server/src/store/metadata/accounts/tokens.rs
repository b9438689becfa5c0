//! App tokens: what a program signs in with in place of a person's password.
//!
//! Only a keyed hash of the token is stored, so the database alone opens nothing.
//! A revoked token keeps its row until its account is purged: a device that goes on
//! trying it is recognised, and does not count as somebody guessing passwords.

use crate::clock::Timestamp;
use crate::store::metadata::accounts::Account;
use crate::store::metadata::accounts::mark_changed;
use crate::store::metadata::accounts::must_change;
use crate::store::metadata::accounts::read_account;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::TokenId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;

/// The shortest time between two notes of "last used".
const USED_AT_STEP_SECONDS: i64 = 3600;

/// An app token; its secret is known to nobody but its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its number.
    pub id: TokenId,
    /// Whose it is.
    pub account: UserId,
    /// What its owner calls it.
    pub label: String,
    /// May only read.
    pub is_read_only: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last used, to the hour.
    pub used_at: Option<Timestamp>,
    /// From when on it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Since when its device is to delete its files.
    pub wipe_at: Option<Timestamp>,
    /// When the device said that it has.
    pub wiped_at: Option<Timestamp>,
}

impl Token {
    /// Returns whether it opens anything at `now`.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }

    /// Returns whether `now` is to be noted as its last use.
    pub fn is_use_worth_noting(&self, now: Timestamp) -> bool {
        self.used_at
            .is_none_or(|at| at.plus_seconds(USED_AT_STEP_SECONDS) <= now)
    }
}

/// How many columns `read_account` reads.
const ACCOUNT_COLUMNS: usize = 15;

fn read_token(row: &dyn Row, first: usize) -> StoreResult<Token> {
    Ok(Token {
        id: TokenId(row.int(first)?),
        account: UserId(row.int(first + 1)?),
        label: row.text(first + 2)?,
        is_read_only: row.int(first + 3)? != 0,
        created_at: Timestamp(row.int(first + 4)?),
        used_at: row.opt_int(first + 5)?.map(Timestamp),
        expires_at: row.opt_int(first + 6)?.map(Timestamp),
        revoked_at: row.opt_int(first + 7)?.map(Timestamp),
        wipe_at: row.opt_int(first + 8)?.map(Timestamp),
        wiped_at: row.opt_int(first + 9)?.map(Timestamp),
    })
}

/// Stores a new token.
#[derive(Debug, Clone)]
pub struct CreateToken {
    /// Whose it is.
    pub account: UserId,
    /// The keyed hash of its text.
    pub hash: [u8; 32],
    /// What its owner calls it.
    pub label: String,
    /// May only read.
    pub is_read_only: bool,
    /// From when on it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for CreateToken {
    type Output = TokenId;

    /// Refuses with `NotFound` when the account is deleted.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<TokenId> {
        let sql = "SELECT id FROM account WHERE id = $1 AND state < 2";
        tx.row(sql, &[self.account.0.into()], |row| row.int(0))
            .await?
            .ok_or(Refusal::NotFound)?;
        let id = tx.reserve_ids("token", 1).await?;
        tx.perform(
            "INSERT INTO token (id, account_id, hash, label, read_only, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            &[
                id.into(),
                self.account.0.into(),
                self.hash.as_slice().into(),
                self.label.as_str().into(),
                i64::from(self.is_read_only).into(),
                self.now.0.into(),
                self.expires_at.map(|at| at.0).into(),
            ],
        )
        .await?;
        Ok(TokenId(id))
    }
}

/// Finds a token with its account, whatever the state of either.
#[derive(Debug, Clone)]
pub struct FindToken {
    /// The keyed hash of its text.
    pub hash: [u8; 32],
}

impl Operation for FindToken {
    type Output = Option<(Token, Account)>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<(Token, Account)>> {
        tx.row(
            "SELECT a.id, a.name, a.display_name, a.email, a.is_admin, a.state, a.home_space, \
             a.created_at, a.changed_at, a.purge_at, s.used, s.files, s.kept, s.quota, \
             a.fold, t.id, t.account_id, t.label, t.read_only, t.created_at, t.used_at, t.expires_at, \
             t.revoked_at, t.wipe_at, t.wiped_at FROM token t JOIN account a ON a.id = t.account_id \
             JOIN space s ON s.id = a.home_space WHERE t.hash = $1",
            &[self.hash.as_slice().into()],
            |row| Ok((read_token(row, ACCOUNT_COLUMNS)?, read_account(row)?)),
        )
        .await
    }
}

/// Finds when a token ends by itself that was not ended.
#[derive(Debug, Clone, Copy)]
pub struct FindTokenEnd(pub TokenId);

impl Operation for FindTokenEnd {
    /// `None`: there is no such token, or it was ended; within, `None`: it never ends by itself.
    type Output = Option<Option<Timestamp>>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<Option<Timestamp>>> {
        tx.row(
            "SELECT expires_at FROM token WHERE id = $1 AND revoked_at IS NULL",
            &[self.0.0.into()],
            |row| Ok(row.opt_int(0)?.map(Timestamp)),
        )
        .await
    }
}

/// Lists the tokens of an account in the order of their creation.
#[derive(Debug, Clone)]
pub struct ListTokens {
    /// The account.
    pub account: UserId,
}

impl Operation for ListTokens {
    type Output = Vec<Token>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Token>> {
        tx.rows(
            "SELECT id, account_id, label, read_only, created_at, used_at, expires_at, \
             revoked_at, wipe_at, wiped_at FROM token WHERE account_id = $1 ORDER BY id",
            &[self.account.0.into()],
            |row| read_token(row, 0),
        )
        .await
    }
}

/// Ends a token.
#[derive(Debug, Clone)]
pub struct RevokeToken {
    /// Whose it is.
    pub account: UserId,
    /// The token.
    pub token: TokenId,
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for RevokeToken {
    type Output = ();

    /// Refuses with `NotFound` when the account has no such token that is not revoked.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let rows = tx
            .execute(
                "UPDATE token SET revoked_at = $1 \
                 WHERE id = $2 AND account_id = $3 AND revoked_at IS NULL",
                &[
                    self.now.0.into(),
                    self.token.0.into(),
                    self.account.0.into(),
                ],
            )
            .await?;
        must_change(rows)?;
        mark_changed(tx, self.account, self.now).await
    }
}

/// Ends a token and asks its device to delete its files; a token that was revoked can still be asked.
#[derive(Debug, Clone)]
pub struct WipeToken {
    /// Whose it is.
    pub account: UserId,
    /// The token.
    pub token: TokenId,
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for WipeToken {
    type Output = ();

    /// Refuses with `NotFound` when the account has no such token.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let rows = tx
            .execute(
                "UPDATE token SET wipe_at = coalesce(wipe_at, $1), \
                 revoked_at = coalesce(revoked_at, $1) WHERE id = $2 AND account_id = $3",
                &[
                    self.now.0.into(),
                    self.token.0.into(),
                    self.account.0.into(),
                ],
            )
            .await?;
        must_change(rows)?;
        mark_changed(tx, self.account, self.now).await
    }
}

/// Notes that a device has deleted its files as it was asked; yields whether it had been.
#[derive(Debug, Clone)]
pub struct NoteWiped {
    /// The keyed hash of its token's text.
    pub hash: [u8; 32],
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for NoteWiped {
    type Output = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<bool> {
        let rows = tx
            .execute(
                "UPDATE token SET wiped_at = $1 \
                 WHERE hash = $2 AND wipe_at IS NOT NULL AND wiped_at IS NULL",
                &[self.now.0.into(), self.hash.as_slice().into()],
            )
            .await?;
        Ok(rows > 0)
    }
}

/// Notes that a token was used, at most once an hour.
#[derive(Debug, Clone)]
pub struct TouchToken {
    /// The token.
    pub token: TokenId,
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for TouchToken {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let before = self.now.plus_seconds(-USED_AT_STEP_SECONDS);
        tx.perform(
            "UPDATE token SET used_at = $1 WHERE id = $2 AND (used_at IS NULL OR used_at <= $3)",
            &[self.now.0.into(), self.token.0.into(), before.0.into()],
        )
        .await?;
        Ok(())
    }
}
