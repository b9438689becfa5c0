//! Backup of a data folder while it is in use, and restore into a new one.
//!
//! The database is copied first, as of one moment; then every pack that the copy
//! names. Packs never change once sealed and are not deleted before the grace,
//! so a backup taken again into the same folder copies only new ones. The new
//! database takes its place in the backup last, by a rename: a backup that was
//! cut off leaves the former one whole.
//!
//! ```text
//! DIR/backup.json      what this is: version, moment, history id, size
//! DIR/metadata.db      the database
//! DIR/secret.key       the installation's secret
//! DIR/nuage.toml       settings, if there were any
//! DIR/chunks/aa/*.pack the packs
//! ```
//!
//! A restore begins a new line of history ([`BeginNewHistory`]), so that nothing
//! that clients know from the lost future is ever used again for something else.

use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Clock;
use crate::store::chunks::pack_location;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::backup::BeginNewHistory;
use crate::store::metadata::backup::ReadHistoryId;
use crate::store::metadata::backup::copy_database;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::packs::EndLease;
use crate::store::metadata::packs::KeepLease;
use crate::store::metadata::packs::LEASE_SECONDS;
use crate::store::metadata::packs::ListPacks;
use crate::store::metadata::packs::PackRow;
use crate::store::metadata::packs::PackState;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::sqlite::SqliteSettings;
use nuage_shared::manifest::PackId;

/// Name of the database in a data folder and in a backup.
pub const DATABASE_FILE: &str = "metadata.db";
/// Name of the installation's secret.
pub const SECRET_FILE: &str = "secret.key";
/// Name of the settings.
pub const SETTINGS_FILE: &str = "nuage.toml";
/// Name of the folder of packs.
pub const CHUNKS_FOLDER: &str = "chunks";
const ABOUT_FILE: &str = "backup.json";
const FORMAT_VERSION: u32 = 1;

/// What a backup says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Version of this layout.
    pub version: u32,
    /// When the database was copied, in seconds since 1970.
    pub taken_at_seconds: i64,
    /// The line of history that it belongs to.
    pub history_id: String,
    /// Packs that belong to it.
    pub packs: u64,
    /// Their bytes.
    pub pack_bytes: u64,
}

/// Why a backup or restore stopped.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file could not be read, written or synced.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder is not a backup, or one of another version.
    #[error("{path} holds no backup that this program can read: {reason}")]
    NotABackup {
        /// Which folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The folder to restore into holds data already.
    #[error("{path} is not empty: restore into a new folder")]
    NotEmpty {
        /// Which folder.
        path: PathBuf,
    },
    /// A pack that the database names is not there.
    #[error("the pack {path} is missing")]
    PackMissing {
        /// Its file.
        path: PathBuf,
    },
}

/// The result of a backup or restore.
pub type BackupResult<T> = Result<T, BackupError>;

/// How far a long copy is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// Packs done.
    pub packs: u64,
    /// Packs in all.
    pub packs_total: u64,
    /// Bytes done, with those that were there already.
    pub bytes: u64,
    /// Bytes in all.
    pub bytes_total: u64,
    /// Bytes really copied.
    pub copied_bytes: u64,
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { path, source }
}

/// Backs a data folder up into `target`, which is made or brought up to date.
///
/// `report` is called after each pack.
pub async fn backup(
    data: &Path,
    target: &Path,
    clock: &Clock,
    mut report: impl FnMut(Progress) + Send,
) -> BackupResult<About> {
    let live = MetadataStore::open_sqlite(&data.join(DATABASE_FILE), SqliteSettings::default())?;
    let lease: [u8; 16] = rand::random();
    let now = clock.now();
    let keep = KeepLease {
        lease,
        space: SpaceId(0),
        begun_at: now,
        until: now.plus_seconds(LEASE_SECONDS),
        contents: Vec::new(),
    };
    live.write(keep).await?;
    let result = copy_out(data, target, clock, &mut report).await;
    live.write(EndLease { lease, at: clock.now() }).await?;
    tokio::task::spawn_blocking(move || live.close()).await.ok();
    result
}

