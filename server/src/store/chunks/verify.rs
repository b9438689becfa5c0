//! The audit of the bytes: every pack read and hashed, every map compared with the packs.
//!
//! First each pack is read whole: its footer must prove itself, and each frame must
//! hold the chunk that it names. Then every content's map must lead to frames that
//! exist, hold what it says and together have the content's name; and
//! `content_pack` must say what the maps say. [`ChunkStore::repair`] makes the rows
//! of packs from their footers and `content_pack` from the maps; lost bytes are
//! listed, never papered over.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::TryStreamExt;
use futures_util::stream;
use nuage_shared::frame::FRAME_HEADER_BYTES;
use nuage_shared::frame::FRAME_OVERHEAD_BYTES;
use nuage_shared::frame::Footer;
use nuage_shared::frame::FooterEntry;
use nuage_shared::frame::FrameHeader;
use nuage_shared::frame::PACK_HEADER_BYTES;
use nuage_shared::frame::decode_frame;
use nuage_shared::manifest::PackId;
use serde::Deserialize;
use serde::Serialize;

use crate::store::chunks::ChunkError;
use crate::store::chunks::ChunkStore;
use crate::store::chunks::Shared;
use crate::store::chunks::files::PackFile;
use crate::store::chunks::named::NamedFrame;
use crate::store::chunks::named::visit_frames;
use crate::store::chunks::objects::ObjectFault;
use crate::store::chunks::places::Expected;
use crate::store::chunks::places::unpack;
use crate::store::metadata::contents::FindContentById;
use crate::store::metadata::packs::FindPack;
use crate::store::metadata::packs::ListContents;
use crate::store::metadata::packs::ListPacks;
use crate::store::metadata::packs::NoteVerified;
use crate::store::metadata::packs::PackRow;
use crate::store::metadata::packs::PackState;
use crate::store::metadata::packs::PackedContent;
use crate::store::metadata::packs::RepairPack;
use crate::store::metadata::packs::RepairPacksOf;
use crate::store::metadata::packs::WhoNames;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::ContentBody;
use crate::store::metadata::records::ContentRef;

/// Bytes that are read and hashed together.
const READ_BYTES: u64 = 4 << 20;
/// The end of a pack that is read in the hope that the whole footer is in it.
const FOOTER_GUESS_BYTES: u64 = 64 << 10;
/// Packs that one question returns.
const PACKS_PAGE: i64 = 100;
/// Packs that are read at once: a distant store answers each after a while, but many together.
const PACKS_AT_ONCE: usize = 16;
/// Packs of a folder that are read at once.
const FILES_AT_ONCE: usize = 2;
/// Rows of packs that one question returns where only those are wanted.
const ROWS_PAGE: i64 = 5_000;
/// Contents that one question returns.
const CONTENTS_PAGE: i64 = 32;
/// Packs whose footers are kept at hand.
const INDEXES_MAX: usize = 16;
/// Things of one kind that are reported by name; more are only counted.
const REPORTED_MAX: usize = 1_000;

/// How far the audit is.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyProgress {
    /// Packs were read.
    Packs {
        /// So far.
        packs: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// Contents were compared with the packs.
    Contents {
        /// So far.
        contents: u64,
    },
}

/// Something wrong in a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackDamage {
    /// The pack's number.
    pub pack: i64,
    /// Where in its file; `None`: the file as a whole.
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// A content that cannot be read whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HurtContent {
    /// Its number.
    pub content: i64,
    /// The space that holds it.
    pub space: i64,
    /// Files that have it now (or had it: `is_former`).
    pub files: Vec<HurtFile>,
    /// What is wrong.
    pub what: String,
}

/// A file that has, or had, a hurt content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HurtFile {
    /// Its number.
    pub node: i64,
    /// Where it is; `None`: in the trash.
    pub path: Option<String>,
    /// Whether only a former version is hurt.
    pub is_former: bool,
}

/// What the audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Packs read.
    pub packs: u64,
    /// Frames hashed.
    pub frames: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Contents compared.
    pub contents: u64,
    /// Faults in packs, in all.
    pub damages: u64,
    /// The first of them.
    pub damaged: Vec<PackDamage>,
    /// Contents that cannot be read whole, in all.
    pub hurts: u64,
    /// The first of them.
    pub hurt: Vec<HurtContent>,
    /// Contents of which `content_pack` says something else than their maps; repair mends it.
    pub misfiled: u64,
    /// Packs whose row is missing or has another length than the file; repair mends it.
    pub misnoted: u64,
}

