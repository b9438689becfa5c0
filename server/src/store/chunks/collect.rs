//! Collection: contents that nothing names, frames that no content needs, files past their grace.
//!
//! Nothing is counted and nothing is marked. Who names a content is asked of
//! indexes, under its space's lock, in the transaction that deletes it. What of a
//! pack is alive is what the maps of its contents name; a pack less than 70 % alive
//! is copied, and one transaction, which asks again who needs it, leaves a
//! redirection behind. Its file goes after the grace.
//!
//! # Always true
//!
//! * A pack is left alone while an upload that may have appended to it is not committed: packs
//!   sealed less than [`Graces::fresh_pack_seconds`] ago, packs older than whose sealing a lease
//!   is, and packs that an upload of this process may use, whatever the graces. Where several
//!   servers share the packs, the first of these is never less than 35 minutes, because an upload of
//!   another server may last 30 without a lease.
//! * No file is deleted while a lease (a backup) lives that began before the pack was given up.
//! * After a jump of the clock nothing is deleted by age for two days, and every lease counts.
//! * One round at a time. Reads and writes go on all the while.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use nuage_shared::frame::FRAME_OVERHEAD_BYTES;
use nuage_shared::frame::Footer;
use nuage_shared::frame::FrameHeader;
use nuage_shared::frame::PACK_HEADER_BYTES;
use nuage_shared::frame::decode_frame;
use nuage_shared::manifest::PackId;
use nuage_shared::manifest::Place;
use serde::Deserialize;
use serde::Serialize;

use crate::clock::NANOS;
use crate::clock::Timestamp;
use crate::store::chunks::ChunkError;
use crate::store::chunks::ChunkStore;
use crate::store::chunks::Shared;
use crate::store::chunks::appender::NewFrame;
use crate::store::chunks::appender::Stretch;
use crate::store::chunks::appender::Until;
use crate::store::chunks::files::PackFile;
use crate::store::chunks::named::visit_frames;
use crate::store::chunks::objects::ObjectFault;
use crate::store::chunks::places::unpack;
use crate::store::chunks::verify::named_packs;
use crate::store::metadata::packs::ClearSuspicion;
use crate::store::metadata::packs::CollectDead;
use crate::store::metadata::packs::ContentsOfPack;
use crate::store::metadata::packs::DeletablePacks;
use crate::store::metadata::packs::MovePack;
use crate::store::metadata::packs::NotePackGone;
use crate::store::metadata::packs::PackFileIsNamed;
use crate::store::metadata::packs::PackRow;
use crate::store::metadata::packs::PackState;
use crate::store::metadata::packs::SourcesOfPack;
use crate::store::metadata::packs::SuspectPack;
use crate::store::metadata::packs::SuspectPacks;
use crate::store::metadata::packs::SweepLeases;
use crate::store::metadata::records::ContentRef;
use crate::store::metadata::redirections::Redirection;
use crate::store::metadata::redirections::Redirections;

/// A pack with less of its frames alive, in percent, is compacted.
const LIVE_PERCENT_MIN: u64 = 70;
/// Bytes that are copied together.
const COPY_BYTES: u64 = 4 << 20;
/// Contents whose maps are read together.
const CONTENTS_PAGE: i64 = 16;
/// Packs that one question returns.
const PACKS_PAGE: i64 = 100;
/// Files that have no row are looked for this often, in seconds.
const ORPHANS_EVERY_SECONDS: i64 = 7 * 86_400;
/// A wall clock that ran so far ahead of the monotonic one has jumped.
const JUMP_SECONDS: i64 = 3_600;
/// A pack of a store that servers share is left alone for this long after its sealing, in seconds,
/// whatever the graces: longer than anything is under way that no lease protects.
const SHARED_FRESH_SECONDS: i64 = 35 * 60;
/// Frames that nothing names must have been named this long after they were begun, in seconds.
pub(super) const UNNAMED_SECONDS_MAX: i64 = 30 * 60;
/// How long nothing is deleted by age after a jump.
const JUMP_HOLD: Duration = Duration::from_hours(48);

