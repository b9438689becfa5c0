use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::TryStreamExt;
use nuage_server::clock::Clock;
use nuage_server::store::chunks::*;
use nuage_server::store::metadata::error::*;
use nuage_server::store::metadata::records::*;
use nuage_server::store::metadata::tx::*;
use nuage_server::store::metadata::*;
use std::sync::Arc;
use std::time::Instant;
struct MakeSpace;
impl Operation for MakeSpace {
    type Output = SpaceId;
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<SpaceId> {
        let space = tx.reserve_ids("space", 1).await?;
        let root = tx.reserve_ids("node", 2).await?;
        for (id, seq) in [(root, 1), (root + 1, 2)] {
            tx.execute("INSERT INTO node (id, space_id, name, fold, kind, seq, born, tree_seq, mtime, ctime) VALUES ($1, $2, '', '', 0, $3, $3, $3, 0, 0)", &[id.into(), space.into(), seq.into()]).await?;
        }
        tx.execute("INSERT INTO space (id, domain_id, kind, owner_id, root_id, trash_id, seq) VALUES ($1, 1, 1, 1, $2, $3, 2)", &[space.into(), root.into(), (root + 1).into()]).await?;
        Ok(SpaceId(space))
    }
}
fn main() {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(go());
}
async fn put(
    store: &Arc<ChunkStore>,
    md: &Arc<MetadataStore>,
    space: SpaceId,
    name: &str,
    data: &Bytes,
    piece: usize,
) -> Content {
    let mut ing = store.ingest(IngestRequest {
        space,
        dedup: DedupScope::Space,
        declared_bytes: Some(data.len() as u64),
        replaced: None,
        checksum: None,
    });
    let mut at = 0;
    while at < data.len() {
        let e = (at + piece).min(data.len());
        ing.write(Bytes::copy_from_slice(&data[at..e]))
            .await
            .unwrap();
        at = e;
        tokio::task::yield_now().await;
    }
    let done = ing.finish().await.unwrap();
    let now = Clock::system().now();
    let c = md
        .write(upload::CommitUpload {
            change: nodes::Change {
                space,
                actor: UserId(1),
                now,
                quota_default_bytes: None,
            },
            path: nuage_shared::node_path::NodePath::parse(name).unwrap(),
            content: done.content,
            modified_at: None,
            created_at: None,
            begun_at: now,
            lease: None,
            precondition: Default::default(),
        })
        .await
        .unwrap();
    md.read(contents::FindContentById(c.node.content.unwrap()))
        .await
        .unwrap()
        .unwrap()
}
async fn go() {
    let dir = tempfile::tempdir_in(std::env::args().nth(1).unwrap_or("/work/wt".into())).unwrap();
    let md = Arc::new(
        MetadataStore::open_sqlite(&dir.path().join("m.db"), sqlite::SqliteSettings::default())
            .unwrap(),
    );
    let space = md.write(MakeSpace).await.unwrap();
    let store = Arc::new(
        ChunkStore::open(
            ChunkSettings {
                folder: dir.path().join("chunks"),
                upload_memory_bytes: 64 << 20,
                cache_bytes: 16 << 20,
                free_bytes_min: 1 << 30,
            },
            ChunkSecrets {
                key: nuage_shared::chunk_id::ChunkKey::new([1; 32]),
                seed: 5,
            },
            md.clone(),
            Clock::system(),
        )
        .unwrap(),
    );
    let mut v = vec![0u8; 1 << 30];
    rand::fill(&mut v[..]);
    let data = Bytes::from(v);
    for round in 0..2 {
        let mut d = data.clone();
        if round == 1 {
            let mut v = data.to_vec();
            for b in v.iter_mut() {
                *b ^= 0x55;
            }
            d = Bytes::from(v);
        }
        let t = Instant::now();
        let c = put(&store, &md, space, &format!("a{round}"), &d, 128 << 10).await;
        let e = t.elapsed();
        println!("put 1 GiB {:?} {:.0} MB/s", e, 1073.7 / e.as_secs_f64());
        for _ in 0..3 {
            let t = Instant::now();
            let n: usize = store
                .stream(c.clone(), 0..c.size_bytes)
                .map_ok(|b| b.len())
                .try_fold(0, |a, b| async move { Ok(a + b) })
                .await
                .unwrap();
            let e = t.elapsed();
            println!("get {n} {:?} {:.0} MB/s", e, 1073.7 / e.as_secs_f64());
        }
        let t = Instant::now();
        let c = put(&store, &md, space, &format!("b{round}"), &d, 128 << 10).await;
        let e = t.elapsed();
        println!(
            "same again {:?} {:.0} MB/s chunks {}",
            e,
            1073.7 / e.as_secs_f64(),
            c.chunks
        );
    }
    for size in [10 << 10usize, 32 << 10, 200 << 10, 600 << 10] {
        for conns in [1usize, 8] {
            let n = 1600usize.min((400 << 20) / size);
            let t = Instant::now();
            futures_util::stream::iter(0..conns)
                .for_each_concurrent(None, |k| {
                    let (store, md, data) = (store.clone(), md.clone(), data.clone());
                    async move {
                        tokio::spawn(async move {
                            for i in 0..n / conns {
                                let off =
                                    (k * 7919 + i * 104729 + size * conns) % (data.len() - size);
                                put(
                                    &store,
                                    &md,
                                    space,
                                    &format!("s{size}-{conns}-{k}-{i}"),
                                    &data.slice(off..off + size),
                                    64 << 10,
                                )
                                .await;
                            }
                        })
                        .await
                        .unwrap();
                    }
                })
                .await;
            let e = t.elapsed();
            println!(
                "put {size} x{n} conns {conns}: {:.0}/s",
                n as f64 / e.as_secs_f64()
            );
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    for l in status.lines() {
        if l.starts_with("VmHWM") || l.starts_with("VmRSS") {
            println!("{l}");
        }
    }
}
