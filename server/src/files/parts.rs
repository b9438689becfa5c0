//! Files that arrive in parts: begin, put parts, finish; resumable, in any order, by any server.
//!
//! Each part is durable and named before its answer. Finishing names the chunks of all parts by a
//! new map and copies no content; it happens as a whole, under the same rules as any upload, or
//! leaves everything as it was. Asked again, it says again what came of it.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::files::Checksum;
use crate::files::Files;
use crate::files::error::ContentFault;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::files::error::PartsFault;
use crate::files::error::at;
use crate::files::precondition::Precondition;
use crate::files::prefixes::Coming;
use crate::files::prefixes::Prefix;
use crate::files::reception::Received;
use crate::files::reception::Reception;
use crate::files::reception::Room;
use crate::files::reception::end_lease;
use crate::identity::Caller;
use crate::store::chunks::ChecksumKind;
use crate::store::chunks::Checksums;
use crate::store::chunks::DedupScope;
use crate::store::chunks::IngestRequest;
use crate::store::chunks::Ingested;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::parts::Became;
use crate::store::metadata::parts::BeginParts;
use crate::store::metadata::parts::DropPart;
use crate::store::metadata::parts::DropParts;
use crate::store::metadata::parts::FinishParts;
use crate::store::metadata::parts::ListParted;
use crate::store::metadata::parts::Part;
use crate::store::metadata::parts::PartedUpload;
use crate::store::metadata::parts::PartsTarget;
use crate::store::metadata::parts::PreparePart;
use crate::store::metadata::parts::PutPart;
use crate::store::metadata::parts::ReadContents;
use crate::store::metadata::parts::ReadParts;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::upload::CommitUpload;

/// How long it is remembered what an upload became, so that the question can be repeated.
const REMEMBERED_SECONDS: i64 = 86_400;
/// Contents of parts that are looked up together; each may bring a map of 10 KB.
const CONTENTS_PAGE: usize = 32;
/// Bytes that are hashed together on a blocking thread.
const HASHED_BYTES: usize = 1 << 20;
/// How often parts are put together again because some changed meanwhile.
const ATTEMPTS: usize = 3;

/// The number of a part: its place in the order, as the client wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartNumber {
    value: i64,
    text: String,
}

impl PartNumber {
    /// Digits that a number may be written with.
    const DIGITS: RangeInclusive<usize> = 1..=64;

    /// Returns the number.
    pub fn value(&self) -> i64 {
        self.value
    }

    /// Parses a decimal number, with or without zeros before it; or two with a hyphen, the offsets of the
    /// part's first and last byte as rclone names parts, of which the first counts.
    pub fn parse(text: &str) -> Option<Self> {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        if !is_number(first) || !is_number(last) || !Self::DIGITS.contains(&text.len()) {
            return None;
        }
        let value = first.parse().ok()?;
        let text = text.to_owned();
        Some(Self { value, text })
    }
}

/// What is known of an upload in parts when it begins.
#[derive(Debug, Clone, Default)]
pub struct PartsRequest {
    /// Its length, when known.
    pub total_bytes: Option<u64>,
    /// Where it will be put, when known.
    pub target: Option<NodePath>,
    /// Whether missing folders above the target will be made.
    pub makes_parents: bool,
}

/// What shall become of an upload in parts.
#[derive(Debug, Clone)]
pub struct WholeRequest {
    /// Where the file will be.
    pub path: NodePath,
    /// Its length, when the client says it.
    pub total_bytes: Option<u64>,
    /// X-OC-MTime; the default is now.
    pub modified_at: Option<Timestamp>,
    /// X-OC-CTime.
    pub created_at: Option<Timestamp>,
    /// OC-Checksum of the whole.
    pub checksum: Option<Checksum>,
    /// Whether missing folders above are made.
    pub makes_parents: bool,
    /// The request's conditions.
    pub precondition: Precondition,
}

/// A part on its way; dropping it leaves the upload as it was.
#[derive(Debug)]
pub struct PartReception {
    change: Change,
    upload: String,
    number: PartNumber,
    reception: Reception,
    coming: Coming,
    abandoned_seconds: i64,
    parts_max: u64,
}

