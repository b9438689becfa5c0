//! Contents: name the bytes that chunks made durable, find those that a space holds.

use bytes::Bytes;
use nuage_shared::chunk_id::ContentId;
use nuage_shared::chunker::Profile;
use nuage_shared::manifest::PackId;
use nuage_shared::manifest::Place;
use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::nodes::unsigned;
use crate::store::metadata::packs::release_body;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::ContentBody;
use crate::store::metadata::records::ContentRef;
use crate::store::metadata::records::NewContent;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::Root;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::tx::Asked;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::tx::Value;
use crate::store::metadata::walk::walk;

/// Reads `id, space_id, hash, size, profile, chunks, pack, off, stored, map, checksum, data`.
pub(crate) fn read_content(row: &dyn Row) -> StoreResult<Content> {
    let hash: [u8; 32] = row
        .blob(2)?
        .try_into()
        .map_err(|_cause| StoreError::Corrupt("content.hash".into()))?;
    let body = match (row.opt_int(6)?, row.opt_blob(9)?) {
        (Some(pack), _) => ContentBody::One(Place {
            pack: PackId(pack),
            offset: unsigned(row.int(7)?),
            stored_bytes: u32::try_from(row.int(8)?)
                .map_err(|_cause| StoreError::Corrupt("content.stored".into()))?,
        }),
        (None, Some(map)) => ContentBody::Map(Bytes::from(map)),
        (None, None) => ContentBody::Hot(Bytes::from(row.opt_blob(11)?.unwrap_or_default())),
    };
    Ok(Content {
        id: ContentRef(row.int(0)?),
        space: SpaceId(row.int(1)?),
        hash: ContentId(hash),
        size_bytes: unsigned(row.int(3)?),
        profile: Profile::from_number(row.int(4)?)
            .ok_or_else(|| StoreError::Corrupt("content.profile".into()))?,
        chunks: u32::try_from(row.int(5)?)
            .map_err(|_cause| StoreError::Corrupt("content.chunks".into()))?,
        body,
        checksum: row.opt_text(10)?,
    })
}

/// Reads a content by number, with its bytes when they are still in the database.
pub(crate) async fn content_by_id<T: Tx>(
    tx: &mut T,
    id: ContentRef,
) -> StoreResult<Option<Content>> {
    tx.row(
        "SELECT c.id, c.space_id, c.hash, c.size, c.profile, c.chunks, c.pack, c.off, c.stored, \
         c.map, c.checksum, h.data FROM content c LEFT JOIN hot_chunk h ON h.content_id = c.id \
         WHERE c.id = $1",
        &[id.0.into()],
        read_content,
    )
    .await
}

/// Finds a content of a space by its hash.
#[derive(Debug)]
pub struct FindContent {
    /// The space that must hold it.
    pub space: SpaceId,
    /// Its hash.
    pub hash: ContentId,
}

impl Operation for FindContent {
    type Output = Option<Content>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<Content>> {
        tx.row(
            "SELECT c.id, c.space_id, c.hash, c.size, c.profile, c.chunks, c.pack, c.off, \
             c.stored, c.map, c.checksum, h.data \
             FROM content c LEFT JOIN hot_chunk h ON h.content_id = c.id \
             WHERE c.space_id = $1 AND c.hash = $2",
            &[self.space.0.into(), self.hash.0.as_slice().into()],
            read_content,
        )
        .await
    }
}

/// Finds the newest content of a space that has a chunk id with these first eight bytes as a hook.
#[derive(Debug)]
pub struct FindHooked {
    /// The space that must hold it.
    pub space: SpaceId,
    /// The first eight bytes of a chunk id.
    pub id8: i64,
}

impl Operation for FindHooked {
    type Output = Option<Content>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<Content>> {
        let found = tx
            .row(
                "SELECT content_id FROM hook WHERE space_id = $1 AND id8 = $2 \
                 ORDER BY content_id DESC LIMIT 1",
                &[self.space.0.into(), self.id8.into()],
                |row| row.int(0),
            )
            .await?;
        match found {
            Some(id) => content_by_id(tx, ContentRef(id)).await,
            None => Ok(None),
        }
    }
}

