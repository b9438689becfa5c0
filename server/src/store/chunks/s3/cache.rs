//! The read cache of an S3 store on this server's disk: blocks of packs, bounded, verified.
//!
//! A pack never changes, so a block of it never has to be thrown away for being old. Each block is a
//! file with a check sum, written beside its name and renamed, never synced: after a
//! power cut a torn one is noticed when it is read, dropped and fetched again. A range that is
//! missing is fetched in whole blocks, several at once where they adjoin, and further ones
//! where a reader goes through a pack from front to back. Who misses a block that
//! another is fetching waits for that one.
//!
//! # Always true
//!
//! * The files together, with those that are being written, stay within the bound, but for those
//!   that are being deleted (each is counted in whole pages of the file system).
//! * Nothing fails because of the cache: without room on the disk there is just none.
//! * Files are touched on threads that may block, never on those that serve.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use bytes::BytesMut;
use object_store::ObjectStore;
use object_store::ObjectStoreExt;
use object_store::path::Path as Key;
use rustix::fs::FlockOperation;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::watch;

/// The length of a block; a pack's last one may be shorter.
const BLOCK_BYTES: u64 = 256 << 10;
/// Blocks that one request fetches at most.
const BLOCKS_MAX: u64 = 8;
/// What the file system counts in.
const PAGE_BYTES: u64 = 4 << 10;
/// "Nuage block cache", version 1.
const MARK: [u8; 4] = *b"NBC1";
/// Mark, crc32c of the rest, name of the pack, number of the block, length.
const HEADER_BYTES: usize = 4 + 4 + 16 + 4 + 4;
/// Blocks that may wait for the disk; more are not kept.
const WRITES_MAX: usize = 16;
/// How long nothing is written after the disk refused.
const DISK_REST: Duration = Duration::from_mins(1);
/// Packs of which is remembered how far a reader came.
const TRAILS_MAX: usize = 1_024;

/// A block: its pack, and where in it, in blocks.
type BlockName = ([u8; 16], u32);

/// What became of a fetch.
type Fetched = Result<Bytes, Arc<object_store::Error>>;

/// The cache.
#[derive(Debug, Clone)]
pub(in crate::store::chunks) struct BlockCache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn ObjectStore>,
    /// Where fetches run: whoever waits for one may go, and it goes on for the others.
    runtime: Handle,
    folder: PathBuf,
    /// How the files end that this process is writing.
    draft: String,
    bytes_max: u64,
    state: Mutex<State>,
    writes: Arc<Semaphore>,
    /// Locked: two processes in one folder would delete each other's files.
    _owner: fs::File,
}

#[derive(Debug, Default)]
struct State {
    blocks: HashMap<BlockName, Held>,
    /// Blocks by their last use.
    by_use: BTreeMap<i64, BlockName>,
    used_bytes: u64,
    /// The next use; blocks that were there at the start count down from -1.
    next_use: i64,
    next_old_use: i64,
    under_way: HashMap<BlockName, watch::Receiver<Option<Fetched>>>,
    trails: HashMap<[u8; 16], Trail>,
    refused: Option<Instant>,
    #[cfg(test)]
    fetches: u64,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    file_bytes: u64,
    used_at: i64,
}

/// How far a reader came in a pack.
#[derive(Debug, Clone, Copy)]
struct Trail {
    next: u32,
    blocks: u64,
}

/// Where a block of an answer comes from.
enum Source {
    Disk,
    Way(watch::Receiver<Option<Fetched>>),
}

