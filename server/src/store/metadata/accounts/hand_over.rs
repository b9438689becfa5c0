//! Gives the files of an account that is being deleted to somebody else.
//!
//! The receiver gets a copy of the tree as rows: no bytes are copied, and the
//! archived home stays whole, so that the account can still be restored as it was.

use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::accounts::Account;
use crate::store::metadata::accounts::AccountState;
use crate::store::metadata::accounts::find_by_id;
use crate::store::metadata::copy::CopyTarget;
use crate::store::metadata::copy::copy_tree;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::history::lock_space_row;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::nodes::lock_space;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::UserId;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::walk::walk;

/// Numbers tried behind the folder's name when it is taken.
const NAMES_TRIED: u32 = 1_000;

/// Who gets the files, and how.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// The account that gets them.
    pub account: UserId,
    /// The name of the folder that will hold them; a number is added where it is taken.
    pub folder_name: NodeName,
    /// What the receiver's home may hold, in bytes; `None`: no limit is applied.
    pub quota_bytes: Option<u64>,
}

/// Copies the tree of `from` into a new folder of the receiver's home.
///
/// Refuses with `QuotaExceeded` when it does not fit there.
pub(super) async fn hand_over<T: Tx>(
    tx: &mut T,
    from: &Account,
    to: &Receiver,
    now: Timestamp,
) -> StoreResult<()> {
    let receiver = find_by_id(tx, to.account)
        .await?
        .filter(|account| account.state != AccountState::Deleted)
        .ok_or(Refusal::NotFound)?;
    // Rows of two spaces: their locks are taken in ascending order.
    if from.home < receiver.home {
        lock_space_row(tx, from.home).await?;
    }
    let change = Change {
        space: receiver.home,
        top: None,
        allowed: Permissions::ALL,
        actor: receiver.id,
        origin: None,
        now,
        quota_default_bytes: to.quota_bytes,
    };
    let space = lock_space(tx, &change, 0).await?;
    if from.home > receiver.home {
        lock_space_row(tx, from.home).await?;
    }
    let source = walk(tx, from.home, &NodePath::root()).await?;
    let source = source.existing()?;
    space.check_quota(signed(source.size_bytes))?;
    let name = free_name(tx, &change, &to.folder_name).await?;
    let above = walk(tx, receiver.home, &NodePath::root()).await?;
    let target = CopyTarget {
        space: receiver.home,
        above: &above.nodes,
        name: &name,
        now,
    };
    copy_tree(tx, source, true, &target).await?;
    Ok(())
}

/// Returns `wanted`, or `wanted (2)` and so on where that is taken in the receiver's root.
async fn free_name<T: Tx>(tx: &mut T, change: &Change, wanted: &NodeName) -> StoreResult<NodeName> {
    for number in 1..=NAMES_TRIED {
        let name = if number == 1 {
            wanted.clone()
        } else {
            let numbered = format!("{} ({number})", wanted.as_str());
            NodeName::parse(&numbered).map_err(|_cause| Refusal::AlreadyExists)?
        };
        let path = NodePath::root().child(name.clone());
        let path = path.map_err(|_cause| Refusal::AlreadyExists)?;
        if walk(tx, change.space, &path).await?.target().is_none() {
            return Ok(name);
        }
    }
    Err(Refusal::AlreadyExists.into())
}
