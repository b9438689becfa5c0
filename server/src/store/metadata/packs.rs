//! Packs and leases: which pack files exist, which contents need them, and what protects their frames.
//!
//! No row stands for a chunk. `content_pack` says which contents name frames of
//! a pack, by the *logical* number that stands in their maps. When a pack was
//! compacted, its row keeps where the live frames went, and `pack_source` says
//! which such packs lead into a pack that exists.
//!
//! # Always true
//!
//! * A pack's row is committed before its file is used, and its number never names another file.
//! * The contents that need frames of a file are those in `content_pack` of its pack and of the
//!   pack's sources; asked inside the transaction that gives the file up.
//! * A redirection leads in one step to a pack whose file exists.
//! * Whoever makes a lease name a content holds the row lock of the content's space.

use nuage_shared::manifest::Map;
use nuage_shared::manifest::PackId;
use nuage_shared::manifest::Place;
use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::contents::content_by_id;
use crate::store::metadata::contents::maybe_dead;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::history::lock_space_row;
use crate::store::metadata::nodes::path_of;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::nodes::unsigned;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::ContentBody;
use crate::store::metadata::records::ContentRef;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::redirections::Redirections;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;

/// How long a lease lives without a sign of life, in seconds.
pub const LEASE_SECONDS: i64 = 24 * 3_600;
/// Contents that one slice of collection looks at.
const SLICE_CONTENTS: i64 = 50;

/// What has become of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackState {
    /// A segment: frames are still appended.
    Open,
    /// Complete; never changes again.
    Sealed,
    /// Compacted: its frames lie elsewhere, its file waits for the grace.
    Moved,
    /// Compacted, and its file is deleted.
    Gone,
}

impl PackState {
    fn number(self) -> i64 {
        match self {
            Self::Open => 0,
            Self::Sealed => 1,
            Self::Moved => 2,
            Self::Gone => 3,
        }
    }

    fn from_number(number: i64) -> StoreResult<Self> {
        match number {
            0 => Ok(Self::Open),
            1 => Ok(Self::Sealed),
            2 => Ok(Self::Moved),
            3 => Ok(Self::Gone),
            other => Err(StoreError::Corrupt(format!("pack.state {other}"))),
        }
    }
}

/// A pack's row.
#[derive(Debug, Clone)]
pub struct PackRow {
    /// Its number.
    pub id: PackId,
    /// The name of its file.
    pub uuid: [u8; 16],
    /// What has become of it.
    pub state: PackState,
    /// Length of its file; 0 while it is open.
    pub size_bytes: u64,
    /// When it was complete.
    pub sealed_at: Option<Timestamp>,
    /// When it was compacted.
    pub gone_at: Option<Timestamp>,
    /// When every frame was last read and hashed.
    pub verified_at: Option<Timestamp>,
}

/// Reads `id, uuid, state, bytes, sealed_at, gone_at, verified`.
fn read_pack(row: &dyn Row) -> StoreResult<PackRow> {
    Ok(PackRow {
        id: PackId(row.int(0)?),
        uuid: row
            .blob(1)?
            .try_into()
            .map_err(|_cause| StoreError::Corrupt("pack.uuid".into()))?,
        state: PackState::from_number(row.int(2)?)?,
        size_bytes: unsigned(row.int(3)?),
        sealed_at: row.opt_int(4)?.map(Timestamp),
        gone_at: row.opt_int(5)?.map(Timestamp),
        verified_at: row.opt_int(6)?.map(Timestamp),
    })
}

/// Announces a new pack before its file is used.
#[derive(Debug)]
pub struct OpenPack {
    /// The name of its file, random.
    pub uuid: [u8; 16],
    /// The present.
    pub at: Timestamp,
}

impl Operation for OpenPack {
    type Output = PackId;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<PackId> {
        let id = tx.reserve_ids("pack", 1).await?;
        tx.perform(
            "INSERT INTO pack (id, uuid, state, at) VALUES ($1, $2, 0, $3)",
            &[id.into(), self.uuid.as_slice().into(), self.at.0.into()],
        )
        .await?;
        Ok(PackId(id))
    }
}

/// Announces new packs before their objects are made.
#[derive(Debug)]
pub struct OpenPacks {
    /// The names of their objects, random.
    pub uuids: Vec<[u8; 16]>,
    /// The present.
    pub at: Timestamp,
}

impl Operation for OpenPacks {
    /// The first number; the others follow.
    type Output = PackId;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<PackId> {
        let count = i64::try_from(self.uuids.len()).unwrap_or(i64::MAX);
        let first = tx.reserve_ids("pack", count).await?;
        for (id, uuid) in (first..).zip(&self.uuids) {
            tx.perform(
                "INSERT INTO pack (id, uuid, state, at) VALUES ($1, $2, 0, $3)",
                &[id.into(), uuid.as_slice().into(), self.at.0.into()],
            )
            .await?;
        }
        Ok(PackId(first))
    }
}

/// Notes that packs are complete.
#[derive(Debug)]
pub struct SealPacks(pub Vec<SealPack>);

