//! Locks, shared by every protocol.

use nuage_shared::node_path::NodePath;

use crate::files::Files;
use crate::files::UploadRequest;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::files::error::at;
use crate::files::permissions::Located;
use crate::files::precondition::EtagList;
use crate::files::precondition::Precondition;
use crate::identity::Caller;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::locks::CoveringLocks;
use crate::store::metadata::locks::CreateLock;
use crate::store::metadata::locks::EndLock;
use crate::store::metadata::locks::HandLock;
use crate::store::metadata::locks::LockByHand;
use crate::store::metadata::locks::RefreshLock;
use crate::store::metadata::locks::UnlockByHand;
use crate::store::metadata::records::Lock;
use crate::store::metadata::records::LockKind;

/// What a LOCK asks.
#[derive(Debug, Clone)]
pub struct LockRequest {
    /// Shared, else exclusive.
    pub shared: bool,
    /// Depth infinity, else 0.
    pub deep: bool,
    /// Asked seconds; `None` (or Infinite): the longest that the settings allow.
    pub timeout_seconds: Option<i64>,
    /// The owner element as XML.
    pub info: Option<String>,
}

impl Files {
    /// Locks a node; a path that names nothing gets an empty file first (RFC 4918
    /// section 7.3), and the returned flag says so.
    pub async fn lock(
        &self,
        caller: &Caller,
        path: &NodePath,
        request: LockRequest,
        precondition: &Precondition,
    ) -> FilesResult<(Lock, bool)> {
        let (located, change) = self.changeable(caller, path).await?;
        let create = CreateLock {
            change,
            path: located.path.clone(),
            token: format!("urn:uuid:{}", new_uuid()),
            shared: request.shared,
            deep: request.deep,
            timeout_seconds: self.granted(request.timeout_seconds),
            info: request.info.clone(),
            precondition: self.conditions(caller, &located, precondition).await?,
            locks_max: self.settings.locks_per_account_max,
        };
        match self.metadata.write(create).await {
            Err(StoreError::Refused(Refusal::NotFound)) => {
                self.create_empty(caller, path, precondition).await?;
                let (lock, _) =
                    Box::pin(self.lock(caller, path, request, &Precondition::default())).await?;
                Ok((lock, true))
            }
            result => {
                let lock = result.map_err(located.failure())?;
                Ok((show(&located, lock), false))
            }
        }
    }

    /// Makes the empty file that a LOCK of an unmapped path leaves.
    async fn create_empty(
        &self,
        caller: &Caller,
        path: &NodePath,
        precondition: &Precondition,
    ) -> FilesResult<()> {
        let mut precondition = precondition.clone();
        precondition.if_none_match = Some(EtagList::Any);
        let request = UploadRequest {
            path: path.clone(),
            declared_bytes: Some(0),
            modified_at: None,
            created_at: None,
            checksum: None,
            precondition,
            client_waits: false,
        };
        self.begin_upload(caller, request).await?.finish().await?;
        Ok(())
    }

    /// Prolongs a lock of the caller that covers `path`.
    pub async fn refresh_lock(
        &self,
        caller: &Caller,
        path: &NodePath,
        token: &str,
        timeout_seconds: Option<i64>,
    ) -> FilesResult<Lock> {
        let (located, change) = self.changeable(caller, path).await?;
        let refresh = RefreshLock {
            change,
            path: located.path.clone(),
            token: token.to_owned(),
            timeout_seconds: self.granted(timeout_seconds),
        };
        let lock = self.metadata.write(refresh).await.map_err(at(path))?;
        let lock = lock.ok_or_else(|| FilesError::NoSuchLock { path: path.clone() })?;
        Ok(show(&located, lock))
    }

    /// Ends a lock of the caller that covers `path`.
    pub async fn unlock(&self, caller: &Caller, path: &NodePath, token: &str) -> FilesResult<()> {
        let (located, change) = self.changeable(caller, path).await?;
        let end = EndLock {
            change,
            path: located.path,
            token: token.to_owned(),
        };
        if self.metadata.write(end).await.map_err(at(path))? {
            Ok(())
        } else {
            Err(FilesError::NoSuchLock { path: path.clone() })
        }
    }

    /// Returns every lock that covers a path (also one that names nothing yet).
    pub async fn covering_locks(&self, caller: &Caller, path: &NodePath) -> FilesResult<Vec<Lock>> {
        let located = self.readable(caller, path).await?;
        let covering = CoveringLocks {
            change: self.change(caller, &located),
            path: located.path.clone(),
        };
        let mut locks = self.metadata.read(covering).await.map_err(at(path))?;
        located.show_locks(&mut locks);
        Ok(locks)
    }

    /// Locks a file by hand (or for a program that holds the token of the answer), or renews such a lock.
    pub async fn lock_by_hand(
        &self,
        caller: &Caller,
        path: &NodePath,
        (kind, editor): (LockKind, Option<String>),
        precondition: &Precondition,
    ) -> FilesResult<HandLock> {
        let (located, change) = self.changeable(caller, path).await?;
        let lock = LockByHand {
            change,
            path: located.path.clone(),
            kind,
            editor,
            token: format!("opaquelocktoken:{}", new_uuid()),
            timeout_seconds: self.settings.hand_lock_seconds,
            precondition: self.conditions(caller, &located, precondition).await?,
            locks_max: self.settings.locks_per_account_max,
        };
        let done = self.metadata.write(lock).await.map_err(at(path))?;
        Ok(show_hand(&located, done))
    }

    /// Ends the caller's own lock of a file, however it was made, except by an application.
    pub async fn unlock_by_hand(
        &self,
        caller: &Caller,
        path: &NodePath,
        precondition: &Precondition,
    ) -> FilesResult<HandLock> {
        let (located, change) = self.changeable(caller, path).await?;
        let unlock = UnlockByHand {
            change,
            path: located.path.clone(),
            precondition: self.conditions(caller, &located, precondition).await?,
        };
        let done = self.metadata.write(unlock).await.map_err(at(path))?;
        Ok(show_hand(&located, done))
    }

    fn granted(&self, asked_seconds: Option<i64>) -> i64 {
        let longest = self.settings.lock_timeout_max_seconds;
        asked_seconds.unwrap_or(longest).clamp(1, longest)
    }
}

/// Gives a lock the path that the caller knows.
fn show(located: &Located, mut lock: Lock) -> Lock {
    located.show_locks(std::slice::from_mut(&mut lock));
    lock
}

fn show_hand(located: &Located, done: HandLock) -> HandLock {
    match done {
        HandLock::Locked(node, lock) => HandLock::Locked(node, show(located, lock)),
        HandLock::Held(node, lock) => HandLock::Held(node, show(located, lock)),
        HandLock::Unlocked(_) | HandLock::NotLocked => done,
    }
}

/// Returns a random UUID (RFC 9562, version 4) as text.
fn new_uuid() -> String {
    let mut bytes: [u8; 16] = rand::random();
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| text.get(range).unwrap_or(""));
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_token_is_a_version_4_uuid() {
        let uuid = new_uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'4', "{uuid}");
        assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
    }
}
