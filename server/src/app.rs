//! Builds everything once, from the bottom up: data folder, stores, identity, files, adapters.
//!
//! [`Ground`] is enough for commands that only touch accounts; it goes together with a
//! server on the same data. [`App`] is the whole, for one process at a time.
//!
//! # Always true
//!
//! * A data folder with a database and without its secret is refused: a new secret
//!   would make every token and chunk unreadable.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nuage_shared::chunk_id::ChunkKey;

use crate::clock::Clock;
use crate::config::Settings;
use crate::dav::Dav;
use crate::dav::DavSettings;
use crate::files::Files;
use crate::files::FilesSettings;
use crate::http::serve::ServeSettings;
use crate::identity::Identity;
use crate::jobs::housekeeping::Housekeeping;
use crate::jobs::housekeeping::Retention;
use crate::jobs::maintenance::Maintenance;
use crate::jobs::schedule::Periods;
use crate::size::ByteSize;
use crate::store::chunks::ChunkError;
use crate::store::chunks::ChunkSecrets;
use crate::store::chunks::ChunkSettings;
use crate::store::chunks::ChunkStore;
use crate::store::chunks::Graces;
use crate::store::chunks::PackHome;
use crate::store::folder::DataFolder;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::backup::NameHistory;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::sqlite::SqliteSettings;

const SECRET_BYTES: usize = 32;
const TOKEN_CONTEXT: &str = "nuage 2026-01 secret of app tokens";
const CHUNK_KEY_CONTEXT: &str = "nuage 2026-01 key of chunks";
const CHUNK_SEED_CONTEXT: &str = "nuage 2026-01 seed of cut points";
const INSTANCE_CONTEXT: &str = "nuage 2026-01 name of the installation in ids of files";

/// Why the program cannot start on a data folder.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A file of the data folder cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no installation there.
    #[error("{path} is no data folder: name one with --data-dir, or let 'serve' make it")]
    NoData {
        /// Which folder.
        path: PathBuf,
    },
    /// There is a database, but not the secret that belongs to it.
    #[error(
        "{path} is missing. Every app password and every file was stored with it: \
         bring it back from a backup"
    )]
    SecretMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file of the secret does not hold one.
    #[error("{path} does not hold 64 hexadecimal digits")]
    SecretDamaged {
        /// Which file.
        path: PathBuf,
    },
    /// The metadata store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chunk store cannot be opened.
    #[error(transparent)]
    Chunks(#[from] ChunkError),
}

fn create(folder: &DataFolder) -> Result<(), AppError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder.path())
        .map_err(|source| file_error(folder.path(), source))
}

/// Reads the installation's secret; a new installation draws one.
fn read_secret(folder: &DataFolder) -> Result<Secret, AppError> {
    let path = folder.secret();
    match std::fs::read_to_string(&path) {
        Ok(text) => Secret::parse(&text).ok_or(AppError::SecretDamaged { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if folder.database().exists() {
                return Err(AppError::SecretMissing { path });
            }
            draw_secret(folder)
        }
        Err(source) => Err(file_error(&path, source)),
    }
}

/// Writes a secret durably, unless another process was faster; returns the one that counts.
fn draw_secret(folder: &DataFolder) -> Result<Secret, AppError> {
    let bytes: [u8; SECRET_BYTES] = rand::random();
    let path = folder.secret();
    let draft = path.with_extension(format!("{:016x}", rand::random::<u64>()));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(format!("{}\n", hex::encode(bytes)).as_bytes())?;
        file.sync_all()?;
        // A link, unlike a rename, never replaces what another process has put there.
        match std::fs::hard_link(&draft, &path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        std::fs::remove_file(&draft)?;
        File::open(folder.path())?.sync_all()?;
        std::fs::read_to_string(&path)
    };
    let text = write().map_err(|source| file_error(&path, source))?;
    Secret::parse(&text).ok_or(AppError::SecretDamaged { path })
}

fn file_error(path: &Path, source: io::Error) -> AppError {
    let path = path.to_owned();
    AppError::File { path, source }
}

/// The installation's secret, from which every other one is derived.
struct Secret([u8; SECRET_BYTES]);

impl Secret {
    fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; SECRET_BYTES];
        hex::decode_to_slice(text.trim(), &mut bytes).ok()?;
        Some(Self(bytes))
    }

    fn derive(&self, context: &str) -> [u8; 32] {
        blake3::derive_key(context, &self.0)
    }

    /// Returns what sync clients see at the end of every id of a file: `oc`, ten letters or digits.
    fn instance(&self) -> String {
        let letters = self.derive(INSTANCE_CONTEXT).into_iter().take(10);
        let letter = |byte: u8| char::from_digit(u32::from(byte) % 36, 36).unwrap_or('0');
        letters.fold(String::from("oc"), |mut name, byte| {
            name.push(letter(byte));
            name
        })
    }

    fn chunk_secrets(&self) -> ChunkSecrets {
        let seed = self.derive(CHUNK_SEED_CONTEXT);
        ChunkSecrets {
            key: ChunkKey::new(self.derive(CHUNK_KEY_CONTEXT)),
            seed: seed.first_chunk().copied().map_or(0, u64::from_le_bytes),
        }
    }
}