impl Operation for SealPacks {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        for sealing in &self.0 {
            sealing.run(tx).await?;
        }
        Ok(())
    }
}

/// Notes that a pack is complete; what uploads left behind in it is looked for later.
#[derive(Debug)]
pub struct SealPack {
    /// The pack.
    pub pack: PackId,
    /// The length of its file.
    pub size_bytes: u64,
    /// The present.
    pub at: Timestamp,
}

impl Operation for SealPack {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let sealed = tx
            .execute(
                "UPDATE pack SET state = 1, bytes = $1, sealed_at = $2 WHERE id = $3 AND state = 0",
                &[
                    signed(self.size_bytes).into(),
                    self.at.0.into(),
                    self.pack.0.into(),
                ],
            )
            .await?;
        if sealed > 0 {
            suspect_pack(tx, self.pack, self.at).await?;
        }
        Ok(())
    }
}

/// Tells the compaction to look at a pack.
async fn suspect_pack<T: Tx>(tx: &mut T, pack: PackId, at: Timestamp) -> StoreResult<()> {
    tx.perform(
        "INSERT INTO pack_work (pack, at) VALUES ($1, $2) ON CONFLICT (pack) DO NOTHING",
        &[pack.0.into(), at.0.into()],
    )
    .await?;
    Ok(())
}

/// Forgets a segment that never held a frame.
#[derive(Debug)]
pub struct DropPack(pub PackId);

impl Operation for DropPack {
    /// Whether the row went: a pack that a content names stays.
    type Output = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<bool> {
        let dropped = tx
            .execute(
                "DELETE FROM pack WHERE id = $1 AND state = 0 \
                 AND NOT EXISTS (SELECT 1 FROM content_pack WHERE pack = $1)",
                &[self.0.0.into()],
            )
            .await?;
        Ok(dropped > 0)
    }
}

/// Finds a pack and, where it was compacted, where its frames went.
#[derive(Debug)]
pub struct FindPack(pub PackId);

impl Operation for FindPack {
    type Output = Option<(PackRow, Option<Redirections>)>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Self::Output> {
        let found = tx
            .row(
                "SELECT id, uuid, state, bytes, sealed_at, gone_at, verified, moved \
                 FROM pack WHERE id = $1",
                &[self.0.0.into()],
                |row| Ok((read_pack(row)?, row.opt_blob(7)?)),
            )
            .await?;
        let Some((row, moved)) = found else {
            return Ok(None);
        };
        let moved = moved.map(|blob| decode_moved(row.id, &blob)).transpose()?;
        Ok(Some((row, moved)))
    }
}

fn decode_moved(pack: PackId, blob: &[u8]) -> StoreResult<Redirections> {
    Redirections::decode(blob)
        .ok_or_else(|| StoreError::Corrupt(format!("pack.moved of pack {}", pack.0)))
}

/// Lists packs of a state by number, a page at a time.
#[derive(Debug)]
pub struct ListPacks {
    /// Which.
    pub state: PackState,
    /// The last pack of the page before; 0 to begin.
    pub after: PackId,
    /// Most rows.
    pub limit: i64,
}

impl Operation for ListPacks {
    type Output = Vec<PackRow>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<PackRow>> {
        tx.rows(
            "SELECT id, uuid, state, bytes, sealed_at, gone_at, verified FROM pack \
             WHERE state = $1 AND id > $2 ORDER BY id LIMIT $3",
            &[
                self.state.number().into(),
                self.after.0.into(),
                self.limit.into(),
            ],
            read_pack,
        )
        .await
    }
}

/// Lists packs that have been open since a moment or longer, by number, a page at a time.
#[derive(Debug)]
pub struct StalePacks {
    /// Packs opened at or before this moment.
    pub opened_until: Timestamp,
    /// The last pack of the page before; 0 to begin.
    pub after: PackId,
    /// Most rows.
    pub limit: i64,
}

impl Operation for StalePacks {
    /// Rows, and when each was opened.
    type Output = Vec<(PackRow, Timestamp)>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Self::Output> {
        tx.rows(
            "SELECT id, uuid, state, bytes, sealed_at, gone_at, verified, at FROM pack \
             WHERE state = 0 AND id > $1 AND at <= $2 ORDER BY id LIMIT $3",
            &[
                self.after.0.into(),
                self.opened_until.0.into(),
                self.limit.into(),
            ],
            |row| Ok((read_pack(row)?, Timestamp(row.int(7)?))),
        )
        .await
    }
}

/// Lists sealed packs that are smaller than they should be, by number, a page at a time.
#[derive(Debug)]
pub struct SmallPacks {
    /// Packs shorter than this, in bytes.
    pub bytes_below: u64,
    /// Packs sealed at or before this moment.
    pub sealed_until: Timestamp,
    /// The present: leases that ended do not count.
    pub now: Timestamp,
    /// The last pack of the page before; 0 to begin.
    pub after: PackId,
    /// Most rows.
    pub limit: i64,
}

