//! Accounts and the spaces that belong to people: operations over [`Tx`].
//!
//! An account is born together with its home: a space, its root and the hidden
//! folder that will hold deleted trees. Deleting an account only archives it; its
//! name is free at once, its files can come back until `purge_at`.
//!
//! # Always true
//!
//! * `changed_at` rises strictly with every change that must end cached
//!   credentials: password, state, and the revocation of a token.
//! * Among accounts that are not deleted, `fold` is unique.
//! * An archived space has the state 1 and nobody reaches it.
//!
//! # What surprises
//!
//! Memberships of a deleted account stay, so that restoring it restores them;
//! whoever lists members leaves out accounts that are deleted.

pub mod device_logins;
pub mod directory;
pub mod hand_over;
pub mod names;
pub mod sessions;
pub mod teams;
pub mod throttles;
pub mod tickets;
pub mod tokens;

use crate::clock::Timestamp;
use crate::store::metadata::accounts::names::Holder;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::sharing_news;
use crate::store::metadata::sharing_news::Touched;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;

/// The domain that every space belongs to until there is more than one.
const DOMAIN: i64 = 1;

/// What an account may do at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountState {
    /// May sign in.
    Active,
    /// May not sign in; everything else stays.
    Disabled,
    /// Archived; goes for good at `purge_at`.
    Deleted,
}

/// How many bytes a space may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// What the settings say for this kind of space.
    Default,
    /// No limit.
    Unlimited,
    /// This many bytes.
    Bytes(u64),
}

impl Quota {
    fn from_column(column: Option<i64>) -> Self {
        match column {
            None => Self::Default,
            Some(bytes) => u64::try_from(bytes).map_or(Self::Unlimited, Self::Bytes),
        }
    }

    fn to_column(self) -> Option<i64> {
        match self {
            Self::Default => None,
            Self::Unlimited => Some(-1),
            Self::Bytes(bytes) => Some(i64::try_from(bytes).unwrap_or(i64::MAX)),
        }
    }
}

/// What a space holds and may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpaceUse {
    /// Bytes of its current files.
    pub used_bytes: u64,
    /// Number of its current files.
    pub files: u64,
    /// Bytes of trash and former versions; not charged.
    pub kept_bytes: u64,
    /// How much it may hold.
    pub quota: Quota,
}

/// A person's account with what its home holds; never its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number for life.
    pub id: UserId,
    /// The sign-in name as it was given.
    pub name: String,
    /// Its folded form: what a name typed by somebody is compared with.
    pub fold: String,
    /// The name that people see.
    pub display_name: String,
    /// Where mail goes.
    pub email: Option<String>,
    /// May administer.
    pub is_admin: bool,
    /// What it may do at all.
    pub state: AccountState,
    /// The space that `/dav/` shows.
    pub home: SpaceId,
    /// When it was created.
    pub created_at: Timestamp,
    /// Rises with each change that must end cached credentials.
    pub changed_at: Timestamp,
    /// Deleted: when its files go for good.
    pub purge_at: Option<Timestamp>,
    /// What its home holds and may hold.
    pub home_use: SpaceUse,
}

macro_rules! select_account {
    ($tail:literal) => {
        concat!(
            "SELECT a.id, a.name, a.display_name, a.email, a.is_admin, a.state, a.home_space, \
             a.created_at, a.changed_at, a.purge_at, s.used, s.files, s.kept, s.quota, \
             a.fold, a.password_hash FROM account a JOIN space s ON s.id = a.home_space ",
            $tail
        )
    };
}

const PASSWORD_HASH_COLUMN: usize = 15;

fn read_account(row: &dyn Row) -> StoreResult<Account> {
    Ok(Account {
        id: UserId(row.int(0)?),
        name: row.text(1)?,
        display_name: row.text(2)?,
        email: row.opt_text(3)?,
        is_admin: row.int(4)? != 0,
        state: read_state(row.int(5)?)?,
        home: SpaceId(row.int(6)?),
        created_at: Timestamp(row.int(7)?),
        changed_at: Timestamp(row.int(8)?),
        purge_at: row.opt_int(9)?.map(Timestamp),
        home_use: read_space_use(row, 10)?,
        fold: row.text(14)?,
    })
}

