//! Every setting: its key, what it means, its default and its form, in one place.
//!
//! Settings come from `nuage.toml`; a variable of the environment wins over it:
//! `NUAGE_QUOTA_DEFAULT` for the key `quota_default`, `NUAGE_HTTP__CONNECTIONS_MAX` for
//! `http.connections_max`. Reading has two steps: what was written is taken key by key,
//! then what it means is checked together. Every mistake is found in one run and
//! named by its key.
//!
//! # Always true
//!
//! * With no file and no variable, [`Settings::default`] is a server that runs.
//! * Keys end with their unit, or take sizes such as `100GB`.
//! * Settings may be printed and logged: a password in a database's URL is left out of every form of it.
//! * `docs/reference/settings.md` is printed from this file (a test compares).

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::size::ByteSize;
use crate::store::folder::SECRET_FILE;
use crate::store::metadata::postgres::url::NotAPostgresUrl;
use crate::store::metadata::postgres::url::PostgresUrl;

/// What the variables of the environment begin with.
const ENVIRONMENT_PREFIX: &str = "NUAGE_";
/// Variables with that beginning that are no settings.
const OTHER_VARIABLES: [&str; 2] = ["DATA_DIR", "CONFIG"];
/// Beginnings of names that tests use.
const TEST_VARIABLES: [&str; 2] = ["TEST_", "SERVER_BIN"];

/// A value as somebody may write it.
pub trait SettingValue: Sized {
    /// Says what may be written, for messages and the reference page.
    fn form() -> String;
    /// Reads it from the file; `None`: it has not the form.
    fn from_toml(value: &toml::Value) -> Option<Self>;
    /// Reads it from a variable of the environment.
    fn from_text(text: &str) -> Option<Self>;
    /// Writes it so that it reads back the same, but for a password in a URL.
    fn to_toml(&self) -> toml::Value;
    /// Returns what a message may show of a value that was refused.
    fn shown(written: String) -> String {
        written
    }
}

/// A whole number between bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Number<MIN, MAX> {
    /// Makes a number; what lies outside becomes the nearest bound.
    pub const fn new(number: u32) -> Self {
        match number {
            _ if number < MIN => Self(MIN),
            _ if number > MAX => Self(MAX),
            _ => Self(number),
        }
    }

    /// Returns the number.
    pub const fn get(self) -> u32 {
        self.0
    }

    fn within(number: i64) -> Option<Self> {
        let number = u32::try_from(number).ok()?;
        (MIN..=MAX).contains(&number).then_some(Self(number))
    }
}

impl<const MIN: u32, const MAX: u32> SettingValue for Number<MIN, MAX> {
    fn form() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }

    fn from_toml(value: &toml::Value) -> Option<Self> {
        Self::within(value.as_integer()?)
    }

    fn from_text(text: &str) -> Option<Self> {
        Self::within(text.trim().parse().ok()?)
    }

    fn to_toml(&self) -> toml::Value {
        i64::from(self.0).into()
    }
}

impl SettingValue for bool {
    fn form() -> String {
        "true or false".to_owned()
    }

    fn from_toml(value: &toml::Value) -> Option<Self> {
        value.as_bool()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn to_toml(&self) -> toml::Value {
        (*self).into()
    }
}

impl SettingValue for ByteSize {
    fn form() -> String {
        "a size such as \"100GB\" (10⁹) or \"16MiB\" (2²⁰)".to_owned()
    }

