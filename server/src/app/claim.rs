//! What this process alone may do, where metadata or chunks are not shared by several servers.
//!
//! | metadata | chunks | who keeps a second server out |
//! | --- | --- | --- |
//! | SQLite | folder | the lock of `chunks/.owner` |
//! | SQLite | S3 | the lock of `.owner` in the data folder |
//! | PostgreSQL | folder | a turn in the database, and the lock of `chunks/.owner` |
//! | PostgreSQL | S3 | nobody: any number of servers |

use std::fs::File;
use std::time::Duration;
use std::time::Instant;

use rustix::fs::FlockOperation;
use rustix::fs::flock;

use crate::app::AppError;
use crate::app::SQLITE_SERVES_ONE;
use crate::app::file_error;
use crate::store::folder::DataFolder;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::turn::Duty;
use crate::store::metadata::turn::Turn;

/// How long a turn that is not free is left alone.
const PAUSE: Duration = Duration::from_millis(200);
/// How often a turn that was lost is asked for again.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// How long another session may have the lock before it counts as another server: our own former
/// one, if the network was cut, until the database notices.
const FOREIGN_MAX: Duration = Duration::from_mins(1);

/// What this process alone may do.
#[derive(Debug)]
pub enum Claim {
    /// Nothing: both stores are shared.
    Shared,
    /// The chunk store holds the lock of its folder.
    OfPacks,
    /// The lock of the data folder, as long as the file is open.
    OfFolder(File),
    /// The turn to write to a folder of packs.
    OfSession(Turn),
}

impl Claim {
    /// Keeps the claim up while the database comes and goes; returns when another process has it.
    ///
    /// From then on this process must write nothing more.
    pub async fn keep(self, metadata: &MetadataStore) {
        let mut turn = match self {
            Self::Shared | Self::OfPacks => return std::future::pending().await,
            Self::OfFolder(_lock) => return std::future::pending().await,
            Self::OfSession(turn) => turn,
        };
        loop {
            turn.lost().await;
            tracing::warn!("the session that keeps other servers out is lost; it is begun anew");
            match take_again(&turn, metadata).await {
                Some(again) => turn = again,
                None => return,
            }
        }
    }
}

/// Takes the turn to write to a folder of packs, as soon as it is free; `None`: it is not, for as long as `patience`.
pub(super) async fn take_packs(
    metadata: &MetadataStore,
    patience: Duration,
) -> StoreResult<Option<Turn>> {
    let began = Instant::now();
    loop {
        let turn = metadata.take_turn(Duty::Packs).await?;
        if turn.is_some() || began.elapsed() >= patience {
            return Ok(turn);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Takes a turn again that was lost; `None`: another process has it, or had it meanwhile.
async fn take_again(lost: &Turn, metadata: &MetadataStore) -> Option<Turn> {
    let mut foreign_since = None;
    loop {
        match metadata.take_turn(Duty::Packs).await {
            Ok(Some(turn)) => return (turn.number() == lost.number() + 1).then_some(turn),
            Ok(None) => {
                let since = *foreign_since.get_or_insert_with(Instant::now);
                if since.elapsed() > FOREIGN_MAX {
                    return None;
                }
            }
            // Nothing can be committed without the database, by anybody.
            Err(error) => tracing::debug!(%error, "the turn could not be asked for"),
        }
        tokio::time::sleep(RETRY_EVERY).await;
    }
}

/// Locks `.owner` in the data folder.
pub(super) fn lock_data_folder(folder: &DataFolder) -> Result<File, AppError> {
    let path = folder.owner();
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| file_error(&path, source))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(AppError::InUse {
            path: folder.path().to_owned(),
            reason: SQLITE_SERVES_ONE,
        }),
        Err(error) => Err(file_error(&path, error.into())),
    }
}