/// The metadata of an installation and its people: what goes together with a running server.
pub struct Ground {
    /// Where the data is.
    pub folder: DataFolder,
    /// The metadata store.
    pub metadata: Arc<MetadataStore>,
    /// The door to people.
    pub identity: Arc<Identity>,
    /// The source of time.
    pub clock: Clock,
    secret: Secret,
}

impl Ground {
    /// Opens a data folder, or makes a new one. Blocks for a moment.
    pub fn open_or_create(
        folder: DataFolder,
        settings: &Settings,
        clock: Clock,
    ) -> Result<Self, AppError> {
        create(&folder)?;
        Self::open_folder(folder, settings, clock)
    }

    /// Opens a data folder that exists. Blocks for a moment.
    pub fn open(folder: DataFolder, settings: &Settings, clock: Clock) -> Result<Self, AppError> {
        if !folder.database().exists() {
            let path = folder.path().to_owned();
            return Err(AppError::NoData { path });
        }
        Self::open_folder(folder, settings, clock)
    }

    fn open_folder(
        folder: DataFolder,
        settings: &Settings,
        clock: Clock,
    ) -> Result<Self, AppError> {
        let secret = read_secret(&folder)?;
        let storage = &settings.storage;
        let sqlite = SqliteSettings {
            readers: storage.readers.get() as usize,
            cache_bytes: storage.caches.bytes() / 2,
        };
        let metadata = Arc::new(MetadataStore::open_sqlite(&folder.database(), sqlite)?);
        let identity = Identity::new(
            Arc::clone(&metadata),
            clock.clone(),
            &secret.derive(TOKEN_CONTEXT),
        );
        Ok(Self {
            folder,
            metadata,
            identity: Arc::new(identity),
            clock,
            secret,
        })
    }

    /// Takes the packs for this process; fails with `InUse` where a server has them. Blocks.
    pub fn open_chunks(&self, settings: &Settings) -> Result<Arc<ChunkStore>, ChunkError> {
        let storage = &settings.storage;
        let home = PackHome::Folder(self.folder.chunks());
        let chunk_settings = ChunkSettings {
            hot_bytes_max: home.hot_bytes_max(),
            home,
            upload_memory_bytes: storage.upload_memory.bytes(),
            cache_bytes: storage.caches.bytes() / 2,
            free_bytes_min: storage.free_min.bytes(),
        };
        let secrets = self.secret.chunk_secrets();
        let metadata = Arc::clone(&self.metadata);
        ChunkStore::open(chunk_settings, secrets, metadata, self.clock.clone()).map(Arc::new)
    }

