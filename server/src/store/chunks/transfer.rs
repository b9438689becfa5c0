//! Copies sealed packs from a folder to an S3 store, under the same names, and proves each copy.
//!
//! A copy counts only when it was read back and is, byte for byte, what was read from the
//! folder: frames, footer and whatever damage the original has.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::ObjectStore;
use object_store::ObjectStoreExt;
use object_store::PutPayload;

use crate::store::chunks::ChunkError;
use crate::store::chunks::PackHome;
use crate::store::chunks::S3Settings;
use crate::store::chunks::file_error;
use crate::store::chunks::marker;
use crate::store::chunks::objects::Objects;
use crate::store::chunks::pack_location;
use crate::store::chunks::s3;
use crate::store::chunks::s3::S3Runtime;
use crate::store::metadata::MetadataStore;

/// The way from a folder of packs to an S3 store.
#[derive(Debug)]
pub struct PackTransfer {
    folder: PathBuf,
    place: String,
    store: Arc<dyn ObjectStore>,
    objects: Objects,
    /// Carries the requests.
    _runtime: S3Runtime,
}

/// A pack whose copy was read back and is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProvenPack {
    /// Its length.
    pub size_bytes: u64,
    /// BLAKE3 of all its bytes.
    pub hash: [u8; 32],
}

impl PackTransfer {
    /// Prepares the way; nothing is asked of the store yet.
    pub fn new(folder: PathBuf, to: &S3Settings) -> Result<Self, ChunkError> {
        let runtime = S3Runtime::start()?;
        let store = s3::connect(to, runtime.handle()?)?;
        let home = PackHome::S3(to.clone());
        Ok(Self {
            folder,
            place: home.to_string(),
            objects: Objects::on_s3(&home, &to.prefix, Arc::clone(&store), None),
            store,
            _runtime: runtime,
        })
    }

    /// Fails where the store belongs to another installation.
    pub async fn refuse_foreign(&self, metadata: &MetadataStore) -> Result<(), ChunkError> {
        marker::refuse_foreign(&self.objects, marker::S3_NAME, &self.place, metadata).await
    }

    /// Returns whether the store holds an object of a pack's name and length.
    pub async fn holds(&self, uuid: &[u8; 16], size_bytes: u64) -> Result<bool, ChunkError> {
        Ok(self.objects.size(uuid).await? == Some(size_bytes))
    }

    /// Copies a pack and reads the copy back.
    pub async fn copy(&self, uuid: &[u8; 16]) -> Result<ProvenPack, ChunkError> {
        let location = self.objects.pack_key(uuid);
        let path = self.folder.join(pack_location(uuid));
        let read = tokio::task::spawn_blocking(move || {
            let bytes = std::fs::read(&path).map_err(file_error(&path))?;
            let hash = *blake3::hash(&bytes).as_bytes();
            Ok::<_, ChunkError>((Bytes::from(bytes), hash))
        });
        let (bytes, hash) = read.await.map_err(|_gone| ChunkError::Closed)??;
        let size_bytes = bytes.len() as u64;
        self.store
            .put(&location, PutPayload::from_bytes(bytes))
            .await
            .map_err(|error| store_error(&location, &error))?;
        if self.hash_of(&location).await? != (size_bytes, hash) {
            return Err(ChunkError::Damaged(format!(
                "{location} was written and reads back as something else"
            )));
        }
        Ok(ProvenPack { size_bytes, hash })
    }

    /// Reads an object whole; returns its length and hash.
    async fn hash_of(&self, location: &Location) -> Result<(u64, [u8; 32]), ChunkError> {
        let fault = |error| store_error(location, &error);
        let mut parts = self.store.get(location).await.map_err(fault)?.into_stream();
        let mut hasher = blake3::Hasher::new();
        while let Some(part) = parts.try_next().await.map_err(fault)? {
            hasher.update(&part);
        }
        Ok((hasher.count(), *hasher.finalize().as_bytes()))
    }
}

type Location = object_store::path::Path;

fn store_error(location: &Location, error: &object_store::Error) -> ChunkError {
    ChunkError::Unavailable(format!("{location}: {error}"))
}