impl BlockCache {
    /// Opens a folder; what it holds becomes known in the background. Blocks for a moment.
    ///
    /// Fails when another process uses the folder.
    pub(in crate::store::chunks) fn open(
        folder: &Path,
        bytes_max: u64,
        store: Arc<dyn ObjectStore>,
        runtime: &Handle,
    ) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let owner = fs::File::create(folder.join(".owner"))?;
        rustix::fs::flock(&owner, FlockOperation::NonBlockingLockExclusive)?;
        let inner = Arc::new(Inner {
            _owner: owner,
            store,
            runtime: runtime.clone(),
            folder: folder.to_owned(),
            draft: format!("{:016x}", rand::random::<u64>()),
            bytes_max,
            state: Mutex::default(),
            writes: Arc::new(Semaphore::new(WRITES_MAX)),
        });
        let finder = Arc::clone(&inner);
        drop(runtime.spawn_blocking(move || {
            if let Err(error) = finder.find_blocks() {
                tracing::warn!(%error, "the read cache could not be looked through");
            }
        }));
        Ok(Self(inner))
    }

    /// Reads a range of a pack, which may end behind the pack's end.
    pub(in crate::store::chunks) async fn read(
        &self,
        uuid: [u8; 16],
        key: &Key,
        range: Range<u64>,
    ) -> Fetched {
        let numbers = blocks_of(&range);
        let mut found: BTreeMap<u32, Bytes> = BTreeMap::new();
        // A second time, for blocks that proved to be damaged or were deleted meanwhile.
        for _ in 0..2 {
            let missing = numbers.clone().filter(|number| !found.contains_key(number));
            let sources = self.0.locate(uuid, key, missing.collect());
            let mut on_disk = Vec::new();
            let mut on_the_way = Vec::new();
            for (number, source) in sources {
                match source {
                    Source::Disk => on_disk.push(number),
                    Source::Way(way) => on_the_way.push((number, way)),
                }
            }
            if !on_disk.is_empty() {
                let inner = Arc::clone(&self.0);
                let read = tokio::task::spawn_blocking(move || inner.read_blocks(uuid, on_disk));
                found.extend(read.await.unwrap_or_default());
            }
            for (number, mut way) in on_the_way {
                let arrived = way.wait_for(Option::is_some).await;
                let arrived = arrived.ok().and_then(|fetched| fetched.clone());
                if let Some(fetched) = arrived {
                    found.insert(number, fetched?);
                }
            }
            if found.len() == numbers.len() {
                return Ok(assemble(&found, &range));
            }
        }
        // The cache is of no help: a folder that somebody empties all the while.
        let read = self.0.store.get_range(key, range).await;
        read.map_err(Arc::new)
    }

    /// Returns how many requests it has made.
    #[cfg(test)]
    pub(in crate::store::chunks) fn fetches(&self) -> u64 {
        self.0.lock().fetches
    }

    /// Returns the bytes that its files take up.
    #[cfg(test)]
    pub(in crate::store::chunks) fn used_bytes(&self) -> u64 {
        self.0.lock().used_bytes
    }

    /// Waits until everything fetched is written.
    #[cfg(test)]
    pub(in crate::store::chunks) async fn quiet(&self) {
        while !self.0.lock().under_way.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Returns the numbers of the blocks that a range touches.
fn blocks_of(range: &Range<u64>) -> Range<u32> {
    let number = |at: u64| u32::try_from(at).unwrap_or(u32::MAX);
    number(range.start / BLOCK_BYTES)..number(range.end.div_ceil(BLOCK_BYTES))
}

/// Cuts a range out of its blocks.
fn assemble(blocks: &BTreeMap<u32, Bytes>, range: &Range<u64>) -> Bytes {
    let part = |number: u32, block: &Bytes| {
        let start = u64::from(number) * BLOCK_BYTES;
        let within = |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX);
        let until = within(range.end).min(block.len());
        block.slice(within(range.start).min(until)..until)
    };
    if blocks.len() == 1
        && let Some((number, block)) = blocks.first_key_value()
    {
        return part(*number, block);
    }
    let mut whole = BytesMut::new();
    for (number, block) in blocks {
        whole.extend_from_slice(&part(*number, block));
    }
    whole.freeze()
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, (uuid, number): &BlockName) -> PathBuf {
        let name = hex::encode(uuid);
        let first_digits = name.get(..2).unwrap_or_default();
        self.folder.join(format!("{first_digits}/{name}-{number}"))
    }

    /// Says where each block comes from; what is nowhere is fetched from now on.
    fn locate(
        self: &Arc<Self>,
        uuid: [u8; 16],
        key: &Key,
        numbers: Vec<u32>,
    ) -> Vec<(u32, Source)> {
        let mut state = self.lock();
        let mut sources = Vec::with_capacity(numbers.len());
        let mut missing: Vec<Range<u32>> = Vec::new();
        for number in numbers {
            let name = (uuid, number);
            if state.touch(&name) {
                sources.push((number, Source::Disk));
            } else if let Some(way) = state.under_way.get(&name) {
                sources.push((number, Source::Way(way.clone())));
            } else {
                match missing.last_mut() {
                    Some(run) if run.end == number && run_blocks(run) < BLOCKS_MAX => {
                        run.end = number + 1;
                    }
                    Some(_) | None => missing.push(number..number + 1),
                }
            }
        }
        for wanted in missing {
            let ahead = state.ahead(&uuid, &wanted);
            let run = wanted.start..state.free_until(&uuid, wanted.end + ahead, wanted.end);
            let (senders, ways): (Vec<_>, Vec<_>) = run
                .clone()
                .map(|number| {
                    let (sender, way) = watch::channel(None);
                    ((number, sender), (number, way))
                })
                .unzip();
            for (number, way) in ways {
                state.under_way.insert((uuid, number), way.clone());
                if wanted.contains(&number) {
                    sources.push((number, Source::Way(way)));
                }
            }
            #[cfg(test)]
            {
                state.fetches += 1;
            }
            let (inner, key) = (Arc::clone(self), key.clone());
            drop(self.runtime.spawn(inner.fetch(uuid, key, run, senders)));
        }
        sources
    }

    /// Fetches blocks that adjoin with one request, tells who waits, and keeps them.
    async fn fetch(
        self: Arc<Self>,
        uuid: [u8; 16],
        key: Key,
        run: Range<u32>,
        waiting: Vec<(u32, watch::Sender<Option<Fetched>>)>,
    ) {
        let start = u64::from(run.start) * BLOCK_BYTES;
        let until = u64::from(run.end) * BLOCK_BYTES;
        let fetched = self.store.get_range(&key, start..until).await;
        let fetched = fetched.map_err(Arc::new);
        for (number, sender) in waiting {
            let name = (uuid, number);
            let from = u64::from(number) * BLOCK_BYTES - start;
            let block = fetched.clone().map(|bytes| {
                let cut = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                bytes.slice(cut(from)..cut(from + BLOCK_BYTES))
            });
            let kept = block.as_ref().ok().filter(|block| !block.is_empty());
            let kept = kept.cloned();
            sender.send_replace(Some(block));
            match (kept, Arc::clone(&self.writes).try_acquire_owned()) {
                (Some(block), Ok(permit)) => self.keep(name, block, permit),
                (Some(_) | None, _) => drop(self.lock().under_way.remove(&name)),
            }
        }
    }

    /// Writes a block in the background, and takes it off those that are on the way.
    fn keep(self: &Arc<Self>, name: BlockName, block: Bytes, permit: OwnedSemaphorePermit) {
        let inner = Arc::clone(self);
        drop(self.runtime.spawn_blocking(move || {
            if let Err(error) = inner.write(&name, &block) {
                tracing::warn!(%error, "the read cache is not written to for a minute");
                inner.lock().refused = Some(Instant::now());
            }
            drop(inner.lock().under_way.remove(&name));
            drop(permit);
        }));
    }

    /// Makes room and writes a block. Blocks.
    fn write(&self, name: &BlockName, block: &[u8]) -> io::Result<()> {
        let file_bytes = file_bytes(block.len());
        let Some(evicted) = self.lock().make_room(file_bytes, self.bytes_max) else {
            return Ok(());
        };
        for old in evicted {
            drop(fs::remove_file(self.path(&old)));
        }
        let path = self.path(name);
        let draft = path.with_extension(&self.draft);
        let write = || {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut file = fs::File::create(&draft)?;
            io::Write::write_all(&mut file, &header_of(name, block))?;
            io::Write::write_all(&mut file, block)?;
            fs::rename(&draft, &path)
        };
        let written = write();
        let mut state = self.lock();
        if written.is_ok() {
            state.hold(*name, file_bytes);
        } else {
            state.used_bytes = state.used_bytes.saturating_sub(file_bytes);
            drop(state);
            drop(fs::remove_file(&draft));
        }
        written
    }

    /// Reads blocks; those that are missing or damaged are forgotten and left out. Blocks.
    fn read_blocks(&self, uuid: [u8; 16], numbers: Vec<u32>) -> Vec<(u32, Bytes)> {
        let mut found = Vec::with_capacity(numbers.len());
        for number in numbers {
            let name = (uuid, number);
            let path = self.path(&name);
            let read = fs::read(&path).map(Bytes::from);
            let block = read.ok().and_then(|bytes| block_of(&name, &bytes));
            if let Some(block) = block {
                found.push((number, block));
            } else if self.lock().forget(&name) {
                tracing::warn!(path = %path.display(), "a block of the read cache is damaged");
                drop(fs::remove_file(&path));
            }
        }
        found
    }

    /// Finds the blocks that an earlier process left, oldest first to go. Blocks.
    fn find_blocks(&self) -> io::Result<()> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let files = entry?.path();
            if !files.is_dir() {
                continue;
            }
            for file in fs::read_dir(&files)? {
                let file = file?;
                let Ok(about) = file.metadata() else {
                    continue;
                };
                let written = about.modified()?;
                let name = file.file_name();
                let Some(name) = name.to_str().and_then(block_name) else {
                    let path = file.path();
                    // The draft of a process that was killed.
                    if path.extension() != Some(self.draft.as_ref()) {
                        drop(fs::remove_file(path));
                    }
                    continue;
                };
                let payload = usize::try_from(about.len()).unwrap_or(usize::MAX);
                let payload = payload.saturating_sub(HEADER_BYTES);
                found.push((written, name, file_bytes(payload)));
            }
        }
        found.sort_unstable_by_key(|(written, ..)| std::cmp::Reverse(*written));
        let mut evicted = Vec::new();
        for (_, name, file_bytes) in found {
            let mut state = self.lock();
            if !state.hold_old(name, file_bytes, self.bytes_max) {
                evicted.push(name);
            }
        }
        for name in evicted {
            drop(fs::remove_file(self.path(&name)));
        }
        Ok(())
    }
}