    /// Builds the work that keeps the stores in order.
    pub fn maintenance(&self, chunks: Arc<ChunkStore>, settings: &Settings) -> Maintenance {
        let history = &settings.history;
        let days = |number: u32| i64::from(number);
        let retention = Retention {
            trash_days: days(history.trash_days.get()),
            all_versions_days: days(history.all_versions_days.get()),
            daily_versions_days: days(history.daily_versions_days.get()),
            tombs_days: days(history.deletions_days.get()),
        };
        let housekeeping = Housekeeping::new(
            Arc::clone(&self.metadata),
            self.clock.clone(),
            retention,
            quota_default_bytes(settings),
        );
        let graces = Graces {
            gone_seconds: i64::from(settings.jobs.backup_grace_hours.get()) * 3_600,
            ..Graces::default()
        };
        Maintenance::new(Arc::clone(&self.metadata), chunks, housekeeping, graces)
    }
}

/// The whole server, without its sockets.
pub struct App {
    /// The work that keeps the stores in order.
    pub maintenance: Arc<Maintenance>,
    /// Metadata and people.
    pub ground: Ground,
    /// The bytes.
    pub chunks: Arc<ChunkStore>,
    /// The WebDAV adapter.
    pub dav: Arc<Dav>,
}

impl App {
    /// Builds everything over an open ground; takes the packs for this process.
    pub async fn build(ground: Ground, settings: &Settings) -> Result<Self, AppError> {
        let history_id = hex::encode(rand::random::<[u8; 16]>());
        ground.metadata.write(NameHistory { history_id }).await?;
        let chunks = tokio::task::block_in_place(|| ground.open_chunks(settings))?;
        let maintenance = Arc::new(ground.maintenance(Arc::clone(&chunks), settings));
        let files = Arc::new(Files::new(
            Arc::clone(&ground.metadata),
            Arc::clone(&chunks),
            ground.clock.clone(),
            files_settings(settings),
        ));
        let dav_settings = DavSettings {
            instance: ground.secret.instance(),
            ..DavSettings::default()
        };
        let dav = Arc::new(Dav::new(files, dav_settings));
        Ok(Self {
            maintenance,
            ground,
            chunks,
            dav,
        })
    }

    /// Ends what is queued and leaves the data in order. Blocks.
    pub fn close(&self) {
        self.chunks.close();
        self.ground.metadata.close();
    }
}

fn files_settings(settings: &Settings) -> FilesSettings {
    let limits = &settings.limits;
    FilesSettings {
        quota_default_bytes: quota_default_bytes(settings),
        lock_timeout_max_seconds: i64::from(limits.lock_timeout_max_seconds.get()),
        locks_per_account_max: u64::from(limits.locks_per_account_max.get()),
        property_bytes_max: limits.properties_max.bytes(),
    }
}

/// Returns what spaces without a quota of their own may hold.
pub fn quota_default_bytes(settings: &Settings) -> Option<u64> {
    settings.general.quota_default.0.map(ByteSize::bytes)
}

/// Returns how often the server works by itself.
pub fn periods(settings: &Settings) -> Periods {
    let jobs = &settings.jobs;
    let seconds = |number: u32, unit_seconds: i64| i64::from(number) * unit_seconds;
    let verify_days = jobs.verify_days.get();
    Periods {
        pack_seconds: seconds(jobs.pack_seconds.get(), 1),
        housekeeping_seconds: seconds(jobs.housekeeping_minutes.get(), 60),
        collect_seconds: seconds(jobs.collect_minutes.get(), 60),
        verify_seconds: (verify_days > 0).then(|| seconds(verify_days, 86_400)),
    }
}

/// Returns how connections are served.
pub fn serve_settings(settings: &Settings) -> ServeSettings {
    let http = &settings.http;
    let seconds = |number: u32| Duration::from_secs(u64::from(number));
    ServeSettings {
        connections_max: http.connections_max.get() as usize,
        head_timeout: seconds(http.head_timeout_seconds.get()),
        stall_timeout: seconds(http.stall_timeout_seconds.get()),
        shutdown_timeout: seconds(http.shutdown_seconds.get()),
        upload_window_bytes: u32::try_from(http.upload_window.bytes()).unwrap_or(u32::MAX),
    }
}