/// How long what is dead is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Graces {
    /// A content that lost its last name waits this long, in seconds: uploads may be copying from it.
    pub dead_seconds: i64,
    /// A pack sealed less than this ago is left alone, in seconds: a short upload takes no lease.
    pub fresh_pack_seconds: i64,
    /// The file of a compacted pack stays this long, in seconds: a backup interval and a day.
    pub gone_seconds: i64,
    /// A file that no row knows stays this long, in seconds.
    pub orphan_seconds: i64,
}

impl Default for Graces {
    fn default() -> Self {
        Self {
            dead_seconds: 2 * 3_600,
            fresh_pack_seconds: 2 * 3_600,
            gone_seconds: 48 * 3_600,
            orphan_seconds: 7 * 86_400,
        }
    }
}

impl Graces {
    /// Counts every grace as over. Leases still hold, and so do uploads in progress: on a store that
    /// several servers share by a grace of 35 minutes after a pack's sealing.
    pub fn over() -> Self {
        Self {
            dead_seconds: 0,
            fresh_pack_seconds: 0,
            gone_seconds: 0,
            orphan_seconds: 0,
        }
    }

    fn are_over(&self) -> bool {
        *self == Self::over()
    }
}

/// What a round of collection is doing.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CollectProgress {
    /// Contents that nothing named went.
    Contents {
        /// So far.
        deleted: u64,
    },
    /// A pack was copied and given up.
    Compacted {
        /// Its number.
        pack: i64,
        /// What of it was alive, in bytes.
        live_bytes: u64,
        /// The length of its file.
        size_bytes: u64,
    },
    /// A file was deleted.
    Deleted {
        /// The pack's number.
        pack: i64,
        /// Its length.
        size_bytes: u64,
    },
}

/// What a round of collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// Leases that gave no sign of life and ended.
    pub leases_ended: u64,
    /// Contents that nothing named.
    pub contents_deleted: u64,
    /// Their plain bytes.
    pub content_bytes: u64,
    /// Packs given up.
    pub packs_compacted: u64,
    /// Bytes of live frames copied.
    pub copied_bytes: u64,
    /// Packs that were looked at and are alive enough.
    pub packs_kept: u64,
    /// Packs that must wait: fresh, or in use by a lease or an upload.
    pub packs_waiting: u64,
    /// Packs that could not be compacted because a frame or map is damaged.
    pub packs_damaged: u64,
    /// Files deleted.
    pub files_deleted: u64,
    /// Their bytes.
    pub freed_bytes: u64,
    /// Whether deletion by age waits because the clock jumped.
    pub is_held_back: bool,
}

/// Whether the wall clock can be trusted with deletions.
#[derive(Debug, Default)]
pub(super) struct ClockWatch {
    seen: Option<(Instant, Timestamp)>,
    held_until: Option<Instant>,
}

impl ClockWatch {
    /// Returns whether deletion by age must wait.
    fn judge(&mut self, monotonic: Instant, wall: Timestamp) -> bool {
        if let Some((then, wall_then)) = self.seen {
            let passed = i64::try_from(monotonic.duration_since(then).as_nanos());
            let ahead = wall.0.saturating_sub(wall_then.0) - passed.unwrap_or(i64::MAX);
            if ahead > JUMP_SECONDS * NANOS {
                tracing::error!(
                    seconds = ahead / NANOS,
                    "the clock jumped ahead: nothing is deleted by age for two days"
                );
                self.held_until = monotonic.checked_add(JUMP_HOLD);
            }
        }
        self.seen = Some((monotonic, wall));
        self.held_until.is_some_and(|until| monotonic < until)
    }
}

/// What rounds of collection remember between each other.
#[derive(Debug, Default)]
pub(super) struct Collector {
    watch: ClockWatch,
    orphans_at: Option<Timestamp>,
}

