//! Backup of a data folder while it is in use, and restore into a new one.
//!
//! The database is copied first, as of one moment; then every pack that the copy
//! names. Packs never change once sealed, and a lease keeps the files of those that
//! are compacted meanwhile, so a backup taken again into the same folder copies only
//! new ones. A segment that is still appended to is copied as it is: whatever the copy
//! of the database names was durable in it before. The new database takes its place
//! in the backup last, by a rename: a backup that was cut off leaves the former one whole.
//!
//! ```text
//! DIR/.nuage-backup    marks the folder; locked while a backup runs
//! DIR/backup.json      what this is: version, moment, history id, size
//! DIR/metadata.db      the database
//! DIR/secret.key       the installation's secret
//! DIR/nuage.toml       settings, if there were any
//! DIR/chunks/aa/*.pack the packs
//! ```
//!
//! A restore begins a new line of history ([`BeginNewHistory`]), so that nothing
//! that clients know from the lost future is ever used again for something else.
//!
//! # What surprises
//!
//! The backup holds the secret: whoever can read it can read everything.

use std::collections::HashSet;
use std::fs::DirBuilder;
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;

use nuage_shared::manifest::PackId;
use rustix::fs::FlockOperation;
use rustix::fs::flock;
use serde::Deserialize;
use serde::Serialize;

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::store::chunks::pack_location;
use crate::store::folder::CHUNKS_FOLDER;
use crate::store::folder::DATABASE_FILE;
use crate::store::folder::DataFolder;
use crate::store::folder::SECRET_FILE;
use crate::store::folder::SETTINGS_FILE;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::backup::BeginNewHistory;
use crate::store::metadata::backup::ReadHistoryId;
use crate::store::metadata::backup::copy_database;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::packs::BeginLease;
use crate::store::metadata::packs::EndLease;
use crate::store::metadata::packs::LEASE_SECONDS;
use crate::store::metadata::packs::ListPacks;
use crate::store::metadata::packs::PackRow;
use crate::store::metadata::packs::PackState;
use crate::store::metadata::packs::RenewLease;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::sqlite::SqliteSettings;

#[cfg(test)]
mod tests;

const MARK_FILE: &str = ".nuage-backup";
const ABOUT_FILE: &str = "backup.json";
const FRESH_DATABASE: &str = "metadata.db.new";
const FORMAT_VERSION: u32 = 1;
/// How often the lease shows a sign of life.
const LEASE_RENEWED_SECONDS: i64 = 3_600;
const LISTED_AT_ONCE: i64 = 1_000;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// There is no installation to back up.
    #[error("{path} is no data folder")]
    NoData {
        /// Which folder.
        path: PathBuf,
    },
    /// The folder is not a backup, or one of another version.
    #[error("{path} holds no backup that this program can read: {reason}")]
    NotABackup {
        /// Which folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The folder holds something that is no backup, or data already.
    #[error("{path} is not empty: name a new folder")]
    NotEmpty {
        /// Which folder.
        path: PathBuf,
    },
    /// The folder holds the backup of another installation.
    #[error("{path} holds the backup of another installation: name another folder")]
    OtherInstallation {
        /// Which folder.
        path: PathBuf,
    },
    /// Another backup into the same folder is running.
    #[error("another backup into {path} is running")]
    InUse {
        /// Which folder.
        path: PathBuf,
    },
    /// A pack that the database names is not there.
    #[error("the pack {path} is missing")]
    PackMissing {
        /// Its file.
        path: PathBuf,
    },
    /// A pack is not as long as when it was sealed.
    #[error("the pack {path} has {found_bytes} bytes, {sealed_bytes} were written")]
    PackCut {
        /// Its file.
        path: PathBuf,
        /// Its length.
        found_bytes: u64,
        /// Its length when it was sealed.
        sealed_bytes: u64,
    },
}

/// The result of a backup or restore.
pub type BackupResult<T> = Result<T, BackupError>;

