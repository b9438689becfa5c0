//! A body on its way into the store: its length, the quota and the lease, while it comes.
//!
//! What comes is a whole file or a part of one; who begins a reception has tested what can be
//! known before, and names in one transaction what it yields.

use std::sync::Arc;

use bytes::Bytes;
use nuage_shared::node_path::NodePath;

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::files::error::ContentFault;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::files::error::at;
use crate::store::chunks::Ingest;
use crate::store::chunks::Ingested;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::packs::BeginLease;
use crate::store::metadata::packs::EndLease;
use crate::store::metadata::packs::RenewLease;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::sqlite::ExpectedWrite;

/// A body that lasts longer than this takes a lease on its chunks.
const LEASE_AFTER_SECONDS: i64 = 10 * 60;
/// A lease is renewed when this much time has passed since the last time.
const LEASE_RENEWED_SECONDS: i64 = 60 * 60;
/// How long a lease lives without a sign of life.
const LEASE_SECONDS: i64 = 24 * 3_600;
/// Bodies up to this size travel in the commit itself and finish within a moment.
const QUICK_BYTES_MAX: u64 = 16 << 10;

/// What a space has left for one body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) bytes: u64,
    pub(crate) quota_bytes: u64,
}

/// A body in progress; dropping it leaves only chunks that nothing names.
#[derive(Debug)]
pub(crate) struct Reception {
    pub(crate) metadata: Arc<MetadataStore>,
    pub(crate) clock: Clock,
    pub(crate) space: SpaceId,
    /// What a failure speaks of.
    pub(crate) path: NodePath,
    pub(crate) declared_bytes: Option<u64>,
    /// What may come before the quota is exceeded, whatever else is uploaded.
    pub(crate) room: Option<Room>,
    pub(crate) begun_at: Timestamp,
    ingest: Ingest,
    received_bytes: u64,
    lease: Option<([u8; 16], Timestamp)>,
}

/// A body that came as it was announced.
pub(crate) struct Received {
    pub(crate) ingested: Ingested,
    /// The lease that protects its chunks, where it took long.
    pub(crate) lease: Option<[u8; 16]>,
    /// Holds a commit back for a small body's write.
    pub(crate) expected: Option<ExpectedWrite>,
}

impl Reception {
    pub(crate) fn new(
        metadata: &Arc<MetadataStore>,
        clock: &Clock,
        (space, path): (SpaceId, NodePath),
        declared_bytes: Option<u64>,
        ingest: Ingest,
    ) -> Self {
        Self {
            metadata: Arc::clone(metadata),
            begun_at: clock.now(),
            clock: clock.clone(),
            space,
            path,
            declared_bytes,
            room: None,
            ingest,
            received_bytes: 0,
            lease: None,
        }
    }

    /// Takes the next bytes.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> FilesResult<()> {
        self.received_bytes += bytes.len() as u64;
        if let Some(announced_bytes) = self.declared_bytes
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
        self.ingest.write(bytes).await.map_err(at(&self.path))
    }

    /// Makes every byte durable (or keeps a small body for the commit).
    pub(crate) async fn finish(self) -> FilesResult<Received> {
        self.check_length()?;
        let expected =
            (self.received_bytes <= QUICK_BYTES_MAX).then(|| self.metadata.expect_write());
        let ingested = self.ingest.finish().await.map_err(at(&self.path))?;
        Ok(Received {
            ingested,
            lease: self.lease.map(|(id, _)| id),
            expected,
        })
    }

    fn check_length(&self) -> FilesResult<()> {
        match self.declared_bytes {
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

    /// Protects the chunks of a long body from the collector.
    async fn keep_lease(&mut self) -> FilesResult<()> {
        let now = self.clock.now();
        let until = now.plus_seconds(LEASE_SECONDS);
        match self.lease {
            None if now > self.begun_at.plus_seconds(LEASE_AFTER_SECONDS) => {
                let id: [u8; 16] = rand::random();
                let begin = BeginLease {
                    id,
                    space: self.space,
                    begun: self.begun_at,
                    until,
                    contents: self.ingest.sources(),
                };
                self.metadata.write(begin).await.map_err(at(&self.path))?;
                self.lease = Some((id, now));
            }
            Some((id, renewed)) if now > renewed.plus_seconds(LEASE_RENEWED_SECONDS) => {
                let renew = RenewLease {
                    id,
                    until,
                    contents: self.ingest.sources(),
                };
                self.metadata.write(renew).await.map_err(at(&self.path))?;
                self.lease = Some((id, now));
            }
            None | Some(_) => {}
        }
        Ok(())
    }
}

/// Ends a lease whose chunks are named; one that outlives its upload only delays the collector.
pub(crate) async fn end_lease(metadata: &MetadataStore, lease: Option<[u8; 16]>) {
    if let Some(id) = lease {
        drop(metadata.write_in_background(EndLease { id }).await);
    }
}
