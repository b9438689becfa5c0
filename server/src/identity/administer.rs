//! Managing accounts and their app tokens, for commands and the first start.
//!
//! Each method is one transaction. Where it changes what a credential is worth, this
//! process forgets the account's credentials as soon as the change is durable; other
//! processes notice by themselves.

use nuage_shared::node_path::NodeName;

use crate::clock::Timestamp;
use crate::identity::Account;
use crate::identity::Identity;
use crate::identity::Quota;
use crate::identity::SpaceUse;
use crate::identity::Token;
use crate::identity::authenticate::SECRET_BYTES_MAX;
use crate::identity::error::AdminError;
use crate::identity::error::AdminResult;
use crate::identity::names::AccountName;
use crate::identity::passwords::Crowded;
use crate::identity::secret::Secret;
use crate::store::metadata::accounts::CreateAccount;
use crate::store::metadata::accounts::CreateFirstAccount;
use crate::store::metadata::accounts::DeleteAccount;
use crate::store::metadata::accounts::FindAccountByName;
use crate::store::metadata::accounts::FindDeletedAccount;
use crate::store::metadata::accounts::HasAccounts;
use crate::store::metadata::accounts::ListAccounts;
use crate::store::metadata::accounts::ReadSpaceUse;
use crate::store::metadata::accounts::RestoreAccount;
use crate::store::metadata::accounts::SearchAccounts;
use crate::store::metadata::accounts::SetDisabled;
use crate::store::metadata::accounts::SetPassword;
use crate::store::metadata::accounts::SetQuota;
use crate::store::metadata::accounts::hand_over::Receiver;
use crate::store::metadata::accounts::tokens::CreateToken;
use crate::store::metadata::accounts::tokens::FindToken;
use crate::store::metadata::accounts::tokens::ListTokens;
use crate::store::metadata::accounts::tokens::NoteWiped;
use crate::store::metadata::accounts::tokens::RevokeToken;
use crate::store::metadata::accounts::tokens::WipeToken;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::TokenId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::tx::Operation;

/// How long what a deleted user or group had can come back.
pub const ARCHIVE_SECONDS: i64 = 30 * 24 * 3600;

/// The name of the administrator that the first start creates.
const FIRST_ADMIN: &str = "admin";
const LABEL_CHARACTERS_MAX: usize = 200;
const DISPLAY_NAME_CHARACTERS_MAX: usize = 200;
pub(super) const EMAIL_CHARACTERS_MAX: usize = 254;
const LISTED_AT_ONCE: i64 = 1000;

impl From<Crowded> for AdminError {
    fn from(_: Crowded) -> Self {
        Self::Busy
    }
}

/// What a new account shall be.
#[derive(Debug, Clone)]
pub struct NewAccount<'a> {
    /// The sign-in name.
    pub name: &'a str,
    /// The password.
    pub password: &'a Secret,
    /// The name that people see; the sign-in name, if not given.
    pub display_name: Option<&'a str>,
    /// Where mail goes.
    pub email: Option<&'a str>,
    /// May administer.
    pub is_admin: bool,
    /// How much its home may hold.
    pub quota: Quota,
}

/// What a new app token shall be.
#[derive(Debug, Clone)]
pub struct NewToken<'a> {
    /// The sign-in name of its owner.
    pub account: &'a str,
    /// What its owner calls it.
    pub label: &'a str,
    /// May only read.
    pub is_read_only: bool,
    /// For how long it opens anything; `None`: until it is revoked.
    pub valid_seconds: Option<i64>,
}

impl Identity {
    /// Creates an account with an empty home.
    pub async fn create_account(&self, new: &NewAccount<'_>) -> AdminResult<Account> {
        let create = self.prepare_account(new).await?;
        self.store.write(create).await.map_err(|error| match error {
            StoreError::Refused(Refusal::AlreadyExists) => AdminError::AccountExists {
                name: new.name.to_owned(),
            },
            other => AdminError::Unavailable(other),
        })
    }

