//! Uploads: begin, write, finish.
//!
//! Conditions, locks, rights and (when a length is known) quota are tested
//! before the body, so that nobody sends a gigabyte to hear no; and again in
//! the commit, which alone decides. A body that travels in its commit is tested
//! before only if it lets wait. Until `finish` returns, readers see the
//! former version; a dropped upload leaves only chunks that nothing names.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::files::Files;
use crate::files::error::ContentFault;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::files::permissions::Located;
use crate::files::precondition::EtagList;
use crate::files::precondition::Precondition;
use crate::files::reception::Received;
use crate::files::reception::Reception;
use crate::files::reception::Room;
use crate::files::reception::end_lease;
use crate::identity::Caller;
use crate::store::chunks::ChecksumKind;
use crate::store::chunks::Checksums;
use crate::store::chunks::DedupScope;
use crate::store::chunks::IngestRequest;
use crate::store::metadata::browse::FindNode;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::mounts::numbered;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::records::Committed;
use crate::store::metadata::records::NewContent;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::upload::CommitUpload;
use crate::store::metadata::upload::PrepareUpload;
use crate::store::metadata::upload::Prepared;

/// Numbers tried behind the name of a new file.
const NAMES_TRIED: u32 = 1_000;

/// An announced checksum of a whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    kind: ChecksumKind,
    hex: String,
    text: String,
}

impl Checksum {
    /// Returns which sum it is.
    pub fn kind(&self) -> ChecksumKind {
        self.kind
    }

    /// Returns what came: `TYPE:hex`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Refuses bytes that are not those that were announced.
    pub(crate) fn compare(&self, found: &Checksums) -> FilesResult<()> {
        if found.value(self.kind).as_deref() == Some(self.hex.as_str()) {
            Ok(())
        } else {
            Err(ContentFault::Checksum.into())
        }
    }

    /// Parses `SHA1:hex`, `MD5:hex`, `SHA256:hex` or `ADLER32:hex` (any case); `None`: it is of a kind
    /// that is not known here, so that nothing can be said about it.
    pub fn parse(text: &str) -> FilesResult<Option<Self>> {
        let (kind, hex) = text
            .trim()
            .split_once(':')
            .ok_or(ContentFault::ChecksumForm)?;
        let is_word = |text: &str| {
            let is_mark = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            !text.is_empty() && text.bytes().all(is_mark)
        };
        if !is_word(kind) || !is_word(hex) {
            return Err(ContentFault::ChecksumForm.into());
        }
        let Some(kind) = ChecksumKind::of_name(kind) else {
            return Ok(None);
        };
        let is_hex = hex.len() == kind.hex_digits() && hex.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_hex {
            return Err(ContentFault::ChecksumForm.into());
        }
        Ok(Some(Self {
            kind,
            hex: hex.to_ascii_lowercase(),
            text: text.trim().to_owned(),
        }))
    }
}

/// What is known of an upload before its body.
#[derive(Debug, Clone)]
pub struct UploadRequest {
    /// Where the file will be.
    pub path: NodePath,
    /// Content-Length (or X-Expected-Entity-Length, OC-Total-Length), when known.
    pub declared_bytes: Option<u64>,
    /// X-OC-MTime; the default is now.
    pub modified_at: Option<Timestamp>,
    /// X-OC-CTime.
    pub created_at: Option<Timestamp>,
    /// OC-Checksum.
    pub checksum: Option<Checksum>,
    /// The request's conditions.
    pub precondition: Precondition,
    /// Whether the client sends the body only when it hears that it may (Expect: 100-continue).
    pub client_waits: bool,
}

/// Bytes that uploads in progress will need, by space.
#[derive(Debug, Default)]
pub(crate) struct Reservations {
    by_space: Mutex<HashMap<SpaceId, u64>>,
}

impl Reservations {
    fn held(&self, space: SpaceId) -> u64 {
        let held = self.by_space.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&space).copied().unwrap_or(0)
    }

    fn hold(self: &Arc<Self>, space: SpaceId, bytes: u64) -> Reservation {
        let mut held = self.by_space.lock().unwrap_or_else(PoisonError::into_inner);
        *held.entry(space).or_default() += bytes;
        drop(held);
        Reservation {
            of: Arc::clone(self),
            space,
            bytes,
        }
    }
}

/// Bytes of a space that one upload holds until it ends.
#[derive(Debug)]
struct Reservation {
    of: Arc<Reservations>,
    space: SpaceId,
    bytes: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut held = self
            .of
            .by_space
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = held.get_mut(&self.space) {
            *bytes = bytes.saturating_sub(self.bytes);
            if *bytes == 0 {
                held.remove(&self.space);
            }
        }
    }
}

/// An upload in progress; dropping it leaves the former version.
#[derive(Debug)]
pub struct Upload {
    change: Change,
    located: Located,
    /// The request's conditions, as the store knows paths.
    conditions: Precondition,
    request: UploadRequest,
    reception: Reception,
    /// What was not tested because a small body was expected at once.
    untested: Option<PrepareUpload>,
    _reservation: Reservation,
}

/// Returns a path whose last name has a number.
fn numbered_path(path: &NodePath, number: u32) -> NodePath {
    let numbered = path.name().zip(path.parent()).and_then(|(name, above)| {
        let name = numbered(name, number);
        above.child(name).ok()
    });
    numbered.unwrap_or_else(|| path.clone())
}