impl Operation for SmallPacks {
    /// Rows; a pack that was sealed after a lease began that lives is left out.
    type Output = Vec<PackRow>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<PackRow>> {
        let oldest = oldest_lease(tx, self.now).await?;
        let sealed_until = oldest.map_or(self.sealed_until, |begun| {
            self.sealed_until.min(Timestamp(begun.0.saturating_sub(1)))
        });
        tx.rows(
            "SELECT id, uuid, state, bytes, sealed_at, gone_at, verified FROM pack \
             WHERE state = 1 AND id > $1 AND bytes < $2 AND sealed_at <= $3 ORDER BY id LIMIT $4",
            &[
                self.after.0.into(),
                signed(self.bytes_below).into(),
                sealed_until.0.into(),
                self.limit.into(),
            ],
            read_pack,
        )
        .await
    }
}

/// Learns which store of chunks belongs to this database, or makes it this one.
#[derive(Debug)]
pub struct NameChunkStore {
    /// The name that stands in the store; a fresh, random one if none does.
    pub id: String,
    /// Where it is, in an administrator's words.
    pub place: String,
}

impl Operation for NameChunkStore {
    /// The name and place of the store that belongs to the database.
    type Output = (String, String);

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<(String, String)> {
        for (name, value) in [("chunk_store", &self.id), ("chunk_place", &self.place)] {
            tx.perform(
                "INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                &[name.into(), value.as_str().into()],
            )
            .await?;
        }
        let mut held = [String::new(), String::new()];
        for (name, value) in ["chunk_store", "chunk_place"].into_iter().zip(&mut held) {
            let found = tx
                .row(
                    "SELECT value FROM setting WHERE name = $1",
                    &[name.into()],
                    |row| row.text(0),
                )
                .await?;
            *value = found.unwrap_or_default();
        }
        let [id, place] = held;
        Ok((id, place))
    }
}

/// Reads which store of chunks belongs to this database.
#[derive(Debug)]
pub struct ReadChunkStore;

impl Operation for ReadChunkStore {
    /// Its name and place, and whether the database knows of any pack.
    type Output = (Option<(String, String)>, bool);

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Self::Output> {
        let named = tx
            .row(
                "SELECT a.value, b.value FROM setting a CROSS JOIN setting b \
                 WHERE a.name = 'chunk_store' AND b.name = 'chunk_place'",
                &[],
                |row| Ok((row.text(0)?, row.text(1)?)),
            )
            .await?;
        let pack = tx
            .row(
                "SELECT id FROM pack WHERE state IN (1, 2) ORDER BY id LIMIT 1",
                &[],
                |row| row.int(0),
            )
            .await?;
        Ok((named, pack.is_some()))
    }
}

/// Finds a pack's row by the name of its file.
#[derive(Debug)]
pub struct PackFileIsNamed {
    /// The number in the file's header.
    pub pack: PackId,
    /// The file's name.
    pub uuid: [u8; 16],
}

impl Operation for PackFileIsNamed {
    /// Whether a row still wants the file.
    type Output = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<bool> {
        let named = tx
            .row(
                "SELECT 1 FROM pack WHERE id = $1 AND uuid = $2 AND state < 3",
                &[self.pack.0.into(), self.uuid.as_slice().into()],
                |row| row.int(0),
            )
            .await?;
        Ok(named.is_some())
    }
}

/// Lists, by number, contents that need frames of a pack's file, with their maps.
#[derive(Debug)]
pub struct ContentsOfPack {
    /// The pack.
    pub pack: PackId,
    /// The last content of the page before; 0 to begin.
    pub after: ContentRef,
    /// Most rows.
    pub limit: i64,
}

impl Operation for ContentsOfPack {
    type Output = Vec<Content>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Content>> {
        let ids = contents_in(tx, self.pack, self.after, self.limit).await?;
        let mut contents = Vec::with_capacity(ids.len());
        for id in ids {
            contents.extend(content_by_id(tx, id).await?);
        }
        Ok(contents)
    }
}

/// Lists the numbers of contents that need frames of a pack's file.
async fn contents_in<T: Tx>(
    tx: &mut T,
    pack: PackId,
    after: ContentRef,
    limit: i64,
) -> StoreResult<Vec<ContentRef>> {
    tx.rows(
        "SELECT content_id FROM content_pack WHERE pack = $1 AND content_id > $2 UNION \
         SELECT p.content_id FROM pack_source s CROSS JOIN content_pack p \
         WHERE s.pack = $1 AND p.pack = s.source AND p.content_id > $2 \
         ORDER BY content_id LIMIT $3",
        &[pack.0.into(), after.0.into(), limit.into()],
        |row| Ok(ContentRef(row.int(0)?)),
    )
    .await
}

/// Finds the packs that lead into a pack, with where their frames went.
#[derive(Debug)]
pub struct SourcesOfPack(pub PackId);

impl Operation for SourcesOfPack {
    type Output = Vec<(PackId, Redirections)>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Self::Output> {
        sources_of(tx, self.0).await
    }
}

