//! Builds everything once, from the bottom up: data folder, stores, identity, files, adapters.
//!
//! [`Ground`] is enough for commands that only touch accounts; it goes together with
//! servers on the same data. [`App`] is the whole: one process at a time may be it, or
//! any number where metadata are on PostgreSQL and chunks on S3 ([`Claim`]).

#[cfg(test)]
mod audience_tests;
mod claim;
mod credentials;
mod secret;
#[cfg(test)]
mod tests;

use std::io;
use std::num::NonZero;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::api::Api;
use crate::api::ApiSettings;
use crate::app::claim::lock_data_folder;
use crate::app::credentials::default_profile;
use crate::app::secret::Secret;
use crate::app::secret::known_secret;
use crate::clock::Clock;
use crate::config::ChunksPlace;
use crate::config::MetadataPlace;
use crate::config::Number;
use crate::config::PeopleSearch;
use crate::config::Settings;
use crate::config::Words;
use crate::dav::Dav;
use crate::dav::DavSettings;
use crate::files::Files;
use crate::files::FilesSettings;
use crate::http::serve::ServeSettings;
use crate::identity::Identity;
use crate::identity::SessionLife;
use crate::identity::directory::DirectorySettings;
use crate::identity::directory::Findable;
use crate::jobs::housekeeping::Housekeeping;
use crate::jobs::housekeeping::Retention;
use crate::jobs::maintenance::Maintenance;
use crate::jobs::schedule::Periods;
use crate::mail::Letters;
use crate::mail::Login;
use crate::mail::Mailer;
use crate::mail::MailerSettings;
use crate::mail::NoticeSettings;
use crate::mail::Notices;
use crate::mail::Password;
use crate::mail::Post;
use crate::mail::PostError;
use crate::mail::PostSettings;
use crate::nextcloud::Nextcloud;
use crate::nextcloud::NextcloudSettings;
use crate::nextcloud::PushSettings;
use crate::nextcloud::Theme;
use crate::previews::PreviewSettings;
use crate::previews::Previews;
use crate::sharing::Sharing;
use crate::sharing::SharingSettings;
use crate::sharing::Told;
use crate::size::ByteSize;
use crate::store::chunks::ChunkError;
use crate::store::chunks::ChunkSettings;
use crate::store::chunks::ChunkStore;
use crate::store::chunks::Graces;
use crate::store::chunks::PackHome;
use crate::store::chunks::S3Settings;
use crate::store::folder::DataFolder;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::backup::NameHistory;
use crate::store::metadata::backup::ReadFingerprint;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::history::ReadSetting;
use crate::store::metadata::migrate::MOVED_TO;
use crate::store::metadata::postgres::PostgresSettings;
use crate::store::metadata::postgres::url::DatabasePassword;
use crate::store::metadata::sqlite::SqliteSettings;
use crate::web::Look;
use crate::web::Web;

pub use crate::app::claim::Claim;