/// Finds the file at a path together with its content.
#[derive(Debug)]
pub struct OpenFile {
    /// Where the path begins.
    pub root: Root,
    /// The file.
    pub path: NodePath,
}

impl Operation for OpenFile {
    type Output = (Node, Content);

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<(Node, Content)> {
        let found = walk(tx, self.root, &self.path).await?;
        let node = found.existing()?;
        let id = node.content.ok_or(Refusal::IsAFolder)?;
        let content = content_by_id(tx, id).await?.ok_or_else(|| {
            StoreError::Corrupt(format!(
                "node {} names content {}, which is gone",
                node.id.0, id.0
            ))
        })?;
        Ok((node.clone(), content))
    }
}

/// Reads a content again, after its bytes moved.
#[derive(Debug)]
pub struct FindContentById(pub ContentRef);

impl Operation for FindContentById {
    type Output = Option<Content>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<Content>> {
        content_by_id(tx, self.0).await
    }
}

/// What must be known before a content is named.
pub(crate) struct AskedHeld {
    /// The content that the space holds with this hash, and its checksum.
    held: Asked<(i64, Option<String>)>,
    /// For each content that the new one copies from, whether it is there.
    sources: Vec<Asked<i64>>,
}

/// Asks what [`name_content`] must know.
pub(crate) async fn ask_held<T: Tx>(
    tx: &mut T,
    space: SpaceId,
    new: &NewContent,
) -> StoreResult<AskedHeld> {
    let held = tx
        .ask(
            "SELECT id, checksum FROM content WHERE space_id = $1 AND hash = $2",
            &[space.0.into(), new.hash.0.as_slice().into()],
            |row| Ok((row.int(0)?, row.opt_text(1)?)),
        )
        .await?;
    let mut sources = Vec::with_capacity(new.sources.len());
    for source in &new.sources {
        let asked = tx
            .ask(
                "SELECT 1 FROM content WHERE id = $1",
                &[source.0.into()],
                |row| row.int(0),
            )
            .await?;
        sources.push(asked);
    }
    Ok(AskedHeld { held, sources })
}

/// Names a content in this transaction: the one that the space holds with this hash, else a new row.
pub(crate) async fn name_content<T: Tx>(
    tx: &mut T,
    change: &Change,
    new: &NewContent,
    asked: AskedHeld,
) -> StoreResult<ContentRef> {
    let AskedHeld { held, sources } = asked;
    if let Some((id, checksum)) = tx.answer_one(held).await? {
        // Both are true of the same bytes; the client that came last knows its own.
        if new.checksum.is_some() && new.checksum != checksum {
            tx.perform(
                "UPDATE content SET checksum = $1 WHERE id = $2",
                &[new.checksum.as_deref().into(), id.into()],
            )
            .await?;
        }
        if let Some(body) = new.body.as_ref().filter(|_| new.heals) {
            require_sources(tx, sources).await?;
            replace_body(tx, ContentRef(id), (change, new), body).await?;
        }
        return Ok(ContentRef(id));
    }
    let body = new.body.as_ref().ok_or(Refusal::SourceGone)?;
    require_sources(tx, sources).await?;
    insert_content(tx, change, new, body).await
}

/// Refuses when a content whose frames the new one names was collected meanwhile.
async fn require_sources<T: Tx>(tx: &mut T, sources: Vec<Asked<i64>>) -> StoreResult<()> {
    for source in sources {
        if tx.answer_one(source).await?.is_none() {
            return Err(Refusal::SourceGone.into());
        }
    }
    Ok(())
}