impl State {
    /// Notes a use of a block; returns whether it is there.
    fn touch(&mut self, name: &BlockName) -> bool {
        let Some(held) = self.blocks.get_mut(name) else {
            return false;
        };
        self.by_use.remove(&held.used_at);
        held.used_at = self.next_use;
        self.by_use.insert(held.used_at, *name);
        self.next_use += 1;
        true
    }

    /// Takes room for a file: returns what must go for it; `None`: it is not to be written.
    fn make_room(&mut self, file_bytes: u64, bytes_max: u64) -> Option<Vec<BlockName>> {
        let refuses = self
            .refused
            .is_some_and(|since| since.elapsed() < DISK_REST);
        if refuses || file_bytes > bytes_max {
            return None;
        }
        let mut evicted = Vec::new();
        while self.used_bytes + file_bytes > bytes_max {
            let (_, oldest) = self.by_use.first_key_value()?;
            let oldest = *oldest;
            self.forget(&oldest);
            evicted.push(oldest);
        }
        self.used_bytes += file_bytes;
        Some(evicted)
    }

    /// Notes a file whose room is taken.
    fn hold(&mut self, name: BlockName, file_bytes: u64) {
        let used_at = self.next_use;
        self.next_use += 1;
        let held = Held {
            file_bytes,
            used_at,
        };
        self.by_use.insert(used_at, name);
        if let Some(before) = self.blocks.insert(name, held) {
            self.by_use.remove(&before.used_at);
            self.used_bytes = self.used_bytes.saturating_sub(before.file_bytes);
        }
    }

