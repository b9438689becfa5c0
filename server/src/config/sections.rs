//! Every section with its keys: what each means, its default and its form.
//!
//! This text is also the reference page: the first lines above a key are its meaning there.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::Described;
use crate::config::join;
use crate::config::places::BaseUrl;
use crate::config::places::ChunksPlace;
use crate::config::places::MetadataPlace;
use crate::config::places::Region;
use crate::config::values::Networks;
use crate::config::values::Number;
use crate::config::values::SettingValue;
use crate::config::words::Colour;
use crate::config::words::HostName;
use crate::config::words::LogFormat;
use crate::config::words::LogLevel;
use crate::config::words::MailLanguage;
use crate::config::words::MailTls;
use crate::config::words::PeopleSearch;
use crate::config::words::QuotaDefault;
use crate::config::words::ReleaseNumber;
use crate::config::words::Words;
use crate::config::words::Zone;
use crate::config::written::Written;
use crate::language::Language;
use crate::mail::Encryption;
use crate::mail::Password;
use crate::mail::Sender;
use crate::size::ByteSize;
use crate::store::folder::SECRET_FILE;

/// Defines a section: its struct, its defaults, how it is read and described.
macro_rules! section {
    (
        $(#[doc = $section_doc:literal])+
        $name:ident {
            $( $(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr, )+
        }
    ) => {
        $(#[doc = $section_doc])+
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $field: $type, )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )+ }
            }
        }

        impl $name {
            pub(super) fn take(section: &str, written: &mut Written) -> Self {
                Self {
                    $( $field: written.take(section, stringify!($field), $default), )+
                }
            }

            pub(super) fn describe(&self, section: &str, into: &mut Vec<Described>) {
                $( into.push(Described {
                    key: join(section, stringify!($field)),
                    meaning: one_line(&[$($doc),+]),
                    form: <$type>::form(),
                    default: <$type as SettingValue>::to_toml(&$default),
                    value: SettingValue::to_toml(&self.$field),
                }); )+
            }
        }
    };
}

fn one_line(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    lines.join(" ")
}

section! {
    /// What most installations look at.
    General {
        /// Where the server listens. Other machines reach it only if this is not a loopback address; put a proxy
        /// or `tls` in front of it then.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)),
        /// The address under which people reach the server, shown where it says how to mount. None: the address it listens on.
        public_url: Option<BaseUrl> = None,
        /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed. Without it, everybody behind a proxy counts as one
        /// address when wrong passwords are slowed down.
        trusted_proxies: Networks = Networks::default(),
        /// Where the metadata is: the file `metadata.db` of the data folder, or a PostgreSQL database (13 or newer), which several
        /// servers can share. A password in the URL is left out wherever the URL is shown; `postgres.password_file` keeps it out of
        /// the settings. With `sslmode=require` the connection is encrypted and the certificate verified.
        metadata: MetadataPlace = MetadataPlace::Sqlite,
        /// Where the bytes of files are: the folder `chunks` of the data folder, or a bucket of an S3 store (`s3`), which several
        /// servers can share. Several servers need both: `metadata` on PostgreSQL and `chunks` on S3.
        chunks: ChunksPlace = ChunksPlace::Folder,
        /// The installation's secret: 64 hexadecimal digits, with which app passwords and chunks are named. The first start
        /// draws one. Several servers need the same; one that comes with another is refused.
        secret_file: PathBuf = SECRET_FILE.into(),
        /// How much each space may hold that has no quota of its own.
        quota_default: QuotaDefault = QuotaDefault(Some(ByteSize::from_bytes(100_000_000_000))),
    }
}