fn read_state(number: i64) -> StoreResult<AccountState> {
    match number {
        0 => Ok(AccountState::Active),
        1 => Ok(AccountState::Disabled),
        2 => Ok(AccountState::Deleted),
        _ => Err(StoreError::Corrupt(format!("account state {number}"))),
    }
}

/// Reads `used, files, kept, quota` from four columns beginning at `first`.
fn read_space_use(row: &dyn Row, first: usize) -> StoreResult<SpaceUse> {
    Ok(SpaceUse {
        used_bytes: unsigned(row.int(first)?)?,
        files: unsigned(row.int(first + 1)?)?,
        kept_bytes: unsigned(row.int(first + 2)?)?,
        quota: Quota::from_column(row.opt_int(first + 3)?),
    })
}

fn unsigned(number: i64) -> StoreResult<u64> {
    u64::try_from(number).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// What a new account shall be.
#[derive(Debug, Clone)]
pub struct CreateAccount {
    /// The sign-in name, valid and in NFC.
    pub name: String,
    /// Its folded form.
    pub fold: String,
    /// The name that people see.
    pub display_name: String,
    /// Where mail goes.
    pub email: Option<String>,
    /// A PHC string; `None`: no password opens this account.
    pub password_hash: Option<String>,
    /// May administer.
    pub is_admin: bool,
    /// How much its home may hold.
    pub quota: Quota,
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for CreateAccount {
    type Output = Account;

    /// Refuses with `AlreadyExists` when the folded name is taken.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Account> {
        let taken = "SELECT 1 FROM account WHERE fold = $1 AND state < 2";
        if exists(tx, taken, &self.fold).await? {
            return Err(Refusal::AlreadyExists.into());
        }
        let id = tx.reserve_ids("account", 1).await?;
        let home = create_space(tx, SpaceKind::Home, id, self.quota, self.now).await?;
        tx.perform(
            "INSERT INTO account (id, name, fold, display_name, email, password_hash, is_admin, \
             state, home_space, created_at, changed_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $10)",
            &[
                id.into(),
                self.name.as_str().into(),
                self.fold.as_str().into(),
                self.display_name.as_str().into(),
                self.email.as_deref().into(),
                self.password_hash.as_deref().into(),
                i64::from(self.is_admin).into(),
                home.0.into(),
                self.now.0.into(),
                self.now.0.into(),
            ],
        )
        .await?;
        let (name, email) = (self.name.as_str(), self.email.as_deref());
        names::keep_person(tx, UserId(id), (name, &self.display_name, email)).await?;
        find_by_id(tx, UserId(id))
            .await?
            .ok_or_else(|| Refusal::NotFound.into())
    }
}

/// Creates an account if there has never been one; yields `None` otherwise.
#[derive(Debug, Clone)]
pub struct CreateFirstAccount(pub CreateAccount);

impl Operation for CreateFirstAccount {
    type Output = Option<Account>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<Account>> {
        let any = "SELECT id FROM account ORDER BY id LIMIT 1";
        if tx.row(any, &[], |row| row.int(0)).await?.is_some() {
            return Ok(None);
        }
        self.0.run(tx).await.map(Some)
    }
}

/// Tells whether there has ever been an account.
#[derive(Debug, Clone)]
pub struct HasAccounts;

impl Operation for HasAccounts {
    type Output = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<bool> {
        let any = "SELECT id FROM account ORDER BY id LIMIT 1";
        Ok(tx.row(any, &[], |row| row.int(0)).await?.is_some())
    }
}

/// Whose a new space is.
#[derive(Debug, Clone, Copy)]
enum SpaceKind {
    Home,
    Group,
}

/// Makes a live, empty space with its root and its trash.
async fn create_space<T: Tx>(
    tx: &mut T,
    kind: SpaceKind,
    owner: i64,
    quota: Quota,
    now: Timestamp,
) -> StoreResult<SpaceId> {
    let space = tx.reserve_ids("space", 1).await?;
    let root = tx.reserve_ids("node", 2).await?;
    let trash = root + 1;
    let kind = match kind {
        SpaceKind::Home => 1,
        SpaceKind::Group => 2,
    };
    tx.perform(
        "INSERT INTO space (id, domain_id, kind, owner_id, root_id, trash_id, seq, quota) \
         VALUES ($1, $2, $3, $4, $5, $6, 2, $7)",
        &[
            space.into(),
            DOMAIN.into(),
            kind.into(),
            owner.into(),
            root.into(),
            trash.into(),
            quota.to_column().into(),
        ],
    )
    .await?;
    create_top(tx, SpaceId(space), root, 1, now).await?;
    create_top(tx, SpaceId(space), trash, 2, now).await?;
    Ok(SpaceId(space))
}

/// Inserts a folder that has no parent: the root or the trash of a space.
async fn create_top<T: Tx>(
    tx: &mut T,
    space: SpaceId,
    node: i64,
    seq: i64,
    now: Timestamp,
) -> StoreResult<()> {
    tx.perform(
        "INSERT INTO node (id, space_id, parent_id, name, fold, kind, seq, born, tree_seq, \
         mtime, ctime) VALUES ($1, $2, NULL, '', '', 0, $3, $4, $5, $6, $7)",
        &[
            node.into(),
            space.0.into(),
            seq.into(),
            seq.into(),
            seq.into(),
            now.0.into(),
            now.0.into(),
        ],
    )
    .await?;
    Ok(())
}

async fn exists<T: Tx>(tx: &mut T, sql: &'static str, text: &str) -> StoreResult<bool> {
    Ok(tx
        .row(sql, &[text.into()], |row| row.int(0))
        .await?
        .is_some())
}

async fn find_by_id<T: Tx>(tx: &mut T, id: UserId) -> StoreResult<Option<Account>> {
    let sql = select_account!("WHERE a.id = $1");
    tx.row(sql, &[id.0.into()], read_account).await
}

/// Finds an account, also a deleted one.
#[derive(Debug, Clone)]
pub struct FindAccountById(pub UserId);

impl Operation for FindAccountById {
    type Output = Option<Account>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<Account>> {
        find_by_id(tx, self.0).await
    }
}

/// Finds the account that is not deleted and has this folded name.
#[derive(Debug, Clone)]
pub struct FindAccountByName {
    /// The folded name.
    pub fold: String,
}

impl Operation for FindAccountByName {
    type Output = Option<Account>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<Account>> {
        let sql = select_account!("WHERE a.fold = $1 AND a.state < 2");
        tx.row(sql, &[self.fold.as_str().into()], read_account)
            .await
    }
}

/// Finds the folded name of the account that somebody means who signs in.
///
/// A name wins over an address of mail; an address that several accounts have means nobody.
#[derive(Debug, Clone)]
pub struct FindLogin {
    /// What was typed, folded as a name.
    pub fold: String,
    /// What was typed, in lower case.
    pub email: String,
}

impl Operation for FindLogin {
    type Output = Option<String>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<String>> {
        let by_name = tx
            .ask(
                "SELECT fold FROM account WHERE fold = $1 AND state < 2",
                &[self.fold.as_str().into()],
                |row| row.text(0),
            )
            .await?;
        let by_email = tx
            .ask(
                "SELECT fold FROM account WHERE lower(email) = $1 AND state < 2 LIMIT 2",
                &[self.email.as_str().into()],
                |row| row.text(0),
            )
            .await?;
        if let Some(fold) = tx.answer_one(by_name).await? {
            return Ok(Some(fold));
        }
        let mut found = tx.answer(by_email).await?;
        Ok(found.pop().filter(|_| found.is_empty()))
    }
}

/// Finds the account deleted last under this folded name.
#[derive(Debug, Clone)]
pub struct FindDeletedAccount {
    /// The folded name.
    pub fold: String,
}

impl Operation for FindDeletedAccount {
    type Output = Option<Account>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<Account>> {
        find_deleted(tx, &self.fold).await
    }
}

async fn find_deleted<T: Tx>(tx: &mut T, fold: &str) -> StoreResult<Option<Account>> {
    let sql = select_account!("WHERE a.fold = $1 AND a.state = 2 ORDER BY a.id DESC LIMIT 1");
    tx.row(sql, &[fold.into()], read_account).await
}

/// An account with what its password is tested against.
pub struct PasswordRow {
    /// The account.
    pub account: Account,
    /// A PHC string; `None`: no password opens it.
    pub password_hash: Option<String>,
}

/// Finds the account that is not deleted and has this folded name, with its password hash.
#[derive(Debug, Clone)]
pub struct FindPassword {
    /// The folded name.
    pub fold: String,
}

impl Operation for FindPassword {
    type Output = Option<PasswordRow>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<PasswordRow>> {
        let sql = select_account!("WHERE a.fold = $1 AND a.state < 2");
        tx.row(sql, &[self.fold.as_str().into()], |row| {
            Ok(PasswordRow {
                account: read_account(row)?,
                password_hash: row.opt_text(PASSWORD_HASH_COLUMN)?,
            })
        })
        .await
    }
}

/// Lists accounts by id, deleted ones included.
#[derive(Debug, Clone)]
pub struct ListAccounts {
    /// Only accounts with a greater id; 0 for the first page.
    pub after: UserId,
    /// The most accounts to bring.
    pub limit: i64,
}

impl Operation for ListAccounts {
    type Output = Vec<Account>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Account>> {
        let sql = select_account!("WHERE a.id > $1 ORDER BY a.id LIMIT $2");
        tx.rows(sql, &[self.after.0.into(), self.limit.into()], read_account)
            .await
    }
}

/// Finds accounts that are not deleted by a part of their folded name, their shown name or address, in the order
/// of the first.
#[derive(Debug, Clone)]
pub struct SearchAccounts {
    /// What one of them holds, in lower case; may be empty.
    pub text: String,
    /// How many to leave out at the beginning.
    pub offset: i64,
    /// The most accounts to bring.
    pub limit: i64,
}

impl Operation for SearchAccounts {
    type Output = Vec<Account>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Account>> {
        let mut pattern = String::from("%");
        for character in self.text.chars() {
            if matches!(character, '%' | '_' | '!') {
                pattern.push('!');
            }
            pattern.push(character);
        }
        pattern.push('%');
        let sql = select_account!(
            "WHERE a.state < 2 AND (a.fold LIKE $1 ESCAPE '!' OR lower(a.display_name) LIKE $1 ESCAPE '!' \
             OR lower(a.email) LIKE $1 ESCAPE '!') ORDER BY a.fold LIMIT $2 OFFSET $3"
        );
        let page = [
            pattern.as_str().into(),
            self.limit.into(),
            self.offset.into(),
        ];
        tx.rows(sql, &page, read_account).await
    }
}

/// Reads `changed_at` of accounts that may still sign in; others are left out.
#[derive(Debug, Clone)]
pub struct ReadChangedAt(pub Vec<UserId>);

impl Operation for ReadChangedAt {
    type Output = Vec<(UserId, Timestamp)>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<(UserId, Timestamp)>> {
        let mut found = Vec::with_capacity(self.0.len());
        for id in &self.0 {
            let sql = "SELECT changed_at FROM account WHERE id = $1 AND state = 0";
            let changed_at = tx.row(sql, &[id.0.into()], |row| row.int(0)).await?;
            found.extend(changed_at.map(|at| (*id, Timestamp(at))));
        }
        Ok(found)
    }
}

/// Reads a number that rises with each change that must end cached credentials.
#[derive(Debug, Clone)]
pub(crate) struct ReadAccountMark;

impl Operation for ReadAccountMark {
    type Output = i64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<i64> {
        let sql = "SELECT next FROM counter WHERE name = 'account_change'";
        Ok(tx.row(sql, &[], |row| row.int(0)).await?.unwrap_or(0))
    }
}

/// Ends cached credentials of an account, also on other servers.
async fn mark_changed<T: Tx>(tx: &mut T, id: UserId, now: Timestamp) -> StoreResult<()> {
    tx.perform(
        "UPDATE account SET changed_at = CASE WHEN changed_at < $1 THEN $1 \
         ELSE changed_at + 1 END WHERE id = $2",
        &[now.0.into(), id.0.into()],
    )
    .await?;
    // Written with the change: a mark that shows earlier would be looked at too early.
    tx.perform(
        "INSERT INTO counter (name, next) VALUES ('account_change', 1) \
         ON CONFLICT (name) DO UPDATE SET next = counter.next + 1",
        &[],
    )
    .await
}

fn must_change(rows: u64) -> StoreResult<()> {
    if rows == 0 {
        return Err(Refusal::NotFound.into());
    }
    Ok(())
}

/// Replaces the password.
#[derive(Debug, Clone)]
pub struct SetPassword {
    /// The account.
    pub id: UserId,
    /// A PHC string.
    pub password_hash: String,
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for SetPassword {
    type Output = ();

    /// Refuses with `NotFound` when the account is deleted.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let rows = tx
            .execute(
                "UPDATE account SET password_hash = $1 WHERE id = $2 AND state < 2",
                &[self.password_hash.as_str().into(), self.id.0.into()],
            )
            .await?;
        must_change(rows)?;
        sessions::end_all(tx, self.id).await?;
        mark_changed(tx, self.id, self.now).await
    }
}

/// Disables or enables an account; doing it twice changes nothing more.
#[derive(Debug, Clone)]
pub struct SetDisabled {
    /// The account.
    pub id: UserId,
    /// May it no longer sign in?
    pub disabled: bool,
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for SetDisabled {
    type Output = ();

    fn changes_sharing(&self) -> bool {
        true
    }

    /// Refuses with `NotFound` when the account is deleted.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let rows = tx
            .execute(
                "UPDATE account SET state = $1 WHERE id = $2 AND state < 2",
                &[i64::from(self.disabled).into(), self.id.0.into()],
            )
            .await?;
        must_change(rows)?;
        if self.disabled {
            names::forget(tx, Holder::Person(self.id)).await?;
        } else if let Some(account) = find_by_id(tx, self.id).await? {
            keep_names(tx, &account).await?;
        }
        sessions::end_all(tx, self.id).await?;
        mark_changed(tx, self.id, self.now).await?;
        sharing_news::tell(tx, Touched::Person(self.id)).await
    }
}

/// Lets an account be found by its names.
async fn keep_names<T: Tx>(tx: &mut T, account: &Account) -> StoreResult<()> {
    let Account {
        name,
        display_name,
        email,
        ..
    } = account;
    names::keep_person(tx, account.id, (name, display_name, email.as_deref())).await
}

/// Archives an account and its home, and ends its tokens and locks.
#[derive(Debug, Clone)]
pub struct DeleteAccount {
    /// The account.
    pub id: UserId,
    /// Who gets its files, as a folder of their home.
    pub hand_to: Option<hand_over::Receiver>,
    /// The present moment.
    pub now: Timestamp,
    /// When its files go for good.
    pub purge_at: Timestamp,
}

impl Operation for DeleteAccount {
    type Output = ();

    fn changes_sharing(&self) -> bool {
        true
    }

    /// Refuses with `NotFound` when it is deleted already, and as handing over does.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let account = find_by_id(tx, self.id)
            .await?
            .filter(|account| account.state != AccountState::Deleted)
            .ok_or(Refusal::NotFound)?;
        // First the account's row, then those of spaces: whoever deletes or restores it waits here.
        let rows = tx
            .execute(
                "UPDATE account SET state = 2, purge_at = $1 WHERE id = $2 AND state < 2",
                &[self.purge_at.0.into(), self.id.0.into()],
            )
            .await?;
        must_change(rows)?;
        if let Some(receiver) = &self.hand_to {
            hand_over::hand_over(tx, &account, receiver, self.now).await?;
        }
        mark_changed(tx, self.id, self.now).await?;
        names::forget(tx, Holder::Person(self.id)).await?;
        archive_space(tx, account.home).await?;
        sessions::end_all(tx, self.id).await?;
        tx.perform(
            "UPDATE token SET revoked_at = $1 WHERE account_id = $2 AND revoked_at IS NULL",
            &[self.now.0.into(), self.id.0.into()],
        )
        .await?;
        tx.perform("DELETE FROM lock WHERE owner_id = $1", &[self.id.0.into()])
            .await?;
        tell_of_account(tx, &account).await
    }
}

