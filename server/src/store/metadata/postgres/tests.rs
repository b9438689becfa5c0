//! What only this engine can do wrong: several servers, lost connections, unsafe settings.

use std::sync::Arc;

use nuage_shared::manifest::PackId;

use crate::clock::Timestamp;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::accounts::CreateAccount;
use crate::store::metadata::accounts::CreateFirstAccount;
use crate::store::metadata::accounts::FindAccountByName;
use crate::store::metadata::accounts::Quota;
use crate::store::metadata::accounts::SetDisabled;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::history::ReadSetting;
use crate::store::metadata::history::WriteSetting;
use crate::store::metadata::migrate::MOVED_TO;
use crate::store::metadata::migrate::Migrated;
use crate::store::metadata::migrate::MigrationPhase;
use crate::store::metadata::migrate::migrate_to_postgres;
use crate::store::metadata::packs::FindPack;
use crate::store::metadata::packs::MovePack;
use crate::store::metadata::packs::OpenPack;
use crate::store::metadata::packs::SealPack;
use crate::store::metadata::postgres::PostgresSettings;
use crate::store::metadata::postgres::test_server::database;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::redirections::Redirection;
use crate::store::metadata::redirections::Redirections;
use crate::store::metadata::sqlite::SqliteSettings;
use crate::store::metadata::testing::open_postgres;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;

async fn sql(url: &str, text: &str) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client.batch_execute(text).await.unwrap();
}

async fn refusal_to_open(url: &str) -> String {
    let opened = MetadataStore::open_postgres(url, &PostgresSettings::default()).await;
    opened.unwrap_err().to_string()
}

fn account(name: &str) -> CreateAccount {
    CreateAccount {
        name: name.into(),
        fold: name.into(),
        display_name: name.into(),
        email: None,
        password_hash: None,
        is_admin: false,
        quota: Quota::Default,
        now: Timestamp::from_seconds(1),
    }
}

#[tokio::test]
async fn several_servers_can_start_on_an_empty_database_at_once() {
    let url = database().await;
    let stores = tokio::join!(
        open_postgres(&url),
        open_postgres(&url),
        open_postgres(&url)
    );

    let first = || CreateFirstAccount(account("admin"));
    let (a, b, c) = tokio::join!(
        stores.0.write(first()),
        stores.1.write(first()),
        stores.2.write(first())
    );

    let created = [a, b, c].into_iter().filter_map(Result::unwrap).count();
    assert_eq!(created, 1, "each sees what another one made meanwhile");
}