    /// Creates the administrator of a new installation and yields their name and password.
    ///
    /// Does nothing where there has ever been an account.
    pub async fn create_first_admin_if_empty(&self) -> AdminResult<Option<(String, Secret)>> {
        if self.store.read(HasAccounts).await? {
            return Ok(None);
        }
        let password = Secret::random_password();
        let create = self
            .prepare_account(&NewAccount {
                name: FIRST_ADMIN,
                password: &password,
                display_name: None,
                email: None,
                is_admin: true,
                quota: Quota::Default,
            })
            .await?;
        let created = self.store.write(CreateFirstAccount(create)).await?;
        Ok(created.map(|account| (account.name, password)))
    }

    async fn prepare_account(&self, new: &NewAccount<'_>) -> AdminResult<CreateAccount> {
        let name = parse_name(new.name)?;
        let display_name = match new.display_name {
            None => name.as_str(),
            Some(text) => check_text("a display name", text, DISPLAY_NAME_CHARACTERS_MAX)?,
        };
        let email = match new.email {
            None => None,
            Some(text) => Some(check_text("an e-mail address", text, EMAIL_CHARACTERS_MAX)?),
        };
        Ok(CreateAccount {
            display_name: display_name.to_owned(),
            email: email.map(str::to_owned),
            password_hash: Some(self.hash_password(new.password).await?),
            is_admin: new.is_admin,
            quota: new.quota,
            now: self.clock.now(),
            name: name.as_str().to_owned(),
            fold: name.fold().to_owned(),
        })
    }

    async fn hash_password(&self, password: &Secret) -> AdminResult<String> {
        let text = password.reveal();
        check_text("a password", text, SECRET_BYTES_MAX / 4)?;
        let slot = self.passwords.slot().await?;
        Ok(slot.hash(text.to_owned()).await?)
    }

    /// Finds the account of this name that is not deleted.
    pub async fn find_account(&self, name: &str) -> AdminResult<Account> {
        let unknown = || AdminError::NoSuchAccount {
            name: name.to_owned(),
        };
        let parsed = AccountName::parse(name).ok().ok_or_else(unknown)?;
        let fold = parsed.fold().to_owned();
        let found = self.store.read(FindAccountByName { fold }).await?;
        found.ok_or_else(unknown)
    }

    /// Lists all accounts by name, deleted ones that can still come back included.
    pub async fn list_accounts(&self) -> AdminResult<Vec<Account>> {
        let mut accounts: Vec<Account> = Vec::new();
        loop {
            let after = accounts.last().map_or(UserId(0), |account| account.id);
            let page = ListAccounts {
                after,
                limit: LISTED_AT_ONCE,
            };
            let page = self.store.read(page).await?;
            if page.is_empty() {
                break;
            }
            accounts.extend(page);
        }
        accounts.sort_by(|one, other| (&one.fold, one.id).cmp(&(&other.fold, other.id)));
        Ok(accounts)
    }

    /// Finds accounts whose sign-in name holds a text, by name: so many from the `offset`th on.
    pub async fn search_accounts(
        &self,
        text: &str,
        offset: usize,
        limit: usize,
    ) -> AdminResult<Vec<Account>> {
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let search = SearchAccounts {
            text: caseless_form(text),
            offset: number(offset),
            limit: number(limit).min(LISTED_AT_ONCE),
        };
        Ok(self.store.read(search).await?)
    }

    /// Replaces a password; whoever signed in with the former one must do so again.
    pub async fn set_password(&self, name: &str, password: &Secret) -> AdminResult<()> {
        let account = self.find_account(name).await?;
        let set = SetPassword {
            id: account.id,
            password_hash: self.hash_password(password).await?,
            now: self.clock.now(),
        };
        self.change(&account, set).await
    }

    /// Disables or enables an account; holds from the next request.
    pub async fn set_disabled(&self, name: &str, disabled: bool) -> AdminResult<()> {
        let account = self.find_account(name).await?;
        let set = SetDisabled {
            id: account.id,
            disabled,
            now: self.clock.now(),
        };
        self.change(&account, set).await
    }