    fn from_toml(value: &toml::Value) -> Option<Self> {
        match value.as_integer() {
            Some(bytes) => u64::try_from(bytes).ok().map(ByteSize::from_bytes),
            None => Self::from_text(value.as_str()?),
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn to_toml(&self) -> toml::Value {
        self.to_string().into()
    }
}

/// Defines a setting that is written as one string and parsed by `FromStr`.
macro_rules! string_setting {
    ($type:ty, $form:literal) => {
        impl SettingValue for $type {
            fn form() -> String {
                $form.to_owned()
            }

            fn from_toml(value: &toml::Value) -> Option<Self> {
                Self::from_text(value.as_str()?)
            }

            fn from_text(text: &str) -> Option<Self> {
                text.trim().parse().ok()
            }

            fn to_toml(&self) -> toml::Value {
                self.to_string().into()
            }
        }
    };
}

string_setting!(
    SocketAddr,
    "an address with a port, such as \"127.0.0.1:8080\" or \"[::]:80\""
);
string_setting!(
    QuotaDefault,
    "a size such as \"100GB\" or \"100GiB\", or \"none\""
);
string_setting!(
    BaseUrl,
    "http:// or https:// with a host, such as \"https://cloud.example.org\""
);
string_setting!(
    ChunksPlace,
    "\"folder\", or \"s3://bucket\" or \"s3://bucket/prefix\""
);
string_setting!(Region, "letters, digits and hyphens, such as \"eu-west-3\"");
string_setting!(LogFormat, "\"text\" or \"json\"");
string_setting!(ReleaseNumber, "three numbers, such as \"32.0.1\"");
string_setting!(
    Colour,
    "a colour as six hexadecimal digits, such as \"#0b5cad\""
);
string_setting!(Words, "1 to 100 characters");
string_setting!(PeopleSearch, "\"all\", \"groups\", \"exact\" or \"none\"");
string_setting!(
    LogLevel,
    "\"error\", \"warn\", \"info\", \"debug\" or \"trace\""
);

/// Where the metadata is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataPlace {
    /// The database file of the data folder.
    Sqlite,
    /// A PostgreSQL database.
    Postgres(PostgresUrl),
}

impl std::str::FromStr for MetadataPlace {
    type Err = NotAPostgresUrl;

    fn from_str(text: &str) -> Result<Self, NotAPostgresUrl> {
        match text {
            "sqlite" => Ok(Self::Sqlite),
            url => url.parse().map(Self::Postgres),
        }
    }
}

impl fmt::Display for MetadataPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite => f.write_str("sqlite"),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

impl SettingValue for MetadataPlace {
    fn form() -> String {
        "\"sqlite\", or \"postgres://user:password@host:port/database\" with options such as \
         ?sslmode=require behind it"
            .to_owned()
    }

    fn from_toml(value: &toml::Value) -> Option<Self> {
        Self::from_text(value.as_str()?)
    }

    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn to_toml(&self) -> toml::Value {
        self.to_string().into()
    }