async fn sources_of<T: Tx>(tx: &mut T, pack: PackId) -> StoreResult<Vec<(PackId, Redirections)>> {
    tx.rows(
        "SELECT p.id, p.moved FROM pack_source s CROSS JOIN pack p \
         WHERE s.pack = $1 AND p.id = s.source",
        &[pack.0.into()],
        |row| {
            let source = PackId(row.int(0)?);
            Ok((source, decode_moved(source, &row.blob(1)?)?))
        },
    )
    .await
}

/// Finds which files have, or had, a content.
#[derive(Debug)]
pub struct WhoNames(pub ContentRef);

impl Operation for WhoNames {
    /// For each node its path, if it is not in the trash, and whether only a former version is meant.
    type Output = Vec<(NodeId, Option<NodePath>, bool)>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Self::Output> {
        let nodes = tx
            .rows(
                "SELECT id, space_id, 0 FROM node WHERE content_id = $1 UNION ALL \
                 SELECT node_id, space_id, 1 FROM hist WHERE content_id = $1 LIMIT 100",
                &[self.0.0.into()],
                |row| Ok((NodeId(row.int(0)?), SpaceId(row.int(1)?), row.int(2)? != 0)),
            )
            .await?;
        let mut named = Vec::with_capacity(nodes.len());
        for (node, space, is_former) in nodes {
            named.push((node, path_of(tx, space, node).await?, is_former));
        }
        Ok(named)
    }
}

/// Finds where, in a segment, the last frame ends that a content's row or map names.
///
/// Chunks whose leaf lies in another pack are not looked at.
#[derive(Debug)]
pub struct LastNamedByte(pub PackId);

impl Operation for LastNamedByte {
    type Output = u64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<u64> {
        let mut after = ContentRef(0);
        let mut end = 0;
        loop {
            let page = contents_in(tx, self.0, after, SLICE_CONTENTS).await?;
            let Some(last) = page.last().copied() else {
                return Ok(end);
            };
            for id in page {
                let content = content_by_id(tx, id).await?;
                end = end.max(content.map_or(0, |content| named_until(&content, self.0)));
            }
            after = last;
        }
    }
}

/// Returns where, in a pack, the last frame ends that a content names by itself.
fn named_until(content: &Content, pack: PackId) -> u64 {
    let places: Vec<Place> = match &content.body {
        ContentBody::Hot(_) => Vec::new(),
        ContentBody::One(place) => vec![*place],
        ContentBody::Map(bytes) => match Map::decode(bytes) {
            Ok(Map::Leaf(chunks)) => chunks.iter().map(|chunk| chunk.place).collect(),
            Ok(Map::Tree(leaves)) => leaves.iter().map(|leaf| leaf.place).collect(),
            // The audit reports it.
            Err(_) => Vec::new(),
        },
    };
    let ends = places.iter().filter(|place| place.pack == pack);
    ends.map(Place::end_offset).max().unwrap_or(0)
}

/// Gives a pack up: its live frames lie elsewhere, durably.
#[derive(Debug)]
pub struct MovePack {
    /// The pack.
    pub pack: PackId,
    /// The contents whose frames were copied, ascending.
    pub copied: Vec<ContentRef>,
    /// Where each live frame is now.
    pub moved: Redirections,
    /// The present.
    pub at: Timestamp,
}

impl Operation for MovePack {
    /// Whether it was given up: not when a content needs it that was not copied.
    type Output = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<bool> {
        // The rows first: who needs the pack and where its sources lead must not change any more.
        // The sources include packs whose `moved` another compaction may be writing.
        tx.perform(
            "UPDATE pack SET state = state WHERE id IN \
             (SELECT source FROM pack_source WHERE pack = $1 UNION SELECT $1)",
            &[self.pack.0.into()],
        )
        .await?;
        let needed = contents_in(tx, self.pack, ContentRef(0), i64::MAX).await?;
        let is_copied = |id: &ContentRef| self.copied.binary_search(id).is_ok();
        if !needed.iter().all(is_copied) {
            return Ok(false);
        }
        let moved = tx
            .execute(
                "UPDATE pack SET state = 2, gone_at = $1, moved = $2 WHERE id = $3 AND state = 1",
                &[
                    self.at.0.into(),
                    self.moved.encode().as_slice().into(),
                    self.pack.0.into(),
                ],
            )
            .await?;
        if moved == 0 {
            return Ok(false);
        }
        self.repoint_sources(tx).await?;
        note_sources(tx, self.pack, &self.moved).await?;
        tx.perform(
            "DELETE FROM pack_work WHERE pack = $1",
            &[self.pack.0.into()],
        )
        .await?;
        Ok(true)
    }
}

impl MovePack {
    /// Leads the packs that had moved into this one straight to where their frames are now.
    async fn repoint_sources<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let sources = sources_of(tx, self.pack).await?;
        tx.perform(
            "DELETE FROM pack_source WHERE pack = $1",
            &[self.pack.0.into()],
        )
        .await?;
        for (source, moved) in sources {
            let now = moved.repointed(self.pack, &self.moved);
            tx.perform(
                "UPDATE pack SET moved = $1 WHERE id = $2",
                &[now.encode().as_slice().into(), source.0.into()],
            )
            .await?;
            note_sources(tx, source, &now).await?;
        }
        Ok(())
    }
}