#[tokio::test]
async fn a_server_that_would_lose_acknowledged_writes_is_refused() {
    let url = database().await;
    let name = url.rsplit('/').next().unwrap();
    let set = format!("ALTER DATABASE {name} SET synchronous_commit = off");
    sql(&url, &set).await;

    assert!(refusal_to_open(&url).await.contains("synchronous_commit"));
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_unless_it_says_that_this_one_can_use_it() {
    let url = database().await;
    open_postgres(&url).await.close();
    // A newer server has only added something, while this one may still run.
    sql(
        &url,
        "UPDATE schema_version SET version = version + 1; ALTER TABLE node ADD COLUMN more BIGINT",
    )
    .await;
    let beside = open_postgres(&url).await;
    beside.write(account("ana")).await.unwrap();
    beside.close();
    sql(&url, "UPDATE schema_version SET oldest = version").await;

    let opened = MetadataStore::open_postgres(&url, &PostgresSettings::default()).await;

    assert!(matches!(opened, Err(StoreError::NewerSchema { .. })));
}

#[tokio::test]
async fn a_broken_connection_is_replaced_and_the_operation_runs_again() {
    let url = database().await;
    let store = open_postgres(&url).await;
    let name = "x";
    for round in 0..4 {
        store
            .write(WriteSetting(name, round.to_string()))
            .await
            .unwrap();
        sql(
            &url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        let found = store.read(ReadSetting(name)).await.unwrap();
        assert_eq!(found, Some(round.to_string()));
    }
}

#[tokio::test]
async fn an_unreachable_database_is_said_to_be_unavailable() {
    let url = database().await;
    let store = open_postgres(&url).await;
    let name = url.rsplit('/').next().unwrap().to_owned();
    let admin = url.replace(&name, "postgres");
    sql(&admin, &format!("DROP DATABASE {name} WITH (FORCE)")).await;

    let (read, write) = tokio::join!(
        store.read(ReadSetting("x")),
        store.write(WriteSetting("x", String::new()))
    );

    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    assert!(
        matches!(write, Err(StoreError::Unavailable(_))),
        "{write:?}"
    );
}

/// Writes a setting, after a pause in the database or an error that it overlooks.
struct Slow {
    overlooks_an_error: bool,
}

impl Operation for Slow {
    type Output = ();

    fn space(&self) -> Option<SpaceId> {
        Some(SpaceId(1))
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        WriteSetting("slow", "done".into()).run(tx).await?;
        if self.overlooks_an_error {
            drop(tx.row("SELECT 1 / 0", &[], |row| row.int(0)).await);
        } else {
            let pause = "SELECT CASE WHEN pg_sleep(0.2) IS NULL THEN 0 ELSE 1 END";
            tx.row(pause, &[], |row| row.int(0)).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_commit_goes_on_when_its_caller_is_gone() {
    let store = open_postgres(&database().await).await;
    let slow = Slow {
        overlooks_an_error: false,
    };

    drop(store.write(slow));

    for _ in 0..100 {
        if store.read(ReadSetting("slow")).await.unwrap().is_some() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the commit was cancelled");
}

#[tokio::test]
async fn an_operation_that_overlooks_an_error_is_never_said_to_be_done() {
    let store = open_postgres(&database().await).await;
    let slow = |overlooks_an_error| Slow { overlooks_an_error };

    let alone = store.write(slow(true)).await;
    assert!(matches!(alone, Err(StoreError::Database(_))), "{alone:?}");
    assert_eq!(store.read(ReadSetting("slow")).await.unwrap(), None);

    // The first runs alone; the others wait behind it and share a transaction.
    let (first, good, bad, better) = tokio::join!(
        store.write(slow(false)),
        store.write(slow(false)),
        store.write(slow(true)),
        store.write(slow(false))
    );
    assert!(first.is_ok() && good.is_ok() && better.is_ok());
    assert!(matches!(bad, Err(StoreError::Database(_))), "{bad:?}");
}

/// Locks two rows, in an order that meets another's.
struct Crossing {
    names: [&'static str; 2],
}

impl Operation for Crossing {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        for name in self.names {
            WriteSetting(name, "x".into()).run(tx).await?;
            tx.row(
                "SELECT CASE WHEN pg_sleep(0.05) IS NULL THEN 0 ELSE 1 END",
                &[],
                |row| row.int(0),
            )
            .await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn operations_that_deadlock_run_again_until_all_are_done() {
    let store = open_postgres(&database().await).await;
    let (there, back) = (["a", "b"], ["b", "a"]);
    let write = |names| store.write(Crossing { names });

    let (a, b, c, d) = tokio::join!(write(there), write(back), write(there), write(back));

    assert!(a.is_ok() && b.is_ok() && c.is_ok() && d.is_ok());
}

#[tokio::test]
async fn another_server_notices_that_an_account_was_disabled() {
    let url = database().await;
    let (one, other) = (open_postgres(&url).await, open_postgres(&url).await);
    let made = one.write(account("ana")).await.unwrap();
    let before = other.data_version().await.unwrap();
    assert_eq!(other.data_version().await.unwrap(), before);

    let disable = SetDisabled {
        id: made.id,
        disabled: true,
        now: Timestamp::from_seconds(2),
    };
    one.write(disable).await.unwrap();

    assert_ne!(other.data_version().await.unwrap(), before);
}

/// Reserves numbers and then fails or not.
struct Reserve {
    fails: bool,
}

impl Operation for Reserve {
    type Output = i64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<i64> {
        let first = tx.reserve_ids("node", 3).await?;
        if self.fails {
            return Err(Refusal::NotFound.into());
        }
        Ok(first)
    }
}

#[tokio::test]
async fn a_number_is_never_handed_out_twice() {
    let url = database().await;
    let servers = [open_postgres(&url).await, open_postgres(&url).await].map(Arc::new);
    let mut tasks = Vec::new();
    for index in 0..80 {
        let server = Arc::clone(&servers[index % 2]);
        let fails = index % 3 == 0;
        tasks.push(tokio::spawn(async move {
            server.write(Reserve { fails }).await
        }));
    }
    let mut taken = Vec::new();
    for task in tasks {
        taken.extend(task.await.unwrap());
    }
    let restarted = open_postgres(&url).await;
    taken.push(restarted.write(Reserve { fails: false }).await.unwrap());

    taken.sort_unstable();
    assert!(
        taken.windows(2).all(|pair| pair[1] - pair[0] >= 3),
        "{taken:?}"
    );
}

struct CountNodes;

impl Operation for CountNodes {
    type Output = i64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<i64> {
        let sum = tx
            .row(
                "SELECT count(*) + sum(seq) FROM node",
                &[],
                |row: &dyn Row| row.int(0),
            )
            .await?;
        Ok(sum.unwrap_or(0))
    }
}

#[tokio::test]
async fn a_move_that_was_interrupted_goes_on_and_ends_with_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metadata.db");
    let source = MetadataStore::open_sqlite(&file, SqliteSettings::default()).unwrap();
    for number in 0..700 {
        let account = account(&format!("person {number}"));
        source.write(account).await.unwrap();
    }
    let history = WriteSetting("history_id", "one line of history".into());
    source.write(history).await.unwrap();
    let nodes = source.read(CountNodes).await.unwrap();
    source.close();
    let url = database().await;
    let settings = PostgresSettings::default();

    // The runtime drops the first attempt half-way.
    let mut pages = 0;
    let mut stop_in_nodes = |progress: &crate::store::metadata::migrate::MigrationProgress| {
        pages += 1;
        let is_half_way = progress.table == "node" && progress.rows_done > 0 && pages > 3;
        assert!(!is_half_way, "stopped on purpose");
    };
    let target = (url.as_str(), &settings);
    let first = std::panic::AssertUnwindSafe(migrate_to_postgres(
        &file,
        target,
        "elsewhere",
        &mut stop_in_nodes,
    ));
    let stopped = futures_util::FutureExt::catch_unwind(first).await;
    assert!(stopped.is_err());
    assert!(refusal_to_open(&url).await.contains("being moved"));

    let mut seen = Vec::new();
    let mut watch = |progress: &crate::store::metadata::migrate::MigrationProgress| {
        seen.push((progress.phase, progress.rows_done, progress.rows_total));
    };
    let migrated = migrate_to_postgres(&file, target, "elsewhere", &mut watch)
        .await
        .unwrap();
    let Migrated::Now { rows } = migrated else {
        panic!("{migrated:?}")
    };

    let (phase, done, total) = seen.pop().unwrap();
    assert_eq!(
        (phase, done, total),
        (MigrationPhase::Comparing, rows, rows)
    );
    let moved = open_postgres(&url).await;
    assert_eq!(moved.read(CountNodes).await.unwrap(), nodes);
    let fold = "person 699".to_owned();
    let found = moved.read(FindAccountByName { fold }).await.unwrap();
    assert!(found.is_some());
    let next = moved.write(account("next")).await.unwrap();
    assert_eq!(next.id.0, 701, "numbers go on where they were");
    let left = MetadataStore::open_sqlite(&file, SqliteSettings::default()).unwrap();
    let moved_to = left.read(ReadSetting(MOVED_TO)).await.unwrap();
    assert_eq!(moved_to.as_deref(), Some("elsewhere"));
    // Cut off before the note: what is there already is recognised.
    let again = migrate_to_postgres(&file, target, "elsewhere", &mut |_| {}).await;
    assert_eq!(again.unwrap(), Migrated::Before);
    let other = WriteSetting("history_id", "another line of history".into());
    left.write(other).await.unwrap();
    let other = migrate_to_postgres(&file, target, "elsewhere", &mut |_| {}).await;
    assert!(other.unwrap_err().to_string().contains("an installation"));
}

async fn sealed_pack(store: &MetadataStore) -> PackId {
    let at = Timestamp::from_seconds(1);
    let uuid = rand::random();
    let pack = store.write(OpenPack { uuid, at }).await.unwrap();
    let size_bytes = 1_000;
    let seal = SealPack {
        pack,
        size_bytes,
        at,
    };
    store.write(seal).await.unwrap();
    pack
}

/// Leads 10 bytes at each of the offsets to the beginnings of packs.
fn moving(pack: PackId, to: &[(u64, PackId)]) -> MovePack {
    let mut moved = Redirections::default();
    for (from, target) in to {
        moved.push(Redirection {
            from: *from,
            length: 10,
            pack: *target,
            to: 0,
        });
    }
    MovePack {
        pack,
        copied: Vec::new(),
        moved,
        at: Timestamp::from_seconds(2),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_compactions_at_once_lose_no_redirection_of_a_common_source() {
    let url = database().await;
    let (one, two) = (open_postgres(&url).await, open_postgres(&url).await);
    for _ in 0..25 {
        let mut packs = Vec::new();
        for _ in 0..5 {
            packs.push(sealed_pack(&one).await);
        }
        let [source, a, b, c, d] = packs[..] else {
            unreachable!()
        };
        let to_both = moving(source, &[(100, a), (200, b)]);
        assert!(one.write(to_both).await.unwrap());

        let (first, second) = tokio::join!(
            one.write(moving(a, &[(0, c)])),
            two.write(moving(b, &[(0, d)]))
        );
        assert!(first.unwrap() && second.unwrap());

        let (_, moved) = one.read(FindPack(source)).await.unwrap().unwrap();
        let moved = moved.unwrap();
        assert_eq!(moved.resolve(100), Some((c, 0)));
        assert_eq!(moved.resolve(200), Some((d, 0)));
    }
}
