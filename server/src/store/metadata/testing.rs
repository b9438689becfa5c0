//! Stores for tests: the same test runs on each engine.

use crate::store::metadata::MetadataStore;
use crate::store::metadata::postgres::PostgresSettings;
use crate::store::metadata::postgres::test_server;
use crate::store::metadata::sqlite::SqliteSettings;

/// Opens an empty store for a test of a module whose name ends with its engine.
///
/// What comes with it must live as long as the store.
pub(crate) async fn open_for(module: &str) -> (MetadataStore, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = if module.ends_with("on_postgres") {
        open_postgres(&test_server::database().await).await
    } else {
        let file = folder.path().join("nuage.db");
        MetadataStore::open_sqlite(&file, SqliteSettings::default()).unwrap()
    };
    (store, folder)
}

/// Opens a store on a PostgreSQL database, as one of several servers.
pub(crate) async fn open_postgres(url: &str) -> MetadataStore {
    let settings = PostgresSettings {
        connections: 8,
        ..PostgresSettings::default()
    };
    MetadataStore::open_postgres(url, &settings).await.unwrap()
}