/// One round.
pub(super) struct Round<'a> {
    pub(super) shared: &'a Arc<Shared>,
    graces: Graces,
    pub(super) now: Timestamp,
    /// The moment by which leases are judged.
    pub(super) lease_now: Timestamp,
    pub(super) done: Collected,
    report: &'a mut (dyn FnMut(CollectProgress) + Send),
}

impl ChunkStore {
    /// Does one whole round: dead contents, compaction, files past their grace.
    pub async fn collect(
        &self,
        graces: Graces,
        report: &mut (dyn FnMut(CollectProgress) + Send),
    ) -> Result<Collected, ChunkError> {
        let shared = &self.shared;
        let mut collector = shared.collector.lock().await;
        let now = shared.clock.now();
        let has_jumped = !shared.clock.is_moved() && collector.watch.judge(Instant::now(), now);
        let mut round = Round {
            shared,
            graces,
            now,
            lease_now: if has_jumped { Timestamp(i64::MIN) } else { now },
            done: Collected {
                is_held_back: has_jumped,
                ..Collected::default()
            },
            report,
        };
        if !has_jumped {
            round.end_leases().await?;
        }
        if has_jumped && !graces.are_over() {
            return Ok(round.done);
        }
        if shared.objects.are_shared() {
            round.settle_stale_packs().await?;
        }
        round.delete_contents().await?;
        round.compact_packs().await?;
        round.merge_packs().await?;
        round.delete_files().await?;
        let looked = collector.orphans_at;
        if graces.are_over()
            || looked.is_none_or(|at| now >= at.plus_seconds(ORPHANS_EVERY_SECONDS))
        {
            round.delete_orphans().await?;
            collector.orphans_at = Some(now);
        }
        Ok(round.done)
    }
}

/// What of a pack is alive.
pub(super) struct Live {
    /// Payload lengths by offset of the frame.
    frames: BTreeMap<u64, u32>,
    contents: Vec<ContentRef>,
    sources: Vec<PackId>,
}

impl Live {
    fn bytes(&self) -> u64 {
        let stored: u64 = self.frames.values().map(|bytes| u64::from(*bytes)).sum();
        stored + (self.frames.len() * FRAME_OVERHEAD_BYTES) as u64
    }
}

