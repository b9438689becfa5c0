//! Which folders a backup touches, and what a restore begins.

use std::path::Path;

use super::BackupError;
use super::Progress;
use super::backup;
use super::restore;
use crate::clock::Clock;
use crate::store::folder::DataFolder;
use crate::store::folder::SECRET_FILE;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::backup::NameHistory;
use crate::store::metadata::backup::ReadHistoryId;
use crate::store::metadata::sqlite::SqliteSettings;

fn open(data: &DataFolder) -> MetadataStore {
    std::fs::create_dir_all(data.path()).unwrap();
    MetadataStore::open_sqlite(&data.database(), SqliteSettings::default()).unwrap()
}

async fn installation(path: &Path, secret: &str) -> (DataFolder, MetadataStore) {
    let data = DataFolder::new(path.to_owned());
    let store = open(&data);
    std::fs::write(path.join(SECRET_FILE), secret).unwrap();
    let history_id = format!("history of {secret}");
    store.write(NameHistory { history_id }).await.unwrap();
    (data, store)
}

fn ignore(_: Progress) {}

#[tokio::test]
async fn a_restore_begins_another_line_of_history() {
    let root = tempfile::tempdir().unwrap();
    let (data, store) = installation(&root.path().join("data"), "a").await;
    let target = root.path().join("backup");
    let clock = Clock::system();
    let about = backup(&store, &data, &target, &clock, ignore)
        .await
        .unwrap();
    assert_eq!(about.history_id, "history of a");

    let restored = DataFolder::new(root.path().join("restored"));
    restore(&target, &restored, ignore).await.unwrap();
    let secret = std::fs::read_to_string(restored.secret()).unwrap();
    assert_eq!(secret, "a");
    let history_id = open(&restored).read(ReadHistoryId).await.unwrap();
    assert!(history_id.is_some_and(|id| id != about.history_id && !id.is_empty()));
}

#[tokio::test]
async fn a_folder_that_holds_something_else_is_not_touched() {
    let root = tempfile::tempdir().unwrap();
    let (data, store) = installation(&root.path().join("data"), "a").await;
    let clock = Clock::system();
    let foreign = root.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("letter.txt"), "dear").unwrap();
    for folder in [&foreign, data.path()] {
        let refused = backup(&store, &data, folder, &clock, ignore).await;
        assert!(
            matches!(refused, Err(BackupError::NotEmpty { .. })),
            "{refused:?}"
        );
    }
    let into = restore(&foreign, &data, ignore).await;
    assert!(
        matches!(into, Err(BackupError::NotABackup { .. })),
        "{into:?}"
    );
    assert_eq!(std::fs::read_dir(&foreign).unwrap().count(), 1);
}

#[tokio::test]
async fn the_backup_of_one_installation_does_not_become_that_of_another() {
    let root = tempfile::tempdir().unwrap();
    let (first, first_store) = installation(&root.path().join("first"), "a").await;
    let (second, second_store) = installation(&root.path().join("second"), "b").await;
    let target = root.path().join("backup");
    let clock = Clock::system();
    backup(&first_store, &first, &target, &clock, ignore)
        .await
        .unwrap();
    let refused = backup(&second_store, &second, &target, &clock, ignore).await;
    assert!(
        matches!(refused, Err(BackupError::OtherInstallation { .. })),
        "{refused:?}"
    );
    let into = restore(&target, &second, ignore).await;
    assert!(
        matches!(into, Err(BackupError::NotEmpty { .. })),
        "{into:?}"
    );
}