/// How far a long copy is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Packs done.
    pub packs: u64,
    /// Packs in all.
    pub packs_total: u64,
    /// Bytes done, with those that were there already.
    pub bytes: u64,
    /// Bytes in all, as far as they are known: a segment counts from when it is copied.
    pub bytes_total: u64,
    /// Bytes really copied.
    pub copied_bytes: u64,
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { path, source }
}

/// Runs work on files off the async threads.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> BackupResult<T> + Send + 'static,
) -> BackupResult<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or(Err(BackupError::Store(StoreError::Closed)))
}

/// Backs a data folder up into `target`, which is made or brought up to date.
///
/// `live` is the data folder's open database. `report` is called after each pack.
pub async fn backup(
    live: &MetadataStore,
    data: &DataFolder,
    target: &Path,
    clock: &Clock,
    mut report: impl FnMut(Progress) + Send,
) -> BackupResult<About> {
    let marked = {
        let (data, target) = (data.clone(), target.to_owned());
        on_disk(move || take_target(&data, &target)).await?
    };
    let lease = Lease::begin(live, clock).await?;
    let result = copy_out(data, target, lease, &mut report).await;
    lease.end().await?;
    drop(marked);
    result
}

/// Protects the packs that the copied database will name.
#[derive(Clone, Copy)]
struct Lease<'a> {
    id: [u8; 16],
    live: &'a MetadataStore,
    clock: &'a Clock,
    renewed_at: Timestamp,
}

impl<'a> Lease<'a> {
    async fn begin(live: &'a MetadataStore, clock: &'a Clock) -> BackupResult<Self> {
        let now = clock.now();
        let id = rand::random();
        let begin = BeginLease {
            id,
            space: SpaceId(0),
            begun: now,
            until: now.plus_seconds(LEASE_SECONDS),
            contents: Vec::new(),
        };
        live.write(begin).await?;
        Ok(Self {
            id,
            live,
            clock,
            renewed_at: now,
        })
    }

    /// Shows a sign of life now and then; fails when the lease ended all the same.
    async fn keep(&mut self) -> BackupResult<()> {
        let now = self.clock.now();
        if now < self.renewed_at.plus_seconds(LEASE_RENEWED_SECONDS) {
            return Ok(());
        }
        let renew = RenewLease {
            id: self.id,
            until: now.plus_seconds(LEASE_SECONDS),
            contents: Vec::new(),
        };
        self.live.write(renew).await?;
        self.renewed_at = now;
        Ok(())
    }

    async fn end(self) -> BackupResult<()> {
        Ok(self.live.write(EndLease { id: self.id }).await?)
    }
}

/// Makes sure that `target` is a backup of this installation, or new; locks it.
fn take_target(data: &DataFolder, target: &Path) -> BackupResult<File> {
    if !data.database().exists() {
        let path = data.path().to_owned();
        return Err(BackupError::NoData { path });
    }
    make_folder(target)?;
    let mark = target.join(MARK_FILE);
    if !mark.exists() && !is_empty(target)? {
        let path = target.to_owned();
        return Err(BackupError::NotEmpty { path });
    }
    let held = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&mark)
        .map_err(file_error(&mark))?;
    if flock(&held, FlockOperation::NonBlockingLockExclusive).is_err() {
        let path = target.to_owned();
        return Err(BackupError::InUse { path });
    }
    let kept = std::fs::read(target.join(SECRET_FILE)).ok();
    if kept.is_some() && kept != std::fs::read(data.secret()).ok() {
        let path = target.to_owned();
        return Err(BackupError::OtherInstallation { path });
    }
    Ok(held)
}

fn make_folder(path: &Path) -> BackupResult<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(file_error(path))
}

fn is_empty(folder: &Path) -> BackupResult<bool> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(file_error(folder)(error)),
    }
}

