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

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::files::Files;
use crate::files::error::ContentFault;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::files::error::at;
use crate::files::precondition::Precondition;
use crate::identity::Caller;
use crate::store::chunks::ChecksumKind;
use crate::store::chunks::DedupScope;
use crate::store::chunks::Ingest;
use crate::store::chunks::IngestRequest;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::packs::BeginLease;
use crate::store::metadata::packs::EndLease;
use crate::store::metadata::packs::RenewLease;
use crate::store::metadata::records::Committed;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::upload::CommitUpload;
use crate::store::metadata::upload::PrepareUpload;
use crate::store::metadata::upload::Prepared;

/// An upload that lasts longer than this takes a lease on its chunks.
const LEASE_AFTER_SECONDS: i64 = 10 * 60;
/// A lease is renewed when this much time has passed since the last time.
const LEASE_RENEWED_SECONDS: i64 = 60 * 60;
/// How long a lease lives without a sign of life.
const LEASE_SECONDS: i64 = 24 * 3_600;
/// Bodies up to this size travel in the commit itself and finish within a moment.
const QUICK_BYTES_MAX: u64 = 16 << 10;

/// An announced checksum of a whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    kind: ChecksumKind,
    hex: String,
    text: String,
}

impl Checksum {
    /// Parses `SHA1:hex`, `MD5:hex`, `SHA256:hex` or `ADLER32:hex` (any case).
    pub fn parse(text: &str) -> FilesResult<Self> {
        let (kind, hex) = text
            .trim()
            .split_once(':')
            .ok_or(ContentFault::ChecksumForm)?;
        let kind = match kind.to_ascii_uppercase().as_str() {
            "SHA1" => ChecksumKind::Sha1,
            "MD5" => ChecksumKind::Md5,
            "SHA256" => ChecksumKind::Sha256,
            "ADLER32" => ChecksumKind::Adler32,
            _ => return Err(ContentFault::ChecksumForm.into()),
        };
        let is_hex = hex.len() == kind.hex_digits() && hex.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_hex {
            return Err(ContentFault::ChecksumForm.into());
        }
        Ok(Self {
            kind,
            hex: hex.to_ascii_lowercase(),
            text: text.trim().to_owned(),
        })
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
    metadata: Arc<MetadataStore>,
    clock: Clock,
    change: Change,
    request: UploadRequest,
    ingest: Ingest,
    received_bytes: u64,
    /// What may come before the quota is exceeded, whatever else is uploaded.
    room: Option<Room>,
    begun_at: Timestamp,
    lease: Option<([u8; 16], Timestamp)>,
    /// What was not tested because a small body was expected at once.
    untested: Option<PrepareUpload>,
    _reservation: Reservation,
}

/// What a space has left for one upload.
#[derive(Debug, Clone, Copy)]
struct Room {
    bytes: u64,
    quota_bytes: u64,
}

impl Files {
    /// Begins an upload: tests rights, conditions, locks and (when the length is known) quota.
    ///
    /// For a small body only rights; the rest is left to the commit, or to [`Upload::test`].
    pub async fn begin_upload(
        &self,
        caller: &Caller,
        request: UploadRequest,
    ) -> FilesResult<Upload> {
        let path = &request.path;
        let change = self.permit_change(caller, path)?;
        let rights = Self::locate(caller).rights;
        let prepare = PrepareUpload {
            change: change.clone(),
            path: path.clone(),
            declared_bytes: request.declared_bytes,
            reserved_bytes: self.reservations.held(change.space),
            precondition: request.precondition.clone(),
        };
        // The commit tests all of it again, and a body that travels in the commit is usually here.
        let is_small = request
            .declared_bytes
            .is_some_and(|bytes| bytes <= self.chunks.hot_bytes_max() as u64);
        let (prepared, untested) = if is_small && !request.client_waits {
            (Prepared::default(), Some(prepare))
        } else {
            (self.metadata.read(prepare).await.map_err(at(path))?, None)
        };
        let reservation = self.reservations.hold(change.space, prepared.growth_bytes);
        let ingest = self.chunks.ingest(IngestRequest {
            space: change.space,
            dedup: if rights.may_read_space {
                DedupScope::Space
            } else {
                DedupScope::Replaced
            },
            declared_bytes: request.declared_bytes,
            replaced: prepared.replaced,
            checksum: request.checksum.as_ref().map(|checksum| checksum.kind),
        });
        Ok(Upload {
            metadata: Arc::clone(&self.metadata),
            clock: self.clock.clone(),
            begun_at: change.now,
            change,
            ingest,
            received_bytes: 0,
            room: prepared.quota_bytes.map(|quota_bytes| Room {
                bytes: prepared.room_bytes,
                quota_bytes,
            }),
            lease: None,
            request,
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
            let path = &self.request.path;
            self.metadata.read(prepare).await.map_err(at(path))?;
        }
        Ok(())
    }

    /// Takes the next bytes of the body.
    pub async fn write(&mut self, bytes: Bytes) -> FilesResult<()> {
        self.received_bytes += bytes.len() as u64;
        if let Some(announced_bytes) = self.request.declared_bytes
            && self.received_bytes > announced_bytes
        {
            let received_bytes = self.received_bytes;
            return Err(ContentFault::Length {
                announced_bytes,
                received_bytes,
            }
            .into());
        }
        if let Some(room) = self.room
            && self.received_bytes > room.bytes
        {
            return Err(FilesError::QuotaExceeded {
                quota_bytes: room.quota_bytes,
                used_bytes: room.quota_bytes.saturating_sub(room.bytes),
                missing_bytes: self.received_bytes - room.bytes,
            });
        }
        self.keep_lease().await?;
        self.ingest
            .write(bytes)
            .await
            .map_err(at(&self.request.path))
    }

    /// Makes the received bytes the current version of the file, durably.
    ///
    /// Until this returns, readers see the former version. When it fails, the
    /// stored chunks are left for the collector and nothing else has changed.
    pub async fn finish(self) -> FilesResult<Committed> {
        self.check_length()?;
        let path = self.request.path.clone();
        let expected =
            (self.received_bytes <= QUICK_BYTES_MAX).then(|| self.metadata.expect_write());
        let finished = self.ingest.finish().await.map_err(at(&path))?;
        let mut content = finished.content;
        if let Some(announced) = &self.request.checksum {
            if finished.checksum.as_deref() != Some(announced.hex.as_str()) {
                return Err(ContentFault::Checksum.into());
            }
            content.checksum = Some(announced.text.clone());
        }
        let commit = CommitUpload {
            change: Change {
                now: self.clock.now(),
                ..self.change
            },
            path: path.clone(),
            content,
            modified_at: self.request.modified_at,
            created_at: self.request.created_at,
            begun_at: self.begun_at,
            lease: self.lease.map(|(id, _)| id),
            precondition: self.request.precondition,
        };
        let writing = self.metadata.write(commit);
        drop(expected);
        let committed = writing.await.map_err(at(&path));
        if let Some((id, _)) = self.lease {
            // A lease that outlives its upload only delays the collector.
            drop(self.metadata.write_in_background(EndLease { id }).await);
        }
        committed
    }

    fn check_length(&self) -> FilesResult<()> {
        match self.request.declared_bytes {
            Some(announced_bytes) if announced_bytes != self.received_bytes => {
                let received_bytes = self.received_bytes;
                Err(ContentFault::Length {
                    announced_bytes,
                    received_bytes,
                }
                .into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Protects the chunks of a long upload from the collector.
    async fn keep_lease(&mut self) -> FilesResult<()> {
        let now = self.clock.now();
        let until = now.plus_seconds(LEASE_SECONDS);
        match self.lease {
            None if now > self.begun_at.plus_seconds(LEASE_AFTER_SECONDS) => {
                let id: [u8; 16] = rand::random();
                let begin = BeginLease {
                    id,
                    space: self.change.space,
                    begun: self.begun_at,
                    until,
                    contents: self.ingest.sources(),
                };
                self.metadata
                    .write(begin)
                    .await
                    .map_err(at(&self.request.path))?;
                self.lease = Some((id, now));
            }
            Some((id, renewed)) if now > renewed.plus_seconds(LEASE_RENEWED_SECONDS) => {
                let renew = RenewLease {
                    id,
                    until,
                    contents: self.ingest.sources(),
                };
                self.metadata
                    .write(renew)
                    .await
                    .map_err(at(&self.request.path))?;
                self.lease = Some((id, now));
            }
            None | Some(_) => {}
        }
        Ok(())
    }
}
