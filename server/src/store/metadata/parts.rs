//! Files that arrive in parts: which are in progress, which parts they have, what they became.
//!
//! A part names its content as a node does, so the collector leaves it alone as long as its
//! row is there. The bytes of all parts in progress count as used for whatever else lets their
//! space grow, until the upload becomes a file, is given up, or is swept.
//!
//! # Always true
//!
//! * Whoever changes an upload or its parts holds the row lock of its space.
//! * `received` and `parts` are the sums of its rows; `changes` rises whenever these change.
//! * An upload that became a file has no parts.

use nuage_shared::chunk_id::ChunkId;
use nuage_shared::chunker::Profile;
use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::contents::ask_held;
use crate::store::metadata::contents::content_by_id;
use crate::store::metadata::contents::maybe_dead;
use crate::store::metadata::contents::name_content;
use crate::store::metadata::error::PartsFault;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::history::lock_space_row;
use crate::store::metadata::nodes::AskedSpace;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::nodes::LockedSpace;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::nodes::unsigned;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::ContentRef;
use crate::store::metadata::records::NewContent;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::tx::Asked;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::tx::Value;
use crate::store::metadata::upload::CommitUpload;
use crate::store::metadata::upload::Protection;
use crate::store::metadata::walk::answer_walk;
use crate::store::metadata::walk::ask_walk;

/// A file that arrives, or has arrived, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartedUpload {
    /// Its number. Never used again.
    pub id: i64,
    /// The space that it writes to.
    pub space: SpaceId,
    /// The name that the client gave it; one of its account.
    pub name: String,
    /// Bytes announced.
    pub total_bytes: Option<u64>,
    /// Bytes of the file that it is to replace, as far as known.
    pub replaces_bytes: u64,
    /// The content of that file, if it is still there: its chunks are likely to come again.
    pub former: Option<ContentRef>,
    /// How its parts are cut.
    pub profile: Profile,
    /// Bytes of its parts.
    pub received_bytes: u64,
    /// Number of its parts.
    pub parts: u64,
    /// Rises whenever a part comes or goes.
    pub changes: i64,
    /// When a part last came or went.
    pub changed_at: Timestamp,
    /// What it became.
    pub became: Option<Became>,
}

/// The file that an upload in parts became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Became {
    /// The file.
    pub node: NodeId,
    /// Its revision then.
    pub rev: i64,
    /// Whether it did not exist before.
    pub created: bool,
    /// Where it was put.
    pub path: String,
}

impl Became {
    /// Returns the ETag, without quotes, that the file had then.
    pub fn etag(&self) -> String {
        Node::etag_of_file(self.node, self.rev)
    }
}

/// A part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its place in the order.
    pub number: i64,
    /// The number as the client wrote it.
    pub name: String,
    /// Its bytes.
    pub content: ContentRef,
    /// Its length.
    pub size_bytes: u64,
    /// The id of its chunk, where that is one.
    pub chunk: Option<ChunkId>,
    /// When it came.
    pub at: Timestamp,
}

/// The statement that asks for uploads as [`read_upload`] reads them.
macro_rules! select_upload {
    ($tail:literal) => {
        concat!(
            "SELECT id, space_id, name, total, replaces, profile, received, parts, changes, at, \
             node_id, rev, created, path, former FROM upload ",
            $tail
        )
    };
}

fn read_upload(row: &dyn Row) -> StoreResult<PartedUpload> {
    let became = match row.opt_int(10)? {
        None => None,
        Some(node) => Some(Became {
            node: NodeId(node),
            rev: row.int(11)?,
            created: row.int(12)? != 0,
            path: row.text(13)?,
        }),
    };
    Ok(PartedUpload {
        id: row.int(0)?,
        space: SpaceId(row.int(1)?),
        name: row.text(2)?,
        total_bytes: row.opt_int(3)?.map(unsigned),
        replaces_bytes: unsigned(row.int(4)?),
        former: row.opt_int(14)?.map(ContentRef),
        profile: Profile::from_number(row.int(5)?)
            .ok_or_else(|| StoreError::Corrupt("upload.profile".into()))?,
        received_bytes: unsigned(row.int(6)?),
        parts: unsigned(row.int(7)?),
        changes: row.int(8)?,
        changed_at: Timestamp(row.int(9)?),
        became,
    })
}