impl Files {
    /// Returns a path like this one at which nothing is, for somebody who may send there without seeing.
    ///
    /// It may be taken by the time it is used; see [`Upload::finish_as_new`].
    pub async fn free_path(&self, caller: &Caller, path: &NodePath) -> FilesResult<NodePath> {
        let mut located = self.changeable(caller, path).await?.0;
        let whole = std::mem::take(&mut located.path);
        for number in 1..NAMES_TRIED {
            let find = FindNode {
                root: located.root,
                path: numbered_path(&whole, number),
            };
            let found = self.metadata.read(find).await;
            if found.map_err(located.failure())?.is_none() {
                return Ok(numbered_path(path, number));
            }
        }
        Err(FilesError::AlreadyExists { path: path.clone() })
    }

    /// Begins an upload: tests rights, conditions, locks and (when the length is known) quota.
    ///
    /// For a small body only rights; the rest is left to the commit, or to [`Upload::test`].
    pub async fn begin_upload(
        &self,
        caller: &Caller,
        request: UploadRequest,
    ) -> FilesResult<Upload> {
        let path = &request.path;
        let (located, change) = self.changeable(caller, path).await?;
        let conditions = located.conditions(&request.precondition);
        let prepare = PrepareUpload {
            change: change.clone(),
            path: located.path.clone(),
            declared_bytes: request.declared_bytes,
            reserved_bytes: self.reservations.held(change.space),
            precondition: conditions.clone(),
        };
        // The commit tests all of it again, and a body that travels in the commit is usually here.
        let is_small = request
            .declared_bytes
            .is_some_and(|bytes| bytes <= self.chunks.hot_bytes_max() as u64);
        let (prepared, untested) = if is_small && !request.client_waits {
            (Prepared::default(), Some(prepare))
        } else {
            let prepared = self.metadata.read(prepare).await;
            (prepared.map_err(located.failure())?, None)
        };
        let reservation = self.reservations.hold(change.space, prepared.growth_bytes);
        let ingest = self.chunks.ingest(IngestRequest {
            space: change.space,
            dedup: if located.rights.may_read_space {
                DedupScope::Space
            } else {
                DedupScope::Replaced
            },
            declared_bytes: request.declared_bytes,
            replaced: prepared.replaced,
            profile: None,
            checksums: Checksums::of(request.checksum.as_ref().map(Checksum::kind)),
        });
        let place = (change.space, path.clone());
        let declared_bytes = request.declared_bytes;
        let mut reception =
            Reception::new(&self.metadata, &self.clock, place, declared_bytes, ingest);
        reception.begun_at = change.now;
        reception.room = prepared.quota_bytes.map(|quota_bytes| Room {
            bytes: prepared.room_bytes,
            quota_bytes,
        });
        Ok(Upload {
            change,
            located,
            conditions,
            request,
            reception,
            untested,
            _reservation: reservation,
        })
    }
}

impl Upload {
    /// Returns whether what can be known before the body was tested.
    pub fn is_tested(&self) -> bool {
        self.untested.is_none()
    }

    /// Tests what can be known before the body, for a small one that lets wait.
    pub async fn test(&mut self) -> FilesResult<()> {
        if let Some(prepare) = self.untested.take() {
            let prepared = self.reception.metadata.read(prepare).await;
            prepared.map_err(self.located.failure())?;
        }
        Ok(())
    }

    /// Takes the next bytes of the body.
    pub async fn write(&mut self, bytes: Bytes) -> FilesResult<()> {
        self.reception.write(bytes).await
    }

    /// Makes the received bytes the current version of the file, durably.
    ///
    /// Until this returns, readers see the former version. When it fails, the
    /// stored chunks are left for the collector and nothing else has changed.
    pub async fn finish(self) -> FilesResult<Committed> {
        self.commit(false).await
    }

    /// Makes the received bytes a new file, durably; where its name is taken, under the next that is free.
    pub async fn finish_as_new(self) -> FilesResult<Committed> {
        self.commit(true).await
    }

    async fn commit(self, as_new: bool) -> FilesResult<Committed> {
        let metadata = Arc::clone(&self.reception.metadata);
        let clock = self.reception.clock.clone();
        let begun_at = self.reception.begun_at;
        let Received {
            ingested,
            lease,
            expected,
        } = self.reception.finish().await?;
        let mut content = ingested.content;
        if let Some(announced) = &self.request.checksum {
            announced.compare(&ingested.checksums)?;
            content.checksum = Some(announced.text().to_owned());
        }
        let commit = |path: NodePath, content: NewContent| CommitUpload {
            change: Change {
                now: clock.now(),
                ..self.change.clone()
            },
            path,
            content,
            modified_at: self.request.modified_at,
            created_at: self.request.created_at,
            begun_at,
            lease,
            precondition: self.conditions.clone(),
        };
        let path = &self.located.path;
        let committed = if as_new {
            drop(expected);
            let mut numbers = 1..NAMES_TRIED;
            loop {
                let free = numbered_path(path, numbers.next().unwrap_or(NAMES_TRIED));
                let mut attempt = commit(free, content.clone());
                attempt.precondition.if_none_match = Some(EtagList::Any);
                match metadata.write(attempt).await {
                    Err(StoreError::Refused(Refusal::PreconditionFailed | Refusal::IsAFolder))
                        if !numbers.is_empty() => {}
                    done => break done,
                }
            }
        } else {
            let writing = metadata.write(commit(path.clone(), content));
            drop(expected);
            writing.await
        };
        let committed = committed.map_err(self.located.failure());
        end_lease(&metadata, lease).await;
        committed
    }
}
