//! What lies where in a data folder. A data folder is one installation:
//!
//! ```text
//! metadata.db   who and what there is (SQLite)
//! chunks/       the bytes, in packs; one process at a time may hold it
//! secret.key    32 random bytes, in hexadecimal: tokens and chunks are named with it
//! nuage.toml    settings, if there are any
//! ```

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
pub struct DataFolder(PathBuf);

impl DataFolder {
    /// Names a data folder.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the database file.
    pub fn database(&self) -> PathBuf {
        self.0.join(DATABASE_FILE)
    }

    /// Returns the file of the installation's secret.
    pub fn secret(&self) -> PathBuf {
        self.0.join(SECRET_FILE)
    }

    /// Returns the settings file that is read when none is named.
    pub fn settings(&self) -> PathBuf {
        self.0.join(SETTINGS_FILE)
    }

    /// Returns the folder of packs.
    pub fn chunks(&self) -> PathBuf {
        self.0.join(CHUNKS_FOLDER)
    }
}