/// Reads `number, name, content_id, size, chunk, at`.
fn read_part(row: &dyn Row) -> StoreResult<Part> {
    let chunk = match row.opt_blob(4)? {
        None => None,
        Some(id) => {
            Some(ChunkId(id.try_into().map_err(|_cause| {
                StoreError::Corrupt("upload_part.chunk".into())
            })?))
        }
    };
    Ok(Part {
        number: row.int(0)?,
        name: row.text(1)?,
        content: ContentRef(row.int(2)?),
        size_bytes: unsigned(row.int(3)?),
        chunk,
        at: Timestamp(row.int(5)?),
    })
}

async fn ask_upload<T: Tx>(
    tx: &mut T,
    account: UserId,
    name: &str,
) -> StoreResult<Asked<PartedUpload>> {
    tx.ask(
        select_upload!("WHERE account_id = $1 AND name = $2"),
        &[account.0.into(), name.into()],
        read_upload,
    )
    .await
}

/// Finds the upload of that name that is in progress.
async fn open_upload<T: Tx>(tx: &mut T, account: UserId, name: &str) -> StoreResult<PartedUpload> {
    let asked = ask_upload(tx, account, name).await?;
    in_progress(tx.answer_one(asked).await?)
}

fn in_progress(found: Option<PartedUpload>) -> StoreResult<PartedUpload> {
    let found = found.filter(|upload| upload.became.is_none());
    found.ok_or_else(|| Refusal::from(PartsFault::Unknown).into())
}

/// Returns the space as if nothing had come of one of its uploads.
fn beside(space: LockedSpace, own: &PartedUpload) -> LockedSpace {
    let own_bytes = own.received_bytes.saturating_sub(own.replaces_bytes);
    let mut beside = space;
    beside.in_parts.bytes = space.in_parts.bytes.saturating_sub(signed(own_bytes));
    beside
}

/// Where a file that comes in parts will be put.
#[derive(Debug, Clone)]
pub struct PartsTarget {
    /// The path.
    pub path: NodePath,
    /// Whether missing folders above will be made.
    pub makes_parents: bool,
}

/// Begins an upload in parts.
#[derive(Debug)]
pub struct BeginParts {
    /// Space, person and moment.
    pub change: Change,
    /// The name that the client gave it.
    pub name: String,
    /// Its length, when known.
    pub total_bytes: Option<u64>,
    /// Where it will be put, when known.
    pub target: Option<PartsTarget>,
    /// When it ends unless a part comes.
    pub until: Timestamp,
    /// Uploads in parts that a space may have in progress.
    pub uploads_max: u64,
}

impl Operation for BeginParts {
    type Output = ();

    fn space(&self) -> Option<SpaceId> {
        Some(self.change.space)
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let change = &self.change;
        lock_space_row(tx, change.space).await?;
        let same = ask_upload(tx, change.actor, &self.name).await?;
        let space = AskedSpace::ask(tx, change).await?;
        let walk = match &self.target {
            Some(target) => Some(ask_walk(tx, change.root(), &target.path).await?),
            None => None,
        };
        let same = tx.answer_one(same).await?;
        let space = space.answer(tx).await?;
        let mut replaced = None;
        if let (Some(target), Some(asked)) = (&self.target, walk) {
            let found = answer_walk(tx, asked).await?;
            match found.above() {
                Err(StoreError::Refused(Refusal::ParentMissing)) if target.makes_parents => {}
                other => drop(other?),
            }
            if found.target().is_some_and(Node::is_folder) {
                return Err(Refusal::IsAFolder.into());
            }
            change.require(match found.target() {
                Some(_) => Permissions::UPDATE,
                None => Permissions::CREATE,
            })?;
            replaced = found.target().cloned();
        }
        match same {
            Some(same) if same.became.is_none() => {
                return Err(Refusal::from(PartsFault::Exists).into());
            }
            Some(former) => drop_upload(tx, former.id, change.now).await?,
            None => {}
        }
        if unsigned(space.in_parts.uploads) >= self.uploads_max {
            let max = self.uploads_max;
            return Err(Refusal::from(PartsFault::TooMany { max }).into());
        }
        let replaces_bytes = replaced.as_ref().map_or(0, |node| node.size_bytes);
        if let Some(total) = self.total_bytes {
            let growth = signed(total.saturating_sub(replaces_bytes));
            space.check_quota(growth)?;
        }
        let former = replaced.and_then(|node| node.content);
        let profile = self.profile(tx, former).await?;
        let id = tx.reserve_ids("upload", 1).await?;
        tx.perform(
            "INSERT INTO upload (id, account_id, space_id, name, total, replaces, former, profile, \
             begun_at, at, until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)",
            &[
                id.into(),
                change.actor.0.into(),
                change.space.0.into(),
                self.name.as_str().into(),
                self.total_bytes.map(signed).into(),
                signed(replaces_bytes).into(),
                former.map(|content| content.0).into(),
                profile.number().into(),
                change.now.0.into(),
                self.until.0.into(),
            ],
        )
        .await
    }
}

