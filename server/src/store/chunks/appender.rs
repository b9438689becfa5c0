//! The appenders: one thread for each open segment, one `fdatasync` for all that arrived meanwhile.
//!
//! This is the door for every home of packs, and what stands behind it where they are files; for
//! objects see [`s3::appender`](super::s3::appender).
//!
//! A job brings frames and learns their places, either as soon as they are
//! written or once they are durable. A thread takes every job that waits (up to
//! [`BATCH_BYTES`]), writes their frames back to back, syncs once if anybody
//! wants that, and answers. Who comes during a sync waits for the next: the
//! slower the disk, the larger the groups.
//!
//! # Always true
//!
//! * A job's frames lie in one segment, in order, back to back.
//! * Nobody hears "durable" before the sync that covers his last byte returned.
//! * A segment whose write or sync failed is retired: those who wait fail, it is
//!   cut back to what was synced, and never written or synced again, because the
//!   kernel has dropped the dirty pages and a second sync would lie.
//! * Before a segment is left for the next one everything in it is durable.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;

use bytes::Bytes;
use nuage_shared::chunk_id::ChunkId;
use nuage_shared::frame::FRAME_HEADER_BYTES;
use nuage_shared::frame::FRAME_OVERHEAD_BYTES;
use nuage_shared::frame::FooterEntry;
use nuage_shared::frame::FrameHeader;
use nuage_shared::frame::encode_frame_header;
use nuage_shared::frame::frame_crc;
use nuage_shared::manifest::Place;
use tokio::sync::Notify;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::oneshot;

use crate::store::chunks::ChunkError;
use crate::store::chunks::s3::appender::S3Ground;
use crate::store::chunks::segment::AppendFault;
use crate::store::chunks::segment::OpenSegment;
use crate::store::chunks::segment::Segment;
use crate::store::chunks::segment::Segments;

/// Segments that are open at once.
const APPENDERS: usize = 2;
/// Frames from which a segment is sealed, so that footers and collection stay small.
pub(super) const SEGMENT_FRAMES: usize = 1 << 16;
/// Frames of one upload that may wait for a disk, in bytes.
const WAITING_BYTES_MAX: usize = 3 << 20;
/// Frames of one upload that may wait for an S3 store, in bytes.
const WAITING_BYTES_MAX_ON_S3: usize = 1 << 20;
/// Bytes of one upload that go to one segment's thread in a row.
const STRIPE_BYTES: usize = 8 << 20;
/// Bytes that one write takes together.
const BATCH_BYTES: usize = 4 << 20;
/// Bytes that may be written before somebody has to wait for their sync.
const UNSYNCED_BYTES_MAX: u64 = 8 << 20;

/// A chunk on its way into a pack.
#[derive(Debug)]
pub(super) struct NewFrame {
    pub(super) id: ChunkId,
    pub(super) plain_bytes: u32,
    /// As it will be stored: compressed if it is shorter than the chunk.
    pub(super) payload: Bytes,
}

impl NewFrame {
    /// Returns what stands before and behind the payload in a pack.
    pub(super) fn envelope(&self, ordinal: usize) -> ([u8; FRAME_HEADER_BYTES], [u8; 4]) {
        let header = encode_frame_header(&FrameHeader {
            ordinal: u32::try_from(ordinal).unwrap_or(u32::MAX),
            key_number: 0,
            stored_bytes: u32::try_from(self.payload.len()).unwrap_or(u32::MAX),
            plain_bytes: self.plain_bytes,
            id: self.id,
        });
        let crc = frame_crc(&header, &self.payload).to_le_bytes();
        (header, crc)
    }
}

/// What a job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Its frames have places.
    Written,
    /// Its frames survive a power cut.
    Durable,
}

/// Where a job's frames are.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) places: Vec<Place>,
    pub(super) stretch: Stretch,
}

/// The bytes of a segment up to an end, which somebody wants to be durable.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    pub(super) segment: Arc<Segment>,
    pub(super) end: u64,
    pub(super) appender: usize,
}