    /// Nobody knows where the password is in what is not understood.
    fn shown(_written: String) -> String {
        "what is written".to_owned()
    }
}

/// Where the chunks are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChunksPlace {
    /// The folder `chunks` of the data folder.
    Folder,
    /// A bucket of an S3 store.
    S3 {
        /// Its name.
        bucket: String,
        /// What all keys begin with, without slashes at its ends; may be empty.
        prefix: String,
    },
}

impl std::str::FromStr for ChunksPlace {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        if text == "folder" {
            return Ok(Self::Folder);
        }
        let rest = text.strip_prefix("s3://").ok_or(UnknownWord)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(is_name_byte);
        let has_dots = |name: &str| name == "." || name == "..";
        if !is_name(bucket)
            || !(prefix.is_empty() || prefix.split('/').all(is_name))
            || prefix.split('/').any(has_dots)
        {
            return Err(UnknownWord);
        }
        Ok(Self::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

impl fmt::Display for ChunksPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder => f.write_str("folder"),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// The name of an S3 region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region(String);

impl Region {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Region {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if text.is_empty() || !text.bytes().all(is_name_byte) {
            return Err(UnknownWord);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path of the local disk; a relative one starts at the data folder.
impl SettingValue for PathBuf {
    fn form() -> String {
        "a path; a relative one starts at the data folder".to_owned()
    }

    fn from_toml(value: &toml::Value) -> Option<Self> {
        Self::from_text(value.as_str()?)
    }

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.into())
    }

    fn to_toml(&self) -> toml::Value {
        self.to_string_lossy().into_owned().into()
    }
}

/// A setting that may be left out; `""` leaves it out too.
impl<T: SettingValue> SettingValue for Option<T> {
    fn form() -> String {
        format!("{}, or \"\" for none", T::form())
    }

    fn from_toml(value: &toml::Value) -> Option<Self> {
        if value.as_str().is_some_and(str::is_empty) {
            return Some(None);
        }
        T::from_toml(value).map(Some)
    }

    fn from_text(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(None);
        }
        T::from_text(text).map(Some)
    }

    fn to_toml(&self) -> toml::Value {
        self.as_ref()
            .map_or_else(|| "".into(), SettingValue::to_toml)
    }
}

/// Networks whose word about the client is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(pub Vec<IpNet>);

impl SettingValue for Networks {
    fn form() -> String {
        "a list of networks or addresses, such as [\"127.0.0.1\", \"10.0.0.0/8\"]; \
         separated by commas in a variable"
            .to_owned()
    }

    fn from_toml(value: &toml::Value) -> Option<Self> {
        let networks = value.as_array()?.iter().map(|item| network(item.as_str()?));
        networks.collect::<Option<_>>().map(Self)
    }

    fn from_text(text: &str) -> Option<Self> {
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        items.map(network).collect::<Option<_>>().map(Self)
    }

    fn to_toml(&self) -> toml::Value {
        let texts = self.0.iter().map(|network| network.to_string().into());
        toml::Value::Array(texts.collect())
    }
}

fn network(text: &str) -> Option<IpNet> {
    match text.parse() {
        Ok(network) => Some(network),
        Err(_) => text.parse().ok().map(|address: IpAddr| address.into()),
    }
}

/// The quota of spaces that have none of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaDefault(pub Option<ByteSize>);

impl std::str::FromStr for QuotaDefault {
    type Err = crate::size::SizeFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self(None)),
            size => size.parse().map(Some).map(Self),
        }
    }
}

impl fmt::Display for QuotaDefault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(size) => size.fmt(f),
        }
    }
}

/// The address under which people reach the server: scheme and host, no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Returns it without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for BaseUrl {
    type Err = NotABaseUrl;

    fn from_str(text: &str) -> Result<Self, NotABaseUrl> {
        let url: http::Uri = text
            .parse()
            .map_err(|_fault: http::uri::InvalidUri| NotABaseUrl)?;
        let is_web = matches!(url.scheme_str(), Some("http" | "https"));
        let is_bare = url.path() == "/" && url.query().is_none();
        let has_user = url
            .authority()
            .is_none_or(|authority| authority.as_str().contains('@'));
        if !is_web || !is_bare || has_user {
            return Err(NotABaseUrl);
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is not an address of the web with a host and no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a scheme and a host")]
pub struct NotABaseUrl;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object for each line.
    Json,
}

/// A word that is none of the known ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of the known words")]
pub struct UnknownWord;

impl std::str::FromStr for LogFormat {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(UnknownWord),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Whom people find who look for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeopleSearch {
    /// Everybody.
    All,
    /// People with whom they share a group.
    Groups,
    /// Whoever has exactly the name or address that was typed.
    Exact,
    /// Nobody.
    None,
}

impl std::str::FromStr for PeopleSearch {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "all" => Ok(Self::All),
            "groups" => Ok(Self::Groups),
            "exact" => Ok(Self::Exact),
            "none" => Ok(Self::None),
            _ => Err(UnknownWord),
        }
    }
}

impl fmt::Display for PeopleSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Groups => "groups",
            Self::Exact => "exact",
            Self::None => "none",
        })
    }
}

/// The least important line that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLevel(pub tracing::Level);

