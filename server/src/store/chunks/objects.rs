//! Complete packs, wherever they live: read, listed, deleted; and made, where they are objects.
//!
//! Everything goes through object_store. What is read of an S3 store for a user passes
//! the [`cache`](super::s3::cache) on this server's disk; the audit and the compaction read past it.

use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use bytes::BytesMut;
use futures_util::TryStreamExt;
use nuage_shared::frame::PACK_HEADER_BYTES;
use nuage_shared::frame::PackHeader;
use object_store::MultipartUpload;
use object_store::ObjectStore;
use object_store::ObjectStoreExt;
use object_store::PutMode;
use object_store::PutMultipartOptions;
use object_store::PutOptions;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;

use crate::clock::Timestamp;
use crate::store::chunks::ChunkError;
use crate::store::chunks::PackHome;
use crate::store::chunks::files::PackFile;
use crate::store::chunks::files::pack_files;
use crate::store::chunks::files::pack_name;
use crate::store::chunks::pack_location;
use crate::store::chunks::s3::cache::BlockCache;
use crate::store::chunks::segment::AppendFault;

/// Bytes at the end of a pack that no other pack has.
const PROOF_BYTES: usize = 40;
/// An object whose age tells the store's own time.
const CLOCK_NAME: &str = "nuage-clock";

/// Why an object could not be read.
#[derive(Debug)]
pub(super) enum ObjectFault {
    /// There is none.
    Missing,
    /// It could not be read.
    Failed(ChunkError),
}

impl ObjectFault {
    /// Returns an error that says which pack was missed.
    pub(super) fn or_missing(self, uuid: &[u8; 16]) -> ChunkError {
        match self {
            Self::Missing => {
                ChunkError::Damaged(format!("{} does not exist", pack_location(uuid).display()))
            }
            Self::Failed(error) => error,
        }
    }
}

/// The packs that are complete.
#[derive(Debug)]
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    ground: Ground,
}

#[derive(Debug)]
enum Ground {
    Folder(PathBuf),
    S3 {
        /// `s3://bucket/prefix`, for messages.
        name: String,
        prefix: String,
        cache: Option<BlockCache>,
    },
}