    /// Notes a file that was there at the start; returns whether there is room for it.
    fn hold_old(&mut self, name: BlockName, file_bytes: u64, bytes_max: u64) -> bool {
        if self.blocks.contains_key(&name) {
            return true;
        }
        if self.used_bytes + file_bytes > bytes_max {
            return false;
        }
        self.next_old_use -= 1;
        let held = Held {
            file_bytes,
            used_at: self.next_old_use,
        };
        self.used_bytes += file_bytes;
        self.by_use.insert(held.used_at, name);
        self.blocks.insert(name, held);
        true
    }

    /// Forgets a block; returns whether it was known.
    fn forget(&mut self, name: &BlockName) -> bool {
        let Some(held) = self.blocks.remove(name) else {
            return false;
        };
        self.by_use.remove(&held.used_at);
        self.used_bytes = self.used_bytes.saturating_sub(held.file_bytes);
        true
    }

    /// Returns how many further blocks a reader will want who goes on as he did.
    fn ahead(&mut self, uuid: &[u8; 16], wanted: &Range<u32>) -> u32 {
        let before = self.trails.get(uuid).copied();
        let blocks = match before {
            Some(trail) if trail.next == wanted.start => (trail.blocks * 2).min(BLOCKS_MAX),
            Some(_) | None => run_blocks(wanted),
        };
        if self.trails.len() >= TRAILS_MAX {
            self.trails.clear();
        }
        let blocks = blocks.max(run_blocks(wanted));
        let ahead = u32::try_from(blocks - run_blocks(wanted)).unwrap_or(0);
        let next = wanted.end + ahead;
        self.trails.insert(*uuid, Trail { next, blocks });
        ahead
    }