    /// Archives an account and its home for 30 days, and ends its tokens and locks.
    ///
    /// With `hand_to`, its files become a folder in the home of that account, whose quota
    /// is `default_quota_bytes` where it has none of its own (`None`: no limit).
    /// Returns when the rest goes for good.
    pub async fn delete_account(
        &self,
        name: &str,
        hand_to: Option<&str>,
        default_quota_bytes: Option<u64>,
    ) -> AdminResult<Timestamp> {
        let account = self.find_account(name).await?;
        let receiver = match hand_to {
            None => None,
            Some(receiver) => Some(self.find_account(receiver).await?),
        };
        if receiver.as_ref().is_some_and(|to| to.id == account.id) {
            return Err(AdminError::HandedToItself);
        }
        let now = self.clock.now();
        let purge_at = now.plus_seconds(ARCHIVE_SECONDS);
        let delete = DeleteAccount {
            id: account.id,
            hand_to: match &receiver {
                None => None,
                Some(to) => Some(receiver_of(&account, to, default_quota_bytes)?),
            },
            now,
            purge_at,
        };
        self.change(&account, delete)
            .await
            .map_err(|error| match (error, receiver) {
                (
                    AdminError::Unavailable(StoreError::Refused(Refusal::QuotaExceeded {
                        quota_bytes,
                        used_bytes,
                        needed_bytes,
                    })),
                    Some(receiver),
                ) => AdminError::HandOverExceedsQuota {
                    receiver: receiver.name,
                    quota_bytes,
                    needed_bytes: used_bytes.saturating_add(needed_bytes),
                },
                (other, _) => other,
            })?;
        Ok(purge_at)
    }

    /// Brings the account deleted last under this name back, with its home.
    pub async fn restore_account(&self, name: &str) -> AdminResult<Account> {
        let fold = parse_name(name)?.fold().to_owned();
        let restore = RestoreAccount {
            fold,
            now: self.clock.now(),
        };
        let restored = self.store.write(restore).await;
        restored.map_err(|error| match error {
            StoreError::Refused(Refusal::AlreadyExists) => AdminError::AccountExists {
                name: name.to_owned(),
            },
            StoreError::Refused(Refusal::NotFound) => AdminError::NotRestorable {
                name: name.to_owned(),
            },
            other => AdminError::Unavailable(other),
        })
    }

    /// Finds the account deleted last under this name.
    pub async fn find_deleted_account(&self, name: &str) -> AdminResult<Option<Account>> {
        let fold = parse_name(name)?.fold().to_owned();
        Ok(self.store.read(FindDeletedAccount { fold }).await?)
    }

    /// Creates an app token and yields its text, which cannot be had again.
    pub async fn create_token(&self, new: &NewToken<'_>) -> AdminResult<(TokenId, Secret)> {
        let account = self.find_account(new.account).await?;
        let label = check_text("a label", new.label, LABEL_CHARACTERS_MAX)?;
        let (text, hash) = self.tokens.draw();
        let now = self.clock.now();
        let create = CreateToken {
            account: account.id,
            hash,
            label: label.to_owned(),
            is_read_only: new.is_read_only,
            expires_at: new.valid_seconds.map(|seconds| now.plus_seconds(seconds)),
            now,
        };
        let created = self.store.write(create).await;
        let id = created.map_err(|error| unknown_account(error, &account))?;
        Ok((id, text))
    }

    /// Lists the tokens of an account, revoked and expired ones included.
    pub async fn list_tokens(&self, name: &str) -> AdminResult<Vec<Token>> {
        let account = self.find_account(name).await?.id;
        Ok(self.store.read(ListTokens { account }).await?)
    }

    /// Ends a token; holds from the next request.
    pub async fn revoke_token(&self, name: &str, token: TokenId) -> AdminResult<()> {
        let account = self.find_account(name).await?;
        let revoke = RevokeToken {
            account: account.id,
            token,
            now: self.clock.now(),
        };
        let revoked = self.change(&account, revoke).await;
        revoked.map_err(|error| match error {
            AdminError::NoSuchAccount { name } => AdminError::NoSuchToken { account: name },
            other => other,
        })
    }