const TOKEN_CONTEXT: &str = "nuage 2026-01 secret of app tokens";
/// How long a server waits for the one before it to be gone.
const CLAIM_PATIENCE: Duration = Duration::from_secs(5);
const SQLITE_SERVES_ONE: &str = "a SQLite database serves one server at a time";
const FOLDER_SERVES_ONE: &str =
    "a folder of chunks serves one server at a time, also with metadata on PostgreSQL";

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
    /// The database holds no installation.
    #[error("{place} holds no installation: let 'serve' begin one")]
    NoInstallation {
        /// Which database, without a password.
        place: String,
    },
    /// The installation is elsewhere now.
    #[error("this installation was moved to {to}: use the settings that 'migrate' has printed")]
    Moved {
        /// Where.
        to: String,
    },
    /// Another process has what only one may have.
    #[error(
        "another process is using {path}: {reason}. Several servers need metadata = \"postgres://…\" \
         and chunks = \"s3://…\"; 'nuage-server migrate' moves an installation there"
    )]
    InUse {
        /// What is in use.
        path: PathBuf,
        /// Why it is not shared.
        reason: &'static str,
    },
    /// The secret is not the one that the data belong to.
    #[error(
        "{path} is not the secret of this installation: several servers need the same one; \
         copy it from the first server, or name it by secret_file"
    )]
    OtherSecret {
        /// Which file.
        path: PathBuf,
    },
    /// There is a database, but not the secret that belongs to it.
    #[error(
        "{path} is missing. Every app password and every file was stored with it: \
         bring it back from a backup, or copy it from another server"
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
    /// The file of the S3 store's key does not hold one.
    #[error("{path} does not hold aws_access_key_id and aws_secret_access_key below [default]")]
    NoCredentials {
        /// Which file.
        path: PathBuf,
    },
    /// Letters cannot be sent with these settings.
    #[error("mail: {}", .0.reason())]
    Mail(#[source] PostError),
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

fn file_error(path: &Path, source: io::Error) -> AppError {
    let path = path.to_owned();
    AppError::File { path, source }
}

/// The metadata of an installation and its people: what goes together with a running server.
pub struct Ground {
    /// Where what belongs to this server is.
    pub folder: DataFolder,
    /// The metadata store.
    pub metadata: Arc<MetadataStore>,
    /// The door to people.
    pub identity: Arc<Identity>,
    /// The source of time.
    pub clock: Clock,
    secret: Secret,
}

/// What a command expects of an installation before it works on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// There is one.
    Exists,
    /// There is one, or it begins now.
    MayBegin,
    /// There is one, perhaps one that has moved elsewhere.
    MayHaveMoved,
}

impl Ground {
    /// Opens an installation. Needs the runtime that operations are to run in; blocks for a moment.
    pub async fn open(
        folder: DataFolder,
        settings: &Settings,
        clock: Clock,
        expectation: Expectation,
    ) -> Result<Self, AppError> {
        let folder = folder.with_secret(&settings.general.secret_file);
        let has_file = folder.database().exists();
        let place = &settings.general.metadata;
        if *place == MetadataPlace::Sqlite && !has_file && expectation != Expectation::MayBegin {
            let path = folder.path().to_owned();
            return Err(AppError::NoData { path });
        }
        if expectation == Expectation::MayBegin {
            create(&folder)?;
        }
        let metadata = Arc::new(open_metadata(&folder, settings).await?);
        let secret = known_secret(&folder, &metadata, place, expectation, has_file).await?;
        if *place == MetadataPlace::Sqlite
            && expectation != Expectation::MayHaveMoved
            && let Some(to) = metadata.read(ReadSetting(MOVED_TO)).await?
        {
            return Err(AppError::Moved { to });
        }
        let identity = Identity::new(
            Arc::clone(&metadata),
            clock.clone(),
            &secret.derive(TOKEN_CONTEXT),
        )
        .with_session_life(session_life(settings))
        .with_directory(directory_settings(settings));
        Ok(Self {
            folder,
            metadata,
            identity: Arc::new(identity),
            clock,
            secret,
        })
    }

    /// Takes what only one process may do where not both stores can be shared.
    ///
    /// To be called before the packs are opened; fails with `InUse` where a server works,
    /// and goes on doing so for as long as `patience`: a server that has just ended may not be gone yet.
    pub async fn claim(&self, settings: &Settings, patience: Duration) -> Result<Claim, AppError> {
        let general = &settings.general;
        match (&general.metadata, &general.chunks) {
            (MetadataPlace::Sqlite, ChunksPlace::Folder) => Ok(Claim::OfPacks),
            (MetadataPlace::Sqlite, ChunksPlace::S3 { .. }) => {
                lock_data_folder(&self.folder).map(Claim::OfFolder)
            }
            (MetadataPlace::Postgres(_), ChunksPlace::Folder) => {
                let turn = claim::take_packs(&self.metadata, patience).await?;
                let turn = turn.ok_or_else(|| AppError::InUse {
                    path: self.folder.chunks(),
                    reason: FOLDER_SERVES_ONE,
                })?;
                Ok(Claim::OfSession(turn))
            }
            (MetadataPlace::Postgres(_), ChunksPlace::S3 { .. }) => Ok(Claim::Shared),
        }
    }

