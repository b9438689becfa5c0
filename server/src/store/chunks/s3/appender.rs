//! The appender of an S3 store: frames gather in memory and leave as whole objects.
//!
//! An object cannot be appended to, so a segment is one object. Frames get their places at
//! once. When somebody waits for durability, those that came meanwhile leave together in a
//! single PUT, sealed by that; while one object of an appender is on its way, the next one gathers: the
//! slower the store, the larger the groups. When nobody waits, parts leave by multipart
//! upload until the object is full or somebody does wait.
//!
//! # Always true
//!
//! * A job's frames lie in one object, in order, back to back.
//! * Memory: at most [`PARTS_MAX`] part of an appender is on its way, one object is being
//!   finished, and about one part gathers; budgets are given back when the store has the bytes.
//! * Who waits hears within half a minute that the store cannot be reached; the object is
//!   given up then, and the next one is begun with the next frame.
//! * An object whose fate is not known has a row that says "open"; the collector of any
//!   server finds out later ([`stale`](crate::store::chunks::stale)).

use std::sync::Arc;
use std::thread::JoinHandle as Thread;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use nuage_shared::frame::FRAME_OVERHEAD_BYTES;
use nuage_shared::frame::Footer;
use nuage_shared::frame::FooterEntry;
use nuage_shared::frame::PACK_HEADER_BYTES;
use nuage_shared::frame::PackHeader;
use nuage_shared::manifest::PackId;
use nuage_shared::manifest::Place;
use object_store::MultipartUpload;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::store::chunks::ChunkError;
use crate::store::chunks::appender::Job;
use crate::store::chunks::appender::NewFrame;
use crate::store::chunks::appender::Queue;
use crate::store::chunks::appender::Reply;
use crate::store::chunks::appender::SEGMENT_FRAMES;
use crate::store::chunks::appender::Stretch;
use crate::store::chunks::appender::Until;
use crate::store::chunks::appender::Written;
use crate::store::chunks::buffers::Buffers;
use crate::store::chunks::memory::Memory;
use crate::store::chunks::objects::Objects;
use crate::store::chunks::s3::rows::NewPack;
use crate::store::chunks::s3::rows::PackRows;
use crate::store::chunks::segment::AppendFault;
use crate::store::chunks::segment::Segment;
use crate::store::chunks::uploads::Uploads;
use crate::store::metadata::MetadataStore;

/// The least bytes of a part of a multipart upload, but for the last: as little as S3 takes.
const PART_BYTES: usize = 5 << 20;
/// Parts of one appender that are on their way.
const PARTS_MAX: usize = 1;
/// Bytes that may gather behind a part that is on its way before jobs have to wait: cutting is so
/// much faster than a network that the next part is there in a moment.
const BEHIND_BYTES_MAX: usize = 1 << 20;
/// How long an object waits for more after somebody wants it durable.
const LINGER: Duration = Duration::from_millis(1);
/// How often it is looked whether gathered frames keep others from memory.
const MEMORY_LOOK: Duration = Duration::from_millis(20);
/// An object that gathers for longer is finished, whoever waits.
const GATHERED_FOR: Duration = Duration::from_hours(1);
/// Frames are gathered in blocks of at most this length, unless one is longer.
const BLOCK_BYTES: usize = 1 << 20;
/// The length of the first block.
const FIRST_BLOCK_BYTES: usize = 64 << 10;

/// What the appenders of an S3 store stand on.
#[derive(Debug)]
pub(in crate::store::chunks) struct S3Ground {
    pub(in crate::store::chunks) runtime: Handle,
    pub(in crate::store::chunks) objects: Arc<Objects>,
    pub(in crate::store::chunks) metadata: Arc<MetadataStore>,
    pub(in crate::store::chunks) clock: Clock,
    pub(in crate::store::chunks) uploads: Arc<Uploads>,
    /// The budget that frames on their way are taken from.
    pub(in crate::store::chunks) frame_memory: Memory,
    /// What frames gather in.
    pub(in crate::store::chunks) buffers: Arc<Buffers>,
    /// The length from which an object is finished.
    pub(in crate::store::chunks) segment_bytes: u64,
}

