//! Small bodies move from the database into packs.

use std::sync::Arc;

use bytes::Bytes;
use nuage_shared::manifest::Place;

use crate::clock::Timestamp;
use crate::store::chunks::ChunkError;
use crate::store::chunks::ChunkStore;
use crate::store::chunks::Shared;
use crate::store::chunks::appender::NewFrame;
use crate::store::chunks::appender::Stretch;
use crate::store::chunks::appender::Until;
use crate::store::chunks::collect::UNNAMED_SECONDS_MAX;
use crate::store::chunks::uploads::UploadMark;
use crate::store::metadata::packs::HotContents;
use crate::store::metadata::packs::PlaceHot;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::ContentBody;
use crate::store::metadata::records::ContentRef;

/// Contents that are read together.
const PAGE: i64 = 100;
/// Contents that one short transaction gives their places.
const PLACED_TOGETHER: usize = 100;

impl ChunkStore {
    /// Moves small bodies from the database into packs; returns how many.
    ///
    /// Frames are durable before the transaction that names them; a crash between the
    /// two leaves frames that nothing names.
    pub async fn pack_hot(&self) -> Result<u64, ChunkError> {
        let shared = &self.shared;
        // An object is worth filling; a file goes on with whatever comes next.
        let group_bytes = if shared.objects.are_shared() {
            shared.segment_bytes
        } else {
            1
        };
        let mut after = ContentRef(0);
        let mut packed = 0;
        let mut group = Group::begin(shared);
        loop {
            let page = HotContents { after, limit: PAGE };
            let page = shared.metadata.read(page).await?;
            let Some(newest) = page.last() else {
                return Ok(packed + group.finish(shared).await?);
            };
            after = newest.id;
            group.add(shared, page).await?;
            if group.bytes >= group_bytes {
                let full = std::mem::replace(&mut group, Group::begin(shared));
                packed += full.finish(shared).await?;
            }
        }
    }
}

/// Small contents whose frames become durable together.
struct Group {
    /// Until the places are committed, nobody may take the frames for garbage.
    _mark: UploadMark,
    begun: Timestamp,
    appender: usize,
    places: Vec<(ContentRef, Place)>,
    stretches: Vec<Stretch>,
    bytes: u64,
}

impl Group {
    fn begin(shared: &Arc<Shared>) -> Self {
        Self {
            _mark: shared.uploads.begin(),
            begun: shared.clock.now(),
            appender: shared.appenders.idlest(),
            places: Vec::new(),
            stretches: Vec::new(),
            bytes: 0,
        }
    }

    /// Appends the frames of a page.
    async fn add(&mut self, shared: &Arc<Shared>, page: Vec<Content>) -> Result<(), ChunkError> {
        let worker = Arc::clone(shared);
        let prepared = tokio::task::spawn_blocking(move || {
            page.iter()
                .filter_map(|content| Some((content.id, frame_of(&worker, content)?)))
                .unzip::<_, _, Vec<_>, Vec<_>>()
        });
        let (ids, frames) = prepared.await.map_err(|_gone| ChunkError::Closed)?;
        if frames.is_empty() {
            return Ok(());
        }
        let lengths = frames.iter().map(|frame| frame.payload.len() as u64);
        self.bytes += lengths.sum::<u64>();
        let appenders = &shared.appenders;
        let append = appenders.append(self.appender, frames, Until::Written, None);
        let written = append.wait().await?;
        let segment = &written.stretch.segment;
        self.stretches
            .retain(|held| !Arc::ptr_eq(&held.segment, segment));
        self.stretches.push(written.stretch);
        self.places.extend(ids.into_iter().zip(written.places));
        Ok(())
    }

    /// Makes the frames durable and names them.
    async fn finish(self, shared: &Arc<Shared>) -> Result<u64, ChunkError> {
        shared.appenders.sync(self.stretches).await?;
        let mut packed = 0;
        for places in self.places.chunks(PLACED_TOGETHER) {
            // Then another server may have taken the frames for garbage; the bodies are still here.
            if shared.clock.now() > self.begun.plus_seconds(UNNAMED_SECONDS_MAX) {
                tracing::warn!("small bodies took too long to pack, which is tried again");
                break;
            }
            let placing = PlaceHot(places.to_vec());
            packed += shared.metadata.write_in_background(placing).await?;
        }
        Ok(packed)
    }
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