async fn copy_out(
    data: &Path,
    target: &Path,
    clock: &Clock,
    report: &mut (impl FnMut(Progress) + Send),
) -> BackupResult<About> {
    std::fs::create_dir_all(target).map_err(file_error(target))?;
    let taken_at_seconds = clock.now().seconds();
    let fresh = target.join("metadata.db.new");
    remove_database(&fresh)?;
    let (from, to) = (data.join(DATABASE_FILE), fresh.clone());
    tokio::task::spawn_blocking(move || copy_database(&from, &to))
        .await
        .map_err(|_| StoreError::Closed)??;
    let copy = MetadataStore::open_sqlite(&fresh, SqliteSettings::default())?;
    let history_id = copy.read(ReadHistoryId).await?.unwrap_or_default();
    let packs = all_packs(&copy).await?;
    tokio::task::spawn_blocking(move || copy.close()).await.ok();

    let bytes_total = packs.iter().map(|pack| pack.size_bytes).sum();
    let packs_total = packs.len() as u64;
    let mut progress = Progress { packs_total, bytes_total, ..Progress::default() };
    for pack in &packs {
        let name = pack_location(&pack.uuid);
        let from = data.join(CHUNKS_FOLDER).join(&name);
        let to = target.join(CHUNKS_FOLDER).join(&name);
        progress.copied_bytes += copy_pack(pack, from, to).await?;
        progress.packs += 1;
        progress.bytes += pack.size_bytes;
        report(progress);
    }
    for name in [SECRET_FILE, SETTINGS_FILE] {
        let from = data.join(name);
        if from.exists() {
            copy_file(&from, &target.join(name))?;
        }
    }
    let about = About {
        version: FORMAT_VERSION,
        taken_at_seconds,
        history_id,
        packs: packs_total,
        pack_bytes: bytes_total,
    };
    sync(&fresh)?;
    std::fs::rename(&fresh, target.join(DATABASE_FILE)).map_err(file_error(&fresh))?;
    remove_database(&fresh)?;
    write_about(target, &about)?;
    forget_other_packs(target, &packs)?;
    Ok(about)
}

/// Lists the packs whose files the copy needs.
async fn all_packs(copy: &MetadataStore) -> BackupResult<Vec<PackRow>> {
    let mut packs = Vec::new();
    for state in [PackState::Open, PackState::Sealed] {
        let mut after = PackId(0);
        loop {
            let page = copy.read(ListPacks { state, after, limit: 1_000 }).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            packs.extend(page);
        }
    }
    Ok(packs)
}

/// Copies a pack unless it is there already; returns the bytes copied.
async fn copy_pack(pack: &PackRow, from: PathBuf, to: PathBuf) -> BackupResult<u64> {
    let is_sealed = pack.state == PackState::Sealed;
    tokio::task::spawn_blocking(move || {
        let found = match std::fs::metadata(&from) {
            Ok(found) => found,
            // A segment that was announced and has no file yet holds nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_sealed => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::PackMissing { path: from });
            }
            Err(error) => return Err(file_error(&from)(error)),
        };
        let is_there = std::fs::metadata(&to).is_ok_and(|held| held.len() == found.len());
        if is_there && is_sealed {
            return Ok(0);
        }
        copy_file(&from, &to)
    })
    .await
    .map_err(|_| StoreError::Closed)?
}

/// Copies a file durably: under another name first, then renamed.
fn copy_file(from: &Path, to: &Path) -> BackupResult<u64> {
    let folder = to.parent().unwrap_or(to);
    std::fs::create_dir_all(folder).map_err(file_error(folder))?;
    let mut partial = to.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let bytes = std::fs::copy(from, &partial).map_err(file_error(from))?;
    sync(&partial)?;
    std::fs::rename(&partial, to).map_err(file_error(to))?;
    sync(folder)?;
    Ok(bytes)
}

fn sync(path: &Path) -> BackupResult<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(file_error(path))
}