impl S3Ground {
    /// Starts a thread for each queue, and one that notes what is sealed; they end in that order.
    pub(in crate::store::chunks) fn start(
        &self,
        queues: &[Arc<Queue>],
    ) -> Result<Vec<Thread<()>>, ChunkError> {
        let rows = Arc::new(PackRows::new(
            Arc::clone(&self.metadata),
            self.clock.clone(),
        ));
        let (sealed, to_note) = mpsc::unbounded_channel();
        let mut threads = Vec::new();
        for (index, queue) in queues.iter().enumerate() {
            let appender = S3Appender {
                index,
                queue: Arc::clone(queue),
                rows: Arc::clone(&rows),
                road: Road {
                    objects: Arc::clone(&self.objects),
                    uploads: Arc::clone(&self.uploads),
                    sealed: sealed.clone(),
                },
                frame_memory: self.frame_memory.clone(),
                buffers: Arc::clone(&self.buffers),
                segment_bytes: self.segment_bytes,
                slots: Arc::new(Semaphore::new(PARTS_MAX)),
                gathering: None,
                finishing: None,
                tasks: JoinSet::new(),
            };
            let runtime = self.runtime.clone();
            threads.push(start_thread(
                format!("nuage-s3-appender-{index}"),
                move || {
                    runtime.block_on(appender.run());
                },
            )?);
        }
        let runtime = self.runtime.clone();
        threads.push(start_thread("nuage-s3-rows".to_owned(), move || {
            runtime.block_on(async {
                rows.note_sealed(to_note).await;
                rows.give_back().await;
            });
        })?);
        Ok(threads)
    }
}

fn start_thread(
    name: String,
    body: impl FnOnce() + Send + 'static,
) -> Result<Thread<()>, ChunkError> {
    let started = std::thread::Builder::new().name(name).spawn(body);
    started.map_err(|error| ChunkError::Unavailable(error.to_string()))
}

/// Frames that have places and have not left.
#[derive(Debug)]
struct Gathering {
    new: NewPack,
    segment: Arc<Segment>,
    entries: Vec<FooterEntry>,
    /// Where the next frame begins in the object.
    end: u64,
    blocks: Vec<Vec<u8>>,
    buffers: Arc<Buffers>,
    gathered_bytes: usize,
    memory: Vec<OwnedSemaphorePermit>,
    begun: Instant,
    /// Since when somebody waits for durability.
    awaited: Option<Instant>,
    /// The way of parts, once one has left.
    parts: Option<mpsc::UnboundedSender<Part>>,
}

/// Bytes on their way, and what is given back when they have arrived.
#[derive(Debug)]
struct Part {
    bytes: Vec<Bytes>,
    _memory: Vec<OwnedSemaphorePermit>,
    _slot: Option<OwnedSemaphorePermit>,
    /// Where the object ends, if this is its last part.
    ends: Option<End>,
}

/// The end of an object.
#[derive(Debug, Clone, Copy)]
struct End {
    /// Where the last frame ends.
    frames_end: u64,
    size_bytes: u64,
}

impl Gathering {
    fn begin(new: NewPack, buffers: Arc<Buffers>) -> Self {
        let header = PackHeader {
            uuid: new.uuid,
            pack: new.pack,
            flags: 0,
        };
        let mut gathering = Self {
            new,
            segment: Arc::new(Segment::new(new.pack, None, 0)),
            entries: Vec::new(),
            end: PACK_HEADER_BYTES as u64,
            blocks: Vec::new(),
            buffers,
            gathered_bytes: 0,
            memory: Vec::new(),
            begun: Instant::now(),
            awaited: None,
            parts: None,
        };
        gathering.push(&header.encode());
        gathering
    }

    /// Copies bytes behind what has gathered; a slice would keep all of what it was cut from.
    fn push(&mut self, bytes: &[u8]) {
        let room = self
            .blocks
            .last()
            .map_or(0, |block| block.capacity() - block.len());
        if room < bytes.len() {
            let grown = self.gathered_bytes.clamp(FIRST_BLOCK_BYTES, BLOCK_BYTES);
            let block = self.buffers.take(grown.max(bytes.len()));
            self.blocks.push(block);
        }
        if let Some(block) = self.blocks.last_mut() {
            block.extend_from_slice(bytes);
        }
        self.gathered_bytes += bytes.len();
    }

