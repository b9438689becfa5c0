//! The installation's secret, and how a server proves that it has the right one.
//!
//! Tokens and chunks are named with the secret. The database keeps a mark of it: a
//! server that comes with another secret would find every token unknown and every
//! chunk damaged, so it is refused.
//!
//! # Always true
//!
//! * A new secret is drawn only where there is no installation yet.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nuage_shared::chunk_id::ChunkKey;

use crate::app::AppError;
use crate::app::Expectation;
use crate::app::file_error;
use crate::config::MetadataPlace;
use crate::store::chunks::ChunkSecrets;
use crate::store::folder::DataFolder;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::accounts::HasAccounts;
use crate::store::metadata::history::ReadSetting;
use crate::store::metadata::secret_mark::MarkSecret;
use crate::store::metadata::secret_mark::SECRET_MARK;

const SECRET_BYTES: usize = 32;
const CHUNK_KEY_CONTEXT: &str = "nuage 2026-01 key of chunks";
const CHUNK_SEED_CONTEXT: &str = "nuage 2026-01 seed of cut points";
const INSTANCE_CONTEXT: &str = "nuage 2026-01 name of the installation in ids of files";
const MARK_CONTEXT: &str = "nuage 2026-11 mark of the secret in the database";

/// The installation's secret, from which every other one is derived.
pub(super) struct Secret([u8; SECRET_BYTES]);

impl Secret {
    fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; SECRET_BYTES];
        hex::decode_to_slice(text.trim(), &mut bytes).ok()?;
        Some(Self(bytes))
    }

    pub(super) fn derive(&self, context: &str) -> [u8; 32] {
        blake3::derive_key(context, &self.0)
    }

    /// Returns what sync clients see at the end of every id of a file: `oc`, ten letters or digits.
    pub(super) fn instance(&self) -> String {
        let letters = self.derive(INSTANCE_CONTEXT).into_iter().take(10);
        let letter = |byte: u8| char::from_digit(u32::from(byte) % 36, 36).unwrap_or('0');
        letters.fold(String::from("oc"), |mut name, byte| {
            name.push(letter(byte));
            name
        })
    }

    pub(super) fn chunk_secrets(&self) -> ChunkSecrets {
        let seed = self.derive(CHUNK_SEED_CONTEXT);
        ChunkSecrets {
            key: ChunkKey::new(self.derive(CHUNK_KEY_CONTEXT)),
            seed: seed.first_chunk().copied().map_or(0, u64::from_le_bytes),
        }
    }

    /// Returns what tells it from another one, and nothing else of it.
    fn mark(&self) -> String {
        hex::encode(self.derive(MARK_CONTEXT))
    }
}

/// Reads the secret that belongs to a database; where there is no installation yet, draws it.
///
/// `had_database`: the file of a SQLite database was there before it was opened.
pub(super) async fn known_secret(
    folder: &DataFolder,
    metadata: &MetadataStore,
    place: &MetadataPlace,
    expectation: Expectation,
    had_database: bool,
) -> Result<Secret, AppError> {
    let known = metadata.read(ReadSetting(SECRET_MARK)).await?;
    let is_begun = match place {
        MetadataPlace::Sqlite => had_database,
        MetadataPlace::Postgres(_) => known.is_some() || metadata.read(HasAccounts).await?,
    };
    if !is_begun && expectation != Expectation::MayBegin {
        let place = place.to_string();
        return Err(AppError::NoInstallation { place });
    }
    let path = folder.secret();
    let (secret, is_new) = match std::fs::read_to_string(&path) {
        Ok(text) => (Secret::parse(&text), false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if is_begun {
                return Err(AppError::SecretMissing { path });
            }
            (Secret::parse(&draw_secret(&path)?), true)
        }
        Err(source) => return Err(file_error(&path, source)),
    };
    let Some(secret) = secret else {
        return Err(AppError::SecretDamaged { path });
    };
    let mark = secret.mark();
    let held = match known {
        Some(held) => held,
        None => metadata.write(MarkSecret { mark: mark.clone() }).await?,
    };
    if held == mark {
        return Ok(secret);
    }
    if is_new {
        // Another server was faster; with this file the next start would be refused, too.
        std::fs::remove_file(&path).map_err(|source| file_error(&path, source))?;
    }
    Err(AppError::OtherSecret { path })
}

/// Writes a secret durably, unless another process was faster; returns the text that counts.
fn draw_secret(path: &Path) -> Result<String, AppError> {
    let bytes: [u8; SECRET_BYTES] = rand::random();
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
        match std::fs::hard_link(&draft, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        std::fs::remove_file(&draft)?;
        File::open(path.parent().unwrap_or(path))?.sync_all()?;
        std::fs::read_to_string(path)
    };
    write().map_err(|source| file_error(path, source))
}