    /// Ends a token and asks its device to delete the files that it holds.
    pub async fn wipe_token(&self, name: &str, token: TokenId) -> AdminResult<()> {
        let account = self.find_account(name).await?;
        let wipe = WipeToken {
            account: account.id,
            token,
            now: self.clock.now(),
        };
        let asked = self.change(&account, wipe).await;
        asked.map_err(|error| match error {
            AdminError::NoSuchAccount { name } => AdminError::NoSuchToken { account: name },
            other => other,
        })
    }

    /// Returns whether the device that holds this token's text is to delete its files.
    pub async fn must_wipe(&self, token_text: &str) -> AdminResult<bool> {
        let Some(hash) = self.tokens.hash_of_text(token_text) else {
            return Ok(false);
        };
        let found = self.store.read(FindToken { hash }).await?;
        Ok(found.is_some_and(|(token, _)| token.wipe_at.is_some() && token.wiped_at.is_none()))
    }

    /// Notes that a device has deleted its files; yields whether it had been asked to.
    pub async fn note_wiped(&self, token_text: &str) -> AdminResult<bool> {
        let Some(hash) = self.tokens.hash_of_text(token_text) else {
            return Ok(false);
        };
        let now = self.clock.now();
        Ok(self.store.write(NoteWiped { hash, now }).await?)
    }

    /// Sets how much a space may hold.
    pub async fn set_quota(&self, space: SpaceId, quota: Quota) -> AdminResult<()> {
        Ok(self.store.write(SetQuota { space, quota }).await?)
    }

    /// Reads what a space holds and may hold.
    pub async fn space_use(&self, space: SpaceId) -> AdminResult<SpaceUse> {
        let found = self.store.read(ReadSpaceUse(space)).await?;
        found.ok_or_else(|| StoreError::from(Refusal::NotFound).into())
    }

    /// Runs a change of an account and forgets its credentials.
    async fn change<O: Operation<Output = ()>>(
        &self,
        account: &Account,
        operation: O,
    ) -> AdminResult<()> {
        let changed = self.store.write(operation).await;
        // Also when it failed: a commit whose outcome is unknown may have happened.
        self.verified.forget_account(account.id);
        self.throttle.forget_all();
        changed.map_err(|error| unknown_account(error, account))
    }
}

fn unknown_account(error: StoreError, account: &Account) -> AdminError {
    match error {
        StoreError::Refused(Refusal::NotFound) => AdminError::NoSuchAccount {
            name: account.name.clone(),
        },
        other => AdminError::Unavailable(other),
    }
}

/// Tells how the home of `from` becomes a folder in the home of `to`.
fn receiver_of(
    from: &Account,
    to: &Account,
    default_quota_bytes: Option<u64>,
) -> AdminResult<Receiver> {
    let folder_name = format!("{} (archive)", from.name);
    let folder = NodeName::parse(&folder_name).map_err(|fault| AdminError::BadName {
        name: folder_name.clone(),
        fault: fault.into(),
    })?;
    Ok(Receiver {
        account: to.id,
        folder_name: folder,
        quota_bytes: match to.home_use.quota {
            Quota::Default => default_quota_bytes,
            Quota::Unlimited => None,
            Quota::Bytes(bytes) => Some(bytes),
        },
    })
}

/// Returns what names that hold a text are compared by.
pub(super) fn caseless_form(text: &str) -> String {
    AccountName::parse(text).map_or_else(|_| text.to_lowercase(), |name| name.fold().to_owned())
}

pub(super) fn parse_name(text: &str) -> AdminResult<AccountName> {
    AccountName::parse(text).map_err(|fault| AdminError::BadName {
        name: text.to_owned(),
        fault,
    })
}

fn check_text<'a>(
    what: &'static str,
    text: &'a str,
    characters_max: usize,
) -> AdminResult<&'a str> {
    let characters = text.chars().count();
    let is_valid =
        (1..=characters_max).contains(&characters) && !text.chars().any(char::is_control);
    if is_valid {
        return Ok(text);
    }
    Err(AdminError::BadText {
        what,
        characters_max,
    })
}