    /// Gives frames their places.
    fn add(&mut self, frames: Vec<NewFrame>) -> Vec<Place> {
        let mut places = Vec::with_capacity(frames.len());
        for frame in frames {
            let (header, crc) = frame.envelope(self.entries.len());
            let stored_bytes = u32::try_from(frame.payload.len()).unwrap_or(u32::MAX);
            let place = Place {
                pack: self.new.pack,
                offset: self.end,
                stored_bytes,
            };
            self.push(&header);
            self.push(&frame.payload);
            self.push(&crc);
            self.end += FRAME_OVERHEAD_BYTES as u64 + u64::from(stored_bytes);
            self.entries.push(FooterEntry {
                id: frame.id,
                offset: place.offset,
                stored_bytes,
                plain_bytes: frame.plain_bytes,
            });
            places.push(place);
        }
        places
    }

    fn is_full(&self, segment_bytes: u64) -> bool {
        self.end >= segment_bytes || self.entries.len() >= SEGMENT_FRAMES
    }

    /// Takes what has gathered.
    fn take_part(&mut self, slot: Option<OwnedSemaphorePermit>, ends: Option<End>) -> Part {
        self.gathered_bytes = 0;
        let blocks = std::mem::take(&mut self.blocks);
        Part {
            bytes: blocks
                .into_iter()
                .map(|block| self.buffers.share(block))
                .collect(),
            _memory: std::mem::take(&mut self.memory),
            _slot: slot,
            ends,
        }
    }

    /// Appends the footer and takes the rest.
    fn take_last_part(&mut self) -> Part {
        let entries = std::mem::take(&mut self.entries);
        let footer = Footer { entries }.encode();
        let end = End {
            frames_end: self.end,
            size_bytes: self.end + footer.len() as u64,
        };
        self.push(&footer);
        self.take_part(None, Some(end))
    }
}

/// One appender.
struct S3Appender {
    index: usize,
    queue: Arc<Queue>,
    rows: Arc<PackRows>,
    road: Road,
    frame_memory: Memory,
    buffers: Arc<Buffers>,
    segment_bytes: u64,
    /// One for each part that may be on its way.
    slots: Arc<Semaphore>,
    gathering: Option<Gathering>,
    /// The object whose last part is on its way.
    finishing: Option<Arc<Segment>>,
    tasks: JoinSet<()>,
}

impl S3Appender {
    async fn run(mut self) {
        loop {
            self.take_jobs().await;
            self.give_up_failed();
            while self.has_part()
                && let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned()
            {
                self.send_part(slot);
            }
            if self.must_finish() {
                self.finish();
                continue;
            }
            let is_empty = |gathering: &Gathering| gathering.entries.is_empty();
            if self.queue.is_done() && self.gathering.as_ref().is_none_or(is_empty) {
                while self.tasks.join_next().await.is_some() {}
                return;
            }
            let slots = Arc::clone(&self.slots);
            let wants_slot = self.has_part();
            let look = self.next_look();
            let has_room = self.has_room();
            tokio::select! {
                () = self.queue.changed(), if has_room => {}
                Some(_) = self.tasks.join_next() => {}
                slot = slots.acquire_owned(), if wants_slot => {
                    if let Ok(slot) = slot {
                        self.send_part(slot);
                    }
                }
                () = sleep_until(look), if look.is_some() => {}
            }
        }
    }

    /// Returns whether further jobs may be taken.
    fn has_room(&self) -> bool {
        let gathered_max = if self.slots.available_permits() > 0 {
            PART_BYTES
        } else {
            BEHIND_BYTES_MAX
        };
        self.gathering.as_ref().is_none_or(|gathering| {
            gathering.gathered_bytes < gathered_max && !gathering.is_full(self.segment_bytes)
        })
    }

    fn has_part(&self) -> bool {
        let gathering = self.gathering.as_ref();
        gathering.is_some_and(|gathering| gathering.gathered_bytes >= PART_BYTES)
    }