impl std::str::FromStr for LogLevel {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let known = ["error", "warn", "info", "debug", "trace"];
        if !known.contains(&text) {
            return Err(UnknownWord);
        }
        text.parse()
            .map(Self)
            .map_err(|_fault: tracing::metadata::ParseLevelError| UnknownWord)
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.as_str().to_ascii_lowercase())
    }
}

/// The number of a release, as `32.0.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseNumber(pub [u16; 3]);

impl std::str::FromStr for ReleaseNumber {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let numbers: Option<Vec<u16>> = text.split('.').map(|part| part.parse().ok()).collect();
        let numbers = numbers.and_then(|numbers| numbers.try_into().ok());
        numbers.map(Self).ok_or(UnknownWord)
    }
}

impl fmt::Display for ReleaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([major, minor, micro]) = self;
        write!(f, "{major}.{minor}.{micro}")
    }
}

/// A colour of the web, red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(pub [u8; 3]);

impl std::str::FromStr for Colour {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let mut parts = [0; 3];
        let digits = text.strip_prefix('#').ok_or(UnknownWord)?;
        match hex::decode_to_slice(digits, &mut parts) {
            Ok(()) => Ok(Self(parts)),
            Err(_) => Err(UnknownWord),
        }
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", hex::encode(self.0))
    }
}

/// A few words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(String);

impl Words {
    /// Returns the words.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn nuage() -> Self {
        Self("Nuage".to_owned())
    }
}

impl std::str::FromStr for Words {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let is_valid =
            (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        is_valid.then(|| Self(text.to_owned())).ok_or(UnknownWord)
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A setting with everything that people may want to know of it.
#[derive(Debug, Clone)]
pub struct Described {
    /// Its key, with the section: `http.connections_max`.
    pub key: String,
    /// What it means and why its default is what it is.
    pub meaning: String,
    /// What may be written.
    pub form: String,
    /// Its default.
    pub default: toml::Value,
    /// What it is now.
    pub value: toml::Value,
}

impl Described {
    /// Returns the variable of the environment that wins over the file.
    pub fn variable(&self) -> String {
        variable_of(&self.key)
    }
}

fn variable_of(key: &str) -> String {
    let name = key.replace('.', "__").to_ascii_uppercase();
    format!("{ENVIRONMENT_PREFIX}{name}")
}

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
            fn take(section: &str, written: &mut Written) -> Self {
                Self {
                    $( $field: written.take(section, stringify!($field), $default), )+
                }
            }

            fn describe(&self, section: &str, into: &mut Vec<Described>) {
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

fn join(section: &str, field: &str) -> String {
    match section {
        "" => field.to_owned(),
        section => format!("{section}.{field}"),
    }
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

/// All settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Keys without a section.
    pub general: General,
    /// `[http]`
    pub http: Http,
    /// `[tls]`
    pub tls: Tls,
    /// `[postgres]`
    pub postgres: Postgres,
    /// `[s3]`
    pub s3: S3,
    /// `[storage]`
    pub storage: Storage,
    /// `[limits]`
    pub limits: Limits,
    /// `[nextcloud]`
    pub nextcloud: Nextcloud,
    /// `[push]`
    pub push: Push,
    /// `[previews]`
    pub previews: Previews,
    /// `[uploads]`
    pub uploads: Uploads,
    /// `[theme]`
    pub theme: Theme,
    /// `[people]`
    pub people: People,
    /// `[downloads]`
    pub downloads: Downloads,
    /// `[session]`
    pub session: Session,
    /// `[history]`
    pub history: History,
    /// `[jobs]`
    pub jobs: Jobs,
    /// `[log]`
    pub log: Log,
    /// `[metrics]`
    pub metrics: Metrics,
}

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// The file is not TOML.
    #[error("the file is not TOML: {reason}")]
    NotToml {
        /// What the parser says, with the line.
        reason: String,
    },
    /// No setting has this key.
    #[error("{key}: there is no such setting")]
    UnknownKey {
        /// What was written.
        key: String,
    },
    /// The value has not the form that the setting wants.
    #[error("{key}: {written} is not {form}")]
    WrongForm {
        /// The key, or the name of the variable.
        key: String,
        /// What was written.
        written: String,
        /// What may be written.
        form: String,
    },
    /// A value does not go together with another one.
    #[error("{key}: {reason}")]
    Contradiction {
        /// The key.
        key: &'static str,
        /// Why not.
        reason: &'static str,
    },
}

impl Mistake {
    /// Says where the file is not TOML, without showing the line: it may hold a password.
    fn not_toml(text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start));
        let place = before.map_or_else(String::new, |before| {
            format!("line {}: ", before.matches('\n').count() + 1)
        });
        let reason = format!("{place}{}", error.message());
        Self::NotToml { reason }
    }
}