impl Files {
    /// Begins an upload in parts.
    ///
    /// Rights, the target's folder and (when the length is known) quota are tested at once.
    pub async fn begin_parts(
        &self,
        caller: &Caller,
        upload: &str,
        request: PartsRequest,
    ) -> FilesResult<()> {
        let path = request.target.clone().unwrap_or_else(NodePath::root);
        let (located, change) = match &request.target {
            Some(target) => self.changeable(caller, target).await?,
            None => self.changeable_home(caller)?,
        };
        let begin = BeginParts {
            until: self.abandoned_from(change.now),
            change,
            name: upload.to_owned(),
            total_bytes: request.total_bytes,
            target: request.target.map(|_| PartsTarget {
                path: located.path.clone(),
                makes_parents: request.makes_parents,
            }),
            uploads_max: self.settings.parted_uploads_max,
        };
        self.metadata.write(begin).await.map_err(at(&path))
    }

    fn abandoned_from(&self, now: Timestamp) -> Timestamp {
        now.plus_seconds(self.settings.parts_abandoned_seconds)
    }

    /// Begins a part: tests that its upload is in progress, and (when the length is known) quota.
    pub async fn begin_part(
        &self,
        caller: &Caller,
        upload: &str,
        number: PartNumber,
        declared_bytes: Option<u64>,
    ) -> FilesResult<PartReception> {
        let path = NodePath::root();
        let (home, mut change) = self.changeable_home(caller)?;
        let parts_max = self.settings.parts_max;
        let prepare = PreparePart {
            change: change.clone(),
            name: upload.to_owned(),
            number: number.value,
            declared_bytes,
            parts_max,
        };
        let prepared = self.metadata.read(prepare).await.map_err(at(&path))?;
        change.space = prepared.upload.space;
        let begun = (prepared.upload.id, number.value, prepared.before);
        let (coming, checksums) = self.prefixes.begin(begun.0, begun.1, begun.2);
        let ingest = self.chunks.ingest(IngestRequest {
            space: change.space,
            dedup: if change.space == home.root.space {
                DedupScope::Space
            } else {
                DedupScope::Replaced
            },
            declared_bytes,
            replaced: prepared.former,
            profile: Some(prepared.upload.profile),
            checksums,
        });
        let place = (change.space, path);
        let mut reception =
            Reception::new(&self.metadata, &self.clock, place, declared_bytes, ingest);
        reception.begun_at = change.now;
        reception.room = prepared.quota_bytes.map(|quota_bytes| Room {
            bytes: prepared.room_bytes,
            quota_bytes,
        });
        Ok(PartReception {
            change,
            upload: upload.to_owned(),
            number,
            reception,
            coming,
            abandoned_seconds: self.settings.parts_abandoned_seconds,
            parts_max,
        })
    }

    /// Returns an upload in progress with its parts in order.
    pub async fn read_parts(
        &self,
        caller: &Caller,
        upload: &str,
    ) -> FilesResult<(PartedUpload, Vec<Part>)> {
        let (upload, parts) = self.read_parted(caller, upload).await?;
        if upload.became.is_some() {
            return Err(PartsFault::Unknown.into());
        }
        Ok((upload, parts))
    }

    async fn read_parted(
        &self,
        caller: &Caller,
        upload: &str,
    ) -> FilesResult<(PartedUpload, Vec<Part>)> {
        let path = NodePath::root();
        Self::home_of(caller)?;
        let read = ReadParts {
            account: caller.user,
            upload: upload.to_owned(),
        };
        self.metadata.read(read).await.map_err(at(&path))
    }

    /// Returns the caller's uploads in progress.
    pub async fn list_parted(&self, caller: &Caller) -> FilesResult<Vec<PartedUpload>> {
        let path = NodePath::root();
        Self::home_of(caller)?;
        let list = ListParted {
            account: caller.user,
        };
        self.metadata.read(list).await.map_err(at(&path))
    }

    /// Takes a part away.
    pub async fn drop_part(
        &self,
        caller: &Caller,
        upload: &str,
        number: &PartNumber,
    ) -> FilesResult<()> {
        let path = NodePath::root();
        let change = self.change_of_parts(caller, upload).await?;
        let drop = DropPart {
            until: self.abandoned_from(change.now),
            change,
            upload: upload.to_owned(),
            number: number.value,
        };
        self.metadata.write(drop).await.map_err(at(&path))
    }