    async fn take_jobs(&mut self) {
        while self.has_room()
            && let Some(job) = self.queue.next()
        {
            let load = job.bytes() + 1;
            match job {
                Job::Append {
                    frames,
                    until,
                    memory,
                    reply,
                } => self.append(frames, until, memory, reply).await,
                Job::Sync { stretch, reply } => self.await_durable(Vec::new(), stretch, reply),
            }
            self.queue.note_done(load);
        }
    }

    async fn append(
        &mut self,
        frames: Vec<NewFrame>,
        until: Until,
        memory: Option<OwnedSemaphorePermit>,
        reply: Reply,
    ) {
        let gathering = match &mut self.gathering {
            Some(gathering) => gathering,
            None => match self.rows.take().await {
                Ok(new) => self
                    .gathering
                    .insert(Gathering::begin(new, Arc::clone(&self.buffers))),
                Err(fault) => return drop(reply.send(Err(fault))),
            },
        };
        let places = gathering.add(frames);
        gathering.memory.extend(memory);
        let stretch = Stretch {
            segment: Arc::clone(&gathering.segment),
            end: gathering.end,
            appender: self.index,
        };
        match until {
            Until::Written => drop(reply.send(Ok(Written { places, stretch }))),
            Until::Durable => self.await_durable(places, stretch, reply),
        }
    }

    /// Answers when the object is there, and hurries it.
    fn await_durable(&mut self, places: Vec<Place>, stretch: Stretch, reply: Reply) {
        if let Some(gathering) = &mut self.gathering
            && Arc::ptr_eq(&gathering.segment, &stretch.segment)
        {
            gathering.awaited.get_or_insert_with(Instant::now);
        }
        drop(tokio::spawn(async move {
            let settled = stretch.segment.settle(stretch.end).await;
            drop(reply.send(settled.map(|()| Written { places, stretch })));
        }));
    }

    /// Forgets an object of which a part could not be sent; who waits for it has heard.
    fn give_up_failed(&mut self) {
        let failed = |gathering: &Gathering| gathering.segment.fault().is_some();
        if self.gathering.as_ref().is_some_and(failed) {
            self.gathering = None;
        }
    }

    fn is_finishing(&self) -> bool {
        self.finishing
            .as_ref()
            .is_some_and(|segment| segment.durable_bytes() == 0 && segment.fault().is_none())
    }

    /// Returns whether what has gathered must become an object now.
    fn must_finish(&self) -> bool {
        let Some(gathering) = &self.gathering else {
            return false;
        };
        if gathering.entries.is_empty() || self.is_finishing() {
            return false;
        }
        gathering.is_full(self.segment_bytes)
            || gathering
                .awaited
                .is_some_and(|since| since.elapsed() >= LINGER)
            || self.keeps_others_waiting(gathering)
            || self.queue.is_done()
            || gathering.begun.elapsed() >= GATHERED_FOR
    }

    /// Returns whether others lack the memory that this gathering holds, and nothing else gives it back.
    fn keeps_others_waiting(&self, gathering: &Gathering) -> bool {
        self.frame_memory.is_wanted()
            && gathering.gathered_bytes < PART_BYTES
            && self.slots.available_permits() == PARTS_MAX
    }

    /// Returns when time alone may change what is to be done.
    fn next_look(&self) -> Option<Instant> {
        let gathering = self.gathering.as_ref()?;
        // Then the end of that object is the next event.
        if self.is_finishing() {
            return None;
        }
        let now = Instant::now();
        let lingered = gathering.awaited.map(|since| since + LINGER);
        Some(lingered.unwrap_or(now + MEMORY_LOOK))
    }

    /// Sends what has gathered as a part of an object that goes on.
    fn send_part(&mut self, slot: OwnedSemaphorePermit) {
        let Some(gathering) = &mut self.gathering else {
            return;
        };
        let part = gathering.take_part(Some(slot), None);
        let parts = if let Some(parts) = &gathering.parts {
            parts.clone()
        } else {
            let (parts, arriving) = mpsc::unbounded_channel();
            let (new, segment) = (gathering.new, Arc::clone(&gathering.segment));
            let road = self.road.clone();
            self.tasks.spawn(road.carry(new, segment, arriving));
            gathering.parts.insert(parts).clone()
        };
        // A carrier that is gone has noted why.
        drop(parts.send(part));
    }