/// Why there are no settings to work with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something is wrong with what was written.
    #[error("{}", list_mistakes(.0))]
    Mistakes(Vec<Mistake>),
}

fn list_mistakes(mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes
        .iter()
        .map(|mistake| format!("  {mistake}"))
        .collect();
    format!("the settings cannot be used:\n{}", lines.join("\n"))
}

/// What somebody wrote, taken away key by key.
struct Written {
    table: toml::Table,
    environment: BTreeMap<String, String>,
    mistakes: Vec<Mistake>,
}

impl Written {
    fn take<T: SettingValue>(&mut self, section: &str, field: &str, default: T) -> T {
        let key = join(section, field);
        let in_file = match section {
            "" => self.table.remove(field),
            section => self
                .table
                .get_mut(section)
                .and_then(toml::Value::as_table_mut)
                .and_then(|table| table.remove(field)),
        };
        let from_file = in_file.map(|value| {
            let parsed = T::from_toml(&value);
            parsed.ok_or_else(|| (key.clone(), T::shown(value.to_string())))
        });
        let variable = variable_of(&key);
        let from_environment = self.environment.remove(&variable).map(|text| {
            let parsed = T::from_text(&text);
            parsed.ok_or_else(|| (variable, T::shown(format!("\"{text}\""))))
        });
        let mut chosen = default;
        for read in [from_file, from_environment].into_iter().flatten() {
            match read {
                Ok(value) => chosen = value,
                Err((key, written)) => self.mistakes.push(Mistake::WrongForm {
                    key,
                    written,
                    form: T::form(),
                }),
            }
        }
        chosen
    }

    /// Notes what is left in the file after every setting was taken.
    fn note_unknown(&mut self) {
        for (key, value) in &self.table {
            match value.as_table() {
                Some(table) if SECTIONS.contains(&key.as_str()) => {
                    let unknown = table.keys().map(|field| Mistake::UnknownKey {
                        key: join(key, field),
                    });
                    self.mistakes.extend(unknown);
                }
                _ => self.mistakes.push(Mistake::UnknownKey { key: key.clone() }),
            }
        }
    }
}

/// The sections of the file, in the order in which they are printed.
const SECTIONS: [&str; 18] = [
    "http",
    "tls",
    "postgres",
    "s3",
    "storage",
    "limits",
    "nextcloud",
    "theme",
    "people",
    "downloads",
    "session",
    "previews",
    "push",
    "uploads",
    "history",
    "jobs",
    "log",
    "metrics",
];