/// Notes into which packs a moved pack leads.
async fn note_sources<T: Tx>(tx: &mut T, source: PackId, moved: &Redirections) -> StoreResult<()> {
    let mut targets: Vec<PackId> = moved.runs().iter().map(|run| run.pack).collect();
    targets.sort_unstable();
    targets.dedup();
    for target in targets {
        tx.perform(
            "INSERT INTO pack_source (pack, source) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            &[target.0.into(), source.0.into()],
        )
        .await?;
    }
    Ok(())
}

/// A pack that compaction was asked to look at.
#[derive(Debug, Clone)]
pub struct SuspectPack {
    /// The pack.
    pub row: PackRow,
    /// Whether a lease that began before its sealing lives.
    pub is_leased: bool,
}

/// Lists packs that may hold garbage, by number, a page at a time.
#[derive(Debug)]
pub struct SuspectPacks {
    /// The last pack of the page before; 0 to begin.
    pub after: PackId,
    /// The present: leases that ended do not count.
    pub now: Timestamp,
    /// Most rows.
    pub limit: i64,
}

impl Operation for SuspectPacks {
    type Output = Vec<SuspectPack>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<SuspectPack>> {
        let oldest = oldest_lease(tx, self.now).await?;
        tx.rows(
            "SELECT p.id, p.uuid, p.state, p.bytes, p.sealed_at, p.gone_at, p.verified \
             FROM pack_work w CROSS JOIN pack p WHERE w.pack > $1 AND p.id = w.pack \
             ORDER BY w.pack LIMIT $2",
            &[self.after.0.into(), self.limit.into()],
            |row| {
                let row = read_pack(row)?;
                let is_leased = match (oldest, row.sealed_at) {
                    (Some(begun), Some(sealed_at)) => begun <= sealed_at,
                    (Some(_) | None, _) => false,
                };
                Ok(SuspectPack { row, is_leased })
            },
        )
        .await
    }
}

/// Returns when the oldest lease that still lives began.
async fn oldest_lease<T: Tx>(tx: &mut T, now: Timestamp) -> StoreResult<Option<Timestamp>> {
    let oldest = tx
        .row(
            "SELECT min(begun) FROM lease WHERE until > $1",
            &[now.0.into()],
            |row| row.opt_int(0),
        )
        .await?;
    Ok(oldest.flatten().map(Timestamp))
}

/// Ends the suspicion of a pack; one that is gone and that nothing names is forgotten.
#[derive(Debug)]
pub struct ClearSuspicion(pub PackId);

impl Operation for ClearSuspicion {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let pack = self.0.0;
        tx.perform("DELETE FROM pack_work WHERE pack = $1", &[pack.into()])
            .await?;
        forget_pack(tx, self.0).await
    }
}

/// Forgets a pack whose file is deleted, if no map leads through it any more.
async fn forget_pack<T: Tx>(tx: &mut T, pack: PackId) -> StoreResult<()> {
    let forgotten = tx
        .execute(
            "DELETE FROM pack WHERE id = $1 AND state = 3 \
             AND NOT EXISTS (SELECT 1 FROM content_pack WHERE pack = $1)",
            &[pack.0.into()],
        )
        .await?;
    if forgotten > 0 {
        tx.perform(
            "DELETE FROM pack_source WHERE source = $1",
            &[pack.0.into()],
        )
        .await?;
    }
    Ok(())
}

/// Lists packs whose files the grace and every lease have let go, by number.
#[derive(Debug)]
pub struct DeletablePacks {
    /// Packs compacted at or before this moment.
    pub gone_until: Timestamp,
    /// The present: leases that ended do not count.
    pub now: Timestamp,
    /// The last pack of the page before; 0 to begin.
    pub after: PackId,
    /// Most rows.
    pub limit: i64,
}

impl Operation for DeletablePacks {
    type Output = Vec<PackRow>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<PackRow>> {
        let oldest = oldest_lease(tx, self.now).await?;
        let gone_until = oldest.map_or(self.gone_until, |begun| {
            self.gone_until.min(Timestamp(begun.0.saturating_sub(1)))
        });
        tx.rows(
            "SELECT id, uuid, state, bytes, sealed_at, gone_at, verified FROM pack \
             WHERE state = 2 AND id > $1 AND gone_at <= $2 ORDER BY id LIMIT $3",
            &[self.after.0.into(), gone_until.0.into(), self.limit.into()],
            read_pack,
        )
        .await
    }
}

/// Notes that the file of a moved pack is deleted.
#[derive(Debug)]
pub struct NotePackGone(pub PackId);

impl Operation for NotePackGone {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.perform(
            "UPDATE pack SET state = 3, bytes = 0 WHERE id = $1 AND state = 2",
            &[self.0.0.into()],
        )
        .await?;
        forget_pack(tx, self.0).await
    }
}