section! {
    /// Connections and their limits.
    Http {
        /// Open connections; more are answered 503 and closed.
        connections_max: Number<16, 1_000_000> = Number::new(16_384),
        /// A connection that has not sent the whole head of its next request after this long is closed.
        head_timeout_seconds: Number<1, 3_600> = Number::new(60),
        /// A transfer in which nothing moves for this long is cut off, in either direction.
        stall_timeout_seconds: Number<1, 3_600> = Number::new(120),
        /// How long transfers may still run when the server is told to stop.
        shutdown_seconds: Number<0, 3_600> = Number::new(30),
        /// Bytes that one HTTP/2 upload may have on the way; more is faster over long distances and takes more memory.
        upload_window: ByteSize = ByteSize::from_bytes(1 << 20),
        /// Threads that serve requests; 0: as many as the machine has cores, at most 8.
        threads: Number<0, 256> = Number::new(0),
    }
}

section! {
    /// Encryption of connections by the server itself. Both files are read again when they change, and on SIGHUP.
    Tls {
        /// The certificate with those that lead to a trusted one, in PEM. None: plain HTTP, as behind a proxy.
        certificate: Option<PathBuf> = None,
        /// The private key of the certificate, in PEM.
        key: Option<PathBuf> = None,
    }
}

section! {
    /// The PostgreSQL database, where `metadata` names one.
    Postgres {
        /// Connections of this server; a quarter of them is kept for reading. All servers together must stay below the
        /// database's `max_connections`.
        connections: Number<4, 1_000> = Number::new(16),
        /// A file with the password, in place of one in the URL.
        password_file: Option<PathBuf> = None,
        /// Certificates, in PEM, that may vouch for the database. None: those that the system trusts.
        root_certificates: Option<PathBuf> = None,
    }
}

section! {
    /// The S3 store, where `chunks` names a bucket.
    S3 {
        /// The address of the store. None: that of Amazon for the region. With `http://` the connection is not encrypted.
        endpoint: Option<BaseUrl> = None,
        /// The region, where the store knows any. None: `AWS_REGION`, else `us-east-1`.
        region: Option<Region> = None,
        /// Whether the bucket stands in the path of the address, as most stores that one runs oneself want it, or in the name of the host.
        path_style: bool = true,
        /// The key, in the form of the AWS tools: lines `aws_access_key_id = …` and `aws_secret_access_key = …` below
        /// `[default]`. None: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or the role of the machine.
        credentials_file: Option<PathBuf> = None,
    }
}

section! {
    /// Memory and disk.
    Storage {
        /// Memory for all caches together: half for the database's pages, half for decoded chunks.
        caches: ByteSize = ByteSize::from_bytes(48 << 20),
        /// Memory for the bytes of all running uploads together. An upload waits while it is used up.
        upload_memory: ByteSize = ByteSize::from_bytes(256 << 20),
        /// Uploads are refused while the disk has less free than this, so that deletes and housekeeping still work.
        free_min: ByteSize = ByteSize::from_bytes(1 << 30),
        /// Disk for parts of packs that were read from S3, in `cache` of the data folder. Each is verified when it is read.
        disk_cache: ByteSize = ByteSize::from_bytes(10_000_000_000),
        /// Connections that read the SQLite database at the same time.
        readers: Number<1, 64> = Number::new(4),
    }
}

section! {
    /// What one person or one request may use.
    Limits {
        /// The longest time for which a lock is given; a program renews its lock while it works.
        lock_timeout_max_seconds: Number<60, 31_536_000> = Number::new(86_400),
        /// Minutes for which a file that somebody locks in a sync client stays locked; locking again begins anew.
        hand_lock_minutes: Number<1, 525_600> = Number::new(30),
        /// Locks that one account may hold.
        locks_per_account_max: Number<1, 10_000_000> = Number::new(10_000),
        /// Files and folders that one search looks at; a space with more is searched as far as that.
        search_nodes_max: Number<1_000, 1_000_000_000> = Number::new(1_000_000),
        /// Tags that one space may have.
        tags_per_space_max: Number<1, 1_000_000> = Number::new(1_000),
        /// Properties of one file or folder together.
        properties_max: ByteSize = ByteSize::from_bytes(256 << 10),
    }
}