impl Settings {
    /// Reads a file, if there is one, and the environment.
    ///
    /// `must_exist`: somebody named the file, so that it is a mistake if it is missing.
    pub fn load(
        path: &Path,
        must_exist: bool,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => String::new(),
            Err(source) => {
                let path = path.to_owned();
                return Err(ConfigError::File { path, source });
            }
        };
        Self::parse(&text, environment).map_err(ConfigError::Mistakes)
    }

    /// Understands the text of a file and the variables of an environment.
    pub fn parse(
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let table = text.parse().unwrap_or_else(|error: toml::de::Error| {
            mistakes.push(Mistake::not_toml(text, &error));
            toml::Table::new()
        });
        let mut written = Written {
            table,
            environment: environment.collect(),
            mistakes,
        };
        let settings = Self {
            general: General::take("", &mut written),
            http: Http::take("http", &mut written),
            tls: Tls::take("tls", &mut written),
            postgres: Postgres::take("postgres", &mut written),
            s3: S3::take("s3", &mut written),
            storage: Storage::take("storage", &mut written),
            limits: Limits::take("limits", &mut written),
            nextcloud: Nextcloud::take("nextcloud", &mut written),
            push: Push::take("push", &mut written),
            previews: Previews::take("previews", &mut written),
            uploads: Uploads::take("uploads", &mut written),
            theme: Theme::take("theme", &mut written),
            people: People::take("people", &mut written),
            downloads: Downloads::take("downloads", &mut written),
            session: Session::take("session", &mut written),
            history: History::take("history", &mut written),
            jobs: Jobs::take("jobs", &mut written),
            log: Log::take("log", &mut written),
            metrics: Metrics::take("metrics", &mut written),
        };
        written.note_unknown();
        settings.check_together(&mut written.mistakes);
        if written.mistakes.is_empty() {
            Ok(settings)
        } else {
            Err(written.mistakes)
        }
    }

    /// Notes values that do not go together.
    fn check_together(&self, mistakes: &mut Vec<Mistake>) {
        let missing = match (&self.tls.certificate, &self.tls.key) {
            (Some(_), None) => Some(("tls.key", "is needed where there is a tls.certificate")),
            (None, Some(_)) => Some(("tls.certificate", "is needed where there is a tls.key")),
            (Some(_), Some(_)) | (None, None) => None,
        };
        let thinned_early =
            self.history.daily_versions_days.get() < self.history.all_versions_days.get();
        let order = thinned_early.then_some((
            "history.daily_versions_days",
            "must not be less than history.all_versions_days",
        ));
        let same_address = (self.metrics.listen == Some(self.general.listen)
            && self.general.listen.port() != 0)
            .then_some(("metrics.listen", "must differ from listen"));
        let window = self.http.upload_window.bytes();
        let narrow = (!((64 << 10)..=(64 << 20)).contains(&window))
            .then_some(("http.upload_window", "must be from 64KiB to 64MiB"));
        for (key, reason) in [missing, order, same_address, narrow].into_iter().flatten() {
            mistakes.push(Mistake::Contradiction { key, reason });
        }
    }

    /// Returns every setting with its meaning, form, default and present value.
    pub fn describe(&self) -> Vec<Described> {
        let mut all = Vec::new();
        self.general.describe("", &mut all);
        self.http.describe("http", &mut all);
        self.tls.describe("tls", &mut all);
        self.postgres.describe("postgres", &mut all);
        self.s3.describe("s3", &mut all);
        self.storage.describe("storage", &mut all);
        self.limits.describe("limits", &mut all);
        self.nextcloud.describe("nextcloud", &mut all);
        self.push.describe("push", &mut all);
        self.previews.describe("previews", &mut all);
        self.uploads.describe("uploads", &mut all);
        self.theme.describe("theme", &mut all);
        self.people.describe("people", &mut all);
        self.downloads.describe("downloads", &mut all);
        self.session.describe("session", &mut all);
        self.history.describe("history", &mut all);
        self.jobs.describe("jobs", &mut all);
        self.log.describe("log", &mut all);
        self.metrics.describe("metrics", &mut all);
        all
    }

    /// Writes them as a file that reads back to the same settings, each with its meaning.
    pub fn to_file(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        let all = self.describe();
        for setting in &all {
            let (own_section, field) = setting
                .key
                .split_once('.')
                .unwrap_or(("", setting.key.as_str()));
            if own_section != section {
                section = own_section;
                append(&mut text, format_args!("[{section}]\n"));
            }
            for line in wrap(&setting.meaning, 98) {
                append(&mut text, format_args!("# {line}\n"));
            }
            append(&mut text, format_args!("{field} = {}\n\n", setting.value));
        }
        text
    }

    /// Writes the reference page of all settings, in Markdown.
    pub fn reference() -> String {
        let mut text = REFERENCE_HEAD.to_owned();
        let mut section = String::new();
        for setting in Self::default().describe() {
            if let Some((own_section, _)) = setting.key.split_once('.')
                && own_section != section
            {
                own_section.clone_into(&mut section);
                append(&mut text, format_args!("\n## `[{section}]`\n"));
            }
            append(&mut text, format_args!("\n### `{}`\n\n", setting.key));
            for line in wrap(&setting.meaning, 118) {
                append(&mut text, format_args!("{line}\n"));
            }
            append(
                &mut text,
                format_args!(
                    "\n* default `{}`\n* {}\n* variable `{}`\n",
                    setting.default,
                    setting.form,
                    setting.variable()
                ),
            );
        }
        text
    }
}

