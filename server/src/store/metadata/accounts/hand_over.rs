//! Gives the files of an account that is being deleted to somebody else.

use crate::clock::Timestamp;
use crate::store::metadata::accounts::Account;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::UserId;
use crate::store::metadata::tx::Tx;

/// Who gets the files, and how.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// The account that gets them.
    pub account: UserId,
    /// The name of the folder that will hold them, in NFC; it must be free.
    pub folder_name: String,
    /// Its folded form.
    pub folder_fold: String,
    /// What the receiver's home may hold, in bytes; `None`: no limit is applied.
    pub quota_bytes: Option<u64>,
}

pub(super) async fn hand_over<T: Tx>(
    _tx: &mut T,
    _from: &Account,
    _to: &Receiver,
    _now: Timestamp,
) -> StoreResult<()> {
    Err(Refusal::Account("handing over is not possible yet").into())
}