section! {
    /// What sync clients and phones of the Nextcloud family are told.
    Nextcloud {
        /// The release of Nextcloud that this server acts like. Clients warn, and later refuse, below a release that rises with time.
        version: ReleaseNumber = ReleaseNumber([32, 0, 1]),
        /// The largest part in which clients send a large file.
        upload_part: ByteSize = ByteSize::from_bytes(100 << 20),
        /// Hours for which a link holds that a client asks for to hand one file to a media player.
        direct_link_hours: Number<1, 720> = Number::new(8),
    }
}

section! {
    /// Channels on which clients hear at once that something has changed.
    Push {
        /// Open channels of one person.
        per_person_max: Number<1, 10_000> = Number::new(64),
        /// Open channels in all; more are answered 503, and those clients ask every half minute.
        channels_max: Number<0, 1_000_000> = Number::new(16_384),
        /// Milliseconds between two messages on one channel.
        pause_millis: Number<100, 60_000> = Number::new(1_000),
    }
}

section! {
    /// The web page.
    Web {
        /// Larger files are sent in parts of this size, so that an upload that broke off goes on.
        upload_part: ByteSize = ByteSize::from_bytes(16 << 20),
        /// Open pages of one person that hear of changes at once.
        pages_max: Number<1, 10_000> = Number::new(64),
    }
}

section! {
    /// How the installation presents itself, in clients and on its pages.
    Theme {
        /// Its name.
        name: Words = Words::nuage(),
        /// What stands below the name.
        slogan: Option<Words> = None,
        /// The colour of what is pressed; white must be readable on it.
        color: Colour = Colour([0x0b, 0x5c, 0xad]),
    }
}

section! {
    /// Who finds whom, for instance to share something.
    People {
        /// `all`: everybody finds everybody and every group. `groups`: people with whom they share a group, and their own groups.
        /// `exact`: whoever has exactly the name or address that was typed. `none`: nobody.
        search: PeopleSearch = PeopleSearch::All,
        /// Characters that somebody must type before more than exact names and addresses are found.
        min_search_length: Number<1, 64> = Number::new(1),
        /// The most people, and the most groups, in one answer.
        max_results: Number<1, 1_000> = Number::new(50),
    }
}

section! {
    /// Folders and selections that are downloaded as one ZIP file.
    Downloads {
        /// Files and folders that one ZIP file may hold; more are refused.
        archive_max_entries: Number<1, 100_000_000> = Number::new(200_000),
        /// Bytes that the files of one ZIP file may have together.
        archive_max_size: ByteSize = ByteSize::from_bytes(200_000_000_000),
        /// ZIP files that one server makes at the same time; more are answered 503.
        archives_at_once: Number<1, 10_000> = Number::new(64),
    }
}

section! {
    /// What people give to others.
    Sharing {
        /// Whether people can make links that anybody can open who has them.
        links: bool = true,
        /// Whether every link must have a password.
        link_passwords_required: bool = false,
        /// Days after which a link ends whose maker names no day; without it, such a link does not end.
        link_days_default: Option<Number<1, 36_500>> = None,
        /// The most days for which a link can be made; without it, any.
        link_days_max: Option<Number<1, 36_500>> = None,
        /// Whether people can choose what the address of a link ends with.
        custom_addresses: bool = false,
        /// Shares and links that one person can have given.
        per_person_max: Number<1, 10_000_000> = Number::new(10_000),
        /// Addresses of links that can be got wrong from one network address within ten minutes; the next wrong ones are answered 429.
        wrong_links_max: Number<1, 1_000_000> = Number::new(30),
        /// Days before a share or link ends on which its giver, and the person who was given it, are told by mail; 0: never. One that was
        /// made to last no longer than this is passed over.
        remind_days: Number<0, 365> = Number::new(3),
        /// The time zone in which the last day of a share ends.
        time_zone: Zone = Zone(jiff::tz::TimeZone::UTC),
    }
}