/// Notes when every frame of a pack was read and hashed without a fault.
#[derive(Debug)]
pub struct NoteVerified {
    /// The pack.
    pub pack: PackId,
    /// The present.
    pub at: Timestamp,
}

impl Operation for NoteVerified {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.perform(
            "UPDATE pack SET verified = $1 WHERE id = $2",
            &[self.at.0.into(), self.pack.0.into()],
        )
        .await?;
        Ok(())
    }
}

/// Some contents that may be dead, as the collector found them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeadSlice {
    /// Where the next slice goes on; `None`: nothing is left.
    pub last: Option<ContentRef>,
    /// Contents deleted.
    pub deleted: u64,
    /// Their plain bytes.
    pub deleted_bytes: u64,
}

/// Deletes, of some contents that may be dead, those that nothing names.
#[derive(Debug)]
pub struct CollectDead {
    /// The last content of the slice before; 0 to begin.
    pub after: ContentRef,
    /// Contents that lost a name at or before this moment.
    pub lost_until: Timestamp,
    /// The present.
    pub now: Timestamp,
}

impl Operation for CollectDead {
    type Output = DeadSlice;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<DeadSlice> {
        let candidates = tx
            .rows(
                "SELECT d.content_id, c.space_id, c.size FROM maybe_dead d \
                 LEFT JOIN content c ON c.id = d.content_id \
                 WHERE d.content_id > $1 AND d.at <= $2 ORDER BY d.content_id LIMIT $3",
                &[
                    self.after.0.into(),
                    self.lost_until.0.into(),
                    SLICE_CONTENTS.into(),
                ],
                |row| Ok((ContentRef(row.int(0)?), row.opt_int(1)?, row.opt_int(2)?)),
            )
            .await?;
        let mut spaces: Vec<i64> = candidates.iter().filter_map(|found| found.1).collect();
        spaces.sort_unstable();
        spaces.dedup();
        for space in spaces {
            lock_space_row(tx, SpaceId(space)).await?;
        }
        let mut slice = DeadSlice {
            last: candidates.last().map(|found| found.0),
            ..DeadSlice::default()
        };
        for (content, _, size) in candidates {
            if self.collect(tx, content).await? {
                slice.deleted += u64::from(size.is_some());
                slice.deleted_bytes += unsigned(size.unwrap_or(0));
            }
        }
        Ok(slice)
    }
}

impl CollectDead {
    /// Deletes a content unless something names it; its space is locked.
    async fn collect<T: Tx>(&self, tx: &mut T, content: ContentRef) -> StoreResult<bool> {
        let id = content.0.into();
        let named = tx
            .row(
                "SELECT EXISTS (SELECT 1 FROM node WHERE content_id = $1) \
                 OR EXISTS (SELECT 1 FROM hist WHERE content_id = $1) \
                 OR EXISTS (SELECT 1 FROM upload_part WHERE content_id = $1), \
                 EXISTS (SELECT 1 FROM lease_content WHERE content_id = $1)",
                &[id],
                |row| Ok((row.int(0)? != 0, row.int(1)? != 0)),
            )
            .await?;
        if let Some((false, true)) = named {
            // Only a lease holds it: it is asked again later.
            tx.perform(
                "UPDATE maybe_dead SET at = $1 WHERE content_id = $2",
                &[self.now.0.into(), id],
            )
            .await?;
            return Ok(false);
        }
        tx.perform("DELETE FROM maybe_dead WHERE content_id = $1", &[id])
            .await?;
        if named != Some((false, false)) {
            return Ok(false);
        }
        release_body(tx, content, self.now).await?;
        tx.perform("DELETE FROM content WHERE id = $1", &[id])
            .await?;
        Ok(true)
    }
}

/// Takes a content's bytes away from its row: its packs may now hold garbage.
pub(crate) async fn release_body<T: Tx>(
    tx: &mut T,
    content: ContentRef,
    now: Timestamp,
) -> StoreResult<()> {
    let id = content.0.into();
    // Held, so that nobody gives it a place behind our back.
    tx.perform("UPDATE content SET at = at WHERE id = $1", &[id])
        .await?;
    let packs = tx
        .rows(
            "SELECT pack FROM content_pack WHERE content_id = $1",
            &[id],
            |row| Ok(PackId(row.int(0)?)),
        )
        .await?;
    for pack in packs {
        suspect_with_targets(tx, pack, now).await?;
    }
    for statement in [
        "DELETE FROM content_pack WHERE content_id = $1",
        "DELETE FROM hook WHERE content_id = $1",
        "DELETE FROM hot_chunk WHERE content_id = $1",
    ] {
        tx.perform(statement, &[id]).await?;
    }
    Ok(())
}

/// Tells the compaction to look at a pack and at those that its frames moved to.
async fn suspect_with_targets<T: Tx>(tx: &mut T, pack: PackId, now: Timestamp) -> StoreResult<()> {
    suspect_pack(tx, pack, now).await?;
    let targets = tx
        .rows(
            "SELECT pack FROM pack_source WHERE source = $1",
            &[pack.0.into()],
            |row| Ok(PackId(row.int(0)?)),
        )
        .await?;
    for target in targets {
        suspect_pack(tx, target, now).await?;
    }
    Ok(())
}