async fn copy_out(
    data: &DataFolder,
    target: &Path,
    mut lease: Lease<'_>,
    report: &mut (impl FnMut(Progress) + Send),
) -> BackupResult<About> {
    let taken_at_seconds = lease.clock.now().seconds();
    let fresh = target.join(FRESH_DATABASE);
    let (from, to) = (data.database(), fresh.clone());
    on_disk(move || {
        remove_database(&to)?;
        Ok(copy_database(&from, &to)?)
    })
    .await?;
    let copy = open_copy(&fresh).await?;
    let history_id = copy.read(ReadHistoryId).await?.unwrap_or_default();
    let packs = all_packs(&copy).await?;
    close_copy(copy).await?;

    let mut progress = Progress::of(&packs);
    for pack in &packs {
        lease.keep().await?;
        let from = data.chunks();
        let to = target.join(CHUNKS_FOLDER);
        progress.advance(pack, copy_pack(pack.clone(), from, to).await?);
        report(progress);
    }
    let about = About {
        version: FORMAT_VERSION,
        taken_at_seconds,
        history_id,
        packs: progress.packs_total,
        pack_bytes: progress.bytes_total,
    };
    let (data, target) = (data.clone(), target.to_owned());
    on_disk(move || {
        copy_small_files([&data.secret(), &data.settings()], &target)?;
        put_database(&fresh, &target.join(DATABASE_FILE))?;
        write_about(&target, &about)?;
        forget_other_packs(&target, &packs)?;
        Ok(about)
    })
    .await
}

impl Progress {
    fn of(packs: &[PackRow]) -> Self {
        Self {
            packs_total: packs.len() as u64,
            bytes_total: packs.iter().map(|pack| pack.size_bytes).sum(),
            ..Self::default()
        }
    }

    fn advance(&mut self, pack: &PackRow, copied: CopiedPack) {
        self.packs += 1;
        self.bytes += copied.file_bytes;
        self.bytes_total += copied.file_bytes.saturating_sub(pack.size_bytes);
        self.copied_bytes += copied.copied_bytes;
    }
}

async fn open_copy(path: &Path) -> BackupResult<MetadataStore> {
    let path = path.to_owned();
    on_disk(move || {
        Ok(MetadataStore::open_sqlite(
            &path,
            SqliteSettings::default(),
        )?)
    })
    .await
}

async fn close_copy(copy: MetadataStore) -> BackupResult<()> {
    on_disk(move || {
        copy.close();
        Ok(())
    })
    .await
}

/// Lists the packs whose files the copy needs: frames of compacted ones lie elsewhere.
async fn all_packs(copy: &MetadataStore) -> BackupResult<Vec<PackRow>> {
    let mut packs = Vec::new();
    for state in [PackState::Open, PackState::Sealed] {
        let mut after = PackId(0);
        loop {
            let list = ListPacks {
                state,
                after,
                limit: LISTED_AT_ONCE,
            };
            let page = copy.read(list).await?;
            let Some(end) = page.last() else { break };
            after = end.id;
            packs.extend(page);
        }
    }
    Ok(packs)
}

/// What became of one pack.
#[derive(Debug, Clone, Copy, Default)]
struct CopiedPack {
    file_bytes: u64,
    copied_bytes: u64,
}

/// Copies a pack between two folders of packs, unless it is there already.
async fn copy_pack(pack: PackRow, from: PathBuf, to: PathBuf) -> BackupResult<CopiedPack> {
    on_disk(move || {
        let name = pack_location(&pack.uuid);
        let (from, to) = (from.join(&name), to.join(&name));
        let is_sealed = pack.state == PackState::Sealed;
        let found_bytes = match std::fs::metadata(&from) {
            Ok(found) => found.len(),
            // A segment that was announced and has no file yet holds nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_sealed => {
                return Ok(CopiedPack::default());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::PackMissing { path: from });
            }
            Err(error) => return Err(file_error(&from)(error)),
        };
        if is_sealed && found_bytes != pack.size_bytes {
            return Err(BackupError::PackCut {
                path: from,
                found_bytes,
                sealed_bytes: pack.size_bytes,
            });
        }
        let is_there = std::fs::metadata(&to).is_ok_and(|held| held.len() == found_bytes);
        let copied_bytes = if is_there && is_sealed {
            0
        } else {
            copy_file(&from, &to)?
        };
        Ok(CopiedPack {
            file_bytes: found_bytes.max(copied_bytes),
            copied_bytes,
        })
    })
    .await
}

