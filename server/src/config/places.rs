//! Settings that say where something is: databases, buckets, addresses of the web.

use std::fmt;

use crate::config::values::SettingValue;
use crate::config::values::UnknownWord;
use crate::config::values::string_setting;
use crate::store::metadata::postgres::url::NotAPostgresUrl;
use crate::store::metadata::postgres::url::PostgresUrl;

string_setting!(
    BaseUrl,
    "http:// or https:// with a host, such as \"https://cloud.example.org\""
);
string_setting!(
    ChunksPlace,
    "\"folder\", or \"s3://bucket\" or \"s3://bucket/prefix\""
);
string_setting!(Region, "letters, digits and hyphens, such as \"eu-west-3\"");

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