pub(super) type Reply = oneshot::Sender<Result<Written, AppendFault>>;

/// What waits in front of an appender.
#[derive(Debug)]
pub(super) enum Job {
    Append {
        frames: Vec<NewFrame>,
        until: Until,
        /// Memory of the upload budget, given back once the frames are written.
        memory: Option<OwnedSemaphorePermit>,
        reply: Reply,
    },
    Sync {
        stretch: Stretch,
        reply: Reply,
    },
}

impl Job {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Append { frames, .. } => frames
                .iter()
                .map(|frame| frame.payload.len() + FRAME_OVERHEAD_BYTES)
                .sum(),
            Self::Sync { .. } => 0,
        }
    }
}

/// The door to the appending threads.
#[derive(Debug)]
pub(super) struct Appenders {
    queues: Vec<Arc<Queue>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    turn: AtomicUsize,
    /// Bytes after which an upload turns to the appender with the least to do.
    pub(super) stripe_bytes: usize,
    /// Frames of one upload that may wait for their places, in bytes.
    pub(super) waiting_bytes_max: usize,
}

impl Appenders {
    /// Starts the threads; segments are made when they are needed.
    pub(super) fn start(segments: &Arc<Segments>) -> std::io::Result<Self> {
        let mut queues = Vec::new();
        let mut threads = Vec::new();
        for index in 0..APPENDERS {
            let queue = Arc::new(Queue::default());
            let (chores, todo) = mpsc::channel();
            let (spares, spare) = mpsc::channel();
            let helper = Arc::clone(segments);
            threads.push(
                std::thread::Builder::new()
                    .name(format!("nuage-segments-{index}"))
                    .spawn(move || help(&helper, &todo, &spares))?,
            );
            let appender = Appender {
                index,
                segments: Arc::clone(segments),
                queue: Arc::clone(&queue),
                current: None,
                chores,
                spare,
                is_spare_coming: false,
            };
            threads.push(
                std::thread::Builder::new()
                    .name(format!("nuage-appender-{index}"))
                    .spawn(move || appender.run())?,
            );
            queues.push(queue);
        }
        Ok(Self {
            queues,
            threads: Mutex::new(threads),
            turn: AtomicUsize::new(0),
            stripe_bytes: STRIPE_BYTES,
            waiting_bytes_max: WAITING_BYTES_MAX,
        })
    }

    /// Starts a thread for each appender of an S3 store, and one for what they leave behind.
    pub(super) fn start_on_s3(ground: &S3Ground) -> Result<Self, ChunkError> {
        let queues: Vec<Arc<Queue>> = (0..APPENDERS).map(|_| Arc::default()).collect();
        Ok(Self {
            threads: Mutex::new(ground.start(&queues)?),
            queues,
            turn: AtomicUsize::new(0),
            // Each would hold parts of it in memory.
            stripe_bytes: usize::MAX,
            // Places are given at once there; what waits, waits for the network.
            waiting_bytes_max: WAITING_BYTES_MAX_ON_S3,
        })
    }

    /// Returns the appender with the least to do.
    pub(super) fn idlest(&self) -> usize {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let indices = (0..self.queues.len()).map(|step| (turn + step) % self.queues.len().max(1));
        indices
            .min_by_key(|index| self.queues.get(*index).map_or(0, |queue| queue.load()))
            .unwrap_or(0)
    }

    /// Queues frames at once; the future waits for their places.
    pub(super) fn append(
        &self,
        appender: usize,
        frames: Vec<NewFrame>,
        until: Until,
        memory: Option<OwnedSemaphorePermit>,
    ) -> PendingAppend {
        let (reply, answer) = oneshot::channel();
        self.push(
            appender,
            Job::Append {
                frames,
                until,
                memory,
                reply,
            },
        );
        PendingAppend(answer)
    }