impl VerifyReport {
    /// Returns whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        !self.is_damaged() && self.misfiled == 0 && self.misnoted == 0
    }

    /// Returns whether bytes are lost.
    pub fn is_damaged(&self) -> bool {
        self.damages > 0 || self.hurts > 0
    }

    fn note_damage(&mut self, pack: PackId, offset: Option<u64>, what: String) {
        self.damages += 1;
        if self.damaged.len() < REPORTED_MAX {
            let pack = pack.0;
            self.damaged.push(PackDamage { pack, offset, what });
        }
    }
}

/// What repair made anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairReport {
    /// Rows of packs written from their footers.
    pub packs: u64,
    /// Contents whose `content_pack` was written from their maps.
    pub contents: u64,
}

/// Frames of a pack by offset.
type Index = HashMap<u64, FooterEntry>;

impl ChunkStore {
    /// Reads and hashes every pack, and compares every content with the packs.
    pub async fn verify(
        &self,
        report: &mut (dyn FnMut(VerifyProgress) + Send),
    ) -> Result<VerifyReport, ChunkError> {
        let mut audit = Audit {
            shared: &self.shared,
            found: VerifyReport::default(),
            bad_frames: HashSet::new(),
            indexes: Vec::new(),
        };
        audit.compare_rows().await?;
        audit.read_packs(report).await?;
        audit.compare_contents(report).await?;
        Ok(audit.found)
    }

    /// Writes rows of packs from their footers, and `content_pack` from the maps.
    pub async fn repair(&self) -> Result<RepairReport, ChunkError> {
        let shared = &self.shared;
        let mut done = RepairReport::default();
        for (pack, uuid, size_bytes) in misnoted_packs(shared).await? {
            let repair = RepairPack {
                pack,
                uuid,
                size_bytes,
                at: shared.clock.now(),
            };
            if shared.metadata.write_in_background(repair).await? {
                shared.places.forget(pack);
                done.packs += 1;
            }
        }
        let mut after = ContentRef(0);
        loop {
            let page = ListContents {
                after,
                limit: CONTENTS_PAGE,
            };
            let page = shared.metadata.read(page).await?;
            let Some(newest) = page.last() else {
                return Ok(done);
            };
            after = newest.content.id;
            for PackedContent { content, packs } in page {
                let Ok(named) = packs_named(shared, &content).await else {
                    // A map that cannot be read says nothing; the audit lists it.
                    continue;
                };
                if named != packs {
                    let repair = RepairPacksOf {
                        content: content.id,
                        packs: named,
                    };
                    shared.metadata.write_in_background(repair).await?;
                    done.contents += 1;
                }
            }
        }
    }
}

/// Lists complete packs that no row describes as they are: number, name and length.
async fn misnoted_packs(shared: &Arc<Shared>) -> Result<Vec<(PackId, [u8; 16], u64)>, ChunkError> {
    // First what is there, then the rows: a pack has a row before it is there.
    let files = shared.objects.list().await?;
    let rows = named_packs(shared).await?;
    let unnoted = files.into_iter().filter(|file| {
        !rows.get(&file.uuid).is_some_and(|(state, size_bytes)| {
            *state != PackState::Sealed || *size_bytes == file.size_bytes
        })
    });
    stream::iter(unnoted.map(|file| complete_pack(shared, file)))
        .buffered(at_once(shared))
        .try_filter_map(async |pack| Ok(pack))
        .try_collect()
        .await
}