/// Tells whoever listens that what somebody gave, or what is in their home, is gone or back.
async fn tell_of_account<T: Tx>(tx: &mut T, account: &Account) -> StoreResult<()> {
    sharing_news::tell(tx, Touched::Person(account.id)).await?;
    sharing_news::tell(tx, Touched::Space(account.home)).await
}

/// Takes a space out of everybody's reach and ends its locks.
async fn archive_space<T: Tx>(tx: &mut T, space: SpaceId) -> StoreResult<()> {
    tx.perform(
        "UPDATE space SET state = 1 WHERE id = $1",
        &[space.0.into()],
    )
    .await?;
    tx.perform("DELETE FROM lock WHERE space_id = $1", &[space.0.into()])
        .await?;
    Ok(())
}

/// Brings a deleted account and its home back; its tokens stay revoked.
#[derive(Debug, Clone)]
pub struct RestoreAccount {
    /// The folded name.
    pub fold: String,
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for RestoreAccount {
    type Output = Account;

    fn changes_sharing(&self) -> bool {
        true
    }

    /// Refuses with `NotFound` when there is none that can come back, and with
    /// `AlreadyExists` when somebody has its name now.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Account> {
        let taken = "SELECT 1 FROM account WHERE fold = $1 AND state < 2";
        if exists(tx, taken, &self.fold).await? {
            return Err(Refusal::AlreadyExists.into());
        }
        // From purge_at on, the purge may have begun to delete its files.
        let account = find_deleted(tx, &self.fold)
            .await?
            .filter(|account| account.purge_at.is_some_and(|at| at > self.now))
            .ok_or(Refusal::NotFound)?;
        let rows = tx
            .execute(
                "UPDATE account SET state = 0, purge_at = NULL WHERE id = $1 AND state = 2",
                &[account.id.0.into()],
            )
            .await?;
        must_change(rows)?;
        keep_names(tx, &account).await?;
        mark_changed(tx, account.id, self.now).await?;
        tx.perform(
            "UPDATE space SET state = 0 WHERE id = $1",
            &[account.home.0.into()],
        )
        .await?;
        tell_of_account(tx, &account).await?;
        find_by_id(tx, account.id)
            .await?
            .ok_or_else(|| Refusal::NotFound.into())
    }
}

