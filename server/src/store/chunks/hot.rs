//! Small bodies move from the database into packs.

use std::sync::Arc;

use bytes::Bytes;

use crate::store::chunks::ChunkError;
use crate::store::chunks::ChunkStore;
use crate::store::chunks::Shared;
use crate::store::chunks::appender::NewFrame;
use crate::store::chunks::appender::Until;
use crate::store::metadata::packs::HotContents;
use crate::store::metadata::packs::PlaceHot;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::ContentBody;
use crate::store::metadata::records::ContentRef;

/// Contents that are packed together: one sync and one short transaction.
const PAGE: i64 = 100;

impl ChunkStore {
    /// Moves small bodies from the database into packs; returns how many.
    ///
    /// Frames are durable before the transaction that names them; a crash between the
    /// two leaves frames that nothing names.
    pub async fn pack_hot(&self) -> Result<u64, ChunkError> {
        let shared = &self.shared;
        let mut after = ContentRef(0);
        let mut packed = 0;
        loop {
            // Until the places are committed, nobody may take the frames for garbage.
            let _mark = shared.uploads.begin();
            let page = HotContents { after, limit: PAGE };
            let page = shared.metadata.read(page).await?;
            let Some(newest) = page.last() else {
                return Ok(packed);
            };
            after = newest.id;
            packed += pack_page(shared, page).await?;
        }
    }
}

async fn pack_page(shared: &Arc<Shared>, page: Vec<Content>) -> Result<u64, ChunkError> {
    let worker = Arc::clone(shared);
    let prepared = tokio::task::spawn_blocking(move || {
        page.iter()
            .filter_map(|content| Some((content.id, frame_of(&worker, content)?)))
            .unzip::<_, _, Vec<_>, Vec<_>>()
    });
    let (ids, frames) = prepared.await.map_err(|_gone| ChunkError::Closed)?;
    if frames.is_empty() {
        return Ok(0);
    }
    let appender = shared.appenders.idlest();
    let append = shared
        .appenders
        .append(appender, frames, Until::Durable, None);
    let written = append.wait().await?;
    let placed = ids.into_iter().zip(written.places).collect();
    Ok(shared
        .metadata
        .write_in_background(PlaceHot(placed))
        .await?)
}

/// Returns the frame of a small content; `None`: it has no bytes here, or other ones than its name says.
fn frame_of(shared: &Shared, content: &Content) -> Option<NewFrame> {
    let ContentBody::Hot(bytes) = &content.body else {
        return None;
    };
    if bytes.is_empty() {
        return None;
    }
    let plain_bytes = u32::try_from(bytes.len()).ok()?;
    let id = shared.secrets.key.chunk_id(bytes);
    let mut hasher = shared.secrets.key.content_hasher();
    hasher.push(id, plain_bytes);
    if hasher.finish() != content.hash {
        tracing::error!(
            content = content.id.0,
            "a small content is damaged and stays where it is"
        );
        return None;
    }
    let mut payload = Vec::with_capacity(bytes.len());
    shared.compressors.store(bytes, &mut payload);
    Some(NewFrame {
        id,
        plain_bytes,
        payload: Bytes::from(payload),
    })
}
