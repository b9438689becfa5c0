//! Devices that wait for their owner's consent.
//!
//! A device gets two random texts: one that it keeps to ask whether it may, and one
//! for the page where somebody consents. Of both only keyed hashes are stored, and
//! the app password is stored sealed until the device fetches it, once.

use crate::clock::Timestamp;
use crate::store::metadata::accounts::must_change;
use crate::store::metadata::accounts::tokens::CreateToken;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::TokenId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// Lets a device wait.
#[derive(Debug, Clone)]
pub struct BeginDeviceLogin {
    /// The keyed hash of what it asks with.
    pub poll_hash: [u8; 32],
    /// The keyed hash of what leads to the page.
    pub page_hash: [u8; 32],
    /// What the device calls itself.
    pub device: String,
    /// What whoever consents seals the app password with, itself sealed under the page's text.
    pub sealed: Vec<u8>,
    /// The present moment.
    pub now: Timestamp,
    /// When it has waited long enough.
    pub until: Timestamp,
}

impl Operation for BeginDeviceLogin {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.perform(
            "INSERT INTO device_login (poll_hash, page_hash, device, until, account_id, sealed) \
             VALUES ($1, $2, $3, $4, NULL, $5)",
            &[
                self.poll_hash.as_slice().into(),
                self.page_hash.as_slice().into(),
                self.device.as_str().into(),
                self.until.0.into(),
                self.sealed.as_slice().into(),
            ],
        )
        .await
    }
}

/// A device that waits.
#[derive(Debug, Clone)]
pub struct WaitingDevice {
    /// What it calls itself.
    pub device: String,
    /// When it has waited long enough.
    pub until: Timestamp,
    /// What was sealed under the page's text.
    pub sealed: Vec<u8>,
}

/// Finds a device that waits for consent, by what leads to its page.
#[derive(Debug, Clone)]
pub struct FindWaitingDevice {
    /// The keyed hash.
    pub page_hash: [u8; 32],
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for FindWaitingDevice {
    type Output = Option<WaitingDevice>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<WaitingDevice>> {
        tx.row(
            "SELECT device, until, sealed FROM device_login \
             WHERE page_hash = $1 AND until > $2 AND account_id IS NULL",
            &[self.page_hash.as_slice().into(), self.now.0.into()],
            |row| {
                Ok(WaitingDevice {
                    device: row.text(0)?,
                    until: Timestamp(row.int(1)?),
                    sealed: row.opt_blob(2)?.unwrap_or_default(),
                })
            },
        )
        .await
    }
}

/// Notes somebody's consent.
#[derive(Debug, Clone)]
pub struct GrantDevice {
    /// The keyed hash of what leads to the page.
    pub page_hash: [u8; 32],
    /// Who consents.
    pub account: UserId,
    /// The app password, sealed for the device.
    pub sealed: Vec<u8>,
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for GrantDevice {
    type Output = ();

    /// Refuses with `NotFound` when no device waits there any more.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let rows = tx
            .execute(
                "UPDATE device_login SET account_id = $1, sealed = $2 \
                 WHERE page_hash = $3 AND until > $4 AND account_id IS NULL",
                &[
                    self.account.0.into(),
                    self.sealed.as_slice().into(),
                    self.page_hash.as_slice().into(),
                    self.now.0.into(),
                ],
            )
            .await?;
        must_change(rows)
    }
}

/// Notes that nobody consents; one that is gone already changes nothing.
#[derive(Debug, Clone)]
pub struct DenyDevice {
    /// The keyed hash of what leads to the page.
    pub page_hash: [u8; 32],
}

impl Operation for DenyDevice {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.perform(
            "DELETE FROM device_login WHERE page_hash = $1 AND account_id IS NULL",
            &[self.page_hash.as_slice().into()],
        )
        .await
    }
}

/// What a device finds that may.
#[derive(Debug, Clone)]
pub struct GrantedDevice {
    /// What it calls itself.
    pub device: String,
    /// Who consented.
    pub account: UserId,
    /// The sign-in name of that account.
    pub name: String,
    /// The app password, sealed.
    pub sealed: Vec<u8>,
}

/// Finds what was granted to a device, by what it asks with; `None`: nothing yet, or no more.
#[derive(Debug, Clone)]
pub struct FindGrantedDevice {
    /// The keyed hash.
    pub poll_hash: [u8; 32],
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for FindGrantedDevice {
    type Output = Option<GrantedDevice>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<GrantedDevice>> {
        tx.row(
            "SELECT d.device, a.id, a.name, d.sealed FROM device_login d \
             JOIN account a ON a.id = d.account_id \
             WHERE d.poll_hash = $1 AND d.until > $2 AND a.state = 0",
            &[self.poll_hash.as_slice().into(), self.now.0.into()],
            |row| {
                Ok(GrantedDevice {
                    device: row.text(0)?,
                    account: UserId(row.int(1)?),
                    name: row.text(2)?,
                    sealed: row.opt_blob(3)?.unwrap_or_default(),
                })
            },
        )
        .await
    }
}

/// Hands an app password over: from here on it opens something, and nobody gets it again.
#[derive(Debug, Clone)]
pub struct TakeGrantedDevice {
    /// The keyed hash of what the device asks with.
    pub poll_hash: [u8; 32],
    /// What the app password is.
    pub token: CreateToken,
}

impl Operation for TakeGrantedDevice {
    type Output = TokenId;

    /// Refuses with `NotFound` when it was taken, has expired, or the account may not sign in.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<TokenId> {
        let rows = tx
            .execute(
                "DELETE FROM device_login WHERE poll_hash = $1 AND account_id = $2 AND until > $3",
                &[
                    self.poll_hash.as_slice().into(),
                    self.token.account.0.into(),
                    self.token.now.0.into(),
                ],
            )
            .await?;
        must_change(rows)?;
        let active = "SELECT id FROM account WHERE id = $1 AND state = 0";
        tx.row(active, &[self.token.account.0.into()], |row| row.int(0))
            .await?
            .ok_or(Refusal::NotFound)?;
        self.token.run(tx).await
    }
}