impl BeginParts {
    /// Chooses how the parts are cut: as the file that they replace was, where the size still fits.
    async fn profile<T: Tx>(
        &self,
        tx: &mut T,
        replaced: Option<ContentRef>,
    ) -> StoreResult<Profile> {
        let former = match replaced {
            Some(id) => content_by_id(tx, id).await?.map(|content| content.profile),
            None => None,
        };
        Ok(match (former, self.total_bytes) {
            (Some(former), Some(total)) => former.successor(total),
            (Some(former), None) => former,
            (None, total) => Profile::for_size(total),
        })
    }
}

/// Tests, before the body of a part, all that its commit will test again.
#[derive(Debug)]
pub struct PreparePart {
    /// Space, person and moment.
    pub change: Change,
    /// The upload.
    pub name: String,
    /// The part.
    pub number: i64,
    /// Its length, when known.
    pub declared_bytes: Option<u64>,
    /// Parts that an upload may have.
    pub parts_max: u64,
}

/// What must be known of an upload before a part of it comes.
#[derive(Debug)]
pub struct PreparedPart {
    /// The upload.
    pub upload: PartedUpload,
    /// The content that the upload replaces.
    pub former: Option<Content>,
    /// The last part that comes before this one.
    pub before: Option<i64>,
    /// Bytes that the part may have within the quota.
    pub room_bytes: u64,
    /// The quota; `None`: no limit.
    pub quota_bytes: Option<u64>,
}

impl Operation for PreparePart {
    type Output = PreparedPart;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<PreparedPart> {
        let upload = open_upload(tx, self.change.actor, &self.name).await?;
        let change = &Change {
            space: upload.space,
            ..self.change.clone()
        };
        let space = AskedSpace::ask(tx, change).await?;
        let former = ask_part(tx, upload.id, self.number).await?;
        let before = tx
            .ask(
                "SELECT max(number) FROM upload_part WHERE upload_id = $1 AND number < $2",
                &[upload.id.into(), self.number.into()],
                |row| row.opt_int(0),
            )
            .await?;
        let former = tx.answer_one(former).await?;
        let before = tx.answer_one(before).await?.flatten();
        let space = space.answer(tx).await?;
        require_fewer_parts(&upload, former.as_ref(), self.parts_max)?;
        let rest_bytes = upload.received_bytes - former.map_or(0, |part| part.size_bytes);
        let space = beside(space, &upload);
        let own = |part_bytes: u64| {
            signed((rest_bytes + part_bytes).saturating_sub(upload.replaces_bytes))
        };
        if let Some(declared) = self.declared_bytes {
            space.check_quota(own(declared))?;
        }
        let room_bytes = space.quota.map_or(u64::MAX, |quota| {
            quota
                .saturating_sub(unsigned(space.taken()))
                .saturating_add(upload.replaces_bytes)
                .saturating_sub(rest_bytes)
        });
        let former = match upload.former {
            Some(id) => content_by_id(tx, id).await?,
            None => None,
        };
        Ok(PreparedPart {
            former,
            before,
            room_bytes,
            quota_bytes: space.quota,
            upload,
        })
    }
}

async fn ask_part<T: Tx>(tx: &mut T, upload: i64, number: i64) -> StoreResult<Asked<Part>> {
    tx.ask(
        "SELECT number, name, content_id, size, chunk, at FROM upload_part \
         WHERE upload_id = $1 AND number = $2",
        &[upload.into(), number.into()],
        read_part,
    )
    .await
}