/// Sets how much a space may hold.
#[derive(Debug, Clone)]
pub struct SetQuota {
    /// The space.
    pub space: SpaceId,
    /// How much.
    pub quota: Quota,
}

impl Operation for SetQuota {
    type Output = ();

    /// Refuses with `NotFound` when there is no such space.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let rows = tx
            .execute(
                "UPDATE space SET quota = $1 WHERE id = $2",
                &[self.quota.to_column().into(), self.space.0.into()],
            )
            .await?;
        must_change(rows)
    }
}

/// Reads what a space holds and may hold.
#[derive(Debug, Clone)]
pub struct ReadSpaceUse(pub SpaceId);

impl Operation for ReadSpaceUse {
    type Output = Option<SpaceUse>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<SpaceUse>> {
        tx.row(
            "SELECT used, files, kept, quota FROM space WHERE id = $1",
            &[self.0.0.into()],
            |row| read_space_use(row, 0),
        )
        .await
    }
}

/// Lists archived spaces whose time is over: their nodes may be deleted for good.
#[derive(Debug, Clone)]
pub struct ListPurgeable {
    /// The present moment.
    pub now: Timestamp,
    /// The most spaces to bring.
    pub limit: i64,
}

impl Operation for ListPurgeable {
    type Output = Vec<SpaceId>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<SpaceId>> {
        tx.rows(
            "SELECT home_space FROM account WHERE state = 2 AND purge_at <= $1 \
             UNION ALL SELECT space_id FROM team WHERE state = 2 AND purge_at <= $1 LIMIT $2",
            &[self.now.0.into(), self.limit.into()],
            |row| Ok(SpaceId(row.int(0)?)),
        )
        .await
    }
}

