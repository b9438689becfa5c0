//! An upload's bytes on their way into packs.
//!
//! Up to [`hot_bytes_max`](super::ChunkSettings::hot_bytes_max) they are only kept, and travel in the commit. Beyond,
//! they go in batches to a [`Cutter`] on a blocking thread while the next batch is
//! received; its frames go to an appender, whose places build the map. A file of at
//! most 4 MiB is named whole before anything is appended, so that one which
//! the space holds costs nothing; a larger one is compared while it streams.
//!
//! # Memory
//!
//! The window that cutting needs is taken from a budget at once and held to the
//! end, so that uploads never wait for each other half-way; frames have a second
//! budget, which the appenders give back by themselves.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use bytes::BytesMut;
use nuage_shared::chunk_id::ChunkId;
use nuage_shared::chunk_id::ContentId;
use nuage_shared::chunker::Profile;
use nuage_shared::manifest::ChunkRef;
use nuage_shared::manifest::LeafRef;
use nuage_shared::manifest::Map;
use nuage_shared::manifest::Place;
use nuage_shared::manifest::decode_leaf;
use nuage_shared::manifest::encode_leaf;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use crate::store::chunks::ChunkError;
use crate::store::chunks::DedupScope;
use crate::store::chunks::IngestRequest;
use crate::store::chunks::Ingested;
use crate::store::chunks::Shared;
use crate::store::chunks::appender::NewFrame;
use crate::store::chunks::appender::PendingAppend;
use crate::store::chunks::appender::Stretch;
use crate::store::chunks::appender::Until;
use crate::store::chunks::appender::Written;
use crate::store::chunks::cutter::BATCH_BYTES;
use crate::store::chunks::cutter::Cut;
use crate::store::chunks::cutter::Cutter;
use crate::store::chunks::cutter::CutterSettings;
use crate::store::chunks::cutter::Piece;
use crate::store::chunks::cutter::window_bytes;
use crate::store::chunks::map_builder::MapBuilder;
use crate::store::chunks::uploads::UploadMark;
use crate::store::metadata::contents::FindContent;
use crate::store::metadata::contents::FindHooked;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::ContentBody;
use crate::store::metadata::records::ContentRef;
use crate::store::metadata::records::NewContent;
use crate::store::metadata::records::SpaceId;

/// Files up to this length are named whole before anything is appended.
const WHOLE_BYTES_MAX: u64 = 4 << 20;
/// Leaves that are searched for a hook in the middle of a large content.
const HOOK_LEAVES_MAX: usize = 64;

/// Bytes on their way into the store; dropping it leaves only frames that nothing names.
#[derive(Debug)]
pub struct Ingest {
    shared: Arc<Shared>,
    request: IngestRequest,
    mark: UploadMark,
    pending: Vec<Bytes>,
    pending_bytes: usize,
    stored: Option<Box<Stored>>,
}

impl Ingest {
    pub(super) fn new(shared: Arc<Shared>, request: IngestRequest) -> Self {
        Self {
            mark: shared.uploads.begin(),
            shared,
            request,
            pending: Vec::new(),
            pending_bytes: 0,
            stored: None,
        }
    }

    /// Takes the next bytes; waits while too many are in flight.
    ///
    /// A call that was given up half-way leaves an upload that can only be dropped.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), ChunkError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.pending_bytes += bytes.len();
        self.pending.push(bytes);
        if self.pending_bytes <= self.shared.settings.hot_bytes_max {
            return Ok(());
        }
        if self.stored.is_none() {
            self.shared.require_space()?;
            let stored = Stored::begin(&self.shared, &self.request).await?;
            self.stored = Some(Box::new(stored));
        }
        if self.pending_bytes < BATCH_BYTES {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        match &mut self.stored {
            Some(stored) => stored.turn(batch).await,
            None => Ok(()),
        }
    }

    /// Returns the contents of the space whose frames this one names so far.
    pub fn sources(&self) -> Vec<ContentRef> {
        self.stored
            .as_ref()
            .map_or_else(Vec::new, |stored| stored.sources.iter().copied().collect())
    }