/// Lists small contents whose bytes still are in the database, by number, with their bytes.
#[derive(Debug)]
pub struct HotContents {
    /// The last content of the page before; 0 to begin.
    pub after: ContentRef,
    /// Most rows.
    pub limit: i64,
}

impl Operation for HotContents {
    type Output = Vec<Content>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Content>> {
        let ids = tx
            .rows(
                "SELECT content_id FROM hot_chunk WHERE content_id > $1 ORDER BY content_id LIMIT $2",
                &[self.after.0.into(), self.limit.into()],
                |row| Ok(ContentRef(row.int(0)?)),
            )
            .await?;
        let mut contents = Vec::with_capacity(ids.len());
        for id in ids {
            contents.extend(content_by_id(tx, id).await?);
        }
        Ok(contents)
    }
}

/// Replaces the bytes of small contents by places, where frames hold them durably.
#[derive(Debug)]
pub struct PlaceHot(pub Vec<(ContentRef, Place)>);

impl Operation for PlaceHot {
    /// Contents that have a place now.
    type Output = u64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<u64> {
        let mut placed = 0;
        for (content, place) in &self.0 {
            // Its row is held, so that no compaction gives it up meanwhile.
            let exists = tx
                .execute(
                    "UPDATE pack SET state = state WHERE id = $1 AND state < 2",
                    &[place.pack.0.into()],
                )
                .await?;
            if exists == 0 {
                // The frame was collected meanwhile; the bytes stay where they are.
                continue;
            }
            let changed = tx
                .execute(
                    "UPDATE content SET pack = $1, off = $2, stored = $3 \
                     WHERE id = $4 AND pack IS NULL AND map IS NULL",
                    &[
                        place.pack.0.into(),
                        signed(place.offset).into(),
                        i64::from(place.stored_bytes).into(),
                        content.0.into(),
                    ],
                )
                .await?;
            if changed > 0 {
                name_pack(tx, *content, place.pack).await?;
                placed += 1;
            }
            tx.perform(
                "DELETE FROM hot_chunk WHERE content_id = $1",
                &[content.0.into()],
            )
            .await?;
        }
        Ok(placed)
    }
}

async fn name_pack<T: Tx>(tx: &mut T, content: ContentRef, pack: PackId) -> StoreResult<()> {
    tx.perform(
        "INSERT INTO content_pack (pack, content_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        &[pack.0.into(), content.0.into()],
    )
    .await?;
    Ok(())
}

/// A content with the packs that `content_pack` says it names.
#[derive(Debug, Clone)]
pub struct PackedContent {
    /// The content.
    pub content: Content,
    /// Packs, ascending.
    pub packs: Vec<PackId>,
}

/// Lists all contents by number, a page at a time.
#[derive(Debug)]
pub struct ListContents {
    /// The last content of the page before; 0 to begin.
    pub after: ContentRef,
    /// Most rows.
    pub limit: i64,
}

impl Operation for ListContents {
    type Output = Vec<PackedContent>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<PackedContent>> {
        let ids = tx
            .rows(
                "SELECT id FROM content WHERE id > $1 ORDER BY id LIMIT $2",
                &[self.after.0.into(), self.limit.into()],
                |row| Ok(ContentRef(row.int(0)?)),
            )
            .await?;
        let mut contents = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(content) = content_by_id(tx, id).await? else {
                continue;
            };
            let packs = tx
                .rows(
                    "SELECT pack FROM content_pack WHERE content_id = $1 ORDER BY pack",
                    &[id.0.into()],
                    |row| Ok(PackId(row.int(0)?)),
                )
                .await?;
            contents.push(PackedContent { content, packs });
        }
        Ok(contents)
    }
}

/// Makes `content_pack` say what a content's map says.
#[derive(Debug)]
pub struct RepairPacksOf {
    /// The content.
    pub content: ContentRef,
    /// The packs that its map names.
    pub packs: Vec<PackId>,
}

impl Operation for RepairPacksOf {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let exists = content_by_id(tx, self.content).await?;
        if exists.is_none_or(|content| matches!(content.body, ContentBody::Hot(_))) {
            return Ok(());
        }
        tx.perform(
            "DELETE FROM content_pack WHERE content_id = $1",
            &[self.content.0.into()],
        )
        .await?;
        for pack in &self.packs {
            name_pack(tx, self.content, *pack).await?;
        }
        Ok(())
    }
}

/// Writes the row of a sealed pack anew, from its file.
#[derive(Debug)]
pub struct RepairPack {
    /// The number in its header.
    pub pack: PackId,
    /// The name of its file.
    pub uuid: [u8; 16],
    /// The length of its file.
    pub size_bytes: u64,
    /// The present.
    pub at: Timestamp,
}

