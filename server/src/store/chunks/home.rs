//! Where packs live: a folder of this machine, or a bucket of an S3 store.
//!
//! Both hold the same packs under the same names. What differs is how they are made
//! ([`appender`](super::appender)) and how they are read ([`places`](super::places)).

use std::fmt;
use std::path::PathBuf;

/// Small bodies up to this length, in bytes, travel in the commit where packs are files.
pub const FOLDER_HOT_BYTES_MAX: usize = 16 << 10;
/// Small bodies up to this length, in bytes, travel in the commit where packs are S3 objects.
pub const S3_HOT_BYTES_MAX: usize = 64 << 10;

/// Where packs are.
#[derive(Debug, Clone)]
pub enum PackHome {
    /// Files of a folder, which one process at a time may use.
    Folder(PathBuf),
    /// Objects of an S3 store, which any number of servers may share.
    S3(S3Settings),
}

impl PackHome {
    /// Returns the length in bytes up to which small bodies should travel in the commit.
    pub fn hot_bytes_max(&self) -> usize {
        match self {
            Self::Folder(_) => FOLDER_HOT_BYTES_MAX,
            Self::S3(_) => S3_HOT_BYTES_MAX,
        }
    }
}

impl fmt::Display for PackHome {
    /// Writes what an administrator would call it: a path, or `s3://bucket/prefix`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::S3(settings) if settings.prefix.is_empty() => {
                write!(f, "s3://{}", settings.bucket)
            }
            Self::S3(settings) => write!(f, "s3://{}/{}", settings.bucket, settings.prefix),
        }
    }
}

/// Which S3 store, and how it is spoken to.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// The bucket; it must exist.
    pub bucket: String,
    /// What stands in front of every key, without slashes at its ends; empty: nothing.
    pub prefix: String,
    /// The URL of the store, `http://…` or `https://…`; `None`: that of AWS for the region.
    pub endpoint: Option<String>,
    /// The region; `None`: from the environment, else `us-east-1`.
    pub region: Option<String>,
    /// Whether the bucket stands in the path (most stores of one's own) or in the host name (AWS).
    pub path_style: bool,
    /// The key; `None`: from the environment (`AWS_*`, or the role of the machine).
    pub credentials: Option<S3Credentials>,
    /// The folder of the read cache.
    pub cache_folder: PathBuf,
    /// What the read cache may use of the disk, in bytes; 0: no cache.
    pub cache_bytes: u64,
}

/// A key to an S3 store.
#[derive(Clone)]
pub struct S3Credentials {
    /// Its public name.
    pub key_id: String,
    /// Its secret half.
    pub secret: String,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Credentials")
            .field("key_id", &self.key_id)
            .field("secret", &"…")
            .finish()
    }
}