section! {
    /// Files that come in parts.
    Uploads {
        /// Hours after which an upload that gets no part any more ends, and its parts are deleted. A laptop may sleep over a weekend.
        abandoned_after_hours: Number<1, 100_000> = Number::new(168),
        /// Parts that one file may come in.
        parts_max: Number<1, 1_000_000> = Number::new(10_000),
        /// Uploads in parts that may be in progress in one space.
        open_max: Number<1, 1_000_000> = Number::new(1_000),
    }
}

section! {
    /// Small pictures of files. Each server makes them in processes of their own and keeps them in the folder `previews` of its
    /// data folder. PDF needs pdftoppm, films need ffmpeg.
    Previews {
        /// Whether there are any.
        enabled: bool = true,
        /// How many are made at once; 0: as many as the machine has cores.
        at_once: Number<0, 256> = Number::new(0),
        /// The disk that they may take; what was used longest ago goes first.
        cache: ByteSize = ByteSize::from_bytes(2 << 30),
        /// Larger files have none.
        source_max: ByteSize = ByteSize::from_bytes(256 << 20),
        /// Pictures of more millions of pixels have none. Decoding takes up to four bytes of memory for each pixel.
        megapixels_max: Number<1, 1_000> = Number::new(100),
        /// Seconds after which one is given up.
        work_seconds: Number<1, 600> = Number::new(20),
        /// Seconds for which a request waits for one. The work goes on without it, and the next request finds it.
        wait_seconds: Number<0, 60> = Number::new(4),
    }
}

section! {
    /// How long somebody stays signed in with a browser.
    Session {
        /// Hours without a visit after which a browser is asked to sign in again.
        idle_hours: Number<1, 8_760> = Number::new(24),
        /// Days after which it is asked in any case.
        days_max: Number<1, 365> = Number::new(30),
    }
}

section! {
    /// How long the past is kept.
    History {
        /// Days for which deleted files can come back.
        trash_days: Number<1, 36_500> = Number::new(30),
        /// Days for which every version is kept.
        all_versions_days: Number<1, 36_500> = Number::new(30),
        /// Days for which one version of each day is kept; after that, one of each week.
        daily_versions_days: Number<1, 36_500> = Number::new(180),
        /// Days for which the server remembers what was deleted where: a sync client that was away longer reads everything anew.
        deletions_days: Number<1, 36_500> = Number::new(180),
    }
}

section! {
    /// The log of what people did: who changed, moved, shared what, when, and from which address.
    Activity {
        /// Days for which it is kept; 0: nothing is noted, and what is there goes.
        keep_days: Number<0, 36_500> = Number::new(365),
    }
}

section! {
    /// Work that the server does by itself.
    Jobs {
        /// Seconds between two moves of small files from the database to packs.
        pack_seconds: Number<1, 86_400> = Number::new(60),
        /// Minutes between two runs of what time ends: the trash, old versions, locks, archived accounts.
        housekeeping_minutes: Number<1, 100_000> = Number::new(60),
        /// Minutes between two collections of bytes that nothing names any more.
        collect_minutes: Number<1, 100_000> = Number::new(360),
        /// Days between two runs that read every stored byte again and compare it with its fingerprint; 0: never.
        verify_days: Number<0, 3_650> = Number::new(30),
        /// Hours for which the file of a dead pack is kept: at least the time between two backups plus a day.
        backup_grace_hours: Number<1, 100_000> = Number::new(48),
    }
}