    /// Waits until stretches of segments are durable.
    pub(super) async fn sync(&self, stretches: Vec<Stretch>) -> Result<(), ChunkError> {
        let mut pending = Vec::new();
        for stretch in stretches {
            if stretch.segment.is_durable(stretch.end) {
                continue;
            }
            let (reply, answer) = oneshot::channel();
            self.push(stretch.appender, Job::Sync { stretch, reply });
            pending.push(PendingAppend(answer));
        }
        for answer in pending {
            answer.wait().await?;
        }
        Ok(())
    }

    fn push(&self, appender: usize, job: Job) {
        if let Some(queue) = self.queues.get(appender) {
            queue.push(job);
        }
    }

    /// Writes what is queued, seals the segments and ends the threads. Blocks.
    pub(super) fn close(&self) {
        for queue in &self.queues {
            queue.close();
        }
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// Frames that are queued.
#[derive(Debug)]
pub(super) struct PendingAppend(oneshot::Receiver<Result<Written, AppendFault>>);

impl PendingAppend {
    pub(super) async fn wait(self) -> Result<Written, ChunkError> {
        match self.0.await {
            Ok(Ok(written)) => Ok(written),
            Ok(Err(fault)) => Err(fault.into()),
            // The job was dropped unwritten: the store is closing.
            Err(_) => Err(ChunkError::Closed),
        }
    }
}

/// Jobs in front of an appender.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    /// Wakes an appender that blocks.
    wake: Condvar,
    /// Wakes an appender that is a future.
    bell: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    jobs: VecDeque<Job>,
    /// Bytes that are queued or being written.
    load_bytes: usize,
    is_closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) {
        let mut state = self.lock();
        if state.is_closed {
            return;
        }
        state.load_bytes += job.bytes() + 1;
        state.jobs.push_back(job);
        drop(state);
        self.wake.notify_one();
        self.bell.notify_one();
    }

    fn load(&self) -> usize {
        self.lock().load_bytes
    }

    /// Notes that jobs of that load (each has one byte more than its frames) are done.
    pub(super) fn note_done(&self, bytes: usize) {
        let mut state = self.lock();
        state.load_bytes = state.load_bytes.saturating_sub(bytes);
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.wake.notify_one();
        self.bell.notify_one();
    }

    /// Returns the next job, if there is one; its load stays until [`Self::note_done`].
    pub(super) fn next(&self) -> Option<Job> {
        self.lock().jobs.pop_front()
    }

    /// Returns whether nothing further will be queued, and nothing is.
    pub(super) fn is_done(&self) -> bool {
        let state = self.lock();
        state.is_closed && state.jobs.is_empty()
    }

    /// Waits until something was queued, or the queue was closed, since this was last called.
    pub(super) async fn changed(&self) {
        self.bell.notified().await;
    }

    /// Waits for jobs and returns them with their load; `None` when the queue is closed and empty.
    fn next_batch(&self) -> Option<(Vec<Job>, usize)> {
        let mut state = self.lock();
        while state.jobs.is_empty() {
            if state.is_closed {
                return None;
            }
            state = self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH_BYTES
            && let Some(job) = state.jobs.pop_front()
        {
            bytes += job.bytes() + 1;
            batch.push(job);
        }
        Some((batch, bytes))
    }
}

/// What an appender leaves to its helper, so that no upload waits for it.
enum Chore {
    Prepare,
    Seal(OpenSegment),
}

/// Makes segments ahead and seals full ones.
fn help(
    segments: &Segments,
    todo: &mpsc::Receiver<Chore>,
    spares: &mpsc::Sender<Result<OpenSegment, AppendFault>>,
) {
    while let Ok(chore) = todo.recv() {
        match chore {
            Chore::Seal(segment) => segments.seal(segment),
            Chore::Prepare => {
                if let Err(mpsc::SendError(Ok(unused))) = spares.send(segments.create()) {
                    segments.seal(unused);
                }
            }
        }
    }
}

struct Appender {
    index: usize,
    segments: Arc<Segments>,
    queue: Arc<Queue>,
    current: Option<OpenSegment>,
    chores: mpsc::Sender<Chore>,
    spare: mpsc::Receiver<Result<OpenSegment, AppendFault>>,
    is_spare_coming: bool,
}

/// Jobs that were written and are not answered yet.
struct Answer {
    written: Written,
    reply: Reply,
}

impl Appender {
    fn run(mut self) {
        while let Some((batch, bytes)) = self.queue.next_batch() {
            self.run_batch(batch);
            self.queue.note_done(bytes);
        }
        let spare = if self.is_spare_coming {
            self.spare.recv().ok().and_then(Result::ok)
        } else {
            None
        };
        self.sync_current();
        for segment in self.current.take().into_iter().chain(spare) {
            if segment.shared.fault().is_none() {
                self.segments.seal(segment);
            }
        }
    }