fn require_fewer_parts(upload: &PartedUpload, former: Option<&Part>, max: u64) -> StoreResult<()> {
    if former.is_none() && upload.parts >= max {
        return Err(Refusal::from(PartsFault::TooManyParts { max }).into());
    }
    Ok(())
}

/// Names a part: a new one, or in place of the one that has the number.
#[derive(Debug)]
pub struct PutPart {
    /// Space, person and moment.
    pub change: Change,
    /// The upload.
    pub upload: String,
    /// Its place in the order.
    pub number: i64,
    /// The number as the client wrote it.
    pub name: String,
    /// Its bytes.
    pub content: NewContent,
    /// The id of its chunk, where that is one.
    pub chunk: Option<ChunkId>,
    /// When its first byte came.
    pub begun_at: Timestamp,
    /// The lease that protects its chunks, where it took long.
    pub lease: Option<[u8; 16]>,
    /// When the upload ends unless a further part comes.
    pub until: Timestamp,
    /// Parts that an upload may have.
    pub parts_max: u64,
}

impl Operation for PutPart {
    /// The upload's number and the part's content.
    type Output = (i64, ContentRef);

    fn space(&self) -> Option<SpaceId> {
        Some(self.change.space)
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<(i64, ContentRef)> {
        let change = &self.change;
        lock_space_row(tx, change.space).await?;
        let protection = Protection {
            begun_at: self.begun_at,
            lease: self.lease,
        };
        let lease = protection.ask(tx, change.now).await?;
        let space = AskedSpace::ask(tx, change).await?;
        let held = ask_held(tx, change.space, &self.content).await?;
        let upload = open_upload(tx, change.actor, &self.upload).await?;
        if upload.space != change.space {
            return Err(Refusal::from(PartsFault::Unknown).into());
        }
        let former = ask_part(tx, upload.id, self.number).await?;
        let former = tx.answer_one(former).await?;
        protection.require(tx, lease, change.now).await?;
        let space = space.answer(tx).await?;
        require_fewer_parts(&upload, former.as_ref(), self.parts_max)?;
        let former_bytes = former.as_ref().map_or(0, |part| part.size_bytes);
        let received = upload.received_bytes - former_bytes + self.content.size_bytes;
        if self.content.size_bytes > former_bytes {
            let own = signed(received.saturating_sub(upload.replaces_bytes));
            beside(space, &upload).check_quota(own)?;
        }
        let content = name_content(tx, change, &self.content, held).await?;
        tx.perform(
            "INSERT INTO upload_part (upload_id, number, name, content_id, size, chunk, at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (upload_id, number) DO UPDATE SET \
             name = excluded.name, content_id = excluded.content_id, size = excluded.size, \
             chunk = excluded.chunk, at = excluded.at",
            &[
                upload.id.into(),
                self.number.into(),
                self.name.as_str().into(),
                content.0.into(),
                signed(self.content.size_bytes).into(),
                self.chunk
                    .as_ref()
                    .map_or(Value::Null, |id| id.0.as_slice().into()),
                change.now.0.into(),
            ],
        )
        .await?;
        if let Some(former) = former.as_ref().filter(|part| part.content != content) {
            maybe_dead(tx, former.content, change.now).await?;
        }
        let sums = Sums {
            received,
            parts: upload.parts + u64::from(former.is_none()),
        };
        sums.write(tx, (upload.id, change.now), self.until).await?;
        Ok((upload.id, content))
    }
}

/// What an upload has after a part came or went.
struct Sums {
    received: u64,
    parts: u64,
}

impl Sums {
    async fn write<T: Tx>(
        &self,
        tx: &mut T,
        (upload, now): (i64, Timestamp),
        until: Timestamp,
    ) -> StoreResult<()> {
        tx.perform(
            "UPDATE upload SET received = $1, parts = $2, changes = changes + 1, at = $3, until = $4 \
             WHERE id = $5",
            &[
                signed(self.received).into(),
                signed(self.parts).into(),
                now.0.into(),
                until.0.into(),
                upload.into(),
            ],
        )
        .await
    }
}

/// Takes a part away.
#[derive(Debug)]
pub struct DropPart {
    /// Space, person and moment.
    pub change: Change,
    /// The upload.
    pub upload: String,
    /// The part.
    pub number: i64,
    /// When the upload ends unless a further part comes.
    pub until: Timestamp,
}

impl Operation for DropPart {
    type Output = ();

