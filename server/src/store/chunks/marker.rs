//! The mark of a store of chunks: a small object, or file, whose id the database keeps as well.
//!
//! A server that was given the wrong bucket, prefix or folder would answer every read with
//! "damaged", and its uploads would lie where nobody looks. So the two must agree before
//! anything is served. A folder beside its own database needs no mark.

use serde::Deserialize;
use serde::Serialize;

use crate::store::chunks::ChunkError;
use crate::store::chunks::objects::Objects;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::packs::NameChunkStore;
use crate::store::metadata::packs::ReadChunkStore;

/// The name of the mark in a bucket.
pub(super) const S3_NAME: &str = "nuage-store";
/// The name of the mark in a folder.
pub(super) const FOLDER_NAME: &str = ".store";
/// The version of the store's form that this program reads and writes.
const FORMAT: u32 = 1;

/// What the mark says.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    /// The version of the store's form.
    format: u32,
    /// A random name, 32 hexadecimal digits.
    id: String,
}

/// Proves that a store of chunks belongs to a database; a new store is marked for it.
pub(super) async fn check(
    objects: &Objects,
    name: &str,
    place: &str,
    metadata: &MetadataStore,
) -> Result<(), ChunkError> {
    let found = read(objects, name, place).await?;
    let (expected, has_packs) = metadata.read(ReadChunkStore).await?;
    match (found, expected) {
        (Some(found), Some((expected, _))) if found == expected => Ok(()),
        (Some(_), _) => Err(foreign(place)),
        (None, Some((_, elsewhere))) if has_packs => Err(ChunkError::WrongStore(format!(
            "the chunks of this installation are in {elsewhere}, and {place} holds none of them"
        ))),
        // A new store, or one whose first start ended between the two.
        (None, _) => {
            let naming = NameChunkStore {
                id: hex::encode(rand::random::<[u8; 16]>()),
                place: place.to_owned(),
            };
            let (id, _) = metadata.write(naming).await?;
            let marker = Marker { format: FORMAT, id };
            let text = serde_json::to_vec(&marker)
                .map_err(|error| ChunkError::WrongStore(error.to_string()))?;
            objects.write_note(name, text.into()).await?;
            // Another installation may have been faster.
            if read(objects, name, place).await? == Some(marker.id) {
                Ok(())
            } else {
                Err(foreign(place))
            }
        }
    }
}

/// Fails where a store has the mark of another installation; marks nothing.
pub(super) async fn refuse_foreign(
    objects: &Objects,
    name: &str,
    place: &str,
    metadata: &MetadataStore,
) -> Result<(), ChunkError> {
    let Some(found) = read(objects, name, place).await? else {
        return Ok(());
    };
    let (expected, _) = metadata.read(ReadChunkStore).await?;
    if expected.is_some_and(|(expected, _)| expected == found) {
        Ok(())
    } else {
        Err(foreign(place))
    }
}

async fn read(objects: &Objects, name: &str, place: &str) -> Result<Option<String>, ChunkError> {
    let Some(bytes) = objects.read_note(name).await? else {
        return Ok(None);
    };
    let marker: Marker = serde_json::from_slice(&bytes).map_err(|error| {
        ChunkError::WrongStore(format!("the mark {name} of {place} is damaged: {error}"))
    })?;
    if marker.format > FORMAT {
        return Err(ChunkError::WrongStore(format!(
            "{place} has the form {}, this program knows forms up to {FORMAT}: use a newer nuage-server",
            marker.format
        )));
    }
    Ok(Some(marker.id))
}

fn foreign(place: &str) -> ChunkError {
    ChunkError::WrongStore(format!(
        "the chunks in {place} belong to another installation: its database is a different one"
    ))
}