    /// Returns up to where the blocks behind a run are neither there nor on the way.
    fn free_until(&self, uuid: &[u8; 16], until: u32, from: u32) -> u32 {
        let taken = |number: &u32| {
            let name = (*uuid, *number);
            self.blocks.contains_key(&name) || self.under_way.contains_key(&name)
        };
        (from..until).find(taken).unwrap_or(until)
    }
}

fn run_blocks(run: &Range<u32>) -> u64 {
    u64::from(run.end - run.start)
}

/// Returns what the file of a block takes up.
fn file_bytes(block_bytes: usize) -> u64 {
    ((HEADER_BYTES + block_bytes) as u64).next_multiple_of(PAGE_BYTES)
}

fn header_of((uuid, number): &BlockName, block: &[u8]) -> Vec<u8> {
    let mut named = Vec::with_capacity(HEADER_BYTES);
    named.extend_from_slice(uuid);
    named.extend_from_slice(&number.to_le_bytes());
    named.extend_from_slice(&u32::try_from(block.len()).unwrap_or(u32::MAX).to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&named), block);
    let mut header = MARK.to_vec();
    header.extend_from_slice(&crc.to_le_bytes());
    header.extend_from_slice(&named);
    header
}

/// Returns the block that a file holds; `None`: it is not the one of that name, or not whole.
fn block_of(name: &BlockName, file: &Bytes) -> Option<Bytes> {
    if file.len() < HEADER_BYTES {
        return None;
    }
    let block = file.slice(HEADER_BYTES..);
    let header = header_of(name, &block);
    file.starts_with(&header).then_some(block)
}

fn block_name(file_name: &str) -> Option<BlockName> {
    let (name, number) = file_name.split_once('-')?;
    let mut uuid = [0; 16];
    hex::decode_to_slice(name, &mut uuid).ok()?;
    Some((uuid, number.parse().ok()?))
}