    fn run_batch(&mut self, batch: Vec<Job>) {
        let mut durable = Vec::new();
        let mut waiting = VecDeque::from(batch);
        while !waiting.is_empty() {
            if let Err(fault) = self.ensure_segment(&mut durable) {
                for job in waiting.drain(..) {
                    let (Job::Append { reply, .. } | Job::Sync { reply, .. }) = job;
                    drop(reply.send(Err(fault.clone())));
                }
                break;
            }
            self.write_some(&mut waiting, &mut durable);
        }
        let unsynced = self.current.as_ref().map_or(0, |segment| {
            segment.end - segment.shared.durable_bytes().min(segment.end)
        });
        if !durable.is_empty() || unsynced >= UNSYNCED_BYTES_MAX {
            self.sync_and_answer(&mut durable);
        }
    }

    /// Makes sure that there is a segment with room.
    fn ensure_segment(&mut self, durable: &mut Vec<Answer>) -> Result<(), AppendFault> {
        if let Some(segment) = &self.current {
            let is_full = segment.end >= self.segments.segment_bytes
                || segment.entries.len() >= SEGMENT_FRAMES;
            if !is_full {
                return Ok(());
            }
            self.sync_and_answer(durable);
            if let Some(full) = self.current.take() {
                drop(self.chores.send(Chore::Seal(full)));
            }
        }
        let made = if self.is_spare_coming {
            self.is_spare_coming = false;
            self.spare.recv().unwrap_or(Err(AppendFault::Closed))
        } else {
            self.segments.create()
        };
        self.current = Some(made?);
        Ok(())
    }

    /// Writes jobs from the front as far as the segment has room.
    fn write_some(&mut self, waiting: &mut VecDeque<Job>, durable: &mut Vec<Answer>) {
        let index = self.index;
        let segment_bytes = self.segments.segment_bytes;
        let Some(segment) = self.current.as_mut() else {
            return;
        };
        let mut group = Group::default();
        let mut syncs = Vec::new();
        while segment.end + group.bytes < segment_bytes
            && segment.entries.len() + group.entries.len() < SEGMENT_FRAMES
            && let Some(job) = waiting.pop_front()
        {
            match job {
                Job::Append {
                    frames,
                    until,
                    memory,
                    reply,
                } => {
                    let places = group.add(segment, frames);
                    group.jobs.push((places, until, reply));
                    group.memory.extend(memory);
                }
                Job::Sync { stretch, reply } => syncs.push((stretch, reply)),
            }
        }
        let written = group.write(segment);
        let end = segment.end;
        let shared = Arc::clone(&segment.shared);
        for (places, until, reply) in group.jobs {
            let written = match &written {
                Ok(()) => Written {
                    places,
                    stretch: Stretch {
                        segment: Arc::clone(&shared),
                        end,
                        appender: index,
                    },
                },
                Err(fault) => {
                    drop(reply.send(Err(fault.clone())));
                    continue;
                }
            };
            match until {
                Until::Written => drop(reply.send(Ok(written))),
                Until::Durable => durable.push(Answer { written, reply }),
            }
        }
        for (stretch, reply) in syncs {
            let places = Vec::new();
            durable.push(Answer {
                written: Written { places, stretch },
                reply,
            });
        }
        if let Err(fault) = written {
            self.retire(fault);
        }
    }