    /// Returns the change of an upload in parts, in the space that it writes to.
    async fn change_of_parts(&self, caller: &Caller, upload: &str) -> FilesResult<Change> {
        let (_, mut change) = self.changeable_home(caller)?;
        change.space = self.read_parted(caller, upload).await?.0.space;
        Ok(change)
    }

    /// Gives an upload in parts up.
    pub async fn drop_parts(&self, caller: &Caller, upload: &str) -> FilesResult<()> {
        let path = NodePath::root();
        let change = self.change_of_parts(caller, upload).await?;
        let upload = upload.to_owned();
        let drop = DropParts { change, upload };
        self.metadata.write(drop).await.map_err(at(&path))
    }

    /// Makes the parts of an upload, in the order of their numbers, the current version of a file.
    ///
    /// No content is copied. What came of an upload is said again when asked again within a day.
    pub async fn finish_parts(
        &self,
        caller: &Caller,
        upload: &str,
        request: &WholeRequest,
    ) -> FilesResult<Became> {
        self.changeable(caller, &request.path).await?;
        let mut attempts = 1..ATTEMPTS;
        loop {
            match self.try_to_finish(caller, upload, request).await {
                Err(FilesError::Parts(PartsFault::Changed)) if attempts.next().is_some() => {}
                done => return done,
            }
        }
    }

    async fn try_to_finish(
        &self,
        caller: &Caller,
        name: &str,
        request: &WholeRequest,
    ) -> FilesResult<Became> {
        let (upload, parts) = self.read_parted(caller, name).await?;
        if let Some(became) = upload.became {
            return if became.path == request.path.to_string() {
                Ok(became)
            } else {
                Err(PartsFault::Unknown.into())
            };
        }
        check_sum(&upload, request.total_bytes)?;
        if let Some(announced) = &request.checksum {
            let found = self.checksum_of_parts(&upload, &parts, announced.kind());
            announced.compare(&found.await?)?;
        }
        if request.makes_parents {
            self.make_folders_above(caller, &request.path).await?;
        }
        let begun_at = self.clock.now();
        let (located, change) = self.changeable(caller, &request.path).await?;
        let place = (located.root.space, &request.path);
        let whole = self.put_together(&upload, &parts, place).await?;
        let mut content = whole.content;
        content.checksum = request
            .checksum
            .as_ref()
            .map(|announced| announced.text().to_owned());
        let finish = FinishParts {
            source: upload.space,
            shown: request.path.to_string(),
            until: change.now.plus_seconds(REMEMBERED_SECONDS),
            upload: name.to_owned(),
            changes: upload.changes,
            commit: CommitUpload {
                change,
                path: located.path.clone(),
                content,
                modified_at: request.modified_at,
                created_at: request.created_at,
                begun_at,
                lease: None,
                precondition: located.conditions(&request.precondition),
            },
        };
        let became = self.metadata.write(finish).await;
        let became = became.map_err(located.failure())?;
        self.prefixes.forget(upload.id);
        Ok(became)
    }

    /// Names the chunks of all parts by one map.
    async fn put_together(
        &self,
        upload: &PartedUpload,
        parts: &[Part],
        (space, path): (SpaceId, &NodePath),
    ) -> FilesResult<Ingested> {
        let (size_bytes, profile) = (upload.received_bytes, upload.profile);
        let whole = self.chunks.concatenate(space, size_bytes, profile);
        let mut whole = whole.await.map_err(at(path))?;
        for page in parts.chunks(CONTENTS_PAGE) {
            for (part, content) in page.iter().zip(self.contents_of(page).await?) {
                whole.push(&content, part.chunk).await.map_err(at(path))?;
            }
        }
        whole.finish().await.map_err(at(path))
    }

    async fn contents_of(&self, parts: &[Part]) -> FilesResult<Vec<Content>> {
        let contents = parts.iter().map(|part| part.content).collect();
        let found = self.metadata.read(ReadContents(contents)).await;
        found.map_err(at(&NodePath::root()))
    }

