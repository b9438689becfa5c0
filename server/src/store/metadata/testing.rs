//! Stores for tests: the same test runs on each engine.

use crate::store::metadata::MetadataStore;
use crate::store::metadata::postgres::PostgresSettings;
use crate::store::metadata::postgres::test_server;
use crate::store::metadata::sqlite::SqliteSettings;

/// Where a test's store is; must live as long as the store.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    url: Option<String>,
}

impl Home {
    /// Makes an empty one for a test of a module whose name ends with its engine.
    pub(crate) async fn of(module: &str) -> Self {
        let url = if module.ends_with("on_postgres") {
            Some(test_server::database().await)
        } else {
            None
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            url,
        }
    }

    /// Opens the store, as one of several servers.
    pub(crate) async fn open(&self) -> MetadataStore {
        if let Some(url) = &self.url {
            return open_postgres(url).await;
        }
        let file = self.folder.path().join("nuage.db");
        MetadataStore::open_sqlite(&file, SqliteSettings::default()).unwrap()
    }
}

/// Opens a store on a PostgreSQL database, as one of several servers.
pub(crate) async fn open_postgres(url: &str) -> MetadataStore {
    let settings = PostgresSettings {
        connections: 8,
        ..PostgresSettings::default()
    };
    MetadataStore::open_postgres(url, &settings).await.unwrap()
}