    /// Opens the packs; fails with `InUse` where a server has the folder. Blocks.
    pub fn open_chunks(&self, settings: &Settings) -> Result<Arc<ChunkStore>, AppError> {
        let chunk_settings = chunk_settings(&self.folder, settings)?;
        let secrets = self.secret.chunk_secrets();
        let metadata = Arc::clone(&self.metadata);
        let opened = ChunkStore::open(chunk_settings, secrets, metadata, self.clock.clone());
        match opened {
            Ok(chunks) => Ok(Arc::new(chunks)),
            Err(ChunkError::InUse { folder }) => Err(AppError::InUse {
                path: folder,
                reason: match settings.general.metadata {
                    MetadataPlace::Sqlite => SQLITE_SERVES_ONE,
                    MetadataPlace::Postgres(_) => FOLDER_SERVES_ONE,
                },
            }),
            Err(error) => Err(error.into()),
        }
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
            activity_days: days(settings.activity.keep_days.get()),
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

async fn open_metadata(
    folder: &DataFolder,
    settings: &Settings,
) -> Result<MetadataStore, AppError> {
    let storage = &settings.storage;
    match &settings.general.metadata {
        MetadataPlace::Sqlite => {
            let sqlite = SqliteSettings {
                readers: storage.readers.get() as usize,
                cache_bytes: storage.caches.bytes() / 2,
            };
            let file = folder.database();
            let open = || MetadataStore::open_sqlite(&file, sqlite);
            Ok(tokio::task::block_in_place(open)?)
        }
        MetadataPlace::Postgres(url) => {
            let postgres = postgres_settings(folder, settings)?;
            Ok(MetadataStore::open_postgres(url.reveal(), &postgres).await?)
        }
    }
}

/// Returns how the database of a URL is used.
pub fn postgres_settings(
    folder: &DataFolder,
    settings: &Settings,
) -> Result<PostgresSettings, AppError> {
    let postgres = &settings.postgres;
    let password = postgres.password_file.as_ref().map(|file| {
        let path = folder.path().join(file);
        let text = std::fs::read_to_string(&path).map_err(|source| file_error(&path, source))?;
        Ok::<_, AppError>(DatabasePassword::from_file_text(&text))
    });
    let certificates = postgres.root_certificates.as_ref();
    Ok(PostgresSettings {
        connections: postgres.connections.get() as usize,
        password: password.transpose()?,
        root_certificates: certificates.map(|file| folder.path().join(file)),
        ..PostgresSettings::default()
    })
}

fn chunk_settings(folder: &DataFolder, settings: &Settings) -> Result<ChunkSettings, AppError> {
    let storage = &settings.storage;
    let home = pack_home(folder, settings, &settings.general.chunks)?;
    Ok(ChunkSettings {
        hot_bytes_max: home.hot_bytes_max(),
        home,
        upload_memory_bytes: storage.upload_memory.bytes(),
        cache_bytes: storage.caches.bytes() / 2,
        free_bytes_min: storage.free_min.bytes(),
    })
}

/// Returns where the packs of a place are, and how they are reached.
pub fn pack_home(
    folder: &DataFolder,
    settings: &Settings,
    place: &ChunksPlace,
) -> Result<PackHome, AppError> {
    let ChunksPlace::S3 { bucket, prefix } = place else {
        return Ok(PackHome::Folder(folder.chunks()));
    };
    let s3 = &settings.s3;
    let credentials = s3.credentials_file.as_ref().map(|file| {
        let path = folder.path().join(file);
        let text = std::fs::read_to_string(&path).map_err(|source| file_error(&path, source))?;
        default_profile(&text).ok_or(AppError::NoCredentials { path })
    });
    Ok(PackHome::S3(S3Settings {
        bucket: bucket.clone(),
        prefix: prefix.clone(),
        endpoint: s3.endpoint.as_ref().map(|url| url.as_str().to_owned()),
        region: s3.region.as_ref().map(|region| region.as_str().to_owned()),
        path_style: s3.path_style,
        credentials: credentials.transpose()?,
        cache_folder: folder.cache(),
        cache_bytes: settings.storage.disk_cache.bytes(),
    }))
}

/// Returns which server of mail is used, and how; `None`: no mail is sent.
pub fn post_settings(
    folder: &DataFolder,
    settings: &Settings,
) -> Result<Option<PostSettings>, AppError> {
    let mail = &settings.mail;
    let (Some(host), Some(sender)) = (&mail.host, &mail.from) else {
        return Ok(None);
    };
    let password = match &mail.password_file {
        None => mail.password.clone(),
        Some(file) => {
            let path = folder.path().join(file);
            let text = std::fs::read_to_string(&path);
            Some(Password::new(
                &text.map_err(|source| file_error(&path, source))?,
            ))
        }
    };
    let user = mail.user.as_ref().map(|user| user.as_str().to_owned());
    let certificates = mail.root_certificates.as_ref();
    Ok(Some(PostSettings {
        host: host.as_str().to_owned(),
        port: u16::try_from(mail.port.get()).unwrap_or_default(),
        encryption: mail.tls.0,
        login: user
            .zip(password)
            .map(|(user, password)| Login { user, password }),
        root_certificates: certificates.map(|file| folder.path().join(file)),
        sender: sender.clone(),
        timeout: Duration::from_secs(mail.timeout_seconds.get().into()),
    }))
}

/// Returns who writes letters in the name of this installation.
pub fn letters(settings: &Settings) -> Letters {
    Letters {
        site: settings.theme.name.as_str().to_owned(),
    }
}

fn open_mailer(ground: &Ground, settings: &Settings) -> Result<Option<Arc<Mailer>>, AppError> {
    let Some(chosen) = post_settings(&ground.folder, settings)? else {
        return Ok(None);
    };
    let post = tokio::task::block_in_place(|| Post::open(&chosen)).map_err(AppError::Mail)?;
    let how = MailerSettings {
        batch_max: settings.mail.batch_max.get().into(),
        give_up_seconds: i64::from(settings.mail.give_up_hours.get()) * 3_600,
    };
    let (metadata, clock) = (Arc::clone(&ground.metadata), ground.clock.clone());
    Ok(Some(Arc::new(Mailer::new(post, metadata, clock, how))))
}

fn notices(ground: &Ground, settings: &Settings) -> Notices {
    let ahead_days = i64::from(settings.sharing.remind_days.get());
    let public_url = settings.general.public_url.as_ref();
    let how = NoticeSettings {
        ahead_seconds: (ahead_days > 0).then_some(ahead_days * 86_400),
        tells_groups: settings.mail.group_shares,
        letters_max: settings.mail.queue_max.get().into(),
        stale_seconds: i64::from(settings.mail.give_up_hours.get()) * 3_600,
        language: settings.mail.language.0,
        base_url: public_url.map(|url| url.as_str().trim_end_matches('/').to_owned()),
        time_zone: settings.sharing.time_zone.0.clone(),
    };
    let (metadata, clock) = (Arc::clone(&ground.metadata), ground.clock.clone());
    Notices::new(letters(settings), metadata, clock, how)
}

/// The whole server, without its sockets.
pub struct App {
    /// The work that keeps the stores in order.
    pub maintenance: Arc<Maintenance>,
    /// Metadata and people.
    pub ground: Ground,
    /// The bytes.
    pub chunks: Arc<ChunkStore>,
    /// What no other process may do meanwhile.
    pub claim: Claim,
    /// The WebDAV adapter.
    pub dav: Arc<Dav>,
    /// What clients of the Nextcloud family ask besides WebDAV.
    pub nextcloud: Arc<Nextcloud>,
    /// Pages of links.
    pub web: Arc<Web>,
    /// What the web page asks.
    pub api: Arc<Api>,
    /// Shares and links.
    pub sharing: Arc<Sharing>,
    /// What sends letters, where there is a server of mail.
    pub mailer: Option<Arc<Mailer>>,
    /// What writes letters of what people share.
    pub notices: Arc<Notices>,
}

impl App {
    /// Builds everything over an open ground, which this process alone serves unless both stores are shared.
    pub async fn build(ground: Ground, settings: &Settings) -> Result<Self, AppError> {
        let claim = ground.claim(settings, CLAIM_PATIENCE).await?;
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
        let sharing = Arc::new(Sharing::new(
            Arc::clone(&ground.metadata),
            Arc::clone(&ground.identity),
            Arc::clone(&files),
            ground.clock.clone(),
            sharing_settings(settings),
        ));
        let previews = open_previews(&ground, settings)?;
        let fingerprint = ground.metadata.read(ReadFingerprint).await?;
        let dav_settings = DavSettings {
            instance: ground.secret.instance(),
            fingerprint: fingerprint.unwrap_or_default(),
            previewed: Arc::new(previews.kinds().clone()),
            ..DavSettings::default()
        };
        let dav = Arc::new(Dav::new(Arc::clone(&files), dav_settings));
        let nextcloud_settings = NextcloudSettings {
            instance: ground.secret.instance(),
            version: settings.nextcloud.version.0,
            upload_part_bytes: settings.nextcloud.upload_part.bytes(),
            direct_link_seconds: i64::from(settings.nextcloud.direct_link_hours.get()) * 3_600,
            quota_default_bytes: quota_default_bytes(settings),
            theme: theme(settings),
            keeps_activity: settings.activity.keep_days.get() > 0,
            push: PushSettings {
                per_person_max: settings.push.per_person_max.get(),
                channels_max: settings.push.channels_max.get(),
                pause: Duration::from_millis(settings.push.pause_millis.get().into()),
            },
        };
        let identity = Arc::clone(&ground.identity);
        let previews = Arc::clone(&previews);
        let look = Look {
            name: nextcloud_settings.theme.name.clone(),
            color: nextcloud_settings.theme.color.clone(),
        };
        let web = Web::new(Arc::clone(&sharing), Arc::clone(&files), look);
        let api = Api::new(
            Arc::clone(&identity),
            Arc::clone(&files),
            Arc::clone(&sharing),
            Arc::clone(&previews),
            api_settings(settings, &nextcloud_settings),
        );
        let links = Arc::clone(&sharing);
        let nextcloud = Nextcloud::new(identity, files, sharing, previews, nextcloud_settings);
        let nextcloud = Arc::new(nextcloud);
        Ok(Self {
            mailer: open_mailer(&ground, settings)?,
            notices: Arc::new(notices(&ground, settings)),
            maintenance,
            ground,
            chunks,
            claim,
            dav,
            nextcloud,
            web: Arc::new(web),
            api: Arc::new(api),
            sharing: links,
        })
    }

    /// Ends what is queued and leaves the data in order. Blocks.
    pub fn close(&self) {
        self.chunks.close();
        self.ground.metadata.close();
    }
}

fn open_previews(ground: &Ground, settings: &Settings) -> Result<Arc<Previews>, AppError> {
    let chosen = &settings.previews;
    let at_once = match chosen.at_once.get() {
        _ if !chosen.enabled => 0,
        0 => std::thread::available_parallelism().map_or(2, NonZero::get),
        number => number as usize,
    };
    let seconds = |number: u32| Duration::from_secs(u64::from(number));
    let place = ground.folder.previews();
    let previews = PreviewSettings {
        folder: place.clone(),
        cache_bytes: chosen.cache.bytes(),
        at_once,
        source_bytes_max: chosen.source_max.bytes(),
        pixels_max: u64::from(chosen.megapixels_max.get()) * 1_000_000,
        work_timeout: seconds(chosen.work_seconds.get()),
        wait_timeout: seconds(chosen.wait_seconds.get()),
    };
    let opened = tokio::task::block_in_place(|| Previews::open(previews, ground.clock.clone()));
    opened
        .map(Arc::new)
        .map_err(|source| file_error(&place, source))
}

fn api_settings(settings: &Settings, known: &NextcloudSettings) -> ApiSettings {
    ApiSettings {
        name: known.theme.name.clone(),
        color: known.theme.color.clone(),
        part_bytes: settings.web.upload_part.bytes(),
        channels_per_person_max: settings.web.pages_max.get(),
        quota_default_bytes: known.quota_default_bytes,
    }
}

fn session_life(settings: &Settings) -> SessionLife {
    let session = &settings.session;
    SessionLife {
        idle_seconds: i64::from(session.idle_hours.get()) * 3_600,
        seconds_max: i64::from(session.days_max.get()) * 86_400,
    }
}

fn directory_settings(settings: &Settings) -> DirectorySettings {
    let people = &settings.people;
    DirectorySettings {
        findable: match people.search {
            PeopleSearch::All => Findable::All,
            PeopleSearch::Groups => Findable::OwnGroups,
            PeopleSearch::Exact => Findable::Exact,
            PeopleSearch::None => Findable::None,
        },
        characters_min: people.min_search_length.get() as usize,
        results_max: people.max_results.get() as usize,
    }
}

fn theme(settings: &Settings) -> Theme {
    let theme = &settings.theme;
    let slogan = theme.slogan.as_ref().map(Words::as_str);
    Theme {
        name: theme.name.as_str().to_owned(),
        slogan: slogan.unwrap_or_default().to_owned(),
        color: theme.color.to_string(),
    }
}

fn files_settings(settings: &Settings) -> FilesSettings {
    let (limits, uploads) = (&settings.limits, &settings.uploads);
    let downloads = &settings.downloads;
    FilesSettings {
        quota_default_bytes: quota_default_bytes(settings),
        lock_timeout_max_seconds: i64::from(limits.lock_timeout_max_seconds.get()),
        hand_lock_seconds: i64::from(limits.hand_lock_minutes.get()) * 60,
        locks_per_account_max: u64::from(limits.locks_per_account_max.get()),
        search_nodes_max: limits.search_nodes_max.get() as usize,
        tags_max: u64::from(limits.tags_per_space_max.get()),
        property_bytes_max: limits.properties_max.bytes(),
        parts_abandoned_seconds: i64::from(uploads.abandoned_after_hours.get()) * 3_600,
        parts_max: u64::from(uploads.parts_max.get()),
        parted_uploads_max: u64::from(uploads.open_max.get()),
        archive_members_max: u64::from(downloads.archive_max_entries.get()),
        archive_bytes_max: downloads.archive_max_size.bytes(),
        archives_max: downloads.archives_at_once.get() as usize,
        keeps_activity: settings.activity.keep_days.get() > 0,
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

fn sharing_settings(settings: &Settings) -> SharingSettings {
    let sharing = &settings.sharing;
    SharingSettings {
        links: sharing.links,
        link_passwords_required: sharing.link_passwords_required,
        link_days_default: sharing.link_days_default.map(Number::get),
        link_days_max: sharing.link_days_max.map(Number::get),
        custom_addresses: sharing.custom_addresses,
        shares_max: sharing.per_person_max.get().into(),
        wrong_links_max: sharing.wrong_links_max.get(),
        time_zone: sharing.time_zone.0.clone(),
        told: match &settings.mail {
            mail if mail.host.is_none() || mail.from.is_none() => Told::Nobody,
            mail if mail.group_shares => Told::Groups,
            _ => Told::People,
        },
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