    /// Returns the checksum of all parts together: as it was computed while they came, else by reading
    /// again what is missing.
    async fn checksum_of_parts(
        &self,
        upload: &PartedUpload,
        parts: &[Part],
        kind: ChecksumKind,
    ) -> FilesResult<Checksums> {
        self.prefixes.note_kind(kind);
        let known = self.prefixes.find(upload.id).filter(|prefix| {
            let begins = prefix.parts.iter().zip(parts);
            let mut same = begins.map(|(known, part)| *known == (part.number, part.content));
            prefix.sums.has(kind) && prefix.parts.len() <= parts.len() && same.all(|same| same)
        });
        let Prefix {
            parts: mut hashed,
            mut sums,
        } = known.unwrap_or_else(|| Prefix {
            parts: Vec::new(),
            sums: Checksums::of([kind]),
        });
        let rest = parts.get(hashed.len()..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(sums);
        }
        for page in rest.chunks(CONTENTS_PAGE) {
            for (part, content) in page.iter().zip(self.contents_of(page).await?) {
                sums = self.hash_content(content, sums, &NodePath::root()).await?;
                hashed.push((part.number, part.content));
            }
        }
        let prefix = Prefix {
            parts: hashed,
            sums: sums.clone(),
        };
        self.prefixes.put(upload.id, prefix);
        Ok(sums)
    }

    /// Reads a content again and lets sums go on with its bytes, off the threads that serve.
    pub(super) async fn hash_content(
        &self,
        content: Content,
        mut sums: Checksums,
        path: &NodePath,
    ) -> FilesResult<Checksums> {
        let turn = self.rereads.acquire().await;
        let _turn = turn.map_err(|_closed| FilesError::Unreadable { path: path.clone() })?;
        let whole = 0..content.size_bytes;
        let stream = self.chunks.stream(content, whole);
        let mut stream = std::pin::pin!(stream);
        let mut batch: Vec<Bytes> = Vec::new();
        loop {
            let next = stream.next().await.transpose().map_err(|error| {
                tracing::error!(%error, "a stored content cannot be read");
                FilesError::Unreadable { path: path.clone() }
            })?;
            let is_end = next.is_none();
            batch.extend(next);
            let bytes: usize = batch.iter().map(Bytes::len).sum();
            if bytes >= HASHED_BYTES || is_end {
                let full = std::mem::take(&mut batch);
                sums = tokio::task::spawn_blocking(move || {
                    for bytes in &full {
                        sums.update(bytes);
                    }
                    sums
                })
                .await
                .map_err(|_gone| FilesError::Unreadable { path: path.clone() })?;
            }
            if is_end {
                return Ok(sums);
            }
        }
    }
}

/// Refuses parts that do not make up what was announced.
fn check_sum(upload: &PartedUpload, total_bytes: Option<u64>) -> FilesResult<()> {
    let received_bytes = upload.received_bytes;
    match total_bytes.or(upload.total_bytes) {
        Some(announced_bytes) if announced_bytes != received_bytes => Err(ContentFault::Parts {
            announced_bytes,
            received_bytes,
        }
        .into()),
        None if upload.parts == 0 => Err(ContentFault::NoParts.into()),
        Some(_) | None => Ok(()),
    }
}

impl PartReception {
    /// Takes the next bytes of the body.
    pub async fn write(&mut self, bytes: Bytes) -> FilesResult<()> {
        self.reception.write(bytes).await
    }

    /// Makes the part durable and names it; one that has the number is replaced.
    pub async fn finish(self) -> FilesResult<()> {
        let metadata = Arc::clone(&self.reception.metadata);
        let clock = self.reception.clock.clone();
        let begun_at = self.reception.begun_at;
        let Received {
            ingested,
            lease,
            expected,
        } = self.reception.finish().await?;
        let now = clock.now();
        let PartNumber {
            value: number,
            text: name,
        } = self.number;
        let put = PutPart {
            change: Change { now, ..self.change },
            upload: self.upload,
            number,
            name,
            content: ingested.content,
            chunk: ingested.only_chunk,
            begun_at,
            lease,
            until: now.plus_seconds(self.abandoned_seconds),
            parts_max: self.parts_max,
        };
        let writing = metadata.write(put);
        drop(expected);
        let put = writing.await.map_err(at(&NodePath::root()));
        if let Ok((_, content)) = &put {
            self.coming.arrived(*content, ingested.checksums);
        }
        end_lease(&metadata, lease).await;
        put.map(drop)
    }
}