/// Forgets the account or team of an archived space, and the space, once its nodes are gone.
#[derive(Debug, Clone)]
pub struct FinishPurge {
    /// The space, as `ListPurgeable` gave it.
    pub space: SpaceId,
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for FinishPurge {
    type Output = ();

    fn changes_sharing(&self) -> bool {
        true
    }

    /// Refuses with `NotFound` when the space is not due (it came back meanwhile).
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let space: &[_] = &[self.space.0.into()];
        let due: &[_] = &[self.space.0.into(), self.now.0.into()];
        tx.perform(
            "DELETE FROM token WHERE account_id IN (SELECT id FROM account \
             WHERE home_space = $1 AND state = 2 AND purge_at <= $2)",
            due,
        )
        .await?;
        tx.perform(
            "DELETE FROM member WHERE account_id IN (SELECT id FROM account \
             WHERE home_space = $1 AND state = 2 AND purge_at <= $2)",
            due,
        )
        .await?;
        tx.perform(
            "DELETE FROM member WHERE team_id IN (SELECT id FROM team \
             WHERE space_id = $1 AND state = 2 AND purge_at <= $2)",
            due,
        )
        .await?;
        for statement in [
            "DELETE FROM share WHERE kind = 0 AND to_id IN (SELECT id FROM account \
             WHERE home_space = $1 AND state = 2 AND purge_at <= $2)",
            "DELETE FROM share WHERE sharer_id IN (SELECT id FROM account \
             WHERE home_space = $1 AND state = 2 AND purge_at <= $2)",
            "DELETE FROM share WHERE kind = 1 AND to_id IN (SELECT id FROM team \
             WHERE space_id = $1 AND state = 2 AND purge_at <= $2)",
            "DELETE FROM mount WHERE account_id IN (SELECT id FROM account \
             WHERE home_space = $1 AND state = 2 AND purge_at <= $2)",
            "DELETE FROM favorite WHERE account_id IN (SELECT id FROM account \
             WHERE home_space = $1 AND state = 2 AND purge_at <= $2)",
        ] {
            tx.perform(statement, due).await?;
        }
        // What they were uploading to elsewhere is over; the sweep takes its parts.
        tx.perform(
            "UPDATE upload SET until = $1 WHERE account_id IN (SELECT id FROM account \
             WHERE home_space = $2 AND state = 2 AND purge_at <= $1)",
            &[self.now.0.into(), self.space.0.into()],
        )
        .await?;
        // A server of the release before leaves words behind.
        tx.perform(
            "DELETE FROM name_word WHERE kind = 0 AND holder_id IN (SELECT id FROM account \
             WHERE home_space = $1 AND state = 2 AND purge_at <= $2)",
            due,
        )
        .await?;
        tx.perform(
            "DELETE FROM name_word WHERE kind = 1 AND holder_id IN (SELECT id FROM team \
             WHERE space_id = $1 AND state = 2 AND purge_at <= $2)",
            due,
        )
        .await?;
        let accounts = tx
            .execute(
                "DELETE FROM account WHERE home_space = $1 AND state = 2 AND purge_at <= $2",
                due,
            )
            .await?;
        let teams = tx
            .execute(
                "DELETE FROM team WHERE space_id = $1 AND state = 2 AND purge_at <= $2",
                due,
            )
            .await?;
        must_change(accounts + teams)?;
        tx.perform(
            "DELETE FROM node WHERE space_id = $1 AND parent_id IS NULL",
            space,
        )
        .await?;
        tx.perform("DELETE FROM tomb WHERE space_id = $1", space)
            .await?;
        tx.perform("DELETE FROM space WHERE id = $1", space).await?;
        Ok(())
    }
}