section! {
    /// Mail that the server sends to people: that somebody shared something with them, that a link ends. Letters wait in the
    /// database until the server of mail takes them. `nuage-server mail test ADDRESS` tries the settings.
    Mail {
        /// The server of mail (SMTP). None: no mail is sent.
        host: Option<HostName> = None,
        /// Its port; 0: the usual one, 587 with `starttls`, 465 with `tls`, 25 with `none`.
        port: Number<0, 65_535> = Number::new(0),
        /// Whether the connection is encrypted: by STARTTLS, from the first byte on, or not at all.
        tls: MailTls = MailTls(Encryption::StartTls),
        /// Certificates, in PEM, that may vouch for the server of mail. None: those that the system trusts.
        root_certificates: Option<PathBuf> = None,
        /// Who letters come from. Needed where there is a host.
        from: Option<Sender> = None,
        /// The name to sign in with at the server of mail. None: it asks for none.
        user: Option<Words> = None,
        /// The password to sign in with. `config print` leaves it out.
        password: Option<Password> = None,
        /// A file with the password, in place of `password`.
        password_file: Option<PathBuf> = None,
        /// Seconds that an answer of the server of mail may take.
        timeout_seconds: Number<1, 600> = Number::new(30),
        /// Letters that are sent in one go, every few seconds.
        batch_max: Number<1, 10_000> = Number::new(100),
        /// Letters that may wait; what comes beyond is not sent.
        queue_max: Number<1, 10_000_000> = Number::new(10_000),
        /// Whether every member of a group gets a letter when something is shared with the group, and before that ends.
        group_shares: bool = false,
        /// The language of letters to people of whom it is not known in which they read: those who never signed in with a browser.
        language: MailLanguage = MailLanguage(Language::English),
        /// Hours for which a letter is tried again, after a minute at first and in the end each hour; then it is given up with a line in the log.
        give_up_hours: Number<1, 1_000> = Number::new(72),
    }
}

section! {
    /// What the server writes to its standard error.
    Log {
        /// The least important line that is written. `RUST_LOG` wins over it, in the form of tracing-subscriber.
        level: LogLevel = LogLevel(tracing::Level::INFO),
        /// How lines are written.
        format: LogFormat = LogFormat::Text,
        /// One line for each request, without its query.
        requests: bool = true,
    }
}

section! {
    /// Figures for Prometheus.
    Metrics {
        /// An address of its own for `/metrics`. None: the main address serves it, to the same machine only.
        listen: Option<SocketAddr> = None,
    }
}

/// Defines the whole of the settings: each section with its name in the file.
macro_rules! settings {
    ( $( $(#[doc = $doc:literal])+ $field:ident: $type:ident = $name:literal, )+ ) => {
        /// All settings.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Settings {
            $( $(#[doc = $doc])+ pub $field: $type, )+
        }

        impl Settings {
            /// Takes every setting away from what was written.
            pub(super) fn take(written: &mut Written) -> Self {
                Self { $( $field: $type::take($name, written), )+ }
            }

            /// Returns every setting with its meaning, form, default and present value.
            pub fn describe(&self) -> Vec<Described> {
                let mut all = Vec::new();
                $( self.$field.describe($name, &mut all); )+
                all
            }
        }
    };
}

settings! {
    /// Keys without a section.
    general: General = "",
    /// `[http]`
    http: Http = "http",
    /// `[tls]`
    tls: Tls = "tls",
    /// `[postgres]`
    postgres: Postgres = "postgres",
    /// `[s3]`
    s3: S3 = "s3",
    /// `[storage]`
    storage: Storage = "storage",
    /// `[limits]`
    limits: Limits = "limits",
    /// `[nextcloud]`
    nextcloud: Nextcloud = "nextcloud",
    /// `[push]`
    push: Push = "push",
    /// `[web]`
    web: Web = "web",
    /// `[previews]`
    previews: Previews = "previews",
    /// `[people]`
    people: People = "people",
    /// `[downloads]`
    downloads: Downloads = "downloads",
    /// `[sharing]`
    sharing: Sharing = "sharing",
    /// `[uploads]`
    uploads: Uploads = "uploads",
    /// `[theme]`
    theme: Theme = "theme",
    /// `[session]`
    session: Session = "session",
    /// `[history]`
    history: History = "history",
    /// `[activity]`
    activity: Activity = "activity",
    /// `[jobs]`
    jobs: Jobs = "jobs",
    /// `[mail]`
    mail: Mail = "mail",
    /// `[log]`
    log: Log = "log",
    /// `[metrics]`
    metrics: Metrics = "metrics",
}