    /// Sends the rest: the object is whole with that.
    fn finish(&mut self) {
        let Some(mut gathering) = self.gathering.take() else {
            return;
        };
        let last = gathering.take_last_part();
        let segment = gathering.segment;
        self.finishing = Some(Arc::clone(&segment));
        if let Some(parts) = gathering.parts {
            // A carrier that is gone has noted why.
            drop(parts.send(last));
        } else {
            let road = self.road.clone();
            self.tasks
                .spawn(road.send_whole(gathering.new, segment, last));
        }
    }
}

async fn sleep_until(moment: Option<Instant>) {
    if let Some(moment) = moment {
        tokio::time::sleep_until(moment.into()).await;
    }
}

/// The way of objects to the store.
#[derive(Debug, Clone)]
struct Road {
    objects: Arc<Objects>,
    uploads: Arc<Uploads>,
    sealed: mpsc::UnboundedSender<(PackId, u64)>,
}

impl Road {
    /// Sends a whole object.
    async fn send_whole(self, new: NewPack, segment: Arc<Segment>, part: Part) {
        let sent = self.objects.create(&new.uuid, &part.bytes).await;
        self.settle(&segment, sent, part.ends);
    }

    /// Sends an object in parts as they come.
    async fn carry(
        self,
        new: NewPack,
        segment: Arc<Segment>,
        mut parts: mpsc::UnboundedReceiver<Part>,
    ) {
        let begun = self.objects.begin_parts(&new.uuid).await;
        let mut upload = match begun {
            Ok(upload) => upload,
            Err(fault) => return self.settle(&segment, Err(fault), None),
        };
        let carried = self.carry_parts(&new, upload.as_mut(), &mut parts).await;
        if carried.is_err()
            && let Err(error) = upload.abort().await
        {
            let pack = new.pack.0;
            tracing::warn!(%error, pack, "the parts of an object that failed stay in the store");
        }
        let (sent, ends) = match carried {
            Ok(end) => (Ok(()), Some(end)),
            Err(fault) => (Err(fault), None),
        };
        self.settle(&segment, sent, ends);
    }

    async fn carry_parts(
        &self,
        new: &NewPack,
        upload: &mut dyn MultipartUpload,
        parts: &mut mpsc::UnboundedReceiver<Part>,
    ) -> Result<End, AppendFault> {
        let mut under_way = JoinSet::new();
        let arrived = |part: Result<object_store::Result<()>, _>| match part {
            Ok(sent) => sent.map_err(|error| self.objects.append_fault(&error)),
            Err(_panic) => Err(AppendFault::Closed),
        };
        loop {
            let part = tokio::select! {
                // A part that failed ends the object at once.
                Some(sent) = under_way.join_next() => {
                    arrived(sent)?;
                    continue;
                }
                part = parts.recv() => part.ok_or(AppendFault::Closed)?,
            };
            let sending = upload.put_part(part.bytes.iter().cloned().collect());
            let ends = part.ends;
            let tail: Vec<Bytes> = part.bytes.last().cloned().into_iter().collect();
            under_way.spawn(async move {
                let sent = sending.await;
                drop(part);
                sent
            });
            let Some(end) = ends else {
                continue;
            };
            while let Some(sent) = under_way.join_next().await {
                arrived(sent)?;
            }
            if let Err(error) = upload.complete().await {
                let is_there = self.objects.holds(&new.uuid, &tail, end.size_bytes).await;
                if !is_there {
                    return Err(self.objects.append_fault(&error));
                }
            }
            return Ok(end);
        }
    }

    /// Tells everybody what became of an object.
    fn settle(&self, segment: &Segment, sent: Result<(), AppendFault>, ends: Option<End>) {
        self.uploads.note_sealed(segment.pack);
        match (sent, ends) {
            (Ok(()), Some(end)) => {
                segment.note_durable(end.frames_end);
                // Nobody listens any more: the collector finds it.
                self.sealed.send((segment.pack, end.size_bytes)).ok();
            }
            (Err(fault), _) => {
                let pack = segment.pack.0;
                tracing::error!(?fault, pack, "an object could not be stored");
                segment.note_failed(fault);
            }
            (Ok(()), None) => segment.note_failed(AppendFault::Closed),
        }
    }
}