    fn space(&self) -> Option<SpaceId> {
        Some(self.change.space)
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let change = &self.change;
        lock_space_row(tx, change.space).await?;
        let upload = open_upload(tx, change.actor, &self.upload).await?;
        let part = ask_part(tx, upload.id, self.number).await?;
        let part = tx.answer_one(part).await?;
        let part = part.ok_or(Refusal::from(PartsFault::Unknown))?;
        tx.perform(
            "DELETE FROM upload_part WHERE upload_id = $1 AND number = $2",
            &[upload.id.into(), self.number.into()],
        )
        .await?;
        maybe_dead(tx, part.content, change.now).await?;
        let sums = Sums {
            received: upload.received_bytes.saturating_sub(part.size_bytes),
            parts: upload.parts.saturating_sub(1),
        };
        sums.write(tx, (upload.id, change.now), self.until).await
    }
}

/// Gives an upload up, with all its parts.
#[derive(Debug)]
pub struct DropParts {
    /// Space, person and moment.
    pub change: Change,
    /// The upload.
    pub upload: String,
}

impl Operation for DropParts {
    type Output = ();

    fn space(&self) -> Option<SpaceId> {
        Some(self.change.space)
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let change = &self.change;
        lock_space_row(tx, change.space).await?;
        let upload = open_upload(tx, change.actor, &self.upload).await?;
        drop_upload(tx, upload.id, change.now).await
    }
}

/// Takes every part of an upload away, and its room; its space is locked.
async fn drop_parts<T: Tx>(tx: &mut T, upload: i64, now: Timestamp) -> StoreResult<()> {
    tx.perform(
        "INSERT INTO maybe_dead (content_id, at) SELECT content_id, $1 FROM upload_part \
         WHERE upload_id = $2 ON CONFLICT (content_id) DO NOTHING",
        &[now.0.into(), upload.into()],
    )
    .await?;
    tx.perform(
        "DELETE FROM upload_part WHERE upload_id = $1",
        &[upload.into()],
    )
    .await?;
    tx.perform(
        "UPDATE upload SET received = 0, parts = 0, changes = changes + 1 WHERE id = $1",
        &[upload.into()],
    )
    .await
}

/// Takes an upload away with its parts; its space is locked.
async fn drop_upload<T: Tx>(tx: &mut T, upload: i64, now: Timestamp) -> StoreResult<()> {
    drop_parts(tx, upload, now).await?;
    tx.perform("DELETE FROM upload WHERE id = $1", &[upload.into()])
        .await
}

/// Takes some of a space's uploads away; the space is locked. Returns whether there were any.
pub(crate) async fn drop_some_of_space<T: Tx>(
    tx: &mut T,
    space: SpaceId,
    now: Timestamp,
) -> StoreResult<bool> {
    let found = tx
        .rows(
            "SELECT id FROM upload WHERE space_id = $1 LIMIT 10",
            &[space.0.into()],
            |row| row.int(0),
        )
        .await?;
    for upload in &found {
        drop_upload(tx, *upload, now).await?;
    }
    Ok(!found.is_empty())
}

/// Ends an upload whose time is over: one that was abandoned, or one whose memory is not needed any more.
#[derive(Debug)]
pub struct SweepParts {
    /// The present.
    pub now: Timestamp,
}

impl Operation for SweepParts {
    /// Whether there was one.
    type Output = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<bool> {
        let found = tx
            .row(
                "SELECT id, space_id FROM upload WHERE until <= $1 ORDER BY until LIMIT 1",
                &[self.now.0.into()],
                |row| Ok((row.int(0)?, SpaceId(row.int(1)?))),
            )
            .await?;
        let Some((upload, space)) = found else {
            return Ok(false);
        };
        lock_space_row(tx, space).await?;
        let is_over = tx
            .row(
                "SELECT 1 FROM upload WHERE id = $1 AND until <= $2",
                &[upload.into(), self.now.0.into()],
                |row| row.int(0),
            )
            .await?;
        if is_over.is_some() {
            drop_upload(tx, upload, self.now).await?;
        }
        Ok(true)
    }
}

/// Reads an upload with its parts in order; one that became a file has none.
#[derive(Debug)]
pub struct ReadParts {
    /// Whose.
    pub account: UserId,
    /// The upload.
    pub upload: String,
}

impl Operation for ReadParts {
    type Output = (PartedUpload, Vec<Part>);

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Self::Output> {
        let asked = ask_upload(tx, self.account, &self.upload).await?;
        let upload = tx.answer_one(asked).await?;
        let upload = upload.ok_or(Refusal::from(PartsFault::Unknown))?;
        let parts = tx
            .rows(
                "SELECT number, name, content_id, size, chunk, at FROM upload_part \
                 WHERE upload_id = $1 ORDER BY number",
                &[upload.id.into()],
                read_part,
            )
            .await?;
        Ok((upload, parts))
    }
}

/// Lists the uploads of an account that are in progress.
#[derive(Debug)]
pub struct ListParted {
    /// Whose.
    pub account: UserId,
}

impl Operation for ListParted {
    type Output = Vec<PartedUpload>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<PartedUpload>> {
        tx.rows(
            select_upload!("WHERE account_id = $1 AND node_id IS NULL"),
            &[self.account.0.into()],
            read_upload,
        )
        .await
    }
}

/// Reads contents of parts.
#[derive(Debug)]
pub struct ReadContents(pub Vec<ContentRef>);

impl Operation for ReadContents {
    /// In the order asked for; refuses with `Changed` if one is gone.
    type Output = Vec<Content>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Content>> {
        let mut contents = Vec::with_capacity(self.0.len());
        for id in &self.0 {
            let found = content_by_id(tx, *id).await?;
            contents.push(found.ok_or(Refusal::from(PartsFault::Changed))?);
        }
        Ok(contents)
    }
}

/// Makes what the parts of an upload hold together the current version of a file.
#[derive(Debug)]
pub struct FinishParts {
    /// The version; its content rests on nothing but the parts.
    pub commit: CommitUpload,
    /// The space that the parts were written to.
    pub source: SpaceId,
    /// The upload.
    pub upload: String,
    /// The path of the file as the client named it.
    pub shown: String,
    /// Its `changes` when the parts were read.
    pub changes: i64,
    /// How long what it became is remembered.
    pub until: Timestamp,
}

impl Operation for FinishParts {
    type Output = Became;