impl Operation for RepairPack {
    /// Whether a row was missing or wrong.
    type Output = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<bool> {
        let held = tx
            .row(
                "SELECT id, uuid, state, bytes, sealed_at, gone_at, verified FROM pack WHERE id = $1",
                &[self.pack.0.into()],
                read_pack,
            )
            .await?;
        let params = [
            self.pack.0.into(),
            self.uuid.as_slice().into(),
            signed(self.size_bytes).into(),
            self.at.0.into(),
        ];
        match held {
            None => {
                tx.perform(
                    "INSERT INTO pack (id, uuid, state, bytes, at, sealed_at) \
                     VALUES ($1, $2, 1, $3, $4, $4)",
                    &params,
                )
                .await?;
                suspect_pack(tx, self.pack, self.at).await?;
                Ok(true)
            }
            Some(row)
                if row.state == PackState::Sealed
                    && row.uuid == self.uuid
                    && row.size_bytes != self.size_bytes =>
            {
                tx.perform(
                    "UPDATE pack SET bytes = $1 WHERE id = $2",
                    &[signed(self.size_bytes).into(), self.pack.0.into()],
                )
                .await?;
                Ok(true)
            }
            Some(_) => Ok(false),
        }
    }
}

/// Takes a lease: while it lives, packs sealed after `begun` and the contents named are kept.
#[derive(Debug)]
pub struct BeginLease {
    /// Its name, random.
    pub id: [u8; 16],
    /// The space that the upload writes to; 0: none (a backup).
    pub space: SpaceId,
    /// When what it protects began.
    pub begun: Timestamp,
    /// When it ends without a sign of life.
    pub until: Timestamp,
    /// Contents of the space that the upload copies from.
    pub contents: Vec<ContentRef>,
}

impl Operation for BeginLease {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        lock_space_row(tx, self.space).await?;
        tx.perform(
            "INSERT INTO lease (id, space_id, begun, until) VALUES ($1, $2, $3, $4)",
            &[
                self.id.as_slice().into(),
                self.space.0.into(),
                self.begun.0.into(),
                self.until.0.into(),
            ],
        )
        .await?;
        protect(tx, &self.id, &self.contents).await
    }
}

/// Makes a lease name contents; their space's row is locked.
async fn protect<T: Tx>(tx: &mut T, id: &[u8; 16], contents: &[ContentRef]) -> StoreResult<()> {
    for content in contents {
        let lives = tx
            .row(
                "SELECT 1 FROM content WHERE id = $1",
                &[content.0.into()],
                |row| row.int(0),
            )
            .await?;
        if lives.is_none() {
            return Err(Refusal::SourceGone.into());
        }
        tx.perform(
            "INSERT INTO lease_content (lease_id, content_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            &[id.as_slice().into(), content.0.into()],
        )
        .await?;
    }
    Ok(())
}

/// Prolongs a lease; one that ended refuses with `SourceGone`.
#[derive(Debug)]
pub struct RenewLease {
    /// Its name.
    pub id: [u8; 16],
    /// When it ends without a further sign of life.
    pub until: Timestamp,
    /// Contents that the upload copies from.
    pub contents: Vec<ContentRef>,
}

impl Operation for RenewLease {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let space = tx
            .row(
                "SELECT space_id FROM lease WHERE id = $1",
                &[self.id.as_slice().into()],
                |row| Ok(SpaceId(row.int(0)?)),
            )
            .await?
            .ok_or(Refusal::SourceGone)?;
        lock_space_row(tx, space).await?;
        let renewed = tx
            .execute(
                "UPDATE lease SET until = $1 WHERE id = $2",
                &[self.until.0.into(), self.id.as_slice().into()],
            )
            .await?;
        if renewed == 0 {
            return Err(Refusal::SourceGone.into());
        }
        protect(tx, &self.id, &self.contents).await
    }
}

/// Ends a lease; one that is not there is no error.
#[derive(Debug)]
pub struct EndLease {
    /// Its name.
    pub id: [u8; 16],
}

impl Operation for EndLease {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        end_lease(tx, &self.id).await
    }
}

async fn end_lease<T: Tx>(tx: &mut T, id: &[u8]) -> StoreResult<()> {
    let held = tx
        .rows(
            "DELETE FROM lease_content WHERE lease_id = $1 RETURNING content_id",
            &[id.into()],
            |row| Ok(ContentRef(row.int(0)?)),
        )
        .await?;
    for content in held {
        // The lease was its grace.
        maybe_dead(tx, content, Timestamp(0)).await?;
    }
    tx.perform("DELETE FROM lease WHERE id = $1", &[id.into()])
        .await?;
    Ok(())
}

/// Ends some leases that gave no sign of life in time.
#[derive(Debug)]
pub struct SweepLeases {
    /// The present.
    pub now: Timestamp,
}

impl Operation for SweepLeases {
    /// Leases that ended; 0: none is left.
    type Output = u64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<u64> {
        let ended = tx
            .rows(
                "SELECT id FROM lease WHERE until <= $1 ORDER BY until LIMIT 20",
                &[self.now.0.into()],
                |row| row.blob(0),
            )
            .await?;
        for id in &ended {
            end_lease(tx, id).await?;
        }
        Ok(ended.len() as u64)
    }
}
