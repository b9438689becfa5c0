//! What the chunk store promises, asked of the real one on a real database.

mod collect;
mod concatenate;
mod crash;
mod ingest;
mod s3;
mod s3_server;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use nuage_shared::chunk_id::ChunkKey;
use nuage_shared::node_path::NodePath;
use rand::RngCore;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::clock::Clock;
use crate::store::chunks::Checksums;
use crate::store::chunks::ChunkError;
use crate::store::chunks::ChunkSecrets;
use crate::store::chunks::ChunkSettings;
use crate::store::chunks::ChunkStore;
use crate::store::chunks::DedupScope;
use crate::store::chunks::FOLDER_HOT_BYTES_MAX;
use crate::store::chunks::IngestRequest;
use crate::store::chunks::Ingested;
use crate::store::chunks::PackHome;
use crate::store::chunks::disk::Disk;
use crate::store::chunks::disk::SystemDisk;
use crate::store::chunks::tests::s3_server::S3Server;
use crate::store::chunks::tests::s3_server::packs_below;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::contents::FindContentById;
use crate::store::metadata::contents::OpenFile;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::postgres::test_server;
use crate::store::metadata::precondition::Precondition;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::sqlite::SqliteSettings;
use crate::store::metadata::testing::open_postgres;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::upload::CommitUpload;

struct MakeSpace;

impl Operation for MakeSpace {
    type Output = SpaceId;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<SpaceId> {
        let space = tx.reserve_ids("space", 1).await?;
        let root = tx.reserve_ids("node", 2).await?;
        for (id, seq) in [(root, 1), (root + 1, 2)] {
            tx.execute(
                "INSERT INTO node (id, space_id, name, fold, kind, seq, born, tree_seq, mtime, ctime) \
                 VALUES ($1, $2, '', '', 0, $3, $3, $3, 0, 0)",
                &[id.into(), space.into(), seq.into()],
            )
            .await?;
        }
        tx.execute(
            "INSERT INTO space (id, domain_id, kind, owner_id, root_id, trash_id, seq) \
             VALUES ($1, 1, 1, 1, $2, $3, 2)",
            &[space.into(), root.into(), (root + 1).into()],
        )
        .await?;
        Ok(SpaceId(space))
    }
}

/// A chunk store on a database and folder of its own, and short words for what can be done with it.
struct Fixture {
    metadata: Arc<MetadataStore>,
    chunks: Option<Arc<ChunkStore>>,
    space: SpaceId,
    clock: Clock,
    clock_file: std::path::PathBuf,
    segment_bytes: u64,
    hot_bytes_max: usize,
    /// Where the database is PostgreSQL.
    url: Option<String>,
    /// Where packs are objects.
    server: Option<S3Server>,
    folder: tempfile::TempDir,
}

fn secrets() -> ChunkSecrets {
    ChunkSecrets {
        key: ChunkKey::new([7; 32]),
        seed: 3,
    }
}

/// Returns bytes that no compression shortens, by a seed.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

impl Fixture {
    async fn new() -> Self {
        Self::on(Arc::new(SystemDisk)).await
    }

    /// On a real S3 server.
    async fn on_s3() -> Self {
        Self::on_home(Arc::new(SystemDisk), true, None).await
    }

    /// The scaled shape: S3, and PostgreSQL.
    async fn scaled() -> Self {
        let url = test_server::database().await;
        Self::on_home(Arc::new(SystemDisk), true, Some(url)).await
    }

    async fn on(disk: Arc<dyn Disk>) -> Self {
        Self::on_home(disk, false, None).await
    }