/// Copies a file durably: under another name first, then renamed.
fn copy_file(from: &Path, to: &Path) -> BackupResult<u64> {
    let folder = to.parent().unwrap_or(to);
    make_folder(folder)?;
    let mut partial = to.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let bytes = std::fs::copy(from, &partial).map_err(file_error(from))?;
    sync(&partial)?;
    std::fs::rename(&partial, to).map_err(file_error(to))?;
    sync(folder)?;
    Ok(bytes)
}

/// Copies secret and settings, as far as they are there.
fn copy_small_files([secret, settings]: [&Path; 2], to: &Path) -> BackupResult<()> {
    for (file, name) in [(secret, SECRET_FILE), (settings, SETTINGS_FILE)] {
        if file.exists() {
            copy_file(file, &to.join(name))?;
        }
    }
    Ok(())
}

fn sync(path: &Path) -> BackupResult<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(file_error(path))
}

/// Puts a closed database in its place, durably.
fn put_database(fresh: &Path, place: &Path) -> BackupResult<()> {
    sync(fresh)?;
    std::fs::rename(fresh, place).map_err(file_error(fresh))?;
    remove_database(fresh)?;
    sync(place.parent().unwrap_or(place))
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
    let root = target.join(CHUNKS_FOLDER);
    let named: HashSet<PathBuf> = packs
        .iter()
        .map(|pack| root.join(pack_location(&pack.uuid)))
        .collect();
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
///
/// The database takes its place last: a restore that was cut off leaves no data
/// folder that starts. `report` is called after each pack.
pub async fn restore(
    source: &Path,
    data: &DataFolder,
    mut report: impl FnMut(Progress) + Send,
) -> BackupResult<About> {
    let fresh = data.path().join(FRESH_DATABASE);
    let about = {
        let (source, data, fresh) = (source.to_owned(), data.clone(), fresh.clone());
        on_disk(move || {
            let about = read_about(&source)?;
            if !is_empty(data.path())? {
                let path = data.path().to_owned();
                return Err(BackupError::NotEmpty { path });
            }
            make_folder(data.path())?;
            copy_file(&source.join(DATABASE_FILE), &fresh)?;
            Ok(about)
        })
        .await?
    };
    let copy = open_copy(&fresh).await?;
    let packs = all_packs(&copy).await?;
    let history_id = hex::encode(rand::random::<[u8; 16]>());
    copy.write(BeginNewHistory { history_id }).await?;
    close_copy(copy).await?;

    let mut progress = Progress::of(&packs);
    for pack in &packs {
        let from = source.join(CHUNKS_FOLDER);
        progress.advance(pack, copy_pack(pack.clone(), from, data.chunks()).await?);
        report(progress);
    }
    let (source, data) = (source.to_owned(), data.clone());
    on_disk(move || {
        let (secret, settings) = (source.join(SECRET_FILE), source.join(SETTINGS_FILE));
        copy_small_files([&secret, &settings], data.path())?;
        put_database(&fresh, &data.database())?;
        Ok(about)
    })
    .await
}

fn read_about(source: &Path) -> BackupResult<About> {
    let path = source.join(ABOUT_FILE);
    let not = |reason: String| BackupError::NotABackup {
        path: source.to_owned(),
        reason,
    };
    let text = std::fs::read(&path).map_err(|error| not(format!("{ABOUT_FILE}: {error}")))?;
    let about: About = serde_json::from_slice(&text).map_err(|error| not(error.to_string()))?;
    if about.version != FORMAT_VERSION {
        return Err(not(format!("version {}", about.version)));
    }
    Ok(about)
}
