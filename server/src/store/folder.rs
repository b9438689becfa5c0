//! What lies where in a data folder. A data folder is one installation:
//!
//! ```text
//! metadata.db   who and what there is (SQLite)
//! chunks/       the bytes, in packs; one process at a time may hold it
//! cache/        parts of packs that were read from S3
//! previews/     small pictures of files; each server makes its own
//! secret.key    32 random bytes, in hexadecimal: tokens and chunks are named with it
//! nuage.toml    settings, if there are any
//! .owner        locked by the server whose database is here and whose chunks are on S3
//! ```
//!
//! Where the settings put metadata on PostgreSQL and chunks on S3, it holds none of the
//! installation but the secret.

use std::path::Path;
use std::path::PathBuf;

/// Name of the database.
pub const DATABASE_FILE: &str = "metadata.db";
/// Name of the installation's secret.
pub const SECRET_FILE: &str = "secret.key";
/// Name of the settings.
pub const SETTINGS_FILE: &str = "nuage.toml";
/// Name of the folder of packs.
pub const CHUNKS_FOLDER: &str = "chunks";

/// A data folder, which need not exist.
#[derive(Debug, Clone)]
pub struct DataFolder {
    path: PathBuf,
    /// Relative to the folder.
    secret: PathBuf,
}

impl DataFolder {
    /// Names a data folder.
    pub fn new(path: PathBuf) -> Self {
        let secret = SECRET_FILE.into();
        Self { path, secret }
    }

    /// Says where the secret is; a relative path starts at the folder.
    #[must_use]
    pub fn with_secret(mut self, file: &Path) -> Self {
        file.clone_into(&mut self.secret);
        self
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the database file.
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE_FILE)
    }

    /// Returns the file of the installation's secret.
    pub fn secret(&self) -> PathBuf {
        self.path.join(&self.secret)
    }

    /// Returns the settings file that is read when none is named.
    pub fn settings(&self) -> PathBuf {
        self.path.join(SETTINGS_FILE)
    }

    /// Returns the folder of packs.
    pub fn chunks(&self) -> PathBuf {
        self.path.join(CHUNKS_FOLDER)
    }

    /// Returns the folder of what was read from S3.
    pub fn cache(&self) -> PathBuf {
        self.path.join("cache")
    }

    /// Returns the folder of small pictures of files.
    pub fn previews(&self) -> PathBuf {
        self.path.join("previews")
    }

    /// Returns the file whose lock a server holds that has only its database here.
    pub fn owner(&self) -> PathBuf {
        self.path.join(".owner")
    }

    /// Returns the journal of a move to another shape.
    pub fn move_journal(&self) -> PathBuf {
        self.path.join("move.journal")
    }
}