impl Objects {
    /// Opens a folder that exists.
    pub(super) fn in_folder(folder: &Path) -> Result<Self, ChunkError> {
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| ChunkError::File {
            path: folder.display().to_string(),
            source: std::io::Error::other(error),
        })?;
        Ok(Self {
            // The mark of the store is the only file that is written this way.
            store: Arc::new(store.with_fsync(true)),
            ground: Ground::Folder(folder.to_owned()),
        })
    }

    /// Takes objects of a bucket for packs.
    pub(super) fn on_s3(
        home: &PackHome,
        prefix: &str,
        store: Arc<dyn ObjectStore>,
        cache: Option<BlockCache>,
    ) -> Self {
        Self {
            store,
            ground: Ground::S3 {
                name: home.to_string(),
                prefix: prefix.to_owned(),
                cache,
            },
        }
    }

    /// Returns whether several servers may share the packs.
    pub(super) fn are_shared(&self) -> bool {
        matches!(self.ground, Ground::S3 { .. })
    }

    /// Returns the cache of an S3 store.
    #[cfg(test)]
    pub(super) fn cache(&self) -> Option<&BlockCache> {
        match &self.ground {
            Ground::Folder(_) => None,
            Ground::S3 { cache, .. } => cache.as_ref(),
        }
    }

    fn key(&self, name: &str) -> Key {
        match &self.ground {
            Ground::Folder(_) => Key::from(name),
            Ground::S3 { prefix, .. } if prefix.is_empty() => Key::from(name),
            Ground::S3 { prefix, .. } => Key::from(format!("{prefix}/{name}")),
        }
    }

    pub(super) fn pack_key(&self, uuid: &[u8; 16]) -> Key {
        self.key(&pack_location(uuid).display().to_string())
    }

    fn failed(&self, key: &Key, error: object_store::Error) -> ChunkError {
        match &self.ground {
            Ground::Folder(_) => ChunkError::File {
                path: key.to_string(),
                source: std::io::Error::other(error),
            },
            Ground::S3 { name, .. } => ChunkError::Unavailable(format!("{name}: {error}")),
        }
    }

    fn fault(&self, key: &Key, error: object_store::Error) -> ObjectFault {
        match error {
            object_store::Error::NotFound { .. } => ObjectFault::Missing,
            error => ObjectFault::Failed(self.failed(key, error)),
        }
    }

    /// Returns what an error means for those whose frames were on the way.
    pub(super) fn append_fault(&self, error: &object_store::Error) -> AppendFault {
        match &self.ground {
            Ground::Folder(folder) => {
                AppendFault::Unavailable(format!("{}: {error}", folder.display()))
            }
            Ground::S3 { name, .. } => AppendFault::Unavailable(format!("{name}: {error}")),
        }
    }

    /// Reads bytes of a pack for a user.
    pub(super) async fn read(
        &self,
        uuid: &[u8; 16],
        range: Range<u64>,
    ) -> Result<Bytes, ObjectFault> {
        if let Ground::S3 {
            cache: Some(cache), ..
        } = &self.ground
        {
            let key = self.pack_key(uuid);
            let end = range.end;
            let read = cache.read(*uuid, &key, range).await;
            let fault = match read {
                Ok(bytes) => return Ok(bytes),
                Err(error) => match &*error {
                    object_store::Error::NotFound { .. } => ObjectFault::Missing,
                    error => ObjectFault::Failed(ChunkError::Unavailable(error.to_string())),
                },
            };
            return Err(self.explain(uuid, end, fault).await);
        }
        self.read_past_cache(uuid, range).await
    }

    /// Reads bytes of a pack as they are in its home.
    pub(super) async fn read_past_cache(
        &self,
        uuid: &[u8; 16],
        range: Range<u64>,
    ) -> Result<Bytes, ObjectFault> {
        let key = self.pack_key(uuid);
        let end = range.end;
        // Unlike `get_range`, this one reads a file in one piece.
        match self.store.get_ranges(&key, &[range]).await {
            Ok(mut parts) => parts.pop().ok_or(ObjectFault::Missing),
            Err(error) => Err(self.explain(uuid, end, self.fault(&key, error)).await),
        }
    }

    /// Tells a pack that ends too early from a store that cannot be reached.
    async fn explain(&self, uuid: &[u8; 16], end: u64, fault: ObjectFault) -> ObjectFault {
        match fault {
            ObjectFault::Failed(_) if self.are_shared() => match self.size(uuid).await {
                Ok(Some(size)) if size < end => ObjectFault::Failed(ChunkError::Damaged(format!(
                    "{} ends after {size} bytes",
                    pack_location(uuid).display()
                ))),
                Ok(Some(_)) | Err(_) => fault,
                Ok(None) => ObjectFault::Missing,
            },
            ObjectFault::Failed(_) | ObjectFault::Missing => fault,
        }
    }

    /// Reads the header of a pack; `None`: it has none of its own.
    pub(super) async fn header(&self, uuid: &[u8; 16]) -> Result<Option<PackHeader>, ObjectFault> {
        let bytes = self
            .read_past_cache(uuid, 0..PACK_HEADER_BYTES as u64)
            .await?;
        let header = PackHeader::decode(&bytes).ok();
        Ok(header.filter(|header| header.uuid == *uuid))
    }

    /// Returns the length of a pack; `None`: there is none.
    pub(super) async fn size(&self, uuid: &[u8; 16]) -> Result<Option<u64>, ChunkError> {
        let key = self.pack_key(uuid);
        match self.store.head(&key).await {
            Ok(about) => Ok(Some(about.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&key, error)),
        }
    }

    /// Deletes a pack; one that is not there is no error.
    pub(super) async fn delete(&self, uuid: &[u8; 16]) -> Result<(), ChunkError> {
        let key = self.pack_key(uuid);
        match self.store.delete(&key).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(&key, error)),
        }
    }

    /// Lists all packs.
    pub(super) async fn list(&self) -> Result<Vec<PackFile>, ChunkError> {
        if let Ground::Folder(folder) = &self.ground {
            let folder = folder.clone();
            let listed = tokio::task::spawn_blocking(move || pack_files(&folder));
            return listed.await.map_err(|_gone| ChunkError::Closed)?;
        }
        let prefix = self.key("");
        let mut found = Vec::new();
        let mut listed = self.store.list(Some(&prefix));
        while let Some(about) = listed
            .try_next()
            .await
            .map_err(|error| self.failed(&prefix, error))?
        {
            let Some(uuid) = about.location.filename().and_then(pack_name) else {
                continue;
            };
            if about.location == self.pack_key(&uuid) {
                found.push(PackFile {
                    uuid,
                    size_bytes: about.size,
                    modified_at: Timestamp::from_system_time(about.last_modified.into()),
                });
            }
        }
        Ok(found)
    }

    /// Returns the present by the clock that dates the packs, where that is not this machine's.
    pub(super) async fn present(&self) -> Result<Option<Timestamp>, ChunkError> {
        if let Ground::Folder(_) = self.ground {
            return Ok(None);
        }
        let key = self.key(CLOCK_NAME);
        let asked = async {
            self.store
                .put(&key, Bytes::from_static(b"\n").into())
                .await?;
            self.store.head(&key).await
        };
        let about = asked.await.map_err(|error| self.failed(&key, error))?;
        // It comes in whole seconds, those of a list do not.
        let present = Timestamp::from_system_time(about.last_modified.into());
        Ok(Some(present.plus_seconds(1)))
    }

    /// Reads a small object that is no pack; `None`: there is none.
    pub(super) async fn read_note(&self, name: &str) -> Result<Option<Bytes>, ChunkError> {
        let key = self.key(name);
        let read = async { self.store.get(&key).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&key, error)),
        }
    }

    /// Writes a small object that is no pack, durably, unless there is one of that name.
    pub(super) async fn write_note(&self, name: &str, bytes: Bytes) -> Result<(), ChunkError> {
        let key = self.key(name);
        let options = PutOptions::from(PutMode::Create);
        match self.store.put_opts(&key, bytes.into(), options).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(self.failed(&key, error)),
        }
    }

    /// Stores a whole pack under a name that nothing has.
    pub(super) async fn create(&self, uuid: &[u8; 16], bytes: &[Bytes]) -> Result<(), AppendFault> {
        let key = self.pack_key(uuid);
        let options = PutOptions::from(PutMode::Create);
        let payload = bytes.iter().cloned().collect();
        match self.store.put_opts(&key, payload, options).await {
            Ok(_) => Ok(()),
            Err(error @ object_store::Error::AlreadyExists { .. }) => {
                // An answer was lost on the way, and the request was repeated.
                let size_bytes = bytes.iter().map(|piece| piece.len() as u64).sum();
                if self.holds(uuid, bytes, size_bytes).await {
                    Ok(())
                } else {
                    Err(self.append_fault(&error))
                }
            }
            Err(error) => Err(self.append_fault(&error)),
        }
    }

    /// Begins a pack that comes in parts.
    pub(super) async fn begin_parts(
        &self,
        uuid: &[u8; 16],
    ) -> Result<Box<dyn MultipartUpload>, AppendFault> {
        let options = PutMultipartOptions::default();
        let key = self.pack_key(uuid);
        let begun = self.store.put_multipart_opts(&key, options);
        begun.await.map_err(|error| self.append_fault(&error))
    }

    /// Returns whether a pack of that length is there and ends as these bytes do.
    pub(super) async fn holds(&self, uuid: &[u8; 16], bytes: &[Bytes], size_bytes: u64) -> bool {
        let proof = proof_of(bytes);
        let start = size_bytes.saturating_sub(proof.len() as u64);
        let is_long_enough = matches!(self.size(uuid).await, Ok(Some(size)) if size == size_bytes);
        is_long_enough
            && !proof.is_empty()
            && self
                .read_past_cache(uuid, start..size_bytes)
                .await
                .is_ok_and(|found| found == proof)
    }
}

/// Returns the last bytes of a pack: the hash and the length of its footer.
fn proof_of(bytes: &[Bytes]) -> Bytes {
    let mut proof = BytesMut::new();
    let mut missing = PROOF_BYTES;
    let mut tails = Vec::new();
    for piece in bytes.iter().rev() {
        let tail = piece.slice(piece.len().saturating_sub(missing)..);
        missing -= tail.len();
        tails.push(tail);
    }
    for tail in tails.iter().rev() {
        proof.extend_from_slice(tail);
    }
    proof.freeze()
}