impl Round<'_> {
    async fn end_leases(&mut self) -> Result<(), ChunkError> {
        let metadata = &self.shared.metadata;
        loop {
            let sweep = SweepLeases { now: self.now };
            let ended = metadata.write_in_background(sweep).await?;
            if ended == 0 {
                return Ok(());
            }
            self.done.leases_ended += ended;
        }
    }

    async fn delete_contents(&mut self) -> Result<(), ChunkError> {
        let mut after = ContentRef(0);
        loop {
            let slice = CollectDead {
                after,
                lost_until: self.now.plus_seconds(-self.graces.dead_seconds),
                now: self.now,
            };
            let slice = self.shared.metadata.write_in_background(slice).await?;
            self.done.contents_deleted += slice.deleted;
            self.done.content_bytes += slice.deleted_bytes;
            let Some(last) = slice.last else {
                return Ok(());
            };
            after = last;
            (self.report)(CollectProgress::Contents {
                deleted: self.done.contents_deleted,
            });
        }
    }

    async fn compact_packs(&mut self) -> Result<(), ChunkError> {
        let mut after = PackId(0);
        loop {
            let page = SuspectPacks {
                after,
                now: self.lease_now,
                limit: PACKS_PAGE,
            };
            let page = self.shared.metadata.read(page).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.row.id;
            for suspect in page {
                self.look_at(suspect).await?;
            }
        }
    }

    /// Compacts a pack if that is allowed and pays.
    async fn look_at(&mut self, suspect: SuspectPack) -> Result<(), ChunkError> {
        let SuspectPack { row, is_leased } = suspect;
        match row.state {
            PackState::Open => return Ok(()),
            PackState::Moved | PackState::Gone => return self.clear(row.id).await,
            PackState::Sealed => {}
        }
        let fresh_until = self.fresh_until();
        let is_fresh = row.sealed_at.is_none_or(|at| at > fresh_until);
        if is_fresh || is_leased || self.shared.uploads.may_use(row.id) {
            self.done.packs_waiting += 1;
            return Ok(());
        }
        match self.compact(&row).await {
            Err(ChunkError::Damaged(what)) => {
                self.note_damaged(row.id, &what);
                Ok(())
            }
            other => other,
        }
    }

    /// Returns up to when a pack must have been sealed to be given up.
    ///
    /// Which uploads are in progress is known of this process alone. On a store that servers share,
    /// no wish of an administrator shortens the grace below what an upload may last without a lease.
    pub(super) fn fresh_until(&self) -> Timestamp {
        let asked = self.graces.fresh_pack_seconds;
        let seconds = if self.shared.objects.are_shared() {
            asked.max(SHARED_FRESH_SECONDS)
        } else {
            asked
        };
        self.now.plus_seconds(-seconds)
    }

    pub(super) fn note_damaged(&mut self, pack: PackId, what: &str) {
        tracing::error!(what, pack = pack.0, "a pack cannot be compacted");
        self.done.packs_damaged += 1;
    }

    /// Reads bytes of a pack as they are stored.
    async fn fetch(&mut self, uuid: &[u8; 16], range: Range<u64>) -> Result<Bytes, ChunkError> {
        let read = self.shared.objects.read_past_cache(uuid, range).await;
        read.map_err(|fault| fault.or_missing(uuid))
    }

    async fn clear(&mut self, pack: PackId) -> Result<(), ChunkError> {
        let clear = ClearSuspicion(pack);
        Ok(self.shared.metadata.write_in_background(clear).await?)
    }

    async fn compact(&mut self, row: &PackRow) -> Result<(), ChunkError> {
        let live = self.live_frames(row.id).await?;
        let live_bytes = live.bytes();
        if live_bytes > 0 {
            let frames_bytes = self.frames_bytes(row).await?;
            if live_bytes * 100 >= frames_bytes * LIVE_PERCENT_MIN {
                self.done.packs_kept += 1;
                return self.clear(row.id).await;
            }
        }
        self.move_packs(vec![(row.clone(), live)]).await
    }

    /// Copies what lives of packs, and gives the packs up.
    pub(super) async fn move_packs(
        &mut self,
        packs: Vec<(PackRow, Live)>,
    ) -> Result<(), ChunkError> {
        // The copies are named by nothing until the packs have moved.
        let _mark = self.shared.uploads.begin();
        let begun = self.shared.clock.now();
        let appender = self.shared.appenders.idlest();
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut copied = Vec::with_capacity(packs.len());
        for (row, live) in packs {
            match self.copy(&row, &live, appender, &mut stretches).await {
                Ok(moved) => copied.push((row, live, moved)),
                Err(ChunkError::Damaged(what)) => self.note_damaged(row.id, &what),
                Err(error) => return Err(error),
            }
        }
        self.shared.appenders.sync(stretches).await?;
        for (row, live, moved) in copied {
            // Then another server may have taken the copies for garbage.
            if self.shared.clock.now() > begun.plus_seconds(UNNAMED_SECONDS_MAX) {
                self.done.packs_waiting += 1;
                continue;
            }
            self.give_up(&row, live, moved).await?;
        }
        Ok(())
    }

    /// Gives a pack up whose live frames lie elsewhere, durably.
    async fn give_up(
        &mut self,
        row: &PackRow,
        live: Live,
        moved: Redirections,
    ) -> Result<(), ChunkError> {
        let live_bytes = live.bytes();
        let moving = MovePack {
            pack: row.id,
            copied: live.contents,
            moved,
            at: self.now,
        };
        let has_moved = self.shared.metadata.write_in_background(moving).await?;
        for pack in live.sources.into_iter().chain([row.id]) {
            self.shared.places.forget(pack);
        }
        if !has_moved {
            // A content came to need it meanwhile: the next round looks again.
            self.done.packs_waiting += 1;
            return Ok(());
        }
        self.done.packs_compacted += 1;
        self.done.copied_bytes += live_bytes;
        (self.report)(CollectProgress::Compacted {
            pack: row.id.0,
            live_bytes,
            size_bytes: row.size_bytes,
        });
        Ok(())
    }

    /// Finds the frames of a pack's file that contents name, directly or by redirection.
    pub(super) async fn live_frames(&mut self, pack: PackId) -> Result<Live, ChunkError> {
        let sources = self.shared.metadata.read(SourcesOfPack(pack)).await?;
        let mut live = Live {
            frames: BTreeMap::new(),
            contents: Vec::new(),
            sources: sources.iter().map(|(source, _)| *source).collect(),
        };
        let sources: HashMap<PackId, Redirections> = sources.into_iter().collect();
        let offset_of = |place: &Place| {
            if place.pack == pack {
                return Some(place.offset);
            }
            let (target, offset) = sources.get(&place.pack)?.resolve(place.offset)?;
            (target == pack).then_some(offset)
        };
        let mut after = ContentRef(0);
        loop {
            let page = ContentsOfPack {
                pack,
                after,
                limit: CONTENTS_PAGE,
            };
            let page = self.shared.metadata.read(page).await?;
            let Some(newest) = page.last() else {
                return Ok(live);
            };
            after = newest.id;
            for content in page {
                live.contents.push(content.id);
                let frames = &mut live.frames;
                visit_frames(self.shared, &content, &mut |frame| {
                    if let Some(offset) = offset_of(&frame.place) {
                        frames.insert(offset, frame.place.stored_bytes);
                    }
                })
                .await?;
            }
        }
    }

    /// Returns the length of a pack without its header and footer.
    async fn frames_bytes(&mut self, row: &PackRow) -> Result<u64, ChunkError> {
        let tail = row.size_bytes.saturating_sub(8)..row.size_bytes;
        let tail = self.fetch(&row.uuid, tail).await?;
        let footer_bytes = Footer::length_from_tail(&tail).map_err(|fault| {
            ChunkError::Damaged(format!("footer of pack {}: {fault}", row.id.0))
        })?;
        Ok(row
            .size_bytes
            .saturating_sub(footer_bytes + PACK_HEADER_BYTES as u64))
    }

    /// Copies live frames into open segments; returns where each went.
    async fn copy(
        &mut self,
        row: &PackRow,
        live: &Live,
        appender: usize,
        stretches: &mut Vec<Stretch>,
    ) -> Result<Redirections, ChunkError> {
        let mut moved = Redirections::default();
        let mut frames = live.frames.iter().peekable();
        while let Some((first, stored_bytes)) = frames.next() {
            let end =
                |offset: u64, stored: u32| offset + FRAME_OVERHEAD_BYTES as u64 + u64::from(stored);
            let mut offsets = vec![*first];
            let mut until = end(*first, *stored_bytes);
            while let Some((offset, stored)) =
                frames.next_if(|(offset, _)| **offset == until && until - first < COPY_BYTES)
            {
                offsets.push(*offset);
                until = end(*offset, *stored);
            }
            let bytes = self.fetch(&row.uuid, *first..until).await?;
            let copies = self.prove(row.id, *first, bytes).await?;
            let append = self
                .shared
                .appenders
                .append(appender, copies, Until::Written, None);
            let written = append.wait().await?;
            for (from, place) in offsets.into_iter().zip(&written.places) {
                moved.push(Redirection {
                    from,
                    length: FRAME_OVERHEAD_BYTES as u64 + u64::from(place.stored_bytes),
                    pack: place.pack,
                    to: place.offset,
                });
            }
            let segment = &written.stretch.segment;
            stretches.retain(|held| !Arc::ptr_eq(&held.segment, segment));
            stretches.push(written.stretch);
        }
        Ok(moved)
    }

    /// Proves frames that lie back to back before they are copied: damage is never carried on.
    async fn prove(
        &mut self,
        pack: PackId,
        offset: u64,
        bytes: Bytes,
    ) -> Result<Vec<NewFrame>, ChunkError> {
        let shared = Arc::clone(self.shared);
        let prove = move || {
            let mut frames = Vec::new();
            let mut at = 0;
            while at < bytes.len() {
                let damaged = || {
                    ChunkError::Damaged(format!(
                        "frame at {} of pack {}",
                        offset + at as u64,
                        pack.0
                    ))
                };
                let rest = bytes.slice(at..);
                let (header, payload) = decode_frame(&rest).map_err(|_fault| damaged())?;
                let payload = rest.slice_ref(payload);
                let plain = unpack(&header, payload.clone()).ok_or_else(damaged)?;
                if shared.secrets.key.chunk_id(&plain) != header.id {
                    return Err(damaged());
                }
                at += FRAME_OVERHEAD_BYTES + payload.len();
                let FrameHeader {
                    id, plain_bytes, ..
                } = header;
                frames.push(NewFrame {
                    id,
                    plain_bytes,
                    payload,
                });
            }
            Ok(frames)
        };
        tokio::task::spawn_blocking(prove)
            .await
            .map_err(|_gone| ChunkError::Closed)?
    }

    async fn delete_files(&mut self) -> Result<(), ChunkError> {
        let mut after = PackId(0);
        loop {
            let page = DeletablePacks {
                gone_until: self.now.plus_seconds(-self.graces.gone_seconds),
                now: self.lease_now,
                after,
                limit: PACKS_PAGE,
            };
            let page = self.shared.metadata.read(page).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.id;
            for row in page {
                self.shared.objects.delete(&row.uuid).await?;
                let gone = NotePackGone(row.id);
                self.shared.metadata.write_in_background(gone).await?;
                self.note_deleted(row.id, row.size_bytes);
            }
        }
    }

    fn note_deleted(&mut self, pack: PackId, size_bytes: u64) {
        self.done.files_deleted += 1;
        self.done.freed_bytes += size_bytes;
        let pack = pack.0;
        (self.report)(CollectProgress::Deleted { pack, size_bytes });
    }

    /// Deletes files that no row knows: a restored database is older than its packs.
    async fn delete_orphans(&mut self) -> Result<(), ChunkError> {
        let objects = &self.shared.objects;
        let present = objects.present().await?.unwrap_or(self.now);
        let until = present.plus_seconds(-self.graces.orphan_seconds);
        // First what is there, then the rows: a pack has a row before it is there.
        let files = objects.list().await?;
        let rows = named_packs(self.shared).await?;
        for file in files {
            let PackFile {
                uuid, size_bytes, ..
            } = file;
            if file.modified_at > until || rows.contains_key(&uuid) {
                continue;
            }
            let pack = match objects.header(&uuid).await {
                Ok(Some(header)) => header.pack,
                // No pack of ours, or deleted while we looked.
                Ok(None) | Err(ObjectFault::Missing) => continue,
                Err(ObjectFault::Failed(error)) => return Err(error),
            };
            let asked = PackFileIsNamed { pack, uuid };
            if !self.shared.metadata.read(asked).await? {
                tracing::warn!(
                    pack = pack.0,
                    size_bytes,
                    "a pack that no row knows is deleted"
                );
                self.shared.objects.delete(&uuid).await?;
                self.note_deleted(pack, size_bytes);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_ahead_stops_deletion_for_two_days() {
        let mut watch = ClockWatch::default();
        let start = Instant::now();
        let wall = Timestamp::from_seconds(1_000_000);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!watch.judge(start, wall));
        assert!(!watch.judge(at(600), wall.plus_seconds(600)));
        assert!(watch.judge(at(1_200), wall.plus_seconds(1_200 + 4_000)));
        assert!(watch.judge(at(90_000), wall.plus_seconds(94_000)));
        assert!(!watch.judge(at(180_000), wall.plus_seconds(184_000)));
        // Backwards is harmless: everything only waits longer.
        assert!(!watch.judge(at(180_600), wall));
    }
}