/// Gives a content that the space holds the place of the same bytes, stored anew.
async fn replace_body<T: Tx>(
    tx: &mut T,
    content: ContentRef,
    (change, new): (&Change, &NewContent),
    body: &ContentBody,
) -> StoreResult<()> {
    release_body(tx, content, change.now).await?;
    let (place, map, _) = columns_of(body);
    tx.perform(
        "UPDATE content SET profile = $1, chunks = $2, pack = $3, off = $4, stored = $5, map = $6 \
         WHERE id = $7",
        &[
            new.profile.number().into(),
            i64::from(new.chunks).into(),
            place.map(|place| place.pack.0).into(),
            place.map(|place| signed(place.offset)).into(),
            place.map(|place| i64::from(place.stored_bytes)).into(),
            map.map_or(Value::Null, |map| map.as_ref().into()),
            content.0.into(),
        ],
    )
    .await?;
    insert_body(tx, content.0, (change, new), body).await
}

/// Splits a body into its place, map and bytes.
fn columns_of(body: &ContentBody) -> (Option<&Place>, Option<&Bytes>, Option<&Bytes>) {
    match body {
        ContentBody::Hot(bytes) => (None, None, Some(bytes)),
        ContentBody::One(place) => (Some(place), None, None),
        ContentBody::Map(map) => (None, Some(map), None),
    }
}

async fn insert_content<T: Tx>(
    tx: &mut T,
    change: &Change,
    new: &NewContent,
    body: &ContentBody,
) -> StoreResult<ContentRef> {
    let id = tx.reserve_ids("content", 1).await?;
    let (place, map, _) = columns_of(body);
    tx.perform(
        "INSERT INTO content (id, space_id, hash, key_number, size, profile, chunks, pack, off, \
         stored, map, checksum, at) VALUES ($1, $2, $3, 0, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        &[
            id.into(),
            change.space.0.into(),
            new.hash.0.as_slice().into(),
            signed(new.size_bytes).into(),
            new.profile.number().into(),
            i64::from(new.chunks).into(),
            place.map(|place| place.pack.0).into(),
            place.map(|place| signed(place.offset)).into(),
            place.map(|place| i64::from(place.stored_bytes)).into(),
            map.map_or(Value::Null, |map| map.as_ref().into()),
            new.checksum.as_deref().into(),
            change.now.0.into(),
        ],
    )
    .await?;
    insert_body(tx, id, (change, new), body).await?;
    Ok(ContentRef(id))
}

/// Inserts what belongs to a content beside its row: small bytes, packs, hooks.
async fn insert_body<T: Tx>(
    tx: &mut T,
    id: i64,
    (change, new): (&Change, &NewContent),
    body: &ContentBody,
) -> StoreResult<()> {
    let (_, _, hot) = columns_of(body);
    if let Some(bytes) = hot.filter(|bytes| !bytes.is_empty()) {
        tx.perform(
            "INSERT INTO hot_chunk (content_id, data) VALUES ($1, $2)",
            &[id.into(), bytes.as_ref().into()],
        )
        .await?;
    }
    for pack in &new.packs {
        tx.perform(
            "INSERT INTO content_pack (pack, content_id) VALUES ($1, $2)",
            &[pack.0.into(), id.into()],
        )
        .await?;
    }
    for hook in &new.hooks {
        tx.perform(
            "INSERT INTO hook (space_id, id8, content_id) VALUES ($1, $2, $3) \
             ON CONFLICT DO NOTHING",
            &[change.space.0.into(), (*hook).into(), id.into()],
        )
        .await?;
    }
    Ok(())
}

/// Tells the collector to ask whether anything still names a content.
pub(crate) async fn maybe_dead<T: Tx>(
    tx: &mut T,
    content: ContentRef,
    now: Timestamp,
) -> StoreResult<()> {
    tx.perform(
        "INSERT INTO maybe_dead (content_id, at) VALUES ($1, $2) ON CONFLICT (content_id) DO NOTHING",
        &[content.0.into(), now.0.into()],
    )
    .await?;
    Ok(())
}