    async fn on_home(disk: Arc<dyn Disk>, is_on_s3: bool, url: Option<String>) -> Self {
        // In memory where that is possible: what is tested is order, not the disk.
        let memory = std::path::Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory).unwrap()
        } else {
            tempfile::tempdir().unwrap()
        };
        let file = folder.path().join("metadata.db");
        let metadata = match &url {
            Some(url) => open_postgres(url).await,
            None => MetadataStore::open_sqlite(&file, SqliteSettings::default()).unwrap(),
        };
        let metadata = Arc::new(metadata);
        let space = metadata.write(MakeSpace).await.unwrap();
        let clock_file = folder.path().join("clock");
        let mut fixture = Self {
            metadata,
            chunks: None,
            space,
            clock: Clock::moved_by_file(clock_file.clone()),
            clock_file,
            segment_bytes: super::SEGMENT_BYTES,
            // Small, so that small bodies become packs on both homes alike.
            hot_bytes_max: FOLDER_HOT_BYTES_MAX,
            url,
            server: is_on_s3.then(|| S3Server::start(&folder.path().join("s3"))),
            folder,
        };
        fixture.open_on(disk);
        fixture
    }

    fn cache_folder(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn pack_folder(&self) -> PathBuf {
        self.folder.path().join("chunks")
    }

    fn settings(&self) -> ChunkSettings {
        ChunkSettings {
            home: match &self.server {
                None => PackHome::Folder(self.pack_folder()),
                Some(server) => PackHome::S3(server.settings("some/where", self.cache_folder())),
            },
            hot_bytes_max: self.hot_bytes_max,
            upload_memory_bytes: 64 << 20,
            cache_bytes: 4 << 20,
            free_bytes_min: 0,
        }
    }

    fn try_open_on(&self, disk: Arc<dyn Disk>) -> Result<Arc<ChunkStore>, ChunkError> {
        let metadata = Arc::clone(&self.metadata);
        ChunkStore::open_on(
            (disk, self.segment_bytes),
            self.settings(),
            secrets(),
            metadata,
            self.clock.clone(),
        )
        .map(Arc::new)
    }

    fn open_on(&mut self, disk: Arc<dyn Disk>) {
        self.chunks = Some(self.try_open_on(disk).unwrap());
    }

    /// Ends the chunk store and opens it again.
    fn reopen(&mut self) {
        self.chunks = None;
        self.open_on(Arc::new(SystemDisk));
    }

    fn chunks(&self) -> &Arc<ChunkStore> {
        self.chunks.as_ref().unwrap()
    }

    fn move_clock(&self, seconds: i64) {
        let now: i64 = std::fs::read_to_string(&self.clock_file)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        std::fs::write(&self.clock_file, (now + seconds).to_string()).unwrap();
    }

    fn change(&self) -> Change {
        Change {
            space: self.space,
            top: None,
            allowed: Permissions::ALL,
            actor: UserId(1),
            origin: None,
            now: self.clock.now(),
            quota_default_bytes: None,
        }
    }

    fn request(&self, declared_bytes: Option<u64>, replaced: Option<Content>) -> IngestRequest {
        IngestRequest {
            space: self.space,
            dedup: DedupScope::Space,
            declared_bytes,
            replaced,
            profile: None,
            checksums: Checksums::default(),
        }
    }

    async fn ingest(&self, bytes: &[u8], request: IngestRequest) -> Result<Ingested, ChunkError> {
        let mut ingest = self.chunks().ingest(request);
        for piece in bytes.chunks(60_000) {
            ingest.write(Bytes::copy_from_slice(piece)).await?;
        }
        ingest.finish().await
    }

    async fn commit(&self, at: &str, ingested: &Ingested) -> StoreResult<Content> {
        let change = self.change();
        let begun_at = change.now;
        let committed = self
            .metadata
            .write(CommitUpload {
                change,
                path: NodePath::parse(at).unwrap(),
                content: ingested.content.clone(),
                modified_at: None,
                created_at: None,
                begun_at,
                lease: None,
                precondition: Precondition::default(),
            })
            .await?;
        let id = committed.node.content.unwrap();
        Ok(self.metadata.read(FindContentById(id)).await?.unwrap())
    }

    /// Stores a file as a PUT with a length does.
    async fn put(&self, at: &str, bytes: &[u8]) -> Content {
        let open = OpenFile {
            root: self.space.into(),
            path: NodePath::parse(at).unwrap(),
        };
        let replaced = self
            .metadata
            .read(open)
            .await
            .ok()
            .map(|(_, content)| content);
        let request = self.request(Some(bytes.len() as u64), replaced);
        let ingested = self.ingest(bytes, request).await.unwrap();
        self.commit(at, &ingested).await.unwrap()
    }

    /// Reads a content's row again.
    async fn by_id(&self, content: &Content) -> Option<Content> {
        let find = FindContentById(content.id);
        self.metadata.read(find).await.unwrap()
    }

    async fn read_range(
        &self,
        content: &Content,
        range: Range<u64>,
    ) -> Result<Vec<u8>, ChunkError> {
        let pieces: Vec<Bytes> = self
            .chunks()
            .stream(content.clone(), range)
            .try_collect()
            .await?;
        Ok(pieces.concat())
    }

    async fn read(&self, content: &Content) -> Result<Vec<u8>, ChunkError> {
        self.read_range(content, 0..content.size_bytes).await
    }

    /// Returns the bytes of all pack files together.
    fn pack_bytes(&self) -> u64 {
        let packs = match &self.server {
            None => packs_below(&self.pack_folder()),
            Some(server) => server.packs(),
        };
        packs
            .iter()
            .map(|pack| pack.metadata().unwrap().len())
            .sum()
    }

    /// Returns the number of packs.
    fn packs(&self) -> usize {
        match &self.server {
            None => packs_below(&self.pack_folder()).len(),
            Some(server) => server.packs().len(),
        }
    }
}

/// Loses the rows of all sealed packs.
struct LosePacks;

impl Operation for LosePacks {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.execute("DELETE FROM pack WHERE state = 1", &[]).await?;
        Ok(())
    }
}

/// Runs a test on both homes of packs.
fn on_both(test: impl AsyncFn(Fixture)) {
    run(async {
        test(Fixture::new().await).await;
        println!("and now on S3");
        test(Fixture::on_s3().await).await;
    });
}

/// Runs a test on S3, beside either database.
fn on_s3_with_each_database(test: impl AsyncFn(Fixture)) {
    run(async {
        test(Fixture::on_s3().await).await;
        println!("and now with PostgreSQL");
        test(Fixture::scaled().await).await;
    });
}

async fn by_node(fixture: &Fixture, node: &Node) -> Content {
    let find = FindContentById(node.content.unwrap());
    fixture.metadata.read(find).await.unwrap().unwrap()
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