/// How the reference page begins.
const REFERENCE_HEAD: &str = "\
# Settings

Written by `nuage-server reference settings`; a test compares this page with the program.

The server reads `nuage.toml` in its data folder, or the file that `--config` names. A variable of the environment wins
over the file. Keys without a section stand at the top of the file. Every mistake is reported at once, by its key;
`nuage-server config print` shows what the server would use.
";

/// Returns the variables that look like settings and are none.
pub fn unknown_variables(environment: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let known: Vec<String> = Settings::default()
        .describe()
        .iter()
        .map(Described::variable)
        .collect();
    environment
        .map(|(name, _)| name)
        .filter(|name| {
            name.strip_prefix(ENVIRONMENT_PREFIX).is_some_and(|rest| {
                !known.contains(name)
                    && !OTHER_VARIABLES.contains(&rest)
                    && !TEST_VARIABLES.iter().any(|first| rest.starts_with(first))
            })
        })
        .collect()
}

fn append(text: &mut String, piece: fmt::Arguments<'_>) {
    text.push_str(&piece.to_string());
}

/// Breaks a text into lines at spaces.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::ChunksPlace;
    use super::Mistake;
    use super::Number;
    use super::QuotaDefault;
    use super::Settings;
    use super::unknown_variables;

    fn environment(variables: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
        let owned: Vec<(String, String)> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        owned.into_iter()
    }

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Settings, Vec<Mistake>> {
        Settings::parse(text, environment(variables))
    }

    #[test]
    fn nothing_written_is_a_server_that_runs() {
        assert_eq!(parse("", &[]).unwrap(), Settings::default());
    }

    #[test]
    fn a_variable_wins_over_the_file() {
        let file = "quota_default = \"1GB\"\n[http]\nconnections_max = 20\n";
        let variables = [
            ("NUAGE_QUOTA_DEFAULT", "none"),
            ("NUAGE_HTTP__CONNECTIONS_MAX", "30"),
            ("NUAGE_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8"),
        ];
        let settings = parse(file, &variables).unwrap();
        assert_eq!(settings.general.quota_default, QuotaDefault(None));
        assert_eq!(settings.http.connections_max.get(), 30);
        assert_eq!(settings.general.trusted_proxies.0.len(), 2);
    }

    #[test]
    fn every_mistake_is_reported_at_once_by_its_key() {
        let file = "\
            listen = \"everywhere\"\n\
            public_url = \"https://user@cloud.example.org\"\n\
            quota = 7\n\
            [http]\n\
            connections_max = 1\n\
            [tls]\n\
            key = \"key.pem\"\n\
            [nonsense]\n\
            key = 1\n";
        let mistakes = parse(file, &[("NUAGE_LOG__LEVEL", "loud")]).unwrap_err();
        let text: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        let text = text.join("\n");
        for key in [
            "listen:",
            "public_url:",
            "quota:",
            "http.connections_max:",
            "tls.certificate:",
            "nonsense:",
            "NUAGE_LOG__LEVEL:",
        ] {
            assert!(text.contains(key), "{key} is not in:\n{text}");
        }
        assert_eq!(mistakes.len(), 7, "{text}");
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let url = "postgres://nuage:geheim@db:5433/nuage?sslmode=require";
        let settings = parse(&format!("metadata = \"{url}\""), &[]).unwrap();
        let shown = format!("{settings:?} {}", settings.to_file());
        assert!(!shown.contains("geheim"), "{shown}");
        assert!(shown.contains("postgres://nuage@db:5433/nuage?sslmode=require"));

        for (file, variable) in [
            ("metadata = \"postgres//nuage:geheim@db/nuage\"", ""),
            ("metadata = [\"postgres://nuage:geheim@db/nuage\"]", ""),
            ("metadata = \"postgres://nuage:geheim@db/nuage", ""),
            ("", "postgres://nuage:geheim@db:port/nuage"),
        ] {
            let mistakes = parse(file, &[("NUAGE_METADATA", variable)]).unwrap_err();
            let text = format!("{mistakes:?} {}", super::list_mistakes(&mistakes));
            assert!(!text.contains("geheim"), "{text}");
        }
    }

    #[test]
    fn a_bucket_may_have_a_prefix_of_plain_names() {
        for (written, bucket_and_prefix) in [
            ("s3://b", Some(("b", ""))),
            ("s3://b/", Some(("b", ""))),
            ("s3://my-bucket.x/a/b_c/", Some(("my-bucket.x", "a/b_c"))),
            ("s3:///a", None),
            ("s3://b/a//c", None),
            ("s3://b/../c", None),
            ("s3://b/a?x", None),
            ("S3://b", None),
        ] {
            let expected = bucket_and_prefix.map(|(bucket, prefix)| ChunksPlace::S3 {
                bucket: bucket.to_owned(),
                prefix: prefix.to_owned(),
            });
            assert_eq!(written.parse().ok(), expected, "{written}");
        }
    }

    #[test]
    fn a_file_that_is_not_toml_is_one_mistake_with_its_line() {
        let mistakes = parse("listen = \n", &[]).unwrap_err();
        assert!(
            matches!(mistakes.as_slice(), [Mistake::NotToml { reason }] if reason.contains("line 1"))
        );
    }

    #[test]
    fn what_is_printed_reads_back_to_the_same_settings() {
        let mut settings = Settings::default();
        settings.http.connections_max = Number::new(99);
        settings.general.quota_default = QuotaDefault(None);
        settings.tls.certificate = Some("certificate.pem".into());
        settings.tls.key = Some("key.pem".into());
        settings.general.public_url = "https://cloud.example.org/".parse().ok();
        settings.general.metadata = "postgres://nuage@db/nuage?sslmode=require".parse().unwrap();
        settings.general.chunks = "s3://bucket/a/b".parse().unwrap();
        settings.s3.endpoint = "http://127.0.0.1:9000".parse().ok();
        settings.s3.region = "eu-west-3".parse().ok();
        settings.postgres.password_file = Some("password".into());
        assert_eq!(parse(&settings.to_file(), &[]).unwrap(), settings);
    }

    #[test]
    fn a_variable_that_is_no_setting_is_named() {
        let variables = environment(&[
            ("NUAGE_QUOTA", "1GB"),
            ("NUAGE_QUOTA_DEFAULT", "1GB"),
            ("NUAGE_DATA_DIR", "/x"),
            ("NUAGE_TEST_CLOCK_FILE", "/x"),
            ("HOME", "/x"),
        ]);
        assert_eq!(unknown_variables(variables), ["NUAGE_QUOTA"]);
    }
}
