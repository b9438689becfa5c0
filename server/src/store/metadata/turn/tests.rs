//! What a turn is worth when its holder is gone, late, or in the middle of a write.

use std::sync::Arc;
use std::time::Duration;

use crate::store::metadata::MetadataStore;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::history::ReadSetting;
use crate::store::metadata::history::WriteSetting;
use crate::store::metadata::postgres::test_server::database;
use crate::store::metadata::sqlite::SqliteSettings;
use crate::store::metadata::testing::open_postgres;
use crate::store::metadata::turn::Duty;
use crate::store::metadata::turn::Turn;

async fn take(store: &MetadataStore) -> Option<Turn> {
    store.take_turn(Duty::Jobs).await.unwrap()
}

async fn write(store: &MetadataStore, turn: &Turn, value: &str) -> Result<(), StoreError> {
    let write = store.write_in_background(WriteSetting("job", value.to_owned()));
    turn.within(write).await
}

#[tokio::test]
async fn one_server_has_a_turn_until_it_gives_it_back_or_dies() {
    let url = database().await;
    let (one, two) = (open_postgres(&url).await, open_postgres(&url).await);
    let turn = take(&one).await.unwrap();
    assert!(take(&two).await.is_none());
    assert!(take(&one).await.is_none(), "nor has this server another");
    let packs = two.take_turn(Duty::Packs).await.unwrap();
    assert!(packs.is_some(), "another duty is another turn");

    drop(turn);
    let next = loop {
        match take(&two).await {
            Some(turn) => break turn,
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    assert_eq!(next.number(), 2);
    write(&two, &next, "x").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_wakes_up_late_writes_nothing() {
    let url = database().await;
    let (one, two) = (open_postgres(&url).await, open_postgres(&url).await);
    let late = take(&one).await.unwrap();
    write(&one, &late, "before").await.unwrap();

    // Its session ends without its knowledge.
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
        .batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .await
        .unwrap();
    let next = loop {
        match take(&two).await {
            Some(turn) => break turn,
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };

    let refused = write(&one, &late, "late").await;
    assert!(
        matches!(refused, Err(StoreError::Superseded)),
        "{refused:?}"
    );
    write(&two, &next, "after").await.unwrap();
    let held = one.read(ReadSetting("job")).await.unwrap();
    assert_eq!(held.as_deref(), Some("after"));
    let noticed = tokio::time::timeout(Duration::from_secs(5), late.lost()).await;
    assert!(noticed.is_ok(), "it notices by itself");
    // What is no work of the turn goes on.
    let other = WriteSetting("other", String::new());
    one.write(other).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_turn_waits_for_a_write_that_has_begun() {
    let url = database().await;
    let one = Arc::new(open_postgres(&url).await);
    let turn = take(&one).await.unwrap();
    // Somebody holds the row that the job writes to, so that its transaction stays open.
    let (mut client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    write(&one, &turn, "first").await.unwrap();
    let blocker = client.transaction().await.unwrap();
    blocker
        .batch_execute("UPDATE setting SET value = value WHERE name = 'job'")
        .await
        .unwrap();
    let number = turn.number();
    let writing = {
        let one = Arc::clone(&one);
        tokio::spawn(async move { write(&one, &turn, "second").await })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    let beginning = {
        let one = Arc::clone(&one);
        tokio::spawn(async move {
            one.write(crate::store::metadata::turn::BeginTurn(Duty::Jobs))
                .await
        })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!beginning.is_finished(), "the former turn still writes");
    blocker.commit().await.unwrap();
    writing.await.unwrap().unwrap();
    assert_eq!(beginning.await.unwrap().unwrap(), number + 1);
}

#[tokio::test]
async fn on_sqlite_the_latest_turn_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metadata.db");
    let store = MetadataStore::open_sqlite(&path, SqliteSettings::default()).unwrap();
    let first = take(&store).await.unwrap();
    write(&store, &first, "a").await.unwrap();
    let second = take(&store).await.unwrap();
    let refused = write(&store, &first, "b").await;
    assert!(
        matches!(refused, Err(StoreError::Superseded)),
        "{refused:?}"
    );
    write(&store, &second, "c").await.unwrap();
}