/// Returns a file's pack, name and length; `None`: it is no complete pack.
async fn complete_pack(
    shared: &Arc<Shared>,
    file: PackFile,
) -> Result<Option<(PackId, [u8; 16], u64)>, ChunkError> {
    let header = match shared.objects.header(&file.uuid).await {
        Ok(Some(header)) => header,
        Ok(None) | Err(ObjectFault::Missing) => return Ok(None),
        Err(ObjectFault::Failed(error)) => return Err(error),
    };
    match read_footer(shared, &file.uuid, file.size_bytes).await {
        Ok(_) => Ok(Some((header.pack, file.uuid, file.size_bytes))),
        Err(error @ ChunkError::Unavailable(_)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Returns how many packs are read at once.
fn at_once(shared: &Shared) -> usize {
    if shared.objects.are_shared() {
        PACKS_AT_ONCE
    } else {
        FILES_AT_ONCE
    }
}

/// Returns the rows of packs that want a file, by its name.
pub(super) async fn named_packs(
    shared: &Arc<Shared>,
) -> Result<HashMap<[u8; 16], (PackState, u64)>, ChunkError> {
    let mut named = HashMap::new();
    // In the order in which a pack goes through them, so that none is missed.
    for state in [PackState::Open, PackState::Sealed, PackState::Moved] {
        let mut after = PackId(0);
        loop {
            let page = ListPacks {
                state,
                after,
                limit: ROWS_PAGE,
            };
            let page = shared.metadata.read(page).await?;
            let Some(last) = page.last() else {
                break;
            };
            after = last.id;
            let rows = page.iter();
            named.extend(rows.map(|row| (row.uuid, (row.state, row.size_bytes))));
        }
    }
    Ok(named)
}

/// Reads a complete pack's footer.
pub(super) async fn read_footer(
    shared: &Arc<Shared>,
    uuid: &[u8; 16],
    size_bytes: u64,
) -> Result<(Footer, u64), ChunkError> {
    let damaged = |what: &dyn std::fmt::Display| ChunkError::Damaged(format!("footer: {what}"));
    if size_bytes <= PACK_HEADER_BYTES as u64 {
        return Err(damaged(&"the pack has none"));
    }
    let read = async |range| {
        let read = shared.objects.read_past_cache(uuid, range).await;
        read.map_err(|fault| fault.or_missing(uuid))
    };
    let tail_start = size_bytes.saturating_sub(FOOTER_GUESS_BYTES);
    let tail = read(tail_start..size_bytes).await?;
    let last = tail.len().saturating_sub(8);
    let length = Footer::length_from_tail(tail.get(last..).unwrap_or_default())
        .map_err(|fault| damaged(&fault))?;
    let start = size_bytes
        .checked_sub(length)
        .filter(|start| *start >= PACK_HEADER_BYTES as u64)
        .ok_or_else(|| damaged(&"it is longer than the pack"))?;
    let bytes = match usize::try_from(length) {
        Ok(length) if start >= tail_start => tail.slice(tail.len().saturating_sub(length)..),
        Ok(_) | Err(_) => read(start..size_bytes).await?,
    };
    let footer = Footer::decode(&bytes).map_err(|fault| damaged(&fault))?;
    Ok((footer, start))
}

/// Returns the packs that a content's map names, ascending.
async fn packs_named(shared: &Arc<Shared>, content: &Content) -> Result<Vec<PackId>, ChunkError> {
    let mut packs = BTreeSet::new();
    visit_frames(shared, content, &mut |frame| {
        packs.insert(frame.place.pack);
    })
    .await?;
    Ok(packs.into_iter().collect())
}

struct Audit<'a> {
    shared: &'a Arc<Shared>,
    found: VerifyReport,
    bad_frames: HashSet<(PackId, u64)>,
    /// The newest last.
    indexes: Vec<(PackId, Index)>,
}

impl Audit<'_> {
    /// Compares the rows of packs with the files.
    async fn compare_rows(&mut self) -> Result<(), ChunkError> {
        for (pack, uuid, size_bytes) in misnoted_packs(self.shared).await? {
            let row = self.shared.metadata.read(FindPack(pack)).await?;
            let is_noted = row.is_some_and(|(row, _)| {
                row.uuid != uuid || row.state != PackState::Sealed || row.size_bytes == size_bytes
            });
            if !is_noted {
                self.found.misnoted += 1;
            }
        }
        Ok(())
    }

    /// Reads and hashes every sealed pack.
    async fn read_packs(
        &mut self,
        report: &mut (dyn FnMut(VerifyProgress) + Send),
    ) -> Result<(), ChunkError> {
        let mut after = PackId(0);
        loop {
            let page = ListPacks {
                state: PackState::Sealed,
                after,
                limit: PACKS_PAGE,
            };
            let page = self.shared.metadata.read(page).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.id;
            let reads = page.into_iter().map(|row| read_pack(self.shared, row));
            let mut reads = pin!(stream::iter(reads).buffer_unordered(at_once(self.shared)));
            while let Some(read) = reads.try_next().await? {
                self.note_pack(read).await?;
                report(VerifyProgress::Packs {
                    packs: self.found.packs,
                    bytes: self.found.bytes,
                });
            }
        }
    }

    async fn note_pack(&mut self, read: PackRead) -> Result<(), ChunkError> {
        self.found.frames += read.frames;
        if read.is_whole {
            self.found.packs += 1;
            self.found.bytes += read.size_bytes;
            if read.faults.is_empty() {
                let verified = NoteVerified {
                    pack: read.pack,
                    at: self.shared.clock.now(),
                };
                self.shared.metadata.write_in_background(verified).await?;
            }
        }
        for (offset, what) in read.faults {
            if let Some(offset) = offset {
                self.bad_frames.insert((read.pack, offset));
            }
            self.found.note_damage(read.pack, offset, what);
        }
        Ok(())
    }

    /// Compares every content with the packs.
    async fn compare_contents(
        &mut self,
        report: &mut (dyn FnMut(VerifyProgress) + Send),
    ) -> Result<(), ChunkError> {
        let mut after = ContentRef(0);
        loop {
            let page = ListContents {
                after,
                limit: CONTENTS_PAGE,
            };
            let page = self.shared.metadata.read(page).await?;
            let Some(newest) = page.last() else {
                return Ok(());
            };
            after = newest.content.id;
            for packed in page {
                self.compare_content(packed).await?;
                self.found.contents += 1;
            }
            report(VerifyProgress::Contents {
                contents: self.found.contents,
            });
        }
    }

    async fn compare_content(&mut self, packed: PackedContent) -> Result<(), ChunkError> {
        let PackedContent { content, packs } = packed;
        match self.content_fault(&content).await {
            Ok(()) => {
                if packs_named(self.shared, &content).await? != packs {
                    self.found.misfiled += 1;
                }
                return Ok(());
            }
            Err(ChunkError::Damaged(_) | ChunkError::File { .. }) => {}
            Err(error) => return Err(error),
        }
        // It may have been packed, compacted or deleted while we looked.
        let Some(content) = self
            .shared
            .metadata
            .read(FindContentById(content.id))
            .await?
        else {
            return Ok(());
        };
        self.indexes.clear();
        let what = match self.content_fault(&content).await {
            Ok(()) => return Ok(()),
            Err(error @ (ChunkError::Damaged(_) | ChunkError::File { .. })) => error.to_string(),
            Err(error) => return Err(error),
        };
        self.found.hurts += 1;
        if self.found.hurt.len() < REPORTED_MAX {
            let named = self.shared.metadata.read(WhoNames(content.id)).await?;
            let files = named.into_iter().map(|(node, path, is_former)| HurtFile {
                node: node.0,
                path: path.map(|path| path.to_string()),
                is_former,
            });
            self.found.hurt.push(HurtContent {
                content: content.id.0,
                space: content.space.0,
                files: files.collect(),
                what,
            });
        }
        Ok(())
    }

    /// Proves that a content's frames exist and together have its name.
    async fn content_fault(&mut self, content: &Content) -> Result<(), ChunkError> {
        let key = &self.shared.secrets.key;
        let mut hasher = key.content_hasher();
        if let ContentBody::Hot(bytes) = &content.body {
            if !bytes.is_empty() {
                let plain_bytes = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                hasher.push(key.chunk_id(bytes), plain_bytes);
            }
        } else {
            let mut frames = Vec::new();
            visit_frames(self.shared, content, &mut |frame| frames.push(frame)).await?;
            for frame in frames {
                let entry = self.find_frame(&frame).await?;
                if !frame.is_leaf {
                    hasher.push(entry.id, entry.plain_bytes);
                }
            }
        }
        if hasher.finish() == content.hash {
            Ok(())
        } else {
            Err(ChunkError::Damaged(
                "its chunks are not those of its name".to_owned(),
            ))
        }
    }

    /// Finds the frame that a map names, and proves that the pack says the same of it.
    async fn find_frame(&mut self, frame: &NamedFrame) -> Result<FooterEntry, ChunkError> {
        let expected = Expected {
            id: frame.id,
            plain_bytes: frame.plain_bytes,
            place: frame.place,
        };
        let located = self.shared.places.locate(expected).await?;
        let (pack, offset) = (located.pack, located.offset);
        let damaged = |what: &str| {
            self.shared.damage.note(&frame.place);
            ChunkError::Damaged(format!("frame at {offset} of pack {}: {what}", pack.0))
        };
        if self.bad_frames.contains(&(pack, offset)) {
            return Err(damaged("it is damaged"));
        }
        let entry = self.entry(pack, offset).await?;
        let entry = entry.ok_or_else(|| damaged("it does not exist"))?;
        if entry.stored_bytes != frame.place.stored_bytes
            || entry.plain_bytes != frame.plain_bytes
            || frame.id.is_some_and(|id| id != entry.id)
        {
            return Err(damaged("it is another frame"));
        }
        Ok(entry)
    }

    async fn entry(
        &mut self,
        pack: PackId,
        offset: u64,
    ) -> Result<Option<FooterEntry>, ChunkError> {
        if let Some((_, index)) = self.indexes.iter().find(|(held, _)| *held == pack)
            && let Some(entry) = index.get(&offset)
        {
            return Ok(Some(*entry));
        }
        // Unknown, or an open segment that has grown.
        let index = self.index(pack).await?;
        let entry = index.get(&offset).copied();
        self.indexes.retain(|(held, _)| *held != pack);
        if self.indexes.len() >= INDEXES_MAX {
            self.indexes.remove(0);
        }
        self.indexes.push((pack, index));
        Ok(entry)
    }

    async fn index(&self, pack: PackId) -> Result<Index, ChunkError> {
        let segment = self.shared.places.find_segment(pack);
        let entries = if let Some(segment) = segment {
            let shared = Arc::clone(self.shared);
            tokio::task::spawn_blocking(move || match &segment.file {
                Some(file) => scan_open(&shared, &file.reader, segment.durable_bytes()),
                None => Ok(Vec::new()),
            })
            .await
            .map_err(|_gone| ChunkError::Closed)??
        } else {
            let row = self.shared.metadata.read(FindPack(pack)).await?;
            let (row, _) =
                row.ok_or_else(|| ChunkError::Damaged(format!("pack {} is unknown", pack.0)))?;
            let size_bytes = match row.state {
                // Complete, but the server that made it has not noted that yet.
                PackState::Open => {
                    let size_bytes = self.shared.objects.size(&row.uuid).await?;
                    size_bytes.ok_or_else(|| ObjectFault::Missing.or_missing(&row.uuid))?
                }
                PackState::Sealed | PackState::Moved | PackState::Gone => row.size_bytes,
            };
            read_footer(self.shared, &row.uuid, size_bytes)
                .await?
                .0
                .entries
        };
        Ok(entries
            .into_iter()
            .map(|entry| (entry.offset, entry))
            .collect())
    }
}

/// What reading a pack has shown.
struct PackRead {
    pack: PackId,
    size_bytes: u64,
    /// Its footer could be read, and it was still needed when its frames had been.
    is_whole: bool,
    frames: u64,
    /// What is wrong, by the frame's offset where it is known.
    faults: Vec<(Option<u64>, String)>,
}

/// Reads and hashes a sealed pack.
async fn read_pack(shared: &Arc<Shared>, row: PackRow) -> Result<PackRead, ChunkError> {
    let mut found = PackRead {
        pack: row.id,
        size_bytes: row.size_bytes,
        is_whole: false,
        frames: 0,
        faults: Vec::new(),
    };
    let (footer, _) = match read_footer(shared, &row.uuid, row.size_bytes).await {
        Ok(footer) => footer,
        Err(error @ ChunkError::Unavailable(_)) => return Err(error),
        Err(error) => {
            if is_still_needed(shared, &row).await? {
                found.faults.push((None, error.to_string()));
            }
            return Ok(found);
        }
    };
    let mut entries = footer.entries;
    entries.sort_unstable_by_key(|entry| entry.offset);
    let mut waiting = entries.iter().peekable();
    while let Some(first) = waiting.next() {
        let mut group = vec![*first];
        let mut until = frame_end(first);
        while let Some(next) = waiting
            .next_if(|next| next.offset == until && frame_end(next) - first.offset <= READ_BYTES)
        {
            group.push(*next);
            until = frame_end(next);
        }
        let range = first.offset..until;
        let read = shared.objects.read_past_cache(&row.uuid, range).await;
        match read.map_err(|fault| fault.or_missing(&row.uuid)) {
            Ok(bytes) => {
                found.frames += group.len() as u64;
                found
                    .faults
                    .extend(hash_frames(shared, group, bytes).await?);
            }
            Err(error @ ChunkError::Unavailable(_)) => return Err(error),
            Err(error) => {
                if !is_still_needed(shared, &row).await? {
                    return Ok(found);
                }
                let offsets = group.iter().map(|entry| Some(entry.offset));
                found
                    .faults
                    .extend(offsets.map(|offset| (offset, error.to_string())));
            }
        }
    }
    found.is_whole = true;
    Ok(found)
}

/// Returns whether a pack is still one whose file must be there.
async fn is_still_needed(shared: &Shared, row: &PackRow) -> Result<bool, ChunkError> {
    let now = shared.metadata.read(FindPack(row.id)).await?;
    Ok(now.is_some_and(|(row, _)| row.state == PackState::Sealed))
}

/// Hashes frames that were read together; returns what is wrong with them.
async fn hash_frames(
    shared: &Arc<Shared>,
    group: Vec<FooterEntry>,
    bytes: Bytes,
) -> Result<Vec<(Option<u64>, String)>, ChunkError> {
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || {
        let start = group.first().map_or(0, |entry| entry.offset);
        let faults = group.iter().filter_map(|entry| {
            let from = usize::try_from(entry.offset - start).ok()?;
            let until = usize::try_from(frame_end(entry) - start).ok()?;
            let frame = bytes.slice(from.min(bytes.len())..until.min(bytes.len()));
            frame_fault(&shared, entry, &frame).map(|what| (Some(entry.offset), what))
        });
        faults.collect()
    })
    .await
    .map_err(|_gone| ChunkError::Closed)
}