fn remove_database(path: &Path) -> BackupResult<()> {
    for end in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(file_error(path)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn write_about(target: &Path, about: &About) -> BackupResult<()> {
    let fresh = target.join("backup.json.new");
    let text = serde_json::to_vec_pretty(about)
        .map_err(|error| file_error(&fresh)(io::Error::other(error)))?;
    std::fs::write(&fresh, text).map_err(file_error(&fresh))?;
    sync(&fresh)?;
    std::fs::rename(&fresh, target.join(ABOUT_FILE)).map_err(file_error(&fresh))?;
    sync(target)
}

/// Deletes packs of former backups that the present one does not name.
fn forget_other_packs(target: &Path, packs: &[PackRow]) -> BackupResult<()> {
    let named: std::collections::HashSet<PathBuf> = packs
        .iter()
        .map(|pack| target.join(CHUNKS_FOLDER).join(pack_location(&pack.uuid)))
        .collect();
    let root = target.join(CHUNKS_FOLDER);
    if !root.exists() {
        return Ok(());
    }
    for folder in std::fs::read_dir(&root).map_err(file_error(&root))? {
        let folder = folder.map_err(file_error(&root))?.path();
        if !folder.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&folder).map_err(file_error(&folder))? {
            let file = file.map_err(file_error(&folder))?.path();
            if !named.contains(&file) {
                std::fs::remove_file(&file).map_err(file_error(&file))?;
            }
        }
    }
    Ok(())
}

/// Restores a backup into `data`, which must be empty or not exist.
pub async fn restore(
    source: &Path,
    data: &Path,
    mut report: impl FnMut(Progress) + Send,
) -> BackupResult<About> {
    let about = read_about(source)?;
    let is_empty = match std::fs::read_dir(data) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(file_error(data)(error)),
    };
    if !is_empty {
        return Err(BackupError::NotEmpty { path: data.to_owned() });
    }
    std::fs::create_dir_all(data).map_err(file_error(data))?;
    // The database comes last: a restore that was cut off leaves no data folder that starts.
    let fresh = data.join("metadata.db.new");
    copy_file(&source.join(DATABASE_FILE), &fresh)?;
    let copy = MetadataStore::open_sqlite(&fresh, SqliteSettings::default())?;
    let packs = all_packs(&copy).await?;
    copy.write(BeginNewHistory { history_id: hex::encode(rand::random::<[u8; 16]>()) }).await?;
    tokio::task::spawn_blocking(move || copy.close()).await.ok();

    let mut progress = Progress {
        packs_total: packs.len() as u64,
        bytes_total: packs.iter().map(|pack| pack.size_bytes).sum(),
        ..Progress::default()
    };
    for pack in &packs {
        let name = pack_location(&pack.uuid);
        let from = source.join(CHUNKS_FOLDER).join(&name);
        progress.copied_bytes +=
            copy_pack(pack, from, data.join(CHUNKS_FOLDER).join(&name)).await?;
        progress.packs += 1;
        progress.bytes += pack.size_bytes;
        report(progress);
    }
    for name in [SECRET_FILE, SETTINGS_FILE] {
        let from = source.join(name);
        if from.exists() {
            copy_file(&from, &data.join(name))?;
        }
    }
    sync(&fresh)?;
    std::fs::rename(&fresh, data.join(DATABASE_FILE)).map_err(file_error(&fresh))?;
    remove_database(&fresh)?;
    sync(data)?;
    Ok(about)
}

fn read_about(source: &Path) -> BackupResult<About> {
    let path = source.join(ABOUT_FILE);
    let not = |reason: String| BackupError::NotABackup { path: source.to_owned(), reason };
    let text = std::fs::read(&path).map_err(|error| not(format!("{ABOUT_FILE}: {error}")))?;
    let about: About = serde_json::from_slice(&text).map_err(|error| not(error.to_string()))?;
    if about.version != FORMAT_VERSION {
        return Err(not(format!("version {}", about.version)));
    }
    Ok(about)
}