    /// Syncs and answers those who wait for it.
    fn sync_and_answer(&mut self, durable: &mut Vec<Answer>) {
        self.sync_current();
        for Answer { written, reply } in durable.drain(..) {
            let Stretch { segment, end, .. } = &written.stretch;
            let answer = if segment.is_durable(*end) {
                Ok(written)
            } else {
                Err(segment.fault().cloned().unwrap_or(AppendFault::Closed))
            };
            drop(reply.send(answer));
        }
        let is_half_full = self
            .current
            .as_ref()
            .is_some_and(|segment| segment.end > self.segments.segment_bytes / 2);
        if is_half_full && !self.is_spare_coming {
            self.is_spare_coming = self.chores.send(Chore::Prepare).is_ok();
        }
    }

    /// Makes the present segment durable, or retires it.
    fn sync_current(&mut self) {
        let Some(segment) = self.current.as_mut() else {
            return;
        };
        if segment.shared.is_durable(segment.end) {
            return;
        }
        match segment.file.sync() {
            Ok(()) => segment.shared.note_durable(segment.end),
            Err(error) => {
                let fault = AppendFault::from_io(segment.path(), &error);
                self.retire(fault);
            }
        }
    }

    /// Leaves a segment behind whose disk failed.
    fn retire(&mut self, fault: AppendFault) {
        let Some(mut segment) = self.current.take() else {
            return;
        };
        let pack = segment.shared.pack.0;
        tracing::error!(?fault, pack, "a segment is retired after a failed write");
        segment.shared.note_failed(fault);
        if let Err(error) = segment.file.cut(segment.shared.durable_bytes()) {
            tracing::warn!(%error, pack, "a retired segment could not be cut");
        }
    }
}

/// Frames of several jobs on their way into one write.
#[derive(Default)]
struct Group {
    jobs: Vec<(Vec<Place>, Until, Reply)>,
    memory: Vec<OwnedSemaphorePermit>,
    frames: Vec<FrameParts>,
    entries: Vec<FooterEntry>,
    bytes: u64,
}

struct FrameParts {
    header: [u8; FRAME_HEADER_BYTES],
    payload: Bytes,
    crc: [u8; 4],
}

impl Group {
    /// Gives a job's frames their places behind what the group holds.
    fn add(&mut self, segment: &OpenSegment, frames: Vec<NewFrame>) -> Vec<Place> {
        let mut places = Vec::with_capacity(frames.len());
        for frame in frames {
            let stored_bytes = u32::try_from(frame.payload.len()).unwrap_or(u32::MAX);
            let ordinal = segment.entries.len() + self.entries.len();
            let place = Place {
                pack: segment.shared.pack,
                offset: segment.end + self.bytes,
                stored_bytes,
            };
            let (header, crc) = frame.envelope(ordinal);
            self.bytes += FRAME_OVERHEAD_BYTES as u64 + u64::from(stored_bytes);
            self.entries.push(FooterEntry {
                id: frame.id,
                offset: place.offset,
                stored_bytes,
                plain_bytes: frame.plain_bytes,
            });
            self.frames.push(FrameParts {
                header,
                payload: frame.payload,
                crc,
            });
            places.push(place);
        }
        places
    }

    /// Writes everything behind the segment's end.
    fn write(&mut self, segment: &mut OpenSegment) -> Result<(), AppendFault> {
        let frames = std::mem::take(&mut self.frames);
        let mut pieces: Vec<IoSlice<'_>> = frames
            .iter()
            .flat_map(|frame| [&frame.header[..], &frame.payload, &frame.crc])
            .map(IoSlice::new)
            .collect();
        let written = segment.file.append(&mut pieces);
        drop(pieces);
        drop(frames);
        self.memory.clear();
        match written {
            Ok(()) => {
                segment.end += self.bytes;
                segment.entries.append(&mut self.entries);
                Ok(())
            }
            Err(error) => Err(AppendFault::from_io(segment.path(), &error)),
        }
    }
}