    /// Makes every byte durable (or keeps a small content for the commit) and names the whole.
    pub async fn finish(self) -> Result<Ingested, ChunkError> {
        if let Some(stored) = self.stored {
            return stored.finish(self.pending, self.request, self.mark).await;
        }
        self.shared.require_space()?;
        Ok(self.keep())
    }

    /// Names a small content, whose bytes travel in the commit.
    fn keep(mut self) -> Ingested {
        let bytes = match self.pending.pop() {
            Some(only) if self.pending.is_empty() => only,
            last => {
                let mut whole = BytesMut::with_capacity(self.pending_bytes);
                for bytes in self.pending.into_iter().chain(last) {
                    whole.extend_from_slice(&bytes);
                }
                whole.freeze()
            }
        };
        let key = &self.shared.secrets.key;
        let mut hasher = key.content_hasher();
        let only_chunk = (!bytes.is_empty()).then(|| key.chunk_id(&bytes));
        if let Some(id) = only_chunk {
            hasher.push(id, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        let mut checksums = std::mem::take(&mut self.request.checksums);
        checksums.update(&bytes);
        let content = NewContent {
            hash: hasher.finish(),
            size_bytes: bytes.len() as u64,
            profile: profile_for(&self.request, Some(bytes.len() as u64)),
            chunks: u32::from(!bytes.is_empty()),
            body: Some(ContentBody::Hot(bytes)),
            packs: Vec::new(),
            hooks: Vec::new(),
            sources: Vec::new(),
            checksum: None,
            heals: self.shared.damage.is_any(),
        };
        Ingested {
            content,
            checksums,
            only_chunk,
            _mark: self.mark,
        }
    }
}

/// Chooses how to cut: as the replaced version was, where its size still fits.
fn profile_for(request: &IngestRequest, size_bytes: Option<u64>) -> Profile {
    if let Some(decided) = request.profile {
        return decided;
    }
    match (&request.replaced, size_bytes) {
        (Some(replaced), Some(size)) => replaced.profile.successor(size),
        (Some(replaced), None) => replaced.profile,
        (None, size) => Profile::for_size(size),
    }
}

/// An upload that goes into packs.
#[derive(Debug)]
pub(super) struct Stored {
    shared: Arc<Shared>,
    scope: DedupScope,
    profile: Profile,
    /// Here while it is not at work on a blocking thread.
    cutter: Option<Cutter>,
    running: Option<JoinHandle<(Cutter, Cut)>>,
    _window: OwnedSemaphorePermit,
    /// Frames are kept back until the whole is named.
    holds_back: bool,
    held: Vec<Piece>,
    waiting: VecDeque<Queued>,
    in_flight_bytes: usize,
    appender: usize,
    stripe_bytes: usize,
    map: MapBuilder,
    stretches: Vec<Stretch>,
    sources: BTreeSet<ContentRef>,
    /// Leaves of maps that go on to be kept: an equal one is not stored again.
    leaves: HashMap<ChunkId, Place>,
    space: SpaceId,
}

/// Pieces in order, some of whose frames wait for their places.
#[derive(Debug)]
struct Queued {
    entries: Vec<Entry>,
    append: Option<PendingAppend>,
    bytes: usize,
}

/// A chunk of the map, with or without its place.
#[derive(Debug)]
enum Entry {
    Placed(ChunkRef, Option<ContentRef>),
    Unplaced(ChunkId, u32),
}

impl Stored {
    async fn begin(shared: &Arc<Shared>, request: &IngestRequest) -> Result<Self, ChunkError> {
        let profile = profile_for(request, request.declared_bytes);
        let holds_back = request
            .declared_bytes
            .is_some_and(|bytes| bytes <= WHOLE_BYTES_MAX);
        let expected_bytes = request.declared_bytes.unwrap_or(BATCH_BYTES as u64);
        let declared = request.declared_bytes.map_or(usize::MAX, |bytes| {
            usize::try_from(bytes).unwrap_or(usize::MAX)
        });
        let window = declared.min(window_bytes(profile) + BATCH_BYTES);
        // Frames that are kept back need memory beside the window.
        let memory_bytes = window + if holds_back { declared } else { 0 };
        let window = shared.window_memory.take(memory_bytes).await?;
        let settings = CutterSettings {
            profile,
            seed: shared.secrets.seed,
            key: shared.secrets.key.clone(),
            checksums: request.checksums.clone(),
            expected_bytes,
            asks_hooks: request.dedup == DedupScope::Space && !holds_back,
            damage: Arc::clone(&shared.damage),
        };
        let mut cutter = Cutter::new(
            settings,
            Arc::clone(&shared.compressors),
            Arc::clone(&shared.buffers),
        );
        if let Some(replaced) = &request.replaced {
            know(&mut cutter, replaced);
        }
        Ok(Self {
            shared: Arc::clone(shared),
            scope: request.dedup,
            profile,
            cutter: Some(cutter),
            running: None,
            _window: window,
            holds_back,
            held: Vec::new(),
            waiting: VecDeque::new(),
            in_flight_bytes: 0,
            appender: shared.appenders.idlest(),
            stripe_bytes: 0,
            map: MapBuilder::default(),
            stretches: Vec::new(),
            sources: BTreeSet::new(),
            leaves: HashMap::new(),
            space: request.space,
        })
    }

    /// Begins a content that is made of chunks which are stored, and of few that are not.
    pub(super) async fn of_chunks(
        shared: &Arc<Shared>,
        space: SpaceId,
        profile: Profile,
    ) -> Result<Self, ChunkError> {
        Ok(Self {
            shared: Arc::clone(shared),
            scope: DedupScope::Replaced,
            profile,
            cutter: None,
            running: None,
            _window: shared.window_memory.take(profile.max_bytes()).await?,
            holds_back: false,
            held: Vec::new(),
            waiting: VecDeque::new(),
            in_flight_bytes: 0,
            appender: shared.appenders.idlest(),
            stripe_bytes: 0,
            map: MapBuilder::default(),
            stretches: Vec::new(),
            sources: BTreeSet::new(),
            leaves: HashMap::new(),
            space,
        })
    }

    /// Remembers where a leaf of a map is that goes on to be kept.
    pub(super) fn know_leaf(&mut self, leaf: &LeafRef) {
        self.leaves.insert(leaf.leaf_id, leaf.place);
    }

    /// Hands a batch to a blocking thread, after what the last one made is on its way.
    async fn turn(&mut self, batch: Vec<Bytes>) -> Result<(), ChunkError> {
        self.come_home().await?;
        self.load_leaves().await;
        let Some(mut cutter) = self.cutter.take() else {
            return Err(ChunkError::Closed);
        };
        self.running = Some(tokio::task::spawn_blocking(move || {
            let cut = cutter.run(batch, false);
            (cutter, cut)
        }));
        Ok(())
    }

    /// Waits for the cutter and sends what it made on its way, until it needs more bytes.
    async fn come_home(&mut self) -> Result<(), ChunkError> {
        let mut cut = match &mut self.running {
            Some(running) => {
                let (cutter, cut) = running.await.map_err(|_gone| ChunkError::Closed)?;
                self.running = None;
                self.cutter = Some(cutter);
                cut
            }
            None => return Ok(()),
        };
        loop {
            let (question, has_more) = (cut.question, cut.has_more);
            self.send(cut.pieces, Until::Written).await?;
            if let Some(hook) = question {
                self.ask(hook.prefix8(), &hook).await;
            }
            if !has_more {
                return Ok(());
            }
            cut = self.cut(Vec::new(), false).await?;
        }
    }

    /// Runs the cutter on a blocking thread and waits for it.
    async fn cut(&mut self, batch: Vec<Bytes>, at_end: bool) -> Result<Cut, ChunkError> {
        let Some(mut cutter) = self.cutter.take() else {
            return Err(ChunkError::Closed);
        };
        let work = tokio::task::spawn_blocking(move || {
            let cut = cutter.run(batch, at_end);
            (cutter, cut)
        });
        let (cutter, cut) = work.await.map_err(|_gone| ChunkError::Closed)?;
        self.cutter = Some(cutter);
        Ok(cut)
    }

    /// Asks the space which content has a chunk, and makes its neighbours known.
    ///
    /// Whatever fails here costs only space.
    async fn ask(&mut self, id8: i64, hook: &ChunkId) {
        let space = self.space;
        let found = self.shared.metadata.read(FindHooked { space, id8 }).await;
        let (Ok(Some(content)), Some(cutter)) = (found, self.cutter.as_mut()) else {
            return;
        };
        if cutter.known.has_source(content.id) {
            return;
        }
        know(cutter, &content);
        for _ in 0..HOOK_LEAVES_MAX {
            let Some(cutter) = self.cutter.as_mut() else {
                return;
            };
            if cutter.known.holds(hook) || !self.load_leaf().await {
                return;
            }
            if let Some(cutter) = self.cutter.as_mut() {
                cutter.known.look_further(content.id);
            }
        }
    }

    /// Loads the leaves that the stream may come to next.
    async fn load_leaves(&mut self) {
        while self.load_leaf().await {}
    }

    /// Loads one wanted leaf; returns whether there was one.
    async fn load_leaf(&mut self) -> bool {
        let Some(wanted) = self
            .cutter
            .as_ref()
            .and_then(|cutter| cutter.known.wanted())
        else {
            return false;
        };
        let chunks = self
            .shared
            .places
            .leaf(&self.shared, &wanted.leaf)
            .await
            .ok();
        if let Some(cutter) = self.cutter.as_mut() {
            let chunks = chunks.as_ref().map(|chunks| chunks.as_slice());
            cutter.known.loaded(wanted, chunks);
        }
        true
    }

    /// Sends pieces to the appender and the map, or keeps them back.
    pub(super) async fn send(
        &mut self,
        pieces: Vec<Piece>,
        until: Until,
    ) -> Result<(), ChunkError> {
        if self.holds_back {
            self.held.extend(pieces);
            return Ok(());
        }
        if pieces.is_empty() {
            return Ok(());
        }
        let mut entries = Vec::with_capacity(pieces.len());
        let mut frames = Vec::new();
        let mut bytes = 0;
        for piece in pieces {
            match piece {
                Piece::Known(known) => {
                    self.sources.extend(known.source);
                    entries.push(Entry::Placed(known.chunk, known.source));
                }
                Piece::New(frame) => {
                    bytes += frame.payload.len();
                    entries.push(Entry::Unplaced(frame.id, frame.plain_bytes));
                    frames.push(frame);
                }
            }
        }
        let append = if frames.is_empty() {
            None
        } else {
            Some(self.append(frames, bytes, until).await?)
        };
        self.in_flight_bytes += bytes;
        self.waiting.push_back(Queued {
            entries,
            append,
            bytes,
        });
        while self.in_flight_bytes > self.shared.appenders.waiting_bytes_max {
            self.settle_oldest().await?;
        }
        Ok(())
    }

    async fn append(
        &mut self,
        frames: Vec<NewFrame>,
        bytes: usize,
        until: Until,
    ) -> Result<PendingAppend, ChunkError> {
        self.shared.require_space()?;
        let memory = self.shared.frame_memory.take(bytes).await?;
        self.stripe_bytes += bytes;
        let appenders = &self.shared.appenders;
        if self.stripe_bytes > appenders.stripe_bytes {
            self.stripe_bytes = 0;
            self.appender = appenders.idlest();
        }
        Ok(appenders.append(self.appender, frames, until, Some(memory)))
    }

    /// Waits for the places of the oldest pieces and gives them to the map.
    async fn settle_oldest(&mut self) -> Result<(), ChunkError> {
        let Some(queued) = self.waiting.pop_front() else {
            return Ok(());
        };
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(queued.bytes);
        let mut places = Vec::new().into_iter();
        if let Some(append) = queued.append {
            let written = append.wait().await?;
            self.note_stretch(written.stretch);
            places = written.places.into_iter();
        }
        let mut own = Vec::new();
        for entry in queued.entries {
            let (chunk, source) = match entry {
                Entry::Placed(chunk, source) => (chunk, source),
                Entry::Unplaced(id, plain_bytes) => {
                    let place = places.next().ok_or(ChunkError::Closed)?;
                    let chunk = ChunkRef {
                        id,
                        plain_bytes,
                        place,
                    };
                    own.push(chunk);
                    (chunk, None)
                }
            };
            self.map.push(chunk, source);
        }
        if let Some(cutter) = self.cutter.as_mut() {
            cutter.known.add_own(&own);
        }
        while let Some(leaf) = self.map.next_leaf(false) {
            self.store_leaf(leaf).await?;
        }
        Ok(())
    }

    fn note_stretch(&mut self, stretch: Stretch) {
        let same = |held: &&mut Stretch| Arc::ptr_eq(&held.segment, &stretch.segment);
        match self.stretches.iter_mut().find(same) {
            Some(held) => held.end = held.end.max(stretch.end),
            None => self.stretches.push(stretch),
        }
        // A segment that was left behind is durable and needs no further thought.
        if self.stretches.len() > 8 {
            self.stretches
                .retain(|held| !held.segment.is_durable(held.end));
        }
    }

    /// Stores a leaf of the map, unless an equal one is stored.
    async fn store_leaf(&mut self, chunks: Vec<ChunkRef>) -> Result<(), ChunkError> {
        let bytes = encode_leaf(&chunks);
        let leaf_id = self.shared.secrets.key.chunk_id(&bytes);
        let known = self.cutter.as_ref();
        let found = known.and_then(|cutter| cutter.known.find_leaf(&leaf_id));
        let (place, source) = if let Some((place, source)) = found {
            (place, Some(source))
        } else if let Some(place) = self.leaves.get(&leaf_id) {
            (*place, None)
        } else {
            let plain_bytes = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            let frame = NewFrame {
                id: leaf_id,
                plain_bytes,
                payload: Bytes::from(bytes),
            };
            let stored_bytes = frame.payload.len();
            let append = self.append(vec![frame], stored_bytes, Until::Written);
            let Written { places, stretch } = append.await?.wait().await?;
            self.note_stretch(stretch);
            let place = places.into_iter().next().ok_or(ChunkError::Closed)?;
            (place, None)
        };
        self.sources.extend(source);
        let leaf = LeafRef {
            place,
            leaf_id,
            chunks: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
            plain_bytes: chunks
                .iter()
                .map(|chunk| u64::from(chunk.plain_bytes))
                .sum(),
        };
        self.map.push_leaf(leaf, source);
        Ok(())
    }

    /// Cuts the rest, names the whole and makes it durable.
    async fn finish(
        mut self: Box<Self>,
        rest: Vec<Bytes>,
        request: IngestRequest,
        mark: UploadMark,
    ) -> Result<Ingested, ChunkError> {
        self.come_home().await?;
        // A file is durable by the job that brings the last frames; an object is worth waiting
        // for the leaves, and what it lacks is asked for at the end.
        let last = if self.shared.objects.are_shared() {
            Until::Written
        } else {
            Until::Durable
        };
        let mut batch = rest;
        loop {
            self.load_leaves().await;
            let cut = self.cut(std::mem::take(&mut batch), true).await?;
            let until = if cut.has_more { Until::Written } else { last };
            self.send(cut.pieces, until).await?;
            if let Some(hook) = cut.question {
                self.ask(hook.prefix8(), &hook).await;
            }
            if !cut.has_more {
                break;
            }
        }
        let whole = self.cutter.as_mut().ok_or(ChunkError::Closed)?.finish();
        let mut ingested = Ingested {
            content: NewContent {
                hash: whole.hash,
                size_bytes: 0,
                profile: self.profile,
                chunks: 0,
                body: None,
                packs: Vec::new(),
                hooks: Vec::new(),
                sources: Vec::new(),
                checksum: None,
                heals: self.shared.damage.is_any(),
            },
            checksums: whole.checksums,
            only_chunk: None,
            _mark: mark,
        };
        if self.holds_back {
            if self.is_held_already(&whole.hash, &request).await? {
                ingested.only_chunk = self.only_held();
                let (chunks, size_bytes) = self.held_sums();
                ingested.content.chunks = chunks;
                ingested.content.size_bytes = size_bytes;
                return Ok(ingested);
            }
            self.holds_back = false;
            let held = std::mem::take(&mut self.held);
            self.send(held, last).await?;
        }
        self.seal(ingested).await
    }

    /// Makes everything durable and gives the content its body.
    pub(super) async fn seal(
        mut self: Box<Self>,
        mut ingested: Ingested,
    ) -> Result<Ingested, ChunkError> {
        self.settle().await?;
        while let Some(leaf) = self.map.next_leaf(true) {
            self.store_leaf(leaf).await?;
        }
        let stretches = std::mem::take(&mut self.stretches);
        self.shared.appenders.sync(stretches).await?;
        let built = self.map.finish();
        ingested.only_chunk = built.only_chunk;
        let content = &mut ingested.content;
        content.size_bytes = built.size_bytes;
        content.chunks = built.chunks;
        content.body = Some(built.body);
        content.packs = built.packs;
        content.hooks = built.hooks;
        content.sources = built.sources;
        Ok(ingested)
    }

    /// Waits for the places of all pieces.
    pub(super) async fn settle(&mut self) -> Result<(), ChunkError> {
        while !self.waiting.is_empty() {
            self.settle_oldest().await?;
        }
        Ok(())
    }

    /// Returns whether the caller may know that the space holds the whole content already, unhurt.
    async fn is_held_already(
        &self,
        hash: &ContentId,
        request: &IngestRequest,
    ) -> Result<bool, ChunkError> {
        if let Some(replaced) = &request.replaced
            && replaced.hash == *hash
        {
            return Ok(!self.shared.damage.touches(replaced));
        }
        if self.scope != DedupScope::Space {
            return Ok(false);
        }
        let find = FindContent {
            space: request.space,
            hash: *hash,
        };
        let held = self.shared.metadata.read(find).await?;
        Ok(held.is_some_and(|held| !self.shared.damage.touches(&held)))
    }

    fn only_held(&self) -> Option<ChunkId> {
        match self.held.as_slice() {
            [Piece::Known(known)] => Some(known.chunk.id),
            [Piece::New(frame)] => Some(frame.id),
            _ => None,
        }
    }

    fn held_sums(&self) -> (u32, u64) {
        let lengths = self.held.iter().map(|piece| match piece {
            Piece::Known(known) => u64::from(known.chunk.plain_bytes),
            Piece::New(frame) => u64::from(frame.plain_bytes),
        });
        let chunks = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        (chunks, lengths.sum())
    }
}

/// Makes the chunks of a content findable; one that cannot be decoded helps nobody.
fn know(cutter: &mut Cutter, content: &Content) {
    let ContentBody::Map(bytes) = &content.body else {
        return;
    };
    match Map::decode(bytes) {
        Ok(Map::Leaf(chunks)) => cutter.known.add_chunks(content.id, &chunks),
        Ok(Map::Tree(leaves)) => cutter.known.add_leaves(content.id, leaves),
        Err(fault) => {
            tracing::error!(%fault, content = content.id.0, "a map cannot be decoded");
        }
    }
}

/// Decodes a leaf that was read from a pack.
pub(super) fn leaf_chunks(bytes: &[u8], leaf: &LeafRef) -> Result<Vec<ChunkRef>, ChunkError> {
    let chunks = decode_leaf(bytes)
        .map_err(|fault| ChunkError::Damaged(format!("leaf {}: {fault}", leaf.leaf_id)))?;
    let plain_bytes: u64 = chunks
        .iter()
        .map(|chunk| u64::from(chunk.plain_bytes))
        .sum();
    if chunks.len() as u64 != u64::from(leaf.chunks) || plain_bytes != leaf.plain_bytes {
        return Err(ChunkError::Damaged(format!(
            "leaf {} does not cover what its map says",
            leaf.leaf_id
        )));
    }
    Ok(chunks)
}