    fn space(&self) -> Option<SpaceId> {
        self.commit.space().filter(|space| *space == self.source)
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Became> {
        let change = &self.commit.change;
        // Rows of two spaces: their locks are taken in ascending order.
        if self.source < change.space {
            lock_space_row(tx, self.source).await?;
        }
        lock_space_row(tx, change.space).await?;
        if self.source > change.space {
            lock_space_row(tx, self.source).await?;
        }
        let asked = ask_upload(tx, change.actor, &self.upload).await?;
        let upload = tx.answer_one(asked).await?;
        let upload = upload.filter(|upload| upload.space == self.source);
        let upload = upload.ok_or(Refusal::from(PartsFault::Unknown))?;
        let path = self.shown.clone();
        if let Some(became) = upload.became {
            // The same request came twice, and the other one was first.
            return if became.path == path {
                Ok(became)
            } else {
                Err(Refusal::from(PartsFault::Unknown).into())
            };
        }
        if upload.changes != self.changes {
            return Err(Refusal::from(PartsFault::Changed).into());
        }
        // First, so that the parts do not stand in the way of what they become.
        drop_parts(tx, upload.id, change.now).await?;
        let committed = self.commit.run(tx).await?;
        let became = Became {
            node: committed.node.id,
            rev: committed.node.rev,
            created: committed.created,
            path,
        };
        tx.perform(
            "UPDATE upload SET node_id = $1, rev = $2, created = $3, path = $4, at = $5, until = $6 \
             WHERE id = $7",
            &[
                became.node.0.into(),
                became.rev.into(),
                i64::from(became.created).into(),
                became.path.as_str().into(),
                change.now.0.into(),
                self.until.0.into(),
                upload.id.into(),
            ],
        )
        .await?;
        Ok(became)
    }
}