fn frame_end(entry: &FooterEntry) -> u64 {
    entry
        .offset
        .saturating_add(FRAME_OVERHEAD_BYTES as u64 + u64::from(entry.stored_bytes))
}

/// Returns what is wrong with a frame; `None`: nothing.
fn frame_fault(shared: &Shared, entry: &FooterEntry, frame: &Bytes) -> Option<String> {
    let (header, payload) = match decode_frame(frame) {
        Ok(decoded) => decoded,
        Err(fault) => return Some(fault.to_string()),
    };
    if (header.id, header.stored_bytes, header.plain_bytes)
        != (entry.id, entry.stored_bytes, entry.plain_bytes)
    {
        return Some("the footer describes another frame".to_owned());
    }
    match unpack(&header, frame.slice_ref(payload)) {
        None => Some("it cannot be unpacked".to_owned()),
        Some(plain) if shared.secrets.key.chunk_id(&plain) != header.id => {
            Some("its bytes are not those of its name".to_owned())
        }
        Some(_) => None,
    }
}

/// Reads and hashes the durable frames of an open segment. Blocks.
fn scan_open(
    shared: &Shared,
    file: &std::fs::File,
    durable_bytes: u64,
) -> Result<Vec<FooterEntry>, ChunkError> {
    use std::os::unix::fs::FileExt;

    let mut entries = Vec::new();
    let mut offset = PACK_HEADER_BYTES as u64;
    while offset < durable_bytes {
        let damaged = |what: &dyn std::fmt::Display| {
            ChunkError::Damaged(format!("open segment at {offset}: {what}"))
        };
        let mut head = [0; FRAME_HEADER_BYTES];
        file.read_exact_at(&mut head, offset)
            .map_err(|error| damaged(&error))?;
        let header = FrameHeader::decode(&head).map_err(|fault| damaged(&fault))?;
        let length = FRAME_OVERHEAD_BYTES + header.stored_bytes as usize;
        let mut frame = vec![0; length];
        file.read_exact_at(&mut frame, offset)
            .map_err(|error| damaged(&error))?;
        let entry = FooterEntry {
            id: header.id,
            offset,
            stored_bytes: header.stored_bytes,
            plain_bytes: header.plain_bytes,
        };
        if let Some(what) = frame_fault(shared, &entry, &Bytes::from(frame)) {
            return Err(damaged(&what));
        }
        entries.push(entry);
        offset += length as u64;
    }
    Ok(entries)
}
